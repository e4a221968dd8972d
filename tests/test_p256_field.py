"""P-256's field in lanes beside Python's integers, on limbs as large and as small as they may be."""

import ctypes
import platform
import shutil
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import _kernels

from .support.folders import ROOT
from .support.processes import ran

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
Limbs = NDArray[np.uint64]
# In the order of tests/c/p256_field_calls.c; `r` is Montgomery's factor.
OPERATIONS: tuple[Callable[[int, int, int, int], int], ...] = (
    lambda a, b, c, r: a * b * r,
    lambda a, b, c, r: a * a * r,
    lambda a, b, c, r: a - b,
    lambda a, b, c, r: (a + c) * (b - c) * r,
    lambda a, b, c, r: 3 * (a + c) * (b - c) * r,
    lambda a, b, c, r: 2 * (a + c) * b * r,
    lambda a, b, c, r: a * b * r - (2 * a + c),
    lambda a, b, c, r: (a + c) ** 2 * r - (2 * b + c),
)


class Field:
    """A compiled field.

    Args:
        folder: where to compile it.
        flags: which one.
        limbs: of an element.
        bits: of a limb.
    """

    def __init__(self, folder: Path, flags: list[str], limbs: int, bits: int) -> None:
        self.limbs, self.bits, self.r = limbs, bits, pow(2, -limbs * bits, P)
        path, includes = folder / "field.so", [f"-I{ROOT / name}" for name in ("csrc", "secagg/include")]
        sources = [ROOT / name for name in ("tests/c/p256_field_calls.c", "csrc/agreement/p256_invert.c")]
        done = ran("gcc", "-O2", "-shared", "-fPIC", *flags, *includes, *sources, "-o", path, text=True)
        assert done.returncode == 0, done.stderr
        self.library = ctypes.CDLL(str(path))

    def numbers(self, limbs: Limbs) -> list[int]:
        total = [0] * len(limbs)
        for i in range(self.limbs):
            total = [x + (limb << self.bits * i) for x, limb in zip(total, limbs[:, i].tolist(), strict=True)]
        return total

    def elements(self, numbers: list[int]) -> Limbs:
        mask = (1 << self.bits) - 1
        return np.array([[x >> self.bits * i & mask for i in range(self.limbs)] for x in numbers], np.uint64)

    def operate(self, operation: int, *factors: Limbs) -> Limbs:
        out = np.empty_like(factors[0])
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (out, *factors)]
        self.library.operate_all(operation, *pointers, ctypes.c_size_t(len(out)))
        return out

    def check(self, operation: int, *factors: Limbs) -> None:
        """The result is right mod p, and tight."""
        got = self.operate(operation, *factors)
        assert int(got[:, :-1].max()) < 1 << self.bits
        numbers = self.numbers(got)
        assert max(numbers) < 2 * P
        rows = zip(*map(self.numbers, factors), strict=True)
        expected = (OPERATIONS[operation](a, b, c, self.r) for a, b, c in rows)
        assert all((x - y) % P == 0 for x, y in zip(numbers, expected, strict=True))

    @property
    def patterns(self) -> list[int]:
        """Every limb 0 or all ones, the highest at its ends, at p's and around the highest bit of p's."""
        top, one = 2 * P >> self.bits * (self.limbs - 1), 1 << 256 - self.bits * (self.limbs - 1)
        ends = ((0, (1 << self.bits) - 1),) * (self.limbs - 1)
        chosen = product(*ends, (0, one - 1, one, top - 1))
        return [sum(limb << self.bits * i for i, limb in enumerate(limbs)) for limbs in chosen]

    @property
    def edges(self) -> list[int]:
        """0, 1, 2^w - 1, p - 1, p, p + 1 and 2p - 1, and their like."""
        around = (0, 1 << self.bits, 1 << 64, 1 << 255, P, 2 * P)
        return [x for at in around for x in range(at - 2, at + 3) if 0 <= x < 2 * P]


@pytest.fixture(scope="module", params=["avx2", "52 bits"])
def field(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not there")
    folder = tmp_path_factory.mktemp("field")
    if request.param == "52 bits":
        yield Field(folder, ["-DLIMBS52"], 5, 52)
    elif "avx2" in _kernels.isa_available() and platform.machine() == "x86_64":
        yield Field(folder, [], 9, 29)
    else:
        pytest.skip("this CPU has no AVX2")


def together(field: Field, first: list[int], second: list[int]) -> tuple[Limbs, Limbs]:
    """Every pair."""
    a, b = field.elements(first), field.elements(second)
    return np.repeat(a, len(b), 0), np.tile(b, (len(a), 1))


def test_products_of_all_extreme_limbs(field: Field) -> None:
    patterns = field.patterns
    some = patterns if field.limbs == 5 else patterns[:: len(patterns) // 128]
    a, b = together(field, some, patterns)
    assert len(a) >= 4096
    field.check(0, a, b, a)


@pytest.mark.parametrize("operation", range(len(OPERATIONS)))
def test_every_operation_at_its_edges(field: Field, operation: int) -> None:
    values = field.edges + field.patterns[:: len(field.patterns) // 32]
    values = values[: len(values) // 4 * 4]  # whole groups of lanes
    a, b = together(field, values, values)
    for c in (0, 1, P - 1, P, 2 * P - 1, field.patterns[-1]):
        field.check(operation, a, b, field.elements([c] * len(a)))


@pytest.mark.parametrize("operation", range(len(OPERATIONS)))
def test_every_operation_on_random_elements(field: Field, operation: int) -> None:
    rng = np.random.default_rng(operation)
    a, b, c = (field.elements([int.from_bytes(rng.bytes(33), "big") % (2 * P) for _ in range(2000)]) for _ in range(3))
    field.check(operation, a, b, c)
