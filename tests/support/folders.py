"""Where things lie that tests read."""

from pathlib import Path

TESTS = Path(__file__).parent.parent
VECTORS = TESTS / "vectors"
ROOT = TESTS.parent
