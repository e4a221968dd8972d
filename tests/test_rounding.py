"""Rounding kernels beside numpy's operations, one after the other, on every instruction set: equal to the bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import _kernels
from secagg.errors import LocalProtocolError
from secagg.protocol.quantize import Quantizer
from secagg.rounding import quantize, round_at_random

Floats = NDArray[np.float64]
Octets = NDArray[np.uint8]

LENGTHS = (*range(18), 31, 32, 33, 63, 64, 65, 99, 100)
BLOCK = 1 << 14
# (bits, max_weight, weight); the last ones are at 2**53, where float64 ends.
SIZES = ((2, 1, 1), (8, 1, 1), (16, 1000, 77), (33, 1 << 20, 1 << 20), (53, 1, 1), (30, 1 << 23, (1 << 23) - 1))


def twin_at_random(y: Floats, drawn: Octets) -> NDArray[np.int64]:
    below = np.floor(y)
    return (below + (drawn.view("<u4") < (y - below) * 2.0**32)).astype(np.int64)


def twin_quantize(values: Floats, drawn: Octets | None, clip: float, scale: int, offset: int) -> NDArray[np.uint64]:
    y = np.clip(values, -clip, clip)
    y /= clip
    y *= scale
    rounded = np.rint(y).astype(np.int64) if drawn is None else twin_at_random(y, drawn)
    return (rounded + offset).astype(np.uint64)


def octets(n: int, seed: int = 0) -> Octets:
    """Of words, one in four is the least and one in four the largest."""
    words = np.random.default_rng(seed).integers(0, 1 << 32, n, np.uint32)
    words[1::4], words[3::4] = 0, 0xFFFFFFFF
    return words.view(np.uint8)


def check_quantize(values: Floats, drawn: Octets, clip: float, scale: int, offset: int) -> None:
    for each in (drawn, None):
        out = np.empty(len(values), np.uint64)
        _kernels.quantize(out, values, each, clip, scale, offset)
        np.testing.assert_array_equal(out, twin_quantize(values, each, clip, scale, offset))


def check_round(values: Floats, drawn: Octets) -> None:
    out = np.empty(len(values), np.int64)
    _kernels.round_at_random(out, values, drawn)
    np.testing.assert_array_equal(out, twin_at_random(values, drawn))


def neighbours(values: Any) -> Floats:
    """Each value, the float64 above it and the one below."""
    values = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):
        return np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)])


def edges(clip: float, scale: int) -> Floats:
    """What lies at the ends, at 0, and on steps and half steps or beside them; with either sign."""
    whole = np.unique(np.clip([0, 1, 2, 3, 4, 5, 1000, scale // 2, scale - 2, scale - 1, scale], 0, scale))
    steps = np.concatenate([whole, whole + 0.5, whole + 0.25]) * (clip / scale)
    tiny = [0.0, 5e-324, 1e-310, 2.2250738585072014e-308, 1e-300, 2.0**-33 * clip / scale]
    large = [clip, clip * (1 + 2.0**-52), 2 * clip, min(1e300, 1e150 * clip), 1.7976931348623157e308]
    values = neighbours(np.concatenate([steps, tiny, large]))
    values = values[np.isfinite(values)]
    return np.concatenate([values, -values])


@pytest.mark.parametrize("n", LENGTHS)
def test_every_length(isa: str, n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    check_quantize(values, octets(n), 1.3, 32767, 32767)
    check_round(100 * values, octets(n))


@pytest.mark.parametrize(("bits", "max_weight", "w"), SIZES)
@pytest.mark.parametrize("clip", [1.0, 1.7, 0.1, 1e-300, 5e-324, 1e300])
def test_ends_steps_and_half_steps(isa: str, bits: int, max_weight: int, w: int, clip: float) -> None:
    steps = (1 << (bits - 1)) - 1
    values = edges(clip, w * steps)
    for seed in range(3):
        check_quantize(values, octets(len(values), seed), clip, w * steps, max_weight * steps)


@pytest.mark.parametrize("size", [0.0, 2.0**-1074, 2.0**-33, 0.5, 1.0, 2.0**31, 2.0**32, 2.0**51, 2.0**52, 2.0**53])
def test_numbers_of_all_magnitudes_below_2_63(isa: str, size: float) -> None:
    values = neighbours([size, 1.5 * size, 3 * size, size + 0.5, np.nextafter(2.0**63, 0), 2.0**62 + 2.0**31])
    values = values[values < 2.0**63]
    for seed in range(3):
        check_round(values, octets(len(values), seed))
        check_round(-values, octets(len(values), seed))


def test_the_least_integer(isa: str) -> None:
    check_round(np.full(5, -(2.0**63)), octets(5))


@pytest.mark.parametrize("bits", [0, 1, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1])
def test_a_number_goes_up_by_less_than_its_fraction(isa: str, bits: int) -> None:
    """With the chance of its fraction, to 2**-32: at the bits that equal it, it stays below."""
    values = np.array([7 + bits / 2**32, 7 + (bits + 1) / 2**32, -7 - (2**32 - bits) / 2**32])
    out = np.empty(3, np.int64)
    _kernels.round_at_random(out, values, np.full(3, bits, np.uint32).view(np.uint8))
    assert out.tolist() == [7, 8, -8]


def test_ties_go_to_the_even_one(isa: str) -> None:
    out = np.empty(7, np.uint64)
    _kernels.quantize(out, np.array([-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5]), None, 3.0, 3.0, 3)
    assert out.tolist() == [1, 1, 3, 3, 3, 5, 5]


finite = st.floats(allow_nan=False, allow_infinity=False)
lanes = st.lists(st.tuples(finite | st.floats(-2, 2), st.integers(0, 2**32 - 1)), max_size=100)


@given(lanes, st.floats(1e-3, 1e3), st.sampled_from(SIZES))
def test_any_finite_numbers(data: list[tuple[float, int]], clip: float, size: tuple[int, int, int]) -> None:
    bits, max_weight, w = size
    steps = (1 << (bits - 1)) - 1
    values, words = np.array([v for v, _ in data], np.float64), np.array([r for _, r in data], np.uint32)
    before = _kernels.isa()
    for isa in _kernels.isa_with("rounding"):
        _kernels.isa_use(isa)
        check_quantize(values, words.view(np.uint8), clip, w * steps, max_weight * steps)
        check_round(np.fmod(values, 2.0**63), words.view(np.uint8))
    _kernels.isa_use(before)


def test_offsets_wrap(isa: str) -> None:
    out = np.empty(5, np.uint64)
    _kernels.quantize(out, np.full(5, -1.0), None, 1.0, 5.0, 3)
    assert out.tolist() == [2**64 - 2] * 5


# --- What is above the kernels


def stream(seed: int) -> Callable[[int], bytes]:
    return np.random.default_rng(seed).bytes


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_blocks_draw_one_after_the_other(isa: str, length: int) -> None:
    values = np.random.default_rng(5).normal(size=length)
    sizes: list[int] = []
    rand = stream(6)

    def noted(size: int) -> bytes:
        sizes.append(size)
        return rand(size)

    out = np.empty(length, np.uint64)
    quantize(out, values, clip=1.7, scale=77 * 127, offset=1000 * 127, rand=noted)
    whole = [4 * min(BLOCK, length - start) for start in range(0, length, BLOCK)]
    assert sizes == whole
    again = stream(6)
    drawn = np.frombuffer(b"".join(map(again, whole)), np.uint8)
    np.testing.assert_array_equal(out, twin_quantize(values, drawn, 1.7, 77 * 127, 1000 * 127))
    np.testing.assert_array_equal(round_at_random(values, stream(6)), twin_at_random(values, drawn))
    encoder = Quantizer.like(values, clip=1.7, bits=8, max_weight=1000)
    encoded = encoder.encode(values, 77, rand=stream(6))
    assert encoded[0] == 77
    np.testing.assert_array_equal(encoded[1:], out)


@pytest.mark.parametrize("stochastic", [True, False])
def test_models_may_lie_anyhow_in_memory(stochastic: bool) -> None:
    values = np.linspace(-1, 1, 24).reshape(4, 6)
    misaligned = np.frombuffer(bytes(1) + values.tobytes(), np.float64, offset=1).reshape(4, 6)
    quantizer = Quantizer.like(values, clip=0.9, bits=7, stochastic=stochastic)
    expected = quantizer.encode(values, rand=stream(7))
    wide = np.repeat(values, 2, axis=1)[:, ::2]
    for model in (misaligned, np.asfortranarray(values), wide, values.astype(">f8"), values[::-1][::-1]):
        np.testing.assert_array_equal(quantizer.encode(model, rand=stream(7)), expected)


@pytest.mark.parametrize("size", [0, 3, 19, 21, 40])
def test_too_few_or_too_many_random_bytes_are_refused(size: int) -> None:
    def rand(_: int) -> bytes:
        return bytes(size)

    with pytest.raises(LocalProtocolError, match=f"rand returned {size} bytes where 20 were asked for"):
        round_at_random(np.zeros(5), rand)
    with pytest.raises(LocalProtocolError, match=f"rand returned {size} bytes where 20 were asked for"):
        Quantizer.like(np.zeros(5), clip=1.0).encode(np.zeros(5), rand=rand)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"out": np.zeros(4, np.uint64)}, "one value for each element"), ({"out": np.zeros(5, np.int64)}, "type uint64"),
     ({"values": np.zeros(5, np.float32)}, "type float64"), ({"values": np.zeros(5, np.int64)}, "type float64"),
     ({"drawn": np.zeros(19, np.uint8)}, "4 random bytes"), ({"drawn": np.zeros(5, np.uint32)}, "type uint8"),
     ({"clip": 0.0}, "refused"), ({"clip": -1.0}, "refused"), ({"clip": np.inf}, "refused"),
     ({"clip": np.nan}, "refused"), ({"scale": -1.0}, "refused"), ({"scale": 2.0**52 + 1}, "refused"),
     ({"scale": np.nan}, "refused")],
)  # fmt: skip
def test_bad_arguments_are_refused(changes: dict[str, Any], says: str) -> None:
    out = np.full(5, 77, np.uint64)
    arguments: dict[str, Any] = {"out": out, "values": np.zeros(5), "drawn": octets(5), "clip": 1.0, "scale": 7.0}
    with pytest.raises(ValueError, match=says):
        _kernels.quantize(**(arguments | changes), offset=7)
    assert out.tolist() == [77] * 5


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.uint64])
def test_numbers_of_another_type_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="an array must be 1-dimensional, of type float64"):
        _kernels.round_at_random(np.zeros(5, np.int64), np.zeros(5, kind), octets(5))
    with pytest.raises(ValueError, match="there must be 4 random bytes for each value"):
        _kernels.round_at_random(np.zeros(5, np.int64), np.zeros(5), octets(4))
