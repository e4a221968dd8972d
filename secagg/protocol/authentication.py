"""Who may take part in a session, and who has said what: the one place where the checks of the two models differ.

In the semi-honest model there is no roster: users are 1..n, and nothing is signed. Every check of signatures then
passes for an empty list of them, and the authenticated channel vouches for the sender of each message.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..codec import Ids, Octets
from ..errors import LocalProtocolError, RemoteProtocolError, require
from ..signatures import SIGNATURE_BYTES
from .identity import Identity, Roster
from .messages import HEADER_BYTES, SESSION_BYTES, AdvertiseKeys, Answer, setup_id, signed, signed_body
from .params import Model, Params
from .thresholds import Threat

PARAMS_DIFFER = "the parties' Params or rosters differ"


@dataclass(frozen=True, repr=False)
class Claim:
    """That u sent a message.

    Attributes:
        scope: the id of the setup (round 0) or of the session.
        user: u, as whom the message came.
        kind: the type of message, by its header; None if the session has no such answer.
        message: header and body, of any content.
        signature: u's signature; empty in the semi-honest model.
    """

    scope: bytes
    user: int
    kind: type[Answer] | None
    message: memoryview
    signature: bytes


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
        if roster is not None:
            require(len(roster) >= params.n, "the roster has fewer than n users")
            require(
                _has_one_quorum(params, len(roster)) or params.min_users == params.quorum,
                f"a roster of {len(roster)} users has two quorums of {params.quorum} without an honest user in common:"
                " a server could count users to U3 who are in another session, so min_users may be no larger than the"
                " quorum",
            )
        self._n = params.n
        self._roster = roster
        self.roster_hash = b"" if roster is None else roster.hash
        self.setup = setup_id(params, self.roster_hash)

    def __contains__(self, u: int) -> bool:
        return 1 <= u <= self._n if self._roster is None else int(u) in self._roster

    def knows(self, users: Ids) -> bool:
        """Whether all of these users, ascending, may take part."""
        if self._roster is None:
            return not len(users) or (users[0] >= 1 and int(users[-1]) <= self._n)
        return bool(np.isin(users, self._roster.users).all())

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

    def reasons_to_doubt(self, claims: Sequence[Claim]) -> list[str | None]:
        """Of each claim, why it is not proven; None if it is.

        This comes before decoding: a message that the transport has altered is not its sender's fault.
        """
        if self._roster is None:
            return [_foreign(claim) for claim in claims]
        answers = [claim for claim in claims if claim.kind is not None]
        reasons = iter([None if genuine else "a signature is wrong" for genuine in _genuine(self._roster, answers)])
        foreign = "the message is not an answer of this protocol"
        return [foreign if claim.kind is None else next(reasons) for claim in claims]

    def check_some(self, scope: bytes, users: Ids, some: Ids, answers: Iterable[Answer], signatures: Octets) -> None:
        """`check_all` of some of the users, both lists ascending; of the others there are signatures, too, which are
        not looked at."""
        self._check_count(signatures, len(users))
        chosen = signatures[np.isin(users, some)] if len(signatures) else signatures
        self.check_all(scope, some, answers, chosen)

    def check_all(self, scope: bytes, users: Ids, answers: Iterable[Answer], signatures: Octets) -> None:
        """Raises `RemoteProtocolError` unless each of the users has signed its answer in this setup or session."""
        self._check_count(signatures, len(users))
        if self._roster is None:
            return
        ids = users.tolist()
        contents = [signed(scope, u, answer) for u, answer in zip(ids, answers, strict=False)]
        genuine = self._roster.verify_all(ids, [each.tobytes() for each in signatures], contents)
        for u, ok in zip(ids, genuine, strict=True):
            if not ok:
                hint = f": {PARAMS_DIFFER}, or it is forged" if scope == self.setup else ""
                raise RemoteProtocolError(f"a signature is wrong{hint}", client=u)

    def _check_count(self, signatures: Octets, count: int) -> None:
        expected = 0 if self._roster is None else count
        if len(signatures) != expected:
            raise RemoteProtocolError(f"{len(signatures)} signatures where there should be {expected}")


def _has_one_quorum(params: Params, size: int) -> bool:
    """Whether one session can be unmasked among so many users, or the server is no adversary."""
    return params.threat is Threat.CLIENTS_ONLY or 2 * params.quorum > size + params.n_corrupt


def _genuine(roster: Roster, claims: Sequence[Claim]) -> list[bool]:
    """Whether their users have signed these."""
    contents = [
        signed_body(each.scope, each.user, each.kind.ROUND, each.message[HEADER_BYTES:])
        for each in claims
        if each.kind is not None
    ]
    return roster.verify_all([each.user for each in claims], [each.signature for each in claims], contents)


def _foreign(claim: Claim) -> str | None:
    """Without signatures, the message itself names its session."""
    body, kind = claim.message[HEADER_BYTES:], claim.kind
    foreign = kind not in (None, AdvertiseKeys) and len(body) >= SESSION_BYTES and body[:SESSION_BYTES] != claim.scope
    return "the message belongs to another session" if foreign else None
