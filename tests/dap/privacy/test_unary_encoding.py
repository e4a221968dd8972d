"""Optimized unary encoding: never beyond its budget, valid reports, and estimates without bias."""

import math
import random
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.dap.privacy.estimates import error_bars, estimates
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.privacy.randomized_response import RandomizedResponse
from secagg.dap.privacy.unary_encoding import UnaryEncoding
from secagg.dap.reports import check_measurements, randomize
from secagg.dap.vdafs import Vdaf, vdaf
from secagg.dp import PureDp, Unit
from secagg.errors import LocalProtocolError

from ...support.prio3_reports import Reports
from ...support.tasks import make_task

WORD = 1 << 64
PRIVACY = Privacy(Mechanism.UNARY_ENCODING, PureDp(1), PureDp(1), honest=0)
BITS, MULTIHOT = vdaf("SumVec", length=5, max_measurement=1), vdaf("MultihotCountVec", length=5, max_weight=5)
EACH = pytest.mark.parametrize("chosen", [BITS, MULTIHOT], ids=lambda chosen: chosen.NAME)


def exp_from_below(x: Fraction) -> Fraction:
    """A partial sum of e**x, all of whose terms are positive."""
    term = total = Fraction(1)
    for i in range(1, 40 + 4 * math.ceil(x)):
        term = term * x / i
        total += term
    return total


def chances(encoding: UnaryEncoding, value: int) -> list[Fraction]:
    """The exact probability that each bit is 1: how many of the 2**64 words of its draw make it so, by bisection."""

    def ones(words: list[int]) -> list[int]:
        drawn = b"".join(word.to_bytes(8, "little") for word in words)
        bits = encoding.randomize(value, rand=lambda size: drawn[:size])
        assert set(bits.tolist()) <= {0, 1}
        return [int(bit) for bit in bits]

    low, high = [0] * encoding.buckets, [WORD] * encoding.buckets  # the first words that give 0 lie between
    while max(h - lo for lo, h in zip(low, high, strict=True)) > 1:
        middle = [(lo + h) // 2 for lo, h in zip(low, high, strict=True)]
        found = ones(middle)
        low = [m if one and h - lo > 1 else lo for m, one, lo, h in zip(middle, found, low, high, strict=True)]
        high = [m if not one and h - lo > 1 else h for m, one, lo, h in zip(middle, found, low, high, strict=True)]
    assert ones([0] * encoding.buckets) == [1] * encoding.buckets
    return [Fraction(h, WORD) for h in high]


@pytest.mark.parametrize("epsilon", ["1e-9", "1/10", "1", "3", "20", "60"])
@pytest.mark.parametrize("buckets", [2, 5])
def test_no_report_is_likelier_than_the_budget_allows(epsilon: str, buckets: int) -> None:
    """Bits are independent: of two values' laws, the worst report has the worse value of each bit."""
    encoding = UnaryEncoding(buckets, Fraction(epsilon))
    laws, most = [chances(encoding, value) for value in range(buckets)], exp_from_below(Fraction(epsilon))
    for value, law in enumerate(laws):
        assert law == [encoding.p if bucket == value else encoding.q for bucket in range(buckets)]
    for a in laws:
        for b in laws:
            worst = math.prod(max(x / y, (1 - x) / (1 - y)) for x, y in zip(a, b, strict=True))
            assert worst <= most
            if a is not b and Fraction(epsilon) < 20:  # and it is used up
                assert float(worst) == pytest.approx(math.exp(Fraction(epsilon)), rel=1e-9)


def test_every_bit_has_randomness_of_its_own() -> None:
    sizes: list[int] = []

    def rand(size: int) -> bytes:
        sizes.append(size)
        return random.Random(len(sizes)).randbytes(size)

    UnaryEncoding(7, Fraction(1)).randomize(3, rand=rand)
    assert sizes == [56]
    drawn = np.array([UnaryEncoding(3, Fraction(1)).randomize(1, rand=random.Random(i).randbytes) for i in range(4000)])
    correlation = np.corrcoef(drawn.T) - np.eye(3)
    assert np.abs(correlation).max() < 5 / math.sqrt(4000)


@pytest.mark.parametrize("value", [-1, 5])
def test_values_out_of_range_are_refused_and_not_repeated(value: int) -> None:
    with pytest.raises(LocalProtocolError, match=r"value must be 0 \.\. 4$"):
        UnaryEncoding(5, Fraction(1)).randomize(value)


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="at least 2 buckets"):
        UnaryEncoding(1, Fraction(1))
    assert UnaryEncoding(5, Fraction(1000)).q == Fraction(1, WORD)  # and never 0
    with pytest.raises(LocalProtocolError, match="reports would say nothing"):
        UnaryEncoding(5, Fraction(1, 1 << 70))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=8), st.fractions(Fraction(1, 10), 5, max_denominator=100))
def test_estimates_are_unbiased(true: list[int], epsilon: Fraction) -> None:
    """Debiased, the expected counts are the true ones."""
    encoding, n = UnaryEncoding(len(true), epsilon), sum(true)
    expected = [count * encoding.p + (n - count) * encoding.q for count in true]
    assert encoding.debias(expected, n) == pytest.approx(true, abs=1e-6)  # type: ignore[arg-type]


@EACH
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_error_bars_hold_as_often_as_they_say(chosen: Vdaf, confidence: float) -> None:
    """400 batches of 1,000 reports in 5 buckets, from a fixed seed."""
    encoding, rng = PRIVACY.randomized_response(chosen), np.random.default_rng(1)
    true = np.array([700, 200, 50, 50, 0])
    p, q = float(encoding.p), float(encoding.q)
    held = 0
    for _ in range(400):
        counts = rng.binomial(true, p) + rng.binomial(1000 - true, q)
        estimated = estimates(PRIVACY, chosen, counts.tolist(), 1000)
        bars = error_bars(PRIVACY, chosen, confidence, 1000, estimated)
        worst = error_bars(PRIVACY, chosen, confidence, 1000)
        assert all(bar <= most * (1 + 1e-12) for bar, most in zip(bars, worst, strict=True))
        held += sum(abs(e - t) <= bar for e, t, bar in zip(estimated, true, bars, strict=True))
    assert abs(held / 2000 - confidence) < 6 * math.sqrt(confidence * (1 - confidence) / 2000)


@EACH
def test_encoded_reports_are_valid_and_estimates_find_the_buckets(chosen: Vdaf) -> None:
    """From a bucket to an estimate, through Prio3 as an Aggregator verifies it."""
    task = make_task(vdaf=chosen, privacy=PRIVACY)
    true = [240, 0, 90, 0, 70]
    measurements = np.repeat(np.arange(5), true)
    sent = randomize(task, measurements, rand=random.Random(7).randbytes)
    assert sent.shape == (400, 5)
    assert {0, 5} <= set(sent.sum(axis=1).tolist())  # of any weight
    reports = Reports(task.prio3, sent)
    assert reports.rejections() == [{}, {}]
    result = reports.aggregate()
    assert result == sent.sum(axis=0).tolist()
    estimated = estimates(PRIVACY, chosen, result, 400)
    bars = error_bars(PRIVACY, chosen, 0.9999, 400, estimated)
    assert all(abs(e - t) <= bar for e, t, bar in zip(estimated, true, bars, strict=True))
    assert max(bars) < 200


@pytest.mark.parametrize("bad", [[5], [-1], [[0, 1, 0, 0, 0]], [0.5], 3, ["x"]])
def test_a_measurement_is_a_bucket(bad: object) -> None:
    task = make_task(vdaf=BITS, privacy=PRIVACY)
    for function in (randomize, check_measurements):
        with pytest.raises((ValueError, TypeError)):
            function(task, bad)
    assert check_measurements(task, [4, 0]).tolist() == [4, 0]
    assert randomize(task, np.zeros(0, np.int64)).tolist() == []


def test_without_unary_encoding_a_measurement_is_what_the_vdaf_takes() -> None:
    task = make_task(vdaf=BITS)
    assert check_measurements(task, [[0, 1, 1, 0, 0]]).tolist() == [[0, 1, 1, 0, 0]]
    with pytest.raises(ValueError, match=r"shape|measurement"):
        check_measurements(task, [4])


def deviation(response: UnaryEncoding | RandomizedResponse, n: int) -> float:
    """Of the estimate of a bucket that nobody is in."""
    return float(response.standard_errors([0.0], n, 1)[0])


@pytest.mark.parametrize("epsilon", ["1/2", "1", "2", "4"])
def test_it_is_the_better_one_where_there_are_many_buckets(epsilon: str) -> None:
    bound = 3 * math.exp(Fraction(epsilon)) + 2
    kinds: list[Callable[[int, Fraction], UnaryEncoding | RandomizedResponse]] = [UnaryEncoding, RandomizedResponse]
    for buckets, better in ((math.floor(bound) - 1, False), (math.ceil(bound) + 1, True)):
        encoding, response = (deviation(kind(buckets, Fraction(epsilon)), 1000) for kind in kinds)
        assert (encoding < response) is better
    if epsilon == "1":
        encoding, response = (deviation(kind(1000, Fraction(1)), 10_000) for kind in kinds)
        assert response / encoding == pytest.approx(9.6, abs=0.05)
        assert (round(encoding), round(response)) == (192, 1841)


def test_reports_of_a_unit_share_epsilon_and_the_report_says_what_clients_do() -> None:
    privacy = Privacy(Mechanism.UNARY_ENCODING, PureDp(2), PureDp(20), honest=0, unit=Unit(4, "a day"))
    assert privacy.randomized_response(BITS).epsilon == Fraction(1, 2)
    report = dict(privacy.report(BITS))
    assert "towards everybody" in report["guarantee"]
    assert report["noise"] == "each client sets a bit for each of 5 buckets with q = 0.377541, its own 1/2"
    assert report["total"] == "20-DP: 10 collections at most"
