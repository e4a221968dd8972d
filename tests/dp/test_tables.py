"""Noise from tables: every digit of the thresholds, what the kernels make of them, and how far off the law that is."""

import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise
from math import factorial, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secagg import _kernels
from secagg.dp import tables
from secagg.dp.samplers import (
    ExactGaussian,
    ExactLaplace,
    ExactSkellam,
    IsochronousGaussian,
    IsochronousLaplace,
    IsochronousSkellam,
    IsochronousWideGaussian,
    Sampler,
)
from secagg.dp.tables import cumulative, gaussian_quotients, laplace_probabilities, skellam_quotients

from ..support.noise_fit import CONTEXT, both_signs, chi_square_deviation, exp_minus

SEED = bytes(range(16))
WORD = 1 << 64
ONE = 1 << 128
words_of = st.integers(0, WORD - 1)


def laplace_weights(scale: Fraction, reach: int) -> list[Decimal]:
    return [exp_minus(k / scale) for k in range(reach)]


def gaussian_weights(sigma_squared: Fraction, reach: int) -> list[Decimal]:
    return [exp_minus(k * k / (2 * sigma_squared)) for k in range(reach)]


def skellam_weights(variance: Fraction, reach: int) -> list[Decimal]:
    """The difference of two Poisson variables of mean m: sum over j of m^j / j! * m^(j + k) / (j + k)!."""
    mean = variance / 2
    poisson = [mean**j / factorial(j) for j in range(2 * reach)]
    total = [sum((x * y for x, y in zip(poisson, poisson[k:], strict=False)), Fraction(0)) for k in range(reach)]
    return [CONTEXT.divide(Decimal(x.numerator), Decimal(x.denominator)) for x in total]


def at_least(weights: list[Decimal]) -> list[Fraction]:
    """P[|X| >= k] for k = 0, 1, 2, ... from weights of 0, 1, 2, ... that reach into nothing."""
    magnitudes = [Fraction(weight) for weight in both_signs(weights)]
    total = sum(magnitudes)
    return [tail / total for tail in reversed(list(accumulate(reversed(magnitudes))))]


TABLES = [
    (gaussian_quotients, gaussian_weights, Fraction(1), 40),
    (gaussian_quotients, gaussian_weights, Fraction(1, 50), 10),
    (gaussian_quotients, gaussian_weights, Fraction(29, 3), 100),
    (gaussian_quotients, gaussian_weights, Fraction(400), 600),
    (skellam_quotients, skellam_weights, Fraction(1, 7), 60),
    (skellam_quotients, skellam_weights, Fraction(4), 110),
    (skellam_quotients, skellam_weights, Fraction(31, 3), 130),
    (skellam_quotients, skellam_weights, Fraction(60), 240),
]
every_table = pytest.mark.parametrize(("quotients", "weights", "parameter", "reach"), TABLES)
Quotients = Callable[[Fraction], tables.Quotients]
Weights = Callable[[Fraction, int], list[Decimal]]


# --- Thresholds


@pytest.mark.slow
@every_table
@pytest.mark.parametrize("bits", [128, 256])
def test_every_digit_of_the_thresholds(
    quotients: Quotients, weights: Weights, parameter: Fraction, reach: int, bits: int
) -> None:
    table = cumulative(quotients(parameter), bits)
    tails = at_least(weights(parameter, reach))[1:]
    expected = [int(tail * (1 << bits)) for tail in tails]
    count = sum(1 for threshold in expected if threshold)
    assert count < reach - 5
    assert table.thresholds == expected[:count]
    assert sum(tails[count:]) <= table.beyond <= Fraction(16, 1 << bits)


@pytest.mark.parametrize("parameter", [Fraction(1 << 20), Fraction(10**8, 3)])
@pytest.mark.parametrize("quotients", [gaussian_quotients, skellam_quotients])
def test_digits_do_not_change_with_precision(quotients: Quotients, parameter: Fraction) -> None:
    """128 bits of wide laws, with and without 64 more behind them."""
    short, long = cumulative(quotients(parameter), 128), cumulative(quotients(parameter), 192)
    assert short.thresholds == [x >> 64 for x in long.thresholds if x >> 64]


@pytest.mark.parametrize("variance", [Fraction(10**4), Fraction(10**6)])
def test_wide_skellam_thresholds_are_scipys(variance: Fraction) -> None:
    special = pytest.importorskip("scipy.special")
    table = cumulative(skellam_quotients(variance))
    deviation = round(sqrt(variance))
    pmf = special.ive(np.arange(20 * deviation), float(variance))
    for k in (1, deviation // 2, 2 * deviation, 6 * deviation):
        assert table.thresholds[k - 1] / ONE == pytest.approx(2 * pmf[k:].sum(), rel=1e-9)


def total_variation(sampled: list[Fraction], tails: list[Fraction]) -> Fraction:
    """Between two symmetric laws, from their P[|X| >= k], k >= 0."""
    sampled = [*sampled, *[Fraction(0)] * (len(tails) - len(sampled))]
    differences = [x - y for x, y in zip(sampled, tails, strict=True)] + [Fraction(0)]
    return sum((abs(x - y) for x, y in pairwise(differences)), Fraction(0)) / 2


@pytest.mark.slow
@every_table
def test_total_variation_of_a_scan(quotients: Quotients, weights: Weights, parameter: Fraction, reach: int) -> None:
    kind = IsochronousGaussian if quotients is gaussian_quotients else IsochronousSkellam
    thresholds = cumulative(quotients(parameter)).thresholds
    sampled = [Fraction(1), *(Fraction(threshold, ONE) for threshold in thresholds)]
    assert 0 < total_variation(sampled, at_least(weights(parameter, reach))) <= kind(parameter).total_variation
    assert kind(parameter).total_variation < Fraction(1, 1 << 115)


@pytest.mark.parametrize("scale", [Fraction(1, 9), Fraction(1, 3), Fraction(1), Fraction(3, 2)])
def test_total_variation_of_bitwise_laplace(scale: Fraction) -> None:
    """The law that the thresholds make, by convolution of its bits, against the real one."""
    thresholds = laplace_probabilities(scale)[0]
    mass = [Fraction(1)]
    for threshold in thresholds[1:]:
        p = Fraction(threshold, ONE)
        mass = [(1 - p) * x for x in mass] + [p * x for x in mass]
    some = Fraction(thresholds[0], ONE)
    magnitudes = [1 - some, *(some * x for x in mass)]
    sampled = [*reversed(list(accumulate(reversed(magnitudes))))]
    tails = at_least(laplace_weights(scale, max(300, len(sampled) + 1)))
    bound = IsochronousLaplace(scale).total_variation
    assert 0 < total_variation(sampled, tails) <= bound < Fraction(1, 1 << 120)


@pytest.mark.parametrize("scale", [Fraction(1), Fraction(100), Fraction(10**6, 7), Fraction(1 << 40)])
def test_thresholds_of_laplace_bits(scale: Fraction) -> None:
    thresholds = laplace_probabilities(scale)[0]
    quotients = [Fraction(exp_minus((1 << b) / scale)) for b in range(60)]
    assert thresholds[0] == int(2 * quotients[0] / (1 + quotients[0]) * ONE)
    assert thresholds[1:] == [int(q / (1 + q) * ONE) for q in quotients if q >= Fraction(1, ONE)]


# --- What the kernels make of them


def as_rows(thresholds: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.array([[x % WORD, x // WORD] for x in thresholds], np.uint64)


def signed(magnitude: int, word: int) -> int:
    return -magnitude if word & 1 else magnitude


# The instruction set is set before the first example, and stays.
on_every_isa = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def likely(thresholds: list[int]) -> st.SearchStrategy[int]:
    near = [x + y for x in (*thresholds, 0, ONE - 1) for y in (-1, 0, 1)]
    return st.sampled_from([x for x in near if 0 <= x < ONE]) | st.integers(0, ONE - 1)


tables_of = st.lists(st.integers(0, ONE - 1) | st.integers(ONE - WORD, ONE - 1) | st.integers(0, WORD), max_size=40)


@given(data=st.data(), thresholds=tables_of.filter(bool))
@on_every_isa
def test_scan_and_search_count_thresholds(isa: str, data: st.DataObject, thresholds: list[int]) -> None:
    thresholds.sort(reverse=True)
    drawn = data.draw(st.lists(st.tuples(likely(thresholds), words_of), max_size=20))
    words = np.array([word for w, sign in drawn for word in (w % WORD, w // WORD, sign)] + [7], np.uint64)
    expected = [signed(sum(x > w for x in thresholds), sign) for w, sign in drawn]

    out = np.empty(len(drawn), np.int64)
    source = _kernels.Random(words=words)
    _kernels.noise_scan(out, as_rows(thresholds), source)
    assert (out.tolist(), source.used) == (expected, 3 * len(drawn))

    undecided = [w in (*thresholds, 0) for w, _ in drawn]
    first = undecided.index(True) if any(undecided) else len(drawn)
    source = _kernels.Random(words=words)
    done = _kernels.noise_search(out, as_rows(thresholds), source)
    assert (done, source.used, out[:done].tolist()) == (first, 3 * first, expected[:first])


@given(data=st.data(), tables=st.lists(tables_of, min_size=1, max_size=4).filter(any), factor=st.integers(0, WORD - 1))
@on_every_isa
def test_convolution_sums_scans(isa: str, data: st.DataObject, tables: list[list[int]], factor: int) -> None:
    for table in tables:
        table.sort(reverse=True)
    drawn = data.draw(st.lists(st.tuples(*(st.tuples(likely(table), words_of) for table in tables)), max_size=20))
    expected, words = [], [7]
    for sample in reversed(drawn):
        words[:0] = [word for w, sign in sample for word in (w % WORD, w // WORD, sign)]
    for sample in drawn:
        y = 0
        for table, (w, sign) in zip(tables, sample, strict=True):
            y = factor * y + signed(sum(x > w for x in table), sign)
        expected.append((y + WORD // 2) % WORD - WORD // 2)

    out, counts = np.empty(len(drawn), np.int64), np.array([len(table) for table in tables], np.uint64)
    source = _kernels.Random(words=np.array(words, np.uint64))
    _kernels.noise_convolution(out, as_rows([x for table in tables for x in table]), counts, factor, source)
    assert (out.tolist(), source.used) == (expected, 3 * len(tables) * len(drawn))


@given(st.data(), st.lists(st.integers(0, ONE - 1), min_size=1, max_size=63))
@settings(max_examples=300, deadline=None)
def test_bitwise_compares_bit_by_bit(data: st.DataObject, thresholds: list[int]) -> None:
    drawn = data.draw(st.lists(st.tuples(st.tuples(*(likely([x]) for x in thresholds)), words_of), max_size=5))
    words = [word for ws, sign in drawn for word in (*(part for w in ws for part in (w % WORD, w // WORD)), sign)]
    expected = [
        signed(1 + sum((w < x) << b for b, (w, x) in enumerate(zip(ws[1:], thresholds[1:], strict=True))), sign)
        if ws[0] < thresholds[0]
        else 0
        for ws, sign in drawn
    ]
    out = np.empty(len(drawn), np.int64)
    source = _kernels.Random(words=np.array([*words, 7], np.uint64))
    _kernels.noise_bitwise(out, as_rows(thresholds), source)
    assert (out.tolist(), source.used) == (expected, (2 * len(thresholds) + 1) * len(drawn))


LAWS: list[tuple[Sampler, Weights, int]] = [
    (IsochronousLaplace(Fraction(1)), laplace_weights, 100),
    (IsochronousLaplace(Fraction(100)), laplace_weights, 3000),
    (IsochronousGaussian(Fraction(1)), gaussian_weights, 30),
    (IsochronousGaussian(Fraction(10**4)), gaussian_weights, 1200),
    (IsochronousSkellam(Fraction(31, 3)), skellam_weights, 60),
    (ExactSkellam(Fraction(1, 2)), skellam_weights, 40),
    (ExactSkellam(Fraction(60)), skellam_weights, 240),
]
every_law = pytest.mark.parametrize(("law", "weights", "reach"), LAWS, ids=[str(law) for law, _, _ in LAWS])


def parameter_of(law: Sampler) -> Fraction:
    return next(iter(vars(law).values()))  # type: ignore[no-any-return]


@every_law
def test_words_do_not_depend_on_samples(law: Sampler, weights: Weights, reach: int) -> None:
    """A constant number a sample, on random, smallest and largest words alike."""
    used = set()
    fixed = [np.zeros(10_000, np.uint64), np.full(10_000, WORD - 1, np.uint64)]
    sources = [_kernels.Random(seed=SEED), *(_kernels.Random(words=words) for words in fixed)]
    for source in sources[: 1 if isinstance(law, ExactSkellam) else 3]:
        for n in (1, 10, 100):
            before = source.used
            law.fill(np.empty(n, np.int64), source)
            used.add((source.used - before) / n)
    assert len(used) == 1


def check_distribution(law: Sampler, weights: Weights, reach: int, n: int) -> None:
    samples = law.sample(n, rand=lambda size: SEED[:size])
    assert abs(chi_square_deviation(samples, both_signs(weights(parameter_of(law), reach)))) < 4
    positive, negative = int((samples > 0).sum()), int((samples < 0).sum())
    assert abs(positive - negative) < 4 * sqrt(positive + negative)


@pytest.mark.slow
@every_law
def test_a_million_draws_fit_the_law(law: Sampler, weights: Weights, reach: int) -> None:
    check_distribution(law, weights, reach, 10**6)


@pytest.mark.nightly
@every_law
def test_ten_million_draws_fit_the_law(law: Sampler, weights: Weights, reach: int) -> None:
    check_distribution(law, weights, reach, 10**7)


@pytest.mark.slow
def test_sums_of_skellam_noise_fit_one_skellam_law() -> None:
    rand = random.Random(3).randbytes
    total = np.sum([ExactSkellam(Fraction(12)).sample(10**6, rand=rand) for _ in range(5)], axis=0)
    assert abs(chi_square_deviation(total, both_signs(skellam_weights(Fraction(60), 240)))) < 4


# --- Undecided draws


def draw(law: ExactSkellam, w: int, more: int, sign: int) -> tuple[int, int]:
    """One sample from the words of w (128 bits), sign and more (256 bits), and how many were used."""
    words = [w % WORD, w // WORD, sign, *((more >> shift) % WORD for shift in (128, 192, 0, 64))]
    source, out = _kernels.Random(words=np.array(words, np.uint64)), np.empty(1, np.int64)
    law.fill(out, source)
    return int(out[0]), source.used


@pytest.mark.parametrize("variance", [Fraction(4), Fraction(31, 3)])
def test_more_bits_decide_where_128_do_not(variance: Fraction) -> None:
    """The number 0.w more, against probabilities to 384 bits, next to the digits that matter."""
    law, longer = ExactSkellam(variance), cumulative(skellam_quotients(variance), 384).thresholds
    for k in (1, 2, 5, 20, 30):
        w, rest = divmod(longer[k - 1], 1 << 256)
        for more, used in ((0, 5), (rest - (1 << 128), 5), (rest + (1 << 128), 5), (rest - 1, 7), (rest + 1, 7)):
            number = w << 256 | more
            magnitude = sum(x > number for x in longer)
            assert draw(law, w, more, sign=0) == (magnitude, used)
            assert draw(law, w, more, sign=1) == (-magnitude, used)


def test_zeros_reach_beyond_the_table() -> None:
    """128 zeros are undecided: the 128 bits that follow say how far beyond the table's end the sample lies."""
    law = ExactSkellam(Fraction(4))
    count = len(cumulative(skellam_quotients(Fraction(4))).thresholds)
    near, used = draw(law, 0, ONE * (ONE - 1), sign=0)
    far, _ = draw(law, 0, ONE, sign=0)
    assert used == 5
    assert count <= near < far <= len(cumulative(skellam_quotients(Fraction(4)), 256).thresholds)


def test_samples_after_an_undecided_one_use_the_words_that_follow() -> None:
    variance = Fraction(4)
    law, first = ExactSkellam(variance), cumulative(skellam_quotients(variance)).thresholds[0]
    rng = random.Random(5)
    plain = [rng.getrandbits(64) for _ in range(30)]
    undecided = [first % WORD, first // WORD, 0, 1, 2]
    out = np.empty(21, np.int64)
    source = _kernels.Random(words=np.array([*plain, *undecided, *plain], np.uint64))
    law.fill(out, source)
    assert source.used == 65
    assert out[:10].tolist() == out[11:].tolist()
    assert out[10] in (0, 1)


# --- Bounds


@pytest.mark.parametrize(
    ("kind", "largest"), [(IsochronousGaussian, 1 << 20), (IsochronousSkellam, 1 << 20), (ExactSkellam, 1 << 28)]
)
def test_parameters_out_of_bounds_are_refused(kind: Callable[[Fraction], Sampler], largest: int) -> None:
    kind(Fraction(largest))
    for value in (Fraction(0), Fraction(-1), Fraction(largest) + Fraction(1, 7), Fraction(1, (1 << 100) + 1)):
        with pytest.raises(ValueError, match="must"):
            kind(value)


@pytest.mark.parametrize("scale", [Fraction(0), Fraction((1 << 40) + 1), Fraction(1, (1 << 56) + 1)])
def test_scales_out_of_bounds_are_refused(scale: Fraction) -> None:
    with pytest.raises(ValueError, match="must"):
        IsochronousLaplace(scale)


@pytest.mark.parametrize(
    "law",
    [
        IsochronousLaplace(Fraction(1, 1 << 56)),
        IsochronousGaussian(Fraction(1, 1 << 100)),
        IsochronousWideGaussian(Fraction(1, 1 << 100)),
        IsochronousSkellam(Fraction(1, 1 << 100)),
        ExactSkellam(Fraction(1, 1 << 100)),
    ],
)
def test_the_smallest_parameters_draw_zeros(law: Sampler) -> None:
    assert not law.sample(1000).any()


@pytest.mark.parametrize(
    "kind",
    [
        *(ExactLaplace, ExactGaussian, ExactSkellam),
        *(IsochronousLaplace, IsochronousGaussian, IsochronousWideGaussian, IsochronousSkellam),
    ],
)
def test_integers_are_exact_and_floats_are_not(kind: Callable[[Any], Sampler]) -> None:
    rand = random.Random(1).randbytes
    noise = kind(3).sample(50, rand=rand)
    assert np.array_equal(noise, kind(Fraction(3)).sample(50, rand=random.Random(1).randbytes))
    with pytest.raises(TypeError, match="Fraction"):
        kind(0.5)


def test_thresholds_of_other_shapes_are_refused() -> None:
    source, out = _kernels.Random(seed=SEED), np.empty(1, np.int64)
    for kernel in (_kernels.noise_scan, _kernels.noise_bitwise, _kernels.noise_search):
        for shape in ((0, 2), (3, 1), (3, 3)):
            with pytest.raises(ValueError, match="shape"):
                kernel(out, np.zeros(shape, np.uint64), source)
    with pytest.raises(ValueError, match="refused"):
        _kernels.noise_bitwise(out, np.zeros((64, 2), np.uint64), source)


@pytest.mark.parametrize("counts", [[], [2], [4], [1, 1], [2, 2], [(1 << 64) - 1, 4], [3] + [0] * 32])
def test_counts_that_do_not_fit_the_thresholds_are_refused(counts: list[int]) -> None:
    out, source = np.zeros(1, np.int64), _kernels.Random(seed=SEED)
    with pytest.raises(ValueError, match=r"table|add up|refused"):
        _kernels.noise_convolution(out, np.zeros((3, 2), np.uint64), np.array(counts, np.uint64), 4, source)


def test_words_that_run_out_are_an_error() -> None:
    out, counts = np.empty(2, np.int64), np.ones(2, np.uint64)
    with pytest.raises(ValueError, match="refused"):
        _kernels.noise_convolution(
            out, np.zeros((2, 2), np.uint64), counts, 4, _kernels.Random(words=np.ones(11, np.uint64))
        )
    out = np.empty(4, np.int64)
    for kernel in (_kernels.noise_scan, _kernels.noise_bitwise, _kernels.noise_search):
        with pytest.raises(ValueError, match="refused"):
            kernel(out, np.full((1, 2), 9, np.uint64), _kernels.Random(words=np.ones(11, np.uint64)))
