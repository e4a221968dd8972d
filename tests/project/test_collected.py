"""Which files of tests are read: none that needs what is missing, or has no test of the only kind asked for."""

import pytest

from .. import conftest
from ..support.folders import ROOT

ALONE, OTHERS = ROOT / "tests" / "service" / "test_kills.py", ROOT / "tests" / "cli" / "test_dap.py"


@pytest.mark.parametrize(
    ("asked", "lost", "alone", "others"),
    [
        ("", [], None, None),
        ("alone", [], None, True),
        ("quick", [], True, True),
        ("", ["sqlalchemy"], True, True),
        ("alone", ["sqlalchemy"], True, True),
    ],
)
def test_files_that_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
    asked: str,
    lost: list[str],
    alone: bool | None,
    others: bool | None,
) -> None:
    monkeypatch.setattr(conftest, "LOST", lost)
    monkeypatch.setattr(conftest, "_markers", lambda config: asked)
    assert conftest.pytest_ignore_collect(ALONE, pytestconfig) is alone
    assert conftest.pytest_ignore_collect(OTHERS, pytestconfig) is others
