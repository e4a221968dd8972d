"""From one definition of differential privacy to another. Every bound errs on the side of privacy.

A bound on all Renyi divergences gives an (epsilon, delta) for every order alpha (Canonne, Kamath and Steinke 2020,
Proposition 12):

    delta = exp((alpha - 1) * (D_alpha - epsilon)) / alpha * (1 - 1/alpha)**(alpha - 1)

The order is a real number. It is chosen in floating point, which only decides how tight the bound is. The bound itself
is computed at that order with directed rounding.
"""

import math
from fractions import Fraction

from .exact import exp_lower, exp_upper, fraction, log_lower, log_upper

_ALPHA_MIN = 1.0 + 2.0**-20
_ALPHA_MAX = 2.0**1000  # epsilons of 1e-100 have orders of 1e102
_HALVINGS = 80


def pure_to_zcdp(epsilon: Fraction) -> Fraction:
    """The least rho such that epsilon-DP implies rho-zCDP: epsilon * tanh(epsilon / 2), at most epsilon**2 / 2.

    The worst case is randomized response, and the worst order alpha -> 1 (Steinke 2024, "Tight RDP and zCDP bounds from
    pure DP"; Bun and Steinke 2016, Proposition 3.3 has epsilon**2 / 2).
    """
    decay = exp_lower(-epsilon)
    return min(epsilon * (1 - decay) / (1 + decay), epsilon * epsilon / 2)


def zcdp_delta(rho: Fraction, epsilon: Fraction) -> Fraction:
    """An upper bound on the delta for which rho-zCDP implies (epsilon, delta)-DP, the least over all orders.

    Args:
        rho: positive, exact.
        epsilon: exact.
    """
    rho, epsilon = fraction(rho, "rho"), fraction(epsilon, "epsilon")
    alpha = _best_alpha(float(rho), float(epsilon))
    return renyi_delta(rho * alpha, alpha, epsilon)


def renyi_delta(divergence: Fraction, alpha: Fraction, epsilon: Fraction) -> Fraction:
    """An upper bound on delta from D_alpha <= divergence at one order alpha > 1; at most 1."""
    log = min(log_upper(1 - 1 / alpha), -1 / alpha)  # as good where alpha is large, and not rounded to 0
    exponent = (alpha - 1) * (divergence - epsilon + log) - log_lower(alpha)
    return Fraction(1) if exponent >= 0 else min(Fraction(1), exp_upper(exponent))


def zcdp_epsilon(rho: Fraction, delta: Fraction) -> Fraction:
    """An upper bound on the epsilon for which rho-zCDP implies (epsilon, delta)-DP, the least over all orders.

    Args:
        rho: positive, exact.
        delta: above 0, exact.

    Returns:
        The bound, at least 0.
    """
    rho, delta = fraction(rho, "rho"), fraction(delta, "delta")
    low, high = 0.0, float(rho) + 2 * math.sqrt(float(rho) * -_log(delta))  # Bun and Steinke 2016, Proposition 1.3
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _log_delta(float(rho), _best_alpha_float(float(rho), middle), middle) > _log(delta):
            low = middle
        else:
            high = middle
    alpha = _best_alpha(float(rho), high)
    return renyi_epsilon(rho * alpha, alpha, delta)


def renyi_epsilon(divergence: Fraction, alpha: Fraction, delta: Fraction) -> Fraction:
    """An upper bound on epsilon from D_alpha <= divergence at one order alpha > 1; at least 0."""
    epsilon = divergence + log_upper(1 - 1 / alpha) - (log_lower(delta) + log_lower(alpha)) / (alpha - 1)
    return max(Fraction(0), epsilon)


def renyi_line_delta(xi: Fraction, rho: Fraction, epsilon: Fraction) -> Fraction:
    """An upper bound on delta from D_alpha <= xi + rho * alpha at integers alpha >= 2, the least over all of them."""
    below = max(2, int(_best_alpha_float(float(rho), float(epsilon - xi))))
    return min(renyi_delta(xi + rho * alpha, Fraction(alpha), epsilon) for alpha in (below, below + 1))


def renyi_line_epsilon(xi: Fraction, rho: Fraction, delta: Fraction) -> Fraction:
    """An upper bound on epsilon from D_alpha <= xi + rho * alpha at integers alpha >= 2, the least over all of them; at
    least 0."""
    slope, log = float(rho), _log(delta)

    def cost(alpha: int) -> float:
        return slope * alpha + math.log1p(-1 / alpha) - (log + math.log(alpha)) / (alpha - 1)

    # The cost falls up to the best order, and rises from there on.
    low, high = 1, 4 + int(min(_ALPHA_MAX, 2 * math.sqrt(1 + (1 - log) / slope)))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle + 1) < cost(middle) else (low, middle)
    return renyi_epsilon(xi + rho * high, Fraction(high), delta)


def cheapest_epsilons(
    xi: Fraction, rho: Fraction, total_variation: Fraction, spent: Fraction, *, integers: bool = False
) -> list[Fraction]:
    """Where delta(epsilon) + (1 + e**(spent + epsilon)) * eta is least, delta(epsilon) being what D_alpha <= xi + rho *
    alpha implies, and eta the total variation: in floating point, at least 0.

    One epsilon for real orders; where the bound holds at integers alpha >= 2, those of the two orders around the best,
    one of which is right. With L = -ln(eta) - spent, the sum at one order is least where its derivative is 0, at

        epsilon = (1 - 1/alpha) (xi + rho alpha) + ln(1 - 1/alpha) + L / alpha,

    and comes to eta * (1 + exp(spent + xi - rho + rho alpha + (L - xi) / alpha)): convex in alpha inside exp, and least
    at alpha**2 = (L - xi) / rho. Below its least value the sum falls in epsilon, as with each step of epsilon the best
    order rises by less than alpha (alpha - 1).
    """
    line, slope, loss = float(xi), float(rho), -_log(total_variation) - float(spent)
    best = min(_ALPHA_MAX, max(_ALPHA_MIN, math.sqrt(max(0.0, loss - line) / slope)))
    orders = [float(max(2, int(best))), float(max(2, int(best)) + 1)] if integers else [best]
    epsilons = [(1 - 1 / a) * (line + slope * a) + math.log1p(-1 / a) + loss / a for a in orders]
    return [Fraction(max(0.0, epsilon)) for epsilon in epsilons]


def _best_alpha(rho: float, epsilon: float) -> Fraction:
    return Fraction(_best_alpha_float(rho, epsilon))


def _best_alpha_float(rho: float, epsilon: float) -> float:
    """Where the logarithm of delta, convex in alpha, is least: its derivative is (2 alpha - 1) rho - epsilon +
    ln(1 - 1/alpha), and 0 between the orders below, as -1 / (alpha - 1) <= ln(1 - 1/alpha) <= -1 / alpha."""
    linear, root = max(0.0, epsilon) / (2 * rho), math.sqrt(1 / (2 * rho))
    low = _ALPHA_MIN if epsilon < 0 else max(_ALPHA_MIN, min(_ALPHA_MAX, max(linear, root)))
    high = max(low, min(_ALPHA_MAX, 1 + linear + root))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if (2 * middle - 1) * rho - epsilon + math.log1p(-1 / middle) < 0:
            low = middle
        else:
            high = middle
    return high


def _log_delta(rho: float, alpha: float, epsilon: float) -> float:
    return (alpha - 1) * (alpha * rho - epsilon + math.log1p(-1 / alpha)) - math.log(alpha)


def _log(x: Fraction) -> float:
    return math.log(x.numerator) - math.log(x.denominator)
