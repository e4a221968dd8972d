"""The stages of a client that is stored: a strict struct for each, with what later rounds need and nothing else.

What is written is one byte, the stage, and its struct. What is read must be exactly that, and a memory that a client of
this session can have: lists are ascending subsets of each other, shares are in the field, answers are of the round.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from numpy.typing import NDArray

from .. import shamir, vector
from ..codec import Fixed, Ids, Lent, Nested, Opaque, Struct, UInt
from ..errors import Abort, LocalProtocolError, RemoteProtocolError, require
from .authentication import Pki
from .client_state import Advertised, Answered, Checked, Masked, Memory, Shared
from .messages import (
    AdvertiseKeys,
    Answer,
    ConsistencyCheck,
    MaskedInputCollection,
    ShareKeys,
    Unmasking,
    decode,
    rounds_of,
    users_hash,
)
from .params import Params
from .randomness import SEED_BYTES, Randomness
from .requests import check_users

A = TypeVar("A", bound=Answer)


class Stored(Struct):
    """A stage; `STAGE` is its byte."""

    STAGE: ClassVar[int]


_Seed = Annotated[bytes, Fixed(SEED_BYTES)]
_Input = Annotated[bytes | memoryview, Lent(4)]  # packed, with its noise
_RequestHash = Annotated[bytes, Fixed(32)]
_AnswerBytes = Annotated[bytes, Opaque(4)]


@dataclass(frozen=True, eq=False, repr=False)
class BeforeAdvertiseKeys(Stored):
    """Before `start`."""

    STAGE = 0
    seed: _Seed
    x: _Input


@dataclass(frozen=True, eq=False, repr=False)
class AfterAdvertiseKeys(Stored):
    """After round 0. The key pairs follow from the seed, which round 1 draws from as well."""

    STAGE = 1
    answer: _AnswerBytes
    seed: _Seed
    x: _Input


@dataclass(frozen=True, eq=False, repr=False)
class AfterShareKeys(Stored):
    """After round 1: no c_sk, s_sk or b any more, but what round 2 needs of them."""

    STAGE = 2
    request: _RequestHash
    answer: _AnswerBytes
    x: _Input
    state: Annotated[Shared, Nested(Shared)]


@dataclass(frozen=True, eq=False, repr=False)
class AfterMaskedInputCollection(Stored):
    """After round 2: no seeds and no input any more, but others' shares."""

    STAGE = 3
    request: _RequestHash
    answer: _AnswerBytes
    state: Annotated[Masked, Nested(Masked)]


@dataclass(frozen=True, eq=False, repr=False)
class AfterConsistencyCheck(Stored):
    """After round 3, active model."""

    STAGE = 4
    request: _RequestHash
    answer: _AnswerBytes
    state: Annotated[Checked, Nested(Checked)]


@dataclass(frozen=True, eq=False, repr=False)
class AfterUnmasking(Stored):
    """After the last round: its answer alone."""

    STAGE = 5
    request: _RequestHash
    answer: _AnswerBytes


@dataclass(frozen=True, eq=False, repr=False)
class Ended(Stored):
    """After an error that ends a client, and so many rounds."""

    STAGE = 6
    rounds: Annotated[int, UInt(1)]


STORED: tuple[type[Stored], ...] = (
    BeforeAdvertiseKeys,
    AfterAdvertiseKeys,
    AfterShareKeys,
    AfterMaskedInputCollection,
    AfterConsistencyCheck,
    AfterUnmasking,
    Ended,
)


# From a client's memory to these structs, and back.


@dataclass(frozen=True)
class Owner:
    """Whom a state belongs to.

    Attributes:
        params: the session's parameters.
        user_id: u.
        pki: the session's roster.
        verification_key: u's; empty in the semi-honest model.
        binding: what else the state belongs to.
    """

    params: Params
    user_id: int
    pki: Pki
    verification_key: bytes = b""
    binding: bytes = b""


def encode_memory(memory: Memory, params: Params) -> bytes:
    """What is stored of a client's memory.

    Args:
        memory: the memory.
        params: the session's parameters.
    """
    stored = _stored(memory, params)
    return stored.encode(bytes((stored.STAGE,)))


def _stored(memory: Memory, params: Params) -> Stored:
    state, last, rounds = memory.state, memory.last, memory.rounds
    x = b"" if memory.x is None else vector.pack(memory.x, params.modulus).data
    seed = b"" if memory.randomness is None else memory.randomness.seed
    if rounds == 0:
        return BeforeAdvertiseKeys(seed, x)
    if last is None:
        assert state is None, "a state is stored with the answer that led to it"
        return Ended(rounds)
    if isinstance(state, Advertised):
        return AfterAdvertiseKeys(last.answer, seed, x)
    if isinstance(state, Shared):
        return AfterShareKeys(last.request, last.answer, x, state)
    if isinstance(state, Masked):
        return AfterMaskedInputCollection(last.request, last.answer, state)
    if isinstance(state, Checked):
        return AfterConsistencyCheck(last.request, last.answer, state)
    return AfterUnmasking(last.request, last.answer)


def decode_memory(data: bytes, owner: Owner) -> Memory:
    """The memory that these bytes are of.

    Args:
        data: what `encode_memory` returned.
        owner: whose they should be.

    Raises:
        LocalProtocolError: the bytes are no memory that a client of this owner can have.
    """
    try:
        kind = next((kind for kind in STORED if data[:1] == bytes((kind.STAGE,))), None)
        require(kind is not None, "there is no such stage")
        return _READERS[kind](kind.decode(memoryview(data)[1:]), owner)  # type: ignore[union-attr, index]
    except (RemoteProtocolError, Abort, LocalProtocolError) as error:
        raise LocalProtocolError(f"a client's state is malformed: {error}") from None


def _before_advertise_keys(stored: BeforeAdvertiseKeys, owner: Owner) -> Memory:
    return Memory(0, None, Randomness(stored.seed, owner.pki.setup), _input(stored.x, owner.params), None)


def _after_advertise_keys(stored: AfterAdvertiseKeys, owner: Owner) -> Memory:
    randomness = Randomness(stored.seed, owner.pki.setup)
    state = Advertised.drawn(randomness)
    sent = _sent(stored.answer, AdvertiseKeys, owner)
    require((sent.c_pk, sent.s_pk) == (state.c.public, state.s.public), "other keys were advertised")
    return Memory(1, state, randomness, _input(stored.x, owner.params), Answered(b"", stored.answer))


def _after_share_keys(stored: AfterShareKeys, owner: Owner) -> Memory:
    state, u = stored.state, owner.user_id
    _check_u1(state.users, owner, owner.params.min_joined)
    graph = owner.params.graph.over(state.session, state.users)
    require(list(state.peers) == graph.neighbours(u, state.users).tolist(), "the peers are not the neighbours")
    require(shamir.in_field(state.own_shares), "a share is not in the field")
    require(_sent(stored.answer, ShareKeys, owner).session == state.session, "the answer is of another session")
    last = Answered(stored.request, stored.answer)
    return Memory(2, state, None, _input(stored.x, owner.params), last, state.session)


def _after_masked_input(stored: AfterMaskedInputCollection, owner: Owner) -> Memory:
    state = stored.state
    _check_masked(state, owner)
    sent = _sent(stored.answer, MaskedInputCollection, owner)
    require(sent.session == state.session, "the answer is of another session")
    return Memory(3, state, None, None, Answered(stored.request, stored.answer), state.session)


def _after_consistency_check(stored: AfterConsistencyCheck, owner: Owner) -> Memory:
    masked, u3 = stored.state.masked, stored.state.u3
    _check_masked(masked, owner)
    check_users(u3, owner.user_id, owner.params.min_users, within=masked.users)
    sent = _sent(stored.answer, ConsistencyCheck, owner)
    require((sent.session, sent.u3_hash) == (masked.session, users_hash(u3)), "another U3 was signed")
    return Memory(4, stored.state, None, None, Answered(stored.request, stored.answer), masked.session)


def _after_unmasking(stored: AfterUnmasking, owner: Owner) -> Memory:
    session = _sent(stored.answer, Unmasking, owner).session
    last = Answered(stored.request, stored.answer)
    return Memory(len(rounds_of(owner.params)), None, None, None, last, session)


def _ended(stored: Ended, owner: Owner) -> Memory:
    require(1 <= stored.rounds < len(rounds_of(owner.params)), "there are not so many rounds")
    return Memory(stored.rounds, None, None, None, None)


_READERS: dict[type[Stored], Callable[..., Memory]] = {
    BeforeAdvertiseKeys: _before_advertise_keys,
    AfterAdvertiseKeys: _after_advertise_keys,
    AfterShareKeys: _after_share_keys,
    AfterMaskedInputCollection: _after_masked_input,
    AfterConsistencyCheck: _after_consistency_check,
    AfterUnmasking: _after_unmasking,
    Ended: _ended,
}


def _input(packed: bytes | memoryview, params: Params) -> NDArray[Any]:
    require(vector.packed_check(packed, params.m, params.modulus), "the input is no vector of the session")
    return vector.unpack(packed, params.m, params.modulus)


def _sent(answer: bytes, kind: type[A], owner: Owner) -> A:
    """The message that was sent; of a round that the session has."""
    require(kind.ROUND in rounds_of(owner.params), f"the session has no round {kind.ROUND}")
    return decode(owner.pki.split(answer)[0], kind)


def _check_u1(users: Ids, owner: Owner, needed: int) -> None:
    check_users(users, owner.user_id, needed)
    known = len(users) <= owner.params.n and owner.pki.knows(users)
    require(known, "U1 names users who are not in the session")


def _check_masked(state: Masked, owner: Owner) -> None:
    _check_u1(state.users, owner, owner.params.min_holders)
    check_users(state.dealers, owner.user_id, owner.params.t, within=state.users)
    require(len(state.dealers) <= owner.params.holders, "there are more dealers than neighbours")
    require(len(state.shares) == len(state.dealers), "there is not one pair of shares for each dealer")
    require(shamir.in_field(state.shares), "a share is not in the field")
