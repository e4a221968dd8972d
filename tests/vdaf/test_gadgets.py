"""The kernels that prove, query and decide, against the draft's definitions over plain integers."""

from typing import Any

import pytest

from secagg import _vdaf

from ..support.vdaf_twins import (
    P,
    Vector,
    accepted,
    at,
    both_fields,
    elements,
    evaluate,
    integers,
    random_integers,
    root,
    roots,
    several,
    zeros,
)

gadgets: Any = _vdaf  # their arguments are often unpacked from lists


def wire_poly_len(calls: int) -> int:
    return 1 << calls.bit_length()


def call_inputs(field: int, meas: Vector, joint_rand: Vector, offset: int, c: int) -> list[Vector]:
    """For each call its c pairs, as the draft's eval of Histogram does, or VDAF-08's for a single joint_rand."""
    p, calls, r_power = P[field], -(-len(meas) // c), 1
    inputs = []
    for i in range(calls):
        if len(joint_rand) == calls:
            r_power = 1
        r = joint_rand[i if len(joint_rand) == calls else 0]
        pairs = []
        for j in range(c):
            x = meas[i * c + j] if i * c + j < len(meas) else 0
            r_power = r_power * r % p
            pairs += [r_power * x % p, (x - offset) % p]
        inputs.append(pairs)
    return inputs


def wires_of(inputs: list[Vector], seeds: Vector) -> list[Vector]:
    padding = [0] * (wire_poly_len(len(inputs)) - 1 - len(inputs))
    return [[seed, *(call[j] for call in inputs), *padding] for j, seed in enumerate(seeds)]


def mul(field: int, inputs: Vector) -> int:
    return sum(a * b for a, b in zip(inputs[::2], inputs[1::2], strict=True)) % P[field]


class Gadget:
    """The twin of prove and query, for any gadget of one output."""

    def __init__(self, field: int, degree: int, eval: Any) -> None:
        self.field, self.degree, self.eval = field, degree, eval

    def lengths(self, calls: int) -> tuple[int, int]:
        """Those of the gadget polynomial, and of the transform that holds it."""
        length = self.degree * (wire_poly_len(calls) - 1) + 1
        return length, 1 << (length - 1).bit_length()

    def gadget_poly(self, wires: list[Vector], n: int) -> Vector:
        """Its values at the n-th roots."""
        p = len(wires[0])
        return [self.eval([at(self.field, wire, p, x) for wire in wires]) for x in roots(self.field, n)]

    def open(self, poly: Vector, calls: int, t: int, monomial: bool) -> tuple[Vector, int]:
        alphas = roots(self.field, wire_poly_len(calls))[1 : calls + 1]
        n = self.lengths(calls)[1]
        *outputs, check = (
            evaluate(self.field, poly, x) if monomial else at(self.field, poly, n, x) for x in [*alphas, t]
        )
        return outputs, check


# calls * c is past the measurement's end in all but the first and last, p is 2 .. 16, and 1 + calls is and is not p.
MUL_SHAPES = [(1, 1), (3, 2), (6, 5), (7, 3), (16, 6), (29, 4), (14, 2)]

mul_shapes = pytest.mark.parametrize(("meas_len", "c"), MUL_SHAPES)
bases = pytest.mark.parametrize("monomial", [False, True], ids=["lagrange", "monomial"])


class MulCase:
    """Three reports with random inputs, or with one joint_rand or a fixed one for all calls."""

    def __init__(self, field: int, meas_len: int, c: int, powers_run_on: bool = False) -> None:
        self.field, self.c, self.calls, self.reports = field, c, -(-meas_len // c), 3
        self.gadget = Gadget(field, 2, lambda inputs: mul(field, inputs))
        self.length, self.n = self.gadget.lengths(self.calls)
        self.meas = random_integers(field, 3, meas_len, seed=1)
        self.seeds = random_integers(field, 3, 2 * c, seed=2)
        self.joint_rand = random_integers(field, 3, 1 if powers_run_on else self.calls, seed=3)
        self.offset = P[field] - (P[field] - 1) // 3
        self.t = random_integers(field, 3, 1, seed=4)
        self.t[0][0] = 12345
        self.poly = random_integers(field, 3, self.length, seed=5)

    def wires(self, r: int) -> list[Vector]:
        inputs = call_inputs(self.field, self.meas[r], self.joint_rand[r], self.offset, self.c)
        return wires_of(inputs, self.seeds[r])

    def prove(self, monomial: bool) -> Any:
        field = self.field
        proof = zeros(field, 3, 2 * self.c + self.length)
        arrays = several(field, self.meas, self.seeds, self.joint_rand, [self.offset])
        gadgets.mul_prove(field, proof, *arrays, chunk_length=self.c, monomial=monomial)
        return integers(field, proof)

    def query(self, monomial: bool) -> tuple[Any, Any, Vector]:
        field, ok = self.field, accepted(3)
        verifier, outputs = zeros(field, 3, 2 * self.c + 1), zeros(field, 3, self.calls)
        proof = [seeds + poly for seeds, poly in zip(self.seeds, self.poly, strict=True)]
        arrays = several(field, self.meas, proof, self.t, self.joint_rand, [self.offset])
        gadgets.mul_query(field, verifier, outputs, ok, *arrays, chunk_length=self.c, monomial=monomial)
        return integers(field, verifier), integers(field, outputs), ok.tolist()


@both_fields
@mul_shapes
@bases
@pytest.mark.parametrize("powers_run_on", [False, True])
def test_mul_prove(field: int, meas_len: int, c: int, monomial: bool, powers_run_on: bool) -> None:
    case = MulCase(field, meas_len, c, powers_run_on)
    for r, proof in enumerate(case.prove(monomial)):
        expected = case.gadget.gadget_poly(case.wires(r), case.n)
        poly = proof[2 * c :]
        assert proof[: 2 * c] == case.seeds[r]
        if monomial:
            assert [evaluate(field, poly, x) for x in roots(field, case.n)] == expected
        else:
            assert poly == expected[:-1]


@both_fields
@mul_shapes
@bases
@pytest.mark.parametrize("powers_run_on", [False, True])
def test_mul_query(field: int, meas_len: int, c: int, monomial: bool, powers_run_on: bool) -> None:
    case = MulCase(field, meas_len, c, powers_run_on)
    verifiers, outputs, ok = case.query(monomial)
    assert ok == [1, 1, 1]
    for r in range(3):
        (t,), wires = case.t[r], case.wires(r)
        expected, check = case.gadget.open(case.poly[r], case.calls, t, monomial)
        assert verifiers[r] == [*(at(field, wire, len(wire), t) for wire in wires), check]
        assert outputs[r] == expected


def polynomial(field: int, poly: Vector) -> Gadget:
    return Gadget(field, len(poly) - 1, lambda inputs: evaluate(field, poly, inputs[0]))


# Degrees 1 to 5: n is p, 2p, 4p, 4p and 8p.
POLYS = [[3, 5], [0, -1, 1], [0, 2, -3, 1], [7, 0, 0, 1, 9], [1, 2, 3, 4, 5, 6]]


@both_fields
@pytest.mark.parametrize("poly", POLYS, ids=lambda poly: f"degree {len(poly) - 1}")
@pytest.mark.parametrize("calls", [1, 3, 4, 9])
@bases
def test_poly_prove(field: int, poly: Vector, calls: int, monomial: bool) -> None:
    poly = [c % P[field] for c in poly]
    gadget = polynomial(field, poly)
    length, n = gadget.lengths(calls)
    meas, seeds = random_integers(field, 3, calls), random_integers(field, 3, 1, seed=1)
    proof = zeros(field, 3, 1 + length)
    gadgets.poly_prove(field, proof, *several(field, meas, seeds, poly), monomial=monomial)
    for r, (seed, *gadget_poly) in enumerate(integers(field, proof)):
        expected = gadget.gadget_poly(wires_of([[x] for x in meas[r]], seeds[r]), n)
        assert [seed] == seeds[r]
        if monomial:
            assert [evaluate(field, gadget_poly, x) for x in roots(field, n)] == expected
        else:
            assert gadget_poly == expected[:length]


@both_fields
@pytest.mark.parametrize("poly", POLYS, ids=lambda poly: f"degree {len(poly) - 1}")
@pytest.mark.parametrize("calls", [1, 3, 4, 9])
@bases
def test_poly_query(field: int, poly: Vector, calls: int, monomial: bool) -> None:
    gadget = polynomial(field, poly)
    length, _ = gadget.lengths(calls)
    meas, proof = random_integers(field, 3, calls), random_integers(field, 3, 1 + length, seed=1)
    ts, ok = [[999], *random_integers(field, 2, 1, seed=2)], accepted(3)
    verifier, outputs = zeros(field, 3, 2), zeros(field, 3, calls)
    arrays = several(field, meas, proof, ts, [c % P[field] for c in poly])
    gadgets.poly_query(field, verifier, outputs, ok, *arrays, monomial=monomial)
    for r, (t,) in enumerate(ts):
        (wire,) = wires_of([[x] for x in meas[r]], proof[r][:1])
        expected, check = gadget.open(proof[r][1:], calls, t, monomial)
        assert integers(field, verifier)[r] == [at(field, wire, len(wire), t), check]
        assert integers(field, outputs)[r] == expected
        assert ok[r] == (pow(t, len(wire), P[field]) != 1)


@both_fields
@bases
def test_a_test_point_among_the_roots_is_refused(field: int, monomial: bool) -> None:
    case = MulCase(field, 12, 4)  # p is 4
    case.t = [[root(field, 4)], [P[field] - 1], [root(field, 8)]]
    assert case.query(monomial)[2] == [0, 0, 1]
    ok, shape = accepted(2), (2, 3)
    out, poly = zeros(field, 2, 2), elements(field, [0, 1])
    proof = zeros(field, 2, 5)
    gadgets.poly_query(
        field, out, zeros(field, *shape), ok, zeros(field, *shape), proof, elements(field, [[1], [2]]), poly, monomial
    )
    assert ok.tolist() == [0, 1]


@both_fields
def test_decide(field: int) -> None:
    p = P[field]
    a, b, c, d = random_integers(field, 5)[1:]
    good = [0, a, b, c, d, (a * b + c * d) % p]
    bad = [[(x + (i == k)) % p for i, x in enumerate(good)] for k in range(6)]
    ok = accepted(8)
    ok[7] = 0
    _vdaf.mul_decide(field, ok, elements(field, [good, *bad, good]))
    assert ok.tolist() == [1] + [0] * 7
    poly = [5, p - 3, 1, 2]
    good = [0, a, evaluate(field, poly, a)]
    bad = [[(x + (i == k)) % p for i, x in enumerate(good)] for k in range(3)]
    ok = accepted(4)
    _vdaf.poly_decide(field, ok, elements(field, [good, *bad]), elements(field, poly))
    assert ok.tolist() == [1, 0, 0, 0]
