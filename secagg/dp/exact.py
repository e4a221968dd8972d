"""Exact numbers, and bounds on the few functions whose values are not rational.

Privacy parameters are fractions from end to end.  exp, log and sqrt are bounded from both sides: `decimal` rounds them
correctly to DIGITS digits, and the next number up or down is then on the stated side of the true value.
"""

import math
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np

from ..arguments import whole
from ..errors import ArgumentTypeError, LocalProtocolError, require

Exact = int | Fraction | Decimal | str  # what can be given for an exact number: floats cannot

DIGITS = 50
EXP_LIMIT = 10_000  # beyond e**(+-EXP_LIMIT) numbers are neither useful nor cheap
PI_LOWER = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")
PI_UPPER = PI_LOWER + Fraction(1, 10**62)
_EXPONENT_LIMIT = 100  # of a decimal number: far from where floats end, even squared

_NEAREST = Context(prec=DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN)
_DOWN = Context(prec=DIGITS, rounding=ROUND_FLOOR, Emax=MAX_EMAX, Emin=MIN_EMIN)
_UP = Context(prec=DIGITS, rounding=ROUND_CEILING, Emax=MAX_EMAX, Emin=MIN_EMIN)


def fraction(value: Exact, name: str) -> Fraction:
    """The exact value of an integer, fraction, decimal or string such as "0.1", "1e-6" and "1/3".

    Its terms are Python's integers, those of a `Fraction` of numpy's integers too. Strings are of ASCII, without the
    underscores that Python lets digits be grouped by.

    Floats are refused, because their value is not the one that was written: 0.1 is a little more than a tenth, and a
    budget must not be exceeded, not even by a little.

    Raises:
        ArgumentTypeError: a float, or no number.
        LocalProtocolError: a string that is no number, not finite, or beyond 1e100.
    """
    if type(value) is Fraction and type(value.numerator) is type(value.denominator) is int:
        return value
    if isinstance(value, float | np.floating):
        raise ArgumentTypeError(
            f"{name} must be exact, and the float {float(value)} is not quite what it looks like:"
            f" write the string '{float(value)}'"
        )
    if isinstance(value, Rational) and not isinstance(value, bool):
        return Fraction(int(value.numerator), int(value.denominator))
    if not isinstance(value, Decimal | str):
        return Fraction(_index(value, name))
    try:
        if isinstance(value, Decimal):
            return _decimal_fraction(value)
        numerator, slash, denominator = value.partition("/")
        return _decimal_fraction(numerator) / _decimal_fraction(denominator if slash else "1")
    except (InvalidOperation, ValueError, ZeroDivisionError):
        raise LocalProtocolError(_no_number(value, name)) from None


def _index(value: Any, name: str) -> int:
    try:
        return whole(value, name)
    except ArgumentTypeError:
        raise ArgumentTypeError(_no_number(value, name)) from None


def _no_number(value: object, name: str) -> str:
    return f"{name} must be a number such as 2, '0.1', '1e-6' or '1/3', got {value!r}"


def _decimal_fraction(value: Decimal | str) -> Fraction:
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        raise ValueError(value)
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _EXPONENT_LIMIT:
        raise ValueError(value)
    return Fraction(number)


def text(value: Fraction) -> str:
    """A number as people write it: 0.1, 1/3, 1e-06; a long fraction only to six digits, after a ~."""
    short = f"{float(value):.6g}"
    if Fraction(Decimal(short)) == value:
        return short
    return str(value) if value.numerator.bit_length() + value.denominator.bit_length() <= 20 else f"~{short}"


def three_digits_up(value: float) -> str:
    """Not less than a number that is not negative, in three digits."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(value))
    return f"{math.ceil(value * (1 + 1e-9) * 10**digits) / 10**digits:.3g}"


def power_above(value: Fraction) -> str:
    """The least power of 2 that is at least as large as a value of 0 .. 1, written 2^-94, or 0."""
    return f"2^-{int(1 / value).bit_length() - 1}" if value else "0"


def exp_upper(x: Fraction) -> Fraction:
    """At least e**x, by less than 1e-48 of it (and never below e**-10000). Raises `LocalProtocolError` beyond
    x = 10000."""
    require(x <= EXP_LIMIT, f"e**{float(x):.3g} is too large: a privacy loss of this size promises nothing")
    rounded = _decimal(max(x, Fraction(-EXP_LIMIT)), _UP)
    return Fraction(_NEAREST.next_plus(_NEAREST.exp(rounded)))


def exp_lower(x: Fraction) -> Fraction:
    """At most e**x, by less than 1e-48 of it (but 0 below e**-10000)."""
    if x < -EXP_LIMIT:
        return Fraction(0)
    rounded = _decimal(min(x, Fraction(EXP_LIMIT)), _DOWN)
    return Fraction(_NEAREST.next_minus(_NEAREST.exp(rounded)))


def log_upper(x: Fraction) -> Fraction:
    """At least ln x, for x > 0."""
    log = _NEAREST.ln(_decimal(x, _UP))
    return Fraction(_NEAREST.next_plus(log)) if log else Fraction(0)  # ln 1; next to 0 is a number of 1e18 digits


def log_lower(x: Fraction) -> Fraction:
    """At most ln x, for x > 0."""
    log = _NEAREST.ln(_decimal(x, _DOWN))
    return Fraction(_NEAREST.next_minus(log)) if log else Fraction(0)


def sqrt_upper(x: Fraction) -> Fraction:
    """At least the root of x >= 0, and exact for the square of a short number."""
    root = Fraction(_NEAREST.sqrt(_decimal(x, _UP)))
    return root if root * root >= x else Fraction(_NEAREST.next_plus(_NEAREST.sqrt(_decimal(x, _UP))))


def sqrt_lower(x: Fraction) -> Fraction:
    """At most the root of x >= 0, and exact for the square of a short number."""
    root = Fraction(_NEAREST.sqrt(_decimal(x, _DOWN)))
    return root if root * root <= x else Fraction(_NEAREST.next_minus(_NEAREST.sqrt(_decimal(x, _DOWN))))


def round_up(x: Fraction, bits: int) -> Fraction:
    """The next number >= x > 0 that has at most `bits` binary digits, by at most x * 2**(2 - bits) more; x itself if
    its numerator and denominator have no more than that."""
    if max(x.numerator, x.denominator).bit_length() <= bits:
        return x
    step = Fraction(2) ** (x.numerator.bit_length() - x.denominator.bit_length() + 1 - bits)
    return -(-x // step) * step


def _decimal(x: Fraction, context: Context) -> Decimal:
    """x to DIGITS digits, rounded the context's way."""
    return context.divide(Decimal(x.numerator), Decimal(x.denominator))
