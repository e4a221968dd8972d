"""Where the example is."""

from pathlib import Path

import pytest

from ...support.folders import ROOT


@pytest.fixture(scope="session")
def example() -> Path:
    """The example's folder."""
    return ROOT / "examples" / "nvflare"
