"""Polya noise: what the parties add is discrete Laplace noise together, and the guarantee is that of the honest."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import _kernels
from secagg.dp import (
    ApproxDp,
    DiscreteLaplace,
    LaplaceDp,
    Ledger,
    Neighbours,
    Party,
    Plan,
    PureDp,
    Sensitivity,
    Skellam,
)
from secagg.dp.accuracy import error, mean_error, room
from secagg.dp.distributed import sum_law
from secagg.dp.polya import Polya
from secagg.dp.samplers import ExactPolya, IsochronousPolya, _polya_table, _polya_thresholds
from secagg.dp.seeds import Bound, Draw
from secagg.errors import LocalProtocolError

N = Neighbours.REPLACE_ONE
COUNT, HISTOGRAM = Sensitivity.sum(1, N), Sensitivity.histogram(N)
BITS, WORD, ONE = 128, 1 << 64, 1 << 128
LAWS = [(Fraction(1), 2), (Fraction(1, 3), 5), (Fraction(7, 2), 34), (Fraction(12), 3)]


def negative_binomial(scale: Fraction, parties: int, reach: int) -> list[Decimal]:
    """P[K = k] = (1 - q)^r (r)_k / k! q^k of NB(r, q), r = 1 / parties, to 60 digits."""
    with localcontext() as context:
        context.prec = 60
        q = (-Decimal(scale.denominator) / Decimal(scale.numerator)).exp()
        r = 1 / Decimal(parties)
        weights = [((1 - q).ln() * r).exp()]
        for k in range(1, reach):
            weights.append(weights[-1] * q * (k - 1 + r) / k)
        return weights


@pytest.mark.parametrize(("scale", "parties"), LAWS)
def test_every_digit_of_the_thresholds(scale: Fraction, parties: int) -> None:
    """P[K >= k] to 128 bits, against sums in decimal."""
    reach = math.ceil(150 * scale) + 10
    with localcontext() as context:
        context.prec = 60
        tails = list(accumulate(reversed(negative_binomial(scale, parties, reach))))[::-1]
    table = _polya_thresholds(scale, parties, 120)
    expected = [int(Fraction(tail) * (1 << 120)) for tail in tails[1:]]
    assert table.thresholds == [threshold for threshold in expected if threshold]
    left_out = sum(Fraction(tail) for tail in tails[1 + len(table.thresholds) :])
    assert left_out <= table.beyond <= Fraction(math.ceil(scale) + 4, 1 << 119)


def weights(scale: Fraction, parties: int) -> NDArray[np.float64]:
    """P[K = k] as the sampler's table has it."""
    rows = _polya_table(scale, parties).rows.astype(object)
    tails = [1.0, *((int(high) << 64 | int(low)) / ONE for low, high in rows), 0.0]
    return -np.diff(np.array(tails, np.float64))


@pytest.mark.parametrize(("scale", "parties"), [(Fraction(1), 2), (Fraction(5, 2), 3), (Fraction(4), 7)])
def test_all_parties_noise_together_is_discrete_laplace(scale: Fraction, parties: int) -> None:
    """By convolution of what the tables hold."""
    one = weights(scale, parties)
    total = np.ones(1)
    for _ in range(parties):
        total = np.convolve(total, np.convolve(one, one[::-1]))
    middle, q = len(total) // 2, math.exp(-1 / scale)
    y = np.arange(-20, 21)
    laplace = (1 - q) / (1 + q) * q ** np.abs(y)
    np.testing.assert_allclose(total[middle - 20 : middle + 21], laplace, rtol=1e-12)


@pytest.mark.parametrize("kind", [ExactPolya, IsochronousPolya])
@pytest.mark.parametrize(("scale", "parties"), LAWS)
def test_samples_have_the_law(kind: type, scale: Fraction, parties: int) -> None:
    """Chi-square over -4 .. 4 and both tails, of a fixed seed: 10 degrees of freedom, 38 at 4e-5."""
    n, one = 200_000, weights(scale, parties)
    law = np.convolve(one, one[::-1])
    middle = len(law) // 2
    samples = kind(scale, parties).sample(n, rand=lambda size: bytes(range(size)))
    expected = [*law[middle - 4 : middle + 5], law[: middle - 4].sum(), law[middle + 5 :].sum()]
    counts = [int((samples == y).sum()) for y in range(-4, 5)] + [int((samples < -4).sum()), int((samples > 4).sum())]
    assert sum(counts) == n
    cells = [(count, n * p) for count, p in zip(counts, expected, strict=True) if n * p > 5]
    assert sum((count - e) ** 2 / e for count, e in cells) < 38


def draw(law: ExactPolya, *words: int) -> tuple[int, int]:
    """One sample from these words, and how many were used."""
    source, out = _kernels.Random(words=np.array(words, np.uint64)), np.empty(1, np.int64)
    law.fill(out, source)
    return int(out[0]), source.used


@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_more_bits_decide_where_128_do_not(k: int) -> None:
    """The number 0.w more of the first sample, against probabilities to 384 bits; the second sample is 0."""
    law, longer = ExactPolya(Fraction(3), 5), _polya_thresholds(Fraction(3), 5, 384).thresholds
    w, rest = divmod(longer[k - 1], 1 << 256)
    zero = (WORD - 1, WORD - 1, 0)  # all ones lie above every threshold
    for more, used in ((0, 5), (rest - (1 << 128), 5), (rest + (1 << 128), 5), (rest - 1, 7), (rest + 1, 7)):
        bits = [more >> shift & WORD - 1 for shift in (128, 192, 0, 64)]
        words = (w % WORD, w // WORD, 0, *bits[: used - 3], *zero)
        assert draw(law, *words) == (sum(x > (w << 256 | more) for x in longer), used + 3)
        assert draw(law, *zero, *words[:used]) == (-sum(x > (w << 256 | more) for x in longer), used + 3)


def test_isochronous_samples_take_the_same_words() -> None:
    source, out = _kernels.Random(seed=bytes(16)), np.empty(1000, np.int64)
    IsochronousPolya(Fraction(8), 20).fill(out, source)
    assert source.used == 6 * 1000


def test_wide_noise_has_no_sampler() -> None:
    for kind, scale in ((ExactPolya, 4097), (IsochronousPolya, 65)):
        with pytest.raises(ValueError, match="scale must be above 0 and at most"):
            kind(Fraction(scale), 3)
    with pytest.raises(LocalProtocolError, match="parties must be"):
        Polya(Fraction(1), 0)


def test_seeds_of_other_cohorts_are_unrelated() -> None:
    seeds = {
        Draw.of(ExactPolya(scale, parties), 10, 0, Bound.SHARE, bytes(32)).seed(bytes(16))
        for scale in (Fraction(1), Fraction(2))
        for parties in (2, 3, 21)
    }
    assert len(seeds) == 6


# --- Guarantees and errors


@pytest.mark.parametrize("honest", [10, 9, 5, 1])
@pytest.mark.parametrize("changes", [(1,), (3,), (1, 1)])
def test_fewer_honest_parties_are_a_larger_epsilon(honest: int, changes: tuple[int, ...]) -> None:
    """Against the largest loss over all outcomes, of the law by convolution."""
    scale, l1 = Fraction(sum(changes)), sum(changes)
    law, one = Polya(scale, 10), weights(scale, 10)
    total = np.ones(1)
    for _ in range(honest):
        total = np.convolve(total, np.convolve(one, one[::-1]))
    middle, reach = len(total) // 2, 8
    largest = sum(
        max(math.log(total[middle + y] / total[middle + y + change]) for y in range(-reach, reach))
        for change in changes
    )
    sensitivity = Sensitivity(l1, sum(change**2 for change in changes), N, worst=changes)
    assert law.epsilon_of(honest, sensitivity) == pytest.approx(largest, rel=1e-9)
    assert (law.epsilon_of(honest, sensitivity) > 1) == (honest < 10) or honest == 10
    unknown = Sensitivity(l1, sum(change**2 for change in changes), N)
    assert law.epsilon_of(honest, unknown) >= law.epsilon_of(honest, sensitivity) * (1 - 1e-12)


def test_the_guarantee_is_that_of_the_whole() -> None:
    assert sum_law(Polya(Fraction(2), 34), 34, 10) == DiscreteLaplace(Fraction(2))
    assert sum_law(Polya(Fraction(2), 34), 100, 10) == DiscreteLaplace(Fraction(2))
    plan = Plan.distributed(PureDp(1), HISTOGRAM, 10, clients=100, survivors=67, corrupt=33)
    assert (plan.guarantee, plan.keeps_budget, plan.isochronous) == (LaplaceDp(1, 1, 2), True, False)
    ledger = Ledger(PureDp(2))
    ledger.spend(plan.guarantee, "first")
    ledger.spend(plan.guarantee, "second")
    assert not ledger.affords(plan.guarantee)


@pytest.mark.parametrize(("sensitivity", "polya", "skellam"), [(COUNT, 1.84, 14.2), (HISTOGRAM, 7.83, 33.7)])
def test_the_variance_falls_to_that_of_one_laplace_noise(
    sensitivity: Sensitivity, polya: float, skellam: float
) -> None:
    """(1, 1e-6)-DP of 67 in 100 clients, 33 of them corrupt."""
    budget = ApproxDp(1, "1e-6")
    plan = Plan.distributed(budget, sensitivity, 1, clients=100, survivors=67, corrupt=33)
    assert isinstance(plan.law, Polya)
    assert plan.variance(34) == pytest.approx(polya, rel=0.01)
    before = Plan.aggregators(budget, sensitivity, 1, count=100, honest=34, polya=False)
    assert isinstance(before.law, Skellam)
    assert before.variance(34) == pytest.approx(skellam, rel=0.01)


@pytest.mark.parametrize("parties", [5, 8])
def test_errors_are_those_of_the_sum(parties: int) -> None:
    law, one = Polya(Fraction(3), 5), weights(Fraction(3), 5)
    total = np.ones(1)
    for _ in range(parties):
        total = np.convolve(total, np.convolve(one, one[::-1]))
    y = np.abs(np.arange(len(total)) - len(total) // 2)
    assert mean_error(law, parties) == pytest.approx(float(y @ total), rel=1e-9)
    bound = error(law, parties, 0.95).absolute
    assert total[y <= bound].sum() >= 0.95 > total[y < bound].sum()
    assert parties * law.variance == pytest.approx(float(y**2 @ total), rel=1e-9)
    assert float(total[y > room(law, parties, 1, Fraction(1, 1000))].sum()) <= 1e-3


def test_the_report_says_what_fewer_honest_parties_give() -> None:
    plan = Plan.distributed(PureDp(1), COUNT, 1, clients=100, survivors=67, corrupt=0)
    report = plan.report()
    said = [value for name, value in report if name == "otherwise"]
    assert said == ["with 66 of 67 honest, at most 1.02-DP", "with 33 of 67 honest, at most 1.7-DP"]
    assert ("variance", "2.75 of each entry if all 100 add noise; the guarantee counts on 1.84") in report
    assert ("noise", "Polya(scale = 1, parties = 67) by each client, on every entry") in report
    assert all(name != "otherwise" for name, _ in Plan.central(PureDp(1), COUNT, 1).report())


def test_clients_noises_reach_the_sum() -> None:
    plan = Plan.distributed(PureDp("0.5"), COUNT, 20_000, clients=6, survivors=6, corrupt=0)
    noise = plan.noise_for(Party.CLIENT)
    rand = np.random.default_rng(5).bytes
    total = np.sum([noise.sample(rand=rand, context=b"%d" % u) for u in range(6)], axis=0)
    q = math.exp(-0.5)
    for y in (0, 1, -2, 5):
        p = (1 - q) / (1 + q) * q ** abs(y)
        assert abs((total == y).mean() - p) < 5 * math.sqrt(p * (1 - p) / 20_000)
