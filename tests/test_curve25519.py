"""The field 2^255 - 19 of csrc/curve25519: its limbs never overflow, and it calculates as Python's integers do.

AVX-512 IFMA is emulated lane by lane (tests/c/emulated_ifma.h), so that its source is run on every x86-64.
"""

import ctypes
import itertools
import platform
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import _kernels

from .support.folders import ROOT
from .support.processes import ran

P = 2**255 - 19
INCLUDE = (f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'secagg' / 'include'}", f"-I{ROOT / 'tests' / 'c'}")
X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="AVX2 and AVX-512 are of x86-64")
AVX2 = pytest.mark.skipif("avx2" not in _kernels.isa_available(), reason="this CPU has no AVX2")


@dataclass(frozen=True)
class Field:
    """One of the files field_*.h.

    Attributes:
        name: FIELD_ and this is defined for it.
        widths: the bits of a limb that is carried.
        excess: a tight limb is below 2^width + excess.
        loose: how many tight elements a factor may be the sum of.
    """

    name: str
    widths: tuple[int, ...]
    excess: int
    loose: int

    def value(self, limbs: tuple[int, ...]) -> int:
        """The number mod p."""
        return sum(limb << sum(self.widths[:i]) for i, limb in enumerate(limbs)) % P

    def limbs(self, number: int) -> tuple[int, ...]:
        """Of a number below 2^255, or with the rest in the last limb."""
        limbs = []
        for width in self.widths[:-1]:
            limbs.append(number & ((1 << width) - 1))
            number >>= width
        return (*limbs, number)

    def largest(self, times: int = 1) -> tuple[int, ...]:
        """The largest limbs of a tight element, or so many times as large."""
        return tuple(times * ((1 << width) + self.excess - 1) for width in self.widths)


FIELDS = [
    pytest.param(Field("PORTABLE", (51,) * 5, 1 << 18, 3), id="portable"),
    pytest.param(Field("AVX2", (26, 25) * 5, 1 << 17, 3), id="avx2", marks=[X86, AVX2]),
    pytest.param(Field("IFMA", (51,) * 5, 1 << 15, 1), id="ifma", marks=X86),
]
every_field = pytest.mark.parametrize("field", FIELDS)


def compiler(*names: str) -> str:
    found = next((name for name in names if shutil.which(name)), None)
    if found is None:
        pytest.skip(f"there is no compiler {' or '.join(names)}")
    return found


def compiled(command: str, source: str, field: Field, out: Path, *options: str) -> Path:
    done = ran(
        command, *options, f"-DFIELD_{field.name}", *INCLUDE, ROOT / "tests" / "c" / source, "-o", out, text=True
    )
    assert done.returncode == 0, done.stderr
    return out


@every_field
def test_no_limb_overflows(field: Field, tmp_path: Path) -> None:
    """By intervals, through the source that is shipped: field, powers and points."""
    command = compiler("clang++", "g++", "clang++-14")
    program = compiled(command, "bounds_25519.cpp", field, tmp_path / "bounds", "-std=c++17", "-w")
    done = ran(program, text=True)
    assert (done.returncode, done.stdout) == (0, "bounds_25519: passed\n")


@cache
def library(field: Field) -> ctypes.CDLL:
    command = compiler("gcc", "clang", "cc")
    options = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wno-psabi")
    with TemporaryDirectory() as folder:  # what is loaded stays when its file goes
        return ctypes.CDLL(str(compiled(command, "field_25519.c", field, Path(folder, "field.so"), *options)))


def pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def words(rows: list[tuple[int, ...]]) -> NDArray[np.uint64]:
    return np.array(rows, np.uint64)


def numbers(out: NDArray[np.uint8]) -> list[int]:
    return [int.from_bytes(bytes(row), "little") for row in out.reshape(-1, 32)]


def extremes(field: Field, times: int) -> list[tuple[int, ...]]:
    """Limbs of 0 and the largest that are allowed, in all combinations of neighbours; 0, 1, p and around it."""
    most, w = field.largest(times), len(field.widths)
    patterns = [tuple(m if bit else 0 for m, bit in zip(most, bits, strict=True)) for bits in _bits(w)]
    full = tuple((1 << width) - 1 for width in field.widths)
    named = [0, 1, 2, 19, P - 1, P, P + 1, 2**255 - 1, 2**254]
    rand = random.Random(1)
    drawn = [tuple(rand.choice((0, 1, m // 2, m - 1, m)) for m in most) for _ in range(60)]
    return [*patterns, full, *(field.limbs(number) for number in named), *drawn]


def _bits(w: int) -> list[tuple[int, ...]]:
    """All runs of ones and of zeros, and alternations."""
    runs = {tuple(int(a <= i < b) for i in range(w)) for a in range(w) for b in range(a, w + 1)}
    runs |= {tuple(1 - bit for bit in run) for run in runs}
    return sorted(runs | {tuple(i % 2 for i in range(w)), tuple(1 - i % 2 for i in range(w))})


def check(
    field: Field,
    operation: int,
    pairs: list[tuple[tuple[int, ...], tuple[int, ...]]],
    twin: Callable[[int, int], int],
) -> None:
    kernel = library(field)
    lanes = kernel.lanes()
    pairs = pairs + pairs[: -len(pairs) % lanes]
    a, b = words([x for x, _ in pairs]), words([y for _, y in pairs])
    out = np.zeros((len(pairs), 32), np.uint8)
    kernel.operate(operation, pointer(out), pointer(a), pointer(b), ctypes.c_size_t(len(pairs) // lanes))
    expected = [twin(field.value(x), field.value(y)) % P for x, y in pairs]
    assert numbers(out) == expected


OPERATIONS: dict[str, tuple[int, bool, bool, Callable[[int, int], int]]] = {
    # number, whether its arguments may be loose, and what it calculates
    "store": (0, True, True, lambda a, b: a),
    "plus": (1, False, False, lambda a, b: a + b),
    "minus": (2, False, False, lambda a, b: a - b),
    "opposite": (3, False, False, lambda a, b: -a),
    "multiply": (4, True, True, lambda a, b: a * b),
    "square": (5, True, True, lambda a, b: a * a),
    "square_plus": (6, True, True, lambda a, b: a * a + b),
    "twice_square_plus": (7, False, True, lambda a, b: 2 * a * a + b),
    "times_plus": (10, True, False, lambda a, b: 121665 * a + b),
}


@every_field
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_at_extreme_limbs(field: Field, name: str) -> None:
    number, left, right, twin = OPERATIONS[name]
    a = extremes(field, field.loose if left else 1)
    b = extremes(field, field.loose if right else 1)
    b = b if number in (1, 2, 4, 6, 7, 10) else b[:1]
    check(field, number, [*itertools.product(a, b)], twin)


@every_field
def test_powers_at_extreme_limbs(field: Field) -> None:
    pairs = [(a, a) for a in extremes(field, field.loose)]
    check(field, 8, pairs, lambda a, b: pow(a, P - 2, P))
    check(field, 9, pairs, lambda a, b: pow(a, (P - 5) // 8, P))


@every_field
def test_bytes_and_comparisons(field: Field) -> None:
    """Bit 255 is left out; p and 2p are 0; a lane that is 0 takes the bytes, another keeps what it has."""
    kernel = library(field)
    lanes = kernel.lanes()
    rand = random.Random(2)
    zeros = [field.limbs(0), field.limbs(P), field.limbs(2 * P)]
    limbs = [rand.choice([*zeros, *extremes(field, 1)]) for _ in range(50 * lanes)]
    given = [rand.choice([0, 1, P - 1, P, P + 1, 2**255 - 1, 2**255, 2**256 - 1, rand.getrandbits(256)]) for _ in limbs]
    encoded = np.frombuffer(b"".join(number.to_bytes(32, "little") for number in given), np.uint8)
    zero, out = np.zeros(len(limbs), np.uint8), np.zeros((len(limbs), 32), np.uint8)
    kernel.move(pointer(zero), pointer(out), pointer(words(limbs)), pointer(encoded), ctypes.c_size_t(50))
    is_zero = [field.value(each) == 0 for each in limbs]
    assert zero.tolist() == is_zero
    assert any(is_zero)
    expected = [g % 2**255 % P if z else field.value(x) for z, g, x in zip(is_zero, given, limbs, strict=True)]
    assert numbers(out) == expected
