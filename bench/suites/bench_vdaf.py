"""Prio3 beside the published Rust crate `prio`, in microseconds a report, and the XOF beside pycryptodome's.

Both draft 20 (crate 0.18.1) and draft 8 (0.16.8); two Aggregators, one thread, chunk lengths alike. Here 1,000 reports
are one call, in Rust one report is. "shard" makes all shares of a measurement, "verify" is the Leader's verify_init.
"encoded" begins and ends with one bytes object a message; otherwise arrays stay arrays and Rust's structures
stay what they are. Where there is no cargo, or no registry, the comparisons are skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from Crypto.Hash import TurboSHAKE128

from secagg import _vdaf
from secagg.codec import Octets
from secagg.vdaf import DRAFT_08, DRAFT_20, Draft, Prio3, Prio3Count, Prio3Histogram, Prio3Sum, Prio3SumVec

from ..paired import Baseline, Paired, Target, Unit, gb_per_second
from ..peers.prio_rs import PrioRs, PrioUnavailable
from .conftest import Sizes, every_isa

CTX = {20: b"bench", 8: b""}
RUST_STEPS = {"shard": "shard+encode", "verify": "decode+verify+encode"}


@dataclass(frozen=True)
class Circuit:
    """One circuit, here and in Rust, with measurements from any whole numbers."""

    name: str
    rust: str
    length: int
    make: Callable[[Draft], Prio3]
    measurements: Callable[[Octets], Any]
    rust_reports: int
    times_as_fast: float = 1

    def chunk_length(self, vdaf: Prio3) -> int:
        return getattr(vdaf.flp.valid.GADGET, "count", 1)


def histogram(length: int, rust_reports: int, times_as_fast: float = 1) -> Circuit:
    return Circuit(
        f"Histogram, {length:,} buckets",
        "histogram",
        length,
        lambda draft: Prio3Histogram(length=length, draft=draft),
        lambda numbers: numbers % length,
        rust_reports,
        times_as_fast,
    )


CIRCUITS = [
    Circuit("Count", "count", 1, lambda draft: Prio3Count(draft=draft), lambda numbers: numbers % 2, 4000),
    Circuit(
        "Sum, 32 bits",
        "sum",
        32,
        lambda draft: Prio3Sum(max_measurement=2**32 - 1, draft=draft),
        lambda numbers: numbers,
        500,
    ),
    Circuit(
        "SumVec, 100 x 8 bits",
        "sumvec",
        100,
        lambda draft: Prio3SumVec(length=100, max_measurement=255, draft=draft),
        lambda numbers: numbers[:, None] % 256 * np.ones(100, np.uint64),
        100,
    ),
    histogram(16, 500),
    histogram(100, 200),
    histogram(1_000, 50, 2),
    histogram(10_000, 5, 2),
]


@pytest.fixture(scope="session")
def rust(request: pytest.FixtureRequest) -> PrioRs | None:
    """None where nothing is timed."""
    if request.config.getoption("benchmark_disable"):
        return None
    try:
        return PrioRs()
    except PrioUnavailable as missing:
        pytest.skip(str(missing))


def rust_baseline(
    rust: PrioRs | None, draft: int, circuit: Circuit, chunk_length: int, step: str, encoded: bool, reports: int
) -> Baseline:
    def run() -> None:
        if rust:
            rust.do(draft, circuit.rust, circuit.length, chunk_length, rust_step, circuit.rust_reports)

    rust_step = RUST_STEPS[step] if encoded else step
    version = {20: "0.18.1", 8: "0.16.8"}[draft]
    run()  # prepares its inputs
    return Baseline(f"Rust, prio {version}", run, us_per_report(circuit.rust_reports), reports / circuit.rust_reports)


def us_per_report(reports: int) -> Unit:
    return Unit("us/report", 1e6 / reports)


@pytest.mark.parametrize("draft", [DRAFT_20, DRAFT_08], ids=lambda draft: f"draft {draft.number}")
@pytest.mark.parametrize("circuit", CIRCUITS, ids=lambda circuit: circuit.name)
@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "encoded"])
@pytest.mark.parametrize("step", ["shard", "verify"])
def bench_prio3(
    paired: Paired, sizes: Sizes, rust: PrioRs | None, draft: Draft, circuit: Circuit, encoded: bool, step: str
) -> None:
    vdaf, n, ctx = circuit.make(draft), sizes.n, CTX[draft.number]
    measurements = circuit.measurements(np.arange(n, dtype=np.uint64))
    nonces, key = np.zeros((n, vdaf.NONCE_SIZE), np.uint8), bytes(vdaf.VERIFY_KEY_SIZE)
    public, inputs = vdaf.shard_batch(ctx, measurements, nonces)
    messages = [list(public), list(inputs[0])] if encoded else [public, inputs[0]]

    def shard() -> Any:
        made, shares = vdaf.shard_batch(ctx, measurements, nonces)
        return [list(rows) for rows in (made, *shares)] if encoded else shares

    def verify() -> Any:
        states, shares = vdaf.verify_init_batch(key, ctx, 0, nonces, *messages)
        return states, list(shares) if encoded else shares

    baseline = rust_baseline(rust, draft.number, circuit, circuit.chunk_length(vdaf), step, encoded, n)
    case = f"{circuit.name}, draft {draft.number}, {step}{', encoded' * encoded}"
    target = Target("ratio", circuit.times_as_fast, at_least=True)
    rounds = 5 if circuit.length >= 10_000 else 11
    result = paired(case, {"shard": shard, "verify": verify}[step], baseline, [us_per_report(n)], target, rounds=rounds)
    paired.note(circuit=circuit.name, length=circuit.length, draft=draft.number, step=step, encoded=encoded)
    assert step == "shard" or not result[0].rejected


@every_isa("turboshake")
def bench_turboshake(paired: Paired, sizes: Sizes, isa: str) -> None:
    """Long outputs of eight seeds, as when a Helper expands its share; the baseline expands one."""
    seeds, out = np.arange(8 * 32, dtype=np.uint8).reshape(8, 32), np.empty((8, sizes.m), np.uint8)
    baseline = Baseline(
        "pycryptodome",
        lambda: TurboSHAKE128.new(domain=1, data=seeds[0].tobytes()).read(sizes.m),
        gb_per_second(sizes.m),
        parts=8,
    )
    paired(f"TurboSHAKE128, {isa}", lambda: _vdaf.turboshake128(out, [seeds]), baseline, [gb_per_second(out.size)])
    assert out[7].tobytes() == TurboSHAKE128.new(domain=1, data=seeds[7].tobytes()).read(sizes.m)
