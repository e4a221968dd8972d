"""Short fault runs: all roles and the database killed while reports come in. In full: `python -m bench.dap_faults`."""

import os

import pytest

from bench import dap_faults, dap_full_disk


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_report_is_counted_once_whatever_is_killed(database: str) -> None:
    if database == "postgresql" and "SECAGG_TEST_POSTGRES" not in os.environ:
        pytest.skip("starts a PostgreSQL of its own, as SECAGG_TEST_POSTGRES says that there is one")
    dap_faults.run_faults(database, dap_faults.QUICK, seed=int.from_bytes(os.urandom(2)))


@pytest.mark.slow
def test_full_disks_lose_no_report() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts small disks")
    dap_full_disk.run_full_disk(dap_full_disk.QUICK, seed=0)
