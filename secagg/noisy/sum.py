"""The sum, or the mean, of clients' vectors with noise that they add together.

The method is that of Kairouz, Liu and Steinke 2021, Algorithms 1 (client) and 2 (server). A client clips its vector to
an L2 norm, rotates it if the parties agreed on that, counts it in steps of a grid, and rounds it at random, again while
the result is too long. It adds its share of the noise, and gives the result mod R to the protocol. The server centres
the sum, counts steps back to values, and undoes the rotation.

Two things differ from the paper. The noise is Skellam, Polya or discrete Gaussian noise, as
`secagg.dp.Plan.distributed` chooses, and only honest survivors' noise counts. And R is so large that the sum of inputs
cannot wrap around, and the sum with its noise wraps around with a chance of at most 2^-40; the paper lets R be smaller,
at the price of rare large errors.

**The grid** costs accuracy in two ways. Rounding adds up to 1/4 of a squared step to the variance for each client, and
it lengthens vectors, so that they need more noise (`dp.rounded_norm_squared`). By default the norm has so many steps, a
power of two, that both stay below 1 % of the noise's variance and a weight has more than a few steps. Twice as many
steps cost one bit an entry.

**Rotation** spreads vectors evenly, so that their entries are bounded by a small multiple of norm / sqrt(m), and not by
the norm itself. The noise stays the same, but the inputs take less room in R. This pays where n is large compared with
noise / norm. It costs the padding of the vector to a power of two (`PaddingWarning`).

**Weights** are as private as values. A client sends w || w * x, the server divides by the noisy sum of the w, and the
sensitivity is that of both together. A weight of 1 has `weight_steps` steps, which make the error of the mean as small
as possible. In a long vector the weight costs almost nothing.
"""

import math
import os
import warnings
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import assign, convert, flag, optional, real, unchecked, whole
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
from ..dp.exact import fraction
from ..errors import LocalProtocolError, require
from ..protocol.binding import Binding, Plain, check_numbers
from ..protocol.encoding import DecodedSum, Encoding
from ..protocol.layout import Arrays, Floats, Layout
from ..protocol.params import Params
from ..protocol.thresholds import Threat, default_threshold, max_corrupt
from ..shamir import RandomBytes
from .bound import Ball
from .rotation import Rotation, entry_bound, padded_length

STEPS_MAX = 1 << 28  # float64 and `dp.round_vector` count so far
WEIGHT_STEPS_MIN = 4  # steps of a weight of 1, by default: its share is within 1/8 of the best then
ROUNDING_SHARE = Fraction(1, 100)  # rounding's share of the noise's variance, by default
PADDING_SHARE = Fraction(1, 10)  # the share of a masked vector's bytes from which padding is worth a warning
LOG_CUT_CHANCE = -40 * math.log(2)  # log of the chance that rotation leaves any entry of any vector too large


class PaddingWarning(UserWarning):
    """Rotation makes every client's message noticeably longer."""


@dataclass(frozen=True)
class Release(DecodedSum[Arrays]):
    """A decoded sum with noise.

    Attributes:
        layout: the layout of the model.
        flat: the sum of x_u, or of w_u * x_u with weights, as one flat vector, float64.
        weight: what the mean divides by: the number of survivors; with weights, the noisy sum of weights, cut to what
            so many clients can have sent.
        deviation: standard deviation of the noise in each entry of `sum`.
        over_noise: the factor by which the noise's variance exceeds what the guarantee needs, because more clients
            added noise than the plan counts on.
    """

    deviation: float
    over_noise: Fraction

    def __post_init__(self) -> None:
        super().__post_init__()
        convert(self, real, "weight", "deviation")
        convert(self, fraction, "over_noise")

    @property
    def mean_deviation(self) -> float:
        """Standard deviation of the noise in each entry of `mean`, apart from the noise of the weight."""
        return self.deviation / self.weight


@dataclass(frozen=True, init=False)
class NoisySum(Encoding[Arrays]):
    """What all parties of a round with noise agree on before it; clients and server must hold equal ones.

    A value that is None or left out is computed when the object is made.

    Attributes:
        layout: the model's shapes; `NoisySum.like` takes them from a model.
        clip: the L2 norm to which longer models are scaled down; `clipped` says whether a model is.
        budget: what a unit's data may reveal.
        n: number of users, 2 or more.
        survivors: the smallest number of inputs in a sum (`Params.min_users`); by default Fig. 5's threshold.
        corrupt: how many clients may add no noise, or reveal it (`Params.n_corrupt`); by default the largest number
            that Fig. 5 allows. A client that sees the result counts as corrupt, even if it is honest.
        max_weight: the largest weight, for weighted averages; None for plain sums and means.
        rotate: whether vectors are rotated at random; see the module.
        steps: how many steps of the grid the largest norm, clip * max_weight, has: 1 .. 2**28. For the default see the
            module.
        unit: the privacy unit.
        isochronous: whether the samplers' time must not depend on the noise; by default as for `Plan`.
        rounds: how many sums the budget is for.
        per_client: the most of them that one client joins; by default all. Its own ledger enforces it: `plan.ledger`.

    Raises:
        LocalProtocolError: a value is out of range, or the budget is pure.

    Warns:
        PaddingWarning: rotation pads the vector to a power of two, and a masked vector takes at least a tenth more
            bytes than without rotation.
    """

    layout: Layout[Arrays]
    clip: float
    budget: ZCdp | ApproxDp
    n: int
    survivors: int
    corrupt: int
    max_weight: int | None
    rotate: bool
    steps: int
    unit: Unit
    isochronous: bool | None
    rounds: int
    per_client: int

    def __init__(
        self,
        *,
        layout: Layout[Arrays],
        clip: float,
        budget: ZCdp | ApproxDp,
        n: int,
        survivors: int | None = None,
        corrupt: int | None = None,
        max_weight: int | None = None,
        rotate: bool = False,
        steps: int | None = None,
        unit: Unit = REPORT,
        isochronous: bool | None = None,
        rounds: int = 1,
        per_client: int | None = None,
    ) -> None:
        assign(self, unchecked, layout=layout, budget=budget, unit=unit)
        assign(self, real, clip=clip)
        assign(self, whole, n=n)
        assign(self, optional(whole), max_weight=max_weight)
        assign(self, flag, rotate=rotate)
        assign(self, optional(flag), isochronous=isochronous)
        assign(self, whole, rounds=rounds)
        assign(self, whole, per_client=self.rounds if per_client is None else per_client)
        # What the caller gives, whole and in range.
        self._check_settings()
        require(self.n >= 2, f"n must be at least 2, got {self.n}")
        require(
            1 <= self.per_client <= self.rounds,
            f"1 <= per_client <= rounds must hold, got {self.per_client} and {self.rounds}",
        )
        require(
            isinstance(self.budget, ZCdp | ApproxDp),
            f"noise that clients share cannot keep a pure budget such as {self.budget}: give ApproxDp or ZCdp",
        )

        # Who shares the noise, by Fig. 5 of the protocol's paper where it is left out.
        assign(self, whole, corrupt=max_corrupt(self.n) if corrupt is None else corrupt)
        threshold = default_threshold(self.n, Threat.COLLUDING, self.corrupt)
        assign(self, whole, survivors=threshold if survivors is None else survivors)
        require(
            0 <= self.corrupt < self.survivors <= self.n,
            f"0 <= corrupt < survivors <= n must hold, got {self.corrupt}, {self.survivors} and {self.n}",
        )

        # The grid, which depends on all of this.
        assign(self, whole, steps=self._default_steps() if steps is None else steps)
        require(1 <= self.steps <= STEPS_MAX, f"steps must be 1 .. 2**28, got {self.steps}")
        if self._vector_length > self.layout.size:
            self._warn_of_padding(steps)

    @property
    def step(self) -> float:
        """The distance of neighbouring values of the grid: clip * max_weight / steps."""
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
        """How many steps a weight of 1 has.

        With a = weight_steps * max_weight / steps, the noise's variance grows as 4 + a**2, and the squared error of a
        mean of full norm as (4 + a**2) (d + 1 / a**2) with d entries. The minimum is at a**4 = 4 / d.
        """
        return max(1, round(_weight_share(self._vector_length) * self.steps / (self.max_weight or 1)))

    @cached_property
    def plan(self) -> Plan:
        """The plan of the clients' noise."""
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
            rounds=self.rounds,
            per_client=self.per_client,
        )

    @cached_property
    def central(self) -> Plan:
        """For comparison: the noise that a trusted server would add to the exact sum at the same budget, in steps."""
        return Plan.central(
            self.budget,
            self._sensitivity(self.steps**2),
            self.length,
            unit=self.unit,
            rounds=self.rounds,
            per_client=self.per_client,
        )

    @cached_property
    def bound(self) -> Ball:
        """The encoded vectors, weight included, for which the plan's sensitivity holds."""
        doubled_centre: NDArray[np.int64] | int = 2 * self._limit
        if self._weighted:
            doubled_centre = np.full(self.length, doubled_centre, np.int64)
            doubled_centre[0] = sum(self._weight_range)
        return Ball(self.plan.sensitivity, doubled_centre)

    def params(self, *, context: bytes = b"", **others: Any) -> Params:
        """Parameters of a session that sums encoded vectors and their noise, bound to this noisy sum.

        Args:
            context: what else the session is bound to; see `bind`.
            others: further arguments of `Params`.

        Raises:
            LocalProtocolError: the context is too long, the budget is too small for any R, or `Params` refuses an
                argument.
        """
        return Params.for_inputs(
            self.max_value,
            n=self.n,
            m=self.length,
            noise=self.plan,
            n_corrupt=self.corrupt,
            min_users=self.survivors,
            context=self.bind(context),
            **others,
        )

    def clipped(self, model: Arrays) -> bool:
        """Whether a model is longer than clip, so that encoding scales it down.

        Args:
            model: shaped like the layout.
        """
        return _norm(self.layout.flatten(model)) > self.clip * (1 + 1e-12)  # no rounding error of float64

    def encode(
        self,
        model: Arrays,
        params: Params,
        weight: int | None = None,
        *,
        rand: RandomBytes = os.urandom,
        unbound: bool = False,
    ) -> NDArray[np.uint64]:
        """Encode a model as x_u, without noise, for `NoisyClient.set_input`.

        Args:
            model: shaped like the layout; any real dtype.
            params: the session's parameters, made by `params`, or by hand with a context from `bind`; their nonce
                determines the rotation.
            weight: w, 1 .. max_weight; None if and only if max_weight is.
            rand: source of the random bytes that decide the rounding.
            unbound: accept parameters that name no noisy sum; see `decode`.

        Returns:
            uint64[length], each element 0 .. max_value.

        Raises:
            LocalProtocolError: the shapes are others, a value is NaN or infinite, the weight is out of range, missing
                or not asked for, or the parameters are not this sum's. If the session is bound to another sum, the
                error says what differs.
        """
        self._check_params(params, unbound)
        w = self._checked_weight(weight)

        # Algorithm 1: clip w * x to the norm, in steps of the grid, and flatten it: H D x / sqrt(d).
        vector = _scaled(self.layout.flatten(model), self.clip, self.steps * w / (self.max_weight or 1))
        if self.rotate:
            vector = self._rotation(params).apply(vector)

        # Round at random, again while the result is longer than the sensitivity allows.
        rounded = round_vector(vector, self.steps, Rounding.CONDITIONAL, rand=rand)

        # Entries that rotation leaves too large are cut towards 0, which lengthens no vector.
        cut = np.clip(rounded, -self._limit, self._limit)
        return self._offset_vector(cut, w * self.weight_steps)

    def decode(self, total: NDArray[Any], params: Params, survivors: int, *, unbound: bool = False) -> Release[Arrays]:
        """Decode a sum of encoded vectors and their noise.

        Args:
            total: `Server.sum`, shape [length], uint32 or uint64.
            params: the session's parameters, made by `params`, or by hand with a context from `bind`.
            survivors: k, the number of users whose vectors are in the sum.
            unbound: accept parameters that name no noisy sum. It is not checked then that clients encoded with an equal
                one, and if they did not, the result is wrong without an error.

        Raises:
            LocalProtocolError: the arguments do not belong together. If the session is bound to another sum, the error
                says what differs.
        """
        # Algorithm 2: centre the sum mod R, count steps back to values, and undo the rotation.
        total, k = self._checked_sum(total, params, survivors, unbound, fewest=self.survivors)
        signed = self._signed(total, params, k)
        vector = signed[self._weighted :].astype(np.float64) * self.step
        flat = self._rotation(params).invert(vector) if self.rotate else vector

        # The mean divides by the noisy sum of weights, or by the number of survivors.
        weight = self._weight(int(signed[0]), k) if self._weighted else float(k)
        deviation = math.sqrt(self.plan.variance(k)) * self.step
        return Release(self.layout, flat, weight, deviation, self.plan.over_noise(k))

    @property
    def _vector_length(self) -> int:
        return padded_length(self.layout.size) if self.rotate else self.layout.size

    @cached_property
    def _limit(self) -> int:
        """The largest magnitude of an entry in steps, which is also the offset of every entry."""
        if not self.rotate:
            return self.steps
        bound = entry_bound(self.steps, self._vector_length, LOG_CUT_CHANCE - math.log(self.n))
        return min(self.steps, math.ceil(bound))

    def _warn_of_padding(self, asked_steps: int | None) -> None:
        try:
            padded = self.params().packed_size
            others = {field.name: getattr(self, field.name) for field in fields(self)}
            plain = type(self)(**others | {"rotate": False, "steps": asked_steps}).params().packed_size
        except LocalProtocolError:
            return  # one of the two is impossible; `plan` or `params` raises the error when it is asked for
        if padded > (1 + PADDING_SHARE) * plain:
            text = (
                f"rotation pads {self.layout.size:,} entries to {self._vector_length:,}, and every masked vector from"
                f" {plain:,} bytes to {padded:,}; leave out rotation (rotate=False), which hardly changes the noise, or"
                " use the padding for more entries"
            )
            warnings.warn(text, PaddingWarning, stacklevel=3)  # of __init__ and its caller

    def _default_steps(self) -> int:
        """The smallest power of two for which rounding costs at most ROUNDING_SHARE of the noise; see the module."""
        length, rho, steps = self._vector_length, budget_rho(self.budget) / self.per_client, 1
        steps_for_weights = WEIGHT_STEPS_MIN * (self.max_weight or 0) / _weight_share(length)
        while steps < STEPS_MAX:
            noise_variance = 2 * steps**2 / rho  # L2**2 / (2 rho), with L2 = 2 * steps
            # Rounding adds n / 4 to the variance, and its lengthening of vectors needs more noise; both must be small.
            lengthening = rounded_norm_squared(steps, length, Rounding.CONDITIONAL) - steps**2
            fine = Fraction(self.n, 4) <= ROUNDING_SHARE * noise_variance and lengthening <= ROUNDING_SHARE * steps**2
            if fine and steps >= steps_for_weights:
                break
            steps *= 2
        return steps

    def _sensitivity(self, norm_squared: int) -> Sensitivity:
        relation = Neighbours.REPLACE_ONE
        vector = Sensitivity.l2_bounded(norm_squared, self._vector_length, relation, signed=True)
        if self.max_weight is None:
            return vector
        smallest, largest = self._weight_range
        return vector.beside(Sensitivity.sum(largest, relation, min_value=smallest))

    @property
    def _weight_range(self) -> tuple[int, int]:
        """The smallest and the largest weight in steps. Where all weights are 1 the range still begins at 0: what is
        sent gets noise, whatever it is."""
        largest = self.max_weight or 1
        return min(1, largest - 1) * self.weight_steps, largest * self.weight_steps

    def _rotation(self, params: Params) -> Rotation:
        return Rotation(self.layout.size, params.nonce)

    @cached_property
    def _binding(self) -> Binding:
        terms: dict[str, Plain] = {
            "layout": self.layout.form,
            "clip": float(self.clip),
            "budget": _form(self.budget),
            "n": int(self.n),
            "survivors": int(self.survivors),
            "corrupt": int(self.corrupt),
            "max_weight": None if self.max_weight is None else int(self.max_weight),
            "rotate": bool(self.rotate),
            "steps": int(self.steps),
            "unit": [int(self.unit.reports), self.unit.span],
            "isochronous": bool(self.plan.isochronous),
            "law": type(self.plan.law).__name__,
        }
        if self.rounds > 1:
            terms.update(rounds=int(self.rounds), per_client=int(self.per_client))
        return Binding("noisy sum", terms)

    def _check_params(self, params: Params, unbound: bool) -> None:
        super()._check_params(params, unbound)
        check_numbers(self._binding.kind, {"n": (params.n, self.n)})
        params.check_noise(self.plan)

    def _weight_middle(self, k: int) -> int:
        """Noise can take the sum of weights below 0 and above what k clients can have sent."""
        return k * self.weight_steps * (self.max_weight or 0) // 2

    def _weight(self, steps: int, k: int) -> float:
        """The noisy sum of weights, cut to what k clients can have sent."""
        return min(max(steps / self.weight_steps, k), k * (self.max_weight or 1))


def _form(budget: ZCdp | ApproxDp) -> Plain:
    """The kind of a budget and its exact fractions."""
    return [type(budget).__name__, *(str(getattr(budget, field.name)) for field in fields(budget))]


def _weight_share(length: int) -> float:
    """The largest weight's share of the largest norm; see `NoisySum.weight_steps`."""
    return math.sqrt(math.sqrt(4 / length))


def _norm(values: Floats) -> float:
    """The L2 norm, also where squares would overflow or vanish."""
    peak = float(np.abs(values).max())
    return peak * float(np.linalg.norm(values / peak)) if peak > 0 else 0.0


def _scaled(values: Floats, clip: float, norm: float) -> Floats:
    """The values, clipped to an L2 norm of `clip`, in units in which `clip` is `norm`."""
    peak = float(np.abs(values).max())
    if peak == 0:
        return values
    direction = values / peak
    length = float(np.linalg.norm(direction))
    return direction * (norm * min(peak / clip, 1 / length))
