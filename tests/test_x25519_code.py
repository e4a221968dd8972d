"""What compilers make of X25519 in csrc/curve25519/curve25519_ifma.c, which valgrind cannot run: it knows no AVX-512.

Its steps are those of the AVX2 kernel, which valgrind checks with all keys undefined, and only its field is its own.
"""

from pathlib import Path

import pytest

from .support.folders import ROOT
from .support.machine_code import COMPILERS, Loops, compiled, faulty

LOOPS: Loops = {
    "exchange": (3, 1, "bits of a scalar, words of a scalar, lanes"),
    "invert": (1, 0, "squarings"),
    "power_250": (7, 3, "squarings"),
    "load": (3, 2, "limbs, lanes; and whether a limb lies in two words"),
    "store": (5, 1, "lanes, limbs, words"),
}
# Those of signatures, which see nobody's secret.
PUBLIC = {"combine", "decode", "lift", "make_table", "keep", "prepare", "add_multiple", "add_point", "double_point"}
PUBLIC |= {"gather", "choose", "compare_with_zero", "encode", "set_constants", "power_252_3"}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_code_on_keys_jumps_on_loop_counters_alone(compiler: str, tmp_path: Path) -> None:
    functions = compiled(compiler, ROOT / "csrc/curve25519/curve25519_ifma.c", tmp_path)
    assert {"exchange", "multiply", "square", "times_plus", "power_250", "store"} <= set(functions)
    assert faulty(functions, compiler, LOOPS, PUBLIC) == {}
    assert any("vpmadd52luq" in line for line in functions["multiply"])


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("vec bit = (", "if (lane_of(&last, 0)) continue; vec bit = ("),
        ("(bit ^ last)", "(bit ^ scalar[0] % (scalar[1] | broadcast(1)))"),
    ],
    ids=["a branch on a bit", "a division"],
)
def test_what_is_planted_is_found(compiler: str, old: str, new: str, tmp_path: Path) -> None:
    text = (ROOT / "csrc/agreement/x25519.inc").read_text()
    assert old in text
    (tmp_path / "agreement").mkdir()
    (tmp_path / "agreement/x25519.inc").write_text(text.replace(old, new))
    planted = compiled(compiler, ROOT / "csrc/curve25519/curve25519_ifma.c", tmp_path, tmp_path)
    assert faulty(planted, compiler, LOOPS, PUBLIC)
