"""The noise of `secagg simulate --dp-...`: its options, the inputs with their noise, and the report of both."""

import os
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codec import UInt
from ..dp import ApproxDp, Party, ZCdp
from ..noisy import NoisySum, PaddingWarning
from ..protocol.layout import Layout
from ..protocol.params import Params
from ..protocol.simulate import Simulation
from .app import CommandError, require
from .dp.plans import describe_plan
from .vectors import Directions, Folder

PROMISED = (
    "guarantee",
    "rounds",
    "sensitivity",
    "noise",
)  # lines of a plan's own report that are printed; others are measured


def choose_budget(epsilon: str | None, delta: str | None, rho: str | None) -> ZCdp | ApproxDp | None:
    """The budget that the options --dp-... give; None without noise.

    Raises:
        CommandError: the options do not fit together.
    """
    if rho is not None:
        require(
            epsilon is None and delta is None, "--dp-rho is a budget of its own: leave out --dp-epsilon and --dp-delta"
        )
        return ZCdp(rho)
    if epsilon is None:
        require(delta is None, "--dp-delta needs --dp-epsilon")
        return None
    if delta is None:
        raise CommandError(
            "--dp-epsilon needs --dp-delta, far below one in the number of people, such as 1e-6: noise that clients"
            " share keeps to no budget without a delta"
        )
    return ApproxDp(epsilon, delta)


class Noisy:
    """Vectors as inputs of a noisy sum, and the clients' noise; each call for a user gives the same.

    Attributes:
        params: of the session.
        noisy_sum: encodes inputs and decodes the sum.
        padding: a warning about the entries that rotation adds, or None.
    """

    def __init__(
        self,
        source: Folder | Directions,
        clip: float,
        budget: ZCdp | ApproxDp,
        rotate: bool,
        rounds: int,
        per_client: int | None,
        seed: int,
        settings: dict[str, Any],
    ) -> None:
        n, m = len(source), source.length
        require(n >= 2, "there must be at least 2 clients")
        chosen = Params(n=n, m=1, modulus=1 << 64, **settings)  # for the thresholds that it fills in
        layout: Layout[NDArray[Any]] = Layout(((m,),), single=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PaddingWarning)
            self.noisy_sum = NoisySum(
                layout=layout,
                clip=clip,
                budget=budget,
                n=n,
                survivors=chosen.min_users,
                corrupt=chosen.n_corrupt,
                rotate=rotate,
                rounds=rounds,
                per_client=per_client,
            )
        self.padding = str(caught[0].message) if caught else None
        self.params = self.noisy_sum.params(model=chosen.model, threat=chosen.threat, t=chosen.t)
        self._source = source
        self._noise = self.noisy_sum.plan.noise_for(Party.CLIENT)
        self._seed = seed
        self._noise_secrets = {u: os.urandom(16) for u in range(1, n + 1)}

    def __call__(self, u: int) -> NDArray[Any]:
        rand = np.random.default_rng([self._seed, u, 1]).bytes
        return self.noisy_sum.encode(self._source.read(u), self.params, rand=rand)

    def noise(self, u: int) -> NDArray[np.int64]:
        """The noise that user u adds, int64[entries]; its secret is kept to check the sum."""
        return self._noise.sample(rand=lambda size: self._noise_secrets[u][:size], context=UInt(4).write(u))

    def clear_mean(self, users: Iterable[int]) -> tuple[NDArray[np.float64], int]:
        """The exact mean of the users' vectors, float64[m], and how many are longer than the clip norm."""
        total, clipped, count = np.zeros(self._source.length), 0, 0
        for u in users:
            vector = self._source.read(u)
            total, clipped, count = total + vector, clipped + self.noisy_sum.clipped(vector), count + 1
        return total / count, clipped


def describe_noise(inputs: Noisy, result: Simulation) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """What --json prints about the noise, and the noisy mean, float64[m]."""
    noisy_sum, plan, k = inputs.noisy_sum, inputs.noisy_sum.plan, len(result.survivors)
    release = noisy_sum.decode(result.sum, result.params, k)
    clear, clipped = inputs.clear_mean(result.survivors)
    described = {
        **describe_plan(plan),
        "promised": {name: text for name, text in plan.report() if name in PROMISED},
        "counted_on": plan.honest,
        "over_noise": float(release.over_noise),
        "over_noise_max": float(plan.over_noise()),
        "clip": noisy_sum.clip,
        "clipped": clipped,
        "rotated": noisy_sum.rotate,
        "entries": noisy_sum.length,
        "padding": inputs.padding,
        "steps": noisy_sum.steps,
        "step": noisy_sum.step,
        "room": result.params.room,
        "error": float(np.sqrt(np.mean((release.mean - clear) ** 2))),
        "deviation": release.mean_deviation,
        "central_deviation": noisy_sum.central.variance() ** 0.5 * noisy_sum.step / k,
    }
    return described, release.mean


def noise_lines(noise: dict[str, Any], survivors: int) -> list[tuple[str, str]]:
    """What is printed about the noise as text: names and values."""
    rotated = f", rotated to {noise['entries']:,} entries" if noise["rotated"] else ""
    more = noise["deviation"] / noise["central_deviation"]
    written = [("mean", f"written to {noise['output']}")] if noise["output"] else []
    return [
        *noise["promised"].items(),
        (
            "over-noise",
            f"{noise['over_noise']:.3g} x the variance that is needed: {survivors} clients added noise,"
            f" {noise['counted_on']} are assumed to be honest",
        ),
        *(("assumed", assumption) for assumption in noise["assumed"]),
        ("grid", f"{noise['steps']:,} steps of {noise['step']:.3g} in the clip norm, {noise['clip']:g}{rotated}"),
        *([("padding", noise["padding"])] if noise["padding"] else []),
        ("clipped", f"{noise['clipped']} of {survivors} vectors were longer than {noise['clip']:g}"),
        (
            "error",
            f"{noise['error']:.3g} in each entry of the mean (root mean square), where the noise's deviation is"
            f" {noise['deviation']:.3g}",
        ),
        (
            "central noise",
            f"would have a deviation of {noise['central_deviation']:.3g} at the same budget, {more:.2f} times less,"
            " from a server that is trusted with the exact sum",
        ),
        *written,
    ]
