"""Draws Prio3's cost against the number of buckets, from a pytest-benchmark report of bench_vdaf.py:
`python -m bench.plot_vdaf report.json` writes vdaf_buckets.svg."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PLOT = Path(__file__).parent / "results" / "vdaf_buckets.svg"

Record = dict[str, Any]
Curve = dict[int, float]


def histograms(report: Record) -> list[Record]:
    everything = (benchmark["extra_info"] for benchmark in report["benchmarks"])
    return [info for info in everything if info.get("circuit", "").startswith("Histogram") and not info["encoded"]]


def curves(records: Iterable[Record], draft: int, step: str) -> tuple[str, Curve, Curve]:
    """The baseline's name, and microseconds a report by number of buckets, here and there."""
    name, here, there = "", {}, {}
    for info in records:
        if info["draft"] == draft and info["step"] == step:
            name = info["baseline"]["name"]
            here[info["length"]] = info["figures"]["us/report"][1]
            there[info["length"]] = info["baseline"]["us/report"][1]
    return name, here, there


def draw(axes: Axes, records: list[Record], step: str) -> None:
    for draft, style in ((20, "-"), (8, "--")):
        name, here, there = curves(records, draft, step)
        axes.loglog(list(here), list(here.values()), f"C0o{style}", label=f"secagg, draft {draft}")
        axes.loglog(list(there), list(there.values()), f"C1s{style}", label=f"{name}, draft {draft}")
    axes.set(title=step, xlabel="buckets")
    axes.grid(alpha=0.3)


def write(report: Record) -> None:
    records = histograms(report)
    matplotlib.rcParams["svg.hashsalt"] = "secagg"
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    shard, verify = figure.subplots(1, 2, sharey=True)
    draw(shard, records, "shard")
    draw(verify, records, "verify")
    shard.set_ylabel("microseconds a report")
    shard.legend()
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    write(json.loads(Path(sys.argv[1]).read_text()))
