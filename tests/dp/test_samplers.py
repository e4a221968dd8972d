"""The exact samplers: equal to their twin word by word, exact by their exponents, and distributed as they must be."""

import itertools
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import factorial, isqrt, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import _kernels, vector
from secagg.dp.samplers import ExactGaussian, ExactLaplace, Sampler
from secagg.masking import expand
from secagg.vdaf.field import Field64

from ..support import noise_twin
from ..support.noise_fit import both_signs, chi_square_deviation, exp_minus
from ..support.noise_twin import Tape

SEED = bytes(range(16))
ONES = (1 << 64) - 1
SCALES = [Fraction(1), Fraction(1, 3), Fraction(100), Fraction(22, 7), Fraction(10**4), Fraction(1 << 56, 65537)]
VARIANCES = [*SCALES, Fraction(1, 1000), Fraction(2, 3), Fraction(10**8), Fraction((1 << 100) - 3, (1 << 20) + 7)]
LAWS = [
    *((ExactLaplace(scale), noise_twin.laplace, scale) for scale in SCALES),
    *((ExactGaussian(variance), noise_twin.gaussian, variance) for variance in VARIANCES),
]
every_law = pytest.mark.parametrize(("sampler", "twin", "parameter"), LAWS, ids=[str(law[0]) for law in LAWS])
BERNOULLI_EXP = noise_twin.bernoulli_exp
Twin = Callable[[Tape, Fraction], int]


Drawn = tuple[list[int], int] | None


def from_words(sampler: Sampler, words: list[int], n: int) -> Drawn:
    """n samples and how many words they used, or None where words ran out."""
    out = np.empty(n, np.int64)
    source = _kernels.Random(words=np.array(words, np.uint64))
    try:
        sampler.fill(out, source)
    except ValueError:
        assert source.used > len(words)
        return None
    return out.tolist(), source.used


def from_twin(twin: Twin, parameter: Fraction, words: list[int], n: int) -> Drawn:
    tape = Tape(words)
    try:
        return [twin(tape, parameter) for _ in range(n)], tape.used
    except EOFError:
        return None


# --- The same word by word


@every_law
def test_kernel_equals_twin_on_random_words(sampler: Sampler, twin: Twin, parameter: Fraction) -> None:
    rng = random.Random(1)
    words = [rng.getrandbits(64) for _ in range(30_000)]
    drawn = from_words(sampler, words, 500)
    assert drawn is not None
    assert drawn == from_twin(twin, parameter, words, 500)


@every_law
def test_kernel_equals_twin_on_extreme_words(sampler: Sampler, twin: Twin, parameter: Fraction) -> None:
    """All tapes of 10 words that decide a trial at once either way, then zeros and ones for ever."""
    for words in itertools.product([0, ONES], repeat=10):
        for end in ([0] * 50, [ONES] * 50):
            tape = [*words, *end]
            assert from_words(sampler, tape, 1) == from_twin(twin, parameter, tape, 1)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_kernel_equals_twin_on_words_at_the_thresholds(data: st.DataObject) -> None:
    """Words at and next to p * 2**64 for likely p: trials that one word does not decide."""
    sampler, twin, parameter = data.draw(st.sampled_from(LAWS))
    quotients = [Fraction(1, k) for k in range(1, 9)] + [parameter % 1, 1 / (parameter + 1)]
    likely = sorted(
        {int(p * (1 << 64)) + near & ONES for p in quotients for near in (-1, 0, 1)} | {0, 1, 1 << 63, ONES}
    )
    words = data.draw(st.lists(st.sampled_from(likely) | st.integers(0, ONES), min_size=1, max_size=80))
    n = data.draw(st.integers(1, 4))
    assert from_words(sampler, words, n) == from_twin(twin, parameter, words, n)


@pytest.mark.parametrize("denominator", [3, 1 << 63, (1 << 64) - 1, (1 << 64) + 1, (1 << 90) - 1])
def test_kernel_equals_twin_where_trials_need_a_second_word(denominator: int) -> None:
    """With a variance of 1/d the first trial of the proposal 0 is of probability 1/2, and the second of 1/d."""
    parameter = Fraction(1, denominator)
    geometric = [1 << 63, 0, ONES]  # u = 0 of t = 1; exp(-0); exp(-1) fails
    for first in {0, ((1 << 64) // denominator) & ONES, (1 << 64) // 2 // denominator & ONES}:
        for second in (0, 1, 1 << 63, ONES, (1 << 128) // denominator & ONES):
            words = [*geometric, ONES, 0, 0, first, second, *[0, ONES] * 30]
            expected = from_twin(noise_twin.gaussian, parameter, words, 1)
            assert from_words(ExactGaussian(parameter), words, 1) == expected


@every_law
@pytest.mark.usefixtures("isa")
def test_a_seed_stands_for_the_words_of_its_mask(sampler: Sampler, twin: Twin, parameter: Fraction) -> None:
    words = expand(5000, SEED, bits=64)
    drawn = from_words(sampler, words.tolist(), 100)
    assert drawn is not None
    source = _kernels.Random(seed=SEED)
    out = np.empty(100, np.int64)
    sampler.fill(out, source)
    assert (out.tolist(), source.used) == drawn
    assert sampler.sample(100, rand=lambda n: SEED[:n]).tolist() == drawn[0]


def test_samples_go_on_where_the_words_of_a_source_ended() -> None:
    at_once, one_by_one = np.empty(2000, np.int64), np.empty(2000, np.int64)
    _kernels.noise_laplace(at_once, 100, 1, _kernels.Random(seed=SEED))
    source = _kernels.Random(seed=SEED)
    for i in range(2000):
        _kernels.noise_laplace(one_by_one[i : i + 1], 100, 1, source)
    assert np.array_equal(at_once, one_by_one)


# --- Exact by construction


@given(st.integers(0, 200), st.fractions(Fraction(1, 1000), 10**4))
def test_exponents_of_the_trials_add_up_to_algorithm_3s(x: int, sigma_squared: Fraction) -> None:
    t = isqrt(int(sigma_squared)) + 1
    total = Fraction(0)
    for times, factors in noise_twin.exponents(x, sigma_squared):
        assert all(0 <= factor < 1 for factor in factors)
        product = Fraction(1)
        for factor in factors:
            product *= factor
        total += times * product / 2
    assert total == (x - sigma_squared / t) ** 2 / (2 * sigma_squared)


@given(st.fractions(Fraction(1, 50), 50, max_denominator=50), st.integers(0, 2**32))
def test_exponents_of_the_trials_add_up_to_algorithm_2s(scale: Fraction, seed: int) -> None:
    """A proposal u + v t is accepted by trials of exp(-u / t) and v times exp(-1): by exp(-(u + v t) / t) in all. Of s
    neighbours each is s / t further on, so that their quotient's magnitudes fall off by exp(-1 / scale)."""
    t, s = scale.numerator, scale.denominator
    rng = random.Random(seed)
    tape = Traced([rng.getrandbits(64) for _ in range(10_000)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise_twin, "bernoulli_exp", tape.bernoulli_exp)
        magnitude = abs(noise_twin.laplace(tape, scale))
    *accepted, (last, success) = tape.trials
    assert (last, success) == (Fraction(1), False)  # v ends here
    start = max((i for i, (_, success) in enumerate(accepted) if not success), default=-1) + 1
    proposal = sum((exponent for exponent, _ in accepted[start:]), Fraction(0)) * t
    assert proposal == tape.last_uniform + t * (len(accepted) - start - 1)
    assert magnitude == proposal // s


class Traced(Tape):
    """Remembers the exponent and the outcome of each trial of exp, and the last uniform number."""

    def __init__(self, words: list[int]) -> None:
        super().__init__(words)
        self.trials: list[tuple[Fraction, bool]] = []
        self.last_uniform = 0

    def uniform(self, t: int) -> int:
        self.last_uniform = super().uniform(t)
        return self.last_uniform

    def bernoulli_exp(self, tape: Tape, c: int, *factors: Fraction) -> bool:
        exponent = Fraction(1, c)
        for factor in factors:
            exponent *= factor
        outcome = BERNOULLI_EXP(tape, c, *factors)
        self.trials.append((exponent, outcome))
        return outcome


class Scripted(Tape):
    """Trials that end as the script says; knows how likely that is. EOFError after the last."""

    def __init__(self, script: tuple[bool, ...]) -> None:
        super().__init__([])
        self.script = iter(script)
        self.probability = Fraction(1)

    def bernoulli(self, p: Fraction) -> bool:
        outcome = next(self.script, None)
        if outcome is None:
            raise EOFError
        self.probability *= p if outcome else 1 - p
        return outcome


@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("factors", [(), (Fraction(2, 7),), (Fraction(3, 5), Fraction(5, 6)), (Fraction(1),)], ids=str)
def test_the_tree_of_choices_sums_to_exp(c: int, factors: tuple[Fraction, ...]) -> None:
    """Enumerates every way that the first 12 steps can go; what they leave open is x^12 / 12!."""
    x = Fraction(1, c)
    for factor in factors:
        x *= factor
    accepted = decided = Fraction(0)
    unfinished: list[tuple[bool, ...]] = [()]
    while unfinished:
        script = unfinished.pop()
        trial = Scripted(script)
        try:
            outcome = noise_twin.bernoulli_exp(trial, c, *factors)
        except EOFError:
            if sum(script) < 12 * (1 + len(factors)):
                unfinished += [(*script, True), (*script, False)]
            continue
        decided += trial.probability
        accepted += trial.probability * outcome
    series = sum((Fraction(-x) ** k / factorial(k) for k in range(30)), Fraction(0))
    assert 1 - decided <= x**11 / factorial(11)
    assert accepted <= series <= accepted + (1 - decided)


# --- Distributed as they must be


def weights(law: Sampler, reach: int) -> list[Decimal]:
    """Proportional to P[|X| = k], k < reach."""
    if isinstance(law, ExactLaplace):
        exponents = [Fraction(k) / law.scale for k in range(reach)]
    else:
        assert isinstance(law, ExactGaussian)
        exponents = [Fraction(k * k) / (2 * law.sigma_squared) for k in range(reach)]
    return both_signs([exp_minus(x) for x in exponents])


DISTRIBUTED = [
    (ExactLaplace(Fraction(1)), 60),
    (ExactLaplace(Fraction(7, 3)), 120),
    (ExactLaplace(Fraction(100)), 3000),
    (ExactGaussian(Fraction(1, 2)), 30),
    (ExactGaussian(Fraction(1)), 30),
    (ExactGaussian(Fraction(29, 3)), 60),
    (ExactGaussian(Fraction(10**4)), 1200),
]
distributed = pytest.mark.parametrize(("law", "reach"), DISTRIBUTED, ids=[str(law) for law, _ in DISTRIBUTED])


def check_distribution(law: Sampler, reach: int, n: int) -> None:
    samples = law.sample(n, rand=lambda size: SEED[:size])
    assert abs(chi_square_deviation(samples, weights(law, reach))) < 4
    positive, negative = int((samples > 0).sum()), int((samples < 0).sum())
    assert abs(positive - negative) < 4 * sqrt(positive + negative)


@distributed
def test_a_million_draws_fit_the_law(law: Sampler, reach: int) -> None:
    check_distribution(law, reach, 10**6)


@pytest.mark.nightly
@distributed
def test_ten_million_draws_fit_the_law(law: Sampler, reach: int) -> None:
    check_distribution(law, reach, 10**7)


@pytest.mark.parametrize(
    ("law", "off"),
    [
        (ExactLaplace(Fraction(100)), ExactLaplace(Fraction(102))),
        (ExactGaussian(Fraction(1)), ExactGaussian(Fraction(102, 100))),
        (ExactGaussian(Fraction(1)), ExactLaplace(Fraction(7, 10))),
    ],
)
def test_the_fit_is_that_of_one_law_only(law: Sampler, off: Sampler) -> None:
    assert chi_square_deviation(off.sample(10**6, rand=lambda size: SEED[:size]), weights(law, 3000)) > 10


def test_two_draws_are_independent() -> None:
    samples = ExactGaussian(Fraction(1)).sample(10**6, rand=lambda size: SEED[:size]).astype(float)
    for lag in (1, 2, 3):
        assert abs(np.corrcoef(samples[:-lag], samples[lag:])[0, 1]) < 4e-3
        assert abs(np.corrcoef(np.abs(samples[:-lag]), np.abs(samples[lag:]))[0, 1]) < 4e-3


# --- Into vectors


@pytest.mark.parametrize(
    "modulus", [2, 3, 2**24, 2**24 - 3, 2**32 - 5, 2**32, 2**32 + 1, 2**63 - 25, Field64.MODULUS, 2**64]
)
def test_noise_is_added_mod_r(modulus: int) -> None:
    law = ExactGaussian(Fraction(1 << 70))
    rng = random.Random(modulus)
    before = [rng.choice([0, modulus - 1, rng.randrange(modulus)]) for _ in range(100)]
    values = np.array(before, vector.dtype(modulus))
    law.add_to(values, modulus, rand=lambda size: SEED[:size])
    noise = law.sample(100, rand=lambda size: SEED[:size]).tolist()
    assert values.tolist() == [(x + y) % modulus for x, y in zip(before, noise, strict=True)]


def test_seeds_come_from_the_system_and_differ() -> None:
    law = ExactLaplace(Fraction(10**6))
    assert not np.array_equal(law.sample(10), law.sample(10))


# --- Bounds


@pytest.mark.parametrize("kind", [ExactLaplace, ExactGaussian])
@pytest.mark.parametrize("value", [Fraction(0), Fraction(-1), Fraction((1 << 80) + 1), Fraction(1, (1 << 100) + 1)])
def test_parameters_out_of_bounds_are_refused(kind: type[ExactLaplace] | type[ExactGaussian], value: Fraction) -> None:
    with pytest.raises(ValueError, match="must"):
        kind(value)


@pytest.mark.parametrize(
    "value", [Fraction((1 << 40) + 1), Fraction((1 << 56) + 1, 1 << 17), Fraction(1, (1 << 56) + 1)]
)
def test_scales_out_of_bounds_are_refused(value: Fraction) -> None:
    with pytest.raises(ValueError, match="must"):
        ExactLaplace(value)
    with pytest.raises(ValueError, match="refused by the kernel"):
        _kernels.noise_laplace(np.empty(1, np.int64), *value.as_integer_ratio(), _kernels.Random(seed=SEED))


@pytest.mark.parametrize(
    ("numerator", "denominator"),
    [(0, 1), (1, 0), ((1 << 80) + 1, 1), ((1 << 100) + 1, 1 << 30), (1, (1 << 100) + 1), (1 << 128, 1), (1, 1 << 200)],
)
def test_the_kernel_refuses_variances_out_of_bounds(numerator: int, denominator: int) -> None:
    with pytest.raises(ValueError, match=r"refused|must be"):
        _kernels.noise_gaussian(np.empty(1, np.int64), numerator, denominator, _kernels.Random(seed=SEED))


@pytest.mark.parametrize(
    ("law", "sigma"),
    [
        (ExactLaplace(Fraction(1 << 40)), sqrt(2) * (1 << 40)),
        (ExactLaplace(Fraction(1 << 56, 1 << 55)), 2.80),
        (ExactLaplace(Fraction(1, 1 << 56)), 0),
        (ExactGaussian(Fraction(1 << 80)), 1 << 40),
        (ExactGaussian(Fraction(1 << 100, (1 << 100) - 1)), 1),
        (ExactGaussian(Fraction(1, 1 << 100)), 0),
    ],
    ids=str,
)
def test_the_largest_and_smallest_parameters(law: Sampler, sigma: float) -> None:
    samples = law.sample(10_000, rand=lambda size: SEED[:size]).astype(float)
    assert 0.97 * sigma <= samples.std() <= 1.03 * sigma
    assert abs(samples.mean()) <= 0.03 * sigma


def test_no_samples_take_no_words() -> None:
    source = _kernels.Random(seed=SEED)
    _kernels.noise_laplace(np.empty(0, np.int64), 1, 1, source)
    assert source.used == 0


def test_a_source_is_a_seed_or_words() -> None:
    for arguments in (
        {},
        {"seed": SEED, "words": np.zeros(1, np.uint64)},
        {"seed": b""},
        {"words": np.zeros(0, np.uint64)},
    ):
        with pytest.raises(ValueError, match=r"must|exactly one"):
            _kernels.Random(**arguments)
