"""Wide Gaussian noise as sums of narrow samples: how far off the law they are, by enumeration, and what words give."""

from fractions import Fraction
from itertools import pairwise
from math import exp, isqrt, pi, sqrt

import numpy as np
import pytest

from secagg import _kernels
from secagg.dp import DiscreteGaussian
from secagg.dp.convolution import FACTOR, OUTER, WHOLE, convolution_distance, parts, step_distance
from secagg.dp.noise import TOTAL_VARIATION_MAX, isochronous_sampler
from secagg.dp.samplers import IsochronousGaussian, IsochronousWideGaussian
from secagg.dp.tables import cumulative, gaussian_quotients

from ..support.noise_fit import CONTEXT, both_signs, chi_square_deviation, exp_minus
from ..support.noise_twin import Tape, tape_of

SEED = bytes(range(16))
WORD, ONE = 1 << 64, 1 << 128
Law = list[int]  # P[X = x] = P[X = -x] for x = 0, 1, 2, ..., as multiples of one number


def gaussian(variance: Fraction, reach: int) -> Law:
    """To 150 digits."""
    return [int(CONTEXT.scaleb(exp_minus(x * x / (2 * variance)), 200)) for x in range(reach)]


def scanned(variance: Fraction) -> Law:
    """What a scan of the table draws, exactly."""
    magnitudes = [more - less for more, less in pairwise([ONE, *thresholds_of(variance), 0])]
    return [2 * magnitudes[0], *magnitudes[1:]]


def thresholds_of(variance: Fraction) -> list[int]:
    return cumulative(gaussian_quotients(variance)).thresholds


def summed(inner: Law, outer: Law) -> Law:
    """Of FACTOR y + z, exactly."""
    law = [0] * (FACTOR * (len(inner) - 1) + len(outer))
    for y in range(1 - len(inner), len(inner)):
        for z in range(1 - len(outer), len(outer)):
            if FACTOR * y + z >= 0:
                law[FACTOR * y + z] += inner[abs(y)] * outer[abs(z)]
    return law


def total(law: Law) -> int:
    return law[0] + 2 * sum(law[1:])


def total_variation(a: Law, b: Law) -> Fraction:
    reach, one = max(len(a), len(b)), total(a) * total(b)
    a, b = (law + [0] * (reach - len(law)) for law in (a, b))
    return Fraction(total([abs(x * total(b) - y * total(a)) for x, y in zip(a, b, strict=True)]), 2 * one)


# --- How far off the law


@pytest.mark.parametrize("outer", [Fraction(8), Fraction(30), Fraction(50), Fraction(96)])
@pytest.mark.parametrize("inner", [Fraction(1, 3), Fraction(5, 7), Fraction(3), Fraction(9)])
def test_the_distance_of_a_step_is_what_is_stated(inner: Fraction, outer: Fraction) -> None:
    """Of exact laws, so that their sum alone is at fault. The distance is about 2 / pi times the bound, a cosine's mean
    magnitude, unless y has few values."""
    exact = summed(gaussian(inner, 60), gaussian(outer, 200))
    found = total_variation(exact, gaussian(FACTOR**2 * inner + outer, len(exact)))
    bound = step_distance(inner, outer)
    assert found <= bound
    assert found > bound * Fraction(57, 100) or inner < 3


@pytest.mark.parametrize("w", [Fraction(1, 18), Fraction(1, 8), Fraction(1, 2)])
def test_a_step_counts_the_whole_series(w: Fraction) -> None:
    """For w = a b / (k**2 a + b) so small that its second term matters."""
    q = exp(-2 * pi**2 * float(w))
    d = 2 * sum(q ** (j * j) for j in range(1, 6))
    stated = float(step_distance(2 * w, 2 * FACTOR**2 * w))
    assert d / (2 * (1 - d)) * (1 - 1e-9) < stated < d / (2 * (1 - d)) * 1.1


@pytest.mark.parametrize("variance", [Fraction(401), Fraction(4_001, 7), Fraction(6_500), Fraction(10**4)])
def test_total_variation_of_sums_of_scans(variance: Fraction) -> None:
    """The law that the thresholds make, every digit of it, against the real one."""
    first, *rest = parts(variance)
    law = scanned(first)
    for outer in rest:
        law = summed(law, scanned(outer))
    bound = IsochronousWideGaussian(variance).total_variation
    found = total_variation(law, gaussian(variance, len(law) + 100))
    assert 0 < found <= bound < Fraction(1, 1 << 118)


@pytest.mark.parametrize(
    "variance",
    [WHOLE + Fraction(1, 10**9), Fraction(10**4), Fraction(22, 7) * 10**5, Fraction((1 << 100) - 3, (1 << 20) + 7)],
)
def test_parts_make_up_the_variance_and_stay_close(variance: Fraction) -> None:
    made, *rest = parts(variance)
    assert Fraction(19) <= made <= WHOLE
    for outer in rest:
        assert outer == OUTER
        made = FACTOR**2 * made + outer
    assert made == variance
    assert convolution_distance(parts(variance)) < Fraction(len(rest), 1 << 129)


def test_distances_of_steps_and_tables_add_up() -> None:
    each = [IsochronousGaussian(part).total_variation for part in parts(Fraction(10**5))]
    of_steps = convolution_distance(parts(Fraction(10**5)))
    assert len(each) == 3
    assert IsochronousWideGaussian(Fraction(10**5)).total_variation == of_steps + sum(each)


def test_each_step_of_a_sum_adds_its_distance() -> None:
    a, b = Fraction(3), Fraction(30)
    first, second = step_distance(a, b), step_distance(FACTOR**2 * a + b, Fraction(50))
    assert convolution_distance([a]) == 0
    assert convolution_distance([a, b, Fraction(50)]) == first + second


def test_all_variances_keep_to_the_distance_that_delta_pays_for() -> None:
    for exponent in range(17, 181, 3):
        law = DiscreteGaussian(Fraction(isqrt(1 << exponent), 1 << 10))  # from 1/3 to 2**80
        sampler = isochronous_sampler(law)
        assert sampler is not None
        assert 0 < sampler.total_variation < TOTAL_VARIATION_MAX / 4


@pytest.mark.parametrize(
    ("variance", "kind"),
    [(WHOLE, IsochronousGaussian), (WHOLE + 1, IsochronousWideGaussian), (Fraction(1 << 20), IsochronousWideGaussian)],
)
def test_wide_laws_are_sums(variance: Fraction, kind: type) -> None:
    assert isochronous_sampler(DiscreteGaussian(variance)) == kind(variance)


# --- What the kernel makes of words


def magnitude(tape: Tape, thresholds: list[int]) -> int:
    w = tape.next() | tape.next() << 64
    x = sum(threshold > w for threshold in thresholds)
    return -x if tape.next() & 1 else x


def twin(tape: Tape, variance: Fraction) -> int:
    """One sample, by the definition."""
    if variance <= 400:
        return magnitude(tape, thresholds_of(variance))
    y = twin(tape, (variance - 96) / 16)
    return 4 * y + magnitude(tape, thresholds_of(Fraction(96)))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("variance", [Fraction(100), Fraction(4_001, 7), Fraction(1 << 20), Fraction((1 << 80) - 1, 3)])
def test_samples_are_the_twins(variance: Fraction) -> None:
    tape = tape_of(SEED, 3 * 19 * 21)
    samples = IsochronousWideGaussian(variance).sample(21, rand=lambda size: SEED[:size])
    assert samples.tolist() == [twin(tape, variance) for _ in range(21)]


@pytest.mark.parametrize("variance", [Fraction(401), Fraction(10**4), Fraction(1 << 20)])
def test_words_are_as_many_for_every_sample(variance: Fraction) -> None:
    used, law = set(), IsochronousWideGaussian(variance)
    fixed = [np.full(2000, word, np.uint64) for word in (0, WORD - 1)]
    for source in (_kernels.Random(seed=SEED), *(_kernels.Random(words=words) for words in fixed)):
        for n in (1, 10, 100):
            before = source.used
            law.fill(np.empty(n, np.int64), source)
            used.add((source.used - before) / n)
    assert used == {3 * len(parts(variance))}


def check_distribution(variance: Fraction, n: int) -> None:
    samples = IsochronousWideGaussian(variance).sample(n, rand=lambda size: SEED[:size])
    weights = [exp_minus(x * x / (2 * variance)) for x in range(12 * isqrt(int(variance)))]
    assert abs(chi_square_deviation(samples, both_signs(weights))) < 4
    positive, negative = int((samples > 0).sum()), int((samples < 0).sum())
    assert abs(positive - negative) < 4 * sqrt(positive + negative)
    residues = np.bincount(samples % 16, minlength=16)  # of both tables' steps
    assert ((residues - n / 16) ** 2 / (n / 16)).sum() < 15 + 4 * sqrt(30)


@pytest.mark.slow
@pytest.mark.parametrize("variance", [Fraction(401), Fraction(10**4), Fraction(1 << 20)])
def test_a_million_draws_fit_the_law(variance: Fraction) -> None:
    check_distribution(variance, 10**6)


@pytest.mark.nightly
@pytest.mark.parametrize("variance", [Fraction(401), Fraction(10**4), Fraction(1 << 20)])
def test_ten_million_draws_fit_the_law(variance: Fraction) -> None:
    check_distribution(variance, 10**7)


def test_variances_out_of_bounds_are_refused() -> None:
    IsochronousWideGaussian(Fraction(1 << 80))
    for value in (Fraction(0), Fraction(-1), Fraction(1 << 80) + Fraction(1, 7), Fraction(1, (1 << 100) + 1)):
        with pytest.raises(ValueError, match="must"):
            IsochronousWideGaussian(value)
