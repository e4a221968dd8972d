"""What the fuzzer calls: each decoder with its invariant, that any bytes are refused by the right error or are exactly
one value's encoding."""

import base64
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, partial
from pathlib import Path
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from secagg import Identity, LocalProtocolError, Params, RemoteProtocolError, Roster
from secagg.codec import IDS, Fixed, Ids, Items, Octets, Opaque, Struct, UInt
from secagg.dap.privacy.extension import Privacy
from secagg.protocol.authentication import Pki
from secagg.protocol.messages import Answer, Message, Request, decode, encode
from secagg.protocol.params import Model
from secagg.protocol.saved import Header
from secagg.protocol.stored import Owner, decode_memory, encode_memory

from .dap import DAP, takes_struct
from .reports import REPORTS

CORPUS = Path(__file__).parent / "corpus"
MESSAGES: list[type[Message]] = [*Answer.__subclasses__(), *Request.__subclasses__()]

Check = Callable[[bytes], bool]
"""Whether the decoder takes these bytes; raises if it breaks the invariant."""


class Colour(IntEnum):
    RED = 1
    BLUE = 255


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Struct):
    """Every codec, the lengths of lists in every size that is in use."""

    number: Annotated[int, UInt(9)]
    colour: Annotated[Colour, UInt(1, Colour)]
    tag: Annotated[bytes, Fixed(3)]
    name: Annotated[bytes, Opaque(1)]
    context: Annotated[bytes, Opaque(2)]
    body: Annotated[bytes, Opaque(4)]
    users: Annotated[Ids, IDS]
    rows: Annotated[Octets, Items((2, 3))]


def takes_message(kind: type[Message], data: bytes) -> bool:
    try:
        message = decode(data, kind)
    except RemoteProtocolError:
        return False
    assert encode(message) == data
    return True


@cache
def scratch() -> Path:
    """A folder for the files of this process."""
    return Path(tempfile.mkdtemp())


def takes_roster(data: bytes) -> bool:
    """A roster's text has many forms, so what is compared is what it says."""
    path = scratch() / "roster"
    path.write_bytes(data)
    try:
        roster = Roster.read(path)
    except LocalProtocolError:
        return False
    roster.write(path)
    assert Roster.read(path).hash == roster.hash
    return True


def takes_identity(data: bytes) -> bool:
    """Any file is tried, and any PKCS #8 inside PEM, whose base64 the fuzzer would not find."""
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(data) + b"-----END PRIVATE KEY-----\n"
    return loads_identity(data) | loads_identity(pem)


def loads_identity(file: bytes) -> bool:
    path = scratch() / "identity"
    path.touch(0o600)
    path.write_bytes(file)
    try:
        identity = Identity.load(path)
    except LocalProtocolError:
        return False
    assert identity.sign(b"") == Identity.load(path).sign(b"")
    return True


N = 3


@cache
def identities() -> dict[int, Identity]:
    """The users of the corpus's sessions."""
    return {u: Identity(Ed25519PrivateKey.from_private_bytes(bytes([u] * 32))) for u in range(1, N + 1)}


def roster_of(people: dict[int, Identity]) -> Roster:
    return Roster({u: identity.verification_key for u, identity in people.items()})


def parameters(model: Model) -> Params:
    return Params(n=N, t=2, n_corrupt=0, m=3, modulus=1 << 12, model=model, nonce=bytes(16), context=b"context")


@cache
def owner() -> Owner:
    """Whose stored memory the fuzzer makes: user 1 of the session in the active model, which has every stage."""
    params = parameters(Model.ACTIVE)
    return Owner(params, 1, Pki(params, roster_of(identities())), identities()[1].verification_key)


def takes_memory(data: bytes) -> bool:
    try:
        memory = decode_memory(data, owner())
    except LocalProtocolError:
        return False
    assert encode_memory(memory, owner().params) == data
    return True


DECODERS: dict[str, Check] = {
    **{kind.__name__: partial(takes_message, kind) for kind in MESSAGES},
    "Params": partial(takes_struct, Params),
    "Sample": partial(takes_struct, Sample),
    "Privacy": partial(takes_struct, Privacy),
    "Header": partial(takes_struct, Header),
    "Memory": takes_memory,
    "Roster": takes_roster,
    "Identity": takes_identity,
    **{name: check for name, (check, _) in {**REPORTS, **DAP}.items()},
}
