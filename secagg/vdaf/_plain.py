"""The functions of `secagg._vdaf` in plain Python, report by report, by the draft's definitions."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from Crypto.Hash import TurboSHAKE128

from .field import Field64, Field128

FIELDS = {64: Field64, 128: Field128}


def _rows(field: int, a: Any, reports: int | None = None) -> list[list[int]]:
    words = field // 64
    limbs = np.asarray(a, np.uint64)
    if limbs.ndim == (1 if words == 1 else 2):
        limbs = limbs[None]
    flat = limbs.reshape(len(limbs), -1, words).astype(object)
    rows = [[sum(int(w) << 64 * i for i, w in enumerate(x)) for x in row] for row in flat]
    return rows * reports if reports and len(rows) == 1 else rows


def _write(field: int, out: Any, rows: Sequence[Sequence[int]]) -> None:
    p, words = FIELDS[field].MODULUS, field // 64
    data = b"".join((x % p).to_bytes(8 * words, "little") for row in rows for x in row)
    out[...] = np.frombuffer(data, np.uint64).reshape(out.shape)


@cache
def roots(field: int, n: int) -> list[int]:
    f = FIELDS[field]
    w = pow(f.GEN, f.GEN_ORDER // n, f.MODULUS)
    return [pow(w, i, f.MODULUS) for i in range(n)]


def _basis(field: int, nodes: Sequence[int], t: int) -> list[int]:
    """The Lagrange polynomials of the nodes at t."""
    p = FIELDS[field].MODULUS
    result = []
    for x in nodes:
        above = below = 1
        for other in nodes:
            if other != x:
                above, below = above * (t - other) % p, below * (x - other) % p
        result.append(above * pow(below, -1, p) % p)
    return result


@cache
def _extension(field: int, known: int, n: int, size: int) -> list[list[int]]:
    """Rows of the matrix from values at the first `known` n-th roots to those at all size-th roots."""
    nodes = roots(field, n)[:known]
    return [_basis(field, nodes, x) for x in roots(field, size)]


def _apply(matrix: list[list[int]], vector: Sequence[int], p: int) -> list[int]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) % p for row in matrix]


def check(field: int, ok: Any, a: Any) -> None:
    for r, row in enumerate(_rows(field, a)):
        if any(x >= FIELDS[field].MODULUS for x in row):
            ok[r] = 0


def add(field: int, out: Any, a: Any, b: Any) -> None:
    pairs = zip(_rows(field, a, len(out)), _rows(field, b, len(out)), strict=True)
    _write(field, out, [[x + y for x, y in zip(*pair, strict=True)] for pair in pairs])


def subtract(field: int, out: Any, a: Any, b: Any) -> None:
    pairs = zip(_rows(field, a, len(out)), _rows(field, b, len(out)), strict=True)
    _write(field, out, [[x - y for x, y in zip(*pair, strict=True)] for pair in pairs])


def multiply(field: int, out: Any, a: Any, b: Any) -> None:
    pairs = zip(_rows(field, a, len(out)), _rows(field, b, len(out)), strict=True)
    _write(field, out, [[x * y for x, y in zip(*pair, strict=True)] for pair in pairs])


def accumulate(field: int, acc: Any, a: Any, keep: Any) -> None:
    total = _rows(field, acc)[0]
    for row, kept in zip(_rows(field, a), keep, strict=True):
        total = [x + y for x, y in zip(total, row, strict=True)] if kept else total
    _write(field, acc, [total])


def dot(field: int, out: Any, a: Any, weights: Any) -> None:
    result = []
    for row, weight in zip(_rows(field, a), _rows(field, weights, len(out)), strict=True):
        g = len(weight)
        result.append([sum(x * w for x, w in zip(row[i : i + g], weight, strict=True)) for i in range(0, len(row), g)])
    _write(field, out, result)


def sums(field: int, out: Any, a: Any) -> None:
    _write(field, out, [[sum(row)] for row in _rows(field, a)])


def _messages(parts: Sequence[Any], reports: int) -> list[bytes]:
    pieces = []
    for part in parts:
        shared = not isinstance(part, np.ndarray) or part.ndim == 1
        pieces.append([bytes(part)] * reports if shared else [np.ascontiguousarray(row).tobytes() for row in part])
    return [b"".join(piece) for piece in zip(*pieces, strict=True)]


def turboshake128(out: Any, parts: Sequence[Any]) -> None:
    for row, message in zip(out, _messages(parts, len(out)), strict=True):
        row[:] = np.frombuffer(TurboSHAKE128.new(domain=1).update(message).read(len(row)), np.uint8)


def expand_into_vec(field: int, out: Any, parts: Sequence[Any]) -> None:
    p, size, result = FIELDS[field].MODULUS, field // 8, []
    n = out.shape[1]
    for message in _messages(parts, len(out)):
        xof = TurboSHAKE128.new(domain=1).update(message)
        row: list[int] = []
        while len(row) < n:
            x = int.from_bytes(xof.read(size), "little")
            row += [x] if x < p else []
        result.append(row)
    _write(field, out, result)


def encode_one_hot(field: int, out: Any, index: Any) -> None:
    _write(field, out, [[int(i == j) for i in range(out.shape[1])] for j in index])


def encode_range_checked_int(field: int, out: Any, values: Any, max_measurement: int) -> None:
    bits = max_measurement.bit_length()
    rest, result = (1 << bits - 1) - 1, list[list[int]]()
    for row in _rows(field, values):
        result.append([])
        for value in row:
            last = int(value > rest)
            value -= last * (max_measurement - rest)
            result[-1] += [*(value >> i & 1 for i in range(bits - 1)), last]
    _write(field, out, result)


def _p(calls: int) -> int:
    return 1 << calls.bit_length()


def _mul_wires(p: int, meas: list[int], joint: list[int], offset: int, c: int) -> list[list[int]]:
    """The inputs of each call."""
    calls = -(-len(meas) // c)
    padded = meas + [0] * (calls * c - len(meas))
    wires = []
    for i in range(calls):
        r, start = (joint[i], 0) if len(joint) == calls else (joint[0], i * c)
        chunk = padded[i * c : (i + 1) * c]
        wires.append([y for j, x in enumerate(chunk) for y in (pow(r, start + j + 1, p) * x % p, (x - offset) % p)])
    return wires


def _mul(inputs: Sequence[int]) -> int:
    return sum(x * y for x, y in zip(inputs[::2], inputs[1::2], strict=True))


def _horner(poly: Sequence[int], x: int) -> int:
    value = 0
    for c in reversed(poly):
        value = value * x + c
    return value


def _prove(field: int, seeds: list[int], wires: list[list[int]], gadget: Any, degree: int, monomial: bool) -> list[int]:
    modulus, p = FIELDS[field].MODULUS, _p(len(wires))
    size = 1 << (degree * (p - 1)).bit_length()
    padded = [seeds, *wires] + [[0] * len(seeds)] * (p - 1 - len(wires))
    matrix = _extension(field, p, p, size)
    columns = [_apply(matrix, column, modulus) for column in zip(*padded, strict=True)]
    values = [gadget(inputs) % modulus for inputs in zip(*columns, strict=True)]
    if monomial:
        inverse = [roots(field, size)[-i] for i in range(size)]
        n = pow(size, -1, modulus)
        values = [n * sum(v * inverse[i * k % size] for i, v in enumerate(values)) for k in range(size)]
    return seeds + values[: degree * (p - 1) + 1]


def _query(
    field: int, proof: list[int], wires: list[list[int]], degree: int, t: int, monomial: bool
) -> tuple[list[int], list[int], bool]:
    """Verifier, outputs, whether t is no root of unity."""
    modulus, p, arity = FIELDS[field].MODULUS, _p(len(wires)), len(wires[0])
    if pow(t, p, modulus) == 1:
        return [0] * (arity + 1), [0] * len(wires), False
    seeds, poly = proof[:arity], proof[arity:]
    size = 1 << (degree * (p - 1)).bit_length()
    if monomial:
        values = [_horner(poly, x) % modulus for x in roots(field, size)]
    else:
        values = _apply(_extension(field, len(poly), size, size), poly, modulus)
    padded = [seeds, *wires] + [[0] * arity] * (p - 1 - len(wires))
    basis = _basis(field, roots(field, p), t)
    checks = [sum(map(int.__mul__, basis, column)) for column in zip(*padded, strict=True)]
    check = sum(map(int.__mul__, _basis(field, roots(field, size), t), values))
    step = size // p
    return [*checks, check], values[step : step * (len(wires) + 1) : step], True


def mul_prove(
    field: int,
    proof: Any,
    meas: Any,
    prove_rand: Any,
    joint_rand: Any,
    offset: Any,
    chunk_length: int,
    monomial: bool = False,
) -> None:
    modulus, ((o,),) = FIELDS[field].MODULUS, _rows(field, offset)
    rows = zip(_rows(field, meas), _rows(field, prove_rand), _rows(field, joint_rand, len(proof)), strict=True)
    _write(
        field,
        proof,
        [_prove(field, seeds, _mul_wires(modulus, x, r, o, chunk_length), _mul, 2, monomial) for x, seeds, r in rows],
    )


def mul_query(
    field: int,
    verifier: Any,
    outputs: Any,
    ok: Any,
    meas: Any,
    proof: Any,
    t: Any,
    joint_rand: Any,
    offset: Any,
    chunk_length: int,
    monomial: bool = False,
) -> None:
    modulus, ((o,),) = FIELDS[field].MODULUS, _rows(field, offset)
    rows = zip(
        _rows(field, meas), _rows(field, proof), _rows(field, t), _rows(field, joint_rand, len(proof)), strict=True
    )
    results = [
        _query(field, given, _mul_wires(modulus, x, r, o, chunk_length), 2, point, monomial)
        for x, given, (point,), r in rows
    ]
    _write(field, verifier, [result[0] for result in results])
    _write(field, outputs, [result[1] for result in results])
    ok &= np.array([result[2] for result in results], ok.dtype)


def mul_decide(field: int, ok: Any, verifier: Any) -> None:
    for r, (v, *wires, check) in enumerate(_rows(field, verifier)):
        if v or (_mul(wires) - check) % FIELDS[field].MODULUS:
            ok[r] = 0


def poly_prove(field: int, proof: Any, meas: Any, prove_rand: Any, poly: Any, monomial: bool = False) -> None:
    (coefficients,) = _rows(field, poly)
    rows = zip(_rows(field, meas), _rows(field, prove_rand), strict=True)
    _write(
        field,
        proof,
        [
            _prove(field, s, [[x] for x in row], lambda w: _horner(coefficients, w[0]), len(coefficients) - 1, monomial)
            for row, s in rows
        ],
    )


def poly_query(
    field: int,
    verifier: Any,
    outputs: Any,
    ok: Any,
    meas: Any,
    proof: Any,
    t: Any,
    poly: Any,
    monomial: bool = False,
) -> None:
    degree = len(_rows(field, poly)[0]) - 1
    rows = zip(_rows(field, meas), _rows(field, proof), _rows(field, t), strict=True)
    results = [_query(field, given, [[x] for x in row], degree, point, monomial) for row, given, (point,) in rows]
    _write(field, verifier, [result[0] for result in results])
    _write(field, outputs, [result[1] for result in results])
    ok &= np.array([result[2] for result in results], ok.dtype)


def poly_decide(field: int, ok: Any, verifier: Any, poly: Any) -> None:
    (coefficients,) = _rows(field, poly)
    for r, (v, wire, check) in enumerate(_rows(field, verifier)):
        if v or (_horner(coefficients, wire) - check) % FIELDS[field].MODULUS:
            ok[r] = 0
