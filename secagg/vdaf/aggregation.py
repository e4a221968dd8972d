"""Aggregation and unsharding (sections 7.2.3 to 7.2.5).

Noise enters aggregate shares here, between the two, by a plan of `secagg.dp`, in place and in constant time:
`plan.noise_for(Party.AGGREGATOR).add_to(agg_share, prio3.field.MODULUS)`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from secagg import _vdaf
from secagg.arguments import array, flag, in_place, octets, whole
from secagg.errors import RemoteProtocolError, require

from .field import Elements, Field
from .flp import Flp
from .rows import Rows, own_rows, row

OVERFLOW = "a field element is not below the modulus"


class Aggregation:
    """The part of `Prio3` that knows aggregate shares: F[OUTPUT_LEN], arrays that are added to in place."""

    SHARES: int
    OUT_SHARE_SIZE: int
    field: Field
    flp: Flp

    # Prio3 has no aggregation parameter (section 7.2.3).

    def is_valid(self, agg_param: None, previous_agg_params: Sequence[None]) -> bool:
        """Whether a report may be verified again: never."""
        return not previous_agg_params

    def encode_agg_param(self, agg_param: None) -> bytes:
        return b""

    def decode_agg_param(self, encoded: bytes) -> None:
        """Raises RemoteProtocolError unless it is empty."""
        if octets(encoded, "encoded"):
            raise RemoteProtocolError(f"aggregation parameter: 0 bytes expected, got {len(encoded)}")

    # Aggregation and unsharding (sections 7.2.4 and 7.2.5).

    def agg_init(self) -> Elements:
        """The aggregate share of no reports: F[OUTPUT_LEN]."""
        return self.field.zeros(self.flp.OUTPUT_LEN)

    def agg_update(self, agg_share: Elements, out_shares: Rows | bytes) -> None:
        """Adds one output share, or those of all reports that are not rejected, in place."""
        agg_share = in_place(agg_share, "agg_share")
        size, name = self.OUT_SHARE_SIZE, "output share"
        if isinstance(out_shares, bytes | bytearray | memoryview):
            rows = Rows(own_rows([bytes(out_shares)], 1, size, name))
        else:
            rows = Rows.of(out_shares, size, name)
        _vdaf.accumulate(self.field.bits, agg_share, self.field.elements(rows.data), rows.accepted)

    def aggregate(self, out_shares: Rows) -> Elements:
        """The aggregate share of all reports that are not rejected."""
        agg_share = self.agg_init()
        self.agg_update(agg_share, out_shares)
        return agg_share

    def merge(self, agg_shares: Sequence[Elements]) -> Elements:
        """The sum of aggregate shares."""
        total = self.agg_init()
        _vdaf.accumulate(
            self.field.bits,
            total,
            np.stack([array(share, "an aggregate share") for share in agg_shares]),
            np.ones(len(agg_shares), bool),
        )
        return total

    def encode_agg_share(self, agg_share: Elements) -> bytes:
        return array(agg_share, "agg_share").tobytes()

    def decode_agg_share(self, encoded: bytes) -> Elements:
        """Raises RemoteProtocolError unless it is one encoded aggregate share."""
        encoded = octets(encoded, "encoded")
        if len(encoded) != self.OUT_SHARE_SIZE:
            raise RemoteProtocolError(f"aggregate share: {self.OUT_SHARE_SIZE} bytes expected, got {len(encoded)}")
        elements, canonical = self.field.elements(row(encoded)), np.ones(1, bool)
        _vdaf.check(self.field.bits, canonical, elements)
        if not canonical[0]:
            raise RemoteProtocolError("aggregate share: " + OVERFLOW)
        return elements.copy().reshape(elements.shape[1:])

    def unshard(
        self, agg_shares: Sequence[Elements], num_measurements: int, *, signed: bool = False, room: int = 0
    ) -> Any:
        """The aggregate result: an integer or a list of them, as the circuit has it.

        Args:
            agg_shares: every Aggregator's.
            num_measurements: how many were aggregated, 0 .. 2^64 - 1.
            signed: results are -(p - 1) / 2 .. (p - 1) / 2 instead of 0 .. p - 1, for sums that noise made negative.
            room: what the noise of an entry stays within, such as `secagg.dp.Plan.room()`; 0 without noise.

        Raises:
            LocalProtocolError: another number of shares; or so many measurements, and noise, may sum up to more than
                the field holds (`capacity`): the result would be wrong by a multiple of p.
        """
        num_measurements, signed = whole(num_measurements, "num_measurements"), flag(signed, "signed")
        require(len(agg_shares) == self.SHARES, f"{self.SHARES} Aggregators, {len(agg_shares)} aggregate shares")
        self._require_capacity(num_measurements, signed, whole(room, "room"))
        output = self.field.ints(self.merge(agg_shares))
        half = self.field.MODULUS // 2
        return self.flp.valid.decode([x - self.field.MODULUS if signed and x > half else x for x in output])

    def capacity(self, *, signed: bool = False, room: int = 0) -> int:
        """How many measurements at most have a sum that `unshard` gives right, whatever they are; negative where not
        even the noise fits. The arguments are those of `unshard`."""
        return (self._largest(flag(signed, "signed")) - whole(room, "room")) // self.flp.valid.MAX_ENTRY

    def _largest(self, signed: bool) -> int:
        """Result that there is."""
        return self.field.MODULUS // 2 if signed else self.field.MODULUS - 1

    def _require_capacity(self, count: int, signed: bool, room: int) -> None:
        require(0 <= count < 1 << 64, f"num_measurements must be 0 .. 2^64 - 1, got {count}")
        require(room >= 0, f"room must be at least 0, got {room}")
        require(signed or room == 0, "noise makes sums negative: with room for it, results must be signed")
        most = self.capacity(signed=signed, room=room)
        noise = f", and noise up to {room:,}," if room else ""
        require(
            count <= most,
            f"{count:,} measurements of up to {self.flp.valid.MAX_ENTRY:,} each{noise} may sum up to more than"
            f" {self._largest(signed):,}, the largest result: {max(most, 0):,} measurements fit",
        )
