"""Numbers and bytes at the public edge: the same value in plain Python, or an error that says what is expected."""

import sys
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from secagg import arguments
from secagg.errors import ArgumentTypeError, LocalProtocolError

INTEGER_TYPES = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


@pytest.mark.parametrize("kind", INTEGER_TYPES)
def test_whole_numbers_of_numpy_become_python_integers(kind: type[Any]) -> None:
    largest = np.iinfo(kind).max
    number = arguments.whole(kind(largest), "n")
    assert type(number) is int
    assert number**2 == int(largest) ** 2


@pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float64(2), "2", b"2", None, Fraction(2), np.array([2])])
def test_what_is_no_integer_is_a_type_error_that_names_the_parameter(value: Any) -> None:
    with pytest.raises(TypeError, match="length must be an integer"):
        arguments.whole(value, "length")
    with pytest.raises(LocalProtocolError):
        arguments.whole(value, "length")


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble, *INTEGER_TYPES, int, Fraction])
def test_real_numbers_become_python_floats(kind: type[Any]) -> None:
    number = arguments.real(kind(3), "clip")
    assert type(number) is float
    assert number == 3.0


@pytest.mark.parametrize("value", [True, np.True_, "1", b"1", None, 1j, np.complex64(1), np.array(1.0), [1.0]])
def test_what_is_no_real_number_is_a_type_error(value: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="clip must be a real number"):
        arguments.real(value, "clip")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf"), 2**60 + 1, 10**400, Decimal("0.1")])
def test_no_real_number_is_rounded_on_the_way(value: Any) -> None:
    with pytest.raises(LocalProtocolError, match="clip must be"):
        arguments.real(value, "clip")


def test_octets_are_copied_out_of_what_may_change() -> None:
    mutable = bytearray(b"abc")
    copied = arguments.octets(mutable, "context")
    mutable[0] = 0
    assert copied == b"abc"
    assert type(arguments.octets(memoryview(b"abc"), "context")) is bytes


@pytest.mark.parametrize("value", ["abc", 3, None, [1, 2]])
def test_text_is_no_octets(value: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="context must be bytes"):
        arguments.octets(value, "context")


def test_masked_arrays_are_refused_before_their_mask_is_lost() -> None:
    with pytest.raises(ArgumentTypeError, match="masked"):
        arguments.array(np.ma.masked_array([1, 2], mask=np.array([False, True])), "x")
    assert arguments.array([1, 2], "x").tolist() == [1, 2]


def test_large_integers_stay_integers_among_objects() -> None:
    values = [-1, (1 << 63) + 1, 1 << 100]
    assert arguments.array(values, "x", object).tolist() == values
    assert arguments.array(values[:2], "x", object).tolist() == values[:2]


def test_an_array_is_taken_while_another_thread_loads_what_masks_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy.ma", ModuleType("numpy.ma"))
    assert arguments.array([1, 2], "x").tolist() == [1, 2]


def test_masked_arrays_in_a_list_are_refused_as_well() -> None:
    nested: Any = [1, np.ma.masked]
    with pytest.raises(ArgumentTypeError, match="masked"):
        arguments.array(nested, "x")
    with pytest.raises(ArgumentTypeError, match="n must be an integer"):
        arguments.whole(np.ma.masked_array(1, mask=True), "n")


@pytest.mark.parametrize("value", [False, True])
def test_truth_values_of_numpy_become_python_s(value: bool) -> None:
    assert arguments.flag(np.bool_(value), "signed") is value
    assert arguments.flag(value, "signed") is value


@pytest.mark.parametrize("value", [0, 1, "", "no", None, np.int8(1), np.array(True)])
def test_what_is_true_or_false_only_by_custom_is_no_truth_value(value: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="signed must be True or False"):
        arguments.flag(value, "signed")


def test_arrays_that_are_changed_in_place_are_the_caller_s_own() -> None:
    values = np.zeros(2)
    assert arguments.in_place(values, "acc") is values
    for value in ([0, 0], np.ma.masked_array([0, 0]), bytes(2)):
        with pytest.raises(ArgumentTypeError, match="acc must be an array"):
            arguments.in_place(value, "acc")  # type: ignore[arg-type]


def test_fields_of_frozen_dataclasses_are_converted_where_they_are_given() -> None:
    @dataclass(frozen=True)
    class Sizes:
        n: int
        t: int | None = None

        def __post_init__(self) -> None:
            arguments.convert(self, arguments.whole, "n", "t")

    made: Any = Sizes
    assert type(made(np.uint8(200)).n) is int
    assert made(1).t is None
    with pytest.raises(ArgumentTypeError, match="t must be an integer"):
        made(1, 2.0)


def test_errors_do_not_show_the_value() -> None:
    with pytest.raises(ArgumentTypeError) as error:
        arguments.octets("a secret", "key")  # type: ignore[arg-type]
    assert "a secret" not in str(error.value)
