"""What a server keeps of masked inputs, so that whoever feeds it need not keep the inputs themselves.

All that later steps of Fig. 4 need of a masked input is its part of the sum, whose it is, and which ciphertexts did not
open: signatures of round 2 are not passed on. A checkpoint has these, the SHA-256 of each message, by which it is known
when it comes again, and what was noted on the way.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from .. import vector
from ..codec import Fixed, Ids, Items, Octets, Reader, Struct, Text, UInt, Vector, Version
from ..errors import RemoteProtocolError
from .deliveries import DIGEST_BYTES
from .messages import SESSION_BYTES, Round, UserIds, UsersHash
from .params import Params

VERSION = 1
_SLICE = 1 << 17  # elements; eight of them take whole bytes


@dataclass(frozen=True, eq=False, repr=False)
class Remark(Struct):
    """A `Fault` or a `Stray`."""

    client: Annotated[int, UInt(4)]
    round: Annotated[Round, UInt(1, Round)]
    reason: Annotated[str, Text(2)]

    @property
    def fields(self) -> tuple[int, Round, str]:
        """Its parts, as `Fault` and `Stray` take them."""
        return self.client, self.round, self.reason


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint(Struct):
    """A checkpoint on the wire, without the packed sum of the masked inputs mod R, which follows it to the end.

    Attributes:
        version: of this format.
        session: the session's id.
        u2_hash: the hash of U2.
        users: whose masked inputs are in the sum, ascending.
        digests: the SHA-256 of each of their messages, uint8[k, 32].
        refused: the users of U2 who are out because of what they sent, ascending.
        unopened: the ciphertexts that did not open, as (holder, dealer), ascending.
        faults: all that the server has noted as faults since the session began.
        strays: the same of strays.
    """

    version: Annotated[int, Version(VERSION)]
    session: Annotated[bytes, Fixed(SESSION_BYTES)]
    u2_hash: UsersHash
    users: UserIds
    digests: Annotated[Octets, Items((DIGEST_BYTES,))]
    refused: UserIds
    unopened: Annotated[Ids, Items((2,), "u4")]
    faults: Annotated[tuple[Remark, ...], Vector(Remark, 4)]
    strays: Annotated[tuple[Remark, ...], Vector(Remark, 4)]

    @classmethod
    def split(cls, data: bytes | memoryview) -> tuple["Checkpoint", memoryview]:
        """A checkpoint, and the packed sum.

        Args:
            data: the bytes.

        Raises:
            RemoteProtocolError: the bytes do not begin with a checkpoint.
        """
        reader = Reader(data)
        return cls.read(reader), reader.take_rest()

    def check(self, y: memoryview, u2: Ids, u2_hash: bytes, params: Params) -> None:
        """Check that a server with this U2 can go on from here.

        Args:
            y: the packed sum.
            u2: U2, ascending.
            u2_hash: its hash.
            params: the session's parameters.

        Raises:
            RemoteProtocolError: it cannot.
        """
        _check(self.u2_hash == u2_hash, "it is of another U2")
        for users in (self.users, self.refused):
            _check(_ascending(users) and bool(np.isin(users, u2).all()), "a list of users is no ascending part of U2")
        _check(not np.intersect1d(self.users, self.refused).size, "a user is in the sum and refused")
        _check(len(self.digests) == len(self.users), "it lacks a message's SHA-256")
        _check(bool(np.isin(self.unopened, u2).all()), "a ciphertext is of nobody in U2")
        _check(bool(np.isin(self.unopened[:, 0], self.users).all()), "a ciphertext did not open for nobody in the sum")
        keys = self.unopened[:, 0].astype(np.uint64) << np.uint64(32) | self.unopened[:, 1]
        _check(_ascending(keys), "the list of unopened ciphertexts is not ascending")
        _check(vector.packed_check(y, params.m, params.modulus), "the sum is no vector of this session")

    def dealers_of(self, holder: int) -> Ids:
        """Whose ciphertexts did not open for a user, ascending."""
        dealers: Ids = self.unopened[self.unopened[:, 0] == holder, 1]
        return dealers


def packed_slices(total: NDArray[Any], modulus: int) -> Iterator[bytes]:
    """A vector's packed bytes, piece by piece, so that they are never in memory as a whole."""
    for start in range(0, len(total), _SLICE):
        yield vector.pack(total[start : start + _SLICE], modulus).tobytes()


def pairs(unopened: Iterable[tuple[int, int]]) -> Ids:
    """Pairs (holder, dealer) as an ascending array, uint32[k, 2]."""
    return np.array(sorted(unopened), np.uint32).reshape(-1, 2)


def _ascending(values: NDArray[Any]) -> bool:
    return not bool(np.any(values[1:] <= values[:-1]))


def _check(condition: bool, reason: str) -> None:
    if not condition:
        raise RemoteProtocolError(f"the checkpoint cannot be used: {reason}")
