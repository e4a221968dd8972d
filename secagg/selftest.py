"""Every kernel of every instruction set that this CPU has, against known answers: `python -m secagg selftest`.

A check computes with one kernel what tests/vectors/make_selftest.py has computed without it, with pycryptodome,
`cryptography` and Python's integers, and compares by SHA-256. Inputs are bytes of SHAKE128.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256, sha512, shake_128
from typing import Any

import numpy as np
from numpy import float64, int8, int64, uint8, uint32, uint64
from numpy.typing import NDArray

from . import _kernels, _vdaf

__all__ = ["CHECKS", "Check", "failures", "main"]

Array = NDArray[Any]

Q = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = {64: 2**32 * 4294967295 + 1, 128: 2**66 * 4611686018427387897 + 1}  # the VDAF draft's fields
MODULI = (2**8, 2**16, 2**20, 2**32, 2**40, 2**47, 2**56, 2**64, 2**24 - 3, 2**63 + 9)
WIDTHS = (*(2**b for b in range(1, 65)), 3, 2**24 - 3, 2**63 + 9)  # of packed elements
N = 203  # elements: no multiple of what any kernel does at a time
REPORTS = 11  # the same for messages
THRESHOLDS = [[0, 2**63], [2**62, 2**62], [5, 2**60], [1, 0]]  # descending, low word first
RFC_8032 = (  # a key, R and S
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
)
POLY = (0, 2, 12, 1)
MEAS_LEN, CHUNK = 7, 3


@dataclass(frozen=True)
class Check:
    """One kernel's known answer.

    Attributes:
        subject: what it belongs to: of `_kernels.SUBJECTS`, if it differs among instruction sets.
        kernel: its name.
        compute: what it makes of the inputs.
        answer: half the SHA-256 of what it should.
    """

    subject: str
    kernel: str
    compute: Callable[[], Iterator[Array]]
    answer: str

    def passes(self) -> bool:
        """Whether the kernel in use gives the answer. Whatever it raises is none."""
        try:
            return digest(self.compute()) == self.answer
        except Exception:
            return False


def failures() -> list[str]:
    """The kernels that compute wrongly, each with its instruction set. Others should not calculate meanwhile."""
    before, failed = _kernels.isa(), []
    for isa in _kernels.isa_available():
        try:
            _kernels.isa_use(isa)
        except RuntimeError as error:
            failed.append(str(error))
        checks = [check for check in CHECKS if _is_of(check.subject, isa)]
        failed += [f"{check.subject}: {check.kernel} on {isa}" for check in checks if not check.passes()]
    _kernels.isa_use(before)
    return failed


def main() -> int:
    """Print what fails, or that nothing does; the exit status of the command."""
    failed = failures()
    for line in failed:
        print(f"FAILED  {line}")
    isas = ", ".join(_kernels.isa_available())
    print(f"{len(CHECKS)} kernels on {isas}: {f'{len(failed)} failed' if failed else 'all compute rightly'}")
    return 1 if failed else 0


def digest(parts: Iterator[Array] | list[bytes]) -> str:
    return sha256(b"".join(part.tobytes() if isinstance(part, np.ndarray) else part for part in parts)).hexdigest()[:32]


def _is_of(subject: str, isa: str) -> bool:
    """Whether this instruction set has kernels of its own for the subject; the portable one has all others."""
    return isa in _kernels.isa_with(subject) if subject in _kernels.SUBJECTS else isa == "portable"


# --- Inputs


def octets(label: str, *shape: int) -> NDArray[uint8]:
    size = int(np.prod(shape))
    return np.frombuffer(shake_128(b"secagg selftest " + label.encode()).digest(size), uint8).reshape(shape)


def integers(label: str, n: int, modulus: int) -> list[int]:
    stream = octets(label, 24 * n).tobytes()
    return [int.from_bytes(stream[24 * i : 24 * i + 24], "little") % modulus for i in range(n)]


def scalars(label: str, *shape: int) -> NDArray[uint8]:
    """Below q, and not 0."""
    numbers = integers(label, int(np.prod(shape)), Q - 1)
    return np.frombuffer(b"".join((x + 1).to_bytes(32, "big") for x in numbers), uint8).reshape(*shape, 32)


def points() -> NDArray[uint8]:
    """x-coordinates, which one in two is of a point."""
    return octets("points", 24, 32)


def x25519_keys() -> list[tuple[NDArray[uint8], NDArray[uint8]]]:
    """Private keys and public ones, of which the second agrees on zeros: in pairs, one private and one public one."""
    secrets, publics = octets("private", 24, 32), points().copy()
    publics[1] = 0
    return [(secrets, publics), (secrets[:1], publics), (secrets, publics[:1])]


def signatures() -> tuple[NDArray[uint8], NDArray[uint8], NDArray[uint8]]:
    """Keys, signatures and hashes of RFC 8032, section 7.1, test 2; of every third one, hash or S has another bit."""
    key, r, s = (bytes.fromhex(part) for part in RFC_8032)
    keys, signed = (np.tile(np.frombuffer(each, uint8), (REPORTS, 1)) for each in (key, r + s))
    hashes = np.tile(np.frombuffer(sha512(r + key + b"r").digest(), uint8), (REPORTS, 1))
    hashes[1::3, 63] ^= 1
    signed[2::3, 32] ^= 1
    return keys, signed, hashes


def verification_keys() -> NDArray[uint8]:
    """Of random ones, one in 16 belongs to a private key."""
    return np.concatenate([octets("verification keys", 60, 32), signatures()[0][:2]])


def signed() -> NDArray[int64]:
    return octets("signed", 8 * N).view(int64)


def numbers() -> NDArray[float64]:
    """From -2 to 2."""
    return signed() / 2.0**62


def words(label: str, n: int, modulus: int) -> Array:
    return np.array(integers(label, n, modulus), uint32 if modulus <= 1 << 32 else uint64)


def elements(field: int, label: str, *shape: int) -> NDArray[uint64]:
    size = field // 8
    numbers = integers(f"{field} {label}", int(np.prod(shape)), P[field])
    encoded = b"".join(x.to_bytes(size, "little") for x in numbers)
    return np.frombuffer(encoded, uint64).reshape(*shape, *(2,) * (field == 128)).copy()


def polynomial(field: int) -> NDArray[uint64]:
    encoded = b"".join(c.to_bytes(field // 8, "little") for c in POLY)
    return np.frombuffer(encoded, uint64).reshape(-1, *(2,) * (field == 128))


def packed_bytes(modulus: int) -> int:
    return (N * (modulus - 1).bit_length() + 7) // 8


def random(label: str) -> _kernels.Random:
    return _kernels.Random(words=octets(label, 8 * 4000).view(uint64))


def _field_zeros(field: int, *shape: int) -> NDArray[uint64]:
    return np.zeros((*shape, *(2,) * (field == 128)), uint64)


# --- Kernels

CHECKS: list[Check] = []


def _check(subject: str, answer: str) -> Callable[[Callable[[], Iterator[Array]]], Callable[[], Iterator[Array]]]:
    def register(compute: Callable[[], Iterator[Array]]) -> Callable[[], Iterator[Array]]:
        CHECKS.append(Check(subject, compute.__name__.replace("field_", "field "), compute, answer))
        return compute

    return register


@_check("masks", "d335e8ce3b53bc386afe148fdc9eba16")
def mask_sum() -> Iterator[Array]:
    signs, nonce = np.resize(np.array([1, -1, 1], int8), 5), octets("nonce", 12)
    for modulus in MODULI:
        acc = words("acc", N, modulus)
        _kernels.mask_sum(acc, octets("seeds", 5, 16), signs, modulus, nonce, 5)
        yield acc


@_check("masks", "38502bcf296eea18d2d7252e729a6094")
def expand() -> Iterator[Array]:
    for modulus in MODULI:
        out = words("out", N, modulus)
        _kernels.expand(out, octets("seed", 16), modulus, octets("nonce", 12), 2**33)
        yield out


@_check("packing", "f4cdb8f470cd1ac87937185605743c2a")
def pack() -> Iterator[Array]:
    for modulus in WIDTHS:
        out = np.empty(packed_bytes(modulus), uint8)
        _kernels.pack(out, words("packed", N, modulus), modulus)
        yield out


@_check("packing", "133f7475bc2ce9a3821206711b12d6c1")
def unpack() -> Iterator[Array]:
    for modulus in WIDTHS:
        out = words("out", N, modulus)
        _kernels.unpack(out, octets("packed", packed_bytes(modulus)), modulus)
        yield out


@_check("packing", "dfdcb6999bbb0119fdee1acc4a5f5561")
def packed_add() -> Iterator[Array]:
    for modulus in WIDTHS:
        acc, packed = words("acc", N, modulus), np.empty(packed_bytes(modulus), uint8)
        _kernels.pack(packed, words("packed", N, modulus), modulus)
        _kernels.packed_add(acc, packed, modulus)
        yield acc


@_check("packing", "da8eb028fd42752c401103612d2d576f")
def packed_check() -> Iterator[Array]:
    for modulus in WIDTHS:
        yield np.array(_kernels.packed_check(octets("check", packed_bytes(modulus)), N, modulus))
        yield np.array(_kernels.packed_check(np.zeros(packed_bytes(modulus), uint8), N, modulus))


@_check("hkdf", "841746caa9058561d32b9a6fad66ef9b")
def hkdf_sha256() -> Iterator[Array]:
    for length, info in ((16, 44), (28, 118), (32, 0)):
        out = np.empty((REPORTS, length), uint8)
        _kernels.hkdf_sha256(out, octets("keys", REPORTS, 32), octets("infos", REPORTS, info))
        yield out


@_check("hkdf", "b152bd0c005953f7ce44db9e860d93f1")
def hkdf_sha256_salted() -> Iterator[Array]:
    out, (keys, salts) = np.empty((REPORTS, 28), uint8), (octets(label, REPORTS, 32) for label in ("keys", "salts"))
    _kernels.hkdf_sha256_salted(out, salts, keys, octets("infos", REPORTS, 118))
    yield out


@_check("agreement", "95dd57e8b2bb365ce063c916ce6769a5")
def p256_lift() -> Iterator[Array]:
    ys, valid = np.zeros((24, 32), uint8), np.zeros(24, uint8)
    _kernels.p256_lift(ys, valid, points())
    yield from (ys, valid)


@_check("agreement", "947894192e8132c41f9f7d1a4b47da2c")
def p256_agree() -> Iterator[Array]:
    agreed, valid = np.zeros((24, 3, 32), uint8), np.zeros(24, uint8)
    _kernels.p256_agree(agreed, valid, scalars("private", 3), points())
    yield from (agreed[valid != 0], valid)


@_check("agreement", "6a8ab071b3db7ee1f5bc6db129c7dc46")
def p256_agree_pairs() -> Iterator[Array]:
    scalar_of, x_of = (5 * np.arange(32, dtype=uint32) % bound for bound in (3, 24))
    agreed, valid = np.zeros((32, 32), uint8), np.zeros(24, uint8)
    _kernels.p256_agree_pairs(agreed, valid, scalars("private", 3), points(), np.sort(scalar_of), x_of)
    yield from (agreed[valid[x_of] != 0], valid)


@_check("signatures", "a0ce485ce4f1105b0ec217eac2990eb7")
def ed25519_verify() -> Iterator[Array]:
    valid = np.zeros(REPORTS, uint8)
    _kernels.ed25519_verify(valid, *signatures())
    yield valid


@_check("signatures", "2933f6370766ea1fc4f44b864ff49a1c")
def ed25519_check_keys() -> Iterator[Array]:
    keys = verification_keys()
    valid = np.zeros(len(keys), uint8)
    _kernels.ed25519_check_keys(valid, keys)
    yield valid


@_check("agreement", "df11c123f250a57f1b769d59972c8514")
def p256_exchange() -> Iterator[Array]:
    for row in scalars("private", 3):
        agreed, valid = np.zeros((24, 32), uint8), np.zeros(24, uint8)
        _kernels.p256_exchange(agreed, valid, row, points())
        yield from (agreed[valid != 0], valid)


@_check("agreement", "33d0552a77f1fdd3af106062ee49ac7d")
def x25519_exchange() -> Iterator[Array]:
    for secrets, publics in x25519_keys():
        agreed, valid = np.zeros((24, 32), uint8), np.zeros(24, uint8)
        _kernels.x25519_exchange(agreed, valid, secrets, publics)
        yield from (agreed, valid)


@_check("turboshake", "d9a21e283220731519d7ead1f112e783")
def turboshake128() -> Iterator[Array]:
    for length in (32, 400):
        out = np.empty((REPORTS, length), uint8)
        _vdaf.turboshake128(out, [b"prefix", octets("messages", REPORTS, length)])
        yield out


@_check("turboshake", "bac8a1a0ff7b8751269a620893912b4b")
def field_expand_into_vec() -> Iterator[Array]:
    for field in P:
        out = _field_zeros(field, REPORTS, 30)
        _vdaf.expand_into_vec(field, out, [octets("messages", REPORTS, 32)])
        yield out


@_check("vectors", "80ada4160c44ccc4721de31c3fc2ea13")
def add() -> Iterator[Array]:
    for modulus in MODULI:
        acc = words("acc", N, modulus)
        _kernels.add(acc, words("added", N, modulus), modulus)
        yield acc


@_check("vectors", "1131ff0fac5056ab7ef0f477e08472ed")
def subtract() -> Iterator[Array]:
    for modulus in MODULI:
        acc = words("acc", N, modulus)
        _kernels.subtract(acc, words("added", N, modulus), modulus)
        yield acc


@_check("vectors", "4c4e7c7afc216dacf2870399deeca8dd")
def add_signed() -> Iterator[Array]:
    for modulus in MODULI:
        acc = words("acc", N, modulus)
        _kernels.add_signed(acc, signed(), modulus)
        yield acc


@_check("vectors", "97a97439e773b3cf129941d38cc08271")
def add_signed_wide() -> Iterator[Array]:
    acc = elements(128, "acc", N)
    _kernels.add_signed_wide(acc, signed(), P[128])
    yield acc


@_check("vectors", "ba5c226e0da665d6c6fa00a23c8ecab6")
def reduce() -> Iterator[Array]:
    for modulus in MODULI:
        acc = words("any", N, 1 << (32 if modulus <= 1 << 32 else 64)).astype(words("", 0, modulus).dtype)
        _kernels.reduce(acc, modulus)
        yield acc


@_check("rounding", "9faf908051d7095aec5d0d910e6a7219")
def quantize() -> Iterator[Array]:
    for drawn in (octets("drawn", 4 * N), None):
        out = np.empty(N, uint64)
        _kernels.quantize(out, numbers(), drawn, 1.7, 32767.0 * 50, 32767 * 50)
        yield out


@_check("rounding", "97bd63098653788c148abc9b0ae1aecf")
def round_at_random() -> Iterator[Array]:
    out = np.empty(N, int64)
    _kernels.round_at_random(out, 1000 * numbers(), octets("drawn", 4 * N))
    yield out


@_check("shamir", "a0454a24dd4bc418448ca19320519ea3")
def scalars_check() -> Iterator[Array]:
    for value in (0, Q - 1, Q, 2**256 - 1):
        rows = np.concatenate([scalars("secrets", 3), np.frombuffer(value.to_bytes(32, "big"), uint8)[None]])
        yield np.array(_kernels.scalars_check(rows))


@_check("shamir", "26c8165aa8ccc1b009e72af4bacb63ef")
def shamir_share() -> Iterator[Array]:
    shares = np.empty((5, 2, 32), uint8)
    xs = np.array(integers("xs", 5, 2**32), uint32)
    _kernels.shamir_share(shares, scalars("secrets", 2), scalars("coefficients", 2, 3), xs)
    yield shares


@_check("shamir", "e651fd200bf5f04aff53aa59850a54c5")
def shamir_lagrange() -> Iterator[Array]:
    coefficients = np.empty((5, 32), uint8)
    _kernels.shamir_lagrange(coefficients, np.array(integers("xs", 5, 2**32), uint32))
    yield coefficients


@_check("shamir", "436c8ac2064b1e6a8199265c1f181152")
def shamir_combine() -> Iterator[Array]:
    secrets = np.empty((2, 32), uint8)
    _kernels.shamir_combine(secrets, scalars("weights", 5), scalars("shares", 5, 2))
    yield secrets


@_check("shamir", "bd23cd00a89fd32953a385db5336a140")
def shamir_reconstruct() -> Iterator[Array]:
    secrets = np.empty((9, 32), uint8)
    xs = np.array(integers("xs", 45, 2**32), uint32).reshape(9, 5)
    _kernels.shamir_reconstruct(secrets, xs, scalars("shares", 9, 5))
    yield secrets


@_check("noise", "157754185288d51d36cb18beb10bff64")
def random_words() -> Iterator[Array]:
    out = np.empty(N, uint64)
    _kernels.random_words(out, _kernels.Random(seed=octets("seed", 16)))
    yield out


@_check("noise", "d63e1f192b5df6b4c00677f4aaa9efd6")
def noise_laplace() -> Iterator[Array]:
    out = np.empty(40, int64)
    _kernels.noise_laplace(out, 31, 3, random("laplace"))
    yield out


@_check("noise", "6a0930f046461a4e25d8a77aa5e8b972")
def noise_gaussian() -> Iterator[Array]:
    out = np.empty(40, int64)
    _kernels.noise_gaussian(out, 400, 3, random("gaussian"))
    yield out


@_check("noise", "cfeeb29b6c568a2a9248112fe7dd6c58")
def noise_scan() -> Iterator[Array]:
    out = np.empty(40, int64)
    _kernels.noise_scan(out, np.array(THRESHOLDS, uint64), random("scan"))
    yield out


@_check("noise", "bf57a1c8a7c2734055649672c45a50a9")
def noise_convolution() -> Iterator[Array]:
    out, counts = np.empty(43, int64), np.array([3, 1], uint64)
    _kernels.noise_convolution(out, np.array(THRESHOLDS, uint64), counts, 5, random("convolution"))
    yield out


@_check("noise", "7e2c71ec4ef696312e7cef96bfb0ef3c")
def noise_search() -> Iterator[Array]:
    out = np.zeros(40, int64)
    yield np.array(_kernels.noise_search(out, np.array(THRESHOLDS, uint64), random("scan")), int64)
    yield out


@_check("noise", "4ac41f8afe1720f6968d6032fd585634")
def noise_bitwise() -> Iterator[Array]:
    out = np.empty(40, int64)
    _kernels.noise_bitwise(out, np.array(THRESHOLDS, uint64), random("bitwise"))
    yield out


def _of_two(kernel: Callable[..., None]) -> Iterator[Array]:
    for field in P:
        out = _field_zeros(field, 3, N)
        kernel(field, out, elements(field, "a", 3, N), elements(field, "b", 3, N))
        yield out


@_check("fields", "58494e82b4d507e2854911418761d3e7")
def field_add() -> Iterator[Array]:
    return _of_two(_vdaf.add)


@_check("fields", "2af3607fd52a5f2bcd7523486a432209")
def field_subtract() -> Iterator[Array]:
    return _of_two(_vdaf.subtract)


@_check("fields", "b84baecca587388c0ad2b66c68e949d0")
def field_multiply() -> Iterator[Array]:
    return _of_two(_vdaf.multiply)


@_check("fields", "5a2aec1266df5b7b66343c7dc10304e8")
def field_check() -> Iterator[Array]:
    for field in P:
        rows, ok = elements(field, "a", 3, N), np.ones(3, uint8)
        rows[1, N // 2] = 2**64 - 1
        _vdaf.check(field, ok, rows)
        yield ok


@_check("fields", "481a435aaa3e8aed5f686c17a105d7bb")
def field_accumulate() -> Iterator[Array]:
    for field in P:
        acc = elements(field, "b", N)
        _vdaf.accumulate(field, acc, elements(field, "a", 3, N), np.array([1, 0, 1], uint8))
        yield acc


@_check("fields", "2d599986b7b101e958b3d55be199d784")
def field_dot() -> Iterator[Array]:
    for field in P:
        out = _field_zeros(field, 3, 5)
        _vdaf.dot(field, out, elements(field, "a", 3, 35), elements(field, "b", 3, 7))
        yield out


@_check("fields", "df7ce9701b4ad9a5df71184c4f2fb803")
def field_sums() -> Iterator[Array]:
    for field in P:
        out = _field_zeros(field, 3, 1)
        _vdaf.sums(field, out, elements(field, "a", 3, N))
        yield out


@_check("fields", "54e994e479296cfdbcb5b261c1a30c7b")
def field_ntt() -> Iterator[Array]:
    for field in P:
        for set_s in (False, True):
            out = _field_zeros(field, 3, 32)
            _vdaf.ntt(field, out, elements(field, "a", 3, 32), set_s)
            yield out


@_check("fields", "9e1a44440b5b06ae514dbcf1499be7ae")
def field_inv_ntt() -> Iterator[Array]:
    for field in P:
        out = _field_zeros(field, 3, 32)
        _vdaf.inv_ntt(field, out, elements(field, "a", 3, 32))
        yield out


@_check("fields", "5270e3a70fb964c575a4593dc526a2b4")
def field_lagrange() -> Iterator[Array]:
    for field in P:
        out = _field_zeros(field, 3, 16)
        _vdaf.lagrange(field, out, elements(field, "t", 3, 1))
        yield out


@_check("fields", "2da8d2d7dbb0eaf133b727301e0311e9")
def field_encode_one_hot() -> Iterator[Array]:
    for field in P:
        out = _field_zeros(field, 3, 9)
        _vdaf.encode_one_hot(field, out, np.array([0, 8, 3], uint64))
        yield out


@_check("fields", "0abf607c7c137fa9730a80240fe9f39c")
def field_encode_range_checked_int() -> Iterator[Array]:
    for field in P:
        values = _field_zeros(field, 1, 3)
        values.reshape(3, -1)[:, 0] = (0, 500, 1000)
        out = _field_zeros(field, 1, 30)
        _vdaf.encode_range_checked_int(field, out, values, 1000)
        yield out


@_check("fields", "fe571feeb033790929c350f666b50633")
def field_mul_prove() -> Iterator[Array]:
    for field in P:
        proof, meas, seeds = (
            _field_zeros(field, 3, 13),
            elements(field, "meas", 3, MEAS_LEN),
            elements(field, "r", 3, 6),
        )
        joint, offset = elements(field, "joint", 3, 3), elements(field, "offset", 1)
        _vdaf.mul_prove(field, proof, meas, seeds, joint, offset, CHUNK)
        yield proof


@_check("fields", "4955890f34125455496390103e953aa3")
def field_mul_query() -> Iterator[Array]:
    for field in P:
        verifier, outputs, ok = _field_zeros(field, 3, 7), _field_zeros(field, 3, 3), np.ones(3, uint8)
        inputs = (elements(field, "meas", 3, MEAS_LEN), elements(field, "proof", 3, 13), elements(field, "t", 3, 1))
        joint, offset = elements(field, "joint", 3, 3), elements(field, "offset", 1)
        _vdaf.mul_query(field, verifier, outputs, ok, *inputs, joint, offset, CHUNK)
        yield from (verifier, outputs, ok)


@_check("fields", "917140cbddb025737b7411f40c01f2e8")
def field_mul_decide() -> Iterator[Array]:
    for field in P:
        verifier, ok = elements(field, "a", 3, 4), np.ones(3, uint8)
        verifier[0] = verifier[2] = 0
        verifier[2, 3] = 1
        _vdaf.mul_decide(field, ok, verifier)
        yield ok


@_check("fields", "e6f80bec16fdcd0b9ff599e3f6d78124")
def field_poly_prove() -> Iterator[Array]:
    for field in P:
        proof, meas = _field_zeros(field, 3, 23), elements(field, "meas", 3, MEAS_LEN)
        _vdaf.poly_prove(field, proof, meas, elements(field, "r", 3, 1), polynomial(field))
        yield proof


@_check("fields", "2be008040e02ebd6a6e6ce4c9d30dd72")
def field_poly_query() -> Iterator[Array]:
    for field in P:
        verifier, outputs, ok = _field_zeros(field, 3, 2), _field_zeros(field, 3, MEAS_LEN), np.ones(3, uint8)
        inputs = (elements(field, "meas", 3, MEAS_LEN), elements(field, "proof", 3, 23), elements(field, "t", 3, 1))
        _vdaf.poly_query(field, verifier, outputs, ok, *inputs, polynomial(field))
        yield from (verifier, outputs, ok)


@_check("fields", "917140cbddb025737b7411f40c01f2e8")
def field_poly_decide() -> Iterator[Array]:
    for field in P:
        verifier, ok = _field_zeros(field, 3, 3), np.ones(3, uint8)
        verifier[0, 1:] = polynomial(field)[3], polynomial(field)[2] + polynomial(field)[1] + polynomial(field)[3]
        verifier[1, 2], verifier[2, 0] = polynomial(field)[3], polynomial(field)[3]
        _vdaf.poly_decide(field, ok, verifier, polynomial(field))
        yield ok
