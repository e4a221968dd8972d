"""What compilers make of the kernel that valgrind cannot run: csrc/shamir/shamir_ifma.c, with AVX-512 IFMA.

tests/c/test_shamir_ifma.c runs its source with the instructions emulated, and has valgrind look at the secrets there.
In the machine code of both compilers, whatever works on a share has no gather and no division, takes nothing from
vectors that a branch could ask for, and jumps on counts alone.
"""

from pathlib import Path

import pytest

from .support.folders import ROOT
from .support.machine_code import COMPILERS, Loops, compiled, faulty

SHAMIR = ROOT / "csrc" / "shamir"

LOOPS: Loops = {
    "share": (11, 14, "secrets, x-coordinates, coefficients, what a step takes of them; and whether there is memory"),
    "step": (2, 0, "coefficients"),
    "combine": (2, 22, "blocks of secrets, rows, groups, lanes, words of a row's coefficients"),
    "combine_block": (13, 0, "rows, groups, lanes, words of a row's coefficients"),
    "fractions": (8, 7, "secrets, x-coordinates, lanes; and whether there is memory"),
    "unload": (2, 2, "lanes"),
}
# Those that see x-coordinates alone.
PUBLIC = {"terms_a_step", "raise_powers", "factors_a_step", "denominators", "numerator", "spread"}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_code_on_shares_jumps_on_counts_alone(compiler: str, tmp_path: Path) -> None:
    functions = compiled(compiler, SHAMIR / "shamir_ifma.c", tmp_path, SHAMIR)
    assert {"multiply", "reduced", "fold", "unload", "combine", "share", "fractions"} <= set(functions) - PUBLIC
    assert faulty(functions, compiler, LOOPS, PUBLIC) == {}
    assert any("vpmadd52luq" in line for line in functions["multiply"])


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scalar_store(out + l", "if (limb[0][l] & 1) scalar_store(out + l"),
        ("limb[0][l] | limb[1][l] << 52", "limb[0][l] / (limb[1][l] | 1)"),
    ],
    ids=["a branch on a share", "a division"],
)
def test_what_is_planted_is_found(compiler: str, old: str, new: str, tmp_path: Path) -> None:
    text = (SHAMIR / "limbs52.inc").read_text()
    assert old in text
    (tmp_path / "limbs52.inc").write_text(text.replace(old, new))
    for name in ("shamir_lanes.inc", "shamir_ifma.c"):
        (tmp_path / name).write_text((SHAMIR / name).read_text())
    planted = compiled(compiler, tmp_path / "shamir_ifma.c", tmp_path, SHAMIR)
    assert faulty(planted, compiler, LOOPS, PUBLIC)
