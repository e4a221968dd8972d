"""A server that goes on from a checkpoint beside one that never stopped."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import (
    Client,
    Identity,
    LocalProtocolError,
    Model,
    Params,
    RemoteProtocolError,
    Roster,
    Round,
    Server,
    vector,
)
from secagg.protocol.checkpoint import Checkpoint, packed_slices
from secagg.protocol.messages import ShareKeys, decode, encode, signed_body

IDENTITIES = {u: Identity.generate() for u in range(1, 8)}
ROSTER = Roster({u: identity.verification_key for u, identity in IDENTITIES.items()})
DROPPED, LIAR, LATER = 3, 5, {6, 7}


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Twins:
    """Two servers that get the same messages: `stopped` is given up in the middle of round 2, and made anew."""

    def __init__(self, model: Model, modulus: int = 1 << 20) -> None:
        self.params = Params(n=7, m=9, modulus=modulus, max_value=100, n_corrupt=1, model=model, t=3 + model)
        self.roster = ROSTER if model is Model.ACTIVE else None
        self.xs = {u: np.arange(9) + u for u in IDENTITIES}
        self.clients = {
            u: Client(self.params, u, self.xs[u], identity=IDENTITIES[u] if self.roster else None, roster=self.roster)
            for u in IDENTITIES
        }
        self.server, self.stopped = self.new_server(), self.new_server()
        self.sent: dict[tuple[int, Round], bytes] = {}
        for _ in range(2):
            self.play(set(self.clients))
        self.mask()

    def new_server(self) -> Server:
        return Server(self.params, roster=self.roster)

    def play(self, users: set[int]) -> None:
        """These users answer, and the round ends."""
        self.send(users)
        self.end_round()

    def send(self, users: set[int]) -> None:
        current = self.server.round
        assert current is not None
        for u in sorted(users):
            first = current is Round.ADVERTISE_KEYS
            answer = self.clients[u].start() if first else self.clients[u].receive(self.requests[u])
            self.sent[u, current] = self.spoiled(u, answer)
        for u in sorted(users):
            self.give(u, self.sent[u, current])

    def give(self, u: int, data: bytes) -> None:
        for server in (self.server, self.stopped):
            server.receive(u, data, digest=digest(data))

    def spoiled(self, u: int, answer: bytes) -> bytes:
        """In the semi-honest model, user 2's ciphertext for user 4 does not open."""
        if self.roster is not None or self.server.round is not Round.SHARE_KEYS or u != 2:
            return answer
        message = decode(answer, ShareKeys)
        ciphertexts = message.ciphertexts.copy()
        ciphertexts[2] ^= 1
        return encode(ShareKeys(message.session, message.commitment, ciphertexts))

    def end_round(self) -> None:
        self.requests = self.server.end_round()
        assert self.stopped.end_round() == self.requests

    def mask(self) -> None:
        """Most masked inputs come; one is bad, one is a stray, and a user answers round 1 in another way."""
        self.send(set(self.clients) - {DROPPED, LIAR} - LATER)
        self.give(LIAR, self.bad_message())
        self.give(4, self.sent[4, Round.SHARE_KEYS][:-1] + b"\0")
        self.give(DROPPED, self.sent[2, Round.ADVERTISE_KEYS])
        self.checkpoint = self.stopped.checkpoint()

    def bad_message(self) -> bytes:
        """No masked input, in the liar's name."""
        session = self.clients[LIAR].session
        assert session is not None
        body = signed_body(session, LIAR, Round.MASKED_INPUT_COLLECTION, b"nothing")
        return b"\1\5nothing" + (IDENTITIES[LIAR].sign(body) if self.roster else b"")

    def resumed(self) -> Server:
        """A server that had rounds 0 and 1 again, up to the checkpoint."""
        server = self.new_server()
        for each in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS):
            for u in self.clients:
                server.receive(u, self.sent[u, each], digest=digest(self.sent[u, each]))
            server.end_round()
        return server


def state(server: Server) -> tuple[Any, ...]:
    noted = list(server.faults), list(server.strays), list(server.disputes)
    return server.round, server.waiting, server.answered, *noted


@pytest.mark.parametrize("modulus", [1 << 20, (1 << 20) - 3, 1 << 60])
@pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
def test_a_resumed_server_is_like_one_that_never_stopped(model: Model, modulus: int) -> None:
    twins = Twins(model, modulus)
    resumed = twins.resumed()
    taken = resumed.resume(memoryview(twins.checkpoint))
    assert taken == {u: digest(twins.sent[u, Round.MASKED_INPUT_COLLECTION]) for u in (1, 2, 4)}
    assert state(resumed) == state(twins.server)
    assert twins.server.faults
    twins.stopped = resumed

    # Round 2 goes on; the session goes on to its end.
    twins.play(LATER)
    while twins.server.round is not None:
        assert state(resumed) == state(twins.server)
        twins.play(set(twins.requests))
    assert state(resumed) == state(twins.server)
    assert (resumed.sum == twins.server.sum).all()
    assert resumed.survivors == twins.server.survivors == (1, 2, 4, 6, 7)
    assert (resumed.sum == sum(twins.xs[u] for u in resumed.survivors)).all()
    if model is Model.SEMI_HONEST:
        assert resumed.disputes == [(4, 2)]


@pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
def test_messages_in_a_checkpoint_are_known_again(model: Model) -> None:
    twins = Twins(model)
    resumed = twins.resumed()
    resumed.resume(twins.checkpoint)
    twins.stopped, before = resumed, state(resumed)
    message = twins.sent[1, Round.MASKED_INPUT_COLLECTION]
    resumed.receive(1, message)
    twins.give(1, message)
    assert state(resumed) == before

    # Another one is refused as it was before; in the active model it is not proven to be user 1's.
    twins.give(1, message[:-1] + bytes([message[-1] ^ 1]))
    assert state(resumed) == state(twins.server) != before
    twins.give(LIAR, twins.bad_message())
    assert state(resumed) == state(twins.server)


def test_two_checkpoints_in_a_row() -> None:
    twins = Twins(Model.ACTIVE)
    resumed = twins.resumed()
    resumed.resume(twins.checkpoint)
    assert resumed.checkpoint() == twins.checkpoint
    twins.stopped = resumed
    twins.send(LATER)
    assert resumed.checkpoint() == twins.server.checkpoint() != twins.checkpoint


def changed(twins: Twins, **fields: Any) -> bytes:
    saved, y = Checkpoint.split(twins.checkpoint)
    y = fields.pop("y", y)
    return Checkpoint(**vars(saved) | fields).encode() + bytes(y)


def ids(*users: int) -> Any:
    return np.array(users, np.uint32)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"version": 2}, "version 2"),
        ({"session": bytes(32)}, "another session"),
        ({"u2_hash": bytes(32)}, "another U2"),
        ({"users": ids(1, 2)}, "SHA-256"),
        ({"users": ids(1, 4, 2)}, "ascending"),
        ({"users": ids(1, 2, 9)}, "ascending"),
        ({"refused": ids(1, 5)}, "in the sum and refused"),
        ({"refused": ids(5, 3)}, "ascending"),
        ({"unopened": ids(5, 2).reshape(1, 2)}, "nobody in the sum"),
        ({"unopened": ids(1, 9).reshape(1, 2)}, "nobody in U2"),
        ({"unopened": ids(2, 1, 1, 2).reshape(2, 2)}, "not ascending"),
        ({"unopened": ids(1, 1).reshape(1, 2)}, "part of U2"),
        ({"unopened": ids(1, 2, 1, 3, 1, 4, 1, 5).reshape(4, 2)}, "ciphertexts opened"),
        ({"y": bytes(22)}, "no vector"),
        ({"y": b"\xff" * 23}, "no vector"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(fields: dict[str, Any], reason: str) -> None:
    twins = Twins(Model.SEMI_HONEST, (1 << 20) - 3)
    resumed = twins.resumed()
    before = state(resumed)
    data = changed(twins, **fields)
    with pytest.raises(RemoteProtocolError, match=reason):
        resumed.resume(data)
    assert state(resumed) == before
    resumed.resume(twins.checkpoint)


def test_a_checkpoint_is_of_round_2_only() -> None:
    twins = Twins(Model.SEMI_HONEST)
    with pytest.raises(LocalProtocolError, match="MaskedInputCollection only"):
        twins.new_server().checkpoint()
    with pytest.raises(LocalProtocolError, match="MaskedInputCollection only"):
        twins.new_server().resume(twins.checkpoint)
    with pytest.raises(LocalProtocolError, match="has come already"):
        twins.server.resume(twins.checkpoint)
    with pytest.raises(RemoteProtocolError, match="another session"):
        Twins(Model.SEMI_HONEST).resumed().resume(twins.checkpoint)


def test_a_checkpoint_needs_the_hash_of_each_masked_input() -> None:
    twins = Twins(Model.SEMI_HONEST)
    twins.server.receive(6, twins.clients[6].receive(twins.requests[6]))
    with pytest.raises(LocalProtocolError, match="without its digest"):
        twins.server.checkpoint()


CHECKPOINT = Twins(Model.SEMI_HONEST).checkpoint


@given(
    st.binary(max_size=300)
    | st.integers(0, 8 * len(CHECKPOINT) - 1).map(
        lambda bit: (int.from_bytes(CHECKPOINT) ^ 1 << bit).to_bytes(len(CHECKPOINT))
    )
)
def test_any_bytes_are_a_checkpoint_or_refused(data: bytes) -> None:
    try:
        decoded, y = Checkpoint.split(data)
    except RemoteProtocolError:
        return
    assert decoded.encode() + bytes(y) == data


def test_a_long_checkpoint_is_made_in_pieces() -> None:
    twins = Twins(Model.SEMI_HONEST)
    total = np.arange(300_001, dtype=np.uint32)
    pieces = list(packed_slices(total, twins.params.modulus))
    assert len(pieces) == 3
    assert b"".join(pieces) == vector.pack(total, twins.params.modulus).tobytes()
    assert b"".join(twins.server.checkpoint_parts()) == twins.server.checkpoint()


def test_a_mapped_message_is_not_copied() -> None:
    """Its bytes are read where they lie: of what may change, a copy is taken first."""
    twins = Twins(Model.ACTIVE)
    message = twins.clients[6].receive(twins.requests[6])
    twins.server.receive(6, memoryview(message), digest=digest(message))
    assert 6 in twins.server.answered
    changing = bytearray(twins.clients[7].receive(twins.requests[7]))
    twins.server.receive(7, memoryview(changing))
    assert 7 in twins.server.answered
