"""Encodings, chunk lengths, and circuits with gadgets of higher degree than the draft's."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from secagg.vdaf import DRAFT_20, Draft, Field, Field64, Field128, Prio3
from secagg.vdaf.circuits import Range, Sum, check_integers, optimal_chunk_length
from secagg.vdaf.gadgets import PolyEval

from ..support.prio3_reports import DRAFTS, Reports, forged, rng

FIELDS = [Field64, Field128]


# Chunk lengths.


def proof_len(length: int, chunk: int) -> int:
    """Two seeds and, at both degrees of freedom, the gadget polynomial (section 7.4.3.1)."""
    calls = -(-length // chunk)
    p = 1
    while p < calls + 1:
        p *= 2
    return 2 * chunk + 2 * (p - 1) + 1


@pytest.mark.parametrize(("length", "chunk"), [(1, 1), (2, 2), (16, 6), (160, 11), (1000, 33), (10_000, 79)])
def test_optimal_chunk_length(length: int, chunk: int) -> None:
    assert optimal_chunk_length(length) == chunk


def test_no_chunk_length_makes_a_shorter_proof() -> None:
    for length in range(1, 200):
        best = min(proof_len(length, chunk) for chunk in range(1, length + 1))
        assert proof_len(length, optimal_chunk_length(length)) == best


# Ranges.


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("maximum", [1, 2, 3, 4, 5, 7, 8, 14, 15, 16, 17])
def test_bits_stand_for_exactly_the_range(field: Field, maximum: int) -> None:
    values = Range(field, DRAFT_20, maximum)
    bits = list(product((0, 1), repeat=values.bits))
    decoded = {field.ints(values.decode(field.array([row])))[0] for row in bits}
    assert decoded == set(range(maximum + 1))
    encoded = values.encode(np.arange(maximum + 1, dtype=np.uint64)[:, None])
    assert field.ints(values.decode(encoded).reshape(-1, *field.words)) == list(range(maximum + 1))
    assert {bit for row in encoded for bit in field.ints(row)} <= {0, 1}


def test_integers_of_any_kind_are_taken() -> None:
    for kind in (bool, np.int8, np.uint8, np.int64, np.uint64, object):
        values = check_integers(np.array([0, 1], kind), (), 1)
        assert values.tolist() == [0, 1]
        assert values.dtype == np.uint64
    assert check_integers([1 << 80], (), 1 << 80).tolist() == [1 << 80]
    assert check_integers(np.array([100], np.int8), (), 1000).tolist() == [100]


# Elements.


@pytest.mark.parametrize("field", FIELDS)
def test_elements_are_their_encoding(field: Field) -> None:
    values = [0, 1, field.MODULUS - 1, 1 << 63]
    row = field.array(values)
    encoded = b"".join(value.to_bytes(field.ENCODED_SIZE, "little") for value in values)
    assert row.tobytes() == encoded
    assert field.ints(row) == values
    seen = field.elements(np.frombuffer(encoded, np.uint8)[None])
    assert np.array_equal(seen[0], row)
    assert field.rows(seen).tobytes() == encoded
    assert field.ints(field.array([-1, field.MODULUS + 2])) == [field.MODULUS - 1, 2]


# Gadgets of higher degree.


class Below(Sum):
    """`calls` integers below `degree`: the product of all x - i is 0, a gadget of that degree."""

    def __init__(self, field: Field, draft: Draft, degree: int, calls: int) -> None:
        super().__init__(field, draft, max_measurement=1)
        self.degree = degree
        self.GADGET = PolyEval(field, not draft.gadget_values, tuple(int(c) for c in np.poly(range(degree))[::-1]))
        self.GADGET_CALLS = self.MEAS_LEN = self.OUTPUT_LEN = self.EVAL_OUTPUT_LEN = calls

    def check(self, measurements: Any) -> Any:
        return check_integers(measurements, (self.MEAS_LEN,), self.degree - 1)

    def encode(self, measurements: Any) -> Any:
        return self.field.array(measurements)

    def truncate(self, meas: Any) -> Any:
        return meas

    def decode(self, output: list[int]) -> Any:
        return output


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("calls", [1, 2, 3, 4, 9])
def test_gadgets_of_any_degree(draft: Draft, field: Field, degree: int, calls: int) -> None:
    prio3 = Prio3(0xFFFFFFFF, Below(field, draft, degree, calls), draft, shares=3, proofs=2)
    measurements = rng.integers(0, degree, (4, calls))
    assert Reports(prio3, measurements).aggregate() == measurements.sum(axis=0).tolist()
    false = measurements.copy()
    false[2, -1] = degree
    assert {2} == set(forged(prio3, field.array(false)).rejections()[0])
