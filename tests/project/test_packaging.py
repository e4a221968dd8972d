"""sdist and wheel hold what they should, and the wheel works in an empty environment, away from the source tree."""

import re
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from ..support.folders import ROOT
from ..support.processes import ran
from .conftest import run

# Runs where secagg is importable only as the installed wheel; NIST SP 800-38A, F.5.1, gives the first block.
MASK_THROUGH_CFFI = """
import secagg
from secagg.capi import ffi, lib

assert "site-packages" in secagg.__file__, secagg.__file__
acc = ffi.new("uint32_t[4]")
seed = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
nonce = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafb")
assert lib.secagg_mask_sum_u32(acc, 4, seed, [1], 1, 0x100000000, nonce, 4 * 0xfcfdfeff) == 0
block = bytes(a ^ b for a, b in zip(bytes(ffi.buffer(acc)), bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")))
assert block.hex() == "874d6191b620e3261bef6864990db6ce", block.hex()
"""

pytestmark = pytest.mark.slow


def test_wheel_holds_headers_and_types_but_no_source(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = ZipFile(wheel).namelist()
    assert {"secagg/include/secagg.h", "secagg/py.typed", "secagg/_kernels.pyi", "secagg/capi.py"} <= set(names)
    assert sum(name.startswith("secagg/_kernels.") and name.endswith(".so") for name in names) == 1
    assert {"secagg/__init__.pxd", "secagg/lib/libsecagg.a", "secagg/lib/secagg.pc"} <= set(names)
    assert not [name for name in names if name.endswith((".c", ".inc", ".pyx", ".o"))]
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"secagg"}


@pytest.mark.parametrize(("system", "needs"), [("manylinux", []), ("musllinux", ["libc.so.6"])])
def test_a_module_for_glibc_is_none_for_musl(dist: Path, system: str, needs: list[str]) -> None:
    (wheel,) = dist.glob("*.whl")
    said = ran(sys.executable, ROOT / "ci/check_wheel.py", f"{system}-x86_64", wheel, text=True).stderr
    assert "is missing" not in said
    assert sorted(set(re.findall(r"_kernels\.abi3\.so needs (\S+)", said))) == needs


def test_sdist_holds_source_but_nothing_generated(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    kernels = {str(path.relative_to(ROOT)) for path in (ROOT / "csrc").rglob("*.*")}
    assert kernels | {"LICENSE", "README.md", "secagg/_kernels.pyx", "secagg/include/secagg.h"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", "_kernels.c"))]


def test_mask_through_cffi_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    run(installed / "python", "-c", MASK_THROUGH_CFFI, cwd=tmp_path)


def test_header_is_where_get_include_says(installed: Path, tmp_path: Path) -> None:
    include = run(installed / "python", "-c", "import secagg; print(secagg.get_include())", cwd=tmp_path).strip()
    assert Path(include, "secagg.h").read_text() == (ROOT / "secagg/include/secagg.h").read_text()


@pytest.mark.parametrize("command", [["secagg"], ["python", "-m", "secagg"]], ids=" ".join)
def test_command_line_starts(installed: Path, tmp_path: Path, command: list[str]) -> None:
    assert "Usage: " in run(installed / command[0], *command[1:], "--help", cwd=tmp_path)
