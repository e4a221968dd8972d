"""Commands of DAP keep to what its own tests keep to: reads of a store do not write."""

import pytest

from secagg.cli.dap import collect

from ..dap.conftest import reads_do_not_write
from ..support.processes import PATIENCE

__all__ = ["reads_do_not_write"]


@pytest.fixture(autouse=True)
def nobody_is_reminded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what a command waits for on a busy machine: its stderr is to stay empty."""
    monkeypatch.setattr(collect, "REMINDER_SECONDS", 2 * PATIENCE)
