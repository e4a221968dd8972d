"""Mask expansion and accumulation, on every instruction set that this CPU has."""

import json
import random
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from Crypto.Cipher import AES
from Crypto.Util import Counter
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import _kernels, masking, vector

from .support.folders import ROOT, VECTORS

MASKS = json.loads((VECTORS / "masking.json").read_text())
MODULI = [3, 2**24 - 3, 2**32 - 5, 2**32 + 15, 2**55 - 55, 2**55 + 3, 2**63 + 9, 2**64 - 59]
TILE = 6912  # bytes of keystream that the kernels keep at a time
EDGES = [0, 1, 15, 16, 17, 191, 192, 193, 383, 384, 385, TILE - 1, TILE, TILE + 1]  # bytes, of blocks, groups and tiles

pytestmark = pytest.mark.usefixtures("isa")
every_isa = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def keystream(seed: bytes, nonce: bytes, start: int, length: int) -> bytes:
    first = (int.from_bytes(nonce, "big") << 32) + start // 16
    counter = Counter.new(128, initial_value=first % 2**128)
    return AES.new(seed, AES.MODE_CTR, counter=counter).encrypt(bytes(start % 16 + length))[start % 16 :]


def twin_expand(n: int, seed: bytes, modulus: int, nonce: bytes, offset: int) -> list[int]:
    power_of_two = modulus.bit_count() == 1
    width = (modulus.bit_length() - 1 + 7) // 8 if power_of_two else 16
    stream = keystream(seed, nonce, width * offset, width * n)
    words = [int.from_bytes(stream[i : i + width], "little") for i in range(0, width * n, width)]
    return [x % modulus if power_of_two else x * modulus >> 128 for x in words]


def twin_sum(acc: list[int], seeds: NDArray[np.uint8], signs: list[int], modulus: int, *where: Any) -> list[int]:
    for seed, sign in zip(seeds, signs, strict=True):
        mask = twin_expand(len(acc), seed.tobytes(), modulus, *where)
        acc = [(a + sign * m) % modulus for a, m in zip(acc, mask, strict=True)]
    return acc


def inputs(n: int, k: int, modulus: int) -> tuple[NDArray[Any], NDArray[np.uint8], list[int], bytes]:
    rng = random.Random(n << 32 | k << 16 | modulus % 65537)
    acc = np.array([rng.randrange(modulus) for _ in range(n)], vector.dtype(modulus))
    seeds = np.frombuffer(rng.randbytes(16 * k), np.uint8).reshape(k, 16)
    return acc, seeds, [rng.choice((1, -1)) for _ in range(k)], rng.randbytes(12)


def check_sum(n: int, k: int, modulus: int, offset: int = 0) -> None:
    acc, seeds, signs, nonce = inputs(n, k, modulus)
    expected = twin_sum(acc.tolist(), seeds, signs, modulus, nonce, offset)
    masking.mask_sum(acc, seeds, signs, modulus=modulus, nonce=nonce, offset=offset)
    assert acc.tolist() == expected


# --- The keystream ---

NIST_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
NIST_COUNTER = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
NIST_PLAIN = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
NIST_CIPHER = bytes.fromhex(
    "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
    "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
)


def test_nist_counter_mode_vectors() -> None:
    """SP 800-38A, F.5.1: its counter's upper 12 bytes are the nonce, its lower 4 the offset in blocks."""
    offset = 16 * int.from_bytes(NIST_COUNTER[12:], "big")
    stream = masking.expand(64, NIST_KEY, bits=8, nonce=NIST_COUNTER[:12], offset=offset)
    assert bytes(a ^ b for a, b in zip(NIST_PLAIN, stream.tolist(), strict=True)) == NIST_CIPHER


@pytest.mark.parametrize("bits", [1, 7, 8, 13, 16, 20, 24, 32, 33, 40, 48, 55, 56, 64])
@pytest.mark.parametrize("edge", EDGES)
def test_keystream_is_openssl_s(bits: int, edge: int) -> None:
    """Slices that start at an edge or an element later, and end at another."""
    seed, nonce, width = bytes(range(16)), bytes(range(50, 62)), (bits + 7) // 8
    lengths = {length // width + more for length in (*EDGES, 20000) for more in (0, 1)}
    encryptor = Cipher(algorithms.AES(seed), modes.CTR(nonce + bytes(4))).encryptor()
    octets = np.frombuffer(encryptor.update(bytes(width * (edge // width + 1 + max(lengths)))), np.uint8)
    words = np.zeros((octets.size // width, 8), np.uint8)
    words[:, :width] = octets.reshape(-1, width)
    elements = words.view("<u8")[:, 0] & np.uint64(2**bits - 1)
    for offset in (edge // width, edge // width + 1):
        for length in lengths:
            out = masking.expand(length, seed, bits=bits, nonce=nonce, offset=offset)
            assert np.array_equal(out, elements[offset : offset + length]), (offset, length)


@pytest.mark.parametrize("source", ["csrc/mask/mask.inc", "tests/c/test_mask.c"])
def test_tile_is_the_kernels_(source: str) -> None:
    """Or the lengths of the tests miss a tile's edges, here or in C."""
    assert re.findall(r"\bTILE(?: =)? (\d+)", (ROOT / source).read_text()) == [str(TILE)]


@pytest.mark.parametrize("nonce", [bytes(12), b"\xff" * 12, bytes(4) + b"\xff" * 8])
@pytest.mark.parametrize("block", [2**32 - 2, 2**32, 2**60 - 4])
def test_counter_is_128_bits(nonce: bytes, block: int) -> None:
    stream = masking.expand(64, bytes(16), bits=8, nonce=nonce, offset=16 * block)
    assert bytes(stream.tolist()) == keystream(bytes(16), nonce, 16 * block, 64)


# --- Known answers ---


@pytest.mark.parametrize("case", MASKS["expand"], ids=lambda case: f"{case['modulus']}-{case['offset']}")
def test_expand_known_answers(case: dict[str, Any]) -> None:
    seed, nonce = bytes.fromhex(case["seed"]), bytes.fromhex(case["nonce"])
    out = masking.expand(8, seed, modulus=case["modulus"], nonce=nonce, offset=case["offset"])
    assert out.dtype == vector.dtype(case["modulus"])
    assert out.tolist() == case["out"]


@pytest.mark.parametrize("case", MASKS["mask_sum"], ids=lambda case: str(case["modulus"]))
def test_mask_sum_known_answers(case: dict[str, Any]) -> None:
    modulus, nonce = case["modulus"], bytes.fromhex(case["nonce"])
    seeds = np.array([list(bytes.fromhex(seed)) for seed in case["seeds"]], np.uint8)
    acc = np.array([i % modulus for i in range(9)], vector.dtype(modulus))
    masking.mask_sum(acc, seeds, case["signs"], modulus=modulus, nonce=nonce, offset=case["offset"])
    assert acc.tolist() == case["acc"]


def test_selftest_passes() -> None:
    _kernels.selftest()


def test_selftest_has_these_answers() -> None:
    source = (ROOT / "csrc" / "selftest.c").read_text()
    table = source[source.index("answers[] = {") : source.index("SELFTEST_ELEMENTS")]
    assert re.findall(r"0x([0-9a-f]{16})\b", table) == [case["hash"] for case in MASKS["selftest"]]


# --- The twin ---


@every_isa
@given(
    modulus=st.one_of(st.integers(1, 64).map(lambda bits: 2**bits), st.sampled_from(MODULI), st.integers(2, 2**64)),
    n=st.integers(1, 700),
    k=st.integers(0, 4),
    offset=st.one_of(st.integers(0, 100), st.integers(0, 2**64 - 700), st.sampled_from([2**32 - 3, 2**36 - 9])),
)
def test_sum_is_the_twin_s(modulus: int, n: int, k: int, offset: int) -> None:
    check_sum(n, k, modulus, offset)


@pytest.mark.parametrize("bits", range(1, 65))
def test_every_bit_length(bits: int) -> None:
    check_sum(50, 3, 2**bits, offset=7)


@pytest.mark.parametrize("modulus", MODULI)
def test_other_moduli(modulus: int) -> None:
    check_sum(700, 3, modulus, offset=7)


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 40, 48, 56, 64])
@pytest.mark.parametrize("offset", [0, 1, 5])
def test_lengths_around_a_tile(bits: int, offset: int) -> None:
    tile = TILE // (bits // 8)
    for n in (tile - 2, tile - 1, tile, tile + 1, tile + 2, 2 * tile + 1):
        check_sum(n, 1, 2**bits, offset)


@pytest.mark.parametrize("n", [TILE // 16 - 1, TILE // 16, TILE // 16 + 1, TILE // 8 + 1])
def test_lengths_around_a_tile_of_residues(n: int) -> None:
    check_sum(n, 2, 2**24 - 3, offset=1)


@pytest.mark.parametrize("modulus", [2**8, 2**24, 2**32, 2**56, 2**64, 2**24 - 3, 2**55 - 55, 2**63 + 9])
@pytest.mark.parametrize("k", [31, 32, 33, 255, 256, 257, 513])
def test_numbers_of_seeds_around_a_chunk(modulus: int, k: int) -> None:
    check_sum(5, k, modulus)


@pytest.mark.parametrize("modulus", [2**24, 2**40, 2**24 - 3, 2**55 - 55])
def test_sums_of_one_seed_256_times(modulus: int) -> None:
    """Byte sums and lazy sums at their largest.  A byte of 0xFF in 256 equal streams sums to 255 * 256 < 2^16; so do
    those of 256 complements of 0x00."""
    seeds = np.full((256, 16), 7, np.uint8)
    mask = masking.expand(2000, bytes([7] * 16), modulus=modulus).tolist()
    for sign in (1, -1):
        acc = np.full(2000, modulus - 1, vector.dtype(modulus))
        masking.mask_sum(acc, seeds, [sign] * 256, modulus=modulus)
        assert acc.tolist() == [(modulus - 1 + 256 * sign * m) % modulus for m in mask]


# --- Slices, threads, the single-seed form ---


@pytest.mark.parametrize("modulus", [2**7, 2**16, 2**24, 2**32, 2**33, 2**48, 2**56, 2**64, 2**24 - 3])
def test_slices_make_the_whole(modulus: int) -> None:
    acc, seeds, signs, nonce = inputs(6000, 3, modulus)
    whole = acc.copy()
    masking.mask_sum(whole, seeds, signs, modulus=modulus, nonce=nonce, offset=11)
    cuts = [0, 1, 2, 17, 100, TILE // 3 - 1, TILE // 3 + 1, TILE // 3 * 2 + 1, 6000]
    for start, stop in pairwise(cuts):
        masking.mask_sum(acc[start:stop], seeds, signs, modulus=modulus, nonce=nonce, offset=11 + start)
    assert np.array_equal(acc, whole)


@pytest.mark.parametrize("n", [0, 1, 16, 33, 5000])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_agree_with_one(n: int, threads: int) -> None:
    acc, seeds, signs, nonce = inputs(n, 5, 2**20)
    one = acc.copy()
    masking.mask_sum(one, seeds, signs, bits=20, nonce=nonce, offset=3)
    masking.mask_sum(acc, seeds, signs, bits=20, nonce=nonce, offset=3, threads=threads)
    assert np.array_equal(acc, one)


def test_signs_cancel() -> None:
    acc, seeds, _, _ = inputs(1000, 40, 2**24)
    before = acc.copy()
    masking.mask_sum(acc, seeds, [1] * 40, bits=24)
    assert not np.array_equal(acc, before)
    masking.mask_sum(acc, seeds, [-1] * 40, bits=24)
    assert np.array_equal(acc, before)


def test_mask_add_is_the_single_seed_form() -> None:
    acc = np.zeros(100, np.uint32)
    masking.mask_add(acc, bytes(16), bits=20, offset=4)
    assert np.array_equal(acc, masking.expand(100, bytes(16), bits=20, offset=4))
    masking.mask_add(acc, bytes(16), -1, bits=20, offset=4)
    assert not acc.any()


def test_a_power_of_two_modulus_means_bits() -> None:
    assert np.array_equal(masking.expand(50, bytes(16), bits=21), masking.expand(50, bytes(16), modulus=2**21))


def test_arrays_of_other_types_are_converted() -> None:
    acc, seeds, signs, _ = inputs(50, 4, 2**24)
    same = acc.copy()
    masking.mask_sum(acc, seeds, np.array(signs, np.int8), bits=24)
    masking.mask_sum(same, seeds.astype(np.int64), np.array(signs, np.float64), bits=24)
    assert np.array_equal(acc, same)


def test_no_seeds_change_nothing() -> None:
    acc = np.arange(10, dtype=np.uint32)
    masking.mask_sum(acc, np.empty((0, 16), np.uint8), [], bits=24)
    assert np.array_equal(acc, np.arange(10))


# --- Refusals ---


@pytest.mark.parametrize("ring", [{}, {"bits": 8, "modulus": 256}])
def test_exactly_one_of_bits_and_modulus(ring: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="exactly one of bits and modulus"):
        masking.expand(4, bytes(16), **ring)
    with pytest.raises(TypeError, match="exactly one of bits and modulus"):
        masking.mask_add(np.zeros(4, np.uint32), bytes(16), **ring)


@pytest.mark.parametrize("ring", [{"bits": 0}, {"bits": 65}, {"modulus": 1}, {"modulus": 2**64 + 1}, {"modulus": -3}])
def test_modulus_out_of_range(ring: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(ring)) + " must be"):
        masking.expand(4, bytes(16), **ring)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acc": np.zeros(4, np.uint64)}, r"acc must be uint32\[n\], got uint64\[4\]"),
        ({"acc": np.zeros(4, np.int32)}, r"acc must be uint32\[n\], got int32\[4\]"),
        ({"acc": np.zeros((2, 2), np.uint32)}, r"acc must be uint32\[n\], got uint32\[2, 2\]"),
        ({"acc": np.zeros(8, np.uint32)[::2]}, "acc must be .* not C-contiguous"),
        ({"seeds": np.zeros((2, 15), np.uint8)}, r"seeds must be uint8\[k, 16\], got uint8\[2, 15\]"),
        ({"seeds": np.zeros(32, np.uint8)}, r"seeds must be uint8\[k, 16\], got uint8\[32\]"),
        ({"seeds": np.full((2, 16), 256)}, "seeds must fit uint8"),
        ({"signs": [1]}, r"signs must be int8\[2\], got int8\[1\]"),
        ({"signs": [1, 0]}, "signs must be 1 or -1"),
        ({"signs": [1, 257]}, "signs must fit int8"),
        ({"nonce": bytes(11)}, "nonce must be 12 bytes"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**64 - 3}, "offset"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_bad_argument_of_mask_sum(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "acc": np.zeros(4, np.uint32),
        "seeds": np.zeros((2, 16), np.uint8),
        "signs": [1, -1],
    } | change
    with pytest.raises((TypeError, ValueError), match=message):
        masking.mask_sum(arguments.pop("acc"), arguments.pop("seeds"), arguments.pop("signs"), bits=24, **arguments)


def test_read_only_accumulator() -> None:
    acc = np.zeros(4, np.uint32)
    acc.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        masking.mask_add(acc, bytes(16), bits=24)


def test_bad_argument_of_expand() -> None:
    with pytest.raises(ValueError, match="seed must be 16 bytes"):
        masking.expand(4, bytes(15), bits=8)
    with pytest.raises(ValueError, match="nonce must be 12 bytes"):
        masking.expand(4, bytes(16), bits=8, nonce=bytes(13))
    with pytest.raises(ValueError, match="n must not be negative"):
        masking.expand(-1, bytes(16), bits=8)


def test_unknown_instruction_set() -> None:
    before = _kernels.isa()
    with pytest.raises(ValueError, match="abacus"):
        _kernels.isa_use("abacus")
    assert _kernels.isa() == before


@pytest.mark.parametrize("sign", [0, 2, -3, 255, 257, 10**30])
def test_a_sign_that_is_none_is_refused(sign: int) -> None:
    with pytest.raises(ValueError, match="sign must be 1 or -1"):
        masking.mask_add(np.zeros(4, np.uint32), bytes(16), sign, bits=20)
