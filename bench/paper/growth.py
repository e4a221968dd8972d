"""How cost grows: power laws through what the figures measured, beside the asymptotic costs of Fig. 3."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from secagg import Round

from ..tables import table
from .figures import column_name, save_plot
from .points import Mean, Plan, Store, student, write_csv


class Fit(NamedTuple):
    """y = scale * product of x_i^exponent_i, by least squares in logarithms; `r2` of the logarithms."""

    scale: float
    exponents: list[Mean]
    r2: float

    def __call__(self, *xs: float) -> float:
        powers = (float(x**k.value) for x, k in zip(xs, self.exponents, strict=True))
        return self.scale * math.prod(powers)


def fit(xs: ArrayLike, ys: Sequence[float]) -> Fit | None:
    """Of each observation's xs and y, all positive; exponents with half their 95 % confidence intervals.

    None if there are too few observations to tell how sure the exponents are, or they do not tell the x_i apart.
    """
    if not ys:
        return None
    design = np.column_stack([np.ones(len(ys)), np.log(np.asarray(xs, float).reshape(len(ys), -1))])
    freedom = len(ys) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    logs = np.log(ys)
    found = np.linalg.lstsq(design, logs, rcond=None)[0]
    residual = float(np.sum((logs - design @ found) ** 2))
    spread = np.sqrt(residual / freedom * np.diag(np.linalg.inv(design.T @ design)))
    half = student(0.95, freedom) * spread
    total = float(np.sum((logs - logs.mean()) ** 2))
    r2 = 1 - residual / total if total else 1.0
    return Fit(math.exp(found[0]), [Mean(float(k), float(h)) for k, h in zip(found[1:], half[1:], strict=True)], r2)


class Law(NamedTuple):
    """What theory says of a time over n or m.

    Attributes:
        fig3: Fig. 3's cost, and its power of x.
        expected: the power of x in the measured range, where a term of Fig. 3 may weigh less than those it leaves out.
        why: what makes it so.
    """

    role: str
    current: Round | None
    x: str
    dropouts: tuple[int, ...]
    fig3: str
    expected: str
    why: str


MASKED, UNMASKING = Round.MASKED_INPUT_COLLECTION, Round.UNMASKING
LAWS = (
    Law("client", None, "n", (0,), "n^2 + mn: 2", "1", "2n agreements and n masks outweigh Shamir's n^2"),
    Law("client", None, "m", (0,), "n^2 + mn: 1", "0 to 1", "agreements and sharing do not depend on m"),
    Law("client", MASKED, "n", (0,), "mn: 1", "1", "n masks and n ciphertexts, beside one vector to pack"),
    Law("client", MASKED, "m", (0,), "mn: 1", "just under 1", "n masks, beside n ciphertexts to open"),
    Law("server", None, "n", (0,), "mn^2: 2", "1 to 2", "no pairwise masks: mn to add, n self masks; n^2 to relay"),
    Law("server", None, "n", (10, 30), "mn^2: 2", "just under 2", "m d (n - d), d in proportion to n; mn to add"),
    Law("server", UNMASKING, "n", (10, 30), "mn^2: 2", "2", "m d (n - d), d in proportion to n"),
    Law("server", None, "m", (0,), "mn^2: 1", "0 to 1", "relaying and reconstructing do not depend on m"),
    Law("server", None, "m", (10, 30), "mn^2: 1", "0 to 1", "d (n - d) agreements do not depend on m"),
)
DROPOUT_LAWS = (
    ("d", "1 or less", "agreements made in a batch may share work among the d keys"),
    ("n - d", "1", "each survivor's masks are removed one by one"),
    ("m", "0 to 1", "agreements do not depend on m"),
)


class Fitted(NamedTuple):
    """A law, what was observed at one share of dropouts, and the power law through it."""

    law: Law
    dropouts: int
    xs: list[float]
    ys: list[float]
    fit: Fit


def fitted(store: Store, plan: Plan, law: Law) -> Iterator[Fitted]:
    """For each share of dropouts that there are points for."""
    sweep = plan.along_n(law.role) if law.x == "n" else plan.along_m(law.role)
    for dropouts in law.dropouts:
        points = [point for point in sweep if point.dropouts == dropouts and point in store.times]
        xs = [float(point.n if law.x == "n" else point.m) for point in points]
        ys = [store.mean(point, law.current).value for point in points]
        found = fit(xs, ys)
        if found:
            yield Fitted(law, dropouts, xs, ys, found)


class Extra(NamedTuple):
    """Milliseconds that d dropouts cost the server beyond the same session without."""

    d: int
    n: int
    m: int
    ms: float

    @property
    def xs(self) -> tuple[float, float, float]:
        return self.d, self.n - self.d, self.m


def extras(store: Store, plan: Plan) -> list[Extra]:
    """Of both sweeps; where the difference drowns in noise it is left out."""
    points = sorted({*plan.along_n("server"), *plan.along_m("server")})
    found = []
    for point in points:
        without = point._replace(dropouts=0)
        if point.dropped and point in store.times and without in store.times:
            ms = store.mean(point).value - store.mean(without).value
            found.append(Extra(len(point.dropped), point.n, point.m, ms))
    return [extra for extra in found if extra.ms > 0]


class Row(NamedTuple):
    """A line of the table: a power of x in the time of `what`."""

    what: str
    x: str
    fig3: str
    exponent: Mean
    r2: float
    expected: str
    why: str


def law_rows(curves: Sequence[Fitted]) -> Iterator[Row]:
    for law, dropouts, _, _, found in curves:
        what = f"{law.role}, {column_name(law.current)}, {dropouts} % dropped"
        yield Row(what, law.x, law.fig3, found.exponents[0], found.r2, law.expected, law.why)


def dropout_rows(observed: Sequence[Extra]) -> Iterator[Row]:
    found = fit([extra.xs for extra in observed], [extra.ms for extra in observed])
    if found:
        for (x, expected, why), exponent in zip(DROPOUT_LAWS, found.exponents, strict=True):
            yield Row("server, extra cost of dropouts", x, "m d (n - d): 1", exponent, found.r2, expected, why)


def draw_curves(axes: Axes, title: str, x: str, curves: Sequence[Fitted]) -> None:
    for index, curve in enumerate(curves):
        label = f"{curve.dropouts} %: {x}^{curve.fit.exponents[0].value:.2f}"
        axes.plot(curve.xs, curve.ys, ".", color=f"C{index}")
        axes.plot(curve.xs, [curve.fit(value) for value in curve.xs], "-", lw=1, color=f"C{index}", label=label)
    finish(axes, title, x)


def draw_extras(axes: Axes, observed: Sequence[Extra]) -> None:
    """Over the paper's d (n - d) m, which would put all of them on one line of slope 1."""
    xs = [math.prod(extra.xs) for extra in observed]
    axes.plot(xs, [extra.ms for extra in observed], ".")
    found = fit(xs, [extra.ms for extra in observed])
    if found:
        ends = [min(xs), max(xs)]
        label = f"(d (n - d) m)^{found.exponents[0].value:.2f}"
        axes.plot(ends, [found(x) for x in ends], "-", lw=1, color="C0", label=label)
    finish(axes, "server, extra cost of dropouts", "d (n - d) m")


def finish(axes: Axes, title: str, x: str) -> None:
    axes.set(title=title, xlabel=x, ylabel="ms", xscale="log", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()


def plot(store: Store, plan: Plan, curves: Sequence[Fitted], observed: Sequence[Extra]) -> None:
    """Whole sessions, and the extra cost of dropouts."""
    drawers = []
    for role in ("client", "server"):
        for x, fixed in (("n", f"m = {plan.m:,}"), ("m", f"n = {plan.n}")):
            group = [c for c in curves if (c.law.role, c.law.current, c.law.x) == (role, None, x)]
            if group:
                drawers.append(partial(draw_curves, title=f"{role}, {fixed}", x=x, curves=group))
    save_plot(store, "growth", drawers + ([partial(draw_extras, observed=observed)] if observed else []), columns=3)


def write(store: Store, plan: Plan) -> list[str]:
    """Write growth.csv and growth.svg; returns the Markdown that goes with them, empty if nothing can be fitted."""
    curves = [curve for law in LAWS for curve in fitted(store, plan, law)]
    observed = extras(store, plan)
    rows = [*law_rows(curves), *dropout_rows(observed)]
    if not rows:
        return []
    plot(store, plan, curves, observed)
    header = ("what", "over", "fig3", "exponent", "half_of_95_percent_interval", "r2", "expected")
    flat = (
        (
            row.what,
            row.x,
            row.fig3,
            f"{row.exponent.value:.4f}",
            f"{row.exponent.half:.4f}",
            f"{row.r2:.5f}",
            row.expected,
        )
        for row in rows
    )
    write_csv(store.folder / "growth.csv", header, flat)
    cells = (
        (
            row.what,
            row.x,
            row.fig3,
            f"**{row.exponent.value:.2f}** ± {row.exponent.half:.2f}",
            f"{row.r2:.4f}",
            row.expected,
            row.why,
        )
        for row in rows
    )
    columns = ("time", "over", "Fig. 3: power", "measured", "R^2", "expected here", "because")
    return [NOTE, "![How cost grows](growth.svg)\n", *table(columns, cells)]


NOTE = """## How cost grows

Exponents of power laws, least squares in logarithms of the means, with 95 % confidence intervals. Fig. 3 names what
dominates for large n and m. In the range measured here other terms weigh as much, so that a slope lies between the
powers of the terms at work and changes along the range: the intervals cover that curvature beside the noise. Fig. 3's
m n^2 is a server's worst case; section 7.2 splits it into m (n - d) + m d (n - d), which without dropouts leaves mn and
the n^2 of relayed messages. The last lines fit T(n, m, d) - T(n, m, 0) over d, n - d and m at once; d / n takes two
values only, on which the exponent of d rests.
"""
