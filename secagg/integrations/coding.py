"""How a node's update becomes a vector over Z_R: what site and server must hold alike.

A vector is [w ||] w * (change of the arrays || scaled means) || digits of counts. The first two parts are what a
`Quantizer` or, with noise, a `NoisySum` makes of one flat array; digits are whole numbers beside it, with the same R.
Everything that enters it is bound into `Params.context`: the encoding, the model's form, the metrics, a hash of the
model that was sent to be trained, and one of what steers its training beside it, so that no two nodes in one session
were sent different models, or different learning rates.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import array as plain_array
from ..arguments import convert, flag, octets, optional, real, whole
from ..dp import ApproxDp, Plan, ZCdp
from ..errors import ArgumentTypeError, LocalProtocolError, require
from ..noisy import NoisySum
from ..protocol.binding import Binding
from ..protocol.layout import Floats, Layout
from ..protocol.params import Params
from ..protocol.quantize import Quantizer
from ..shamir import RandomBytes
from .arrays import Arrays, ModelForm, digest
from .metrics import (
    Metric,
    Value,
    check_reported,
    counted,
    digits,
    digits_width,
    is_whole,
    means_width,
    refuse_counts,
    scaled,
    unscaled,
)

__all__ = ["Coding", "Metric", "Noise", "Update"]

_OTHER_KIND = {
    False: "the session is not one of updates without noise, as this site adds none",
    True: "the session is not one of updates with noise, which this site adds",
}
METRICS_SHARE = 8  # with noise, all means together have at most this fraction of the norm


@dataclass(frozen=True, eq=False)
class Update:
    """What training gives.

    Attributes:
        arrays: the model after training, by name.
        weight: how much it counts, such as the number of examples; None where nothing is weighted.
        metrics: what else the node reports, by name.
    """

    arrays: Arrays
    weight: int | None = None
    metrics: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        convert(self, whole, "weight")
        arrays = {name: plain_array(values, f"array {name!r}") for name, values in self.arrays.items()}
        metrics = {name: _plain(value, f"metric {name!r}") for name, value in self.metrics.items()}
        object.__setattr__(self, "arrays", arrays)
        object.__setattr__(self, "metrics", metrics)


def _plain(value: Any, name: str) -> Value:
    """A metric as plain numbers, NaN and infinity among them: whoever sums it says what is wrong with these."""
    if isinstance(value, list):
        listed: Any = [_plain(each, name) for each in value]
        return listed  # type: ignore[no-any-return]
    if isinstance(value, float | np.floating):
        return float(value)
    with suppress(ArgumentTypeError):
        return whole(value, name)
    return real(value, name)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise that the nodes add together: what rounds may reveal of a node's updates, its weights and its metrics.

    Attributes:
        budget: of one round, or of all `rounds` together.
        rotate: see `NoisySum`.
        steps: see `NoisySum`; None for its default.
        rounds: how many rounds the budget is for. Evaluations are rounds, too.
        per_client: the most of them that one node joins, which its ledger enforces; None for all.

    Raises:
        LocalProtocolError: this is no budget that noise of several parties can keep to, or 1 <= per_client <= rounds
            does not hold.
    """

    budget: ZCdp | ApproxDp
    rotate: bool = False
    steps: int | None = None
    rounds: int = 1
    per_client: int | None = None

    def __post_init__(self) -> None:
        convert(self, flag, "rotate")
        convert(self, whole, "rounds")
        convert(self, optional(whole), "steps", "per_client")
        require(isinstance(self.budget, ZCdp | ApproxDp), "the budget of a round must be an ApproxDp or a ZCdp")
        require(
            1 <= self.joined <= self.rounds,
            f"1 <= per_client <= rounds must hold, got {self.joined} and {self.rounds}",
        )

    @property
    def joined(self) -> int:
        """The most rounds that one node joins."""
        return self.rounds if self.per_client is None else self.per_client


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How updates are encoded; the same at every site and at the server.

    Attributes:
        clip: the largest change of a value in one round; larger ones are clipped. With noise, the L2 norm of the whole
            change, to which longer ones are scaled down.
        bits: of one value before it is weighted; see `Quantizer`. Noise has its own grid.
        max_weight: the largest weight of a node, for weighted means; None for plain means.
        stochastic: whether values are rounded at random; see `Quantizer`.
        metrics: by name, what nodes report beside the model.
        left_out: names of arrays, or patterns such as "*.num_batches_tracked", that are not averaged: they stay as the
            server sent them.
        noise: None for none.

    Raises:
        LocalProtocolError: a value is out of range, or there are counts with noise.
    """

    clip: float
    bits: int = 16
    max_weight: int | None = None
    stochastic: bool = True
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    left_out: Collection[str] = ()
    noise: Noise | None = None

    def __post_init__(self) -> None:
        convert(self, real, "clip")
        convert(self, whole, "bits", "max_weight")
        convert(self, flag, "stochastic")
        if isinstance(self.left_out, str):
            raise ArgumentTypeError("left_out must be a list of names, not one name")
        object.__setattr__(self, "metrics", dict(self.metrics))
        object.__setattr__(self, "left_out", tuple(self.left_out))
        self._quantizer(1)  # which checks the numbers
        if self.noise is not None:
            refuse_counts(self.metrics)

    def fitted(self, received: Arrays, task: bytes) -> "RoundCoding":
        """The coding of one round.

        Args:
            received: the model that is sent to be trained, by name.
            task: all that steers its training besides; see `encoded_task`.

        Raises:
            LocalProtocolError: an array cannot be averaged, or there is nothing to average.
        """
        hashed = sha256(b"secagg task v1\0" + octets(task, "task")).hexdigest()
        return RoundCoding(self, ModelForm.of(received, self.left_out), digest(received), hashed)

    def of_evaluation(self, metrics: Mapping[str, Metric]) -> "Coding":
        """The coding of an evaluation, of which metrics alone are summed.

        Args:
            metrics: by name, what nodes report of it; at least one mean.

        Raises:
            LocalProtocolError: there is no mean, or there are counts with noise.
        """
        require(means_width(metrics) > 0, "an evaluation needs a metric that is a mean, such as the loss")
        return replace(self, metrics=metrics, left_out=("*",))

    def _quantizer(self, length: int) -> Quantizer[NDArray[Any]]:
        return Quantizer(
            layout=_flat(length),
            clip=self.clip,
            bits=self.bits,
            max_weight=self.max_weight,
            stochastic=self.stochastic,
        )

    def _noisy_sum(self, length: int, *, n: int, survivors: int | None, corrupt: int | None) -> NoisySum[NDArray[Any]]:
        if self.noise is None:
            raise LocalProtocolError("there is no noise")
        return NoisySum(
            layout=_flat(length),
            clip=self.clip,
            budget=self.noise.budget,
            n=n,
            survivors=survivors,
            corrupt=corrupt,
            max_weight=self.max_weight,
            rotate=self.noise.rotate,
            steps=self.noise.steps,
            rounds=self.noise.rounds,
            per_client=self.noise.per_client,
        )

    def saved_plan(self, params: Params) -> NoisySum[NDArray[Any]]:
        """A noisy sum of the same cost as the one that a session was made for, where the model is no longer at hand.

        What noise costs depends on the length of vectors, padding included, and not on what the model looked like.

        Args:
            params: the session's parameters.

        Raises:
            LocalProtocolError: there is no noise, or no noisy sum has these parameters.
        """
        if self.noise is None:
            raise LocalProtocolError("there is no noise")
        length = params.m - (self.max_weight is not None)
        flat = replace(self, noise=replace(self.noise, rotate=False))
        return flat._noisy_sum(length, n=params.n, survivors=params.min_users, corrupt=params.n_corrupt)


@dataclass(frozen=True)
class Decoded:
    """What a sum of encoded updates stands for.

    Attributes:
        change: the mean change, one flat vector.
        weight: the sum of weights; without weights, how many nodes are in the sum.
        metrics: by name.
        mean_error: bound on the absolute error of each value of `change`; None with noise.
        deviation: standard deviation of the noise in each value of `change`; None without noise.
    """

    change: Floats
    weight: float
    metrics: dict[str, Value]
    mean_error: float | None
    deviation: float | None


@dataclass(frozen=True)
class RoundCoding:
    """The coding of one round, with the model that it is about.

    Attributes:
        coding: what site and server have agreed on.
        form: the model's.
        digest: the model's hash.
        task: the hash of what steers training beside the model.
    """

    coding: Coding
    form: ModelForm
    digest: str
    task: str

    def __post_init__(self) -> None:
        require(self.length > 0, "there is nothing to average: the model has no values, and there are no means")

    @property
    def length(self) -> int:
        """Of the flat vector: the values of the arrays, and the means."""
        return self.form.size + means_width(self.coding.metrics)

    def params(self, n: int, *, application: bytes = b"", **others: Any) -> Params:
        """Parameters of a session of n nodes.

        Args:
            n: how many nodes are invited.
            application: what else the session is bound to.
            others: further arguments of `Params`, such as nonce, model, threat, n_corrupt, t, min_users.

        Raises:
            LocalProtocolError: there are no such parameters.
        """
        context = self._binding.bind(octets(application, "application"))
        if self.coding.noise is not None:
            survivors, corrupt = others.pop("min_users", None), others.pop("n_corrupt", None)
            encoding = self.coding._noisy_sum(self.length, n=n, survivors=survivors, corrupt=corrupt)
            return encoding.params(context=context, **others)
        quantizer = self._plain
        return Params.for_inputs(
            quantizer.max_value, n=n, m=quantizer.length + self._tail, context=quantizer.bind(context), **others
        )

    def check(self, params: Params, application: bytes | None = None) -> None:
        """Check that a session's parameters are those of this coding.

        Args:
            params: the session's.
            application: what else the session must be bound to; None for anything.

        Raises:
            LocalProtocolError: they are not; the error says what differs.
        """
        require(params.m > self._tail, f"the session's vectors have {params.m} elements, too few for this model")
        encoding = self._encoding(params)
        prefix = encoding.bind(b"")
        label = prefix[: prefix.index(b"\0") + 1]
        require(params.context.startswith(label), _OTHER_KIND[self.coding.noise is not None])
        # A model of another form has vectors of another length, too, and the encoding would name only that.
        self._binding.check(params.context[len(prefix) :], unbound=False)
        encoding.check(self._inner(params))
        if application is not None:
            expected = encoding.bind(self._binding.bind(octets(application, "application")))
            require(params.context == expected, "the session is for another application")

    def check_update(self, update: Update) -> None:
        """Check what is no secret of an update: names, shapes and dtypes.

        Args:
            update: what training gave.

        Raises:
            LocalProtocolError: it does not fit the model, or the metrics; nothing of its values is in the error.
        """
        self.form.check(update.arrays)
        check_reported(self.coding.metrics, update.metrics)
        weighted = self.coding.max_weight is not None
        require(
            (update.weight is not None) == weighted,
            "the update has no weight, and means are weighted (max_weight)" if weighted else "nothing is weighted",
        )

    def vector(self, update: Update, received: Arrays) -> Floats:
        """An update as one flat vector.

        Args:
            update: what training gave, as `check_update` accepts it.
            received: the model that was trained.

        Raises:
            UnusableUpdate: a value cannot be averaged.
        """
        vector = np.empty(self.length)
        self.form.write_difference(update.arrays, received, self.coding.clip, vector[: self.form.size])
        vector[self.form.size :] = scaled(self.coding.metrics, update.metrics, self._largest)
        return vector

    def clipped(self, vector: Floats) -> str:
        """What clipping changes of a vector, in words; empty if it changes nothing."""
        if self.coding.noise is not None:
            norm, room = _norm(vector[: self.form.size]), self._room(vector)
            long = norm > room * (1 + 1e-12)
            return f"the change has a norm of {norm:.3g} and is scaled down to {room:.3g}" if long else ""
        clip = self.coding.clip
        if vector.max() <= clip and vector.min() >= -clip:
            return ""
        count = int(np.count_nonzero(np.abs(vector) > clip))
        return f"{count:,} of {len(vector):,} values change by more than {clip} and are clipped"

    def encoded(
        self, update: Update, vector: Floats, params: Params, *, rand: RandomBytes
    ) -> tuple[NDArray[np.uint64], NoisySum[NDArray[Any]] | None]:
        """An encoded update, and the noisy sum that it is for, if there is noise.

        Args:
            update: what training gave.
            vector: what `vector` made of it.
            params: the session's parameters.
            rand: source of random bytes.

        Raises:
            UnusableUpdate: a count is out of range.
            LocalProtocolError: the weight is out of range.
        """
        if self.coding.noise is not None:
            noisy = self._noisy(params)
            return noisy.encode(self._shortened(vector), params, update.weight, rand=rand), noisy
        x = self._plain.encode(vector, update.weight, rand=rand)
        tail = digits(self.coding.metrics, update.metrics, self._digit_bits)
        return np.concatenate([x, tail]) if len(tail) else x, None

    def _room(self, vector: Floats) -> float:
        """The largest norm of a change beside whose means the norm of both is within the clip."""
        return self.coding.clip * sqrt(1 - (_norm(vector[self.form.size :]) / self.coding.clip) ** 2)

    def _shortened(self, vector: Floats) -> Floats:
        """A vector within the clip. The change alone is shortened: means are as large as they are."""
        change, means = vector[: self.form.size], vector[self.form.size :]
        norm, room = _norm(change), self._room(vector)
        return vector if norm <= room else np.concatenate([change * (room / norm), means])

    def decoded(self, total: NDArray[Any], params: Params, survivors: int) -> Decoded:
        """What a sum of encoded updates stands for.

        Args:
            total: `Server.sum`.
            params: the session's parameters.
            survivors: how many nodes are in the sum.

        Raises:
            LocalProtocolError: the arguments do not belong together.
            RemoteProtocolError: so many nodes cannot have sent weights with this sum.
        """
        metrics, size = self.coding.metrics, self.form.size
        if self.coding.noise is not None:
            release = self._noisy(params).decode(total, params, survivors)
            mean = release.flat / release.weight
            means = unscaled(metrics, mean[size:], self._largest)
            return Decoded(mean[:size], release.weight, means, None, release.mean_deviation)
        whole_length = self._plain.length
        aggregate = self._plain.decode(total[:whole_length], self._inner(params), survivors)
        mean = aggregate.flat / aggregate.weight
        read = unscaled(metrics, mean[size:], self._largest) | counted(metrics, total[whole_length:], self._digit_bits)
        ordered = {name: read[name] for name in metrics}
        return Decoded(mean[:size], aggregate.weight, ordered, aggregate.mean_error, None)

    def plan(self, params: Params) -> Plan | None:
        """The plan of the round's noise; None without noise."""
        return None if self.coding.noise is None else self._noisy(params).plan

    @cached_property
    def _binding(self) -> Binding:
        metrics: Any = [[name, metric.plain] for name, metric in sorted(self.coding.metrics.items())]
        return Binding(
            "model",
            {"form": self.form.plain, "metrics": metrics, "state of training": self.digest, "task": self.task},
        )

    @cached_property
    def _plain(self) -> Quantizer[NDArray[Any]]:
        return self.coding._quantizer(self.length)

    def _noisy(self, params: Params) -> NoisySum[NDArray[Any]]:
        return self.coding._noisy_sum(self.length, n=params.n, survivors=params.min_users, corrupt=params.n_corrupt)

    def _encoding(self, params: Params) -> Quantizer[NDArray[Any]] | NoisySum[NDArray[Any]]:
        return self._plain if self.coding.noise is None else self._noisy(params)

    def _inner(self, params: Params) -> Params:
        """The parameters that a session without digits would have."""
        return replace(params, m=params.m - self._tail) if self._tail else params

    @property
    def _largest(self) -> float:
        """What a metric's bound becomes. With noise, means share a part of the norm, which shortens no update much."""
        if self.coding.noise is None:
            return self.coding.clip
        return self.coding.clip / (METRICS_SHARE * sqrt(max(1, means_width(self.coding.metrics))))

    @property
    def _digit_bits(self) -> int:
        return (self._plain.max_value + 1).bit_length() - 1

    @cached_property
    def _tail(self) -> int:
        return 0 if self.coding.noise is not None else digits_width(self.coding.metrics, self._digit_bits)


def _norm(values: Floats) -> float:
    """The L2 norm, also of values whose squares no float holds."""
    peak = float(np.abs(values).max(initial=0.0))
    return peak * float(np.linalg.norm(values / peak)) if peak > 0 else 0.0


def _flat(length: int) -> Layout[NDArray[Any]]:
    return Layout(shapes=((length,),), single=True)


def needs_weight(coding: Coding, weight: object) -> int | None:
    """The weight of an update, from what an application reports.

    Args:
        coding: says whether means are weighted.
        weight: a whole number, which may be a float.

    Raises:
        LocalProtocolError: it is no whole number. Nothing of its value is in the error.
    """
    if coding.max_weight is None:
        return None
    number = isinstance(weight, int | float | np.integer | np.floating) and not isinstance(weight, bool)
    if not number or not is_whole(weight):
        raise LocalProtocolError("the weight must be a whole number, such as the number of examples")
    return int(weight)  # type: ignore[call-overload, no-any-return]
