"""The validity circuits of section 7.4, with their encodings of measurements.

A circuit takes a batch. `encode` turns n measurements into F[n, MEAS_LEN]. The gadget's calls and `outputs` give zeros
for a valid one. `truncate` gives what is aggregated, and `decode` the aggregate result. `outputs` and `truncate` are
affine and work on shares: a constant that they add is divided by the number of shares.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from secagg import _vdaf
from secagg.arguments import array, whole
from secagg.errors import require

from .draft import Draft
from .field import Elements, Field
from .gadgets import Gadget, Mul, ParallelSum, PolyEval, gadget_poly_len, share_of, wire_poly_len

Integers = NDArray[Any]  # uint64, or Python's integers where they may be larger


def optimal_chunk_length(length: int) -> int:
    """The chunk length that makes the proof for `length` bits shortest (section 7.4.3.1).

    Only 2^k - 1 calls fill their wire polynomials, so only such numbers are tried. Where two chunk lengths make proofs
    of one length, it is the one with more gadget calls.
    """
    calls = [(1 << k) - 1 for k in range((length + 1).bit_length() - 1, 0, -1)]
    return min((-(-length // k) for k in calls), key=lambda chunk: _proof_len(length, chunk))


def _proof_len(length: int, chunk: int) -> int:
    return 2 * chunk + gadget_poly_len(ParallelSum.DEGREE, wire_poly_len(-(-length // chunk)))


class Valid(ABC):
    """A validity circuit that calls its one gadget GADGET_CALLS times (section 7.3).

    Attributes:
        field: over which the circuit is defined.
        GADGET: the one that it calls.
        GADGET_CALLS: how often it does.
        MEAS_LEN: elements of an encoded measurement.
        JOINT_RAND_LEN: elements of joint randomness that the gadget's wires use.
        OUTPUT_LEN: elements of an aggregatable output.
        EVAL_OUTPUT_LEN: elements of the circuit's output, all 0 for a valid measurement.
        MAX_ENTRY: the most that one measurement adds to an entry of the aggregatable output.
        REDUCES_ONE: whether even a single output is multiplied by randomness.
    """

    field: Field
    GADGET: Gadget
    GADGET_CALLS: int
    MEAS_LEN: int
    JOINT_RAND_LEN: int
    OUTPUT_LEN: int
    EVAL_OUTPUT_LEN: int
    MAX_ENTRY = 1
    REDUCES_ONE = False

    @abstractmethod
    def check(self, measurements: Any) -> Integers:
        """The measurements of a batch as an array [n, ...], each in the circuit's range.

        Args:
            measurements: [n, ...] of integers or truth values, as the circuit takes them.

        Raises:
            ValueError: the shape or a value is wrong; it says which measurement, but not its value, a secret.
        """

    @abstractmethod
    def encode(self, measurements: Integers) -> Elements:
        """Encoded measurements, F[n, MEAS_LEN], of what `check` returned or some rows of it."""

    @abstractmethod
    def outputs(self, meas: Elements, gadget_outputs: Elements, num_shares: int) -> Elements:
        """The circuit's outputs, or shares of them (the draft's eval, without the calls of the gadget).

        Args:
            meas: F[n, MEAS_LEN], encoded measurements or shares of them.
            gadget_outputs: F[n, GADGET_CALLS], what the gadget's calls gave; may be overwritten.
            num_shares: how many parties add up their outputs; 1 for the Client.

        Returns:
            F[n, EVAL_OUTPUT_LEN], all 0 for valid measurements.
        """

    @abstractmethod
    def truncate(self, meas: Elements) -> Elements:
        """Aggregatable outputs, F[n, OUTPUT_LEN], of encoded measurements, F[n, MEAS_LEN], or of shares of them."""

    def decode(self, output: list[int]) -> Any:
        """The aggregate result of OUTPUT_LEN integers: the list of them, or the one integer where there is one."""
        return output


class Count(Valid):
    """0 or 1 (section 7.4.1)."""

    GADGET_CALLS = MEAS_LEN = OUTPUT_LEN = EVAL_OUTPUT_LEN = 1
    JOINT_RAND_LEN = 0

    def __init__(self, field: Field, draft: Draft) -> None:
        self.field = field
        self.GADGET = Mul(field, not draft.gadget_values)

    def check(self, measurements: ArrayLike) -> Integers:
        """[n] of 0 or 1."""
        return check_integers(measurements, (), 1)

    def encode(self, measurements: Integers) -> Elements:
        """The measurement itself."""
        return from_uint64(self.field, measurements[:, None])

    def outputs(self, meas: Elements, gadget_outputs: Elements, num_shares: int) -> Elements:
        """meas * meas - meas."""
        _vdaf.subtract(self.field.bits, gadget_outputs, gadget_outputs, meas)
        return gadget_outputs

    def truncate(self, meas: Elements) -> Elements:
        """The measurement itself."""
        return meas

    def decode(self, output: list[int]) -> int:
        """The count."""
        return output[0]


class Sum(Valid):
    """An integer from 0 to max_measurement (section 7.4.2)."""

    JOINT_RAND_LEN = 0
    OUTPUT_LEN = 1

    def __init__(self, field: Field, draft: Draft, max_measurement: int) -> None:
        self.field = field
        self.range = Range(field, draft, whole(max_measurement, "max_measurement"))
        self.MAX_ENTRY = self.range.maximum
        self.GADGET = PolyEval(field, not draft.gadget_values, (0, -1, 1))
        self.GADGET_CALLS = self.MEAS_LEN = self.EVAL_OUTPUT_LEN = self.range.bits
        self.REDUCES_ONE = not draft.query_reduces

    def check(self, measurements: ArrayLike) -> Integers:
        """[n] of 0 .. max_measurement."""
        return check_integers(measurements, (), self.range.maximum)

    def encode(self, measurements: Integers) -> Elements:
        """The bits of `Range`."""
        return self.range.encode(measurements[:, None])

    def outputs(self, meas: Elements, gadget_outputs: Elements, num_shares: int) -> Elements:
        """x * x - x for every bit x, which is what the gadget gives."""
        return gadget_outputs

    def truncate(self, meas: Elements) -> Elements:
        """The weighted sum of the bits."""
        return self.range.decode(meas)

    def decode(self, output: list[int]) -> int:
        """The sum."""
        return output[0]


class Bits(Valid):
    """Circuits in which every element of the encoded measurement must be a bit: SumVec, Histogram, MultihotCountVec.

    Attributes:
        chunk_length: how many elements a gadget call checks.
    """

    def __init__(self, field: Field, draft: Draft, meas_len: int, chunk_length: int | None) -> None:
        chunk = optimal_chunk_length(meas_len) if chunk_length is None else whole(chunk_length, "chunk_length")
        require(chunk > 0, f"chunk_length must be at least 1, got {chunk}")
        self.field = field
        self.chunk_length = chunk
        self.MEAS_LEN = meas_len
        self.GADGET = ParallelSum(field, not draft.gadget_values, chunk)
        self.GADGET_CALLS = -(-meas_len // chunk)
        self.JOINT_RAND_LEN = self.GADGET_CALLS if draft.rand_per_call else 1
        require(
            2 * wire_poly_len(self.GADGET_CALLS) <= field.GEN_ORDER,
            f"the circuit is too large for {field}: its proof needs more roots of unity",
        )

    def _sums(self, out: Elements, elements: Elements) -> None:
        _vdaf.sums(self.field.bits, out, elements)


class SumVec(Bits):
    """`length` integers from 0 to max_measurement (section 7.4.3)."""

    EVAL_OUTPUT_LEN = 1

    def __init__(self, field: Field, draft: Draft, length: int, max_measurement: int, chunk_length: int | None) -> None:
        length = whole(length, "length")
        require(length > 0, f"length must be at least 1, got {length}")
        self.range = Range(field, draft, whole(max_measurement, "max_measurement"))
        super().__init__(field, draft, length * self.range.bits, chunk_length)
        self.MAX_ENTRY = self.range.maximum
        self.OUTPUT_LEN = length

    def check(self, measurements: ArrayLike) -> Integers:
        """[n, length] of 0 .. max_measurement."""
        return check_integers(measurements, (self.OUTPUT_LEN,), self.range.maximum)

    def encode(self, measurements: Integers) -> Elements:
        """The bits of `Range`, element by element."""
        return self.range.encode(measurements)

    def outputs(self, meas: Elements, gadget_outputs: Elements, num_shares: int) -> Elements:
        """The sum of what the gadget gives."""
        output = self.field.empty(len(meas), 1)
        self._sums(output, gadget_outputs)
        return output

    def truncate(self, meas: Elements) -> Elements:
        """For each element the weighted sum of its bits."""
        return self.range.decode(meas)


class Histogram(Bits):
    """The index of one of `length` buckets (section 7.4.4)."""

    EVAL_OUTPUT_LEN = 2

    def __init__(self, field: Field, draft: Draft, length: int, chunk_length: int | None) -> None:
        length = whole(length, "length")
        require(length > 0, f"length must be at least 1, got {length}")
        super().__init__(field, draft, length, chunk_length)
        self.OUTPUT_LEN = length

    def check(self, measurements: ArrayLike) -> Integers:
        """[n] of 0 .. length - 1."""
        return check_integers(measurements, (), self.OUTPUT_LEN - 1)

    def encode(self, measurements: Integers) -> Elements:
        """The one-hot vector of the bucket."""
        meas = self.field.empty(len(measurements), self.MEAS_LEN)
        _vdaf.encode_one_hot(self.field.bits, meas, measurements)
        return meas

    def outputs(self, meas: Elements, gadget_outputs: Elements, num_shares: int) -> Elements:
        """The range check, the sum of what the gadget gives, and the sum check, sum(meas) - 1."""
        output = self.field.empty(len(meas), 2)
        range_check, sum_check = output[:, :1], output[:, 1:]
        self._sums(range_check, gadget_outputs)
        self._sums(sum_check, meas)
        _vdaf.subtract(self.field.bits, sum_check, sum_check, share_of(self.field, 1, num_shares))
        return output

    def truncate(self, meas: Elements) -> Elements:
        """The one-hot vector itself."""
        return meas


class MultihotCountVec(Bits):
    """`length` truth values, at most max_weight of them true (section 7.4.5)."""

    EVAL_OUTPUT_LEN = 2

    def __init__(self, field: Field, draft: Draft, length: int, max_weight: int, chunk_length: int | None) -> None:
        length, max_weight = whole(length, "length"), whole(max_weight, "max_weight")
        require(length > 0, f"length must be at least 1, got {length}")
        require(0 < max_weight <= length, f"max_weight must be 1 .. {length}, got {max_weight}")
        # Draft 8 has ranges up to 2^k - 1 only, and shifts the weight to the upper end of one.
        self.offset = 0 if draft.any_maximum else (1 << max_weight.bit_length()) - 1 - max_weight
        self.range = Range(field, draft, max_weight + self.offset)
        super().__init__(field, draft, length + self.range.bits, chunk_length)
        self.OUTPUT_LEN = length
        self.max_weight = max_weight

    def check(self, measurements: ArrayLike) -> Integers:
        """[n, length] of truth values, in each row at most max_weight of them true."""
        values = check_integers(measurements, (self.OUTPUT_LEN,), 1)
        for i in np.flatnonzero(values.sum(axis=1) > self.max_weight)[:1]:
            raise ValueError(f"measurement {i}: at most {self.max_weight} values may be true")
        return values

    def encode(self, measurements: Integers) -> Elements:
        """The truth values, and the bits of their weight."""
        weights = measurements.sum(axis=1, keepdims=True) + np.uint64(self.offset)
        return np.concatenate([from_uint64(self.field, measurements), self.range.encode(weights)], axis=1)

    def outputs(self, meas: Elements, gadget_outputs: Elements, num_shares: int) -> Elements:
        """The range check, the sum of what the gadget gives, and the weight check, weight - weight_reported."""
        output = self.field.empty(len(meas), 2)
        range_check, weight_check = output[:, :1], output[:, 1:]
        self._sums(range_check, gadget_outputs)
        self._sums(weight_check, meas[:, : self.OUTPUT_LEN])
        _vdaf.add(self.field.bits, weight_check, weight_check, share_of(self.field, self.offset, num_shares))
        weight_reported = self.range.decode(meas[:, self.OUTPUT_LEN :])
        _vdaf.subtract(self.field.bits, weight_check, weight_check, weight_reported)
        return output

    def truncate(self, meas: Elements) -> Elements:
        """The truth values without the weight."""
        return meas[:, : self.OUTPUT_LEN]


class Range:
    """Integers from 0 to `maximum` as weighted sums of bits (section 7.4.2, encode_range_checked_int).

    The weights are powers of 2 but for the last, which makes their sum `maximum`: no bits stand for anything larger.

    Attributes:
        field: of the bits.
        maximum: the largest integer.
        bits: how many bits an integer has.
    """

    def __init__(self, field: Field, draft: Draft, maximum: int) -> None:
        require(maximum > 0, f"the largest value must be at least 1, got {maximum}")
        self.bits = maximum.bit_length()
        ones = (1 << self.bits) - 1
        require(ones + 1 < field.MODULUS, f"{maximum} is too large for {field}")
        require(
            draft.any_maximum or maximum == ones, f"draft {draft.number} needs a largest value 2^k - 1, got {maximum}"
        )
        self.field = field
        self.maximum = maximum
        self._weights = field.array([*(1 << i for i in range(self.bits - 1)), maximum - (ones >> 1)])

    def encode(self, values: Integers) -> Elements:
        """The bits, F[n, k * bits], of values[n, k], which must be within the range."""
        n, k = values.shape
        encoded = self.field.empty(n, k * self.bits)
        elements = from_uint64(self.field, values) if values.dtype == np.uint64 else self.field.array(values)
        _vdaf.encode_range_checked_int(self.field.bits, encoded, elements, self.maximum)
        return encoded

    def decode(self, encoded: Elements) -> Elements:
        """The integers, F[n, k], of their bits, F[n, k * bits]; linear, so it works on shares."""
        values = self.field.empty(len(encoded), encoded.shape[1] // self.bits)
        _vdaf.dot(self.field.bits, values, encoded, self._weights)
        return values


def from_uint64(field: Field, values: Integers) -> Elements:
    """F[n, k] of integers, uint64[n, k], below the modulus."""
    elements = field.zeros(*values.shape)
    (elements[..., 0] if field.words else elements)[...] = values
    return elements


def check_integers(measurements: ArrayLike, shape: tuple[int, ...], maximum: int) -> Integers:
    """Measurements as an array [n, *shape] of integers from 0 to maximum.

    Args:
        measurements: [n, *shape] of integers or truth values.
        shape: of one measurement.
        maximum: the largest value of an entry.

    Returns:
        uint64[n, *shape], or Python's integers where the maximum has more than 63 bits.

    Raises:
        ValueError: the shape or a value is wrong; it says which measurement, but not its value, a secret.
    """
    values = array(measurements, "measurements", object if maximum >> 63 else None)
    if values.ndim != 1 + len(shape) or values.shape[1:] != shape:
        raise ValueError(f"measurements must have shape {('n', *shape)}, got {values.shape}")
    integral = values.dtype.kind in "biuO" and all(
        isinstance(x, int | np.integer) for x in values.flat if values.dtype == object
    )
    if values.size and not integral:  # an empty list has numpy's default type, float64
        raise ValueError(f"measurements must be integers, got {values.dtype}")
    out_of_range = (values < 0) | (values > maximum)
    for i in np.flatnonzero(out_of_range.any(axis=tuple(range(1, values.ndim))))[:1]:
        raise ValueError(f"measurement {i} must be 0 .. {maximum}")
    return values if maximum >> 63 else values.astype(np.uint64)
