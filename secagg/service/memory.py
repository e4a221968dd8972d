"""What remains of a session that is over, as bytes: who took part and how it went, and no message."""

from dataclasses import dataclass
from typing import Annotated

from ..codec import IDS, Ids, Items, Octets, Opaque, Real, Struct, Text, UInt, Vector
from ..protocol.checkpoint import Remark
from ..protocol.deliveries import DIGEST_BYTES
from ..protocol.messages import Round


@dataclass(frozen=True, eq=False, repr=False)
class Named(Struct):
    """A participant's name or number, as text, and user id."""

    user: Annotated[int, UInt(4)]
    name: Annotated[str, Text(2)]


@dataclass(frozen=True, eq=False, repr=False)
class EndedRound(Struct):
    """Who has answered a round."""

    round: Annotated[Round, UInt(1, Round)]
    users: Annotated[Ids, IDS]


@dataclass(frozen=True, eq=False, repr=False)
class Taken(Struct):
    """The SHA-256 of the messages of a round, by which they are known when they come again."""

    round: Annotated[Round, UInt(1, Round)]
    users: Annotated[Ids, IDS]
    digests: Annotated[Octets, Items((DIGEST_BYTES,))]


@dataclass(frozen=True, eq=False, repr=False)
class Out(Struct):
    """A participant who was left out, and why."""

    user: Annotated[int, UInt(4)]
    kind: Annotated[int, UInt(1)]
    detail: Annotated[str, Text(2)]


@dataclass(frozen=True, eq=False, repr=False)
class Memory(Struct):
    """All of it; see `Session.remember`."""

    status: Annotated[int, UInt(1)]
    reason: Annotated[str, Text(2)]
    began: Annotated[float, Real()]
    ended: Annotated[float, Real()]
    received_bytes: Annotated[int, UInt(8)]
    joined: Annotated[Ids, IDS]
    names: Annotated[tuple[Named, ...], Vector(Named, 4)]
    rounds: Annotated[tuple[EndedRound, ...], Vector(EndedRound, 4)]
    taken: Annotated[tuple[Taken, ...], Vector(Taken, 4)]
    out: Annotated[tuple[Out, ...], Vector(Out, 4)]
    faults: Annotated[tuple[Remark, ...], Vector(Remark, 4)]
    strays: Annotated[tuple[Remark, ...], Vector(Remark, 4)]
    disputes: Annotated[Ids, Items((2,), "u4")]
    sha256: Annotated[bytes, Opaque(1)]
