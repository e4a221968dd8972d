"""Fixtures shared by all tests, which of them are quick, nightly or alone, and what is collected."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from secagg import _kernels

from .support import processes
from .support.folders import ROOT

QUICK = ("tests/protocol", "tests/noisy", "tests/dp", "tests/test_")  # where a path of quick tests begins
DAP = ("httpx", "prometheus_client", "psycopg", "sqlalchemy", "starlette", "uvicorn")  # packages of the extra
DASK = ("prometheus_client",)  # which Dask loads where it is there
NEED_DAP = (
    "tests/attacks/dap",
    "tests/attacks/service",
    "tests/attacks/test_copied_state.py",
    "tests/attacks/test_server_off_the_air.py",
    "tests/bench",
    "tests/cli",
    "tests/dap",
    "tests/fuzz/test_decoders.py",
    "tests/http",
    "tests/project",
    "tests/service",
    "tests/test_durable.py",
    "tests/test_imports.py",
    "tests/test_public_numbers.py",
)
LOST = [package for package in DAP if find_spec(package) is None]
LONG_SECONDS = 20


def pytest_report_header() -> list[str]:
    return [f"without {', '.join(LOST)} of the extra `dap`: not collected are {', '.join(NEED_DAP)}"] if LOST else []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What needs a package that is not there, and what has no test of the only kind that is asked for: most of the time
    of few tests goes into reading all.
    """
    path = collection_path.relative_to(ROOT).as_posix() if collection_path.is_relative_to(ROOT) else ""
    if (LOST or _only_quick(config)) and path.startswith(NEED_DAP):
        return True
    if _markers(config) == "alone" and collection_path.match("test_*.py"):
        return "mark.alone" not in collection_path.read_text() or None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        long = any(item.iter_markers("slow")) or any(item.iter_markers("nightly"))
        if path.startswith(QUICK) and not path.startswith(NEED_DAP) and not long:
            item.add_marker(pytest.mark.quick)
    if "nightly" not in _markers(config):
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
    items *= int(os.environ.get("SECAGG_TEST_TURNS", "1"))  # ci/slow flaky


def _only_quick(config: pytest.Config) -> bool:
    return _markers(config) == "quick"


def _markers(config: pytest.Config) -> str:
    markers: str = config.getoption("markexpr")
    return markers


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which files took long, their setup and teardown included."""
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            seconds[getattr(report, "nodeid", "").partition("::")[0]] += getattr(report, "duration", 0.0)
    for taken, name in sorted(((taken, name) for name, taken in seconds.items()), reverse=True):
        if name and taken > LONG_SECONDS:
            terminalreporter.write_line(f"{taken:6.0f} s  {name}")


settings.register_profile("tests", settings.default, deadline=None)  # no test is judged by the clock
settings.load_profile("tests")
processes.restore_interrupts()
if names := os.environ.get("SECAGG_TEST_STARTERS"):  # ci/slow flaky
    processes.name_starters(Path(names))


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    processes.mark_children()
    yield
    assert processes.end_left_over() == [], "tests have left processes behind: they have been killed now"


@pytest.fixture(scope="session", autouse=True)
def quick_tests_need_no_extra(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if _only_quick(request.config):
        loaded = [package for package in DAP if package in sys.modules and package not in DASK]
        assert loaded == [], "quick tests need no extra"


@pytest.fixture(scope="session", autouse=True)
def no_state_folder() -> Iterator[None]:
    """Nonces stand beside their keys, whatever the environment says, and not among those of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XDG_STATE_HOME", raising=False)
        yield


@pytest.fixture(params=_kernels.isa_available())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this CPU in turn, the portable one always."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    yield request.param
    _kernels.isa_use(before)
