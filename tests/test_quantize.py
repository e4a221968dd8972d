"""Quantization: the error bound in exact arithmetic, unbiased rounding, weighted means, and every refusal."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.errors import LocalProtocolError, RemoteProtocolError
from secagg.protocol.messages import Round
from secagg.protocol.params import Params
from secagg.protocol.quantize import Aggregate, Layout, Quantizer
from secagg.protocol.simulate import expected_sum, simulate

Vector = NDArray[Any]


def flat_quantizer(size: int, **others: Any) -> Quantizer[Vector]:
    return Quantizer.like(np.zeros(size), **others)


def aggregate(
    quantizer: Quantizer[Vector], inputs: list[Vector], weights: list[int] | None = None, **others: Any
) -> Aggregate[Vector]:
    """What a session over these inputs decodes to; its sum is computed in the clear."""
    params = quantizer.params(max(2, len(inputs)), **others)
    each = [None] * len(inputs) if weights is None else weights
    encoded = {u: quantizer.encode(x, w) for u, (x, w) in enumerate(zip(inputs, each, strict=True))}
    return quantizer.decode(expected_sum(params, encoded, encoded), params, len(inputs))


def exact(values: Vector) -> list[Fraction]:
    return [Fraction(float(value)) for value in values]


def errors(found: Vector, expected: list[Fraction]) -> list[Fraction]:
    return [abs(a - b) for a, b in zip(exact(found), expected, strict=True)]


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
    for found, array, old in zip(result.mean, model, before, strict=True):
        assert found.shape == array.shape
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, array, rtol=0, atol=result.mean_error)
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
    params = Params(n=5, m=3, modulus=modulus, max_value=quantizer.max_value)
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
    for layer, found in enumerate(result.mean):
        plain = sum(weights[u] * updates[u][layer] for u in simulation.survivors) / result.weight
        np.testing.assert_allclose(found, plain, rtol=0, atol=result.mean_error)


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
    with pytest.raises(LocalProtocolError, match=r"weight must be an integer 1 \.\. 10"):
        flat_quantizer(2, clip=1.0, max_weight=10).encode(np.zeros(2), weight)


@pytest.mark.parametrize(("max_weight", "weight"), [(None, 1), (10, None)])
def test_a_weight_is_neither_forgotten_nor_ignored(max_weight: int | None, weight: int | None) -> None:
    with pytest.raises(LocalProtocolError, match="goes with a quantizer that has max_weight"):
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


def test_a_sum_of_other_params_is_refused() -> None:
    quantizer = flat_quantizer(2, clip=1.0, bits=8)
    params = quantizer.params(4)
    total = quantizer.encode(np.zeros(2)).astype(params.dtype)
    for others in (flat_quantizer(3, clip=1.0, bits=8), flat_quantizer(2, clip=1.0, bits=9)):
        with pytest.raises(LocalProtocolError, match="not made by this quantizer"):
            quantizer.decode(total, others.params(4), 1)
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
