"""The sum, or the mean, of clients' vectors under noise that they add together.

Kairouz, Liu and Steinke 2021, Algorithms 1 (client) and 2 (server): a client clips its vector to an L2 norm, rotates it
if asked to, counts it in steps of a grid, rounds at random and again while the result is too long, adds its part of the
noise, and all of it mod R goes into the protocol. The server centres the sum, counts steps back, and undoes the
rotation.

Two things differ. The noise is whichever of Skellam and discrete Gaussian `secagg.dp.Plan.distributed` chooses, counted
on honest survivors alone. And R is so large that the sum of inputs cannot wrap around, and with its noise only with a
chance of 2^-40; the paper lets R be smaller, at the price of rare large errors.

**The grid** costs accuracy in two ways: rounding adds up to 1/4 of a step squared to the variance for each client, and
lengthens vectors, so that they need more noise (`dp.rounded_norm_squared`). By default the norm has as many steps, a
power of two, as keep both below 1 % of the noise's variance, and a weight's steps from being few. Twice as many cost
one bit an entry.

**Rotation** spreads vectors evenly, so that entries are bounded by a small multiple of norm / sqrt(m) in place of the
norm itself. This changes nothing about the noise; it takes n times less room for the inputs in R. It pays where n is
large beside noise / norm, and costs the padding of the vector to a power of two.

**Weights** are as private as what they weigh. A client sends w || w * x, the server divides by the noisy sum of the w,
and the sensitivity is that of both together. A weight counts `weight_steps` steps, chosen so that the error of the mean
is least (see there): in a long vector it costs next to nothing.
"""

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Generic, Self

import numpy as np
from numpy.typing import NDArray

from ..dp import (
    REPORT,
    ApproxDp,
    Neighbours,
    Plan,
    Rounding,
    Sensitivity,
    Unit,
    ZCdp,
    round_vector,
    rounded_norm_squared,
)
from ..dp.calibrate import budget_rho
from ..errors import LocalProtocolError, require
from ..protocol.params import Params, Threat, default_threshold, max_corrupt
from ..protocol.quantize import Arrays, Layout, centred
from ..shamir import RandomBytes
from .rotation import Floats, Rotation, entry_bound, padded_length

STEPS_MAX = 1 << 28  # float64 and `dp.round_vector` count so far
WEIGHT_STEPS_MIN = 4  # of a weight of 1, by default: its share is within 1/8 of the best then
ROUNDING_SHARE = Fraction(1, 100)  # of the noise's variance, by default
LOG_CUT_CHANCE = -40 * math.log(2)  # that rotation leaves any entry of any client's vector too large, and it is cut


@dataclass(frozen=True)
class Release(Generic[Arrays]):
    """A noisy sum.

    Attributes:
        layout: of the model.
        flat: the sum of x_u, or of w_u * x_u with weights, as one flat vector.
        weight: what the mean divides by: the number of survivors, or the noisy sum of weights, cut to what so many
            clients can have sent.
        deviation: standard deviation of the noise in each entry of `sum`.
        over_noise: by which factor its variance exceeds what the guarantee needs, as more clients than are counted on
            added noise.
    """

    layout: Layout[Arrays]
    flat: Floats
    weight: float
    deviation: float
    over_noise: Fraction

    @property
    def sum(self) -> Arrays:
        """`flat` in the model's shapes, float64."""
        return self.layout.restore(self.flat)

    @property
    def mean(self) -> Arrays:
        """sum / weight in the model's shapes, float64."""
        return self.layout.restore(self.flat / self.weight)

    @property
    def mean_deviation(self) -> float:
        """Standard deviation of the noise in each entry of `mean`, the weight's aside."""
        return self.deviation / self.weight


@dataclass(frozen=True, kw_only=True)
class NoisySum(Generic[Arrays]):
    """What all parties of a noisy round agree on before it; clients and server must hold equal ones.

    Attributes:
        layout: the model's shapes; `NoisySum.like` takes them from a model.
        clip: L2 norm that longer models are scaled down to; `clipped` says whether one is.
        budget: what a unit's data may reveal.
        n: number of users.
        survivors: how many inputs are in every sum at least (`Params.min_users`); by default Fig. 5's threshold.
        corrupt: how many clients may add no noise, or tell what they add (`Params.n_corrupt`); by default the most that
            Fig. 5 allows. A client that sees the result counts as one, however honest it is.
        max_weight: the largest weight, for weighted averages; None for plain sums and means.
        rotate: whether vectors are rotated at random; see the module.
        steps: of the grid, in the largest norm, clip * max_weight. By default see the module.
        unit: the privacy unit.
        isochronous: whether samplers' time may not depend on the noise; by default as for `Plan`.

    Raises:
        LocalProtocolError: a value is out of range, or the budget is pure.
    """

    layout: Layout[Arrays]
    clip: float
    budget: ZCdp | ApproxDp
    n: int
    survivors: int = -1
    corrupt: int = -1
    max_weight: int | None = None
    rotate: bool = False
    steps: int = -1
    unit: Unit = REPORT
    isochronous: bool | None = None

    def __post_init__(self) -> None:
        require(self.layout.size > 0, "the model has no values")
        require(1e-200 < self.clip < 1e200, f"clip must be positive (1e-200 .. 1e200), got {self.clip}")
        require(self.n >= 2, f"n must be at least 2, got {self.n}")
        require(self.max_weight is None or self.max_weight >= 1, f"max_weight must be positive, got {self.max_weight}")
        require(
            isinstance(self.budget, ZCdp | ApproxDp),
            f"noise that clients share keeps to no pure budget, such as {self.budget}: give ApproxDp or ZCdp",
        )
        self._fill_defaults()
        require(1 <= self.steps <= STEPS_MAX, f"steps must be 1 .. 2**28, got {self.steps}")

    @classmethod
    def like(cls, model: Arrays, **others: Any) -> Self:
        """For models shaped like this one, an array or a list of arrays; `others` as for `NoisySum`."""
        return cls(layout=Layout.of(model), **others)

    @property
    def step(self) -> float:
        """The distance of neighbouring values of the grid."""
        return self.clip * (self.max_weight or 1) / self.steps

    @property
    def length(self) -> int:
        """m, the length of an encoded vector."""
        return self._weighted + self._vector_length

    @property
    def max_value(self) -> int:
        """The largest element of an encoded vector."""
        return max(2 * self._limit, self.weight_steps * (self.max_weight or 0))

    @cached_property
    def weight_steps(self) -> int:
        """How many steps a weight of 1 is.

        With a = weight_steps * max_weight / steps, the noise's variance grows as 4 + a**2, and the squared error of a
        mean of full norm as (4 + a**2) (d + 1 / a**2) with d entries, which is least at a**4 = 4 / d.
        """
        return max(1, round(_weight_share(self._vector_length) * self.steps / (self.max_weight or 1)))

    @cached_property
    def plan(self) -> Plan:
        """The clients' noise."""
        norm_squared = rounded_norm_squared(self.steps, self._vector_length, Rounding.CONDITIONAL)
        return Plan.distributed(
            self.budget,
            self._sensitivity(norm_squared),
            self.length,
            clients=self.n,
            survivors=self.survivors,
            corrupt=self.corrupt,
            unit=self.unit,
            isochronous=self.isochronous,
        )

    @cached_property
    def central(self) -> Plan:
        """What a trusted server would add to the exact sum at the same budget, in the same steps: for comparison."""
        return Plan.central(self.budget, self._sensitivity(self.steps**2), self.length, unit=self.unit)

    def params(self, **others: Any) -> Params:
        """Parameters of a session that sums encoded vectors and their noise; `others` as for `Params.for_inputs`."""
        return Params.for_inputs(
            self.max_value,
            n=self.n,
            m=self.length,
            noise=self.plan,
            n_corrupt=self.corrupt,
            min_users=self.survivors,
            **others,
        )

    def clipped(self, model: Arrays) -> bool:
        """Whether it is longer than clip, so that encoding scales it down."""
        return _norm(self.layout.flatten(model)) > self.clip * (1 + 1e-12)  # no rounding error of float64

    def encode(
        self, model: Arrays, params: Params, weight: int | None = None, *, rand: RandomBytes = os.urandom
    ) -> NDArray[np.uint64]:
        """x_u, without its noise, for `NoisyClient.set_input`: shape [length], each element 0 .. max_value.

        Args:
            model: shaped like the layout; any real dtype.
            params: the session's, made by `params`; its nonce fixes the rotation.
            weight: w, 1 .. max_weight; with max_weight only.
            rand: source of the random bytes that decide the rounding.

        Raises:
            LocalProtocolError: other shapes, NaN or infinity, a weight out of range, missing or not asked for, or
                parameters that are not this sum's.
        """
        self._check_params(params)
        w = self._checked_weight(weight)
        vector = _scaled(self.layout.flatten(model), self.clip, self.steps * w / (self.max_weight or 1))
        if self.rotate:
            vector = self._rotation(params).apply(vector)
        rounded = round_vector(vector, self.steps, Rounding.CONDITIONAL, rand=rand)
        cut = np.clip(rounded, -self._limit, self._limit)  # towards 0, which no norm grows by
        encoded = cut + self._limit
        return (np.insert(encoded, 0, w * self.weight_steps) if self._weighted else encoded).astype(np.uint64)

    def decode(self, total: NDArray[Any], params: Params, survivors: int) -> Release[Arrays]:
        """What a sum of encoded vectors and their noise stands for.

        Args:
            total: `Server.sum`, shape [length], uint32 or uint64.
            params: the session's, made by `params`.
            survivors: k, how many users' vectors are in the sum.

        Raises:
            LocalProtocolError: the arguments do not belong together.
        """
        self._check_params(params)
        k = survivors
        require(self.survivors <= k <= self.n, f"survivors must be {self.survivors} .. {self.n}, got {k}")
        require(
            total.shape == (params.m,) and total.dtype == params.dtype,
            f"the sum must be {params.dtype} of shape [{params.m}], got {total.dtype} {total.shape}",
        )
        signed = self._signed(total, params, k)
        vector = signed[self._weighted :].astype(np.float64) * self.step
        flat = self._rotation(params).invert(vector) if self.rotate else vector
        weight = self._weight(int(signed[0]), k) if self._weighted else float(k)
        deviation = math.sqrt(self.plan.variance(k)) * self.step
        return Release(self.layout, flat, weight, deviation, self.plan.over_noise(k))

    @property
    def _weighted(self) -> int:
        """How many elements carry the weight."""
        return int(self.max_weight is not None)

    @property
    def _vector_length(self) -> int:
        return padded_length(self.layout.size) if self.rotate else self.layout.size

    @cached_property
    def _limit(self) -> int:
        """The most steps that an entry has, and what is added to make it non-negative."""
        if not self.rotate:
            return self.steps
        bound = entry_bound(self.steps, self._vector_length, LOG_CUT_CHANCE - math.log(self.n))
        return min(self.steps, math.ceil(bound))

    def _fill_defaults(self) -> None:
        if self.corrupt == -1:
            object.__setattr__(self, "corrupt", max_corrupt(self.n))
        if self.survivors == -1:
            object.__setattr__(self, "survivors", default_threshold(self.n, Threat.COLLUDING, self.corrupt))
        if self.steps == -1:
            object.__setattr__(self, "steps", self._default_steps())

    def _default_steps(self) -> int:
        """The least power of two for which rounding costs at most ROUNDING_SHARE of the noise; see the module."""
        length, rho, steps = self._vector_length, budget_rho(self.budget), 1
        least = WEIGHT_STEPS_MIN * (self.max_weight or 0) / _weight_share(length)
        while steps < STEPS_MAX:
            least_noise = 2 * steps**2 / rho  # L2**2 / (2 rho), with L2 = 2 * steps
            longer = rounded_norm_squared(steps, length, Rounding.CONDITIONAL) - steps**2
            fine = Fraction(self.n, 4) <= ROUNDING_SHARE * least_noise and longer <= ROUNDING_SHARE * steps**2
            if fine and steps >= least:
                break
            steps *= 2
        return steps

    def _sensitivity(self, norm_squared: int) -> Sensitivity:
        relation = Neighbours.REPLACE_ONE
        vector = Sensitivity.l2_bounded(norm_squared, self._vector_length, relation, signed=True)
        if self.max_weight is None:
            return vector
        # A weight of its own even where all are 1: what is sent is noised, whatever it is.
        most, least = self.max_weight * self.weight_steps, min(1, self.max_weight - 1) * self.weight_steps
        return vector.beside(Sensitivity.sum(most, relation, min_value=least))

    def _rotation(self, params: Params) -> Rotation:
        return Rotation(self.layout.size, params.nonce)

    def _check_params(self, params: Params) -> None:
        fits = (params.n, params.m, params.max_value) == (self.n, self.length, self.max_value)
        require(fits, "params were not made by this sum")
        params.check_noise(self.plan)

    def _checked_weight(self, weight: int | None) -> int:
        if weight is None and self.max_weight is None:
            return 1
        if weight is None or self.max_weight is None:
            raise LocalProtocolError("a weight goes with a sum that has max_weight, and only with such a one")
        in_range = isinstance(weight, int | np.integer) and 1 <= weight <= self.max_weight
        require(in_range, f"weight must be an integer 1 .. {self.max_weight}")
        return int(weight)

    def _signed(self, total: NDArray[Any], params: Params, k: int) -> NDArray[np.int64]:
        """The sum in steps, noise included: every entry is within room of what k inputs can add up to."""
        offset = np.full(self.length, k * self._limit, params.dtype)
        middle = k * self.weight_steps * (self.max_weight or 0) // 2
        offset[: self._weighted] = middle
        signed = centred(total, offset, params.modulus)
        signed[: self._weighted] += middle
        return signed

    def _weight(self, steps: int, k: int) -> float:
        """The noisy sum of weights, as k clients can have sent it."""
        return min(max(steps / self.weight_steps, k), k * (self.max_weight or 1))


def _weight_share(length: int) -> float:
    """The largest weight's share of the largest norm; see `NoisySum.weight_steps`."""
    return math.sqrt(math.sqrt(4 / length))


def _norm(values: Floats) -> float:
    """L2, also where squares would overflow or vanish."""
    peak = float(np.abs(values).max())
    return peak * float(np.linalg.norm(values / peak)) if peak > 0 else 0.0


def _scaled(values: Floats, clip: float, norm: float) -> Floats:
    """values, of L2 norm at most `clip` once longer ones are scaled down, as ones of norm at most `norm`."""
    peak = float(np.abs(values).max())
    if peak == 0:
        return values
    direction = values / peak
    length = float(np.linalg.norm(direction))
    return direction * (norm * min(peak / clip, 1 / length))
