"""The figures of `secagg dap demo`."""

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .demo import CONFIDENCE, Release
from .experiments import SIZE_EPSILON, Experiments, relative_error

COMMON, RARE = 8, 15  # error types, as in the post: 52 % and 5 % of the reports
LINEAR = 0.1  # percent; below it the axis of errors is linear, as errors can be 0
POST = 0.02  # the relative error that the post has for its numbers
COLORS = {COMMON: "C0", RARE: "C1"}


def draw(experiments: Experiments, folder: Path) -> list[Path]:
    """Write the figures as SVG, and their numbers as JSON.

    Args:
        experiments: that were run.
        folder: for the files; it is made if needed.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "dap_histograms.svg": _histograms(experiments.histograms),
        "dap_error_by_epsilon.svg": _by_epsilon(experiments.by_epsilon),
        "dap_error_by_batch.svg": _by_size(experiments.by_size),
    }
    for name, figure in figures.items():
        figure.savefig(folder / name, metadata={"Date": None})
    numbers = folder / "dap_figures.json"
    numbers.write_text(json.dumps(_numbers(experiments)) + "\n")
    return [*(folder / name for name in figures), numbers]


def _histograms(releases: Sequence[Release]) -> Figure:
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    truth, n = releases[0].batch.truth, len(releases[0].batch.seen)
    panels = figure.subplots(1, 1 + len(releases), sharey=True)
    _plot_histogram(panels[0], truth, None, "the truth, which nobody sees")
    for axes, release in zip(panels[1:], releases, strict=True):
        _plot_histogram(axes, release.result, release.bar, f"collected, epsilon = {release.batch.epsilon}")
        axes.plot(range(len(truth)), truth, "_", ms=7, mew=1.5, color="black")
    panels[0].set_ylabel("reports")
    figure.suptitle(
        f"Network errors of the same {n:,} simulated browsers ({n:,} reports a task), through a Leader and a Helper"
    )
    figure.supxlabel(
        f"error type ({COMMON} and {RARE} in colour); lines: error bars, {CONFIDENCE:.0%}; dashes: the truth",
        fontsize="medium",
    )
    return figure


def _plot_histogram(axes: Any, counts: Sequence[int], bar: float | None, title: str) -> None:
    colors = [COLORS.get(kind, "0.6") for kind in range(len(counts))]
    error = {} if bar is None else {"yerr": bar, "error_kw": {"lw": 0.8, "ecolor": "0.2"}}
    axes.bar(range(len(counts)), counts, color=colors, **error)
    axes.axhline(0, lw=0.6, color="black")
    axes.set_title(title, fontsize="medium")


def _by_epsilon(releases: Sequence[Release]) -> Figure:
    n = len(releases[0].batch.seen)
    title = f"Error against epsilon: {n:,} reports a collection, {len(releases):,} collections, a task each"
    return _errors(releases, lambda release: float(release.batch.epsilon), title, "epsilon of a task")


def _by_size(releases: Sequence[Release]) -> Figure:
    needed = ", ".join(f"type {kind} from {reports_needed(releases, kind):,} reports on" for kind in COLORS)
    title = (
        f"Error against batch size: epsilon = {SIZE_EPSILON}, {len(releases):,} collections, a task each\n"
        f"a mean error of {POST:.0%} at most: {needed}"
    )
    return _errors(releases, lambda release: len(release.batch.seen), title, "reports in the batch")


def _errors(releases: Sequence[Release], x: Callable[[Release], float], title: str, xlabel: str) -> Figure:
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    groups = [list(group) for _, group in groupby(releases, x)]
    xs = [x(group[0]) for group in groups]
    for kind, color in COLORS.items():
        _plot_type(axes, kind, color, groups, xs, x)
    axes.axhline(100 * POST, lw=0.8, ls=":", color="black", label=f"{POST:.0%}, as in the post")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=0.3)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.set_title(title, fontsize="medium")
    axes.set(xlabel=xlabel, ylabel="relative error, %")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.legend(fontsize="small")
    return figure


def _plot_type(
    axes: Any, kind: int, color: str, groups: list[list[Release]], xs: list[float], x: Callable[[Release], float]
) -> None:
    """Plot each collection's error as a dot, what is known of it before as lines: its mean, and the error bar."""
    releases = [release for group in groups for release in group]
    dots = [100 * relative_error([release], kind) for release in releases]
    axes.plot([x(release) for release in releases], dots, "o", ms=4, alpha=0.4, color=color, clip_on=False)
    counts = [max(1.0, sum(r.batch.truth[kind] for r in group) / len(group)) for group in groups]
    known = [100 * _mean_error(group[0]) / count for group, count in zip(groups, counts, strict=True)]
    share = f"{_share(releases, kind):.0%} of the reports"
    axes.plot(xs, known, color=color, label=f"type {kind}, {share}: the mean, from the law; dots: each collection")
    bounds = [100 * group[0].bar / count for group, count in zip(groups, counts, strict=True)]
    axes.plot(xs, bounds, "--", lw=1, color=color, label=f"type {kind}: the error bar, {CONFIDENCE:.0%}")


def reports_needed(releases: Sequence[Release], kind: int) -> int:
    """From how many reports on an error type's mean relative error is at most POST.

    Args:
        releases: of one epsilon; they say how common the type is.
        kind: the error type.
    """
    return ceil(_mean_error(releases[0]) / (POST * _share(releases, kind)))


def _mean_error(release: Release) -> float:
    """The mean |error| of an entry, which the law of the noise says without any run."""
    task = release.batch.task
    assert task.privacy is not None
    return task.privacy.plan(task.vdaf).mean_error()


def _share(releases: Sequence[Release], kind: int) -> float:
    """The part of all reports that are of this type; of none, as if there were one."""
    return max(1, sum(r.batch.truth[kind] for r in releases)) / sum(len(r.batch.seen) for r in releases)


def _numbers(experiments: Experiments) -> dict[str, Any]:
    plots = {
        "shown": experiments.histograms,
        "by_epsilon": experiments.by_epsilon,
        "by_size": experiments.by_size,
    }
    return {
        name: [
            {
                "epsilon": release.batch.epsilon,
                "reports": release.report_count,
                "truth": release.batch.truth,
                "result": release.result,
                "error_bar": release.bar,
            }
            for release in releases
        ]
        for name, releases in plots.items()
    }
