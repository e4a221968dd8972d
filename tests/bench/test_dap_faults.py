"""Short fault runs: all roles killed while reports come in. In full, PostgreSQL too: `python -m bench.dap.faults`."""

import os

import pytest

from bench.dap import faults, full_disk

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def test_every_report_is_counted_once_whatever_is_killed() -> None:
    faults.run_faults("sqlite", faults.QUICK, seed=int.from_bytes(os.urandom(2)))


def test_full_disks_lose_no_report() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts small disks")
    full_disk.run_full_disk(full_disk.QUICK, seed=0)
