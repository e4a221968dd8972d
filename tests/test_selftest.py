"""`secagg selftest` passes here, and fails by name for every kernel that computes wrongly on any instruction set."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from secagg import _kernels, _vdaf, selftest
from secagg.selftest import CHECKS, Check

from .support.folders import ROOT
from .support.processes import ran
from .vectors.make_selftest import answers

SHA256_CONSTANTS = b"".join(k.to_bytes(4, "little") for k in (0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5))


def module_and_name(check: Check) -> tuple[Any, str]:
    field = check.kernel.startswith("field ") or check.kernel == "turboshake128"
    return _vdaf if field else _kernels, check.kernel.removeprefix("field ")


def test_all_pass_and_the_instruction_set_is_as_before(isa: str) -> None:
    assert selftest.failures() == []
    assert _kernels.isa() == isa


def test_answers_are_those_of_other_libraries() -> None:
    assert {check.kernel: check.answer for check in CHECKS} == answers()


def test_every_kernel_has_a_check() -> None:
    header = Path(secagg.get_include(), "secagg.h").read_text()
    declared = set(re.findall(r"^int secagg_(\w+?)(?:_u32|_u64|_u128)?\(", header, re.MULTILINE))
    checked = {module_and_name(check) for check in CHECKS}
    assert {name for module, name in checked if module is _kernels} - {"add_signed_wide"} == declared - {
        "api_version",
        "isa_use",
        "selftest",
    }
    stub = Path(_vdaf.__file__).parent / "_vdaf.pyi"
    of_fields = set(re.findall(r"^def (\w+)\(", stub.read_text(), re.MULTILINE))
    assert {name for module, name in checked if module is _vdaf} == of_fields
    assert {check.subject for check in CHECKS} >= set(_kernels.SUBJECTS)


def broken(kernel: Callable[..., Any], isa: str) -> Callable[..., Any]:
    """The same, but on this instruction set one bit of what it computes is wrong."""

    def call(*arguments: Any) -> Any:
        result = kernel(*arguments)
        if _kernels.isa() != isa:
            return result
        if isinstance(result, bool):
            return not result
        out = next(x for x in arguments if isinstance(x, np.ndarray) and x.size)
        out.reshape(-1).view(np.uint8)[-1] ^= 1
        return result

    return call


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.kernel)
def test_a_kernel_that_computes_wrongly_is_named(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name = module_and_name(check)
    kernel = getattr(module, name)
    isas = _kernels.isa_with(check.subject) if check.subject in _kernels.SUBJECTS else ("portable",)
    for isa in isas:
        monkeypatch.setattr(module, name, broken(kernel, isa))
        named = [line for line in selftest.failures() if line == f"{check.subject}: {check.kernel} on {isa}"]
        assert len(named) == 1, isa


def command(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return ran(sys.executable, *arguments, env=os.environ | environment, text=True)


def test_the_command_prints_that_all_is_well() -> None:
    done = command("-m", "secagg", "selftest")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(CHECKS)} kernels on {', '.join(_kernels.isa_available())}: all compute rightly\n"


def test_it_needs_numpy_alone() -> None:
    script = """
import runpy, sys
sys.modules |= dict.fromkeys(("typer", "rich", "cffi", "cryptography"))
sys.argv[1:] = ["selftest"]
runpy.run_module("secagg", run_name="__main__")
"""
    assert command("-c", script).returncode == 0


@pytest.mark.parametrize("start", [["-m", "secagg"], ["-c", "from secagg.cli import main; main()"]])
def test_a_miscompiled_library_fails(tmp_path: Path, start: list[str]) -> None:
    """A copy of the package in which one bit of SHA-256's first constant is wrong, wherever it stands."""
    shutil.copytree(ROOT / "secagg", tmp_path / "secagg", ignore=shutil.ignore_patterns("__pycache__"))
    library = tmp_path / "secagg" / Path(_kernels.__file__).name
    code = Path(_kernels.__file__).read_bytes()
    assert SHA256_CONSTANTS in code
    wrong = bytes([SHA256_CONSTANTS[0] ^ 1]) + SHA256_CONSTANTS[1:]
    library.unlink(missing_ok=True)
    library.write_bytes(code.replace(SHA256_CONSTANTS, wrong))
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = ran(sys.executable, *start, "selftest", cwd=tmp_path, env=environ, text=True)
    assert done.returncode == 1, done.stderr
    assert "FAILED  hkdf: hkdf_sha256 on portable\n" in done.stdout
    assert not re.search("^FAILED  (?!hkdf: )", done.stdout, re.MULTILINE)
    assert done.stdout.endswith(" failed\n")


def test_info_is_complete() -> None:
    facts = json.loads(command("-m", "secagg", "info", "--json", SECAGG_ISA="portable").stdout)
    assert facts["kernels"] == dict.fromkeys(_kernels.SUBJECTS, "portable")
    assert facts["available"] == list(_kernels.isa_available())
