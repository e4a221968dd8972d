"""C for other architectures than this one: what is refused."""

import shutil
import subprocess
from pathlib import Path

import pytest

from ..support.folders import ROOT

INCLUDES = [f"-I{ROOT / folder}" for folder in ("secagg/include", "csrc")]
CLANG = next(filter(shutil.which, ("clang", *(f"clang-{version}" for version in range(40, 10, -1)))), None)


def run(*command: str | Path) -> tuple[int, str]:
    """Exit status and everything printed."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
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
