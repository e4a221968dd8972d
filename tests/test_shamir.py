"""Shamir sharing against galois, a plain-Python twin, and known answers."""

import json
import operator
import os
from collections.abc import Callable, Iterator
from typing import Any

import galois
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import uint8, uint32
from numpy.typing import NDArray

from secagg import _kernels, shamir
from secagg.shamir import Q

from .support.folders import VECTORS

LARGEST_X = 2**32 - 1
KNOWN_ANSWERS = json.loads((VECTORS / "shamir.json").read_text())["cases"]


@pytest.fixture(params=_kernels.isa_with("shamir"), autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Only those that have a kernel of their own."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    yield request.param
    _kernels.isa_use(before)


scalars = st.one_of(st.sampled_from([0, 1, 2, Q - 2, Q - 1]), st.integers(0, Q - 1))
coordinates = st.one_of(st.integers(1, 40), st.integers(1, LARGEST_X), st.sampled_from([LARGEST_X, 2**31, 2**31 - 1]))


# The twin.
def twin_share(secret: int, coefficients: list[int], xs: list[int]) -> list[int]:
    return [sum(c * x**k for k, c in enumerate([secret, *coefficients])) % Q for x in xs]


def twin_lagrange(xs: list[int]) -> list[int]:
    result = []
    for x in xs:
        others = [other for other in xs if other != x]
        denominator = np.prod([other - x for other in others], dtype=object) % Q
        result.append(int(np.prod(others, dtype=object) * pow(int(denominator), -1, Q)) % Q)
    return result


def to_bytes(values: Any) -> NDArray[uint8]:
    """Nested lists of integers (or of hex strings) to uint8[..., 32]."""
    integers = np.array(values, dtype=object)
    encoded = [bytes.fromhex(v) if isinstance(v, str) else int(v).to_bytes(32, "big") for v in integers.ravel()]
    return np.frombuffer(b"".join(encoded), uint8).reshape(*integers.shape, 32).copy()


def to_integers(scalars: NDArray[uint8]) -> list[int]:
    return [int.from_bytes(row.tobytes(), "big") for row in scalars.reshape(-1, 32)]


def to_xs(values: list[int]) -> NDArray[uint32]:
    return np.array(values, uint32)


def replay(chunks: list[bytes]) -> Callable[[int], bytes]:
    """A source of randomness that returns these bytes, which must have the lengths asked for."""
    left = iter(chunks)

    def rand(k: int) -> bytes:
        chunk = next(left)
        assert len(chunk) == k
        return chunk

    return rand


# Sharing.


@pytest.mark.parametrize("case", KNOWN_ANSWERS, ids=lambda case: case["name"])
def test_known_answers(case: dict[str, Any]) -> None:
    secrets, xs, t = to_bytes(case["secrets"]), to_xs(case["xs"]), case["t"]
    coefficients = to_bytes(case["coefficients"])
    shares = shamir.share(secrets, t, xs, rand=replay([coefficients.tobytes()]))
    assert np.array_equal(shares, to_bytes(case["shares"]))
    assert np.array_equal(shamir.lagrange(xs), to_bytes(case["lagrange"]))
    assert np.array_equal(shamir.reconstruct(shares, xs), secrets)
    assert np.array_equal(shamir.reconstruct(shares[-t:], xs[-t:]), secrets)


@settings(deadline=None)
@given(
    st.lists(st.lists(scalars, min_size=12, max_size=12), min_size=1, max_size=3),
    st.integers(1, 12),
    st.lists(coordinates, min_size=1, max_size=8, unique=True),
)
def test_share_agrees_with_the_twin(polynomials: list[list[int]], t: int, xs: list[int]) -> None:
    shares = np.zeros((len(xs), len(polynomials), 32), uint8)
    terms = to_bytes(polynomials)[:, :t]
    _kernels.shamir_share(shares, terms[:, 0].copy(), terms[:, 1:].copy(), to_xs(xs))
    expected = np.array([twin_share(p[0], p[1:t], xs) for p in polynomials], dtype=object).T
    assert np.array_equal(shares, to_bytes(expected))


@pytest.mark.parametrize("first_x", [1, 2, 3, 5, 8, 1000, 2**16, 2**20, 2**21, 2**31, LARGEST_X - 4])
@pytest.mark.parametrize("value", [0, 1, Q - 1])
def test_long_polynomials_of_extreme_coefficients(first_x: int, value: int) -> None:
    xs = list(range(first_x, first_x + 5))
    shares = np.zeros((5, 1, 32), uint8)
    _kernels.shamir_share(shares, to_bytes([value]), to_bytes([[value] * 300]), to_xs(xs))
    assert to_integers(shares) == twin_share(value, [value] * 300, xs)


@settings(deadline=None)
@given(st.lists(coordinates, min_size=1, max_size=30, unique=True))
def test_lagrange_agrees_with_the_twin(xs: list[int]) -> None:
    assert to_integers(shamir.lagrange(to_xs(xs))) == twin_lagrange(xs)


def test_agrees_with_galois() -> None:
    field = galois.GF(Q, primitive_element=7, verify=False)
    xs, t = to_xs([3, 1, LARGEST_X, 65_537, 12, 11]), 4
    drawn = os.urandom(32 * (t - 1))
    secret = shamir.random_scalars(1)
    shares = shamir.share(secret, t, xs, rand=lambda k: drawn[:k])
    ascending = [to_integers(secret)[0], *(c % Q for c in to_integers(np.frombuffer(drawn, uint8)))]
    polynomial = galois.Poly([field(c) for c in ascending[::-1]], field=field)
    assert to_integers(shares) == [int(polynomial(field(int(x)))) for x in xs]
    points = field([int(x) for x in xs[:t]]), field(to_integers(shares[:t]))
    assert int(galois.lagrange_poly(*points)(field(0))) == to_integers(shamir.reconstruct(shares[:t], xs[:t]))[0]


# Reconstruction.


@settings(deadline=None)
@given(st.data())
def test_any_t_shares_reconstruct(data: st.DataObject) -> None:
    secrets = data.draw(st.lists(scalars, min_size=1, max_size=4))
    xs = data.draw(st.lists(coordinates, min_size=1, max_size=12, unique=True))
    t = data.draw(st.integers(1, len(xs)))
    chosen = data.draw(st.permutations(range(len(xs))))[: data.draw(st.integers(t, len(xs)))]
    shares = shamir.share(to_bytes(secrets), t, to_xs(xs))
    assert to_integers(shamir.reconstruct(shares[chosen], to_xs(xs)[chosen])) == secrets


@pytest.mark.parametrize("t", [2, 3, 10])
def test_fewer_than_t_shares_reconstruct_something_else(t: int) -> None:
    secrets, xs = shamir.random_scalars(5), np.arange(1, t + 3, dtype=uint32)
    shares = shamir.share(secrets, t, xs)
    assert not (shamir.reconstruct(shares[: t - 1], xs[: t - 1]) == secrets).all(axis=1).any()


def test_t_minus_1_shares_fit_every_secret() -> None:
    xs, t, secret = to_xs([4, 9, 2, 5]), 4, 1234
    shares = shamir.share(to_bytes([secret]), t, xs)
    last_weight = twin_lagrange([4, 9, 2, 5])[3]
    for other in (0, 77, Q - 1):
        shift = (other - secret) * pow(last_weight, -1, Q)
        shares_of_other = shares.copy()
        shares_of_other[3] = to_bytes([(to_integers(shares[3])[0] + shift) % Q])
        assert to_integers(shamir.reconstruct(shares_of_other, xs)) == [other]


@pytest.mark.parametrize("position", range(5))
def test_one_changed_share_changes_only_its_secret(position: int) -> None:
    secrets, xs = shamir.random_scalars(3), np.arange(1, 6, dtype=uint32)
    shares = shamir.share(secrets, 5, xs)
    shares[position, 1, 31] ^= 1
    changed = (shamir.reconstruct(shares, xs) != secrets).any(axis=1)
    assert changed.tolist() == [False, True, False]


@settings(deadline=None)
@given(scalars, scalars)
def test_sum_of_shares_reconstructs_the_sum(a: int, b: int) -> None:
    xs = to_xs([1, 2, 3, 4])
    shares_of_a, shares_of_b = (to_integers(shamir.share(to_bytes([s]), 3, xs)) for s in (a, b))
    total = to_bytes([[(x + y) % Q] for x, y in zip(shares_of_a, shares_of_b, strict=True)])
    assert to_integers(shamir.reconstruct(total[1:], xs[1:])) == [(a + b) % Q]


@pytest.mark.parametrize("s", [1, 31, 32, 33, 65])
@pytest.mark.parametrize("t", [1, 2, 4095, 4096, 4097, 8200])
def test_combine_at_block_and_chunk_edges(s: int, t: int) -> None:
    coefficients, row = shamir.random_scalars(t), shamir.random_scalars(s)
    shares = np.broadcast_to(row, (t, s, 32)).copy()
    secrets = np.zeros((s, 32), uint8)
    _kernels.shamir_combine(secrets, coefficients, shares)
    weight = sum(to_integers(coefficients))
    assert to_integers(secrets) == [weight * share % Q for share in to_integers(row)]


@pytest.mark.parametrize("s", range(1, 18))
@pytest.mark.parametrize("t", [1, 7, 8, 9, 127, 128, 129, 255, 256, 257])
def test_combine_at_edges_of_lanes_and_sums(s: int, t: int) -> None:
    coefficients, shares = shamir.random_scalars(t), shamir.random_scalars(t * s).reshape(t, s, 32)
    coefficients[t // 2 :: 3], shares[t // 3 :: 2, s // 2 :] = to_bytes([Q - 1]), to_bytes([Q - 1])
    secrets = np.zeros((s, 32), uint8)
    _kernels.shamir_combine(secrets, coefficients, shares)
    weights = to_integers(coefficients)
    columns = [to_integers(shares[:, j].copy()) for j in range(s)]
    assert to_integers(secrets) == [sum(map(operator.mul, weights, column)) % Q for column in columns]


@pytest.mark.parametrize("t", [1, 4096, 5000])
def test_combine_takes_any_bytes(t: int) -> None:
    ones = np.full((t, 2, 32), 0xFF, uint8)
    secrets = np.zeros((2, 32), uint8)
    _kernels.shamir_combine(secrets, np.full((t, 32), 0xFF, uint8), ones)
    assert to_integers(secrets) == [t * (2**256 - 1) ** 2 % Q] * 2


@pytest.mark.parametrize("x", [1, 1000, LARGEST_X])
def test_share_takes_any_bytes(x: int) -> None:
    shares = np.zeros((1, 1, 32), uint8)
    _kernels.shamir_share(shares, np.full((1, 32), 0xFF, uint8), np.full((1, 40, 32), 0xFF, uint8), to_xs([x]))
    assert to_integers(shares) == twin_share(2**256 - 1, [2**256 - 1] * 40, [x])


# Reconstruction, each secret from x-coordinates of its own.

# Numbers whose limbs, of 52 or 64 bits, are 0 or all ones, or carry.
EXTREMES = sorted(
    {0, 1, 2, Q - 2, Q - 1}
    | {2**k + more for k in (51, 52, 64, 104, 128, 156, 192, 208, 224, 255) for more in (-1, 0, 1)}
    | {Q - 2**k for k in (52, 64, 104, 128, 156, 192, 208, 224)}
)
extremes = st.one_of(st.sampled_from(EXTREMES), st.integers(0, Q - 1))


def twin_reconstruct(xs: list[int], shares: list[int]) -> int:
    return sum(weight * share for weight, share in zip(twin_lagrange(xs), shares, strict=True)) % Q


def reconstruct_each(xs: Any, shares: NDArray[uint8]) -> list[int]:
    secrets = np.zeros((len(shares), 32), uint8)
    _kernels.shamir_reconstruct(secrets, np.array(xs, uint32), shares)
    return to_integers(secrets)


@settings(deadline=None)
@given(st.data())
def test_reconstruct_agrees_with_the_twin(data: st.DataObject) -> None:
    t, s = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 18))
    xs = data.draw(st.lists(st.lists(coordinates, min_size=t, max_size=t, unique=True), min_size=s, max_size=s))
    shares = data.draw(st.lists(st.lists(extremes, min_size=t, max_size=t), min_size=s, max_size=s))
    assert reconstruct_each(xs, to_bytes(shares)) == list(map(twin_reconstruct, xs, shares))


@pytest.mark.parametrize("bits", [1, 2, 3, 6, 7, 10, 12, 13, 17, 18, 25, 26, 31, 32])
def test_reconstruct_from_x_of_every_size(bits: int) -> None:
    """As many factors as fit in a word are multiplied first; of the largest distances, both signs."""
    low, high = range(1, 2 ** min(bits - 1, 4)), range(2**bits - min(2 ** (bits - 1), 16), 2**bits)
    xs = sorted({*low, *high} - {0})
    rows = [xs, xs[::-1], xs[::2] + xs[1::2]]
    shares = [[EXTREMES[(7 * i + j) % len(EXTREMES)] for j in range(len(xs))] for i in range(len(rows))]
    assert reconstruct_each(rows, to_bytes(shares)) == list(map(twin_reconstruct, rows, shares))


@pytest.mark.parametrize("s", [1, 7, 8, 9, 127, 128, 129, 300])
@pytest.mark.parametrize("t", [1, 2, 70, 71])
def test_reconstruct_at_edges_of_lanes_and_batches(s: int, t: int) -> None:
    rng = np.random.default_rng(s)
    xs = np.array([1 + rng.permutation(10_000)[:t] for _ in range(s)], uint32)
    secrets, shares = shamir.random_scalars(s), np.zeros((s, t, 32), uint8)
    for j in range(s):
        shares[j] = shamir.share(secrets[j : j + 1], t, xs[j])[:, 0]
    assert reconstruct_each(xs, shares) == to_integers(secrets)


@pytest.mark.parametrize("t", [1, 2, 33])
def test_reconstruct_takes_any_bytes(t: int) -> None:
    xs = [LARGEST_X - 2 * i for i in range(t)]
    shares = np.full((3, t, 32), 0xFF, uint8)
    assert reconstruct_each([xs] * 3, shares) == [(2**256 - 1) % Q] * 3


@pytest.mark.parametrize("row", [[0, 4, 5], [4, 5, 4], [LARGEST_X, 1, LARGEST_X], [0, 0, 1]])
@pytest.mark.parametrize("at", [0, 8, 127, 128, 199])
def test_the_kernel_refuses_a_zero_or_a_duplicate_in_any_row(row: list[int], at: int) -> None:
    xs = np.tile(np.array([1, 2, 3], uint32), (200, 1))
    shares, secrets = np.ones((200, 3, 32), uint8), np.full((200, 32), 7, uint8)
    _kernels.shamir_reconstruct(secrets, xs, shares)
    secrets[:], xs[at] = 7, row
    with pytest.raises(ValueError, match="refused by the kernel"):
        _kernels.shamir_reconstruct(secrets, xs, shares)
    assert (secrets[at // 128 * 128 :] == 7).all()


@pytest.mark.parametrize(
    "xs", [np.arange(1, 1001), np.arange(LARGEST_X - 999, LARGEST_X + 1), 2**22 * np.arange(1, 1001)]
)
def test_a_thousand_users(xs: NDArray[np.int64]) -> None:
    secrets, ids = shamir.random_scalars(40), xs.astype(uint32)
    shares = shamir.share(secrets, 667, ids)
    survivors = np.random.default_rng(1).permutation(1000)[:667]
    assert np.array_equal(shamir.reconstruct(shares[survivors], ids[survivors]), secrets)


def test_no_secrets_is_no_error() -> None:
    xs = to_xs([1, 2, 3])
    shares = shamir.share(np.zeros((0, 32), uint8), 2, xs)
    assert shares.shape == (3, 0, 32)
    assert shamir.reconstruct(shares, xs).shape == (0, 32)


@pytest.mark.parametrize("s", [1, 40])
def test_each_secret_has_holders_of_its_own(s: int) -> None:
    rng, secrets = np.random.default_rng(s), shamir.random_scalars(s)
    xs = np.array([1 + rng.permutation(300)[:20] for _ in range(s)], uint32)
    shares = np.stack([shamir.share(secrets[j : j + 1], 12, xs[j])[:, 0] for j in range(s)])
    few, some = np.ascontiguousarray(xs[:, 5:17]), np.ascontiguousarray(shares[:, 5:17])
    assert np.array_equal(shamir.reconstruct_each(some, few, 12), secrets)
    for j in range(s):
        assert np.array_equal(shamir.reconstruct(some[j][:, np.newaxis].copy(), few[j])[0], secrets[j])


def test_no_secrets_are_reconstructed() -> None:
    assert shamir.reconstruct_each(np.zeros((0, 4, 32), uint8), np.zeros((0, 4), uint32), 4).shape == (0, 32)


@pytest.mark.parametrize(
    ("xs", "message"),
    [
        ([[1, 2], [3, 0]], "must not be 0"),
        ([[1, 2], [3, 3]], "must be distinct"),
        ([1, 2], r"xs must be uint32\[2, 2\], got uint32\[2\]"),
        ([[1, 2, 3], [1, 2, 4]], r"xs must be uint32\[2, 2\], got uint32\[2, 3\]"),
    ],
)
def test_bad_rows_of_coordinates_are_refused(xs: list[Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        shamir.reconstruct_each(np.ones((2, 2, 32), uint8), np.array(xs, uint32), 2)


def test_the_same_holder_twice_is_refused_wherever_it_stands() -> None:
    with pytest.raises(ValueError, match="must be distinct"):
        shamir.reconstruct_each(np.ones((2, 3, 32), uint8), to_xs([5, 1, 5, 1, 2, 3]).reshape(2, 3), 3)


@pytest.mark.parametrize("t", [0, -1])
def test_no_shares_of_each_are_refused(t: int) -> None:
    with pytest.raises(ValueError, match=f"threshold t must be at least 1, got {t}"):
        shamir.reconstruct_each(np.ones((2, 0, 32), uint8), np.ones((2, 0), uint32), t)


def test_each_share_is_below_q() -> None:
    with pytest.raises(ValueError, match="shares must be below q"):
        shamir.reconstruct_each(to_bytes([[1, Q], [1, 1]]), np.array([[1, 2], [1, 2]], uint32), 2)


# Randomness.


def test_random_scalars_redraws_only_what_is_not_below_q() -> None:
    first = to_bytes([5, Q, 6, 2**256 - 1, Q - 1])
    second, third = to_bytes([Q + 1, 7]), to_bytes([8])
    drawn = shamir.random_scalars(5, replay([first.tobytes(), second.tobytes(), third.tobytes()]))
    assert to_integers(drawn) == [5, 8, 6, 7, Q - 1]


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(-2, 2))
def test_random_scalars_compares_every_word(word: int, difference: int) -> None:
    candidate = Q + difference * 2 ** (64 * word)
    drawn = shamir.random_scalars(1, replay([to_bytes([candidate]).tobytes(), to_bytes([1]).tobytes()]))
    assert to_integers(drawn) == [candidate if candidate < Q else 1]


def test_random_scalars_of_a_broken_source() -> None:
    with pytest.raises(ValueError, match="rand returned 31 bytes where 32 were asked for"):
        shamir.random_scalars(1, lambda k: bytes(k - 1))


def test_coefficients_are_fresh_for_every_secret_and_call() -> None:
    secrets, xs = to_bytes([9, 9]), to_xs([1, 2])
    shares = np.concatenate([shamir.share(secrets, 2, xs), shamir.share(secrets, 2, xs)], axis=1)
    assert len(set(to_integers(shares[0]))) == 4


def test_a_top_coefficient_of_0_is_kept() -> None:
    shares = shamir.share(to_bytes([3]), 2, to_xs([1, 2]), rand=bytes)
    assert to_integers(shares) == [3, 3]


# Refusals.

ONE = to_bytes([1])


@pytest.mark.parametrize("bad", [Q, Q + 1, 2**256 - 1, Q + 2**64, Q + 2**192])
def test_scalars_not_below_q_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="secrets must be below q"):
        shamir.share(to_bytes([1, bad]), 1, to_xs([1]))
    with pytest.raises(ValueError, match="shares must be below q"):
        shamir.reconstruct(to_bytes([[1], [bad]]), to_xs([1, 2]))


@pytest.mark.parametrize("good", [0, Q - 1, Q - 2**64, Q - 2**128, Q - 2**192])
def test_scalars_below_q_are_accepted(good: int) -> None:
    assert to_integers(shamir.reconstruct(to_bytes([[good]]), to_xs([1]))) == [good]


def test_errors_do_not_show_secrets() -> None:
    with pytest.raises(ValueError, match="secrets") as caught:
        shamir.share(to_bytes([2**256 - 1]), 1, to_xs([1]))
    assert "255" not in str(caught.value)
    assert "ff" not in str(caught.value)


@pytest.mark.parametrize("t", [-1, 0, 4])
def test_threshold_out_of_range_is_refused(t: int) -> None:
    with pytest.raises(ValueError, match=rf"threshold t must be 1 .. n = 3, got {t}"):
        shamir.share(ONE, t, to_xs([1, 2, 3]))


@pytest.mark.parametrize(
    ("xs", "message"),
    [
        (to_xs([1, 0]), "must not be 0"),
        (to_xs([1, 2, 1]), "must be distinct"),
        (to_xs([LARGEST_X, LARGEST_X]), "must be distinct"),
        (to_xs([]), "at least one"),
        (np.array([1, 2]), r"xs must be uint32\[n\], got int64\[2\]"),
        (to_xs([1, 2]).reshape(1, 2), r"xs must be uint32\[n\], got uint32\[1, 2\]"),
    ],
)
def test_bad_coordinates_are_refused(xs: NDArray[uint32], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        shamir.share(ONE, 1, xs)
    with pytest.raises((TypeError, ValueError), match=message):
        shamir.lagrange(xs)
    with pytest.raises((TypeError, ValueError), match=message):
        shamir.reconstruct(np.ones((2, 1, 32), uint8), xs)


@pytest.mark.parametrize("secrets", [np.zeros(32, uint8), np.zeros((1, 31), uint8), np.zeros((1, 32), np.int8)])
def test_bad_secret_arrays_are_refused(secrets: NDArray[uint8]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"secrets must be uint8\[s, 32\], got"):
        shamir.share(secrets, 1, to_xs([1]))


@pytest.mark.parametrize("shares", [np.zeros((2, 32), uint8), np.zeros((2, 1, 33), uint8), np.zeros((2, 1, 32))])
def test_bad_share_arrays_are_refused(shares: NDArray[uint8]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"shares must be uint8\[2, s, 32\], got"):
        shamir.reconstruct(shares, to_xs([1, 2]))


def test_one_row_of_shares_for_each_coordinate() -> None:
    with pytest.raises(ValueError, match=r"shares must be uint8\[2, s, 32\], got uint8\[3, 1, 32\]"):
        shamir.reconstruct(np.zeros((3, 1, 32), uint8), to_xs([1, 2]))


@pytest.mark.parametrize("xs", [[0], [3, 0], [5, 6, 5], [LARGEST_X, 1, LARGEST_X], [0, 0]])
def test_the_kernel_itself_refuses_zero_and_duplicates(xs: list[int]) -> None:
    coefficients = np.full((len(xs), 32), 7, uint8)
    with pytest.raises(ValueError, match="refused by the kernel"):
        _kernels.shamir_lagrange(coefficients, to_xs(xs))
    assert (coefficients == 7).all()


def test_the_kernel_itself_refuses_to_give_the_secret_away() -> None:
    shares = np.full((2, 1, 32), 7, uint8)
    with pytest.raises(ValueError, match="refused by the kernel"):
        _kernels.shamir_share(shares, ONE, np.zeros((1, 1, 32), uint8), to_xs([1, 0]))
    assert (shares == 7).all()


# The cache.


def test_lagrange_is_cached_and_read_only() -> None:
    first = shamir.lagrange(to_xs([10, 20, 30]))
    assert shamir.lagrange(to_xs([10, 20, 30])) is first
    assert shamir.lagrange(to_xs([20, 10, 30])) is not first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1
