"""Figures 6 to 8 of the paper from what was measured: CSV, plots, and the Markdown that holds them together."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from secagg import Round
from secagg.protocol.messages import KEY_BYTES, SHARE_BYTES

from ..tables import number, table
from .points import PAPER_MS, ROUNDS, Mean, Plan, Point, Store, params_of, write_csv

SVG: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "secagg",
}  # text stays text, and equal data gives equal files

COLUMNS: tuple[Round | None, ...] = (*ROUNDS, None)


def label(dropouts: int) -> str:
    return f"{dropouts} %"


def column_name(current: Round | None) -> str:
    return "Total" if current is None else str(current)


class Curve(NamedTuple):
    """A line of a plot."""

    label: str
    xs: list[int]
    ys: list[Mean]


class Panel(NamedTuple):
    """One of the paper's plots: `x` and `line` name the columns of the file `name`.csv, `unit` that of the values."""

    name: str
    caption: str
    x: str
    line: str
    unit: str
    curves: list[Curve]
    log: bool = False


def running_time(store: Store, plan: Plan, role: str, x: str) -> list[Curve]:
    """Milliseconds of a session over n or m, a line for each share of dropouts."""
    points = plan.along_n(role) if x == "n" else plan.along_m(role)
    curves = []
    for dropouts in plan.dropouts:
        there = [point for point in points if point.dropouts == dropouts and point in store.times]
        xs = [point.n if x == "n" else point.m for point in there]
        curves.append(Curve(label(dropouts), xs, [store.mean(point) for point in there]))
    return [curve for curve in curves if curve.xs]


def transferred(store: Store, plan: Plan) -> list[Curve]:
    """Megabytes per client over n, a line for each m."""
    curves = []
    for m in plan.traffic_lengths:
        xs = [n for n in plan.counts if (n, m) in store.traffic]
        curves.append(Curve(f"{m:,}", xs, [Mean(sum(store.traffic[n, m]) / 1e6, 0) for n in xs]))
    return [curve for curve in curves if curve.xs]


def expansion(store: Store, plan: Plan) -> list[Curve]:
    """Of the traffic over the raw vector's m ceil(log2 R_U) bits, over m, a line for each n."""
    curves = []
    for n in plan.traffic_counts:
        xs = [m for m in plan.lengths if (n, m) in store.traffic]
        factors = [8 * sum(store.traffic[n, m]) / (m * params_of(n, m).max_value.bit_length()) for m in xs]
        curves.append(Curve(f"{n}", xs, [Mean(factor, 0) for factor in factors]))
    return [curve for curve in curves if curve.xs]


def formula_bits(n: int, m: int) -> int:
    """Section 7.1: 2 n a_K + (5n - 4) a_S + m ceil(log2 R)."""
    return 16 * n * KEY_BYTES + 8 * (5 * n - 4) * SHARE_BYTES + m * params_of(n, m).bits


def panels(store: Store, plan: Plan) -> dict[str, list[Panel]]:
    """Of each figure, those that there are points for."""

    def timed(name: str, role: str, x: str) -> Panel:
        fixed = f"m = {plan.m:,}" if x == "n" else f"n = {plan.n}"
        curves = running_time(store, plan, role, x)
        return Panel(name, f"{role} time, {fixed}", x, "dropouts", "ms", curves, log=role == "server")

    figures = {
        "fig6": [
            timed("fig6a", "client", "n"),
            timed("fig6b", "client", "m"),
            Panel("fig6c", "transfer per client", "n", "m", "MB", transferred(store, plan)),
            Panel("fig6d", "expansion per client", "m", "n", "factor", expansion(store, plan)),
        ],
        "fig7": [timed("fig7a", "server", "n"), timed("fig7b", "server", "m")],
    }
    kept = {name: [panel for panel in group if panel.curves] for name, group in figures.items()}
    return {name: group for name, group in kept.items() if group}


def draw(axes: Axes, panel: Panel) -> None:
    """The measured lines; on the server's over n also the totals that Fig. 8 prints."""
    for index, curve in enumerate(panel.curves):
        color = f"C{index}"
        means = [y.value for y in curve.ys]
        axes.errorbar(curve.xs, means, [y.half for y in curve.ys], fmt=".-", capsize=2, color=color, label=curve.label)
        if panel.name == "fig7a":
            paper = [
                (at.n, ms[-1])
                for at, ms in PAPER_MS.items()
                if (at.role, label(at.dropouts)) == ("server", curve.label)
            ]
            axes.plot(*zip(*paper, strict=True), "x", color=color)
    beside = " (x: the paper's, Fig. 8)" if panel.name == "fig7a" else ""
    axes.set(title=f"{panel.name[-2:]}: {panel.caption}{beside}", xlabel=panel.x, ylabel=panel.unit, xlim=(0, None))
    axes.set(**({"yscale": "log"} if panel.log else {"ylim": (0, None)}))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.legend(title=panel.line)
    axes.grid(alpha=0.3)


def save_plot(store: Store, name: str, drawers: Sequence[Callable[[Axes], None]], columns: int = 2) -> None:
    """One SVG with a panel for each drawer."""
    rows = -(-len(drawers) // columns)
    with rc_context(SVG):
        figure = Figure(figsize=(5 * columns, 3.7 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(drawers) :]:
            axes.set_axis_off()
        for axes, drawer in zip(grid.flat, drawers, strict=False):
            drawer(axes)
        figure.savefig(store.folder / f"{name}.svg", metadata={"Date": None})


def cell(y: Mean) -> str:
    """The mean and half its interval, which counted values have not."""
    return number(y.value) + (f" ± {number(y.half)}" if y.half > 0 else "")


def panel_table(panel: Panel) -> Iterator[str]:
    """x down, lines across."""
    found = {(curve.label, x): cell(y) for curve in panel.curves for x, y in zip(curve.xs, curve.ys, strict=True)}
    lines = [curve.label for curve in panel.curves]
    xs = sorted({x for _, x in found})
    yield f"**{panel.name[-2:]}, {panel.caption}, {panel.unit}**\n"
    header = [panel.x, *(f"{panel.line}: {line}" for line in lines)]
    yield from table(header, ([f"{x:,}", *(found.get((line, x), "") for line in lines)] for x in xs))


def panel_rows(panel: Panel) -> Iterator[tuple[object, ...]]:
    for curve in panel.curves:
        line = int(curve.label.rstrip(" %").replace(",", ""))
        for x, y in zip(curve.xs, curve.ys, strict=True):
            yield x, line, f"{y.value:.6g}", f"{y.half:.4g}"


def write_panels(store: Store, name: str, group: list[Panel]) -> Iterator[str]:
    for panel in group:
        header = (panel.x, panel.line, panel.unit, "half_of_95_percent_interval")
        write_csv(store.folder / f"{panel.name}.csv", header, panel_rows(panel))
    save_plot(store, name, [partial(draw, panel=panel) for panel in group])
    yield f"## Figure {name[-1]}\n"
    yield f"![Figure {name[-1]}]({name}.svg)\n"
    for panel in group:
        yield from panel_table(panel)


class Compared(NamedTuple):
    """A number of Fig. 8: milliseconds."""

    point: Point
    column: str
    paper: int
    ours: Mean

    @property
    def ratio(self) -> float:
        return self.paper / self.ours.value


def compared(store: Store, point: Point) -> list[Compared]:
    return [
        Compared(point, column_name(current), paper, store.mean(point, current))
        for current, paper in zip(COLUMNS, PAPER_MS[point], strict=True)
    ]


def write_fig8(store: Store, plan: Plan) -> Iterator[str]:
    """The paper's table, with ours and the ratio in each cell."""
    rows = {point: compared(store, point) for point in plan.table if point in store.times and point in PAPER_MS}
    if not rows:
        return
    header = ("role", "n", "dropouts", "round", "paper_ms", "ours_ms", "half_of_95_percent_interval", "ratio")
    flat = (
        (
            point.role,
            point.n,
            point.dropouts,
            c.column,
            c.paper,
            f"{c.ours.value:.6g}",
            f"{c.ours.half:.4g}",
            f"{c.ratio:.4g}",
        )
        for point, row in rows.items()
        for c in row
    )
    write_csv(store.folder / "fig8.csv", header, flat)
    yield "## Figure 8\n"
    yield f"Milliseconds of each round, m = {plan.m:,}: ours; in brackets the paper's, and how many times as fast.\n"
    cells = (
        [
            f"{point.role}, {point.n}, {point.dropouts} %",
            *(f"{cell(c.ours)} ({c.paper:,}; {number(c.ratio)}x)" for c in row),
        ]
        for point, row in rows.items()
    )
    yield from table(("party, n, dropouts", *map(column_name, COLUMNS)), cells)


def write(store: Store, plan: Plan) -> Iterator[str]:
    """Write the files of every figure that there are points for; yields the Markdown that goes with them."""
    for name, group in panels(store, plan).items():
        yield from write_panels(store, name, group)
        if name == "fig6":
            yield from client_notes(store)
    yield from write_fig8(store, plan)


def client_notes(store: Store) -> Iterator[str]:
    """What the plots of Fig. 6 do not show."""
    pairs = [(point, point._replace(dropouts=0)) for point in store.times if point.role == "client" and point.dropouts]
    changes = [store.mean(some).value / store.mean(none).value for some, none in pairs if none in store.times]
    if changes:
        yield (
            f"A client's time with dropouts is {min(changes):.2f} to {max(changes):.2f} times that without; the median"
            f" is {median(changes):.3f}. It reveals other shares then, and does nothing more.\n"
        )
    excess = [1 - formula_bits(n, m) / 8 / sum(counted) for (n, m), counted in store.traffic.items()]
    if excess:
        yield (
            "Bytes are counted on one client's real messages, sent and received, no dropouts. Section 7.1's"
            " 2 n a_K + (5n - 4) a_S + m ceil(log2 R) bits are all of them but"
            f" {100 * min(excess):.2f} to {100 * max(excess):.2f} %, which `secagg/protocol/messages.py` itemises. The"
            " expansion factor is over the m ceil(log2 R_U) bits of the raw vector, R_U the largest range whose sums"
            " fit 24 bits: it steps where ceil(log2 R_U) does.\n"
        )
