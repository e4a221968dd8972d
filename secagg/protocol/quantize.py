"""Model updates as vectors over Z_R, and sums over Z_R as sums and means of updates.

A value x in [-clip, clip] becomes an integer number of steps, step = clip / (2**(bits-1) - 1), so that 0 is a whole
number of steps and stays 0. Clients add an offset, because the protocol takes no negative input; the offset of a sum
is known from the number of survivors. Rounding is stochastic: to the step below or above, with the chances that make
it right on average, so that errors cancel over clients and rounds instead of adding up to a drift.

Weighted averages follow the paper's appendix C: a client sends w || w*x, and what the server divides by is the sum of
the w, which is masked like everything else. Of the two ways to quantize w*x, w times the rounded x has an error of up
to w steps; this module rounds the product, whose error is below one step whatever w is. Both need the same R, of at
least 2 * n * max_weight * clip/step, so rounding the product makes a mean of k clients more precise by the average
weight: below k/W steps, W the sum of weights, instead of one. Every client has the same offset, that of the largest
weight: if it grew with w, an error of one in W (such as noise) would move the whole model.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import convert, flag, real, whole
from ..errors import RemoteProtocolError, require
from ..rounding import round_at_random
from ..shamir import RandomBytes
from .binding import Binding, Plain
from .encoding import DecodedSum, Encoding
from .layout import Arrays, Layout
from .params import NoisePlan, Params


@dataclass(frozen=True)
class Aggregate(DecodedSum[Arrays]):
    """What the survivors' inputs add up to.

    Attributes:
        layout: of the model.
        flat: the sum of x_u, or of w_u * x_u with weights, as one flat vector.
        weight: W, the sum of weights; without weights the number of survivors.
        sum_error: bound on the absolute error of each element of `sum`; see `Quantizer.error_bound`.
    """

    weight: int
    sum_error: float

    def __post_init__(self) -> None:
        super().__post_init__()
        convert(self, whole, "weight")
        convert(self, real, "sum_error")

    @property
    def mean_error(self) -> float:
        """Bound on the absolute error of each element of `mean`, before it is rounded to a narrower dtype."""
        return self.sum_error / self.weight


@dataclass(frozen=True, kw_only=True)
class Quantizer(Encoding[Arrays]):
    """Fixed-point encoding of one model's updates; clients and server must hold equal ones.

    Attributes:
        layout: the model's shapes; `Quantizer.like` takes them from a model.
        clip: values are clipped to [-clip, clip] first; `clipped` counts how many that changes.
        bits: of one value before it is weighted, 2 or more: 2**bits - 1 values are told apart, from -clip to clip.
        max_weight: the largest weight, for weighted averages; None for plain sums and means. It is public, and a client
            that lies about its weight (in the semi-honest model none does) can exceed it.
        stochastic: round at random, right on average; otherwise to the nearest step, with half the error bound.

    Raises:
        LocalProtocolError: a value is out of range; max_weight * 2**bits must not exceed 2**53, where float64 ends.
    """

    layout: Layout[Arrays]
    clip: float
    bits: int = 16
    max_weight: int | None = None
    stochastic: bool = True

    def __post_init__(self) -> None:
        convert(self, real, "clip")
        convert(self, whole, "bits", "max_weight")
        convert(self, flag, "stochastic")
        self._check_settings()
        require(2 <= self.bits <= 53, f"bits must be 2 .. 53, got {self.bits}")
        require(self._limit << 1 < 1 << 53, "max_weight * 2**bits must not exceed 2**53")

    @property
    def step(self) -> float:
        """The distance of neighbouring values: clip / (2**(bits-1) - 1)."""
        return self.clip / self._steps

    @property
    def max_value(self) -> int:
        """The largest element of an encoded vector."""
        return 2 * self._limit

    @property
    def length(self) -> int:
        """m, the length of an encoded vector: one more than the model's with weights."""
        return self.layout.size + self._weighted

    def params(self, n: int, *, noise: NoisePlan | None = None, context: bytes = b"", **others: Any) -> Params:
        """Parameters of a session of n users that sums encoded vectors, bound to this quantizer; `noise` and `others`
        as for `Params.for_inputs`, `context` as for `bind`.

        Raises:
            LocalProtocolError: the context is too long; or a plan for noise, with weights. The weights are as private
                as what they weigh, so noise must cover them too, and their sensitivity is not that of values: see
                `secagg.noisy.NoisySum`.
        """
        require(
            noise is None or not self._weighted,
            "this quantizer knows no sensitivity of weights, and noise must cover them as well: for weighted averages"
            " with noise use secagg.noisy.NoisySum(max_weight=...)",
        )
        return Params.for_inputs(self.max_value, n=n, m=self.length, noise=noise, context=self.bind(context), **others)

    def clipped(self, model: Arrays) -> int:
        """How many of the values are outside [-clip, clip], so that encoding changes them by more than a step."""
        return int(np.count_nonzero(np.abs(self.layout.flatten(model)) > self.clip))

    def encode(self, model: Arrays, weight: int | None = None, *, rand: RandomBytes = os.urandom) -> NDArray[np.uint64]:
        """x_u for `Client.set_input`: shape [length], each element 0 .. max_value.

        Args:
            model: the update, shaped like the quantizer's layout; any real dtype.
            weight: w, 1 .. max_weight, such as the number of training examples; with max_weight only.
            rand: source of the random bytes that decide the rounding, 4 for each value.

        Raises:
            LocalProtocolError: other shapes, NaN or infinity, a weight out of range, missing or not asked for.
        """
        # Clip x to [-clip, clip], and count w * x in steps.
        w = self._checked_weight(weight)
        values = self.layout.flatten(model)
        np.clip(values, -self.clip, self.clip, out=values)
        values /= self.clip  # in this order no rounding takes |w * x| beyond w * clip
        values *= w * self._steps

        # Round the product, and send w || w * x with the offset added.
        rounded = round_at_random(values, rand) if self.stochastic else np.rint(values).astype(np.int64)
        return self._offset_vector(rounded, w)

    def decode(
        self, total: NDArray[Any], params: Params, survivors: int, *, unbound: bool = False
    ) -> Aggregate[Arrays]:
        """What a sum of encoded vectors stands for.

        Args:
            total: `Server.sum`, shape [length], uint32 or uint64.
            params: the session's, made by `params`, or by hand with a context from `bind`; noise that they leave room
                for is decoded as part of the sum.
            survivors: k, how many users' vectors are in the sum.
            unbound: take `params` that say nothing of a quantizer. Nothing shows then that clients encoded by an equal
                one, and if they did not, the result is wrong without a word.

        Raises:
            LocalProtocolError: the arguments do not belong together; of another quantizer it says what differs.
            RemoteProtocolError: the summed weight is none that k users can have sent.
        """
        total, k = self._checked_sum(total, params, survivors, unbound, fewest=1)

        # The sum of the w * x in steps, and W: k users can have sent it, noise aside.
        signed = self._signed(total, params, k)
        weight = int(signed[0]) if self._weighted else k
        self._check_weight_sum(weight, params, k)
        flat = signed[self._weighted :].astype(np.float64) * self.step
        return Aggregate(self.layout, flat, weight, self.error_bound(k))

    def error_bound(self, survivors: int) -> float:
        """Bound on the absolute error of each element of a sum of (weighted) clipped values over k survivors.

        k steps for stochastic rounding, half as many for nearest; and the rounding of float64 itself, which only
        matters when max_weight * 2**bits comes near 2**50. The error of a mean is W times smaller.
        """
        return whole(survivors, "survivors") * self.step * ((1.0 if self.stochastic else 0.5) + self._limit * 2.0**-50)

    @cached_property
    def _binding(self) -> Binding:
        fields: dict[str, Plain] = {
            "layout": self.layout.form,
            "clip": float(self.clip),
            "bits": int(self.bits),
            "max_weight": None if self.max_weight is None else int(self.max_weight),
            "stochastic": bool(self.stochastic),
        }
        return Binding("quantizer", fields)

    @property
    def _steps(self) -> int:
        """clip / step."""
        return (1 << (self.bits - 1)) - 1

    @property
    def _limit(self) -> int:
        """The most steps that a weighted value has, and what is added to make it non-negative."""
        return (self.max_weight or 1) * self._steps

    def _check_weight_sum(self, weight: int, params: Params, survivors: int) -> None:
        smallest, largest = survivors - params.room, survivors * (self.max_weight or 1) + params.room
        if not max(1, smallest) <= weight <= largest:
            raise RemoteProtocolError(f"{survivors} users cannot have sent weights that add up to {weight}")
