"""What a machine lacks for compiling is said in one sentence, with what to install; each is hidden in turn."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from ..support.folders import ROOT
from ..support.processes import ran

pytestmark = pytest.mark.slow

# A compiler that does not see Python's headers.
_WITHOUT_PYTHON = """#!/bin/sh
for argument do
    shift
    case $argument in -I*python*) ;; *) set -- "$@" "$argument" ;; esac
done
exec gcc "$@"
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is compiled, so that nothing is left in this folder."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "csrc", folder / "csrc")
    shutil.copytree(ROOT / "secagg", folder / "secagg", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    without_python = folder / "gcc-without-python"
    without_python.write_text(_WITHOUT_PYTHON)
    without_python.chmod(0o700)
    return folder


def test_a_module_of_an_older_build_is_not_left_before_the_new(source: Path) -> None:
    old = source / "secagg" / f"_kernels{sysconfig.get_config_var('EXT_SUFFIX')}"
    old.touch()
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "out", "--build-temp", "out"]
    ran(*command, cwd=source, env=os.environ | {"CC": "/nowhere/cc"})
    assert not old.exists()


@pytest.mark.parametrize(
    ("compiler", "sentence"),
    [
        ("/nowhere/cc", "secagg needs a C compiler: install gcc or clang"),
        ("gcc -nostdinc", "secagg needs the C library's headers: install them"),
        ("gcc -U__GNUC__ -D__GNUC__=4", "secagg needs gcc 9, clang 9 or later"),
        ("{source}/gcc-without-python", "secagg needs the headers of this Python: install them"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(source: Path, compiler: str, sentence: str) -> None:
    environ = {**os.environ, "CC": compiler.format(source=source)}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "out", "--build-temp", "out"]
    done = ran(*command, cwd=source, env=environ, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(sentence)
    assert "Traceback" not in done.stderr
