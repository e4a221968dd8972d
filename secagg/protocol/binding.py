"""What a session's context says about the encoding of its inputs, so that no sum is decoded with another encoding.

    binding     = label || SHA-256(label || JSON of all fields) || fingerprint of each field
    fingerprint = SHA-256(label || JSON of the field), its first 4 bytes
    context     = binding || the caller's context

A field is a pair of a name and a value. JSON is written without blanks, in ASCII, and a float as the shortest decimal
that gives it back. The hash decides whether two encodings are equal; the fingerprints only show which fields differ.

The context enters the session's id, and in the active model every signature: users who encode differently cannot be
in one session.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from ..arguments import octets
from ..errors import LocalProtocolError, require
from .params import CONTEXT_BYTES_MAX

Plain = bool | int | float | str | list["Plain"] | None
"""What JSON can write."""

_FINGERPRINT_BYTES = 4


@dataclass(frozen=True)
class Binding:
    """The binding of a session to an encoding.

    Attributes:
        kind: the kind of encoding, such as "quantizer", for the label and for errors.
        fields: all that equal encodings have in common, by name.
    """

    kind: str
    fields: Mapping[str, Plain]

    def bind(self, context: bytes) -> bytes:
        """A context for `Params` that begins with the binding.

        Args:
            context: the caller's context, which follows.

        Raises:
            LocalProtocolError: the result would be longer than `Params` can hold.
        """
        context, limit = octets(context, "context"), CONTEXT_BYTES_MAX - len(self._prefix)
        require(
            len(context) <= limit,
            f"context must be at most {limit} bytes beside the {self.kind}'s, got {len(context)}",
        )
        return self._prefix + context

    def check(self, context: bytes, *, unbound: bool) -> None:
        """Raises `LocalProtocolError` unless a context is bound to this encoding, or, if `unbound`, to no encoding."""
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
        """Which fields have other values in the binding of another encoding."""
        start, size = len(self._label) + sha256().digest_size, _FINGERPRINT_BYTES
        places = {name: slice(start + size * i, start + size * (i + 1)) for i, name in enumerate(self.fields)}
        names = [name for name, place in places.items() if context[place] != self._prefix[place]]
        return f"they were made for another {' and another '.join(names)}" if names else "their hash differs"


def check_numbers(kind: str, numbers: Mapping[str, tuple[int, int]]) -> None:
    """Check that numbers of `Params` are those of the encoding.

    Args:
        kind: the kind of encoding.
        numbers: by name, the number in `Params` and that of the encoding.

    Raises:
        LocalProtocolError: two numbers differ; the error names the first.
    """
    for name, (in_params, expected) in numbers.items():
        require(
            in_params == expected,
            f"params were not made by this {kind}: their {name} is {in_params}, here it is {expected}",
        )
