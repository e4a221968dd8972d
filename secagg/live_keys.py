"""Which code agrees with live private keys, those that are still in use: a kernel of csrc/agreement, or OpenSSL.

A kernel is used where it is faster than OpenSSL and gives its known answer. `SECAGG_AGREEMENT=openssl` in the
environment leaves all live keys to OpenSSL. It is read once, when this is imported, and any value but an empty one
means the same. A kernel that OpenSSL was found to disagree with is not used again in this process.
"""

import logging
import os
from collections.abc import Callable

from . import _kernels

__all__ = ["BY_OPENSSL", "LiveKernel"]

log = logging.getLogger(__name__)

BY_OPENSSL = bool(os.environ.get("SECAGG_AGREEMENT"))


class LiveKernel:
    """A curve's kernel for live keys, until it is caught computing wrongly.

    Args:
        curve: its name.
        knows_its_answer: whether the kernel of the instruction set in use gives a known answer. It is asked before the
            first use of each.
    """

    def __init__(self, curve: str, knows_its_answer: Callable[[], bool]) -> None:
        self.curve = curve
        self._knows_its_answer = knows_its_answer
        self._right: dict[str, bool] = {}
        self._disagreements = 0

    @property
    def disagreements(self) -> int:
        """How often OpenSSL was found to disagree in this process."""
        return self._disagreements

    @property
    def in_use(self) -> bool:
        """Whether the kernel agrees, and not OpenSSL."""
        return not self._why_not()

    def __str__(self) -> str:
        why_not = self._why_not()
        return f"OpenSSL ({why_not})" if why_not else f"kernel ({_kernels.isa_of('agreement')})"

    def disagreed(self) -> None:
        """Say that OpenSSL has computed something else: it does all from now on."""
        self._disagreements += 1
        log.error(
            "the %s kernel (%s), or that of HKDF, and OpenSSL disagree about a key: OpenSSL makes all keys from now on;"
            " run `secagg selftest`, and report what it says",
            self.curve,
            _kernels.isa_of("agreement"),
        )

    def _why_not(self) -> str:
        isa = _kernels.isa_of("agreement")
        if BY_OPENSSL:
            return "SECAGG_AGREEMENT"
        if self._disagreements:
            return "the kernel computed wrongly"
        if isa == "portable":  # as slow as OpenSSL
            return "no kernel for this CPU"
        if isa not in self._right:
            self._right[isa] = self._knows_its_answer()
            if not self._right[isa]:
                log.error("the %s kernel (%s) fails its known answer: OpenSSL makes all keys", self.curve, isa)
        return "" if self._right[isa] else "the kernel fails its known answer"
