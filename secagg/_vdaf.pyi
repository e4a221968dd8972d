"""Kernels of the VDAF draft's fields, XOF and FLP, over batches of R reports.

`field` is 64 or 128. A vector of n field elements is uint64[n] in Field64 and uint64[n, 2] in Field128, low limb first,
canonical; its bytes are `encode_vec`. Below, F[R, n] stands for uint64[R, n] or uint64[R, n, 2]: one vector a report.
Axes between the first and the last count into n, so F[R, a, b] is an F[R, a * b]. An argument marked F[R | 1, n]
may also be F[1, n] or F[n], shared by all reports. Rows must be contiguous each, at a distance that is a multiple of 8
bytes: slices `a[:, i:j]` of a batch are accepted everywhere, both to read and to write. Outputs come first; no
output may overlap an input, except where "in place" is said. Bytes are uint8[R, length]. `ok` is uint8[R] or
bool[R], in and out: kernels only ever clear entries, so one array collects the verdicts of several calls.

Everything raises ValueError for wrong shapes and types, and MemoryError. What a call allocates does not grow with R:
a few times p elements in a gadget, the square of that to query a PolyEval of degree above 2. Time depends on shapes
alone, except that a rejected sample of the XOF (once in 2^32 elements in Field64, 2^59 in Field128) costs the time to
sample that vector again.
"""

from collections.abc import Sequence
from typing import Any

from numpy import uint64
from numpy.typing import NDArray

Elements = NDArray[uint64]
Buffer = bytes | bytearray | memoryview | NDArray[Any]

# Vectors.

def check(field: int, ok: NDArray[Any], a: Elements) -> None:
    """Clear ok[r] unless every element of a[r], F[R, n], is below the modulus."""

def add(field: int, out: Elements, a: Elements, b: Elements) -> None:
    """out := a + b; out F[R, n], a and b F[R | 1, n]; out may be a or b, in place."""

def subtract(field: int, out: Elements, a: Elements, b: Elements) -> None:
    """out := a - b; out F[R, n], a and b F[R | 1, n]; out may be a or b, in place."""

def multiply(field: int, out: Elements, a: Elements, b: Elements) -> None:
    """out := a * b, element by element; out F[R, n], a and b F[R | 1, n]; out may be a or b, in place."""

def accumulate(field: int, acc: Elements, a: Elements, keep: NDArray[Any]) -> None:
    """acc := acc + the sum of a[r] over all r where keep[r] is not 0; acc F[n], a F[R, n], keep uint8[R] or bool[R]."""

def dot(field: int, out: Elements, a: Elements, weights: Elements) -> None:
    """out[r, i] := sum over l < g of weights[r, l] * a[r, i*g + l]; out F[R, m], a F[R, m*g], weights F[R | 1, g]."""

def sums(field: int, out: Elements, a: Elements) -> None:
    """out[r] := the sum of a[r]; out F[R, 1], a F[R, n]."""

# Polynomials: n is a power of 2, w the draft's n-th root of unity.

def ntt(field: int, out: Elements, a: Elements, set_s: bool = False) -> None:
    """The draft's ntt: out[r, i] := sum over k of a[r, k] * (s * w^i)^k, s^2 = w if set_s, else s = 1; both F[R, n]."""

def inv_ntt(field: int, out: Elements, a: Elements) -> None:
    """The draft's inv_ntt: coefficients out[r] of the polynomial with values a[r, i] at w^i; both F[R, n]."""

def lagrange(field: int, out: Elements, t: Elements) -> None:
    """out[r, k] := L_k(t[r]), which is 1 at w^k and 0 at the other w^i; out F[R, n], t F[R, 1].

    poly_eval_batched of m polynomials: `dot(field, out[R, m], values[R, m, n], lagrange[R, n])`."""

# XofTurboShake128. The message is the concatenation of `parts`: bytes-like or of one axis, the same for all reports, or
# an array of two axes or more, whose row r (rows contiguous, any dtype) belongs to report r.

def turboshake128(out: NDArray[Any], parts: Sequence[Buffer]) -> None:
    """The first bytes of TurboSHAKE128(message, D = 1); out uint8[R, length]."""

def expand_into_vec(field: int, out: Elements, parts: Sequence[Buffer]) -> None:
    """The draft's expand_into_vec; out F[R, n]."""

# Encodings, in constant time.

def encode_one_hot(field: int, out: Elements, index: NDArray[uint64]) -> None:
    """out[r, i] := 1 if i = index[r], else 0; out F[R, n], index uint64[R] below n."""

def encode_range_checked_int(field: int, out: Elements, values: Elements, max_measurement: int) -> None:
    """The draft's encode_range_checked_int; out F[R, m * bits], bits of max_measurement, values F[R, m] in range."""

# Gadgets. A proof is arity wire seeds, then the gadget polynomial: its first d * (p - 1) + 1 values at the
# n-th roots of unity, or as many coefficients if `monomial` (VDAF-08). p is wire_poly_len(calls), d the degree, n the
# power of 2 not below d * (p - 1) + 1. What query writes is the verifier but its first element, v, which is the
# caller's to compute from `outputs`, what the gadget's calls give, in order.
#
# mul_...: ParallelSum(Mul, chunk_length) on the wires of Histogram, SumVec, MultihotCountVec and Count. Call i is fed
# the pairs (s_i * r_i^j * x_j, x_j - offset), j < chunk_length, x the i-th chunk of meas padded with zeros.
# joint_rand F[R, calls]: r_i is its i-th element and s_i = r_i. joint_rand F[R, 1]: all r_i are r, and s_i = r^(i *
# chunk_length + 1), so that the powers of r run on (VDAF-08). offset F[1] is shares_inv, and 1 for prove. Count:
# chunk_length 1, joint_rand F[1, 1] of 1, offset 0. c = chunk_length below, calls = ceil(meas_len / c).

def mul_prove(
    field: int,
    proof: Elements,
    meas: Elements,
    prove_rand: Elements,
    joint_rand: Elements,
    offset: Elements,
    chunk_length: int,
    monomial: bool = False,
) -> None:
    """proof F[R, 2c + 2p - 1], meas F[R, meas_len], prove_rand F[R, 2c], joint_rand F[R | 1, calls or 1]."""

def mul_query(
    field: int,
    verifier: Elements,
    outputs: Elements,
    ok: NDArray[Any],
    meas: Elements,
    proof: Elements,
    t: Elements,
    joint_rand: Elements,
    offset: Elements,
    chunk_length: int,
    monomial: bool = False,
) -> None:
    """verifier F[R, 2c + 1]: wire checks, gadget check. outputs F[R, calls]; ok cleared where t is a p-th root of 1.

    meas F[R, meas_len], proof F[R, 2c + 2p - 1], t F[R, 1], joint_rand F[R | 1, calls or 1]."""

def mul_decide(field: int, ok: NDArray[Any], verifier: Elements) -> None:
    """Clear ok[r] unless verifier[r] passes decide; verifier F[R, 1 + 2c + 1], v first."""

# poly_...: PolyEval(poly), one wire, fed one element of meas a call: Sum, Range2 of VDAF-08, the higher-degree test.

def poly_prove(
    field: int, proof: Elements, meas: Elements, prove_rand: Elements, poly: Elements, monomial: bool = False
) -> None:
    """proof F[R, 1 + d*(p - 1) + 1], meas F[R, calls], prove_rand F[R, 1], poly F[d + 1], lowest first, d >= 1."""

def poly_query(
    field: int,
    verifier: Elements,
    outputs: Elements,
    ok: NDArray[Any],
    meas: Elements,
    proof: Elements,
    t: Elements,
    poly: Elements,
    monomial: bool = False,
) -> None:
    """verifier F[R, 2]: wire check, gadget check. outputs F[R, calls]; ok cleared where t is a p-th root of unity."""

def poly_decide(field: int, ok: NDArray[Any], verifier: Elements, poly: Elements) -> None:
    """Clear ok[r] unless verifier[r], F[R, 3], v first, passes decide."""
