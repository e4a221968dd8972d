"""XofTurboShake128 (section 6.2.1), over a batch of seeds at once."""

import numpy as np

from secagg import _vdaf
from secagg.codec import Octets

from .draft import Draft
from .field import Elements, Field

XofInput = bytes | Octets | Elements
"""A piece of an XOF's input: one for all reports, or an array with a row for each report."""


class XofTurboShake128:
    """The XOF as one draft frames its input: length of tag || tag || length of seed || seed || binder.

    A seed is uint8[n, s], or bytes for the whole batch; row i of a result belongs to row i of it and of the binder.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def derive_seed(self, n: int, seed: XofInput, dst: bytes, *binder: XofInput) -> Octets:
        """A new seed for each report (the draft's derive_seed).

        Args:
            n: number of reports.
            seed: uint8[n, s], or s bytes for all reports.
            dst: domain separation tag.
            binder: pieces that are joined, each for all reports or an array with a row for each.

        Returns:
            uint8[n, seed_size].
        """
        out = np.empty((n, self._draft.seed_size), np.uint8)
        _vdaf.turboshake128(out, self._message(seed, dst, binder))
        return out

    def expand_into_vec(self, field: Field, out: Elements, seed: XofInput, dst: bytes, *binder: XofInput) -> None:
        """Expands the seed of each report into field elements (the draft's expand_into_vec).

        Args:
            field: of the elements.
            out: F[n, length], written.
            seed: uint8[n, s], or s bytes for all reports.
            dst: domain separation tag.
            binder: pieces that are joined, each for all reports or an array with a row for each.
        """
        _vdaf.expand_into_vec(field.bits, out, self._message(seed, dst, binder))

    def _message(self, seed: XofInput, dst: bytes, binder: tuple[XofInput, ...]) -> list[XofInput]:
        size = seed.shape[1] if isinstance(seed, np.ndarray) else len(seed)
        head = len(dst).to_bytes(self._draft.dst_prefix, "little") + dst
        tail = size.to_bytes(self._draft.seed_prefix, "little") if self._draft.seed_prefix else b""
        return [head + tail, seed, *binder]
