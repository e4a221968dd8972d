"""Fixtures of all suites. `--benchmark-disable` runs every benchmark once at small sizes: it checks that they work."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.utils import load_timer

from secagg import _kernels

from ..paired import Paired


@dataclass(frozen=True)
class Sizes:
    """How large the problems are: n users with threshold t, vectors of m entries, `seeds` masks."""

    n: int
    t: int
    m: int
    seeds: int


WALL_CLOCK = pytest.mark.benchmark(timer=time.perf_counter)
"""Of a benchmark that uses threads, whose CPU time is that of all of them together, whatever clock others have."""

FULL = Sizes(n=1000, t=667, m=100_000, seeds=100)
QUICK = Sizes(n=10, t=7, m=1_000, seeds=10)


@pytest.fixture(scope="session")
def sizes(request: pytest.FixtureRequest) -> Sizes:
    return QUICK if request.config.getoption("benchmark_disable") else FULL


@pytest.fixture
def paired(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Paired:
    benchmark.group = request.path.stem.removeprefix("bench_")
    timer = load_timer(request.config.getoption("benchmark_timer")).target  # type: ignore[no-untyped-call]
    marked = request.node.get_closest_marker("benchmark")
    return Paired(benchmark, marked.kwargs["timer"] if marked else timer)


def every_isa(subject: str) -> pytest.MarkDecorator:
    """Run with each instruction set that this CPU has and that has kernels of its own for the subject."""
    return pytest.mark.parametrize("isa", _kernels.isa_with(subject), indirect=True)


@pytest.fixture
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """The instruction set that `every_isa` asks for, in use."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    yield request.param
    _kernels.isa_use(before)
