"""The sdist, the wheel, and an environment that holds it: made once, by the first of all processes that asks."""

import os
import shutil
import sys
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

from ..support.folders import ROOT
from ..support.processes import ran

NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "*.so", "*.a", "__pycache__")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output of a command that sees nothing of the environment that these tests run in."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SECAGG_", "COV_"))}
    result = ran(*command, cwd=cwd, env=environ | environment, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    printed: str = result.stdout
    return printed


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that all of xdist's workers share, filled by the first that asks."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, made = shared / name, shared / f"{name}.made"
    with (shared / f"{name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, made from a copy of the source tree, and the wheel, made from the sdist."""

    def build(out: Path) -> None:
        source = tmp_path_factory.mktemp("source") / "secagg"
        shutil.copytree(ROOT, source, ignore=NOT_SOURCE)
        run(sys.executable, "-m", "build", "--outdir", out, source, cwd=out)

    return made_once(tmp_path_factory, "dist", build)


@pytest.fixture(scope="session")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and its dependencies and nothing else."""

    def install(environment: Path) -> None:
        (wheel,) = dist.glob("*.whl")
        run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
        python = environment / "bin" / "python"
        run(sys.executable, "-m", "pip", "--python", python, "install", "-q", f"{wheel}[capi,cli]", cwd=environment)

    return made_once(tmp_path_factory, "installed", install) / "bin"
