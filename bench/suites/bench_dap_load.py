"""The load runs work, at a small size; their figures come from `python -m bench.dap.load`."""

import pytest

from ..dap.deployment import AGGREGATORS
from ..dap.load import DATABASES, HEADER, QUICK, pieces_table, run_cases


@pytest.mark.parametrize("database", DATABASES)
def bench_dap_load(database: str) -> None:
    (line,) = run_cases(database, QUICK[:1], repeat=1)
    assert len(line) == len(HEADER)


def bench_dap_pieces() -> None:
    _, _, *lines, _ = pieces_table(QUICK[:1])
    assert len(lines) == len(AGGREGATORS)
