"""What the Collector makes of a noisy result: unbiased estimates and their error bars."""

from collections.abc import Sequence
from statistics import NormalDist

from ...arguments import real, whole
from ...dp import Place
from ...errors import require
from ..vdafs import Vdaf
from .extension import Privacy


def estimates(privacy: Privacy | None, vdaf: Vdaf, result: int | Sequence[int], report_count: int) -> list[float]:
    """Unbiased estimates of the true result, one for each entry.

    They may be negative, and are fractions where Clients randomize.

    Args:
        privacy: of the task; None if its results are exact.
        vdaf: of the task.
        result: what `Prio3.unshard(..., signed=True)` returned.
        report_count: the number of reports in the batch.
    """
    counts = [result] if isinstance(result, int) else list(result)
    if privacy is None or privacy.place is Place.AGGREGATORS:
        return [float(count) for count in counts]
    return privacy.randomized_response(vdaf).debias(counts, report_count)


def error_bars(
    privacy: Privacy | None,
    vdaf: Vdaf,
    confidence: float,
    report_count: int,
    estimated: Sequence[float] | None = None,
) -> list[float]:
    """The bound that the absolute error of each entry of `estimates` keeps to, with this confidence for each by itself.

    The law of the Aggregators' noise is known: the bars are its quantiles, the same for every entry. The error of
    randomized response depends on the true counts, and is nearly normal: the bars use the estimates in their place, or
    without estimates the worst counts there can be.

    Args:
        privacy: of the task; None if its results are exact.
        vdaf: of the task.
        confidence: above 0, at most 1 - 1e-12.
        report_count: the number of reports in the batch.
        estimated: from `estimates`, of every entry; None for the worst counts.
    """
    confidence, report_count = real(confidence, "confidence"), whole(report_count, "report_count")
    require(0 < confidence <= 1 - 1e-12, f"confidence must be above 0 and at most 1 - 1e-12, got {confidence}")
    if privacy is None:
        return [0.0] * vdaf.entries
    if privacy.place is Place.AGGREGATORS:
        return [float(privacy.plan(vdaf).error(confidence).absolute)] * vdaf.entries
    errors = privacy.randomized_response(vdaf).standard_errors(estimated, report_count, vdaf.entries)
    deviations = NormalDist().inv_cdf((1 + confidence) / 2)
    return [deviations * float(error) for error in errors]
