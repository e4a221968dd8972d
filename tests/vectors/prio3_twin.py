"""Prio3 of drafts 20 and 8 by their definitions, one report at a time, with pycryptodome's XOF and Python integers.

Nothing of this comes from the package, so that it can say what the package should answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from Crypto.Hash import TurboSHAKE128

Vector = list[int]
ORDERS = {64: 2**32, 128: 2**66}
P = {64: 2**32 * 4294967295 + 1, 128: 2**66 * 4611686018427387897 + 1}
(MEAS_SHARE, PROOF_SHARE, JOINT_RANDOMNESS, PROVE_RANDOMNESS, QUERY_RANDOMNESS, JOINT_RAND_SEED, JOINT_RAND_PART) = (
    range(1, 8)
)


@cache
def roots(field: int, n: int) -> Vector:
    """The n-th roots of unity, powers of the drafts' one."""
    w = pow(7, (P[field] - 1) // n, P[field])
    return [pow(w, i, P[field]) for i in range(n)]


def evaluate(coefficients: Sequence[int], x: int, p: int) -> int:
    return sum(c * pow(x, k, p) for k, c in enumerate(coefficients)) % p


@cache
def weights(field: int, n: int, known: int, x: int) -> Vector:
    """Lagrange polynomials of the first `known` n-th roots of unity, at x."""
    p, nodes = P[field], roots(field, n)[:known]
    result = []
    for node in nodes:
        above = below = 1
        for other in nodes:
            if other != node:
                above, below = above * (x - other) % p, below * (node - other) % p
        result.append(above * pow(below, -1, p) % p)
    return result


def interpolated(field: int, n: int, values: Sequence[int], x: int) -> int:
    """The polynomial with these values at the first n-th roots of unity, at x."""
    pairs = zip(weights(field, n, len(values), x), values, strict=True)
    return sum(w * v for w, v in pairs) % P[field]


def batched(values: Any, n: int) -> Any:
    """Slices of n."""
    return [values[i : i + n] for i in range(0, len(values), n)]


def next_power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()


@dataclass
class Circuit:
    """A validity circuit: its gadget, the inputs of each call, and its outputs from those of the calls."""

    field: int
    meas_len: int
    joint_rand_len: int
    outputs_len: int
    arity: int
    gadget: Callable[[Sequence[int]], int]
    wires: Callable[[Vector, Vector, int], list[Vector]]
    outputs: Callable[[Vector, Vector, int], Vector]
    encode: Callable[[Any], Vector]
    truncate: Callable[[Vector], Vector]
    calls: int = 1
    reduces_one: bool = False

    @property
    def reduces(self) -> bool:
        """Whether randomness makes one of the outputs."""
        return self.outputs_len > 1 or self.reduces_one

    @property
    def p(self) -> int:
        return next_power_of_2(1 + self.calls)

    @property
    def poly_len(self) -> int:
        return 2 * (self.p - 1) + 1

    @property
    def size(self) -> int:
        return 2 * self.p


def products(inputs: Sequence[int]) -> int:
    return sum(x * y for x, y in batched(inputs, 2))


def range_weights(maximum: int) -> Vector:
    bits = maximum.bit_length()
    return [*(1 << i for i in range(bits - 1)), maximum - (1 << bits - 1) + 1]


def encode_range(value: int, maximum: int) -> Vector:
    *powers, last = range_weights(maximum)
    top = int(value > sum(powers))
    return [*((value - top * last) >> i & 1 for i in range(len(powers))), top]


def weighted(bits: Sequence[int], maximum: int) -> int:
    return sum(w * b for w, b in zip(range_weights(maximum), bits, strict=True))


def count(draft: int) -> Circuit:
    return Circuit(
        64, 1, 0, 1, 2, products, lambda m, _, s: [[m[0], m[0]]], lambda m, c, s: [c[0] - m[0]], lambda x: [x], list
    )


def sum_(draft: int, maximum: int) -> Circuit:
    bits = maximum.bit_length()
    return Circuit(
        64 if draft == 20 else 128,
        bits,
        0,
        bits,
        1,
        lambda inputs: inputs[0] * (inputs[0] - 1),
        lambda meas, _, s: [[x] for x in meas],
        lambda meas, calls, s: calls,
        lambda value: encode_range(value, maximum),
        lambda meas: [weighted(meas, maximum)],
        bits,
        reduces_one=draft == 8,  # where the sum over r^k * x_k (x_k - 1) is defined for a single bit, too
    )


def bits_circuit(
    draft: int,
    field: int,
    meas_len: int,
    chunk: int,
    check: Callable[[Vector, int], Vector],
    encode: Callable[[Any], Vector],
    truncate: Callable[[Vector], Vector],
    checks: int,
) -> Circuit:
    """Every element a bit, in chunks, and `check` gives what else must be 0."""
    p, calls = P[field], -(-meas_len // chunk)

    def wires(meas: Vector, joint: Vector, shares: int) -> list[Vector]:
        padded = meas + [0] * (calls * chunk - meas_len)
        part = pow(shares, -1, p)
        result = []
        for i, xs in enumerate(batched(padded, chunk)):
            r, first = (joint[i], 1) if draft == 20 else (joint[0], 1 + i * chunk)
            result.append([y for k, x in enumerate(xs, first) for y in (pow(r, k, p) * x % p, (x - part) % p)])
        return result

    def outputs(meas: Vector, called: Vector, shares: int) -> Vector:
        return [sum(called), *check(meas, pow(shares, -1, p))]

    joint_rand_len = calls if draft == 20 else 1
    return Circuit(
        field, meas_len, joint_rand_len, 1 + checks, 2 * chunk, products, wires, outputs, encode, truncate, calls
    )


def sum_vec(draft: int, length: int, maximum: int, chunk: int, field: int = 128) -> Circuit:
    bits = maximum.bit_length()

    def encode(values: Vector) -> Vector:
        return [bit for value in values for bit in encode_range(value, maximum)]

    def truncate(meas: Vector) -> Vector:
        return [weighted(digits, maximum) for digits in batched(meas, bits)]

    return bits_circuit(draft, field, length * bits, chunk, lambda meas, part: [], encode, truncate, 0)


def histogram(draft: int, length: int, chunk: int) -> Circuit:
    def encode(index: int) -> Vector:
        return [int(i == index) for i in range(length)]

    return bits_circuit(draft, 128, length, chunk, lambda meas, part: [sum(meas) - part], encode, list, 1)


def multihot(draft: int, length: int, max_weight: int, chunk: int) -> Circuit:
    offset = 0 if draft == 20 else (1 << max_weight.bit_length()) - 1 - max_weight
    maximum = max_weight + offset

    def check(meas: Vector, part: int) -> Vector:
        return [offset * part + sum(meas[:length]) - weighted(meas[length:], maximum)]

    def encode(values: list[bool]) -> Vector:
        return [*map(int, values), *encode_range(sum(values) + offset, maximum)]

    meas_len = length + maximum.bit_length()
    return bits_circuit(draft, 128, meas_len, chunk, check, encode, lambda meas: meas[:length], 1)


class Prio3:
    """One report at a time; shares and messages are lists of integers and of bytes, encoded at the end."""

    def __init__(self, draft: int, algorithm: int, circuit: Circuit, shares: int, proofs: int, ctx: bytes) -> None:
        self.draft, self.circuit, self.shares, self.proofs, self.ctx = draft, circuit, shares, proofs, ctx
        self.prefix = bytes([18 if draft == 20 else 8, 0]) + algorithm.to_bytes(4, "big")
        self.seed_size = 32 if draft == 20 else 16
        self.p = P[circuit.field]
        self.joint_rand_len = circuit.joint_rand_len + (circuit.reduces and draft == 8)
        self.query_rand_len = 1 + circuit.outputs_len * (circuit.reduces and draft == 20)
        self.proof_len = circuit.arity + circuit.poly_len
        self.helper_seeds = (1 if draft == 20 else 2) + (self.joint_rand_len > 0)
        self.rand_size = ((shares - 1) * self.helper_seeds + (self.joint_rand_len > 0) + 1) * self.seed_size

    # XOF.

    def xof(self, usage: int, seed: bytes, binder: bytes) -> Any:
        dst = self.prefix + usage.to_bytes(2, "big") + self.ctx
        head = len(dst).to_bytes(2, "little") if self.draft == 20 else bytes([len(dst)])
        size = bytes([len(seed)]) if self.draft == 20 else b""
        return TurboSHAKE128.new(domain=1).update(head + dst + size + seed + binder)

    def seed(self, usage: int, seed: bytes, binder: bytes) -> bytes:
        derived: bytes = self.xof(usage, seed, binder).read(self.seed_size)
        return derived

    def vec(self, usage: int, seed: bytes, binder: bytes, length: int) -> Vector:
        xof, result = self.xof(usage, seed, binder), list[int]()
        while len(result) < length:
            x = int.from_bytes(xof.read(self.circuit.field // 8), "little")
            result += [x] if x < self.p else []
        return result

    def encoded(self, values: Sequence[int]) -> bytes:
        return b"".join((x % self.p).to_bytes(self.circuit.field // 8, "little") for x in values)

    # FLP.

    def prove(self, meas: Vector, prove_rand: Vector, joint_rand: Vector) -> Vector:
        c = self.circuit
        columns = self.columns(c.wires(meas, joint_rand, 1), prove_rand)
        points = roots(c.field, c.size)
        at = [[interpolated(c.field, c.p, column, x) for column in columns] for x in points]
        values = [c.gadget(inputs) % self.p for inputs in at]
        if self.draft == 8:
            inverse = pow(c.size, -1, self.p)
            values = [inverse * evaluate(values, points[-k], self.p) for k in range(c.size)]
        return prove_rand + values[: c.poly_len]

    def columns(self, wires: list[Vector], seeds: Vector) -> list[tuple[int, ...]]:
        c = self.circuit
        padding = [[0] * c.arity] * (c.p - 1 - c.calls)
        return list(zip(*[seeds, *wires, *padding], strict=True))

    def query(self, meas: Vector, proof: Vector, query_rand: Vector, joint_rand: Vector) -> Vector:
        c = self.circuit
        seeds, poly = proof[: c.arity], proof[c.arity :]

        def gadget_poly(x: int) -> int:
            return interpolated(c.field, c.size, poly, x) if self.draft == 20 else evaluate(poly, x, self.p)

        calls = [gadget_poly(x) for x in roots(c.field, c.p)[1 : 1 + c.calls]]
        outputs = c.outputs(meas, calls, self.shares)
        if not c.reduces:
            rand = [1]
        elif self.draft == 20:
            rand = query_rand[: c.outputs_len]
        else:
            rand = [pow(joint_rand[-1], k, self.p) for k in range(1, c.outputs_len + 1)]
        v = sum(r * x for r, x in zip(rand, outputs, strict=True)) % self.p
        t = query_rand[-1]
        columns = self.columns(c.wires(meas, joint_rand, self.shares), seeds)
        return [v, *(interpolated(c.field, c.p, column, t) for column in columns), gadget_poly(t)]

    def decide(self, verifier: Vector) -> bool:
        v, *wires, check = verifier
        return v % self.p == 0 and (self.circuit.gadget(wires) - check) % self.p == 0

    # Prio3.

    def joint_rand_part(self, agg_id: int, blind: bytes, share: Vector, nonce: bytes) -> bytes:
        return self.seed(JOINT_RAND_PART, blind, bytes([agg_id]) + nonce + self.encoded(share))

    def joint_rand_seed(self, parts: list[bytes]) -> bytes:
        return self.seed(JOINT_RAND_SEED, bytes(self.seed_size), b"".join(parts))

    def rands(self, usage: int, seed: bytes, length: int, binder: bytes = b"") -> list[Vector]:
        both = self.vec(usage, seed, bytes([self.proofs]) + binder, length * self.proofs)
        return [both[i * length : (i + 1) * length] for i in range(self.proofs)]

    def helper(self, agg_id: int, seeds: list[bytes]) -> tuple[Vector, Vector]:
        meas = self.vec(MEAS_SHARE, seeds[0], bytes([agg_id]), self.circuit.meas_len)
        second = seeds[0] if self.draft == 20 else seeds[1]
        proofs = self.vec(PROOF_SHARE, second, bytes([self.proofs, agg_id]), self.proof_len * self.proofs)
        return meas, proofs

    def shard(self, encoded: Vector, nonce: bytes, rand: bytes) -> dict[str, Any]:
        """Everything that Aggregators hold; `encoded` need not be valid."""
        seeds = batched(rand, self.seed_size)
        joint = self.joint_rand_len > 0
        self.seeds = [list(seeds[i * self.helper_seeds :][: self.helper_seeds]) for i in range(self.shares - 1)]
        blinds = [seeds[-2], *(each[-1] for each in self.seeds)]
        helpers = [self.helper(j, each) for j, each in enumerate(self.seeds, 1)]
        leader = [(x - sum(others)) % self.p for x, *others in zip(encoded, *(m for m, _ in helpers), strict=True)]
        self.meas = [leader, *(meas for meas, _ in helpers)]
        self.parts = [self.joint_rand_part(j, blinds[j], self.meas[j], nonce) for j in range(self.shares) if joint]
        joint_rands = self.joint_rands()
        prove_rands = self.rands(PROVE_RANDOMNESS, seeds[-1], self.circuit.arity)
        proofs = [x for pair in zip(prove_rands, joint_rands, strict=True) for x in self.prove(encoded, *pair)]
        leader_proofs = [x - sum(others) for x, *others in zip(proofs, *(f for _, f in helpers), strict=True)]
        self.proof_shares = [[x % self.p for x in leader_proofs], *(proof for _, proof in helpers)]
        leader_share = self.encoded(leader) + self.encoded(leader_proofs) + (blinds[0] if joint else b"")
        return {
            "public_share": b"".join(self.parts).hex(),
            "input_shares": [leader_share.hex(), *(b"".join(each).hex() for each in self.seeds)],
        }

    def joint_rands(self) -> list[Vector]:
        if not self.joint_rand_len:
            return [[]] * self.proofs
        return self.rands(JOINT_RANDOMNESS, self.joint_rand_seed(self.parts), self.joint_rand_len)

    def verify(self, key: bytes, nonce: bytes) -> dict[str, Any]:
        """What the Aggregators say to each other, and what they keep, about the report that `shard` made last."""
        query_rands = self.rands(QUERY_RANDOMNESS, key, self.query_rand_len, nonce)
        shares: list[Vector] = []
        for meas, proof_share in zip(self.meas, self.proof_shares, strict=True):
            proofs = batched(proof_share, self.proof_len)
            each = zip(proofs, query_rands, self.joint_rands(), strict=True)
            shares.append([x for proof, *rands in each for x in self.query(meas, proof, *rands)])
        total = [sum(column) % self.p for column in zip(*shares, strict=True)]
        self.valid = all(self.decide(verifier) for verifier in batched(total, len(total) // self.proofs))
        parts = self.parts or [b""] * self.shares
        return {
            "verifier_shares": [[(self.encoded(s) + part).hex() for s, part in zip(shares, parts, strict=True)]],
            "verifier_messages": [self.joint_rand_seed(self.parts).hex() if self.parts else ""],
            "out_shares": [self.encoded(self.circuit.truncate(meas)).hex() for meas in self.meas],
        }
