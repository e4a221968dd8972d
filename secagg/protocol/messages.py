"""The messages of Fig. 4, and what they weigh.

Every message is `uint8 version; uint8 type;` and a body. From round 1's answer on, the body opens with the session id,
so that a message of another session is noticed. Lists of users are ascending; those of requests are bitmaps where that
is shorter (`user_lists`). Where there is one item for each user, the items are one array in the order of such a list,
without the sender's own where the paper leaves it out.

In the active model each answer is followed by the sender's signature (64 bytes), and two requests carry signatures of
others: of round 0 in ShareKeysRequest, of round 3 in UnmaskingRequest. In the semi-honest model those lists are empty.

What a user of the semi-honest model sends and receives, for |U1| = |U2| = |U3| = n: the payload, and the bytes beyond
section 7.1's formula:

    message                        payload (bytes)           beyond the formula (bytes)
    AdvertiseKeys                  2 a_K                     2
    ShareKeysRequest               2 (n-1) a_K               2 + L(n) + 4 + 2 a_K (one's own keys, echoed) + 4
    ShareKeys                      2 (n-1) a_S               2 + 32 + 32 (commitment) + 4 + 24 (n-1)
    MaskedInputCollectionRequest   2 (n-1) a_S               2 + 32 + L(n) + 4 + 24 (n-1)
    MaskedInputCollection          ceil(m ceil(log2 R) / 8)  2 + 32 + 32 (hash of U2) + 4 + 4 (no unopened ciphertexts)
    UnmaskingRequest               -                         2 + 32 + L(n) + 4
    Unmasking                      n a_S                     2 + 32 + 4

with a_K = a_S = 32. A list of the users 1 .. n takes L(n) = 1 (its form) + 4 + ceil(n / 8) bytes; with other ids it may
take 1 + 4 + 4n. The 24 bytes of a ciphertext are u || v (8) and the tag of AES-GCM (16). In a sparse graph a user has
degree neighbours in place of n - 1: ciphertexts and shares are of neighbours only, and MaskedInputCollectionRequest
lists degree + 1 users. Keys and their signatures are still everybody's. UnmaskingRequest names a quorum of U4 in the
active model.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar, TypeVar

from ..codec import IDS, Fixed, Ids, Items, Lent, Octets, Struct
from ..errors import RemoteProtocolError
from ..signatures import SIGNATURE_BYTES
from .params import Model, Params
from .user_lists import USERS

VERSION = 1
HEADER_BYTES = 2  # version and type
KEY_BYTES = 32  # a_K: the x-coordinate of a public key
SHARE_BYTES = 32  # a_S: an element of Z_q
CIPHERTEXT_BYTES = 4 + 4 + 2 * SHARE_BYTES + 16  # AE.enc(u || v || share of s_sk || share of b)
SESSION_BYTES = 32


class Round(IntEnum):
    """The rounds of Fig. 4 by number; ConsistencyCheck, number 3, is for active adversaries only."""

    ADVERTISE_KEYS = 0
    SHARE_KEYS = 1
    MASKED_INPUT_COLLECTION = 2
    CONSISTENCY_CHECK = 3
    UNMASKING = 4

    def __str__(self) -> str:
        return self.name.title().replace("_", "")


class Message(Struct):
    """A struct with a header. `TYPE` tells messages apart on the wire."""

    TYPE: ClassVar[int]


class Answer(Message):
    """What a user sends; `ROUND` is the round that it ends."""

    ROUND: ClassVar[Round]


class Request(Message):
    """What the server sends to open a round; `ANSWER` is what it asks for."""

    ANSWER: ClassVar[type[Answer]]


SessionId = Annotated[bytes, Fixed(SESSION_BYTES)]
UserIds = Annotated[Ids, IDS]
Users = Annotated[Ids, USERS]
UsersHash = Annotated[bytes, Fixed(32)]
_KEYS, _SIGNATURES = Items((2, KEY_BYTES)), Items((SIGNATURE_BYTES,))
Signatures = Annotated[Octets, _SIGNATURES]


@dataclass(frozen=True, eq=False, repr=False)
class AdvertiseKeys(Answer):
    """Round 0: c_pk || s_pk."""

    TYPE = 1
    ROUND = Round.ADVERTISE_KEYS
    c_pk: Annotated[bytes, Fixed(KEY_BYTES)]
    s_pk: Annotated[bytes, Fixed(KEY_BYTES)]


@dataclass(frozen=True, eq=False, repr=False)
class ShareKeys(Answer):
    """Round 1: e_{u,v} for every neighbour v of u in U1, and the commitment to b_u."""

    TYPE = 3
    ROUND = Round.SHARE_KEYS
    session: SessionId
    commitment: Annotated[bytes, Fixed(32)]
    ciphertexts: Annotated[Octets, Items((CIPHERTEXT_BYTES,))]


@dataclass(frozen=True, eq=False, repr=False)
class MaskedInputCollection(Answer):
    """Round 2: y_u, packed (secagg.vector.pack), and the users of U2 whose ciphertexts did not open.

    The hash of what u was shown of U2 tells for which U2 the input is masked: masks for another U2 would not cancel.
    """

    TYPE = 5
    ROUND = Round.MASKED_INPUT_COLLECTION
    session: SessionId
    u2_hash: UsersHash
    y: Annotated[bytes | memoryview, Lent(4)]
    unopened: UserIds


@dataclass(frozen=True, eq=False, repr=False)
class ConsistencyCheck(Answer):
    """Round 3, active model: the hash of U3; what matters is the signature that follows."""

    TYPE = 7
    ROUND = Round.CONSISTENCY_CHECK
    session: SessionId
    u3_hash: UsersHash


@dataclass(frozen=True, eq=False, repr=False)
class Unmasking(Answer):
    """Round 4: for every v in U2 (u itself and its neighbours) the share of b_v if v is in U3, else that of s_v_sk.

    There is no share of those whose ciphertext did not open.
    """

    TYPE = 9
    ROUND = Round.UNMASKING
    session: SessionId
    shares: Annotated[Octets, Items((SHARE_BYTES,))]


@dataclass(frozen=True, eq=False, repr=False)
class ShareKeysRequest(Request):
    """Opens round 1: U1 and {(c_v_pk, s_v_pk, sigma_v)}."""

    TYPE = 2
    ANSWER = ShareKeys
    users: Users
    keys: Annotated[Octets, _KEYS]
    signatures: Signatures


@dataclass(frozen=True, eq=False, repr=False)
class MaskedInputCollectionRequest(Request):
    """Opens round 2: u and its neighbours in U2, which in the complete graph are all of it, and e_{v,u} for each v."""

    TYPE = 4
    ANSWER = MaskedInputCollection
    session: SessionId
    users: Users
    ciphertexts: Annotated[Octets, Items((CIPHERTEXT_BYTES,))]


@dataclass(frozen=True, eq=False, repr=False)
class ConsistencyCheckRequest(Request):
    """Opens round 3, active model: U3."""

    TYPE = 6
    ANSWER = ConsistencyCheck
    session: SessionId
    users: Users


@dataclass(frozen=True, eq=False, repr=False)
class UnmaskingRequest(Request):
    """Opens round 4: U3; in the active model U4 and {sigma'_v}."""

    TYPE = 8
    ANSWER = Unmasking
    session: SessionId
    users: Users
    signatures: Signatures


Rounds = tuple[type[Request], ...]
SEMI_HONEST: Rounds = (ShareKeysRequest, MaskedInputCollectionRequest, UnmaskingRequest)
ACTIVE: Rounds = (ShareKeysRequest, MaskedInputCollectionRequest, ConsistencyCheckRequest, UnmaskingRequest)
ROUNDS = {Model.SEMI_HONEST: SEMI_HONEST, Model.ACTIVE: ACTIVE}

M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """Header and body."""
    return message.encode(bytes((VERSION, message.TYPE)))


def decode(data: bytes | memoryview, expected: type[M]) -> M:
    """The message of type `expected` that `data` is; anything else raises `RemoteProtocolError`."""
    if len(data) < HEADER_BYTES or data[0] != VERSION:
        raise RemoteProtocolError(f"not a message of protocol version {VERSION}")
    if data[1] != expected.TYPE:
        raise RemoteProtocolError(f"expected {expected.__name__} (type {expected.TYPE}), got type {data[1]}")
    return expected.decode(memoryview(data)[HEADER_BYTES:])


def type_of(data: bytes | memoryview) -> int | None:
    """The type of message that the header declares; None if it is not a header of this protocol version."""
    return data[1] if len(data) >= HEADER_BYTES and data[0] == VERSION else None


def rounds_of(params: Params) -> tuple[Round, ...]:
    """The rounds of a session, in order: four in the semi-honest model, five in the active model.

    Args:
        params: the session's parameters.
    """
    return (Round.ADVERTISE_KEYS, *(request.ANSWER.ROUND for request in ROUNDS[params.model]))


def users_needed(params: Params, current: Round) -> int:
    """How many users must answer a round: keys as many as must join, inputs as many as the sum must contain, and else a
    quorum.

    Args:
        params: the session's parameters.
        current: the round.
    """
    if current is Round.ADVERTISE_KEYS:
        return params.min_joined
    return params.min_users if current is Round.MASKED_INPUT_COLLECTION else params.quorum


def users_hash(users: Ids) -> bytes:
    """SHA-256 of a list of users, as ids however it has travelled."""
    return hashlib.sha256(b"secagg users v1" + IDS.write(users)).digest()


def session_id(params: Params, roster_hash: bytes, request: ShareKeysRequest) -> bytes:
    """What every derivation of the session is bound to: a hash over Params, the roster and round 1's list.

    In it the users are ids, however they have travelled.
    """
    listed = IDS.write(request.users) + _KEYS.write(request.keys) + _SIGNATURES.write(request.signatures)
    return hashlib.sha256(_setup(b"secagg session v1", params, roster_hash) + listed).digest()


def setup_id(params: Params, roster_hash: bytes) -> bytes:
    """What round 0's signatures are bound to, before there is a session id."""
    return hashlib.sha256(_setup(b"secagg setup v1", params, roster_hash)).digest()


def _setup(label: bytes, params: Params, roster_hash: bytes) -> bytes:
    encoded = params.encode()
    return label + len(encoded).to_bytes(4, "big") + encoded + len(roster_hash).to_bytes(1, "big") + roster_hash


def signed(scope: bytes, sender: int, answer: Answer) -> bytes:
    """What `sender` signs in the active model: label, setup or session id, round, sender and content."""
    return signed_body(scope, sender, answer.ROUND, answer.encode())


def signed_body(scope: bytes, sender: int, current: Round, body: bytes | memoryview) -> bytes:
    """The same of an answer's bytes without its header, whether or not they can be decoded."""
    content = hashlib.sha256(body).digest()
    return b"secagg answer v1" + scope + bytes((current,)) + sender.to_bytes(4, "big") + content
