"""Wide discrete Gaussians as sums of narrow ones, whose tables are short.

Let D(v) be the discrete Gaussian of parameter v: P[X = x] is proportional to exp(-x**2 / 2v). For Y of D(a) and Z of
D(b), independent, k Y + Z is almost of D(v) with v = k**2 a + b (C. Peikert, "An Efficient and Parallel Gaussian
Sampler for Lattices", 2010; D. Micciancio and M. Walter, "Gaussian Sampling over the Integers: Efficient, Generic,
Constant-Time", 2017). One square and one series say how near it is:

    P[k Y + Z = x]  ~  sum over y of exp(-y**2 / 2a - (x - k y)**2 / 2b)
                    =  exp(-x**2 / 2v) * sum over y of exp(-(y - c)**2 / 2w),  w = a b / v,  c = k a x / v,

    sum over y of exp(-(y - c)**2 / 2w)  =  sqrt(2 pi w) * (1 + 2 * sum over j >= 1 of q**(j**2) cos(2 pi j c)),
                                            q = exp(-2 pi**2 w),

where ~ means that a factor is left out which does not depend on x, and the last line is Poisson's summation. So
P[k Y + Z = x] is P[X = x] (1 + d(x)) / (1 + m), with X of D(v), |d(x)| <= d = 2 (q + q**4 + q**9 + ...), and m the mean
of d(X), since probabilities add up to 1. The total variation distance of the two is

    1/2 * E|(1 + d(X)) / (1 + m) - 1|  =  1/2 * E|d(X) - m| / (1 + m)  <=  d / (2 (1 - d)),

since a deviation from the mean is on average at most the standard deviation, and that at most d.

`parts` takes a law apart with k = FACTOR and b = OUTER, again and again, until what is left is at most WHOLE. So each
time w = 6 (1 - OUTER / v) is above 4.56, and the distance below 2**-129. All laws share the table of D(OUTER); only the
last, innermost table is a law's own. If Y and Z are within some distances of their laws themselves, these are added:
the sum is no further from that of the laws than both together.
"""

from collections.abc import Sequence
from fractions import Fraction

from .exact import PI_LOWER, exp_upper, round_up

FACTOR = 4
OUTER = Fraction(6 * FACTOR**2)
WHOLE = Fraction(400)  # from here on two tables, of 57 and 128 thresholds, are read as fast as one of 262


def parts(variance: Fraction) -> list[Fraction]:
    """The variances whose samples make one of this variance: x = y_0, then x = FACTOR x + y_i for i = 1, 2, 3, ...

    Args:
        variance: v of D(v), above 0.
    """
    outer = []
    while variance > WHOLE:
        variance = (variance - OUTER) / FACTOR**2
        outer.append(OUTER)
    return [variance, *outer]


def convolution_distance(variances: Sequence[Fraction]) -> Fraction:
    """A bound on the total variation distance between such a sum of exact samples and the law of its variance."""
    variance, distance = variances[0], Fraction(0)
    for outer in variances[1:]:
        distance += step_distance(variance, outer)
        variance = FACTOR**2 * variance + outer
    return distance


def step_distance(inner: Fraction, outer: Fraction) -> Fraction:
    """d / (2 (1 - d)) of the module's proof, rounded up, for FACTOR * Y + Z.

    Args:
        inner: the variance a of Y.
        outer: the variance b of Z, such that d < 1.
    """
    w = inner * outer / (FACTOR**2 * inner + outer)
    q = exp_upper(-2 * PI_LOWER**2 * w)
    d = 2 * q / (1 - q**3)  # j**2 >= 1 + 3 (j - 1)
    return round_up(d / (2 * (1 - d)), 64)
