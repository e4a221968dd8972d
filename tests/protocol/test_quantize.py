"""Quantization: the error bound in exact arithmetic, unbiased rounding, weighted means, and every refusal."""

import hashlib
from collections import OrderedDict
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.errors import LocalProtocolError, RemoteProtocolError
from secagg.protocol.layout import Layout
from secagg.protocol.messages import Round
from secagg.protocol.params import Params
from secagg.protocol.quantize import Aggregate, Quantizer
from secagg.protocol.simulate import expected_sum, simulate

Vector = NDArray[Any]


def flat_quantizer(size: int, **others: Any) -> Quantizer[Vector]:
    return Quantizer.like(np.zeros(size), **others)


def aggregate(
    quantizer: Quantizer[Vector], inputs: list[Vector], weights: list[int] | None = None, **others: Any
) -> Aggregate[Vector]:
    """What a session over these inputs decodes to; its sum is computed in the clear."""
    params = quantizer.params(max(2, len(inputs)), **others)
    ws = [None] * len(inputs) if weights is None else weights
    encoded = {u: quantizer.encode(x, w) for u, (x, w) in enumerate(zip(inputs, ws, strict=True))}
    return quantizer.decode(expected_sum(params, encoded, encoded), params, len(inputs))


def exact(values: Vector) -> list[Fraction]:
    return [Fraction(float(value)) for value in values]


def errors(values: Vector, expected: list[Fraction]) -> list[Fraction]:
    return [abs(a - b) for a, b in zip(exact(values), expected, strict=True)]


finite = st.floats(-3.0, 3.0, allow_subnormal=True)
clients = st.lists(st.tuples(st.lists(finite, min_size=4, max_size=4), st.integers(1, 1000)), min_size=1, max_size=6)


@given(clients, st.integers(2, 40), st.booleans())
def test_sum_of_k_clients_errs_by_less_than_k_steps(
    data: list[tuple[list[float], int]], bits: int, stochastic: bool
) -> None:
    quantizer = flat_quantizer(4, clip=1.7, bits=bits, stochastic=stochastic)
    inputs = [np.array(x) for x, _ in data]
    result = aggregate(quantizer, inputs)
    clipped = [exact(np.clip(x, -1.7, 1.7)) for x in inputs]
    expected = [sum(column, Fraction(0)) for column in zip(*clipped, strict=True)]
    assert max(errors(result.sum, expected)) <= Fraction(result.sum_error)
    assert max(errors(result.mean, [x / len(inputs) for x in expected])) <= Fraction(result.mean_error)
    steps = len(inputs) * (1 if stochastic else 0.5)
    assert result.sum_error == pytest.approx(steps * quantizer.step, rel=1e-2)


@given(clients, st.integers(2, 40), st.booleans())
def test_weighted_mean_errs_by_less_than_k_steps_over_the_summed_weight(
    data: list[tuple[list[float], int]], bits: int, stochastic: bool
) -> None:
    quantizer = flat_quantizer(4, clip=0.9, bits=bits, max_weight=1000, stochastic=stochastic)
    inputs, weights = [np.array(x) for x, _ in data], [w for _, w in data]
    result = aggregate(quantizer, inputs, weights)
    products = [[w * x for x in exact(np.clip(x, -0.9, 0.9))] for x, w in zip(inputs, weights, strict=True)]
    expected = [sum(column, Fraction(0)) for column in zip(*products, strict=True)]
    assert result.weight == sum(weights)
    assert max(errors(result.sum, expected)) <= Fraction(result.sum_error)
    assert max(errors(result.mean, [x / sum(weights) for x in expected])) <= Fraction(result.mean_error)


def test_stochastic_rounding_of_one_client_errs_by_less_than_one_step_and_nearest_by_half() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, 100_000)
    for stochastic, steps in ((True, 1.0), (False, 0.5)):
        quantizer = flat_quantizer(len(x), clip=1.0, bits=12, stochastic=stochastic)
        error = np.abs(aggregate(quantizer, [x]).sum - x)
        assert 0.99 * steps * quantizer.step < error.max() < steps * quantizer.step * (1 + 1e-9)


def test_stochastic_rounding_is_right_on_average() -> None:
    """The mean of 400,000 roundings of one value has a standard error of at most 0.5 step / sqrt(400,000)."""
    random = np.random.default_rng(2)
    for value in (0.123456, -0.7, 1e-4):
        x = np.full(400_000, value)
        quantizer = flat_quantizer(len(x), clip=1.0, bits=8)
        params = quantizer.params(2)
        total = quantizer.encode(x, rand=random.bytes).astype(params.dtype)
        drift = quantizer.decode(total, params, 1).sum.mean() - value
        assert abs(drift) < 5 * 0.5 * quantizer.step / np.sqrt(len(x))


def test_whole_numbers_of_steps_are_exact() -> None:
    quantizer = flat_quantizer(5, clip=127.0, bits=8)
    x = np.array([-127.0, -1.0, 0.0, 64.0, 127.0])
    assert quantizer.encode(x).tolist() == [0, 126, 127, 191, 254]
    np.testing.assert_array_equal(aggregate(quantizer, [x, x, x]).sum, 3 * x)


def test_values_are_clipped_and_counted() -> None:
    quantizer = flat_quantizer(4, clip=0.5, bits=8)
    x = np.array([-9.0, -0.5, 0.5, np.nextafter(0.5, 1)])
    assert quantizer.clipped(x) == 2
    np.testing.assert_array_equal(aggregate(quantizer, [x]).sum, [-0.5, -0.5, 0.5, 0.5])


def test_randomness_is_an_argument() -> None:
    x = np.linspace(-1, 1, 1000)
    quantizer = flat_quantizer(1000, clip=1.0, bits=4)
    drawn: list[int] = []

    def down(size: int) -> bytes:
        drawn.append(size)
        return b"\xff" * size

    below = np.floor(x * 7).astype(int) + 7
    np.testing.assert_array_equal(quantizer.encode(x, rand=down), below)
    np.testing.assert_array_equal(quantizer.encode(x, rand=bytes), below + (np.floor(x * 7) != x * 7))
    assert drawn == [4000]
    assert not np.array_equal(quantizer.encode(x), quantizer.encode(x))


def test_nearest_draws_nothing() -> None:
    quantizer = flat_quantizer(3, clip=7.0, bits=4, stochastic=False)

    def refuse(size: int) -> bytes:
        raise AssertionError

    assert quantizer.encode(np.array([-6.6, 0.4, 3.6]), rand=refuse).tolist() == [0, 7, 11]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64])
def test_lists_of_arrays_keep_their_shapes(dtype: Any) -> None:
    model = [np.arange(6, dtype=dtype).reshape(2, 3), np.array(-1, dtype), np.zeros((0, 2), dtype), np.ones(4, dtype)]
    before = [array.copy() for array in model]
    quantizer = Quantizer.like(model, clip=10.0, bits=20)
    params = quantizer.params(2)
    total = expected_sum(params, {1: quantizer.encode(model), 2: quantizer.encode(model)}, [1, 2])
    result = quantizer.decode(total, params, 2)
    assert params.m == 11
    for mean, array, old in zip(result.mean, model, before, strict=True):
        assert mean.shape == array.shape
        assert mean.dtype == np.float64
        np.testing.assert_allclose(mean, array, rtol=0, atol=result.mean_error)
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4), ()])
def test_one_array_of_any_shape_comes_back_as_one_array(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).normal(size=shape)
    layout = Layout.of(np.asarray(x))
    np.testing.assert_array_equal(layout.restore(layout.flatten(np.asarray(x))), x)


def test_any_memory_order_flattens_alike() -> None:
    x = np.arange(6.0).reshape(2, 3)
    layout = Layout.of(x)
    np.testing.assert_array_equal(layout.flatten(np.asfortranarray(x)), layout.flatten(x))


@pytest.mark.parametrize(
    ("bits", "max_weight", "n", "dtype", "modulus_bits"),
    [(16, None, 2, np.uint32, 17), (25, None, 100, np.uint32, 32), (25, None, 129, np.uint64, 33),
     (16, 2000, 1000, np.uint64, 37), (20, 1 << 33, 1000, np.uint64, 63), (20, 1 << 33, 1025, np.uint64, 64)],
)  # fmt: skip
def test_modulus_holds_every_sum(bits: int, max_weight: int | None, n: int, dtype: type, modulus_bits: int) -> None:
    quantizer = flat_quantizer(2, clip=3.0, bits=bits, max_weight=max_weight)
    params = quantizer.params(n)
    assert (params.dtype, params.bits) == (np.dtype(dtype), modulus_bits)
    for extreme in (-3.0, 3.0):
        total = n * quantizer.encode(np.full(2, extreme), max_weight)
        result = quantizer.decode(total.astype(params.dtype), params, n)
        np.testing.assert_allclose(result.mean, extreme, rtol=0, atol=result.mean_error)


@pytest.mark.parametrize("modulus", [(1 << 20) - 3, (1 << 20), (1 << 40) + 7, (1 << 64) - 59, 1 << 64])
def test_any_modulus_that_is_large_enough_will_do(modulus: int) -> None:
    quantizer = flat_quantizer(3, clip=1.0, bits=10)
    params = Params(n=5, m=3, modulus=modulus, max_value=quantizer.max_value, context=quantizer.bind(b"by hand"))
    inputs = [np.array([-1.0, 0.25, 1.0])] * 5
    total = expected_sum(params, dict(enumerate(map(quantizer.encode, inputs))), range(5))
    result = quantizer.decode(total, params, 5)
    np.testing.assert_allclose(result.sum, 5 * inputs[0], rtol=0, atol=result.sum_error)


def test_noise_beyond_the_range_of_the_sum_is_decoded_with_its_sign() -> None:
    quantizer = flat_quantizer(2, clip=1.0, bits=8)
    params = quantizer.params(3, room=1000)
    x, noise = np.array([-1.0, 1.0]), np.array([-1000, 1000])
    total = (3 * quantizer.encode(x).astype(np.int64) + noise) % params.modulus
    result = quantizer.decode(total.astype(params.dtype), params, 3)
    np.testing.assert_allclose(result.sum, 3 * x + noise * quantizer.step)


def test_weighted_average_through_the_protocol() -> None:
    """The weight is one more masked element; who drops before sending it counts for nothing."""
    random = np.random.default_rng(4)
    updates = {u: [random.normal(size=(3, 2)), random.normal(size=2)] for u in range(1, 7)}
    weights = {u: int(random.integers(1, 51)) for u in updates}
    quantizer = Quantizer.like(updates[1], clip=4.0, bits=20, max_weight=50)
    params = quantizer.params(6, n_corrupt=0)
    inputs = {u: quantizer.encode(updates[u], weights[u]) for u in updates}
    drops = {Round.MASKED_INPUT_COLLECTION: {2}, Round.UNMASKING: {5}}
    simulation = simulate(params, inputs, drops=drops)
    assert simulation.survivors == (1, 3, 4, 5, 6)
    result = quantizer.decode(simulation.sum, params, len(simulation.survivors))
    assert result.weight == sum(weights[u] for u in simulation.survivors)
    for layer, mean in enumerate(result.mean):
        plain = sum(weights[u] * updates[u][layer] for u in simulation.survivors) / result.weight
        np.testing.assert_allclose(mean, plain, rtol=0, atol=result.mean_error)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_by_array(bad: float) -> None:
    model = [np.zeros(3), np.array([[0.0, bad]])]
    quantizer = Quantizer.like(model, clip=1.0)
    with pytest.raises(LocalProtocolError, match="array 1 holds NaN or infinity"):
        quantizer.encode(model)


@pytest.mark.parametrize("array", [np.zeros(2, complex), np.array(["a", "b"]), np.array([None, None])])
def test_what_is_no_real_number_is_refused(array: Vector) -> None:
    with pytest.raises(LocalProtocolError, match="must hold real numbers"):
        flat_quantizer(2, clip=1.0).encode(array)


def test_other_shapes_are_refused() -> None:
    quantizer = Quantizer.like([np.zeros((2, 3)), np.zeros(2)], clip=1.0)
    for model in ([np.zeros((3, 2)), np.zeros(2)], [np.zeros(8)], [np.zeros((2, 3)), np.zeros(2), np.zeros(0)]):
        with pytest.raises(LocalProtocolError, match="shapes"):
            quantizer.encode(model)


@pytest.mark.parametrize("weight", [0, -1, 11, 2.0])
def test_weights_out_of_range_are_refused(weight: Any) -> None:
    with pytest.raises(LocalProtocolError, match="weight must be an integer"):
        flat_quantizer(2, clip=1.0, max_weight=10).encode(np.zeros(2), weight)


@pytest.mark.parametrize(("max_weight", "weight"), [(None, 1), (10, None)])
def test_a_weight_is_neither_forgotten_nor_ignored(max_weight: int | None, weight: int | None) -> None:
    with pytest.raises(LocalProtocolError, match="a quantizer with max_weight needs a weight"):
        flat_quantizer(2, clip=1.0, max_weight=max_weight).encode(np.zeros(2), weight)


@pytest.mark.parametrize(
    "values",
    [{"clip": 0.0}, {"clip": -1.0}, {"clip": np.nan}, {"clip": np.inf}, {"clip": 1.0, "bits": 1},
     {"clip": 1.0, "bits": 54}, {"clip": 1.0, "max_weight": 0}, {"clip": 1.0, "bits": 30, "max_weight": 1 << 24}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match=r"clip|bits|max_weight"):
        flat_quantizer(2, **values)


def test_a_model_without_values_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="no values"):
        flat_quantizer(0, clip=1.0)


def test_a_sum_of_another_form_is_refused() -> None:
    quantizer = flat_quantizer(2, clip=1.0, bits=8)
    params = quantizer.params(4)
    total = quantizer.encode(np.zeros(2)).astype(params.dtype)
    for survivors in (0, 5):
        with pytest.raises(LocalProtocolError, match="survivors must be"):
            quantizer.decode(total, params, survivors)
    for bad in (total[:1], total.astype(np.uint64)):
        with pytest.raises(LocalProtocolError, match="the sum must be uint32"):
            quantizer.decode(bad, params, 1)


@pytest.mark.parametrize("weight", [0, 2, 31, 1 << 12])
def test_a_summed_weight_that_k_users_cannot_have_is_refused(weight: int) -> None:
    quantizer = flat_quantizer(2, clip=1.0, bits=8, max_weight=10)
    params = quantizer.params(4)
    total = np.array([weight, 0, 0], params.dtype)
    with pytest.raises(RemoteProtocolError, match="3 users cannot have sent weights"):
        quantizer.decode(total, params, 3)


# --- what a session is bound to -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "names"),
    [({"clip": 2.0}, "clip"), ({"bits": 9}, "bits"), ({"max_weight": 20}, "max_weight"),
     ({"max_weight": None}, "max_weight"), ({"stochastic": False}, "stochastic"),
     ({"clip": 2.0, "bits": 9}, "clip and another bits")],
)  # fmt: skip
def test_a_total_of_another_quantizer_is_refused_by_name(changes: dict[str, Any], names: str) -> None:
    """With clip 2 in place of 1 every value would come out twice as large, within its stated error."""
    own = {"clip": 1.0, "bits": 8, "max_weight": 10}
    quantizer, other = flat_quantizer(3, **own), flat_quantizer(3, **own | changes)
    params = quantizer.params(4)
    total = quantizer.encode(np.array([0.5, 0.0, -0.5]), 1).astype(params.dtype)
    assert quantizer.decode(total, params, 1).sum == pytest.approx([0.5, 0, -0.5], abs=quantizer.step)
    for unbound in (False, True):  # that a context may say nothing does not mean that it may say another thing
        with pytest.raises(LocalProtocolError, match=f"by this quantizer: they were made for another {names}$"):
            other.decode(total, params, 1, unbound=unbound)


@pytest.mark.parametrize(
    "model", [np.zeros((3, 2)), [np.zeros(6)], [np.zeros(2), np.zeros(4)], {"w": np.zeros(6)}, {"v": np.zeros(6)}]
)
def test_another_layout_of_as_many_values_is_refused(model: Any) -> None:
    quantizer = flat_quantizer(6, clip=1.0)
    params = quantizer.params(4)
    other: Quantizer[Any] = Quantizer.like(model, clip=1.0)
    assert (other.length, other.max_value) == (quantizer.length, quantizer.max_value)
    with pytest.raises(LocalProtocolError, match=r"made for another layout$"):
        other.decode(np.zeros(6, params.dtype), params, 1)


def test_params_made_by_hand_are_taken_when_asked_for_and_checked_as_far_as_they_go() -> None:
    quantizer = flat_quantizer(3, clip=1.0, bits=8)
    params = Params.for_inputs(quantizer.max_value, n=4, m=3, context=b"model 17")
    total = quantizer.encode(np.ones(3)).astype(params.dtype)
    with pytest.raises(LocalProtocolError, match=r"does not begin with its hash; .* bind\(\), or pass unbound=True"):
        quantizer.decode(total, params, 1)
    np.testing.assert_allclose(quantizer.decode(total, params, 1, unbound=True).sum, 1.0)
    for field, other in (
        ("m", flat_quantizer(2, clip=1.0, bits=8)),
        ("max_value", flat_quantizer(3, clip=1.0, bits=9)),
    ):
        with pytest.raises(LocalProtocolError, match=f"by this quantizer: their {field} is "):
            other.decode(total, params, 1, unbound=True)


def test_the_callers_context_comes_after_the_quantizers() -> None:
    quantizer = flat_quantizer(3, clip=1.0)
    own = quantizer.params(4).context
    assert quantizer.params(4, context=b"model 17").context == own + b"model 17" == quantizer.bind(b"model 17")
    assert own.startswith(b"secagg quantizer v1\0")
    assert len(own) == 20 + 32 + 5 * 4
    longest = bytes((1 << 16) - 1 - len(own))
    assert len(quantizer.params(4, context=longest).context) == (1 << 16) - 1
    with pytest.raises(LocalProtocolError, match=f"context must be at most {len(longest)} bytes beside"):
        quantizer.params(4, context=longest + b"x")
    with pytest.raises(TypeError, match="context must be bytes"):
        quantizer.params(4, context="model 17")  # type: ignore[arg-type]


def test_the_binding_is_what_the_module_says() -> None:
    """Computed without the package, for those who write clients of their own."""
    quantizer: Quantizer[Any] = Quantizer.like({"w": np.zeros((2, 3)), "ü": np.zeros(4)}, clip=0.1, max_weight=7)
    fields = ['["layout",[false,["w","\\u00fc"],[[2,3],[4]]]]', '["clip",0.1]', '["bits",16]', '["max_weight",7]',
              '["stochastic",true]']  # fmt: skip
    label = b"secagg quantizer v1\0"

    def digest(text: str) -> bytes:
        return hashlib.sha256(label + text.encode()).digest()

    expected = label + digest("[" + ",".join(fields) + "]") + b"".join(digest(field)[:4] for field in fields)
    assert quantizer.bind() == expected


def test_equal_quantizers_bind_alike_whatever_types_their_numbers_have() -> None:
    plain = flat_quantizer(3, clip=0.5, bits=8, max_weight=10)
    numpys = flat_quantizer(3, clip=np.float64(0.5), bits=np.int64(8), max_weight=np.int32(10))
    assert plain.bind() == numpys.bind()


def test_clients_of_other_quantizers_share_no_session() -> None:
    """Each one's context enters the id of the session that it computes."""
    one, other = flat_quantizer(3, clip=1.0), flat_quantizer(3, clip=2.0)
    nonce = bytes(16)
    assert one.params(4, nonce=nonce) != other.params(4, nonce=nonce)
    assert one.params(4, nonce=nonce) == flat_quantizer(3, clip=1.0).params(4, nonce=nonce)


# --- models that are mappings ---------------------------------------------------------------------------------------


def test_a_mapping_of_arrays_comes_back_as_the_same_mapping() -> None:
    """It became one number: a mapping is no sequence, and numpy makes one object of it."""
    assert Quantizer.like({"w": np.zeros(10)}, clip=1.0).length == 10
    random = np.random.default_rng(5)
    model = {"w": random.normal(size=(3, 2)), "b": random.normal(size=2), "a": np.array(0.5)}
    quantizer: Quantizer[dict[str, Vector]] = Quantizer.like(model, clip=5.0, bits=24)
    params = quantizer.params(3)
    shuffled = {key: model[key] for key in ("a", "w", "b")}  # names decide, not the order
    total = expected_sum(params, {1: quantizer.encode(model), 2: quantizer.encode(shuffled)}, [1, 2])
    result = quantizer.decode(total, params, 2)
    for decoded in (result.mean, result.sum):
        assert type(decoded) is dict
        assert list(decoded) == ["w", "b", "a"]
    for key, value in result.mean.items():
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, model[key], rtol=0, atol=result.mean_error)


@pytest.mark.parametrize("kind", [OrderedDict, MappingProxyType])
def test_any_kind_of_mapping_will_do(kind: Any) -> None:
    model = kind({"w": np.ones(4), "b": np.zeros(0)})
    quantizer: Quantizer[Any] = Quantizer.like(model, clip=1.0)
    assert quantizer.layout == Layout.of(dict(model))
    assert quantizer.encode(model).shape == (4,)


@pytest.mark.parametrize(
    ("model", "reason"),
    [({"w": np.zeros(2), "x": np.zeros(2)}, r"lacks \['b'\]"), ({"w": np.zeros(2)}, r"lacks \['b'\]"),
     ({"w": np.zeros(2), "b": np.zeros(2), "c": np.zeros(1)}, r"has \['c'\], which"),
     ({"w": np.zeros(2), "b": np.zeros(3)}, "shapes"), ([np.zeros(2), np.zeros(2)], "a mapping of names"),
     (np.zeros(4), "a mapping of names"), ({"w": np.zeros(2), "b": np.full(2, np.nan)}, "array 'b' holds NaN")],
)  # fmt: skip
def test_another_mapping_is_refused(model: Any, reason: str) -> None:
    quantizer: Quantizer[Any] = Quantizer.like({"w": np.zeros(2), "b": np.zeros(2)}, clip=1.0)
    with pytest.raises(LocalProtocolError, match=reason):
        quantizer.encode(model)
    with pytest.raises(LocalProtocolError, match="got a mapping"):
        Quantizer.like([np.zeros(2), np.zeros(2)], clip=1.0).encode({"w": np.zeros(2), "b": np.zeros(2)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "reason"),
    [({"block": {"w": np.zeros(3)}}, "array 'block' is a mapping: flatten .* to keys such as 'block.weight'"),
     ([{"w": np.zeros(3)}], "array 0 is a mapping"), ({1: np.zeros(3)}, "keys of a mapping of arrays must be strings"),
     ({"w": None}, "array 'w' must hold real numbers"), ({"w": np.zeros(3)}.values(), "array 0 must hold real numbers"),
     ((x for x in [np.zeros(3)]), "array 0 must hold real numbers"), ("abc", "array 0 must hold real numbers"),
     ({"w": np.zeros(3, bool)}, "array 'w' must hold real numbers"),
     (np.ma.masked_array(np.zeros(3), [False, True, False]), "array 0 must not be a masked array")],
)  # fmt: skip
def test_what_is_no_array_never_becomes_one_number(model: Any, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        Quantizer.like(model, clip=1.0)


def arrays_of(model: Any) -> list[Any]:
    if isinstance(model, dict):
        return list(model.values())
    return model if isinstance(model, list) else [model]


@pytest.mark.parametrize("form", [dict, lambda model: list(model.values()), lambda model: model["half"]])
def test_dtypes_are_kept_where_asked_for(form: Any) -> None:
    """Of floats: the mean of integers is no integer."""
    model = form({"half": np.ones(3, np.float16), "single": np.ones((2, 2), np.float32), "count": np.ones(1, np.int64)})
    plain: Quantizer[Any] = Quantizer.like(model, clip=2.0)
    keeping: Quantizer[Any] = Quantizer.like(model, clip=2.0, keep_dtypes=True)
    assert keeping.bind() == plain.bind()  # how the result is shown changes nothing of what is sent
    params = plain.params(2)
    total = expected_sum(params, {1: plain.encode(model), 2: keeping.encode(model)}, [1, 2])
    for quantizer, dtypes in ((plain, [np.float64] * 3), (keeping, [np.float16, np.float32, np.float64])):
        result = quantizer.decode(total, params, 2)
        assert result.flat.dtype == np.float64
        for decoded in (result.mean, result.sum):
            arrays = arrays_of(decoded)
            assert [array.dtype for array in arrays] == dtypes[: len(arrays)]
        arrays = [np.ravel(array) for array in arrays_of(result.mean)]
        np.testing.assert_allclose(np.concatenate(arrays), 1.0, rtol=0, atol=result.mean_error + 2.0**-10)


def test_a_sum_too_large_for_its_dtype_is_no_infinity() -> None:
    model = {"w": np.full(2, 40_000, np.float16)}
    quantizer: Quantizer[dict[str, Vector]] = Quantizer.like(model, clip=65_504.0, bits=20, keep_dtypes=True)
    params = quantizer.params(2)
    result = quantizer.decode(
        expected_sum(params, {1: quantizer.encode(model), 2: quantizer.encode(model)}, [1, 2]), params, 2
    )
    np.testing.assert_allclose(result.mean["w"], 40_000, rtol=1e-3)
    np.testing.assert_allclose(result.flat, 80_000, rtol=1e-3)
    with pytest.raises(LocalProtocolError, match="too large for float16: use `flat`"):
        _ = result.sum
