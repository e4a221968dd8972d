"""What a session's context says of the encoding of its inputs, so that no sum is decoded by another one.

    binding     = label || SHA-256(label || JSON of all fields) || fingerprint of each field
    fingerprint = SHA-256(label || JSON of the field), its first 4 bytes
    context     = binding || the caller's context

A field is a pair of its name and its value; JSON is written without blanks, in ASCII, and floats as the shortest
decimal that gives them back. The hash decides whether two encodings are equal; fingerprints only name what differs.

The context enters the session's id, and in the active model every signature: users who encode differently share no
session.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from ..arguments import octets
from ..errors import LocalProtocolError, require
from .params import CONTEXT_BYTES_MAX

Plain = bool | int | float | str | list["Plain"] | None  # what JSON writes

_FINGERPRINT_BYTES = 4


@dataclass(frozen=True)
class Binding:
    """An encoding's place in a context.

    Attributes:
        kind: what encodes, such as "quantizer": for the label, and for errors.
        fields: all that two equal encodings have in common.
    """

    kind: str
    fields: Mapping[str, Plain]

    def bind(self, context: bytes) -> bytes:
        """A context for `Params` that begins with the binding.

        Raises:
            LocalProtocolError: it would be longer than `Params` can hold.
        """
        context, limit = octets(context, "context"), CONTEXT_BYTES_MAX - len(self._prefix)
        require(
            len(context) <= limit,
            f"context must be at most {limit} bytes beside the {self.kind}'s, got {len(context)}",
        )
        return self._prefix + context

    def check(self, context: bytes, *, unbound: bool) -> None:
        """Raises `LocalProtocolError` for a context of another encoding, or without any unless `unbound`."""
        if context.startswith(self._prefix):
            return
        if context.startswith(self._label):
            raise LocalProtocolError(f"params were not made by this {self.kind}: {self._difference(context)}")
        require(
            unbound,
            f"params were not made by this {self.kind}: their context does not begin with its hash; make them by its"
            " params(), give params made by hand a context from its bind(), or pass unbound=True if all parties are"
            " known to encode alike",
        )

    @cached_property
    def _label(self) -> bytes:
        return f"secagg {self.kind} v1\0".encode()

    @cached_property
    def _prefix(self) -> bytes:
        pairs: list[Plain] = [[name, value] for name, value in self.fields.items()]
        fingerprints = (self._hash(pair)[:_FINGERPRINT_BYTES] for pair in pairs)
        return b"".join([self._label, self._hash(pairs), *fingerprints])

    def _hash(self, value: Plain) -> bytes:
        return sha256(self._label + json.dumps(value, separators=(",", ":")).encode()).digest()

    def _difference(self, context: bytes) -> str:
        """Which fields another's binding has other values of."""
        start, size = len(self._label) + sha256().digest_size, _FINGERPRINT_BYTES
        places = {name: slice(start + size * i, start + size * (i + 1)) for i, name in enumerate(self.fields)}
        names = [name for name, place in places.items() if context[place] != self._prefix[place]]
        return f"they were made for another {' and another '.join(names)}" if names else "their hash is another"


def check_numbers(kind: str, numbers: Mapping[str, tuple[int, int]]) -> None:
    """Raises `LocalProtocolError` that names the first number of `Params` that is not the encoding's; each is a pair of
    the one and the other."""
    for name, (theirs, own) in numbers.items():
        require(theirs == own, f"params were not made by this {kind}: their {name} is {theirs}, here it is {own}")
