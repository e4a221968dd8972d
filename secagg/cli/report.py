"""The report of `secagg simulate`, as JSON and as text, with rounds side by side as in the paper's Fig. 8."""

import re
from collections.abc import Mapping
from enum import IntEnum
from statistics import fmean
from typing import Any

from rich.table import Table

from .. import _kernels
from ..protocol.simulate import Cost, Simulation
from .console import modulus_text, show, show_pairs, table
from .noise import noise_lines


def describe(result: Simulation, threads: int) -> dict[str, Any]:
    """Parameters, times and sizes, as --json prints them.

    Args:
        result: of the session; numbers of clients are means over those who answered.
        threads: how many computed it.
    """
    params = result.params
    rounds: list[dict[str, Any]] = [
        {"number": name.value, "round": str(name), "answered": len(result.answered[name]), **_costs(cost)}
        for name, cost in result.costs.items()
    ]
    total = {key: sum(row[key] for row in rounds) for key in _costs(Cost())}
    raw_bits = params.max_value.bit_length()
    raw = (params.m * raw_bits + 7) // 8
    return {
        "clients": params.n,
        "length": params.m,
        "modulus": params.modulus,
        "bits": params.bits,
        "model": option_name(params.model),
        "degree": params.holders - 1,
        "threshold": params.t,
        "threat": option_name(params.threat),
        "corrupt": params.n_corrupt,
        "threads": threads,
        "instruction_set": _kernels.isa(),
        "survivors": list(result.survivors),
        "rounds": rounds,
        "total": total,
        "raw_bits": raw_bits,
        "raw_bytes": raw,
        "expansion": (total["client_sent"] + total["client_received"]) / raw,
    }


def show_report(report: dict[str, Any]) -> None:
    """Print the report as text."""
    show_pairs(_setup_lines(report))
    show("", _figure8(report), "")
    with_noise = " with the clients' noise" if "noise" in report else ""
    pairs = [
        ("raw vector", f"{report['raw_bytes']:,} bytes ({report['raw_bits']} bits an entry)"),
        ("client's traffic", f"{_traffic(report):,.0f} bytes sent and received, {report['expansion']:.2f} x raw"),
        ("sum", f"of {len(report['survivors'])} clients; {_verdict(report)} the sum computed in the clear{with_noise}"),
    ]
    if "mean" in report:
        pairs += _mean_lines(report["mean"])
    if "noise" in report:
        pairs += noise_lines(report["noise"], len(report["survivors"]))
    show_pairs(pairs)


def _setup_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    dropped, threads = report["dropped"], report["threads"]
    gone = f"{len(dropped['clients'])} drop out before {dropped['round']}" if dropped["clients"] else "none drop out"
    return [
        ("clients", f"{report['clients']}, of whom {gone}"),
        ("vectors", f"{report['length']:,} entries mod {modulus_text(report['modulus'])}"),
        ("model", report["model"]),
        *(
            [("graph", f"sparse, {report['degree']:,} neighbours each")]
            if report["degree"] < report["clients"] - 1
            else []
        ),
        ("threshold", f"{report['threshold']} ({report['threat']}, {report['corrupt']} corrupt)"),
        ("computed", f"with {threads} {'thread' if threads == 1 else 'threads'}, {report['instruction_set']} kernels"),
    ]


def _figure8(report: dict[str, Any]) -> Table:
    """Rounds side by side, as in the paper."""
    rounds = [*report["rounds"], {"round": "Total", **report["total"]}]
    rounds_table = table("", *(re.sub("(?<=[a-z])(?=[A-Z])", " ", row["round"]) for row in rounds))
    rounds_table.add_row("answered", *(str(row.get("answered", "")) for row in rounds))
    for party in ("client", "server"):
        rounds_table.add_row(f"{party}, ms", *(f"{1e3 * row[f'{party}_seconds']:,.1f}" for row in rounds))
    for direction in ("sent", "received"):
        rounds_table.add_row(f"client {direction}, B", *(f"{row[f'client_{direction}']:,.0f}" for row in rounds))
    return rounds_table


def _mean_lines(mean: dict[str, Any]) -> list[tuple[str, str]]:
    clip, step = mean["clip"], f"{mean['value_bits']} bits a value"
    return [
        ("mean", f"written to {mean['output']}" if mean["output"] else "not written: no --output"),
        ("largest error", f"{mean['max_error']:.3g} in each entry of the mean, from quantizing ({step})"),
        ("clipped", f"{mean['clipped']:,} of {mean['values']:,} values were outside [-{clip:g}, {clip:g}]"),
    ]


def _costs(cost: Cost) -> dict[str, float]:
    return {
        "client_seconds": _mean(cost.client_seconds),
        "server_seconds": cost.server_seconds,
        "client_sent": _mean(cost.sent),
        "client_received": _mean(cost.received),
    }


def _mean(by_client: Mapping[int, float]) -> float:
    return fmean(by_client.values()) if by_client else 0.0


def _traffic(report: dict[str, Any]) -> float:
    return float(report["total"]["client_sent"] + report["total"]["client_received"])


def _verdict(report: dict[str, Any]) -> str:
    return "equal to" if report["sum_correct"] else "DIFFERS FROM"


def option_name(member: IntEnum) -> str:
    """A member as it is written in an option, such as semi-honest."""
    return member.name.lower().replace("_", "-")
