"""Arrays of mixed dtypes and shapes: their change in one vector, and the model to which a mean change was added."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import LocalProtocolError
from secagg.integrations.arrays import ModelForm, UnusableUpdate, digest, require_finite

FLOATS = ["float16", "float32", "float64", "bfloat16"]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        name = pytest.importorskip("ml_dtypes").bfloat16
    made: np.dtype[Any] = np.dtype(name)
    return made


def change(new: Any, received: Any, clip: float = 1e9) -> Any:
    written = np.empty(np.size(received))
    ModelForm.of({"a": received}).write_difference({"a": new}, {"a": received}, clip, written)
    return written


def moved(received: Any, by: Any, kind: np.dtype[Any] | None = None) -> Any:
    form = ModelForm.of({"a": received})
    return form.moved({"a": received}, np.asarray(by, np.float64), {} if kind is None else {"a": kind})["a"]


@pytest.mark.parametrize("name", FLOATS + INTEGERS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)], ids=str)
def test_an_array_plus_its_change_is_the_new_one(name: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    before, after = (rng.integers(0, 100, shape) for _ in range(2))
    received, new = np.asarray(before).astype(dtype(name)), np.asarray(after).astype(dtype(name))
    again = moved(received, change(new, received))
    assert (again.dtype, again.shape) == (received.dtype, shape)
    assert (again == new).all()


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_rounded_and_stay_within_their_dtype(name: str) -> None:
    kind = np.iinfo(name)
    received = np.array([kind.min, kind.max, 5], name)
    assert moved(received, [-0.6, 0.6, 0.4]).tolist() == [kind.min, kind.max, 5]
    assert moved(received, [0.6, -0.6, -0.6]).tolist() == [kind.min + 1, kind.max - 1, 4]


@pytest.mark.parametrize(("name", "start"), [("int64", 2**62), ("uint64", 2**64 - 10)])
def test_large_integers_change_exactly(name: str, start: int) -> None:
    received, new = np.array([start], name), np.array([start + 3], name)
    assert change(new, received).tolist() == [3.0]
    assert moved(received, [3.0]).tolist() == [start + 3]


def test_a_change_over_all_of_int64_is_no_small_one() -> None:
    with pytest.raises(UnusableUpdate, match="'a' holds integers that have changed by more"):
        change(np.array([2**63 - 1]), np.array([-(2**63)]), 10.0)


def test_a_counter_that_comes_back_as_a_float_is_bounded_too() -> None:
    received = np.array([1000])
    assert change(np.array([1001.5]), received, 2.0).tolist() == [1.5]
    with pytest.raises(UnusableUpdate, match="'a' holds integers that have changed by more"):
        change(np.array([1937.0], np.float32), received, 2.0)
    assert change(np.array([5]), np.array([0.5]), 2.0).tolist() == [4.5]  # a float that is rounded is clipped


@pytest.mark.parametrize("after", [2**53, 2.0**53, 2**53 + 2])
def test_the_model_that_was_received_may_hold_large_integers(after: float) -> None:
    assert change(np.array([after]), np.array([2**53 + 1])).tolist() == [int(after) - (2**53 + 1)]


def test_a_name_with_brackets_is_left_out() -> None:
    model = {"layers[0].n": np.zeros(1), "layers[0].w": np.zeros(1), "layers0.n": np.zeros(1)}
    assert ModelForm.of(model, ["layers[0].n"]).left_out == ("layers[0].n", "layers0.n")


def test_half_precision_ends_at_its_largest_number() -> None:
    assert moved(np.array([65504.0], np.float16), [40.0]).tolist() == [65504.0]


def test_integers_and_floats_may_take_each_others_place() -> None:
    assert change(np.array([3]), np.array([1.5])).tolist() == [1.5]
    assert moved(np.array([1.5]), [1.4], np.dtype(np.int64)).tolist() == [3]
    assert change(np.array([1.5], np.float32), np.array([3])).tolist() == [-1.5]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(value: float) -> None:
    with pytest.raises(UnusableUpdate, match="array 'a' holds NaN"):
        change(np.array([value]), np.zeros(1))
    with pytest.raises(UnusableUpdate, match="array 'a' of the model that was received"):
        change(np.zeros(1), np.array([value]))
    with pytest.raises(UnusableUpdate):
        change(np.array([value]), np.array([value]))
    with pytest.raises(LocalProtocolError, match="array 'a' of the model to be trained"):
        require_finite({"a": np.array([value])}, ModelForm.of({"a": np.zeros(1)}))


def test_a_form_is_of_names_shapes_and_what_is_left_out() -> None:
    form = ModelForm.of({"a": np.zeros(3), "b.steps": np.array(True), "c": np.array("text")}, ["*.steps", "c"])
    assert form.size == 3
    assert form.left_out == ("b.steps", "c")
    form.check({"a": np.zeros(3, np.int8)})
    with pytest.raises(LocalProtocolError, match="array 'c' has dtype"):
        ModelForm.of({"c": np.array("text")})


BASE = {"a": np.arange(4.0), "b": np.zeros(2, np.float32)}


@pytest.mark.parametrize(
    "other",
    [
        {"a": np.arange(4.0), "b": np.zeros(2, np.float64)},
        {"a": np.arange(4.0).reshape(2, 2), "b": np.zeros(2, np.float32)},
        {"b": np.zeros(2, np.float32), "a": np.arange(4.0)},
        {"a": np.arange(4.0), "c": np.zeros(2, np.float32)},
        {"a": np.arange(4.0) + np.spacing(1.0), "b": np.zeros(2, np.float32)},
        {"a": np.arange(4.0)},
    ],
    ids=["dtype", "shape", "order", "name", "value", "number"],
)
def test_models_that_differ_have_other_digests(other: Any) -> None:
    assert digest(other) != digest(BASE)


def test_a_digest_is_of_values_and_not_of_memory() -> None:
    values = np.arange(12.0).reshape(3, 4)
    assert digest({"a": values}) == digest({"a": np.asfortranarray(values)}) == digest({"a": values.astype(">f8")})
    assert digest({"a": values[:, ::2]}) == digest({"a": values[:, ::2].copy()})


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=5), st.floats(-1000, 1000))
def test_a_moved_integer_is_the_nearest(values: list[int], by: float) -> None:
    got = moved(np.array(values, np.int64), [by] * len(values)).tolist()
    assert all(abs(g - v - by) <= 0.5 for g, v in zip(got, values, strict=True))
