"""Who may speak: every request's signature or token, from its head alone, before anything reaches a session.

A request that is not its sender's is refused by HTTP. It changes nothing, and drops nobody. Signatures that come in one
turn of the event loop are verified together: several at a time take a third of the time of one after another.
"""

import asyncio
import hmac
from collections.abc import Callable
from hashlib import sha256

from starlette.requests import Request

from ...protocol.identity import Roster
from ...protocol.messages import Round
from ..authentication import (
    NO_PARAMS,
    Nonces,
    RequestScope,
    Signed,
    Tokens,
    bearer,
    parse_content_digest,
    parse_signed,
    verify_all,
)
from ..names import Name
from ..problems import FORBIDDEN, MALFORMED, UNAUTHENTICATED, ServiceProblem
from ..resources import CONTENT_DIGEST
from ..setup import SessionSetup
from .batches import Batches, Outcomes

ROSTERS_MAX = 32
"""Keys of one user id, in different rosters, that a request of no session is checked against."""

VERIFIED_TOGETHER = 64
"""Signatures at most between two turns of the event loop: 2 to 4 ms."""

_NOTHING = sha256(b"").digest()


class Gate:
    """Knows who may speak.

    Args:
        coordinator: its URL, as `coordinator_name` writes it.
        operator: the operator's token; one name.
        participants: the participants' tokens, for sessions without a roster.
        nonces: that this coordinator gives.

    Attributes:
        nonces: as above.
    """

    def __init__(self, coordinator: str, operator: Tokens, participants: Tokens, nonces: Nonces) -> None:
        self.nonces = nonces
        self._coordinator = coordinator
        self._operator = operator
        self._participants = participants
        self._signatures: Batches[tuple[Roster, RequestScope, Signed], bool] = Batches(
            _soon, verify_all, VERIFIED_TOGETHER
        )

    def set_participants(self, participants: Tokens) -> None:
        """Other tokens from now on.

        Args:
            participants: the participants' tokens.
        """
        self._participants = participants

    def is_operator(self, request: Request) -> bool:
        """Whether the operator speaks.

        Args:
            request: of anybody.
        """
        return self._operator.check(_header(request)) is not None

    def is_operators_token(self, token: str) -> bool:
        """Whether this is the operator's token, compared in constant time.

        Args:
            token: that somebody typed.
        """
        return self._operator.check(bearer(token)) is not None

    def check_operator(self, request: Request) -> None:
        """Refuse all but the operator.

        Args:
            request: of anybody.

        Raises:
            ServiceProblem: there is no token (401), or it is not the operator's (403).
        """
        if not self.is_operator(request):
            if _header(request) is None:
                raise _unauthenticated("show the operator's token as 'Authorization: Bearer ...'")
            raise ServiceProblem(FORBIDDEN, "this takes the operator's token")

    async def participant(
        self, request: Request, setup: SessionSetup, *, joined: bool = True, current: Round | None = None
    ) -> Name:
        """Who of a session speaks.

        Args:
            request: of anybody.
            setup: of the session.
            joined: whether participants know the session's parameters already, and sign them.
            current: the round of an answer.

        Returns:
            In the active model the user id in the roster; in the semi-honest model the participant's name or number.

        Raises:
            ServiceProblem: the request is not signed or its nonce does not serve (401), or it is not a participant's
                (403).
        """
        if setup.roster is None:
            return self._by_token(request)
        signed = self._signed(request)
        params = setup.params_digest if joined else NO_PARAMS
        await self._check_signature(setup.roster, self._scope(request, signed, params, setup.name, current), signed)
        return signed.user

    async def anybody(self, request: Request, setups: list[SessionSetup]) -> list[SessionSetup]:
        """The sessions among some in which the sender has a place.

        Args:
            request: of anybody.
            setups: of sessions.

        Raises:
            ServiceProblem: as for `participant`.
        """
        if _is_signed(request):
            return await self._by_signature(request, setups)
        name = self._by_token(request)
        return [s for s in setups if s.roster is None and (s.invited is None or name in s.invited)]

    async def _by_signature(self, request: Request, setups: list[SessionSetup]) -> list[SessionSetup]:
        signed = self._signed(request)
        scope = self._scope(request, signed, NO_PARAMS, "", None)
        rosters = {
            s.roster.key(signed.user): s.roster for s in setups if s.roster is not None and signed.user in s.roster
        }
        for key, roster in list(rosters.items())[:ROSTERS_MAX]:
            if await self._signatures.do((roster, scope, signed)):
                self._spend(signed, key)
                return [s for s in setups if s.roster is not None and _has(s.roster, signed.user, key)]
        raise ServiceProblem(FORBIDDEN, "the signature is not that of a user in a session's roster")

    def _by_token(self, request: Request) -> Name:
        header = _header(request)
        name = self._participants.check(header)
        if name is None and header is None:
            raise _unauthenticated("show your token as 'Authorization: Bearer ...'")
        if name is None:
            raise ServiceProblem(FORBIDDEN, "the token is not a participant's")
        return name

    def _signed(self, request: Request) -> Signed:
        header = _header(request)
        signed = parse_signed(header)
        if signed is None and header is not None and not _is_signed(request):
            raise ServiceProblem(FORBIDDEN, "this session takes signatures, and no tokens")
        if signed is None or not self.nonces.serves(signed.nonce):
            raise _unauthenticated("sign the request with the nonce of this answer")
        return signed

    def _scope(
        self, request: Request, signed: Signed, params: bytes, session: str, current: Round | None
    ) -> RequestScope:
        path, query = request_path(request), request.scope["query_string"].decode("latin-1")
        content = stated_digest(request) if request.method == "POST" else _NOTHING
        where = f"{path}?{query}" if query else path
        return RequestScope(
            self._coordinator, params, session, signed.user, request.method, where, current, content
        )  # fmt: skip

    async def _check_signature(self, roster: Roster, scope: RequestScope, signed: Signed) -> None:
        if not await self._signatures.do((roster, scope, signed)):
            raise ServiceProblem(FORBIDDEN, f"the signature is not user {signed.user}'s of this request")
        self._spend(signed, roster.key(signed.user))

    def _spend(self, signed: Signed, key: bytes) -> None:
        """Only now, so that nobody fills the memory with nonces, or spends another's."""
        if not self.nonces.spend(signed.nonce, key):
            raise _unauthenticated("sign the request with the nonce of this answer")


async def _soon(verify: Callable[[], Outcomes[bool]]) -> Outcomes[bool]:
    """On the event loop, after all that is ready to run."""
    await asyncio.sleep(0)
    return verify()


def request_path(request: Request) -> str:
    """The path below the coordinator's URL, as it was sent.

    Args:
        request: of anybody.
    """
    path: str = request.scope["path"]
    root: str = request.scope.get("root_path", "")
    return path.removeprefix(root)


def stated_digest(request: Request) -> bytes:
    """The SHA-256 that the request says its content has.

    Args:
        request: of anybody.

    Raises:
        ServiceProblem: it says nothing of the kind (400).
    """
    digest = parse_content_digest(request.headers.get(CONTENT_DIGEST))
    if digest is None:
        raise ServiceProblem(MALFORMED, f"state the content's SHA-256 as '{CONTENT_DIGEST}: sha-256=:...:' (RFC 9530)")
    return digest


def _header(request: Request) -> str | None:
    return request.headers.get("authorization")


def _is_signed(request: Request) -> bool:
    return (_header(request) or "").partition(" ")[0].lower() == "secagg"


def _has(roster: Roster, user: int, key: bytes) -> bool:
    return user in roster and hmac.compare_digest(roster.key(user), key)


def _unauthenticated(detail: str) -> ServiceProblem:
    return ServiceProblem(UNAUTHENTICATED, detail)
