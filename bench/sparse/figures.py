"""The plot of what a session costs against n, beside the complete graph's and what Bell et al. (CCS 2020) claim."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..paper.figures import SVG
from ..tables import number, table
from .points import FILE, Measured

PLOT = FILE.with_suffix(".svg")
LINES = {
    ("sparse", "semi-honest"): ("sparse, semi-honest", "C0", ".-"),
    ("sparse", "active"): ("sparse, active", "C1", ".-"),
    ("complete", "semi-honest"): ("complete, semi-honest", "C2", ".--"),
}


class Claim(NamedTuple):
    """How a cost grows, by the paper; its constant is that of the semi-honest line's first point.

    Attributes:
        words: the claim.
        growth: of n and the length of vectors l.
    """

    words: str
    growth: Callable[[int, int], float]


class Panel(NamedTuple):
    """One of the plots.

    Attributes:
        role: whose cost it is.
        title: what it is, with its unit.
        cost: of a point.
        claim: of the paper.
    """

    role: str
    title: str
    cost: Callable[[Measured], float]
    claim: Claim


PANELS = (
    Panel(
        "client",
        "a client's CPU time, ms",
        lambda point: 1e3 * point.total,
        Claim("log² n + l log n", lambda n, m: math.log(n) ** 2 + m * math.log(n)),
    ),
    Panel(
        "client",
        "a client's bytes, both ways, kB",
        lambda point: (point.sent + point.received) / 1e3,
        Claim("log n + l", lambda n, m: math.log(n) + m),
    ),
    Panel(
        "server",
        "the server's CPU time, s",
        lambda point: point.total,
        Claim("n log² n + n l log n", lambda n, m: n * (math.log(n) ** 2 + m * math.log(n))),
    ),
    Panel(
        "server",
        "the server's memory at its peak, MB",
        lambda point: point.megabytes,
        Claim("n log n + l", lambda n, m: n * math.log(n) + m),
    ),
)


def draw(points: list[Measured], file: Path = PLOT) -> None:
    """All panels in one SVG."""
    with rc_context(SVG):
        figure = Figure(figsize=(10, 7.4), layout="constrained")
        for axes, panel in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
            draw_panel(axes, panel, points)
        figure.savefig(file, metadata={"Date": None})


def draw_panel(axes: Axes, panel: Panel, points: list[Measured]) -> None:
    """A line for each graph and model, and the claim."""
    for (graph, model), (label, color, style) in LINES.items():
        line = along_n(points, panel.role, graph, model)
        if line:
            axes.plot([p.session.n for p in line], [panel.cost(p) for p in line], style, color=color, label=label)
    xs, ys = claimed(panel, points)
    axes.plot(xs, ys, ":", color="0.4", label=f"as O({panel.claim.words})")
    axes.set(title=panel.title, xlabel="n", xscale="log", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()


def along_n(points: list[Measured], role: str, graph: str, model: str) -> list[Measured]:
    """The points of one line, by n."""
    there = [p for p in points if (p.role, p.session.graph, p.session.model) == (role, graph, model)]
    return sorted(there, key=lambda point: point.session.n)


def claimed(panel: Panel, points: list[Measured]) -> tuple[list[int], list[float]]:
    """The claim's curve, through the first point of the sparse graph in the semi-honest model."""
    line = along_n(points, panel.role, "sparse", "semi-honest")
    first = line[0]
    scale = panel.cost(first) / panel.claim.growth(first.session.n, first.session.m)
    return [p.session.n for p in line], [scale * panel.claim.growth(p.session.n, p.session.m) for p in line]


def tables(points: list[Measured]) -> Iterator[str]:
    """The same as Markdown, a table for each panel."""
    ns = sorted({point.session.n for point in points})
    for panel in PANELS:
        lines = [along_n(points, panel.role, *line) for line in LINES]
        cells = [{point.session.n: number(panel.cost(point)) for point in line} for line in lines]
        yield f"**{panel.title}**\n"
        yield from table(
            ("n", *(label for label, _, _ in LINES.values())),
            ([f"{n:,}", *(line.get(n, "") for line in cells)] for n in ns),
        )
