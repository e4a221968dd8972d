"""What is taken for a client's memory: exactly what a client of this session can have, whoever sealed it."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from secagg import Client, LocalProtocolError, Model, Params
from secagg.protocol.authentication import Pki
from secagg.protocol.client_state import Answered, Memory, Peer
from secagg.protocol.randomness import Randomness
from secagg.protocol.stored import STORED, AfterMaskedInputCollection, Ended, Owner, decode_memory, encode_memory
from secagg.shamir import Q

from ..support.allocated import peak_bytes
from ..support.saved import KEYS, ROSTER, recorded

ALL = [(model, answered) for model in Model for answered in range(recorded(model).rounds + 1)]
every_stage = pytest.mark.parametrize(("model", "answered"), ALL, ids=str)
NO_SCALAR = np.frombuffer(Q.to_bytes(32, "big"), np.uint8)


def owner(model: Model) -> Owner:
    params = recorded(model).params
    if model is Model.SEMI_HONEST:
        return Owner(params, 1, Pki(params, None))
    return Owner(params, 1, Pki(params, ROSTER), KEYS[1].public_key().public_bytes_raw())


def memory(model: Model, answered: int) -> Any:
    """Of a client that has answered so many rounds."""
    client = recorded(model).fresh()
    recorded(model).play(client, answered)
    return client._memory()


def test_an_input_is_packed_and_then_copied_once() -> None:
    """The input is most of a client's memory, and is written after each round until it is sent."""
    params = Params(n=3, m=200_000, modulus=1 << 24)
    client = Client(params, 1, np.zeros(params.m, np.uint32))
    size = len(encode_memory(client._memory(), params))
    assert size > 600_000
    assert peak_bytes(lambda: encode_memory(client._memory(), params)) < 2.1 * size


@every_stage
def test_memories_are_what_they_were(model: Model, answered: int) -> None:
    before = memory(model, answered)
    data = encode_memory(before, recorded(model).params)
    after = decode_memory(data, owner(model))
    assert encode_memory(after, recorded(model).params) == data
    assert after.rounds == answered
    assert type(after.state) is type(before.state)
    assert after.session == before.session
    assert (after.x is None) == (before.x is None) == (answered > 2)
    assert after.x is None or after.x.tolist() == [1, 2, 3]


@pytest.mark.parametrize("rounds", range(1, 5))
def test_a_client_that_has_ended_has_no_more_than_the_number_of_its_rounds(rounds: int) -> None:
    data = encode_memory(Memory(rounds, None, None, None, None), recorded(Model.ACTIVE).params)
    assert data == bytes([Ended.STAGE, rounds])
    assert vars(decode_memory(data, owner(Model.ACTIVE))) == vars(Memory(rounds, None, None, None, None))
    if rounds == 4:
        with pytest.raises(LocalProtocolError, match="there are not so many rounds"):
            decode_memory(data, owner(Model.SEMI_HONEST))


@every_stage
def test_bytes_too_many_or_too_few_are_no_memory(model: Model, answered: int) -> None:
    data = encode_memory(memory(model, answered), recorded(model).params)
    for bad in (data + b"\0", *(data[:i] for i in range(len(data)))):
        with pytest.raises(LocalProtocolError, match="a client's state is malformed"):
            decode_memory(bad, owner(model))


@pytest.mark.parametrize("stage", range(len(STORED), 256))
def test_there_are_no_other_stages(stage: int) -> None:
    with pytest.raises(LocalProtocolError, match="there is no such stage"):
        decode_memory(bytes([stage]) + bytes(100), owner(Model.ACTIVE))


def state(**changes: Callable[[Any], Any]) -> Callable[[Memory], Memory]:
    """A memory with some fields of its state changed."""

    def change(before: Memory) -> Memory:
        fields = {name: make(getattr(before.state, name)) for name, make in changes.items()}
        return replace(before, state=replace(before.state, **fields))  # type: ignore[type-var]

    return change


def ids(*users: int) -> Callable[[Any], Any]:
    return lambda _: np.array(users, np.uint32)


def answer_of(number: int) -> Callable[[Memory], Memory]:
    """The answer of another round, or of another session."""
    other = recorded(Model.ACTIVE).answers[number]
    return lambda before: replace(before, last=Answered(bytes(32), other))


def altered(before: Memory) -> Memory:
    """An answer with another session's id."""
    assert before.last is not None
    return replace(before, last=Answered(bytes(32), before.last.answer[:2] + bytes(32) + before.last.answer[34:]))


def without_peer(peers: dict[int, Peer]) -> dict[int, Peer]:
    return {v: peer for v, peer in peers.items() if v != 5}


def other_seed(before: Memory) -> Memory:
    return replace(before, randomness=Randomness(bytes(32), bytes(32)))


BAD: list[tuple[int, Callable[[Memory], Memory], str]] = [
    (1, other_seed, "other keys were advertised"),
    (1, answer_of(2), "expected AdvertiseKeys"),
    (2, answer_of(3), "expected ShareKeys"),
    (2, altered, "the answer is of another session"),
    (2, state(session=lambda _: bytes(32)), "the answer is of another session"),
    (2, state(users=ids(1, 2, 3, 4)), "the peers are not the neighbours"),
    (2, state(users=ids(1, 2, 3, 5, 4)), "not strictly ascending"),
    (2, state(users=ids(2, 3, 4, 5)), "omits this user"),
    (2, state(users=ids(1, 2, 3)), "too few users"),
    (2, state(users=ids(1, 2, 3, 4, 5, 6)), "users who are not in the session"),
    (2, state(users=ids(1, 2, 3, 4, 6)), "users who are not in the session"),
    (2, state(peers=without_peer), "the peers are not the neighbours"),
    (2, state(peers=lambda peers: dict(reversed(peers.items()))), "the list of peers is not strictly ascending"),
    (2, state(own_shares=lambda shares: np.stack([shares[0], NO_SCALAR])), "a share is not in the field"),
    (3, answer_of(1), "expected MaskedInputCollection"),
    (3, altered, "the answer is of another session"),
    (3, state(users=ids(1, 2, 3, 4)), "names users that the round before did not"),
    (3, state(dealers=ids(1, 2, 3)), "too few users"),
    (3, state(dealers=ids(2, 3, 4, 5)), "omits this user"),
    (3, state(dealers=ids(1, 2, 3, 4)), "not one pair of shares for each dealer"),
    (3, state(shares=lambda shares: shares[:4]), "not one pair of shares for each dealer"),
    (3, state(shares=lambda shares: np.concatenate([shares[:4], [[shares[4, 0], NO_SCALAR]]])), "not in the field"),
    (4, answer_of(2), "expected ConsistencyCheck"),
    (4, altered, "another U3 was signed"),
    (4, state(u3=ids(1, 2, 3, 4)), "another U3 was signed"),
    (4, state(u3=ids(1, 2, 3)), "too few users"),
    (4, state(u3=ids(1, 2, 3, 4, 6)), "names users that the round before did not"),
    (5, answer_of(3), "expected Unmasking"),
]


@pytest.mark.parametrize(("answered", "change", "reason"), BAD, ids=lambda value: "" if callable(value) else str(value))
def test_what_no_client_of_this_session_can_have_is_refused(
    answered: int, change: Callable[[Memory], Memory], reason: str
) -> None:
    params, before = recorded(Model.ACTIVE).params, memory(Model.ACTIVE, answered)
    with pytest.raises(LocalProtocolError, match=f"a client's state is malformed: .*{reason}"):
        decode_memory(encode_memory(change(before), params), owner(Model.ACTIVE))


@pytest.mark.parametrize("answered", [0, 1, 2])
@pytest.mark.parametrize("packed", [b"", bytes(4), bytes(6), b"\xff" * 5], ids=len)
def test_an_input_that_is_no_vector_of_the_session_is_refused(answered: int, packed: bytes) -> None:
    """Of another length, or with bits beyond the last entry."""
    params = recorded(Model.ACTIVE).params
    data = encode_memory(memory(Model.ACTIVE, answered), params)
    own = bytes([1, 32, 0, 3, 0])
    assert data.count(b"\0\0\0\5" + own) == 1
    bad = data.replace(b"\0\0\0\5" + own, len(packed).to_bytes(4, "big") + packed)
    with pytest.raises(LocalProtocolError, match="the input is no vector of the session"):
        decode_memory(bad, owner(Model.ACTIVE))


def test_a_round_of_the_other_model_is_refused() -> None:
    """A signed U3 in the semi-honest model."""
    signed = memory(Model.ACTIVE, 4)
    data = encode_memory(signed, recorded(Model.ACTIVE).params)
    with pytest.raises(LocalProtocolError, match="the session has no round ConsistencyCheck"):
        decode_memory(data, owner(Model.SEMI_HONEST))


def test_structs_are_strict_and_show_nothing() -> None:
    digest = sha256(b"request").digest()
    shown = repr(AfterMaskedInputCollection(digest, b"secret", memory(Model.ACTIVE, 3).state))
    assert shown == "AfterMaskedInputCollection(request, answer, state)"
