"""A participant: it contributes an input to a session of a coordinator, and learns what became of it.

    with Participant("https://coordinator.example", identity=identity, roster=roster) as participant:
        contribution = participant.contribute("round-7", x)

`AsyncParticipant` is the same with `await`. Both run the steps of `Participation`, which does no I/O.
"""

import os
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import anyio
import httpx

from ..dp import Ledger
from ..durable import make_folder
from ..errors import LocalProtocolError, SecAggError, require
from ..http.steps import Notify, Retries, on_thread, run, run_async
from ..http.urls import ServerUrl
from ..noisy import NoisySum
from ..protocol.identity import Identity, Roster
from ..protocol.nonces import state_folder
from ..protocol.params import Model
from ..protocol.quantize import Quantizer
from ..shamir import RandomBytes
from .calls import Bearer, Calls, Credentials, Signer, parse_coordinator_url
from .contribution import Contribution
from .counters import Counters
from .inputs import Key, make_input
from .participation import Participation, ParticipationPending, Site, Standing
from .policy import Policy
from .resources import SESSION_NAME, WAIT_SECONDS

__all__ = ["AsyncParticipant", "Contribution", "Participant", "ParticipationPending", "Standing"]

CONNECT_SECONDS = 10.0
READ_SECONDS = WAIT_SECONDS + 20.0  # longer than a coordinator may hold a long poll
_MARGIN = 5.0  # seconds between the end of a long poll and the patience of an HTTP client that is passed in
_FAREWELL_SECONDS = 10.0  # for all of it, of a task that was cancelled
RETRIES = Retries(attempts=12, longest=30.0)  # three minutes: a coordinator may be restarted meanwhile


class _Common:
    """What both participants have in common; all but the HTTP client."""

    def __init__(
        self,
        url: str,
        identity: Identity | None,
        token: str | None,
        roster: Roster | None,
        policy: Policy,
        state: Path | None,
        key: Key | None,
        counter: Counters | None,
        clock: Callable[[], float],
        rand: RandomBytes,
        retries: Retries,
    ) -> None:
        self._url, self._session = parse_coordinator_url(url, allow_http=policy.allow_http)
        require((identity is None) != (token is None), "give an identity (active model) or a token (semi-honest model)")
        require((identity is None) == (roster is None), "an identity and a roster go together, in the active model")
        user = None if identity is None or roster is None else _user_of(identity, roster)
        self._credentials = _credentials(identity, user, token)
        self._identity, self._roster, self._user = identity, roster, user
        self._owner = f"user {user}" if token is None else sha256(token.encode()).hexdigest()
        self._policy = _known(policy, roster)
        self._state = _state_folder(identity) if state is None else Path(os.path.realpath(state))
        self._key = self._state / "states.key" if key is None else key
        self._counters = counter
        self._clock, self._rand, self._retries = clock, rand, retries

    def _participation(
        self,
        session: str | None,
        x: Any,
        weight: int | None,
        quantizer: Quantizer[Any] | None,
        noisy_sum: NoisySum[Any] | None,
        ledger: Ledger | None,
        timeout: float | None,
        read_timeout: float | None,
    ) -> Participation:
        """One contribution; whatever is wrong with the arguments is said before its first step."""
        named = session if session is not None else self._session
        require(
            named is None or SESSION_NAME.fullmatch(named) is not None,
            "a session's name has small letters, digits and hyphens, 64 at most, and begins with no hyphen",
        )
        given = make_input(x, weight, quantizer, noisy_sum, ledger, self._rand)
        wait = WAIT_SECONDS if read_timeout is None else max(0.0, min(WAIT_SECONDS, read_timeout - _MARGIN))
        make_folder(self._state)
        site = Site(
            self._user, self._owner, self._identity, self._roster, self._policy,
            self._state, self._key, self._counters, self._rand, wait,
        )  # fmt: skip
        calls = Calls(self._url, self._credentials, clock=self._clock, rand=self._rand, retries=self._retries)
        return Participation(calls, site, given, named, timeout)


class Participant(_Common):
    """A participant of a coordinator's sessions.

    Every message is on disk before it is sent. A participant that is restarted, with the same state, goes on where it
    was; so does `contribute` after any error that left the state there. In a session a participant gives each round one
    answer, however often it is asked.

    Args:
        url: the coordinator's, as its operator names it; a session's URL names the session as well. In the active model
            every request is signed over it.
        identity: this user's key pair: the active model. For a key in a file, `Identity.load`.
        token: the bearer token that the operator gave: the semi-honest model.
        roster: everyone's verification keys, from the trusted party: the active model.
        policy: what this site accepts of a session. What it leaves open follows from the other arguments: the model
            from the credentials, the roster, and the length of vectors from the input.
        state: the folder of saved clients and of the nonces that were used, made if it is missing; by default
            that of the identity's nonces (see `Identity.load`); for a token, or an identity that is in no file,
            $XDG_STATE_HOME/secagg, else ~/.local/state/secagg. Keep it out of backups.
        key: 32 bytes that saved clients are encrypted under, or the file of such a key; by default a file in `state`.
        counter: gives the `Counter` of one saved client by its name, 32 hexadecimal digits that stand for coordinator,
            session and participant; a name that was never advanced has 0. With it an older state that was put back is
            refused, the state before the session too. All runs that use one state folder must have it, or none.
        ca: certificates, PEM, that the coordinator's must lead to; by default the system's.
        http: an `httpx.Client` with certificates and proxies as you need them, which follows no redirects; by default
            one that is closed with this participant.
        clock: POSIX seconds.
        rand: cryptographic randomness.
        retries: how often and how patiently the coordinator is asked where the network fails or it is busy. A
            coordinator that has not answered at all yet is given up sooner.
        sleep: waits for a number of seconds.

    Raises:
        LocalProtocolError: an argument is wrong, or two of them contradict each other.
    """

    def __init__(
        self,
        url: str,
        *,
        identity: Identity | None = None,
        token: str | None = None,
        roster: Roster | None = None,
        policy: Policy = Policy(),  # noqa: B008  # immutable
        state: Path | None = None,
        key: Key | None = None,
        counter: Counters | None = None,
        ca: Path | None = None,
        http: httpx.Client | None = None,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
        retries: Retries = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url, identity, token, roster, policy, state, key, counter, clock, rand, retries)
        require(http is None or not http.follow_redirects, "the HTTP client must not follow redirects")
        self._sleep = sleep
        self._owned = http is None
        self._http = http or httpx.Client(timeout=_timeout(), verify=_verify(self._url, ca))

    def contribute(
        self,
        session: str | None,
        x: Any,
        *,
        weight: int | None = None,
        quantizer: Quantizer[Any] | None = None,
        noisy_sum: NoisySum[Any] | None = None,
        ledger: Ledger | None = None,
        timeout: float | None = None,
        progress: Notify | None = None,
    ) -> Contribution:
        """Take part in a session with an input, to its end.

        If this participant was interrupted in this session, it goes on with the input that it had then: x must be the
        same, and is not looked at.

        Args:
            session: its name; None for the URL's, or for the only one that this participant may join, which is waited
                for.
            x: integers, shape [m]; with a quantizer or a noisy sum, a model: an array, a list or a mapping of arrays.
            weight: of the model, where the quantizer or the noisy sum has weights.
            quantizer: encodes the model, and decodes the sum.
            noisy_sum: encodes the model, adds this user's noise, and decodes the sum; with a ledger.
            ledger: this user's own, which pays for the noise before it is sent.
            timeout: seconds until `ParticipationPending`; None to wait as long as the session takes.
            progress: is told each `Standing`.

        Raises:
            PolicyRefusal: the session is not what this site accepts; nothing of the protocol was sent.
            LocalProtocolError: an argument is wrong, the session does not take the input, or it was contributed to.
            Refused: the coordinator refuses; its `kind` says why, such as that the session was aborted.
            BudgetExceeded: the ledger does not pay for the session.
            RemoteProtocolError: the coordinator does what the protocol does not allow. Nothing more is sent.
            Abort: too few users are left.
            Unreachable: the coordinator gives no answer. The same call goes on.
            Busy: the coordinator stays busy. The same call goes on.
            ParticipationPending: the timeout is over. The same call goes on.
        """
        read = self._http.timeout.read
        participation = self._participation(session, x, weight, quantizer, noisy_sum, ledger, timeout, read)
        steps = participation.steps()
        try:
            return run(self._http, steps, self._sleep, progress)
        finally:
            steps.close()  # which leaves the session, where that is still possible
            with suppress(SecAggError, RuntimeError):  # the latter from an HTTP client that was closed
                run(self._http, participation.farewell(), self._sleep)

    def close(self) -> None:
        """Close the HTTP client, unless it was passed in."""
        if self._owned:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncParticipant(_Common):
    """`Participant` for asyncio and trio; `http` is an `httpx.AsyncClient`.

    Args:
        url: see `Participant`.
        identity: see `Participant`.
        token: see `Participant`.
        roster: see `Participant`.
        policy: see `Participant`.
        state: see `Participant`.
        key: see `Participant`.
        counter: see `Participant`.
        ca: see `Participant`.
        http: an `httpx.AsyncClient`, which follows no redirects; by default one that is closed with this participant.
        clock: see `Participant`.
        rand: see `Participant`.
        retries: see `Participant`.
        sleep: a coroutine function that waits for a number of seconds.

    Raises:
        LocalProtocolError: see `Participant`.
    """

    def __init__(
        self,
        url: str,
        *,
        identity: Identity | None = None,
        token: str | None = None,
        roster: Roster | None = None,
        policy: Policy = Policy(),  # noqa: B008  # immutable
        state: Path | None = None,
        key: Key | None = None,
        counter: Counters | None = None,
        ca: Path | None = None,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
        retries: Retries = RETRIES,
        sleep: Callable[[float], Any] = anyio.sleep,
    ) -> None:
        super().__init__(url, identity, token, roster, policy, state, key, counter, clock, rand, retries)
        require(http is None or not http.follow_redirects, "the HTTP client must not follow redirects")
        self._sleep = sleep
        self._owned = http is None
        self._http = http or httpx.AsyncClient(timeout=_timeout(), verify=_verify(self._url, ca))

    async def contribute(
        self,
        session: str | None,
        x: Any,
        *,
        weight: int | None = None,
        quantizer: Quantizer[Any] | None = None,
        noisy_sum: NoisySum[Any] | None = None,
        ledger: Ledger | None = None,
        timeout: float | None = None,
        progress: Notify | None = None,
    ) -> Contribution:
        """See `Participant.contribute`. A task that is cancelled leaves the session where that is still possible.

        Args:
            session: see `Participant.contribute`.
            x: see `Participant.contribute`.
            weight: see `Participant.contribute`.
            quantizer: see `Participant.contribute`.
            noisy_sum: see `Participant.contribute`.
            ledger: see `Participant.contribute`.
            timeout: see `Participant.contribute`.
            progress: see `Participant.contribute`.
        """
        read = self._http.timeout.read
        participation = self._participation(session, x, weight, quantizer, noisy_sum, ledger, timeout, read)
        steps = participation.steps()
        try:
            return await run_async(self._http, steps, self._sleep, progress)
        finally:
            with anyio.CancelScope(shield=True):  # the disk and the counter may take their time
                await on_thread(steps.close)
            with anyio.move_on_after(_FAREWELL_SECONDS, shield=True), suppress(SecAggError, RuntimeError):
                await run_async(self._http, participation.farewell(), self._sleep)

    async def aclose(self) -> None:
        """Close the HTTP client, unless it was passed in."""
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def _timeout() -> httpx.Timeout:
    return httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)


def _verify(url: ServerUrl, ca: Path | None) -> ssl.SSLContext | bool:
    """The certificates that are trusted. For plain HTTP none are read, which takes time."""
    if url.scheme == "http":
        return False
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise LocalProtocolError(f"the certificates in {ca} cannot be used: {error}") from None


def _user_of(identity: Identity, roster: Roster) -> int:
    """Who has this key in the roster."""
    key = identity.verification_key
    user = next((u for u in roster.users.tolist() if roster.key(u) == key), None)
    if user is None:
        raise LocalProtocolError(f"the roster has no user with this identity's verification key, {key.hex()}")
    return int(user)


def _credentials(identity: Identity | None, user: int | None, token: str | None) -> Credentials:
    if identity is not None and user is not None:
        return Signer(identity, user)
    assert token is not None
    visible = token.isascii() and token.isprintable() and " " not in token and token != ""
    require(visible, "a token must be printable ASCII without blanks")
    return Bearer(token)


def _known(policy: Policy, roster: Roster | None) -> Policy:
    """The policy with what follows from the credentials."""
    if roster is None:
        return policy.filled(model=Model.SEMI_HONEST)
    return policy.filled(model=Model.ACTIVE, roster=roster.hash)


def _state_folder(identity: Identity | None) -> Path:
    """Where the identity's nonces lie. A token, and an identity in memory, have no file to lie beside."""
    known = None if identity is None else identity.state
    return state_folder(Path.home() / ".local" / "state" / "secagg", None) if known is None else known
