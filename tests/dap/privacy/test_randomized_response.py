"""k-ary randomized response: never beyond its budget, valid reports, and estimates without bias."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.dap.privacy.estimates import error_bars, estimates
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.privacy.randomized_response import RandomizedResponse
from secagg.dap.vdafs import vdaf
from secagg.dp import PureDp, Unit
from secagg.errors import LocalProtocolError

from ...support.prio3_reports import Reports

HISTOGRAM, COUNT = vdaf("Histogram", length=5), vdaf("Count")


def exp_from_below(x: Fraction) -> Fraction:
    """A partial sum of e**x = 1 + x + x**2/2 + ..., all of whose terms are positive: surely below e**x."""
    term = total = Fraction(1)
    for i in range(1, 40 + 4 * math.ceil(x)):
        term = term * x / i
        total += term
    return total


def response_to(epsilon: str, buckets: int) -> RandomizedResponse:
    return RandomizedResponse(buckets, Fraction(epsilon))


def law(response: RandomizedResponse, value: int) -> list[Fraction]:
    """The exact probability of every report, by running `randomize` on the ends of the intervals of its one draw.

    A draw below own + (k - 1) * other is used as it is and any other thrown away, so the intervals' lengths are the
    probabilities."""
    own, other = response.ratio.as_integer_ratio()
    total = own + (response.buckets - 1) * other
    size = math.ceil((total - 1).bit_length() / 8)
    shift = -(total - 1).bit_length() % 8

    def answer(drawn: int) -> int:
        return response.randomize(value, rand=lambda n: (drawn << shift).to_bytes(n, "big"))

    assert size >= 8
    probabilities = [Fraction(0)] * response.buckets
    start = 0
    for length in [own, *[other] * (response.buckets - 1)]:
        first, last = answer(start), answer(start + length - 1)
        assert first == last
        probabilities[first] += Fraction(length, total)
        start += length
    return probabilities


@pytest.mark.parametrize("epsilon", ["1e-9", "0.1", "0.6931471805599453", "1", "2", "10", "50"])
@pytest.mark.parametrize("buckets", [2, 3, 16])
def test_no_report_is_likelier_by_more_than_e_to_the_epsilon(epsilon: str, buckets: int) -> None:
    """Exact arithmetic from end to end, for every pair of values and every report."""
    response = response_to(epsilon, buckets)
    laws = [law(response, value) for value in range(buckets)]
    bound = exp_from_below(Fraction(epsilon))
    for report in range(buckets):
        chances = [probabilities[report] for probabilities in laws]
        assert max(chances) <= bound * min(chances)
    for value, probabilities in enumerate(laws):
        assert sum(probabilities) == 1
        assert probabilities == [response.p if report == value else response.q for report in range(buckets)]


@pytest.mark.parametrize("epsilon", ["1e-9", "0.1", "1", "10"])
def test_hardly_any_of_the_budget_is_left(epsilon: str) -> None:
    ratio = float(response_to(epsilon, 2).ratio - 1)
    assert ratio == pytest.approx(math.expm1(float(epsilon)), rel=1e-9)


@pytest.mark.parametrize("reports", [1, 2, 7])
def test_the_reports_of_a_unit_share_its_epsilon(reports: int) -> None:
    unit = Unit(reports, "a day")
    privacy = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(1), PureDp(1), honest=0, unit=unit)
    response = privacy.randomized_response(HISTOGRAM)
    assert isinstance(response, RandomizedResponse)
    ratio = response.ratio
    assert ratio**reports <= exp_from_below(Fraction(1))
    assert float(ratio) == pytest.approx(math.exp(1 / reports))


def test_reports_follow_the_law() -> None:
    """Chi-square with 4 degrees of freedom, below 23.5 but for one in 10,000 seeds; this seed is fixed."""
    response, rand = response_to("1", 5), random.Random(1).randbytes
    counts = np.bincount([response.randomize(2, rand=rand) for _ in range(20_000)], minlength=5)
    expected = 20_000 * np.array([float(p) for p in law(response, 2)])
    assert ((counts - expected) ** 2 / expected).sum() < 23.5


def test_draws_beyond_the_last_interval_are_drawn_again() -> None:
    response, asked = response_to("1", 5), []

    def rand(size: int) -> bytes:
        asked.append(size)
        return b"\xff" * size if len(asked) == 1 else bytes(size)

    assert response.randomize(3, rand=rand) == 3
    assert len(asked) == 2


@given(st.integers(2, 50), st.fractions(Fraction(1, 100), 20), st.data())
def test_a_report_is_always_one_of_the_values(buckets: int, epsilon: Fraction, data: st.DataObject) -> None:
    response = RandomizedResponse(buckets, epsilon)
    value = data.draw(st.integers(0, buckets - 1))
    drawn = data.draw(st.randoms(use_true_random=False))
    assert 0 <= response.randomize(value, rand=drawn.randbytes) < buckets


@pytest.mark.parametrize("value", [-1, 5])
def test_values_out_of_range_are_refused(value: int) -> None:
    with pytest.raises(LocalProtocolError, match=r"0 \.\. 4"):
        response_to("1", 5).randomize(value)


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="2 buckets"):
        response_to("1", 1)
    with pytest.raises(LocalProtocolError, match="say nothing"):
        response_to("1e-30", 5)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=8), st.fractions(Fraction(1, 10), 5, max_denominator=100))
def test_estimates_are_unbiased(true: list[int], epsilon: Fraction) -> None:
    """Debiased, the expected counts are the true ones."""
    response, n = RandomizedResponse(len(true), epsilon), sum(true)
    expected = [count * response.p + (n - count) * response.q for count in true]
    assert response.debias(expected, n) == pytest.approx(true, abs=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_error_bars_hold_as_often_as_they_say(confidence: float) -> None:
    """400 batches of 1,000 reports in 5 buckets, from a fixed seed."""
    privacy = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(1), PureDp(1), honest=0)
    response, rng = privacy.randomized_response(HISTOGRAM), np.random.default_rng(1)
    assert isinstance(response, RandomizedResponse)
    true = np.array([700, 200, 50, 50, 0])
    laws = [[float(p) for p in law(response, value)] for value in range(5)]
    held = 0
    for _ in range(400):
        counts = np.sum([rng.multinomial(n, weights) for n, weights in zip(true, laws, strict=True)], axis=0)
        estimated = estimates(privacy, HISTOGRAM, counts.tolist(), 1000)
        bars = error_bars(privacy, HISTOGRAM, confidence, 1000, estimated)
        worst = error_bars(privacy, HISTOGRAM, confidence, 1000)
        assert all(bar <= most * (1 + 1e-12) for bar, most in zip(bars, worst, strict=True))
        held += sum(abs(e - t) <= bar for e, t, bar in zip(estimated, true, bars, strict=True))
    spread = math.sqrt(confidence * (1 - confidence) / 2000)
    assert abs(held / 2000 - confidence) < 6 * spread  # entries of one batch are not independent


def test_randomized_reports_are_valid_and_add_up() -> None:
    """Through Prio3, as an Aggregator verifies them: the result is that of what was reported."""
    privacy = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(1), PureDp(1), honest=0)
    for chosen, values in ((HISTOGRAM, [0, 1, 2, 3, 4] * 6), (COUNT, [0, 1] * 15)):
        response, rand = privacy.randomized_response(chosen), random.Random(7).randbytes
        sent = [response.randomize(value, rand=rand) for value in values]
        assert sent != values
        reports = Reports(chosen.prio3(), sent)
        assert reports.rejections() == [{}, {}]
        expected = sum(sent) if chosen is COUNT else [sent.count(bucket) for bucket in range(5)]
        assert reports.aggregate() == expected


def test_count_is_estimated_from_the_ones_alone() -> None:
    privacy = Privacy(Mechanism.RANDOMIZED_RESPONSE, PureDp(1), PureDp(1), honest=0)
    response = privacy.randomized_response(COUNT)
    ones = 300 * response.p + 700 * response.q
    (estimated,) = estimates(privacy, COUNT, round(ones), 1000)
    assert estimated == pytest.approx(300, abs=1 / float(response.p - response.q))
    assert len(error_bars(privacy, COUNT, 0.95, 1000)) == 1
