"""Exact numbers and directed rounding, against sums of fractions that use no decimal arithmetic."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dp.exact import (
    exp_lower,
    exp_upper,
    fraction,
    log_lower,
    log_upper,
    power_above,
    round_up,
    sqrt_lower,
    sqrt_upper,
    text,
)
from secagg.errors import LocalProtocolError

TINY = Fraction(1, 10**45)
numbers = st.fractions(-20, 20, max_denominator=10**6)
positive_numbers = st.fractions(Fraction(1, 10**6), 10**6, max_denominator=10**9)


def exp_series(x: Fraction) -> Fraction:
    """e**x to 60 digits: Taylor's series at x / 64, squared six times, in integers with 100 digits."""
    one = 10**100
    step = x.numerator * one // (x.denominator * 64)
    term = total = one
    for k in range(1, 80):
        term = term * step // (k * one)
        total += term
    for _ in range(6):
        total = total * total // one
    return Fraction(total, one)


@given(numbers)
def test_exp_lies_between_its_bounds_and_they_are_close(x: Fraction) -> None:
    low, high, true = exp_lower(x), exp_upper(x), exp_series(x)
    assert low < true < high or x == 0
    assert low <= 1 <= high or x != 0
    assert high - low < TINY * true


@given(positive_numbers)
def test_log_lies_between_its_bounds(x: Fraction) -> None:
    assert exp_series(log_lower(x)) < x + TINY * x
    assert exp_series(log_upper(x)) > x - TINY * x
    assert 0 < log_upper(x) - log_lower(x) < 10**3 * TINY
    assert log_lower(x) <= 0 <= log_upper(x) or (log_lower(x) > 0) == (x > 1)


def test_logs_of_numbers_that_are_1_to_all_digits() -> None:
    """The number next to ln 1 = 0 has an exponent of 10**18, which no fraction can hold."""
    tiny = Fraction(1, 10**60)
    assert log_lower(Fraction(1)) == log_upper(Fraction(1)) == 0
    assert log_upper(1 - tiny) == 0
    assert log_lower(1 + tiny) == 0


@given(positive_numbers)
def test_roots_lie_between_their_bounds(x: Fraction) -> None:
    assert sqrt_lower(x) ** 2 <= x <= sqrt_upper(x) ** 2
    assert sqrt_upper(x) - sqrt_lower(x) < TINY * 10**4
    assert sqrt_lower(x * x) == x == sqrt_upper(x * x) or x.denominator > 1


def test_exp_far_out_stays_on_its_side_and_cheap() -> None:
    assert exp_lower(Fraction(-(10**30))) == 0 < exp_upper(Fraction(-(10**30))) < Fraction(1, 10**4000)
    assert exp_lower(Fraction(10**30)) == exp_lower(Fraction(10_000))
    with pytest.raises(LocalProtocolError, match="too large"):
        exp_upper(Fraction(10**30))


@given(positive_numbers, st.integers(2, 40))
def test_round_up_is_short_and_never_below(x: Fraction, bits: int) -> None:
    short = round_up(x, bits)
    assert x <= short <= x * (1 + Fraction(4, 1 << bits))
    odd_part = short.numerator // (short.numerator & -short.numerator)
    assert short == x or odd_part <= 1 << bits


@pytest.mark.parametrize(
    ("value", "exact"),
    [(2, Fraction(2)), (np.int64(3), Fraction(3)), (Fraction(1, 3), Fraction(1, 3)), ("0.1", Fraction(1, 10)),
     ("1e-6", Fraction(1, 10**6)), ("1/3", Fraction(1, 3)), (" 1.5 ", Fraction(3, 2)), ("-2", Fraction(-2)),
     (Decimal("0.1"), Fraction(1, 10)), ("0.5/2", Fraction(1, 4))],
)  # fmt: skip
def test_what_is_an_exact_number(value: Any, exact: Fraction) -> None:
    number = fraction(value, "epsilon")
    assert (number, type(number.numerator)) == (exact, int)


@pytest.mark.parametrize("value", [0.1, 1.0, np.float64(0.5)])
def test_a_float_is_refused_with_what_to_write_instead(value: float) -> None:
    with pytest.raises(LocalProtocolError, match=rf"epsilon must be exact.*write the string '{float(value)}'"):
        fraction(value, "epsilon")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["", "one", "1/0", "nan", "inf", "1e999999999", "1e-101", "1/2/3", True, None, b"1", 1j, Decimal("nan")]
)
def test_what_is_no_exact_number(value: Any) -> None:
    with pytest.raises(LocalProtocolError, match="epsilon must be a number such as"):
        fraction(value, "epsilon")


@pytest.mark.parametrize(
    ("value", "written"),
    [("0.1", "0.1"), ("1/3", "1/3"), (2, "2"), ("1e-9", "1e-09"), ("1000001/3000000", "~0.333334")],
)
def test_text_is_short_and_says_when_it_is_rounded(value: Any, written: str) -> None:
    assert text(fraction(value, "x")) == written


@given(st.integers(0, 300), st.integers(1, 1000))
def test_a_power_of_2_is_the_least_above(n: int, part: int) -> None:
    """part / 1000 lies between two powers of 2, times 2**-n."""
    value = Fraction(part, 1000 << n)
    exponent = int(power_above(value).removeprefix("2^-"))
    assert Fraction(1, 2 << exponent) < value <= Fraction(1, 1 << exponent)


def test_nothing_is_above_no_power_of_2() -> None:
    assert power_above(Fraction(0)) == "0"
    assert power_above(Fraction(1)) == "2^-0"
