"""C for other architectures than this one: what is refused, and that ci/count_aes.py sees a slow ARM kernel."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.folders import ROOT
from ..support.processes import ran

INCLUDES = [f"-I{ROOT / folder}" for folder in ("secagg/include", "csrc")]
CLANG = next(filter(shutil.which, ("clang", *(f"clang-{version}" for version in range(40, 10, -1)))), None)
CROSS = "aarch64-linux-gnu-gcc"
ARMV8 = ROOT / "csrc/mask/mask_armv8.c"


def run(*command: str | Path) -> tuple[int, str]:
    """Exit status and everything printed."""
    done = ran(*command, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


@pytest.mark.skipif(CLANG is None, reason="clang, which compiles for any target, is not installed")
@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("armv7a-linux-gnueabihf", "secagg wants a 64-bit CPU"),
        ("i686-linux-gnu", "secagg wants a 64-bit CPU"),
        ("x86_64-linux-gnux32", "secagg wants a 64-bit CPU"),
        ("s390x-linux-gnu", "secagg wants a little-endian CPU"),
        ("powerpc64-linux-gnu", "secagg wants a little-endian CPU"),
        ("aarch64_be-linux-gnu", "secagg wants a little-endian CPU"),
    ],
)
def test_a_host_that_kernels_do_not_suit_is_refused(target: str, sentence: str) -> None:
    status, printed = run(str(CLANG), f"--target={target}", "-fsyntax-only", "-x", "c", ROOT / "csrc/kernel.h")
    assert status == 1
    assert sentence in printed.splitlines()[0]


@pytest.mark.skipif(CLANG is None, reason="clang, which compiles for any target, is not installed")
def test_hosts_that_kernels_suit_are_not() -> None:
    for target in ("x86_64-linux-gnu", "aarch64-linux-gnu", "arm64-apple-macos", "riscv64-linux-gnu"):
        kernel_h = ROOT / "csrc/kernel.h"
        assert run(str(CLANG), f"--target={target}", "-fsyntax-only", "-x", "c", kernel_h) == (0, "")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_every_kernel_includes_the_refusal() -> None:
    """A file for another architecture is empty here, and need not."""
    for source in sorted((ROOT / "csrc").rglob("*.c")):
        if run("gcc", "-E", "-P", *INCLUDES, source)[1].strip():
            assert "csrc/kernel.h" in run("gcc", "-MM", *INCLUDES, source)[1], source


COUNT_AES = ROOT / "ci/count_aes.py"  # not in an sdist

needs_emulator = pytest.mark.skipif(
    not (COUNT_AES.exists() and shutil.which(CROSS) and shutil.which("qemu-aarch64")),
    reason=f"there is no {COUNT_AES.name}, or {CROSS} or qemu-aarch64 is not installed",
)


def count_aes(kernel: Path) -> tuple[int, str]:
    return run(sys.executable, COUNT_AES, kernel, CROSS, "-O2")


@pytest.mark.slow
@needs_emulator
def test_the_armv8_mask_kernel_is_within_its_bounds() -> None:
    status, printed = count_aes(ARMV8)
    assert status == 0, printed


ROUND = "return aese_aesmc(x, load_key(k - 1));"
FEW_REGISTERS = '"" : : : ' + ", ".join(f'"v{i}"' for i in range(20))


@pytest.mark.slow
@needs_emulator
@pytest.mark.parametrize(
    ("line", "instead", "fault"),
    [
        (
            "KERNEL block_t aes_first(block_t x, const block_t *k) { return (void)k, x; }",
            "KERNEL block_t aes_first(block_t x, const block_t *k) { return aese_aesmc(x, load_key(k)); }",
            "of the pairs that the keystream needs",
        ),
        (r"\n\taesmc", r"\n\tnop\n\taesmc", "AESMC do not follow the AESE of their register"),
        ("__asm__ volatile(", "__asm__(", "blocks in flight"),
        ("#define GROUP 12", "#define GROUP 6", "blocks in flight"),
        (ROUND, f"__asm__ volatile({FEW_REGISTERS}); {ROUND}", "accesses to the stack"),
        ("{ *lanes = (lanes_t)x; }", '{ *lanes = (lanes_t)x; if (x[0] == 0) __asm__ volatile("nop"); }', "other seeds"),
    ],
    ids=["a round too many", "parted", "out of order", "few in flight", "spilled", "branching"],
)
def test_a_slow_kernel_is_seen(line: str, instead: str, fault: str, tmp_path: Path) -> None:
    source = ARMV8.read_text()
    assert line in source
    (tmp_path / "mutant.c").write_text(source.replace(line, instead))
    status, printed = count_aes(tmp_path / "mutant.c")
    assert status == 1, printed
    assert fault in printed
