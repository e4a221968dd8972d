"""The load of a coordinator works, at a small size; its figures come from `python -m bench.service.load`."""

import pytest

from ..service.load import HEADER, MEMORY_HEADER, MODELS, memory_rows, rows


@pytest.mark.parametrize("name", MODELS)
def bench_coordinator_load(name: str) -> None:
    for line in rows(name, MODELS[name], n=10, repeat=1):
        assert len(line) == len(HEADER)


def bench_coordinator_memory() -> None:
    without_tls, with_tls = memory_rows(["semi-honest"], n=10, length=100, bits=32)
    assert len(without_tls) == len(with_tls) == len(MEMORY_HEADER)
