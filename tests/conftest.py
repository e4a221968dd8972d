"""Fixtures shared by all tests, and which of them are quick."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from secagg import _kernels

from .support import processes
from .support.folders import ROOT

QUICK = ("tests/protocol", "tests/noisy", "tests/test_")  # where a path of quick tests begins
LONG_SECONDS = 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        if path.startswith(QUICK) and not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.quick)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which files took long, their setup and teardown included."""
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            seconds[getattr(report, "nodeid", "").partition("::")[0]] += getattr(report, "duration", 0.0)
    for taken, name in sorted(((taken, name) for name, taken in seconds.items()), reverse=True):
        if name and taken > LONG_SECONDS:
            terminalreporter.write_line(f"{taken:6.0f} s  {name}")


processes.restore_interrupts()


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    processes.mark_children()
    yield
    assert processes.end_left_over() == [], "tests have left processes behind: they have been killed now"


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
