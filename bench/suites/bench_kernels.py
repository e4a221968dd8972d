"""Masks beside OpenSSL's keystream, packing and addition beside numpy's copy and addition, rounding beside numpy's
operations one after the other."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import _kernels, masking, vector

from ..baselines import numpy_add, numpy_copy, openssl_keystream
from ..limit import REGISTER_BYTES, bare_aes
from ..paired import Baseline, Paired, Target, gb_per_second, ns_per_element
from .conftest import WALL_CLOCK, Sizes, every_isa

WIDTHS = (8, 16, 24, 32, 40, 48, 64)
ANY = (1 << 24) - 3
BARE_WIDTHS = (16, 24, 32)
SHUFFLED = "elements of three bytes are shuffled out of the keystream beside the rounds"
INGEST = Target("GB/s", 8, at_least=True, why="memory gives no more: numpy copies at the rate beside it")
TWO_THREADS = Target("ratio", 1.8, at_least=True, why="others use the second core where the load is not 0")


def name(modulus: int) -> str:
    bits = modulus.bit_length() - 1
    return f"{bits} bits" if modulus == 1 << bits else "mod 2^24 - 3"


def keystream_bytes(modulus: int) -> int:
    """Of one element (architecture, decision 4)."""
    return 16 if modulus == ANY else modulus.bit_length() + 6 >> 3


def mask_target(isa: str, modulus: int) -> Target | None:
    """Of any modulus; masks mod 2^b are measured by what AES alone takes, see below."""
    return Target("ns/element", 1.5) if modulus == ANY and isa.startswith("vaes") else None


def mask_summer(modulus: int, m: int, seeds: int, threads: int = 1) -> Callable[[], None]:
    """One call of `mask_sum` for half positive, half negative signs."""
    acc = np.zeros(m, vector.dtype(modulus))
    keys = np.random.default_rng(0).integers(0, 256, (seeds, masking.SEED_BYTES), np.uint8)
    signs = np.where(np.arange(seeds) % 2, 1, -1)
    return lambda: masking.mask_sum(acc, keys, signs, modulus=modulus, threads=threads)


def vectors(modulus: int, m: int, count: int = 1) -> list[NDArray[np.uint32] | NDArray[np.uint64]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, modulus, m, vector.dtype(modulus)) for _ in range(count)]


@every_isa("masks")
@pytest.mark.parametrize("modulus", [*(1 << bits for bits in WIDTHS), ANY], ids=name)
def bench_mask_sum(paired: Paired, sizes: Sizes, isa: str, modulus: int) -> None:
    seeds = sizes.seeds // 10 if isa == "portable" else sizes.seeds
    elements = seeds * sizes.m
    size = elements * keystream_bytes(modulus)
    paired(
        f"mask_sum, {isa}, {name(modulus)}",
        mask_summer(modulus, sizes.m, seeds),
        openssl_keystream(size),
        [gb_per_second(size), ns_per_element(elements)],
        mask_target(isa, modulus),
        rounds=15 if isa == "portable" else 61,
    )


@pytest.mark.parametrize("isa", [isa for isa in _kernels.isa_with("masks") if isa in REGISTER_BYTES], indirect=True)
@pytest.mark.parametrize("bits", BARE_WIDTHS)
def bench_mask_sum_beside_bare_rounds(paired: Paired, sizes: Sizes, isa: str, bits: int) -> None:
    """The ratio is the part of the time that AES alone would take: no kernel reaches 1."""
    elements = sizes.seeds * sizes.m
    size = elements * bits // 8
    paired(
        f"mask_sum beside bare rounds, {isa}, {bits} bits",
        mask_summer(1 << bits, sizes.m, sizes.seeds),
        bare_aes(isa, size),
        [gb_per_second(size), ns_per_element(elements)],
        Target("ratio", 0.9, at_least=True, why=SHUFFLED if bits == 24 else ""),
        rounds=61,
    )


@WALL_CLOCK
@pytest.mark.parametrize("longer", [1, 10])
def bench_mask_sum_on_two_threads(paired: Paired, sizes: Sizes, longer: int) -> None:
    m = longer * sizes.m
    size = 3 * m * sizes.seeds
    one = Baseline("one thread", mask_summer(1 << 24, m, sizes.seeds), gb_per_second(size))
    paired(
        f"mask_sum, 24 bits, two threads, {m:,} entries",
        mask_summer(1 << 24, m, sizes.seeds, threads=2),
        one,
        [gb_per_second(size)],
        TWO_THREADS,
    )


@every_isa("masks")
@pytest.mark.parametrize("modulus", [1 << 24, ANY], ids=name)
def bench_expand(paired: Paired, sizes: Sizes, isa: str, modulus: int) -> None:
    size = sizes.m * keystream_bytes(modulus)
    paired(
        f"expand, {isa}, {name(modulus)}",
        lambda: masking.expand(sizes.m, bytes(16), modulus=modulus),
        openssl_keystream(size),
        [gb_per_second(size), ns_per_element(sizes.m)],
        rounds=51,
    )


@pytest.mark.parametrize("count", [1, 200], ids=["cached", "streamed"])
@pytest.mark.parametrize("bits", [16, 24, 32, 40])
@every_isa("packing")
def bench_packed_add(paired: Paired, sizes: Sizes, isa: str, bits: int, count: int) -> None:
    """Of one vector again and again, and of many in turn, which no cache holds: the server's case."""
    modulus = 1 << bits
    packed = [vector.pack(x, modulus) for x in vectors(modulus, sizes.m, count)]
    acc = np.zeros(sizes.m, vector.dtype(modulus))
    repeat = 200 // count

    def ingest() -> None:
        for _ in range(repeat):
            for y in packed:
                vector.packed_add(acc, y, modulus)

    size = repeat * sum(y.size for y in packed)
    copy = numpy_copy(np.concatenate(packed * repeat))
    where = "from cache" if count == 1 else "from memory"
    target = None if isa == "portable" else INGEST
    paired(f"packed_add, {isa}, {bits} bits, {where}", ingest, copy, [gb_per_second(size)], target)


@pytest.mark.parametrize("modulus", [1 << 16, 1 << 24, 1 << 32, ANY], ids=name)
@pytest.mark.parametrize("operation", ["pack", "unpack", "packed_check"])
@every_isa("packing")
def bench_packing(paired: Paired, sizes: Sizes, isa: str, operation: str, modulus: int) -> None:
    (x,) = vectors(modulus, sizes.m)
    packed = vector.pack(x, modulus)
    run: dict[str, Callable[[], object]] = {
        "pack": lambda: vector.pack(x, modulus),
        "unpack": lambda: vector.unpack(packed, sizes.m, modulus),
        "packed_check": lambda: vector.packed_check(packed, sizes.m, modulus),
    }
    case = f"{operation}, {isa}, {name(modulus)}"
    paired(case, run[operation], numpy_copy(packed), [gb_per_second(packed.size)], rounds=101)


@pytest.mark.parametrize("modulus", [1 << 24, ANY, 1 << 40], ids=name)
@pytest.mark.parametrize("operation", [vector.add, vector.subtract], ids=lambda operation: operation.__name__)
def bench_arithmetic(paired: Paired, sizes: Sizes, operation: Callable[..., None], modulus: int) -> None:
    acc, x = vectors(modulus, sizes.m, 2)
    paired(
        f"{operation.__name__}, {name(modulus)}",
        lambda: operation(acc, x, modulus),
        numpy_add(x),
        [gb_per_second(x.nbytes), ns_per_element(x.size)],
        rounds=101,
    )


@pytest.mark.parametrize("rounding", ["at random", "to the nearest"])
@every_isa("rounding")
def bench_quantize(paired: Paired, sizes: Sizes, isa: str, rounding: str) -> None:
    """What `Quantizer.encode` does with a block of values and the random bytes for it."""
    n, rng = min(sizes.m, 1 << 14), np.random.default_rng(0)
    values, out = rng.normal(size=n), np.empty(n, np.uint64)
    drawn = np.frombuffer(rng.bytes(4 * n), np.uint8) if rounding == "at random" else None

    def by_numpy() -> None:
        y = np.clip(values, -1.0, 1.0)
        y /= 1.0
        y *= 32767
        below = np.rint(y) if drawn is None else np.floor(y)
        up = 0 if drawn is None else drawn.view("<u4") < (y - below) * 2.0**32
        out[:] = (below + up).astype(np.int64) + 32767

    by_numpy()
    expected = out.copy()
    _kernels.quantize(out, values, drawn, 1.0, 32767.0, 32767)
    assert np.array_equal(out, expected)
    paired(
        f"quantize, {isa}, {rounding}",
        lambda: _kernels.quantize(out, values, drawn, 1.0, 32767.0, 32767),
        Baseline("numpy", by_numpy, ns_per_element(n)),
        [ns_per_element(n)],
        rounds=301,
    )
