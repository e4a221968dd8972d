"""Which network errors do browsers see? A private histogram, and what each epsilon and batch size does to its accuracy.

The experiments of Cloudflare's "Have your data and hide it too: an introduction to differential privacy", on
synthetic reports of 20 error types with a long tail (Zipf's law): type 8 is by far the most common, type 15 one of the
rarer ones. Every report goes through Prio3 with two Aggregators. Each of them adds noise for all of epsilon to its
aggregate share, so that one honest Aggregator is enough, and the Collector sees the sum of the shares.

Of each batch many noisy histograms are made, to measure the error. A deployment makes one: every further one would cost
the same epsilon again.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from secagg.dp import Neighbours, Party, Plan, PureDp, Sensitivity
from secagg.vdaf import Prio3Histogram

TYPES = (8, 3, 12, 15, 0, 17, 5, 10, 1, 14, 7, 19, 2, 11, 16, 4, 9, 18, 6, 13)  # the most common first
COMMON, RARE = 8, 15  # 52 % and 5 % of the reports
ZIPF = 5 / 3
SHOWN = ("1", "0.1", "0.01")  # epsilons of the noisy histograms
SHOWN_REPORTS = 1000
EPSILONS = ("0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2")
BATCHES = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
BATCH_EPSILON = "0.1"  # the fixed one, at which the batch size varies
GOAL, CONFIDENCE = 0.02, 0.95  # of the mean relative error, and of the plan's bound
AT_ONCE = 10_000  # reports that are verified in one call

PRIO3, CTX = Prio3Histogram(length=len(TYPES)), b"network errors"
Counts = NDArray[np.int64]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Batch:
    """Reports that both Aggregators have verified and added up."""

    counts: Counts  # of each type: nobody knows them in a deployment
    agg_shares: tuple[NDArray[Any], ...]  # the Leader's and the Helper's, without noise

    @property
    def reports(self) -> int:
        return int(self.counts.sum())

    def release(self, plan: Plan) -> Counts:
        """What the Collector gets: each Aggregator adds its noise to its share, and the shares are added up."""
        noisy = [share.copy() for share in self.agg_shares]
        for share in noisy:
            plan.noise_for(Party.AGGREGATOR).add_to(share, PRIO3.field.MODULUS)
        return np.array(PRIO3.unshard(noisy, self.reports, signed=True))


@dataclass(frozen=True)
class Point:
    """The error of many releases of one batch."""

    epsilon: str
    batch: Batch
    mean: NDArray[np.float64]  # |error| of each type
    bound: int  # what |error| stays within, as the plan has it, with CONFIDENCE
    within: float  # the share of errors that did

    def relative(self, error_type: int) -> float:
        """The mean error as a fraction of the true count, or of 1 where nobody saw this error."""
        return float(self.mean[error_type] / max(1, self.batch.counts[error_type]))


def plan_for(epsilon: str) -> Plan:
    return Plan.aggregators(PureDp(epsilon), Sensitivity.histogram(Neighbours.REPLACE_ONE), len(TYPES))


def draw(reports: int, rng: np.random.Generator) -> Counts:
    """The error type of each report."""
    odds = np.arange(1, len(TYPES) + 1) ** -ZIPF
    return rng.choice(TYPES, reports, p=odds / odds.sum())


def collect(seen: Counts, advance: Advance) -> Batch:
    """Shard, verify and aggregate; then check that the shares add up to the true histogram."""
    verify_key = os.urandom(PRIO3.VERIFY_KEY_SIZE)
    agg_shares = (PRIO3.agg_init(), PRIO3.agg_init())
    for part in np.split(seen, range(AT_ONCE, len(seen), AT_ONCE)):
        nonces = np.frombuffer(os.urandom(len(part) * PRIO3.NONCE_SIZE), np.uint8).reshape(len(part), -1)
        public, inputs = PRIO3.shard_batch(CTX, part, nonces)
        verifying = (PRIO3.verify_init_batch(verify_key, CTX, j, nonces, public, inputs[j]) for j in (0, 1))
        states, verifier_shares = zip(*verifying, strict=True)
        messages = PRIO3.verifier_shares_to_message_batch(CTX, verifier_shares)
        for agg_share, state in zip(agg_shares, states, strict=True):
            PRIO3.agg_update(agg_share, PRIO3.verify_next_batch(state, messages))
        advance(len(part))
    counts = np.bincount(seen, minlength=len(TYPES))
    if PRIO3.unshard(agg_shares, len(seen)) != counts.tolist():
        raise SystemExit("FAILED: without noise, the aggregate is not the histogram of the reports")
    return Batch(counts, agg_shares)


def measure(epsilon: str, batch: Batch, releases: int) -> Point:
    """Release the batch that many times."""
    plan = plan_for(epsilon)
    errors = np.abs([batch.release(plan) - batch.counts for _ in range(releases)])
    bound = plan.error(CONFIDENCE).absolute
    return Point(epsilon, batch, errors.mean(axis=0), bound, float(np.mean(errors <= bound)))


HEADER = (
    f"epsilon  reports  of type {COMMON:2}: mean error  of type {RARE:2}: mean error  "
    f"{CONFIDENCE:.0%} bound on errors  within"
)


def line(point: Point) -> str:
    parts = (f"{point.batch.counts[t]:10,}: {point.relative(t):10.2%}" for t in (COMMON, RARE))
    return f"{point.epsilon:>7}  {point.batch.reports:7,}  {'  '.join(parts)}  {point.bound:19,}  {point.within:6.1%}"


def enough(points: list[Point], error_type: int) -> str:
    """The post's question: which epsilon keeps this type's error within 2 %?"""
    found = [point for point in points if point.relative(error_type) <= GOAL]
    least = f"from epsilon = {found[0].epsilon} on" if found else f"at no epsilon up to {points[-1].epsilon}"
    return (
        f"type {error_type}, {points[0].batch.counts[error_type]:,} reports: mean error of at most {GOAL:.0%} {least}"
    )


def plot_histogram(axes: Any, counts: Counts, title: str) -> None:
    axes.bar(range(len(TYPES)), counts, color=["C1" if t in (COMMON, RARE) else "C0" for t in range(len(TYPES))])
    axes.set(title=title, xlabel="error type", ylabel="count")


def plot_errors(axes: Any, x: Sequence[float], points: list[Point], title: str, xlabel: str) -> None:
    for error_type in (COMMON, RARE):
        share = points[-1].batch.counts[error_type] / points[-1].batch.reports
        label = f"type {error_type}, {share:.0%} of the reports"
        axes.loglog(x, [100 * point.relative(error_type) for point in points], marker="o", label=label)
    axes.axhline(100 * GOAL, ls="--", lw=1, color="gray", label=f"{GOAL:.0%}")
    axes.set(title=title, xlabel=xlabel, ylabel="mean relative error, %")
    axes.legend()


def save_plot(shown: Batch, by_epsilon: list[Point], by_batch: list[Point], path: Path) -> None:
    figure = Figure(figsize=(13, 7), layout="constrained")
    figure.suptitle("Network errors by type: synthetic reports, Prio3, noise from each of two Aggregators")
    *above, left, right = figure.subplot_mosaic([[0, 1, 2, 3], [4, 4, 5, 5]]).values()
    histograms = {"no noise": shown.counts, **{f"epsilon = {e}": shown.release(plan_for(e)) for e in SHOWN}}
    for axes, (title, counts) in zip(above, histograms.items(), strict=True):
        plot_histogram(axes, counts, f"{title}, {shown.reports:,} reports")
    epsilons, sizes = [float(point.epsilon) for point in by_epsilon], [point.batch.reports for point in by_batch]
    plot_errors(left, epsilons, by_epsilon, f"{by_epsilon[0].batch.reports:,} reports", "epsilon")
    plot_errors(right, sizes, by_batch, f"epsilon = {BATCH_EPSILON}", "reports in the batch")
    figure.savefig(path)


def plot_path(path: Path) -> Path:
    """Refuse before the experiments, not after them."""
    if not path.parent.is_dir() or path.suffix != ".png":
        raise typer.BadParameter(f"{path} must end in .png, in a directory that exists")
    return path


def main(
    reports: Annotated[int, typer.Option(min=100, help="In the batch whose epsilon varies.")] = 32_000,
    largest: Annotated[int, typer.Option(min=100, help="Where the batch size varies, it goes up to this.")] = 100_000,
    releases: Annotated[int, typer.Option(min=1, help="Noisy histograms to measure each error on.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the reports; the noise differs every time.")] = 1,
    plot: Annotated[Path, typer.Option(callback=plot_path, help="Where to save it.")] = Path("network_errors.png"),
) -> None:
    """Count network errors privately, and measure what privacy costs in accuracy."""
    console, rng = Console(soft_wrap=True, highlight=False), np.random.default_rng(seed)
    sizes = [SHOWN_REPORTS, reports, *(size for size in BATCHES if size <= largest)]
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    console.print(HEADER)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reports verified", total=sum(sizes))
        shown, batch, *batches = [collect(draw(n, rng), lambda done: progress.advance(task, done)) for n in sizes]
        choices = [(epsilon, batch) for epsilon in EPSILONS] + [(BATCH_EPSILON, other) for other in batches]
        points = []
        for epsilon, chosen in progress.track(choices, description="errors measured"):
            points.append(measure(epsilon, chosen, releases))
            console.print(line(points[-1]))
    by_epsilon, by_batch = points[: len(EPSILONS)], points[len(EPSILONS) :]
    console.print(enough(by_epsilon, COMMON), enough(by_epsilon, RARE), sep="\n")
    save_plot(shown, by_epsilon, by_batch, plot)
    console.print(f"plot saved to {plot}")


if __name__ == "__main__":
    typer.run(main)
