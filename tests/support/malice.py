"""A server that lies: honest machines, every message between them in the liar's hands."""

from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from secagg import (
    Abort,
    Client,
    Identity,
    LocalProtocolError,
    Model,
    Params,
    RemoteProtocolError,
    Roster,
    Round,
    Server,
)
from secagg.codec import Ids, Octets
from secagg.protocol.messages import (
    CIPHERTEXT_BYTES,
    ROUNDS,
    Answer,
    ConsistencyCheck,
    ConsistencyCheckRequest,
    Request,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    session_id,
    signed,
    users_hash,
)
from secagg.signatures import SIGNATURE_BYTES

EVERYONE = range(1, 8)
CORRUPT = (6, 7)
HONEST = (1, 2, 3, 4, 5)


def ids(users: Collection[int]) -> Ids:
    """A list of users as messages hold it."""
    return np.array(list(users), np.uint32)


def make_params(model: Model, **changes: Any) -> Params:
    """Seven users, two of them corrupt, and so a threshold of five."""
    settings = Params(**{"n": 7, "m": 4, "modulus": 1 << 12, "model": model, **changes})
    assert settings.n_corrupt == len(CORRUPT)
    return settings


class Session:
    """Seven honest users, x_u being u in every entry, and a server that obeys the protocol up to a round.

    Args:
        current: the round that is due, its requests not yet delivered.
        like: another session whose identities and roster this one shares.
        n_roster: how many users the roster has.
        changes: to `Params`.

    Attributes:
        requests: what the honest server says to each user now.
        heard, answers: what each user was told and has sent, by round.
    """

    def __init__(
        self, model: Model, current: Round, *, like: "Session | None" = None, n_roster: int = 7, **changes: Any
    ) -> None:
        self.params = make_params(model, **changes)
        self.identities: dict[int, Identity] = {}
        self.roster = None
        if model is Model.ACTIVE:
            self.identities = like.identities if like else {u: Identity.generate() for u in range(1, n_roster + 1)}
            self.roster = Roster({u: identity.verification_key for u, identity in self.identities.items()})
        self.server = Server(self.params, roster=self.roster)
        self.clients = {u: self.client(u) for u in self.identities or EVERYONE}
        self.requests = dict.fromkeys(self.clients, b"")
        self.heard: dict[Round, dict[int, bytes]] = {}
        self.answers: dict[Round, dict[int, bytes]] = defaultdict(dict)
        self.play(current)

    def client(self, u: int, params: Params | None = None, roster: Roster | None = None) -> Client:
        """User u's machine."""
        settings = params or self.params
        roster = roster or self.roster
        return Client(settings, u, [u] * settings.m, identity=self.identities.get(u), roster=roster)

    def play(self, until: Round | None) -> None:
        """Honestly up to a round, or to the end, with the users who have a request."""
        while self.server.round != until:
            self.heard[self.server.round] = dict(self.requests)  # type: ignore[index]
            for u in self.requests.keys() & self.clients.keys():
                self.obey(u, self.requests[u])
            self.requests = self.server.end_round()

    def finish(self) -> tuple[int, ...]:
        """To the end without further lies: the sum over U3, which is given back, must be right."""
        self.play(None)
        assert self.server.sum.tolist() == [sum(self.server.survivors)] * self.params.m
        assert self.server.faults == []
        return self.server.survivors

    def request(self, u: int) -> Any:
        """What the honest server says to u now."""
        kind = next(kind for kind in ROUNDS[self.params.model] if self.server.round == kind.ANSWER.ROUND)
        return decode(self.requests[u], kind)

    def obey(self, u: int, lie: Request | bytes) -> bytes:
        """u is told something and believes it; its answer reaches the server."""
        assert self.server.round is not None
        data = lie if isinstance(lie, bytes) else encode(lie)
        answer = self.clients[u].receive(data) if data else self.clients[u].start()
        self.answers[self.server.round][u] = answer
        del self.requests[u]
        self.server.receive(u, answer)
        return answer

    def refuse(self, u: int, lie: Request | bytes, reason: str, error: type[Exception] = RemoteProtocolError) -> None:
        """u is told something and refuses: nothing leaves, it is ended, and the others go on without it."""
        client = self.clients.pop(u)
        refuse(client, lie, reason, error)
        with pytest.raises(LocalProtocolError, match="has ended"):
            client.receive(self.requests.get(u, b""))

    def refuse_again(self, u: int, lie: Request | bytes) -> None:
        """u is told something of a round that it has answered, and refuses: nothing else changes."""
        refuse_again(self.clients[u], lie)

    @property
    def scope(self) -> bytes:
        """What signatures are bound to now: setup or session."""
        return next(iter(self.clients.values()))._scope

    def sent(self, kind: type[Answer], u: int) -> Any:
        """What u sent in an earlier round."""
        return decode(self.split(self.answers[kind.ROUND][u])[0], kind)

    def signature(self, current: Round, u: int) -> bytes:
        """u's signature of what it sent."""
        return self.split(self.answers[current][u])[1]

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """An answer and its signature."""
        return (data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]) if self.roster else (data, b"")

    def sign(self, u: int, answer: Answer) -> bytes:
        """What a corrupt u signs for the server."""
        return self.identities[u].sign(signed(self.scope, u, answer)) if self.roster else b""

    def id_of(self, request: ShareKeysRequest) -> bytes:
        """The session that whoever sees this list is in."""
        return session_id(self.params, self.roster.hash if self.roster else b"", request)


def refuse(client: Client, lie: Request | bytes, reason: str, error: type[Exception] = RemoteProtocolError) -> None:
    """The client sends nothing, and has dropped its input and its secrets."""
    with pytest.raises(error, match=reason):
        client.receive(lie if isinstance(lie, bytes) else encode(lie))
    assert client.finished
    assert client._x is None
    assert client._state is None


def refuse_again(client: Client, lie: Request | bytes) -> None:
    """The client sends nothing new, and goes on as if it had heard nothing."""
    before = dict(vars(client))
    with pytest.raises(RemoteProtocolError, match="has been answered, and this is not the last request again"):
        client.receive(lie if isinstance(lie, bytes) else encode(lie))
    assert all(before[name] is value for name, value in vars(client).items())


def stack(signatures: Collection[bytes]) -> Octets:
    """A list of signatures as messages hold it."""
    return np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, SIGNATURE_BYTES)


def relayed(u: int, senders: Collection[int], answers: dict[int, ShareKeys], lists: dict[int, Ids]) -> Octets:
    """e_{v,u} for v over senders, out of what each v sent when it saw its U1; zeros where it made none for u."""
    received = np.zeros((len(senders) - 1, CIPHERTEXT_BYTES), np.uint8)
    for row, v in enumerate(v for v in senders if v != u):
        if u in lists[v]:
            received[row] = answers[v].ciphertexts[lists[v][lists[v] != v] == u]
    return received


Loot = dict[tuple[int, str], set[int]]
"""Who has revealed a share of a user's "b" or "s_sk" to the server."""


def interrogate(session: Session, told: dict[int, Ids]) -> Loot:
    """Unmasking, in the active model after ConsistencyCheck, with a U3 for each honest user; the corrupt ones sign and
    tell whatever helps."""
    active = session.params.model is Model.ACTIVE
    loot: Loot = defaultdict(set)
    for u in CORRUPT:
        collect(loot, u, session.clients[u]._state, None)
    signatures = _signatures(session, told) if active else dict.fromkeys(told, b"")
    for u in signatures:
        state: Any = session.clients[u]._state
        trusting = UnmaskingRequest(session.scope, told[u], stack([]))
        with suppress(RemoteProtocolError, Abort):
            answer = session.clients[u].receive(encode(_claim(session, told, signatures, u) if active else trusting))
            collect(loot, u, state.masked if active else state, decode(session.split(answer)[0], Unmasking))
    return loot


def _signatures(session: Session, told: dict[int, Ids]) -> dict[int, bytes]:
    """Of the U3 that each user was told, if it signs that."""
    signatures: dict[int, bytes] = {}
    for u, u3 in told.items():
        with suppress(RemoteProtocolError, Abort):
            request = ConsistencyCheckRequest(session.scope, u3)
            signatures[u] = session.split(session.clients[u].receive(encode(request)))[1]
    return signatures


def _claim(session: Session, told: dict[int, Ids], signatures: dict[int, bytes], u: int) -> UnmaskingRequest:
    """That a quorum has signed the U3 that u was told, proven by all genuine signatures of it that there are, and by
    those of another U3 where they are too few."""
    claim = {v: session.sign(v, ConsistencyCheck(session.scope, users_hash(told[u]))) for v in CORRUPT}
    claim |= {v: signatures[v] for v in signatures if told[v].tolist() == told[u].tolist()}
    others = [v for v in signatures if v in told[u] and v not in claim]
    claim |= {v: signatures[v] for v in others[: max(0, session.params.quorum - len(claim))]}
    return UnmaskingRequest(session.scope, ids(sorted(claim)), stack([claim[v] for v in sorted(claim)]))


def collect(loot: Loot, u: int, held: Any, answer: Unmasking | None) -> None:
    """Note which of the shares that u holds are in its answer; all, if it is the server's friend."""
    for row, v in enumerate(held.dealers.tolist()):
        for kind, share in zip(("s_sk", "b"), held.shares[row], strict=True):
            if answer is None or answer.shares[row].tobytes() == share.tobytes():
                loot[v, kind].add(u)


def unmasked(loot: Loot, t: int) -> dict[int, set[str]]:
    """The secrets that the server can reconstruct, by user."""
    secrets: dict[int, set[str]] = defaultdict(set)
    for (v, kind), holders in loot.items():
        if len(holders) >= t:
            secrets[v].add(kind)
    return secrets


def revealed(loot: Loot) -> dict[int, set[str]]:
    """The secrets of which any honest client has revealed a share, by user."""
    return unmasked({secret: holders - set(CORRUPT) for secret, holders in loot.items()}, 1)
