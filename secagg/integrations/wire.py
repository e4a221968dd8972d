"""What travels beside a framework's own messages: one block of bytes each way, for each round of the protocol.

The first request of a session invites a node, and carries no message of the protocol. A node states in each reply which
user it is: in the active model the server learns it from the first.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from ..arguments import octets
from ..codec import Lent, Opaque, Struct, UInt, Version
from ..errors import RemoteProtocolError

VERSION = 1
_INVITATION, _REQUEST = 1, 2
_NAME_BYTES = 16


@dataclass(frozen=True, eq=False, repr=False)
class Invitation(Struct):
    """The first request: to train, and to take part in a session. `user` is 0 where nodes know who they are."""

    version: Annotated[int, Version(VERSION)]
    kind: Annotated[int, Version(_INVITATION)]
    params: Annotated[bytes, Opaque(4)]
    roster: Annotated[bytes, Opaque(1)]  # its hash; empty without one
    user: Annotated[int, UInt(4)]

    @classmethod
    def of(cls, params: bytes, roster: bytes, user: int) -> "Invitation":
        return cls(VERSION, _INVITATION, params, roster, user)


@dataclass(frozen=True, eq=False, repr=False)
class RoundRequest(Struct):
    """A later request, with the protocol's message to this user."""

    version: Annotated[int, Version(VERSION)]
    kind: Annotated[int, Version(_REQUEST)]
    params: Annotated[bytes, Opaque(4)]
    user: Annotated[int, UInt(4)]
    message: Annotated[bytes, Opaque(4)]

    @classmethod
    def of(cls, params: bytes, user: int, message: bytes) -> "RoundRequest":
        return cls(VERSION, _REQUEST, params, user, message)


@dataclass(frozen=True, eq=False, repr=False)
class Reply(Struct):
    """A user's answer."""

    version: Annotated[int, Version(VERSION)]
    user: Annotated[int, UInt(4)]
    message: Annotated[memoryview, Lent(4)]

    @classmethod
    def of(cls, user: int, message: bytes) -> "Reply":
        return cls(VERSION, user, memoryview(message))


def is_first(request: bytes) -> bool:
    """Whether a request begins a session: `Site.begin` takes it, and `Site.answer` all others.

    Args:
        request: its bytes.
    """
    return octets(request, "request")[:2] == bytes((VERSION, _INVITATION))


def decoded_request(request: bytes) -> Invitation | RoundRequest:
    """A request, decoded.

    Args:
        request: its bytes.

    Raises:
        RemoteProtocolError: they are none.
    """
    data = octets(request, "request")
    return Invitation.decode(data) if is_first(data) else RoundRequest.decode(data)


def session_name(request: bytes) -> str:
    """The name of a request's session, a hash of its parameters: 32 hexadecimal digits.

    Args:
        request: its bytes.

    Raises:
        RemoteProtocolError: they are no request.
    """
    return name_of(decoded_request(request).params)


def name_of(params: bytes) -> str:
    """The name of the session with these parameters."""
    if not params:
        raise RemoteProtocolError("the request names no session")
    return sha256(params).hexdigest()[: 2 * _NAME_BYTES]
