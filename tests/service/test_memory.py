"""What uploads cost in memory: a message of 30 MB is on the disk from its first bytes on, and read where it lies."""

import sys
from pathlib import Path

import pytest

from ..support.folders import ROOT
from ..support.processes import ran

LIMIT = 300 << 20


@pytest.mark.nightly
def test_a_thousand_uploads_of_30_megabytes_at_once(tmp_path: Path) -> None:
    """Of 988 of them only the first three megabytes come: what each one costs is the same from 64 KiB on."""
    commands: list[list[str | Path]] = [["prepare", tmp_path], ["take", tmp_path, "1000", "3000000"]]
    for command in commands:
        done = ran(sys.executable, "-m", "tests.support.uploads", *command, cwd=ROOT, text=True)
        assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LIMIT
