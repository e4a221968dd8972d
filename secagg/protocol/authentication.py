"""Who may take part in a session, and who has said what: the one place where the checks of the two models differ.

In the semi-honest model there is no roster: users are 1..n, and nothing is signed. Every check of signatures then
passes for an empty list of them, and the authenticated channel vouches for the sender of each message.
"""

from collections.abc import Iterable

from ..codec import Ids, Octets
from ..errors import LocalProtocolError, RemoteProtocolError, require
from .identity import SIGNATURE_BYTES, Identity, Roster
from .messages import SESSION_BYTES, AdvertiseKeys, Answer, setup_id, signed, signed_body
from .params import Model, Params

PARAMS_DIFFER = "the parties' Params or rosters differ"


class Pki:
    """The roster of a session, or its absence, and all checks of signatures.

    Args:
        params: the session's parameters.
        roster: everyone's verification keys in the active model, None in the semi-honest model.

    Attributes:
        setup: what round 0's signatures are bound to, 32 bytes.
        roster_hash: the roster's hash, 32 bytes; empty without a roster.

    Raises:
        LocalProtocolError: params and roster do not belong together.
    """

    def __init__(self, params: Params, roster: Roster | None) -> None:
        if params.model is Model.ACTIVE:
            require(roster is not None, "the active model needs a roster")
        else:
            require(roster is None, "the semi-honest model takes no roster: use Model.ACTIVE")
        require(roster is None or len(roster) >= params.n, "the roster has fewer than n users")
        self._n = params.n
        self._roster = roster
        self.roster_hash = b"" if roster is None else roster.hash
        self.setup = setup_id(params, self.roster_hash)

    def __contains__(self, u: int) -> bool:
        return 1 <= u <= self._n if self._roster is None else int(u) in self._roster

    @property
    def users_text(self) -> str:
        """Who may take part, for error messages."""
        return f"1 .. n = {self._n}" if self._roster is None else "in the roster"

    @property
    def users(self) -> Iterable[int]:
        """Everyone who may take part."""
        return range(1, self._n + 1) if self._roster is None else self._roster.users.tolist()

    def check_identity(self, u: int, identity: Identity | None) -> Identity | None:
        """The identity, if the roster has its key for u; otherwise raises `LocalProtocolError`."""
        if self._roster is None:
            require(identity is None, "the semi-honest model takes no identity: use Model.ACTIVE")
            return None
        if identity is None:
            raise LocalProtocolError("the active model needs the user's identity")
        require(self._roster.key(u) == identity.verification_key, f"the roster has another key for user {u}")
        return identity

    def split(self, data: bytes | memoryview) -> tuple[memoryview, bytes]:
        """A client's message, not copied, and its signature."""
        view = memoryview(data)
        return (view, b"") if self._roster is None else (view[:-SIGNATURE_BYTES], bytes(view[-SIGNATURE_BYTES:]))

    def reason_to_doubt(
        self, scope: bytes, u: int, kind: type[Answer] | None, message: memoryview, signature: bytes
    ) -> str | None:
        """Why it is not proven that u sent this message in this setup or session; None if it is proven.

        This comes before decoding: a message that the transport has altered is not its sender's fault.

        Args:
            scope: the id of the setup (round 0) or of the session.
            u: the user as whom the message came.
            kind: the type of message, by its header; None if the session has no such answer.
            message: header and body, of any content.
            signature: u's signature; empty in the semi-honest model.
        """
        body = message[2:]
        if self._roster is None:
            foreign = kind not in (None, AdvertiseKeys) and len(body) >= SESSION_BYTES and body[:SESSION_BYTES] != scope
            return "the message belongs to another session" if foreign else None
        if kind is None:
            return "the message is not an answer of this protocol"
        genuine = self._roster.verify(u, signature, signed_body(scope, u, kind.ROUND, body))
        return None if genuine else "a signature is wrong"

    def check(self, scope: bytes, u: int, answer: Answer, signature: bytes) -> None:
        """Raises `RemoteProtocolError` unless u has signed this answer in this setup or session."""
        if self._roster is not None and not self._roster.verify(u, signature, signed(scope, u, answer)):
            hint = f": {PARAMS_DIFFER}, or it is forged" if scope == self.setup else ""
            raise RemoteProtocolError(f"a signature is wrong{hint}", client=u)

    def check_all(self, scope: bytes, users: Ids, answers: Iterable[Answer], signatures: Octets) -> None:
        """`check` for each of the users."""
        expected = 0 if self._roster is None else len(users)
        if len(signatures) != expected:
            raise RemoteProtocolError(f"{len(signatures)} signatures where there should be {expected}")
        for u, answer, signature in zip(users.tolist(), answers, signatures, strict=False):
            self.check(scope, u, answer, signature.tobytes())
