"""KA, AE and the derivations against known answers that pycryptodome computed."""

import json
import os
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from secagg.codec import Octets
from secagg.primitives import (
    KeyPair,
    PublicKey,
    are_public_keys,
    load_public_keys,
    mask_seed,
    mask_seeds,
    seal,
    self_mask,
    share_key,
    share_keys,
    unseal,
)
from secagg.shamir import Q

from .support.folders import VECTORS

CASES = json.loads((VECTORS / "primitives.json").read_text())["cases"]
SESSION = bytes(range(32))
B_COEFFICIENT = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
P = 2**256 - 2**224 + 2**192 + 2**96 - 1


def encoded(x: int) -> bytes:
    return x.to_bytes(32, "big")


def on_curve(x: int) -> bool:
    """Euler's criterion for x^3 - 3x + b."""
    return pow(x**3 - 3 * x + B_COEFFICIENT, (P - 1) // 2, P) in (0, 1)


def octets(*xs: bytes) -> Octets:
    return np.frombuffer(b"".join(xs), np.uint8).reshape(-1, 32)


def point(x: bytes) -> PublicKey:
    loaded = load_public_keys(octets(x))[0]
    assert loaded is not None
    return loaded


NOT_ON_CURVE = next(encoded(x) for x in range(99) if not on_curve(x))


@pytest.fixture(params=CASES, ids=lambda case: f"{case['u']}-{case['v']}")
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {name: value if isinstance(value, int) else bytes.fromhex(value) for name, value in request.param.items()}


def test_key_agreement_known_answers(case: dict[str, Any]) -> None:
    pair = KeyPair.from_secret(case["sk_u"])
    assert pair.public == case["pk_u"]
    assert pair.agree(point(case["pk_v"])) == case["agreed"]


def test_derivations_known_answers(case: dict[str, Any]) -> None:
    assert share_key(case["agreed"], case["session"], case["u"], case["v"]) == case["share_key"]
    assert mask_seed(case["agreed"], case["session"], case["u"], case["v"]) == case["mask_seed"]
    mask = self_mask(case["b"], case["session"], case["u"])
    assert (mask.seed, mask.commitment) == (case["self_mask_seed"], case["commitment"])


def test_authenticated_encryption_known_answers(case: dict[str, Any]) -> None:
    assert seal(case["share_key"], case["plaintext"]) == case["ciphertext"]
    assert unseal(case["share_key"], case["ciphertext"]) == case["plaintext"]


def test_both_sides_agree() -> None:
    u, v = KeyPair.generate(os.urandom), KeyPair.generate(os.urandom)
    assert u.agree(point(v.public)) == v.agree(point(u.public))
    agreed = u.agree(point(v.public))
    assert mask_seed(agreed, SESSION, 1, 2) == mask_seed(agreed, SESSION, 2, 1)
    assert share_key(agreed, SESSION, 1, 2) != share_key(agreed, SESSION, 2, 1)


def test_mask_seeds_known_answers(isa: str, case: dict[str, Any]) -> None:
    users = np.array([[case["u"]], [case["v"]]], np.uint32)
    for us, vs in (users, users[::-1]):
        assert mask_seeds(octets(case["agreed"]), case["session"], us, vs).tobytes() == case["mask_seed"]


@pytest.mark.parametrize("k", [0, 1, 2, 33])
def test_mask_seeds_are_those_of_one_call_each(isa: str, k: int) -> None:
    """Users of every size of id, in both orders; keys that are a slice of something wider."""
    rng = np.random.default_rng(k)
    agreed = rng.integers(0, 256, (k, 65), np.uint8)[:, 1:33]
    us, vs = (rng.integers(0, 2**32, (2, k)) >> rng.integers(0, 32, (2, k))).astype(np.uint32)
    seeds = mask_seeds(agreed, SESSION, us, vs)
    assert seeds.shape == (k, 16)
    expected = [mask_seed(agreed[i].tobytes(), SESSION, int(us[i]), int(vs[i])) for i in range(k)]
    assert [seed.tobytes() for seed in seeds] == expected


def test_share_keys_known_answers(isa: str, case: dict[str, Any]) -> None:
    u, v = (np.array([case[name]], np.uint32) for name in "uv")
    assert share_keys(octets(case["agreed"]), case["session"], u, v).tobytes() == case["share_key"]


@pytest.mark.parametrize("k", [0, 1, 2, 33])
def test_share_keys_are_those_of_one_call_each(isa: str, k: int) -> None:
    """In both directions, which differ."""
    rng = np.random.default_rng(k)
    agreed = rng.integers(0, 256, (k, 65), np.uint8)[:, 1:33]
    us, vs = (rng.integers(0, 2**32, (2, k)) >> rng.integers(0, 32, (2, k))).astype(np.uint32)
    for senders, recipients in ((us, vs), (vs, us)):
        keys = share_keys(agreed, SESSION, senders, recipients)
        assert keys.shape == (k, 28)
        expected = [share_key(agreed[i].tobytes(), SESSION, int(senders[i]), int(recipients[i])) for i in range(k)]
        assert [key.tobytes() for key in keys] == expected


def test_every_derivation_has_a_domain_of_its_own() -> None:
    agreed, other = bytes(32), SESSION[::-1]
    derived = [
        share_key(agreed, SESSION, 1, 2)[:16],
        share_key(agreed, SESSION, 1, 3)[:16],
        share_key(agreed, other, 1, 2)[:16],
        mask_seed(agreed, SESSION, 1, 2),
        mask_seed(agreed, other, 1, 2),
        self_mask(agreed, SESSION, 1).seed,
        self_mask(agreed, SESSION, 2).seed,
        self_mask(agreed, other, 1).seed,
        self_mask(agreed, SESSION, 1).commitment[:16],
    ]
    assert len(set(derived)) == len(derived)


def test_lifted_points_are_those_of_openssl() -> None:
    """Random points, some with odd y to begin with, and those of the smallest x-coordinates, 0 among them."""
    random = [KeyPair.generate(os.urandom).public for _ in range(200)]
    small = [encoded(x) for x in range(20) if on_curve(x)]
    for x, lifted in zip([*random, *small], load_public_keys(octets(*random, *small)), strict=True):
        expected = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\2" + x)
        assert lifted == expected


# not on the curve; p itself, and p + 5, which is 5 mod p and on the curve; the largest
@pytest.mark.parametrize("x", [NOT_ON_CURVE, encoded(P), encoded(P + 5), b"\xff" * 32])
def test_what_is_no_x_coordinate_is_refused(x: bytes) -> None:
    good = KeyPair.generate(os.urandom).public
    points = load_public_keys(octets(good, x, good))
    assert [point is None for point in points] == [False, True, False]
    assert not are_public_keys(octets(good, x))
    assert are_public_keys(octets(good, good))


@given(st.binary(min_size=32, max_size=32))
def test_a_point_is_found_exactly_where_the_curve_has_one(x: bytes) -> None:
    assert are_public_keys(octets(x)) == (int.from_bytes(x, "big") < P and on_curve(int.from_bytes(x, "big")))


@pytest.mark.parametrize("secret", [0, Q, Q + 1])
def test_secrets_outside_the_group_are_refused(secret: int) -> None:
    with pytest.raises(ValueError, match="must be 1"):
        KeyPair.from_secret(secret.to_bytes(32, "big"))


def test_a_random_source_that_starts_with_zero_still_gives_a_key() -> None:
    chunks = iter([bytes(32), b"\7" * 32])
    assert KeyPair.generate(lambda size: next(chunks)).secret == b"\7" * 32


@given(st.binary(min_size=72, max_size=72), st.integers(0, 87), st.integers(1, 255))
def test_an_altered_ciphertext_does_not_open(plaintext: bytes, position: int, flip: int) -> None:
    key = bytes(range(28))
    ciphertext = bytearray(seal(key, plaintext))
    assert len(ciphertext) == 88
    assert unseal(key, bytes(ciphertext)) == plaintext
    ciphertext[position] ^= flip
    assert unseal(key, bytes(ciphertext)) is None


def test_key_pair_repr_shows_no_secret() -> None:
    pair = KeyPair.generate(os.urandom)
    assert pair.secret.hex() not in repr(pair)
    assert str(pair.secret) not in repr(pair)
