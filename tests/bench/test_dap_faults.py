"""Short fault runs: all roles and the database killed while reports come in. In full: `python -m bench.dap.faults`."""

import os

import pytest

from bench.dap import faults, full_disk

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_report_is_counted_once_whatever_is_killed(database: str) -> None:
    if database == "postgresql" and "SECAGG_TEST_POSTGRES" not in os.environ:
        pytest.skip("starts a PostgreSQL of its own, as SECAGG_TEST_POSTGRES says that there is one")
    faults.run_faults(database, faults.QUICK, seed=int.from_bytes(os.urandom(2)))


def test_full_disks_lose_no_report() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts small disks")
    full_disk.run_full_disk(full_disk.QUICK, seed=0)
