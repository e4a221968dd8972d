"""Batched agreement of live keys, one private key and many public ones: beside OpenSSL, pycryptodome and Wycheproof."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from Crypto.PublicKey import ECC
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import _kernels, primitives
from secagg.codec import Octets
from secagg.primitives import KeyPair, load_public_keys, which_are_public_keys
from secagg.shamir import Q

from .test_agreement import POINTS, P, octets, random_publics, random_secrets, wycheproof


@pytest.fixture(params=_kernels.isa_with("agreement"))
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Only those that have a kernel of their own."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    yield request.param
    _kernels.isa_use(before)


WINDOW, WINDOWS = 5, 51  # csrc/agreement/p256_kernel.h

# The smallest and the largest keys, those around q / 2, and those around powers of 2
EDGES = sorted(
    {
        *range(1, 65),
        *range(Q - 64, Q),
        (Q - 1) // 2,
        (Q + 1) // 2,
        *(2**i + more for i in range(1, 256) for more in (-1, 0, 1)),
    }
)


def windows() -> list[int]:
    """Every value of every window, with the bit above it that decides its sign, between zeros and between ones."""
    keys = []
    for at in range(0, WINDOW * WINDOWS, WINDOW):
        mask = (2 << WINDOW) - 1 << at
        for value in range(2 << WINDOW):
            keys += [value << at, (2**255 - 1) & ~mask | value << at]
    return sorted({key for key in keys if 0 < key < Q})


def exchanged(secret: int, publics: Octets) -> list[str]:
    """By the kernel alone."""
    agreed, made = np.zeros((len(publics), 32), np.uint8), np.zeros(len(publics), np.uint8)
    _kernels.p256_exchange(agreed, made, secret.to_bytes(32, "big"), publics)
    assert made.all()
    return [bytes(x).hex() for x in agreed]


def openssl(secret: int, publics: list[Any]) -> list[str]:
    pair = KeyPair.from_secret(secret.to_bytes(32, "big"))
    return [pair.agree(public).hex() for public in publics]


def check(secrets: list[int], publics: Octets) -> None:
    loaded = load_public_keys(publics)
    for secret in secrets:
        assert exchanged(secret, publics) == openssl(secret, loaded), hex(secret)


def test_edge_keys(isa: str) -> None:
    assert len(EDGES) > 800
    check(EDGES, random_publics(4))


def test_edge_keys_times_edge_points(isa: str) -> None:
    publics = octets(list(POINTS))
    check(EDGES[::40], publics[which_are_public_keys(publics)])


@pytest.mark.parametrize("part", range(4))
def test_every_value_of_every_window(isa: str, part: int) -> None:
    keys = windows()
    assert len(keys) > 6000
    check(keys[part::4], random_publics(2))


def test_random_keys(isa: str) -> None:
    """10,000 agreements."""
    publics = random_publics(100)
    check([int.from_bytes(bytes(secret), "big") for secret in random_secrets(100, 11)], publics)


@pytest.mark.nightly
def test_a_million_agreements_are_openssls(isa: str) -> None:
    """A million for each kernel."""
    for seed in range(10):
        publics = random_publics(500 + seed)
        check([int.from_bytes(bytes(secret), "big") for secret in random_secrets(200, seed)], publics)


def test_pycryptodome_agrees(isa: str) -> None:
    publics, secret = random_publics(9), 3**160
    points = [ECC.import_key(b"\2" + bytes(x), curve_name="P-256").pointQ for x in publics]
    assert exchanged(secret, publics) == [f"{int((point * secret).x):064x}" for point in points]


def test_wycheproof(isa: str) -> None:
    """All 330 valid cases, and the one that is acceptable, a compressed point; each among other points.

    Of the 24 that are invalid, the 19 whose x no point of the curve has are refused. 5 are skipped: one has no x at
    all, and of four only the y is wrong, which does not travel here.
    """
    cases, refused, skipped = 0, 0, 0
    others = random_publics(4)
    for case in wycheproof():
        publics = others.copy()
        publics[2] = octets([int(case["public"][2:66] or "0", 16)])
        if case["result"] != "invalid":
            pair = KeyPair.from_secret((int(case["private"], 16)).to_bytes(32, "big"))
            assert bytes(pair.agree_with(publics)[2]).hex() == case["shared"], case["tcId"]
            cases += 1
        elif case["public"] and not which_are_public_keys(publics)[2]:
            with pytest.raises(ValueError, match="not on the curve"):
                KeyPair.from_secret(b"\1" * 32).agree_with(publics)
            refused += 1
        else:
            skipped += 1
    assert (cases, refused, skipped) == (331, 19, 5)


def test_what_is_no_point_fails_alone(isa: str) -> None:
    publics, secret = random_publics(37), 7**80
    bad = {0: 1, 11: P, 12: P + 5, 36: 2**256 - 1}
    for row, x in bad.items():
        publics[row] = octets([x])
    agreed, made = np.zeros((37, 32), np.uint8), np.ones(37, np.uint8)
    _kernels.p256_exchange(agreed, made, secret.to_bytes(32, "big"), publics)
    assert np.flatnonzero(made == 0).tolist() == list(bad)
    good = made != 0
    assert [bytes(x).hex() for x in agreed[good]] == openssl(secret, load_public_keys(publics[good]))


def test_no_key_agrees_on_the_point_at_infinity(isa: str) -> None:
    for secret in (0, Q):
        agreed, made = np.zeros((9, 32), np.uint8), np.ones(9, np.uint8)
        _kernels.p256_exchange(agreed, made, secret.to_bytes(32, "big"), random_publics(9))
        assert not made.any()


@given(st.integers(1, Q - 1), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_a_pair_agrees_with_many_as_with_each(secret: int, k: int) -> None:
    pair, publics = KeyPair.from_secret(secret.to_bytes(32, "big")), random_publics(k)
    agreed = pair.agree_with(publics)
    assert agreed.shape == (k, 32)
    assert [bytes(x) for x in agreed] == [pair.agree(public) for public in load_public_keys(publics) if public]


def test_public_keys_may_be_a_slice_of_something_wider(isa: str) -> None:
    publics = np.zeros((9, 2, 32), np.uint8)
    publics[:, 0] = random_publics(9)
    pair = KeyPair.from_secret(b"\5" * 32)
    assert pair.agree_with(publics[:, 0]).tobytes() == pair.agree_with(publics[:, 0].copy()).tobytes()


@pytest.mark.parametrize("k", [1, 2, 3, 20])
def test_a_public_key_that_is_not_on_the_curve_is_refused(isa: str, k: int) -> None:
    publics = random_publics(k)
    publics[-1] = octets([1])
    with pytest.raises(ValueError, match="not on the curve"):
        KeyPair.from_secret(b"\5" * 32).agree_with(publics)


def test_openssl_agrees_where_the_kernel_has_no_answer(monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    """No addition meets what its formula does not cover; if one did, its lane would be refused."""
    publics, pair = random_publics(9), KeyPair.from_secret(b"\6" * 32)
    expected = pair.agree_with(publics).tobytes()
    kernel = _kernels.p256_exchange

    def fails_in_a_lane(agreed: Octets, made: Octets, *rest: Any) -> None:
        kernel(agreed, made, *rest)
        agreed[4], made[4] = 0, 0

    monkeypatch.setattr(primitives.LIVE, "_disagreements", 0)
    in_use = primitives.LIVE.in_use  # the known answer is asked of the whole kernel
    monkeypatch.setattr(_kernels, "p256_exchange", fails_in_a_lane)
    assert pair.agree_with(publics).tobytes() == expected
    assert primitives.LIVE.disagreements == in_use  # what it has no answer for, it computes wrongly
    assert not primitives.LIVE.in_use


def test_wrong_shapes_are_refused() -> None:
    agreed, made, publics = np.empty((4, 32), np.uint8), np.zeros(4, np.uint8), random_publics(4)
    for arguments in (
        (agreed[:3], made, b"\1" * 32, publics),
        (agreed, made[:3], b"\1" * 32, publics),
        (agreed, made, b"\1" * 31, publics),
        (agreed, made, b"\1" * 32, publics[:3]),
        (agreed, made, b"\1" * 32, np.zeros((4, 31), np.uint8)),
    ):
        with pytest.raises(ValueError, match=r"shapes|32 bytes"):
            _kernels.p256_exchange(*arguments)
