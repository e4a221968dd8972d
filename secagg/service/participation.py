"""The steps of one user through one session, without I/O: what it asks the coordinator, and what it makes of answers.

    join -> the policy agrees -> start or resume -> (send the answer of a round, fetch the next request)* -> the result

Every message that is sent is on disk before (`Client.save`): a participant that is restarted loads the saved client,
sends its last answer again, byte for byte, and goes on. What ends a participation decides what becomes of the state:

- the end of the session, and every refusal that puts this user out, or says that the session is gone: the state is
  removed and wiped;
- a request that the client refuses (`RemoteProtocolError` of the protocol), or too few users (`Abort`): the same, and
  then the coordinator is told that this user has left (`farewell`);
- an answer that is none, such as one that is too long, no JSON, or of another round: nothing more is sent, and the
  state stays, for the same call;
- a caller who cancels: the same as long as the user cannot be in U2, because its answer to ShareKeys was not sent yet.
  After that the state stays, since others would reveal its key; the same call resumes;
- no answer, a crash, a counter that fails, or another process that uses the same state: the state stays.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from json import loads
from pathlib import Path
from typing import Any

from ..arguments import optional, real, whole
from ..errors import LocalProtocolError, RemoteProtocolError, SecAggError, require
from ..http.semantics import parse_media_type, parse_retry_after
from ..http.steps import Progress, Response, Retries, Steps, Wait
from ..protocol.identity import Identity, Roster
from ..protocol.messages import Round, rounds_of
from ..protocol.nonces import Nonces
from ..protocol.params import Params
from ..protocol.saved import Counter, remove_saved
from ..shamir import RandomBytes
from .calls import Call, Calls
from .contribution import Contribution, check_form, form_bytes
from .counters import CounterFailed, Counters
from .inputs import Input, Key, Machine, Place
from .policy import Policy, PolicyRefusal
from .problems import refusal
from .refusals import Kind, Refused
from .resources import (
    JSON,
    OCTETS,
    ROUND,
    ROUND_NAMES,
    SESSION_NAME,
    SESSIONS,
    Announcement,
    Fields,
    Listed,
    ResultForm,
    answer_path,
    join_path,
    leave_path,
    request_path,
    result_path,
    roster_path,
    sum_path,
)
from .rosters import most_bytes, read_roster, roster_difference
from .sizes import request_bytes
from .states import counter_name, remove_old, saved_counter, state_file
from .sums import read_sum, sum_bytes

ANNOUNCEMENT_BYTES = 1 << 18  # Params have a context of up to 64 KiB
LIST_BYTES = 1 << 20
POLL_PAUSE = 1.0  # seconds between two polls that the coordinator answers at once
LONGEST_PAUSE = 60.0  # seconds between two polls, whatever the coordinator asks for
FAREWELL_SECONDS = 4.0  # for each wait for the network
FAREWELL_RETRIES = Retries(attempts=2, longest=2.0)
_OUT = frozenset(
    {
        Kind.NO_SESSION,
        Kind.LATE,
        Kind.NOT_NEEDED,
        Kind.OTHER_ANSWER,
        Kind.FAULTY,
        Kind.ABORTED,
        Kind.OVER,
        Kind.LEFT,
    }
)


@dataclass(frozen=True)
class Standing(Progress):
    """How a participant stands.

    Attributes:
        waited: seconds since it began.
        pause: seconds until the coordinator is asked again.
        reason: what it waits for, or what has happened.
        session: the session's name; empty as long as there is none.
        round: the last round that it has answered; None for none.
    """

    session: str = ""
    round: Round | None = None


class ParticipationPending(SecAggError):
    """The time that was given is over, and the session is not. The state is kept: the same call goes on."""


@dataclass(frozen=True, repr=False)
class Site:
    """What a participant has whatever the session is.

    Attributes:
        user: its user id in the roster, in the active model; otherwise None.
        owner: what its files are named by, beside the session.
        identity: in the active model.
        roster: in the active model.
        policy: what it accepts.
        state: the folder of states and nonces.
        key: that states are sealed under, or the file of that key.
        counters: of states, by name; None for none.
        rand: source of random bytes.
        wait: seconds that a coordinator may hold a long poll.
    """

    user: int | None
    owner: str
    identity: Identity | None
    roster: Roster | None
    policy: Policy
    state: Path
    key: Key
    counters: Counters | None
    rand: RandomBytes
    wait: float


class Participation:
    """One user's way through one session.

    Args:
        calls: the requests to the coordinator.
        site: what the participant has.
        given: the input.
        session: its name; None for the only one that the user may join.
        timeout: seconds until `ParticipationPending`; None to wait as long as the session takes.
    """

    def __init__(self, calls: Calls, site: Site, given: Input, session: str | None, timeout: float | None) -> None:
        self._calls = calls
        self._clock = calls.clock
        self._site = site
        self._input = given
        self._policy = given.fitted(site.policy)
        self._session = session or ""
        self._timeout = optional(real)(timeout, "timeout")
        self._begun = calls.clock()
        self._digest = b""
        self._users = None if site.roster is None else len(site.roster)
        self._sent: Round | None = None  # the last round whose answer the coordinator may have
        self._in_u3 = False  # its input is in the sum, if there is one
        self._farewell: Call | None = None

    def steps(self) -> Steps[Contribution]:
        """Everything, in order."""
        remove_old(self._site.state, self._clock(), self._site.counters)
        if not self._session:
            self._session = yield from self._only_session()
        announcement = yield from self._join()
        machine = self._machine(announcement)
        try:
            if (yield from self._is_late(machine, announcement)):
                yield from self._wait_for_end(announcement)
            contribution = yield from self._result(announcement)
        except (GeneratorExit, KeyboardInterrupt):
            if self._sent is None or self._sent < Round.SHARE_KEYS:
                with suppress(CounterFailed):  # then the state stays, and the same call goes on
                    self._go(machine, announcement)
            raise
        except _Ended as ended:
            with _after(ended.error):
                self._go(machine, announcement)
            raise ended.error from None
        except Refused as refused:
            if refused.kind in _OUT:
                with _after(refused):
                    _leave(machine)
            raise
        _leave(machine)
        return contribution

    def _go(self, machine: Machine, announcement: Announcement) -> None:
        """Leave a session that goes on; only who can send nothing more has something to say of it."""
        if _leave(machine):
            self._farewell = Call(
                "POST",
                leave_path(self._session, announcement.user),
                self._session,
                self._digest,
                retries=FAREWELL_RETRIES,
                timeout=FAREWELL_SECONDS,
            )

    def farewell(self) -> Steps[None]:
        """Once the steps have ended: tell the coordinator if this user has left, so that nobody waits for it.

        Raises:
            SecAggError: the coordinator was not reached, or refuses. It will notice at the deadline.
        """
        call, self._farewell = self._farewell, None
        if call is not None:
            self._check((yield from self._calls.ask(call)))

    # --- Before the protocol ----------------------------------------------------------------------------------------

    def _only_session(self) -> Steps[str]:
        """The name of the one session that this user may join; it waits until there is one."""
        while True:
            response = yield from self._calls.ask(Call("GET", SESSIONS, max_bytes=LIST_BYTES))
            names = _names(self._json(response))
            if len(names) == 1:
                return names[0]
            require(not names, f"there are several sessions to join: name one of {', '.join(names[:20])}")
            yield from self._pause(response, "waiting for a session")

    def _join(self) -> Steps[Announcement]:
        """Take part, and check what the coordinator asks for: nothing of the protocol was sent yet."""
        call = Call("POST", join_path(self._session), self._session, max_bytes=ANNOUNCEMENT_BYTES)
        announcement = Announcement.from_json(self._known((yield from self._calls.ask(call))))
        if announcement.session != self._session or self._site.user not in (None, announcement.user):
            raise RemoteProtocolError("the coordinator's announcement is for another session, or another user")
        params = announcement.params
        self._digest = sha256(params.encode()).digest()
        try:
            self._policy.check(params, announcement.roster_hash, noisy=self._input.noisy, users=self._users)
        except PolicyRefusal as refused:
            raise (yield from self._explained(refused, announcement)) from None
        self._input.check(params)
        yield self._standing("joined")
        return announcement

    def _explained(self, refused: PolicyRefusal, announcement: Announcement) -> Steps[PolicyRefusal]:
        """The refusal; where another roster than ours was announced, with that in which it differs, if it is shown."""
        ours, announced = self._site.roster, announcement.roster_hash
        if ours is None or announced == ours.hash:
            return refused
        call = Call("GET", roster_path(self._session), self._session, self._digest, max_bytes=most_bytes(ours))
        try:
            theirs = read_roster(self._json((yield from self._calls.ask(call))), announced)
        except SecAggError as error:
            words = f"in what it differs is not known: {error}"
        else:
            words = roster_difference(theirs, ours)
        return refused.explained("roster", words)

    def _known(self, response: Response) -> object:
        """The announcement; for whoever is out of the session, or where it is gone, what was saved goes as well."""
        try:
            if response.status == 403 and self._site.user is not None:
                raise self._not_this_user(response)
            return self._json(response)
        except Refused as refused:
            if refused.kind in _OUT:
                with _after(refused):
                    remove_saved(self._file, counter=saved_counter(self._file, self._site.counters))
            raise

    def _not_this_user(self, response: Response) -> SecAggError:
        """The coordinator does not take our signature."""
        error = refusal(response.status, response.headers, response.content, self._clock())
        if isinstance(error, Refused):
            return error
        other = f"the session's roster has another key for user {self._site.user}, or no such user"
        return RemoteProtocolError(f"{error}: {other}, or the coordinator has another URL than {self._calls.name}")

    @property
    def _file(self) -> Path:
        return state_file(self._site.state, self._calls.name, self._session, self._site.owner)

    @property
    def _counter(self) -> Counter | None:
        """Of the state in the session that was announced."""
        counters = self._site.counters
        return None if counters is None else counters(counter_name(self._file, self._digest))

    def _machine(self, announcement: Announcement) -> Machine:
        """The saved client, or a new one."""
        place = self._place(announcement)
        if place.file.exists():
            return self._input.load(place)
        over = announcement.round is not Round.ADVERTISE_KEYS
        require(not over, f"session {self._session} has begun without this user, or is over")
        unused = place.counter is None or whole(place.counter.value(), "a counter's value") == 0
        require(unused, f"the state of session {self._session} was removed, or put back to before it began (rollback)")
        if self._site.identity is None:  # an identity claims nonces by itself
            self._claim(announcement.params)
        return self._input.client(place)

    def _place(self, announcement: Announcement) -> Place:
        site = self._site
        return Place(
            announcement.params,
            announcement.user,
            site.identity,
            site.roster,
            self._file,
            site.key,
            self._counter,
            self._clock,
            site.rand,
        )

    def _claim(self, params: Params) -> None:
        """The session's nonce is used once, in all runs of this participant."""
        state = self._site.state
        owner = sha256(b"secagg service participant v1" + self._calls.name.encode()).digest()
        fresh = Nonces(state / "participant", owner, state).claim(params.nonce)
        require(fresh, f"this participant has taken part in session {self._session} already, or in one with its nonce")

    # --- The protocol -----------------------------------------------------------------------------------------------

    def _is_late(self, machine: Machine, announcement: Announcement) -> Steps[bool]:
        """Answer each round; True for a user who is out of a late one, and whose input is in the sum."""
        try:
            yield from self._play(machine, announcement)
        except Refused as refused:
            if refused.kind is not Kind.LATE or not self._in_u3:
                raise
            _leave(machine)
            return True
        return False

    def _play(self, machine: Machine, announcement: Announcement) -> Steps[None]:
        """Answer each round."""
        params = announcement.params
        last = rounds_of(params)[-1]
        self._sent = machine.answered  # by a run before
        if machine.answered is None:
            answer: bytes | None = self._started(machine, params)
        elif machine.finished and machine.answer is None:
            raise _Ended(LocalProtocolError(f"this user has left session {self._session} after an error"))
        else:
            answer = machine.answer  # of a run before: its acknowledgement may have been lost
        while True:
            current = machine.answered
            assert current is not None
            if answer is not None:
                yield Wait(0.0)  # whoever has cancelled while it was computed goes no further, and has not sent it
                yield from self._deliver(announcement, current, answer)
            yield self._standing("answered", current)
            request = yield from self._next(announcement, current)
            if request is None:
                return
            if current is last:
                raise _Ended(RemoteProtocolError("the coordinator asks on although the last round was answered"))
            answer = self._answered(machine, request)

    def _started(self, machine: Machine, params: Params) -> bytes:
        """The client's first message. What prevents it ends the participation: nothing was sent."""
        try:
            return machine.start(params.encode())
        except SecAggError as error:
            raise _Ended(error) from None

    def _answered(self, machine: Machine, request: bytes) -> bytes:
        """The client's answer. What it refuses ends the participation, unless another process has the state."""
        try:
            return machine.receive(request)
        except LocalProtocolError:
            raise
        except SecAggError as error:
            raise _Ended(error) from None

    def _deliver(self, announcement: Announcement, current: Round, answer: bytes) -> Steps[None]:
        path = answer_path(self._session, announcement.user, current)
        call = Call("POST", path, self._session, self._digest, current, answer, OCTETS)
        self._sent = current
        self._check((yield from self._calls.ask(call)))
        self._in_u3 = current >= Round.MASKED_INPUT_COLLECTION

    def _next(self, announcement: Announcement, after: Round) -> Steps[bytes | None]:
        """The next request; None once the session has finished."""
        params = announcement.params
        later = [current for current in rounds_of(params) if current > after]
        size = max(ANNOUNCEMENT_BYTES, request_bytes(params, later[0]) if later else 0)
        while True:
            asked = self._clock()
            response = self._check((yield from self._poll(announcement, after, size)))
            if response.status != 204:
                return self._request(response, later[0] if later else None)
            yield from self._pause(response, f"waiting for others after {after}", after, asked)

    def _poll(self, announcement: Announcement, after: Round, size: int) -> Steps[Response]:
        """Ask for the next request once. The coordinator may hold the answer, but not beyond our timeout."""
        left = self._site.wait if self._timeout is None else self._begun + self._timeout - self._clock()
        wait = max(0.0, min(self._site.wait, round(left, 3)))
        path = request_path(self._session, announcement.user, after, wait)
        return (yield from self._calls.ask(Call("GET", path, self._session, self._digest, max_bytes=size)))

    def _request(self, response: Response, expected: Round | None) -> bytes | None:
        """The bytes of a request, or None from a coordinator that says that the session has finished."""
        if _media_type(response) == JSON:
            finished = _document(response).get("status") == "finished"
            if not finished:
                raise RemoteProtocolError("the coordinator answers neither with a request nor with the session's end")
            return None
        named = response.headers.get(ROUND.lower(), "")
        if _media_type(response) != OCTETS or expected is None or named != ROUND_NAMES[expected]:
            raise RemoteProtocolError("the coordinator's answer is no request of the next round: is the URL right?")
        return response.content

    def _wait_for_end(self, announcement: Announcement) -> Steps[None]:
        """Until there is a sum: this user's input is in it, although the user missed a later round."""
        last = rounds_of(announcement.params)[-1]
        while True:
            response = yield from self._poll(announcement, last, ANNOUNCEMENT_BYTES)
            if response.successful and response.status != 204:
                self._request(response, None)
                return
            with _late():
                self._check(response)
            yield from self._pause(response, "waiting for the sum, for which this user comes too late to help")

    # --- After the protocol -----------------------------------------------------------------------------------------

    def _result(self, announcement: Announcement) -> Steps[Contribution]:
        """The sum, where participants may read it."""
        params, user = announcement.params, announcement.user
        if not announcement.results:
            return Contribution(self._session, user, params)
        call = Call("GET", result_path(self._session), self._session, self._digest, max_bytes=form_bytes(params))
        form = ResultForm.from_json(self._json((yield from self._calls.ask(call))))
        check_form(form, self._session, params)
        call = Call("GET", sum_path(self._session), self._session, self._digest, max_bytes=sum_bytes(form))
        total = read_sum(self._check((yield from self._calls.ask(call))).content, form)
        decoded = self._input.decode(total, params, len(form.survivors))
        return Contribution(self._session, user, params, form.survivors, total, decoded)

    # --- HTTP -------------------------------------------------------------------------------------------------------

    def _check(self, response: Response) -> Response:
        """A successful answer; a refusal is raised."""
        if not response.successful:
            raise refusal(response.status, response.headers, response.content, self._clock())
        return response

    def _json(self, response: Response) -> object:
        """What a successful answer in JSON holds."""
        if _media_type(self._check(response)) != JSON:
            raise RemoteProtocolError("the coordinator's answer is not JSON: is the URL right?")
        return _document(response)

    def _pause(
        self, response: Response, reason: str, answered: Round | None = None, asked: float | None = None
    ) -> Steps[None]:
        """Wait before the next poll as long as the coordinator asks, and not at all if it has waited itself."""
        now = self._clock()
        if self._timeout is not None and now - self._begun >= self._timeout:
            raise ParticipationPending(
                f"{reason}, for {now - self._begun:,.0f} s: the same call goes on where this one has ended"
            )
        waited = asked is not None and now - asked >= POLL_PAUSE
        least = 0.0 if waited else POLL_PAUSE
        pause = min(LONGEST_PAUSE, max(least, parse_retry_after(response.headers.get("retry-after"), now) or 0.0))
        yield self._standing(reason, answered, pause)
        if pause > 0:
            yield Wait(pause)

    def _standing(self, reason: str, answered: Round | None = None, pause: float = 0.0) -> Standing:
        return Standing(self._clock() - self._begun, pause, reason, self._session, answered)


def _leave(machine: Machine) -> bool:
    """Remove the state, and whether it is gone. Another process may have gone on with it, which keeps it then.

    Raises:
        CounterFailed: the state is there still, and it counts. The same call removes it.
    """
    try:
        machine.leave()
    except CounterFailed:
        raise
    except (LocalProtocolError, OSError):
        return False
    return True


@contextmanager
def _after(error: SecAggError) -> Iterator[None]:
    """A counter that fails at the end hides nothing of what the end was."""
    try:
        yield
    except CounterFailed as failed:
        raise CounterFailed(f"{failed}; the session has ended before: {error}") from error


class _Ended(Exception):
    """The client has ended by an error of the protocol, and its state is of no more use."""

    def __init__(self, error: SecAggError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def _late() -> Iterator[None]:
    """Go on where the coordinator says that this user is out of the round."""
    try:
        yield
    except Refused as refused:
        if refused.kind is not Kind.LATE:
            raise


def _media_type(response: Response) -> str:
    parsed = parse_media_type(response.headers.get("content-type", ""))
    return "" if parsed is None else parsed[0]


def _document(response: Response) -> Any:
    try:
        return loads(response.content)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("the coordinator's answer is not JSON") from None


def _names(document: object) -> list[str]:
    """The names of the sessions that may be joined now."""
    listed = Fields(document, "the list of sessions").array("sessions")
    names = [each.session for each in map(Listed.from_json, listed) if each.round is Round.ADVERTISE_KEYS]
    if not all(map(SESSION_NAME.fullmatch, names)):
        raise RemoteProtocolError("the coordinator's list has a name that no session can have")
    return names
