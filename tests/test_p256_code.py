"""What compilers make of the kernel that valgrind cannot run: csrc/agreement/p256_ifma.c, with AVX-512 IFMA.

Its steps are those of the AVX2 kernel, which valgrind checks with secrets undefined, and its own are the field's alone.
In the machine code of both compilers, whatever works on a live key has no gather and no division, takes nothing from
vectors that a branch could ask for, and jumps on loop counters only.
"""

from pathlib import Path

import pytest

from .support.folders import ROOT
from .support.machine_code import COMPILERS, Loops, compiled, faulty

LOOPS: Loops = {
    "exchange": (9, 11, "groups, odd multiples, digits, the doublings of a digit, lanes; and whether there is a group"),
    "scan": (1, 0, "odd multiples"),
    "make_multiples": (1, 0, "odd multiples"),
    "invert_groups": (12, 5, "groups, squarings, runs of ones; and whether there is a group"),
    "mask_of_zeros": (2, 0, "limbs"),
    "collect": (3, 1, "lanes, limbs; and whether a limb lies in two words"),
    "spread": (4, 3, "lanes, limbs; and whether a limb lies in two words"),
    "constant": (2, 1, "doublings of a constant, lanes"),
    "enter": (0, 1, "doublings of a constant"),
    "enter_points": (3, 0, "lanes, doublings of a constant"),
}
# Those that see public points and revealed keys alone.
PUBLIC = {"lift", "curve", "square_root", "scratch_bytes", "sums_bytes", "products", "powers", "sums"}
PUBLIC |= {"double_repeatedly", "divide_all", "run", "rise", "add_points", "add_all", "invert", "invert_all"}
PUBLIC |= {"work_in", "carry_out", "store_powers", "load_powers", "take_results", "take_failures"}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_code_on_live_keys_jumps_on_loop_counters_alone(compiler: str, tmp_path: Path) -> None:
    functions = compiled(compiler, ROOT / "csrc/agreement/p256_ifma.c", tmp_path)
    assert {"multiply", "multiply_minus", "multiply_triple", "exchange"} <= set(functions) - PUBLIC
    assert faulty(functions, compiler, LOOPS, PUBLIC) == {}
    assert any("vpmadd52luq" in line for line in functions["multiply"])


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("vec mask = hidden(", "if (digit->index != j) continue; vec mask = hidden("),
        ("hidden(broadcast(digit->negative))", "broadcast(digit->index % (digit->negative | 3))"),
    ],
    ids=["a branch on a digit", "a division"],
)
def test_what_is_planted_is_found(compiler: str, old: str, new: str, tmp_path: Path) -> None:
    text = (ROOT / "csrc/agreement/p256_exchange.inc").read_text()
    assert old in text
    (tmp_path / "p256_exchange.inc").write_text(text.replace(old, new))
    for name in ("p256_kernel.inc", "p256_ifma.c"):
        (tmp_path / name).write_text((ROOT / "csrc/agreement" / name).read_text())
    planted = compiled(compiler, tmp_path / "p256_ifma.c", tmp_path)
    assert faulty(planted, compiler, LOOPS, PUBLIC)
