"""Quantization: model updates as vectors over Z_R, and sums of these vectors as sums and means of updates.

A value x in [-clip, clip] becomes an integer number of steps, where step = clip / (2**(bits-1) - 1); 0 is a whole
number of steps and stays 0. Clients add an offset, because the protocol takes no negative input, and the number of
survivors gives the offset of a sum. Rounding is stochastic: a value goes to the step below or above, with the chances
that make it right on average. So errors cancel over clients and rounds, and do not add up to a drift.

Weighted averages follow the paper's appendix C. A client sends w || w*x, and the server divides by the sum of the w,
which is masked like all other entries. There are two ways to quantize w*x. If x is rounded first, the error is up to w
steps. This module rounds the product, and the error is below one step for every w. Both ways need the same R, at least
2 * n * max_weight * clip/step. So rounding the product makes a mean over k clients more precise by the average weight:
the error is below k/W steps, where W is the sum of weights, and not one step. Every client adds the same offset, that
of the largest weight: if the offset grew with w, an error of 1 in W (such as noise) would move the whole model.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import convert, flag, real, whole
from ..errors import RemoteProtocolError, require
from ..rounding import quantize
from ..shamir import RandomBytes
from .binding import Binding, Plain
from .encoding import DecodedSum, Encoding
from .layout import Arrays, Layout
from .params import NoisePlan, Params


@dataclass(frozen=True)
class Aggregate(DecodedSum[Arrays]):
    """The sum of the survivors' inputs.

    Attributes:
        layout: the layout of the model.
        flat: the sum of x_u, or of w_u * x_u with weights, as one flat vector, float64.
        weight: W, the sum of weights; without weights, the number of survivors.
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
        clip: values are clipped to [-clip, clip] first; `clipped` counts the values that this changes.
        bits: bits of one value before it is weighted, 2 .. 53: 2**bits - 1 values from -clip to clip are distinguished.
        max_weight: the largest weight, for weighted averages; None for plain sums and means. It is public. A malicious
            client can lie about its weight, and exceed it.
        stochastic: True to round at random, right on average; False to round to the nearest step, with half the error
            bound.

    Raises:
        LocalProtocolError: a value is out of range, or max_weight * 2**bits exceeds 2**53, the precision of float64.
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
        """Parameters of a session that sums encoded vectors, bound to this quantizer.

        Args:
            n: number of users.
            noise: the plan of noise that clients add, without weights only; see `Params.for_inputs`.
            context: what else the session is bound to; see `bind`.
            others: further arguments of `Params`.

        Raises:
            LocalProtocolError: the context is too long, or there is a plan of noise although there are weights. Weights
                are as private as values, so that noise must cover them too, and their sensitivity is another: see
                `secagg.noisy.NoisySum`.
        """
        require(
            noise is None or not self._weighted,
            "a quantizer with weights takes no plan of noise, because noise must cover the weights as well:"
            " for weighted averages with noise use secagg.noisy.NoisySum(max_weight=...)",
        )
        return Params.for_inputs(self.max_value, n=n, m=self.length, noise=noise, context=self.bind(context), **others)

    def clipped(self, model: Arrays) -> int:
        """How many values are outside [-clip, clip], so that encoding clips them.

        Args:
            model: an update, shaped like the quantizer's layout.
        """
        return int(np.count_nonzero(np.abs(self.layout.flatten(model)) > self.clip))

    def encode(self, model: Arrays, weight: int | None = None, *, rand: RandomBytes = os.urandom) -> NDArray[np.uint64]:
        """Encode an update as x_u for `Client.set_input`.

        Args:
            model: the update, shaped like the quantizer's layout; any real dtype.
            weight: w, 1 .. max_weight, such as the number of training examples; None if and only if max_weight is.
            rand: source of the random bytes that decide the rounding, 4 for each value.

        Returns:
            uint64[length], each element 0 .. max_value.

        Raises:
            LocalProtocolError: the shapes are others, a value is NaN or infinite, or the weight is out of range,
                missing or not asked for.
        """
        w = self._checked_weight(weight)
        values = self.layout.flatten(model)
        encoded = np.empty(self.length, np.uint64)  # w || w * x, with the offset added
        encoded[: self._weighted] = w
        quantize(
            encoded[self._weighted :],
            values,
            clip=self.clip,
            scale=w * self._steps,
            offset=self._limit,
            rand=rand if self.stochastic else None,
        )
        return encoded

    def decode(
        self, total: NDArray[Any], params: Params, survivors: int, *, unbound: bool = False
    ) -> Aggregate[Arrays]:
        """Decode a sum of encoded vectors.

        Args:
            total: `Server.sum`, shape [length], uint32 or uint64.
            params: the session's parameters, made by `params`, or by hand with a context from `bind`. Noise that they
                leave room for is decoded as part of the sum.
            survivors: k, the number of users whose vectors are in the sum.
            unbound: accept parameters that name no quantizer. It is not checked then that clients encoded with an equal
                quantizer, and if they did not, the result is wrong without an error.

        Raises:
            LocalProtocolError: the arguments do not belong together. If the session is bound to another quantizer, the
                error says what differs.
            RemoteProtocolError: k users cannot have sent weights with this sum.
        """
        total, k = self._checked_sum(total, params, survivors, unbound, fewest=1)

        # The sum of the w * x in steps, and W: k users can have sent it, noise aside.
        signed = self._signed(total, params, k)
        weight = int(signed[0]) if self._weighted else k
        self._check_weight_sum(weight, params, k)
        flat = signed[self._weighted :].astype(np.float64) * self.step
        return Aggregate(self.layout, flat, weight, self.error_bound(k))

    def error_bound(self, survivors: int) -> float:
        """Bound on the absolute error of each element of a sum of (weighted) clipped values.

        It is k steps for stochastic rounding and half as many for rounding to the nearest step, plus the rounding of
        float64 itself, which only matters when max_weight * 2**bits comes near 2**50. The error of a mean is W times
        smaller.

        Args:
            survivors: k, the number of users whose values are in the sum.
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
        """The largest magnitude of a weighted value in steps, which is also the offset."""
        return (self.max_weight or 1) * self._steps

    def _check_weight_sum(self, weight: int, params: Params, survivors: int) -> None:
        smallest, largest = survivors - params.room, survivors * (self.max_weight or 1) + params.room
        if not max(1, smallest) <= weight <= largest:
            raise RemoteProtocolError(f"{survivors} users cannot have sent weights that add up to {weight}")
