"""`secagg simulate`: a whole session in one process, timed and weighed like the paper's Fig. 8."""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from .. import _kernels
from ..protocol.messages import Round
from ..protocol.params import Model, Params, Threat
from ..protocol.simulate import Cost, Progress, Simulation, expected_sum
from ..protocol.simulate import simulate as run_session
from .console import CommandError, console, fail, modulus_text, require, show, show_json, show_pairs, table
from .vectors import Folder, Quantized, Synthetic

Choice = TypeVar("Choice", bound=IntEnum)

DEFAULT_CLIENTS = 100
DEFAULT_LENGTH = 100_000
DEFAULT_BITS = 24  # these three are those of Fig. 8


def simulate(
    clients: Annotated[int | None, typer.Option(help="Number of clients, n. [default: 100]")] = None,
    length: Annotated[int | None, typer.Option(help="Entries of each client's vector, m. [default: 100000]")] = None,
    bits: Annotated[int | None, typer.Option(help="Sums are mod R = 2^bits, 1 .. 64. [default: 24]")] = None,
    modulus: Annotated[int | None, typer.Option(help="Any other R, 2 .. 2^64, instead of --bits.")] = None,
    drop: Annotated[float, typer.Option(help="Fraction of the clients that drop out, 0 <= drop < 1.")] = 0.0,
    drop_at: Annotated[
        str,
        typer.Option(
            metavar="ROUND",
            help="The message that they no longer send: advertise-keys (0), share-keys (1),"
            " masked-input-collection (2), consistency-check (3; active model only) or unmasking (4).",
        ),
    ] = "masked-input-collection",
    model: Annotated[
        str,
        typer.Option(
            help="How corrupt parties may behave: semi-honest (they follow the protocol) or active (they do anything;"
            " everyone signs, with identities made for this run)."
        ),
    ] = "semi-honest",
    threshold: Annotated[
        int | None, typer.Option(help="Clients that must answer every round, t. [default: what the threat asks for]")
    ] = None,
    threat: Annotated[
        str, typer.Option(help="Who may be corrupt: clients-only, server-only or colluding (both together).")
    ] = "colluding",
    corrupt: Annotated[
        int | None, typer.Option(help="Number of corrupt clients. [default: below n/3 if colluding, else 0]")
    ] = None,
    threads: Annotated[
        int, typer.Option(help="Clients computed at once, and threads of the server; Fig. 8 uses one.")
    ] = 1,
    folder: Annotated[
        Path | None, typer.Option("--input", metavar="DIR", help="Take one .npy vector of floats per client from here.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(help="With --input: larger magnitudes are cut to this before they are quantized.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --input: write the survivors' mean here, as .npy.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Repeat the same random inputs and dropouts. Keys are always fresh.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; times in seconds, sizes in bytes.")] = False,
) -> None:
    """Run one round of secure aggregation, all clients and the server, in this process.

    Prints the time that each step takes a client and the server, the bytes that a client sends and receives, and
    whether the sum is the one computed in the clear.

    Inputs are random, or vectors of yours with --input: one file a client, in the order of their names, quantized as
    finely as R allows. Then the mean over the clients that stay is written to --output.

    \b
    Examples:
      secagg simulate --clients 100 --length 100000 --bits 24 --drop 0.1
      secagg simulate --clients 50 --drop 0.2 --drop-at unmasking --json
      secagg simulate --model active --drop 0.1 --drop-at consistency-check
      secagg simulate --input updates/ --clip 1.0 --bits 32 --output mean.npy

    Exit codes: 0 done; 1 the sum is wrong; 2 it cannot be done as asked.
    """
    require(threads >= 1, f"--threads must be at least 1, got {threads}")
    require(seed is None or seed >= 0, f"--seed must not be negative, got {seed}")
    seed = secrets.randbits(63) if seed is None else seed
    settings = choose_settings(choose_modulus(bits, modulus), model, threat, threshold, corrupt)
    round_of_drop = choose_round(drop_at, settings["model"])
    inputs = choose_inputs(folder, clip, output, clients, length, seed, settings)
    dropped = choose_dropped(inputs.params.n, drop, seed)
    with progress_bar() as progress:
        result = run_session(inputs.params, inputs, drops={round_of_drop: dropped}, threads=threads, progress=progress)
    report = describe(result, threads)
    report["dropped"] = {"round": str(round_of_drop), "clients": dropped}
    report["seed"] = seed
    report["sum_correct"] = correct = bool(
        np.array_equal(result.sum, expected_sum(result.params, inputs, result.survivors))
    )
    if isinstance(inputs, Quantized) and correct:
        report["mean"] = save_mean(inputs, result, output)
    show_json(report) if json else show_report(report)
    if not correct:
        fail("the sum differs from the one computed in the clear", code=1)


def choose(option: str, kind: type[Choice], text: str) -> Choice:
    """The member of `kind` that is meant, by name in any spelling of words or by number."""
    for member in kind:
        if text.strip() == str(member.value) or _squeezed(text) == _squeezed(member.name):
            return member
    known = ", ".join(f"{_option_name(member)} ({member.value})" for member in kind)
    raise CommandError(f"{option} must be one of {known}; got {text!r}")


def choose_modulus(bits: int | None, modulus: int | None) -> int:
    """R, from the one of --bits and --modulus that was given."""
    require(bits is None or modulus is None, "--bits and --modulus both choose R: give one of them")
    if modulus is not None:
        return modulus
    bits = DEFAULT_BITS if bits is None else bits
    require(1 <= bits <= 64, f"--bits must be 1 .. 64, got {bits}")
    return 1 << bits


def choose_round(text: str, model: Model) -> Round:
    """What --drop-at means, if the model has such a round."""
    chosen = choose("--drop-at", Round, text)
    require(
        model is Model.ACTIVE or chosen is not Round.CONSISTENCY_CHECK,
        f"--drop-at {text}: only the active model has this round; add --model active",
    )
    return chosen


def choose_settings(
    modulus: int, model: str, threat: str, threshold: int | None, corrupt: int | None
) -> dict[str, Any]:
    """What does not depend on the inputs, as arguments of Params, which checks it."""
    settings: dict[str, Any] = {
        "modulus": modulus,
        "model": choose("--model", Model, model),
        "threat": choose("--threat", Threat, threat),
    }
    if threshold is not None:
        require(threshold >= 2, f"--threshold must be at least 2, got {threshold}")
        settings["t"] = threshold
    if corrupt is not None:
        require(corrupt >= 0, f"--corrupt must not be negative, got {corrupt}")
        settings["n_corrupt"] = corrupt
    return settings


def choose_inputs(
    folder: Path | None,
    clip: float | None,
    output: Path | None,
    clients: int | None,
    length: int | None,
    seed: int,
    settings: dict[str, Any],
) -> Synthetic | Quantized:
    """Random inputs, or with --input those of the folder."""
    if folder is None:
        require(output is None, "--output needs --input: there is no mean of random inputs to write")
        require(clip is None, "--clip needs --input: random inputs are not quantized")
        n = DEFAULT_CLIENTS if clients is None else clients
        m = DEFAULT_LENGTH if length is None else length
        require(n >= 2, f"--clients must be at least 2, got {n}")
        require(m >= 1, f"--length must be at least 1, got {m}")
        return Synthetic(Params(n=n, m=m, **settings), seed)
    if clip is None:
        raise CommandError("--input needs --clip: the largest magnitude that a value keeps")
    require(clients is None and length is None, "--input sets --clients and --length: leave them out")
    check_writable(output)
    return Quantized(Folder(folder), clip, seed, settings)


def choose_dropped(n: int, fraction: float, seed: int) -> list[int]:
    """The ids of those who drop out, at random."""
    require(0 <= fraction < 1, f"--drop must be at least 0 and below 1, got {fraction}")
    rng = np.random.default_rng([seed, 0])
    return sorted((rng.permutation(n)[: round(fraction * n)] + 1).tolist())


def check_writable(output: Path | None) -> None:
    """Complain before the work rather than after it."""
    if output is not None:
        require(not output.is_dir(), f"cannot write {output}: it is a directory")
        require(output.parent.is_dir(), f"cannot write {output}: no such directory: {output.parent}")
        target = output if output.exists() else output.parent
        require(os.access(target, os.W_OK), f"cannot write {output}: no permission")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr while the session goes on, if that is a terminal."""
    err = console(stderr=True)
    if not err.is_interactive:
        yield lambda name, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with ProgressBar(*columns, console=err, transient=True) as bar:
        task = bar.add_task("")
        yield lambda name, done, total: bar.update(
            task, description=f"Round {name.value}, {name}", completed=done, total=total
        )


def describe(result: Simulation, threads: int) -> dict[str, Any]:
    """Parameters, times and sizes, as --json prints them. Clients' numbers are means over those who answered."""
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
        "model": _option_name(params.model),
        "threshold": params.t,
        "threat": _option_name(params.threat),
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


def save_mean(inputs: Quantized, result: Simulation, output: Path | None) -> dict[str, Any]:
    """Write the mean over the survivors, and say what it is worth."""
    k = len(result.survivors)
    aggregate = inputs.quantizer.decode(result.sum, result.params, k)
    if output is not None:
        with output.open("wb") as file:  # np.save would add .npy to the name
            np.save(file, aggregate.mean)
    return {
        "files": [file.name for file in inputs.folder.files],
        "clip": inputs.quantizer.clip,
        "value_bits": inputs.quantizer.bits,
        "max_error": aggregate.mean_error,
        "clipped": sum(inputs.clipped[u] for u in result.survivors),
        "values": k * result.params.m,
        "output": None if output is None else str(output),
    }


def show_report(report: dict[str, Any]) -> None:
    """The same as text."""
    show_pairs(_setup_lines(report))
    show("", _figure8(report), "")
    pairs = [
        ("raw vector", f"{report['raw_bytes']:,} bytes ({report['raw_bits']} bits an entry)"),
        ("client's traffic", f"{_traffic(report):,.0f} bytes sent and received, {report['expansion']:.2f} x raw"),
        ("sum", f"of {len(report['survivors'])} clients; {_verdict(report)} the sum computed in the clear"),
    ]
    if "mean" in report:
        pairs += _mean_lines(report["mean"])
    show_pairs(pairs)


def _setup_lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    dropped, threads = report["dropped"], report["threads"]
    gone = f"{len(dropped['clients'])} drop out before {dropped['round']}" if dropped["clients"] else "none drop out"
    return [
        ("clients", f"{report['clients']}, of whom {gone}"),
        ("vectors", f"{report['length']:,} entries mod {modulus_text(report['modulus'])}"),
        ("model", report["model"]),
        ("threshold", f"{report['threshold']} ({report['threat']}, {report['corrupt']} corrupt)"),
        ("computed", f"with {threads} {'thread' if threads == 1 else 'threads'}, {report['instruction_set']} kernels"),
    ]


def _figure8(report: dict[str, Any]) -> Table:
    """Rounds side by side, as in the paper."""
    rounds = [*report["rounds"], {"round": "Total", **report["total"]}]
    made = table("", *(re.sub("(?<=[a-z])(?=[A-Z])", " ", row["round"]) for row in rounds))
    made.add_row("answered", *(str(row.get("answered", "")) for row in rounds))
    for party in ("client", "server"):
        made.add_row(f"{party}, ms", *(f"{1e3 * row[f'{party}_seconds']:,.1f}" for row in rounds))
    for direction in ("sent", "received"):
        made.add_row(f"client {direction}, B", *(f"{row[f'client_{direction}']:,.0f}" for row in rounds))
    return made


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


def _option_name(member: IntEnum) -> str:
    return member.name.lower().replace("_", "-")


def _squeezed(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()
