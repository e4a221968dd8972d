"""A session as a machine without I/O, clock and threads: the server of Fig. 4, and when its rounds end.

The caller says what has come and what time it is. A round ends by a decision with a list of users: `due` draws it up,
the caller puts it on disk, and `apply` ends the server's round with exactly this list. Whoever calls the same methods
with the same arguments in the same order gets the same requests, byte for byte: this is how a journal is replayed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from ..arguments import whole
from ..codec import Octets
from ..errors import Abort, LocalProtocolError, RemoteProtocolError, require
from ..protocol.checkpoint import Remark, pairs
from ..protocol.deliveries import DIGEST_BYTES, Stray
from ..protocol.messages import Round, rounds_of, users_needed
from ..protocol.reconstruct import WrongShare
from ..protocol.server import Fault, Server
from .memory import EndedRound, Memory, Named, Out, Taken
from .names import Name, check_name, name_text, parse_name
from .refusals import Kind, Refused
from .setup import SessionSetup
from .sums import Result

STRAYS_MAX = 4
"""How many messages of a user in a round may be strays: the journal has each of them, and a checkpoint their number."""


class Status(StrEnum):
    """How far a session is."""

    RUNNING = "running"
    FINISHED = "finished"
    ABORTED = "aborted"


_STATUSES, _KINDS = tuple(Status), tuple(Kind)


@dataclass(frozen=True)
class Ended:
    """The decision that a round has ended.

    Attributes:
        round: the round.
        users: who has answered it, ascending: U1, U2, U3, U4 or U5.
    """

    round: Round
    users: tuple[int, ...]


class Admitted(NamedTuple):
    """A message that was admitted.

    Attributes:
        user: the sender's id.
        digest: the SHA-256 of the body.
        body: the message's bytes; a memoryview must be read-only, and is not kept.
        at: when it came, POSIX seconds.
    """

    user: int
    digest: bytes
    body: bytes | memoryview
    at: float


@dataclass(frozen=True)
class Aborted:
    """The decision that the session ends without a sum.

    Attributes:
        round: the round that was due; None if there was none.
        reason: a sentence for everybody.
    """

    round: Round | None
    reason: str


Decision = Ended | Aborted


class Opened(NamedTuple):
    """A participant's next request.

    Attributes:
        round: the round that it opens.
        body: its bytes.
    """

    round: Round
    body: bytes


@dataclass(frozen=True)
class Checkpoint:
    """What stands in place of masked inputs.

    Attributes:
        parts: of the server's, which together are its bytes.
        goal_met: when the goal of the round was met; None if it was not.
        received_bytes: of all messages so far.
        strays: how many there were of each user in this round.
    """

    parts: Iterator[bytes]
    goal_met: float | None
    received_bytes: int
    strays: dict[int, int]


def _rows(digests: Iterable[bytes]) -> Octets:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


class Session:
    """One session of a coordinator.

    Args:
        setup: all that is fixed.
        now: when the session begins, POSIX seconds.
        executor: runs the removal of masks; see `Server`.

    Attributes:
        setup: as above.
        status: whether the session runs, has finished or was aborted.
        round: the round whose answers are due, or whose end is being worked out; None once the session is over.
        reason: why the session was aborted; otherwise empty.
        closing: the decision that is being worked out: its round takes no more answers.
        rounds: the rounds that have ended.
        ended: when the session was over, POSIX seconds; None while it runs.
        result: the sum, once there is one, and as long as nobody puts it elsewhere.
        sha256: the result's hash in hexadecimal; otherwise empty.
        received_bytes: of all messages.
    """

    def __init__(self, setup: SessionSetup, now: float, executor: Executor | None = None) -> None:
        self.setup = setup
        self.status = Status.RUNNING
        self.round: Round | None = Round.ADVERTISE_KEYS
        self.reason = ""
        self.closing: Ended | None = None
        self.rounds: list[Ended] = []
        self.ended: float | None = None
        self.result: Result | None = None
        self.sha256 = ""
        self.received_bytes = 0
        self._order = rounds_of(setup.params)
        self._server: Server | None = Server(setup.params, roster=setup.roster, executor=executor)
        self._faults: list[Fault] = self._server.faults
        self._strays: list[Stray] = self._server.strays
        self._disputes: list[WrongShare] = self._server.disputes
        self._names: dict[Name, int] = {}
        self._joined: set[int] = set()
        self._taken: dict[Round, dict[int, bytes]] = {each: {} for each in self._order}
        self._out: dict[int, Refused] = {}
        self._left: set[int] = set()
        self._requests: dict[int, bytes] = {}
        self._stray_counts: Counter[int] = Counter()  # of the round that is due
        self._began = now
        self._goal_met: float | None = None
        self._patience = now  # the deadline is not before this

    # Who takes part.

    def join(self, name_or_user: Name) -> int:
        """Let a participant in; who has joined gets the same id again.

        Args:
            name_or_user: in the active model the user id in the roster; in the semi-honest model the participant's
                name or number.

        Returns:
            The user id.

        Raises:
            Refused: the participant is not invited, or comes too late, or all places are taken.
        """
        known = self._known(name_or_user)
        if known is not None:
            return known
        user = self._invited(name_or_user)
        self._check_place(user)
        self._joined.add(user)
        if self.setup.roster is None:
            self._names[check_name(name_or_user)] = user
        return user

    def user_of(self, name_or_user: Name) -> int:
        """The user id of a participant who has joined.

        Args:
            name_or_user: as for `join`.

        Raises:
            Refused: the participant has not joined.
        """
        known = self._known(name_or_user)
        if known is None:
            raise Refused(Kind.NOT_INVITED, "the participant has not joined this session")
        return known

    def has(self, name_or_user: Name) -> bool:
        """Whether a participant has joined.

        Args:
            name_or_user: as for `join`.
        """
        return self._known(name_or_user) is not None

    @property
    def names(self) -> dict[int, Name]:
        """Names and numbers by user id: of all who are invited, else of those who have joined; none with a roster."""
        if self.setup.invited is not None:
            return dict(enumerate(self.setup.invited, 1))
        return {user: name for name, user in self._names.items()}

    def _known(self, name_or_user: Name) -> int | None:
        if self.setup.roster is None:
            return self._names.get(check_name(name_or_user))
        user = whole(name_or_user, "user id")  # type: ignore[arg-type]
        return user if user in self._joined else None

    def _invited(self, name_or_user: Name) -> int:
        """The id that a newcomer gets."""
        if self.setup.roster is not None:
            user = whole(name_or_user, "user id")  # type: ignore[arg-type]
            if user not in self.setup.roster:
                raise Refused(Kind.NOT_INVITED, f"the session's roster has no user {user}")
            return user
        if self.setup.invited is None:
            return len(self._joined) + 1
        if name_or_user not in self.setup.invited:
            raise Refused(Kind.NOT_INVITED, "the participant is not invited to this session")
        return self.setup.invited.index(name_or_user) + 1

    def _check_place(self, user: int) -> None:
        if self.status is not Status.RUNNING:
            raise self._over()
        if self.rounds and self._goal_was_met(self.rounds[0]):
            raise self._not_needed(Round.ADVERTISE_KEYS)
        if self.round is not Round.ADVERTISE_KEYS or self.closing is not None:
            raise Refused(Kind.LATE, "the session has begun without the participant")
        if len(self._joined) == self.setup.params.n:
            raise Refused(Kind.FULL, f"{self.setup.params.n} participants have joined, and there are no more places")

    def can_leave(self, user: int) -> bool:
        """Whether it changes anything if a participant leaves: not if it is out, or by a decision will be.

        Args:
            user: the user id.

        Raises:
            Refused: the participant has not joined.
        """
        if user not in self._joined:
            raise Refused(Kind.NOT_INVITED, f"user {user} has not joined this session")
        decided = self.closing is not None and user not in self.closing.users
        return self.status is Status.RUNNING and user not in self._out and not decided

    def leave(self, user: int) -> None:
        """Take a participant at its word that it sends nothing more: no round waits for it from now on.

        What it has answered counts; its place stays taken. To the protocol it is a dropout.

        Args:
            user: who `can_leave`.
        """
        if self.can_leave(user):
            self._left.add(user)
            self._out[user] = Refused(Kind.LEFT, f"user {user} has left the session: nothing more is taken from it")

    # What they send.

    def admit(self, user: int, round: Round, digest: bytes) -> bool:
        """Whether a message is new and due, before its body matters. Nothing changes.

        Args:
            user: the sender's id.
            round: the round that it answers.
            digest: the SHA-256 of its bytes.

        Returns:
            True for a new message; False for one that was taken already, byte for byte.

        Raises:
            Refused: it would change nothing.
        """
        require(len(digest) == DIGEST_BYTES, "a digest has 32 bytes")
        known = self._taken.get(round, {}).get(user)
        if known is not None:
            if known == digest:
                return False
            raise Refused(Kind.OTHER_ANSWER, f"user {user} has answered {round} already, with other bytes")
        self._check_may_speak(user)
        self._check_due(round)
        if self._stray_counts[user] >= STRAYS_MAX:
            raise Refused(
                Kind.STRAY, f"too many messages in user {user}'s name in {round} are not proven to be its own"
            )
        return True

    def _check_may_speak(self, user: int) -> None:
        if self.status is not Status.RUNNING:
            raise self._out.get(user, self._over()) if self.status is Status.FINISHED else self._over()
        if user not in self._joined:
            raise Refused(Kind.NOT_INVITED, f"user {user} has not joined this session")
        if user in self._out:
            raise self._out[user]

    def _check_due(self, round: Round) -> None:
        require(self.round is not None, "the session is over")
        if round not in self._order or self.round is None or round > self.round:
            raise Refused(Kind.EARLY, f"{round} has not begun", retry_after=1.0)
        if round < self.round or self.closing is not None:
            raise self._late(round)

    def receive(self, user: int, round: Round, digest: bytes, body: bytes | memoryview, now: float) -> None:
        """Take a message that was admitted.

        Args:
            user: the sender's id.
            round: the round that it answers.
            digest: the SHA-256 of the body.
            body: the message's bytes; a memoryview must be read-only, and is not kept.
            now: POSIX seconds.

        Raises:
            Refused: the protocol refused the message: its sender is out (FAULTY), or can still answer (STRAY).
        """
        (refused,) = self.receive_all(round, [Admitted(user, digest, body, now)])
        if refused is not None:
            raise refused

    def receive_all(self, round: Round, messages: Sequence[Admitted]) -> list[Refused | None]:
        """`receive` of messages of different users in turn; their signatures are verified several at a time.

        Args:
            round: the round that they answer.
            messages: that were admitted.

        Returns:
            For each the error that `receive` raises, or None.
        """
        server = self._running()
        require(round is self.round and self.closing is None, f"{round} is not due")
        require(len({each.user for each in messages}) == len(messages), "two messages of one user")
        taken = server.receive_each(
            {each.user: each.body for each in messages}, {each.user: each.digest for each in messages}
        )
        return [self._outcome(round, each) for each, _ in zip(messages, taken, strict=True)]

    def _outcome(self, round: Round, message: Admitted) -> Refused | None:
        """What a message that the server has just taken comes to."""
        self.received_bytes += len(message.body)
        if not self._running().has_answered(message.user):
            return self._fault_of(message.user, round)
        self._taken[round][message.user] = message.digest
        self._look_at_goal(message.at)
        return None

    def _fault_of(self, user: int, round: Round) -> Refused:
        """Why the server did not take a message; a user who is at fault is out."""
        if self._running().is_waiting_for(user):
            self._stray_counts[user] += 1
            reason = next((s.reason for s in reversed(self._strays) if (s.client, s.round) == (user, round)), "")
            return Refused(Kind.STRAY, f"the message is not proven to be user {user}'s in this session: {reason}")
        self._note_faulty([user])
        return self._out[user]

    def _note_faulty(self, users: Iterable[int]) -> None:
        for user in users:
            reason = next((fault.reason for fault in reversed(self._faults) if fault.client == user), "")
            self._out.setdefault(user, Refused(Kind.FAULTY, f"a message of user {user} was refused: {reason}"))

    def _look_at_goal(self, now: float) -> None:
        met = self._running().answered_count >= self.setup.deadlines.enough(self._may_answer())
        if met and self._goal_met is None:
            self._goal_met = now

    # When a round ends.

    @property
    def is_last_round(self) -> bool:
        """Whether the round that is due is Unmasking."""
        return self.round is self._order[-1]

    @property
    def minimum(self) -> int:
        """How many users must answer the round that is due."""
        params = self.setup.params
        return params.quorum if self.round is None else users_needed(params, self.round)

    def next_time(self) -> float | None:
        """When the round ends if nothing more comes, POSIX seconds; None if the session waits for nobody."""
        if self.status is not Status.RUNNING or self.closing is not None:
            return None
        answered, may_answer = self._running().answered_count, self._may_answer()
        if answered == may_answer or may_answer < self.minimum:
            return self._began
        times = [self._deadline]
        if self._goal_met is not None:
            times.append(self._goal_met + self.setup.deadlines.grace)
        return min(times)

    @property
    def _deadline(self) -> float:
        assert self.round is not None
        return max(self._began + self.setup.deadlines.seconds[self.round], self._patience)

    def due(self, now: float) -> Decision | None:
        """The decision that is due; None if there is none yet. Nothing changes.

        Args:
            now: POSIX seconds.
        """
        moment = self.next_time()
        if moment is None or now < moment or self.round is None:
            return None
        answered = self._running().answered
        if len(answered) >= self.minimum:
            return Ended(self.round, tuple(sorted(answered)))
        return Aborted(self.round, self._shortage(len(answered)))

    def _shortage(self, answered: int) -> str:
        left = self._may_answer()
        said = f"only {left} users are left" if left < self.minimum else f"{answered} users answered by the deadline"
        return f"{self.round}: {said}, {self.minimum} are needed"

    def wait_at_least(self, until: float) -> None:
        """Put the deadline of the round that is due off to this time, where it is earlier.

        It is for a coordinator that was away: participants could not answer meanwhile.

        Args:
            until: POSIX seconds.
        """
        self._patience = until

    def apply(self, decision: Decision, now: float) -> None:
        """Carry out a decision. It must be on disk if anybody is to hear of it.

        Args:
            decision: of `due`, or of the operator.
            now: POSIX seconds.

        Raises:
            LocalProtocolError: the session is over, or the list of users is not that of those who have answered.
        """
        if isinstance(decision, Aborted):
            self.abort(decision, now)
            return
        self.close(decision)
        try:
            requests = self.work_out()
        except Abort as error:
            self.abort(Aborted(decision.round, str(error)), now)
            return
        self.open(requests, now)

    def close(self, decision: Ended) -> None:
        """The first step of `apply`: from now on nobody's answer is in time."""
        answered = self._running().answered
        require(decision.round is self.round and self.closing is None, f"{decision.round} is not due")
        if set(decision.users) != answered:
            raise LocalProtocolError(
                f"{decision.round} was to end with {len(decision.users)} users, but {len(answered)} have answered"
            )
        self.closing = decision

    def work_out(self) -> dict[int, bytes]:
        """The second step, which takes long in Unmasking: the next requests.

        It changes nothing but the server, and may run while others read.

        Raises:
            Abort: a secret cannot be recovered.
            Exception: what the executor raises; this step can then be taken again.
        """
        return self._running().end_round()

    def open(self, requests: dict[int, bytes], now: float) -> None:
        """The third step: the next round begins, or there is a sum."""
        decision, server = self.closing, self._running()
        require(decision is not None, "no round is being closed")
        assert decision is not None
        self._leave_out(decision)
        self.rounds.append(decision)
        self.closing, self._requests = None, requests
        if server.round is None:
            self._finish(Result.of(server.sum, server.survivors), now)
            return
        self.round, self._began, self._patience, self._goal_met = server.round, now, now, None
        self._stray_counts.clear()

    def _leave_out(self, decision: Ended) -> None:
        """Whoever has not answered is out."""
        enough = self._goal_was_met(decision)
        before_u2 = decision.round in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS)
        for user in self._joined - set(decision.users):
            late = self._not_needed(decision.round) if enough and before_u2 else self._late(decision.round)
            self._out.setdefault(user, late)

    def _goal_was_met(self, decision: Ended) -> bool:
        return len(decision.users) >= self.setup.deadlines.enough(self.setup.params.n)

    def _not_needed(self, round: Round) -> Refused:
        return Refused(
            Kind.NOT_NEEDED,
            f"enough others have answered {round}: this participant is not needed, and nothing of it is revealed",
        )

    def _late(self, round: Round) -> Refused:
        after = {
            Round.MASKED_INPUT_COLLECTION: ", and its mask keys are revealed: send nothing more, and wipe the state",
            Round.CONSISTENCY_CHECK: "; its input is in the sum",
            Round.UNMASKING: "; its input is in the sum",
        }.get(round, ", and nothing of it is revealed")
        return Refused(Kind.LATE, f"{round} has ended without the participant, who is out of the session{after}")

    def _finish(self, result: Result, now: float) -> None:
        self.result, self.sha256 = result, result.sha256
        self._end(Status.FINISHED, now)

    def abort(self, decision: Aborted, now: float) -> None:
        """End the session without a sum."""
        require(self.status is Status.RUNNING, "the session is over")
        self.reason = decision.reason
        self._end(Status.ABORTED, now)

    def _end(self, status: Status, now: float) -> None:
        self.status, self.ended = status, now
        self.round = self.closing = self._server = None
        self._requests = {}

    # What is kept of masked inputs, and of a session that is over.

    def checkpoint(self) -> Checkpoint:
        """What stands in place of the masked inputs so far; see `Server.checkpoint`. Nothing may come meanwhile."""
        parts = self._running().checkpoint_parts()
        return Checkpoint(parts, self._goal_met, self.received_bytes, dict(sorted(self._stray_counts.items())))

    def resume(
        self, data: bytes | memoryview, goal_met: float | None, received_bytes: int, strays: dict[int, int]
    ) -> None:
        """Go on from a checkpoint, in place of the masked inputs that are in it.

        Args:
            data: of the server.
            goal_met: as `Checkpoint` has it.
            received_bytes: as well.
            strays: as well.

        Raises:
            RemoteProtocolError: the checkpoint is another session's, or there cannot be so many strays.
            LocalProtocolError: another round is due.
        """
        if not self._joined.issuperset(strays) or not all(1 <= count <= STRAYS_MAX for count in strays.values()):
            raise RemoteProtocolError("a checkpoint has strays that cannot be")
        server = self._running()
        self._taken[Round.MASKED_INPUT_COLLECTION] |= server.resume(data)
        self._goal_met, self.received_bytes, self._stray_counts = goal_met, received_bytes, Counter(strays)
        self._note_faulty(set(self._requests) - server.waiting - server.answered)

    def remember(self) -> bytes:
        """What remains of a session that is over, for `recall`: no message, and not the sum."""
        require(self.status is not Status.RUNNING, "the session runs")
        return Memory(
            status=_STATUSES.index(self.status),
            reason=self.reason,
            began=self._began,
            ended=self.ended or 0.0,
            received_bytes=self.received_bytes,
            joined=np.array(sorted(self._joined), np.uint32),
            names=tuple(Named(user, name_text(name)) for name, user in self._names.items()),
            rounds=tuple(EndedRound(each.round, np.array(each.users, np.uint32)) for each in self.rounds),
            taken=tuple(
                Taken(each, np.array(list(taken), np.uint32), _rows(taken.values()))
                for each, taken in self._taken.items()
            ),
            out=tuple(Out(user, _KINDS.index(each.kind), each.detail) for user, each in self._out.items()),
            faults=tuple(Remark(*each) for each in self._faults),
            strays=tuple(Remark(*each) for each in self._strays),
            disputes=pairs(self._disputes),
            sha256=bytes.fromhex(self.sha256),
        ).encode()

    @classmethod
    def recall(cls, setup: SessionSetup, data: bytes) -> "Session":
        """A session that is over, without its sum.

        Args:
            setup: as it was.
            data: what `remember` gave.

        Raises:
            RemoteProtocolError: the bytes are something else.
        """
        memory, session = Memory.decode(data), cls(setup, setup.created)
        session.reason, session._began, session.ended = memory.reason, memory.began, memory.ended
        session.received_bytes, session.sha256 = memory.received_bytes, memory.sha256.hex()
        session._joined = set(memory.joined.tolist())
        session._names = {parse_name(each.name): each.user for each in memory.names}
        session.rounds = [Ended(each.round, tuple(each.users.tolist())) for each in memory.rounds]
        for each in memory.taken:
            session._taken[each.round] = dict(zip(each.users.tolist(), map(bytes, each.digests), strict=True))
        session._out = {each.user: Refused(_KINDS[each.kind], each.detail) for each in memory.out}
        session._faults = [Fault(*each.fields) for each in memory.faults]
        session._strays = [Stray(*each.fields) for each in memory.strays]
        session._disputes = [WrongShare(*pair) for pair in memory.disputes.tolist()]
        session._end(_STATUSES[memory.status], memory.ended)
        return session

    @property
    def survivors(self) -> tuple[int, ...]:
        """U3, once it is settled; before that nobody."""
        rounds = {each.round: each.users for each in self.rounds}
        return rounds.get(Round.MASKED_INPUT_COLLECTION, ())

    # What participants hear.

    def request(self, user: int, after: Round | None) -> bytes | None:
        """A participant's next request; None if there is none yet, or none any more since the session has finished.

        Args:
            user: the participant's id.
            after: the last round that it has answered; None if it has answered none.

        Raises:
            Refused: the participant is out, or the session was aborted.
        """
        opened = self.opened(user, after)
        return None if opened is None else opened.body

    def opened(self, user: int, after: Round | None) -> Opened | None:
        """The same with the round that the request opens."""
        if user not in self._joined:
            raise Refused(Kind.NOT_INVITED, f"user {user} has not joined this session")
        if self.status is Status.ABORTED:
            raise self._over()
        if self.status is Status.FINISHED:
            if user in self._out and user not in self.survivors:
                raise self._out[user]
            return None
        if user in self._out:
            raise self._out[user]
        if self.round is None or (after is not None and after >= self.round) or user not in self._requests:
            return None
        return Opened(self.round, self._requests[user])

    def _over(self) -> Refused:
        if self.status is Status.ABORTED:
            return Refused(Kind.ABORTED, f"the session was aborted: {self.reason}")
        return Refused(Kind.LATE, "the session has finished")

    def describe(self) -> dict[str, Any]:
        """How the session stands, for people: ids and numbers, and no message."""
        answered, waiting = self._answered(), self._waiting()
        running = self.status is Status.RUNNING
        return {
            "name": self.setup.name,
            "label": self.setup.label,
            "status": str(self.status),
            "reason": self.reason,
            "round": None if self.round is None else str(self.round),
            "closing": self.closing is not None,
            "began": self._began,
            "ends": self.next_time(),
            "ended": self.ended,
            "joined": sorted(self._joined),
            "answered": sorted(answered),
            "waiting": sorted(waiting),
            "late": self._out_by(Kind.LATE),
            "not_needed": self._out_by(Kind.NOT_NEEDED),
            "left": self._out_by(Kind.LEFT),
            "faulty": self._out_by(Kind.FAULTY),
            "n": self.setup.params.n,
            "threshold": self.setup.params.t,
            "minimum": self.minimum if running else None,
            "may_drop": max(0, self._may_answer() - self.minimum) if running and self.closing is None else None,
            "rounds": {str(each.round): list(each.users) for each in self.rounds},
            "faults": sorted({fault.client for fault in self._faults}),
            "strays": sorted({stray.client for stray in self._strays}),
            "disputes": sorted([pair.holder, pair.dealer] for pair in self._disputes),
            "received_bytes": self.received_bytes,
            "sha256": self.sha256,
        }

    def _out_by(self, kind: Kind) -> list[int]:
        return sorted(user for user, refused in self._out.items() if refused.kind is kind)

    def _answered(self) -> Iterable[int]:
        if self.closing is not None:
            return self.closing.users
        return () if self._server is None else self._server.answered

    def _waiting(self) -> Iterable[int]:
        return () if self._server is None or self.closing is not None else self._server.waiting - self._left

    def _may_answer(self) -> int:
        """How many answers this round can have; of a larger roster, n users take part."""
        server = self._running()
        left = sum(map(server.is_waiting_for, self._left))
        return min(self.setup.params.n, server.answered_count + server.waiting_count - left)

    def _running(self) -> Server:
        if self._server is None:
            raise LocalProtocolError("the session is over")
        return self._server
