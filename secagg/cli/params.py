"""`secagg params`: the graph, the thresholds and the costs of a session, before there is one."""

import os
import time
from typing import Annotated, Any

import typer

from ..protocol.costs import Size, Traffic, client_seconds, client_traffic, measure, server_seconds
from ..protocol.finder import Choice
from ..protocol.params import Model, Params
from ..protocol.thresholds import Threat, default_threshold, majority
from .app import require
from .console import show, show_json, show_pairs, table
from .numbers import integer_option
from .simulate import DEFAULT_BITS, DEFAULT_LENGTH, choose


def params(
    clients: Annotated[int, integer_option(help="Number of clients, n.")] = 1000,
    corrupt: Annotated[
        str, typer.Option(metavar="USERS", help="How many of them may be corrupt: a number, or a share such as 5%.")
    ] = "5%",
    dropouts: Annotated[
        str, typer.Option(metavar="USERS", help="How many of those who joined may leave: a number, or a share of n.")
    ] = "5%",
    model: Annotated[str, typer.Option(help="How corrupt parties may behave: semi-honest or active.")] = "semi-honest",
    min_joined: Annotated[
        int | None, integer_option(help="How many clients join at least. [default: nine in ten]")
    ] = None,
    liars: Annotated[int, integer_option(help="Correct so many wrong shares of every secret.")] = 0,
    length: Annotated[int, integer_option(help="Entries of each client's vector, m.")] = DEFAULT_LENGTH,
    bits: Annotated[int, integer_option(help="Sums are mod R = 2^bits, 1 .. 64.")] = DEFAULT_BITS,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; times in seconds, sizes in bytes.")] = False,
) -> None:
    """Choose a graph: with how many others each client shares, and how many shares reveal a secret.

    Prints the smallest sparse graph that protects every input, the probabilities that it does not and that a secret is
    lost, and what it costs a client and the server beside the complete graph. Nothing is chosen for a session: that
    takes `Params(graph=Sparse(degree))`. Bytes are those of each message, where nobody leaves and ids are 1 to n.
    Seconds are those of one core of this machine, of the steps that take most of the time, each measured now.

    \b
    Examples:
      secagg params --clients 10000 --corrupt 5% --dropouts 5%
      secagg params --clients 1000 --corrupt 20 --dropouts 100 --liars 3 --json
      secagg params --clients 10000 --model active --corrupt 1%
    """
    require(1 <= bits <= 64, f"--bits must be 1 .. 64, got {bits}")
    require(length >= 1, f"--length must be at least 1, got {length}")
    found = Params.sparse(
        clients,
        corrupt=_users("--corrupt", corrupt, clients),
        dropouts=_users("--dropouts", dropouts, clients),
        model=choose("--model", Model, model),
        min_joined=min_joined,
        liars=liars,
    )
    report = describe_choice(found) | {"costs": [_costs(graph, found, length, 1 << bits) for graph in _graphs(found)]}
    show_json(report) if json else _show(report)


def describe_choice(found: Choice) -> dict[str, Any]:
    """What was found, as JSON has it.

    Args:
        found: the choice.
    """
    cohort = found.cohort
    return {
        "clients": cohort.n,
        "min_joined": cohort.min_joined,
        "corrupt": cohort.n_corrupt,
        "dropouts": found.dropouts,
        "liars": found.liars,
        "model": cohort.model.name.lower().replace("_", "-"),
        "graph": "complete" if found.complete else "sparse",
        "degree": found.degree,
        "threshold": found.t,
        "corrupt_neighbours": found.c,
        "min_users": found.min_users,
        "log2_privacy": None if found.complete else found.log2_privacy,
        "log2_correctness": None if found.complete else found.log2_correctness,
    }


def _users(option: str, text: str, n: int) -> int:
    """A number of users, or a share of n, rounded up: fewer would be less than was said."""
    digits = text.removesuffix("%")
    require(digits.isascii() and digits.isdecimal(), f"{option} must be a number such as 50, or a share such as 5%")
    return -(-int(digits) * n // 100) if text.endswith("%") else int(digits)


def _graphs(found: Choice) -> list[tuple[str, int, int]]:
    """Name, holders and t of the graphs that are compared."""
    n, n_corrupt = found.cohort.n, found.cohort.n_corrupt
    complete = "complete", n, default_threshold(n, Threat.COLLUDING, n_corrupt)
    return [complete] if found.complete else [("sparse", found.degree + 1, found.t), complete]


def _costs(graph: tuple[str, int, int], found: Choice, m: int, modulus: int) -> dict[str, Any]:
    name, holders, t = graph
    cohort = found.cohort
    size = Size(cohort.n, holders, t, m, modulus, cohort.model, majority(cohort.n, cohort.n_corrupt))
    traffic, rates = client_traffic(size), measure(size, time.process_time, os.urandom)
    return {
        "graph": name,
        "client_sent": traffic.sent,
        "client_received": traffic.received,
        "client_messages": _messages(traffic),
        "client_seconds": client_seconds(size, rates),
        "server_seconds": server_seconds(size, rates, found.dropouts),
    }


def _messages(traffic: Traffic) -> dict[str, int]:
    """Bytes by the message's name, in the order in which they travel."""
    opened = {kind.ANSWER: (kind, length) for kind, length in traffic.requests.items()}
    in_turn = [pair for kind, length in traffic.answers.items() for pair in (opened.get(kind), (kind, length)) if pair]
    return {kind.__name__: length for kind, length in in_turn}


def _show(report: dict[str, Any]) -> None:
    show_pairs(_lines(report))
    costs = table("graph", "client, ms", "client sends, B", "client receives, B", "server, s")
    for row in report["costs"]:
        costs.add_row(
            row["graph"],
            f"{1e3 * row['client_seconds']:,.1f}",
            f"{row['client_sent']:,}",
            f"{row['client_received']:,}",
            f"{row['server_seconds']:,.1f}",
        )
    show(costs)
    messages = table("message of a client", *(f"{row['graph']}, B" for row in report["costs"]))
    for name in report["costs"][0]["client_messages"]:
        messages.add_row(name, *(f"{row['client_messages'][name]:,}" for row in report["costs"]))
    show(messages)


def _lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    n, joined = report["clients"], report["min_joined"]
    pairs = [
        ("clients", f"{n:,}, of whom {joined:,} join, {report['dropouts']:,} leave, {report['corrupt']:,} are corrupt"),
        ("model", report["model"]),
    ]
    if report["graph"] == "complete":
        why = "a sparse one would need a degree above n / 2"
        return [*pairs, ("graph", f"complete: {why}"), ("threshold", f"{report['threshold']:,} of {n:,} shares")]
    return [
        *pairs,
        ("graph", f"sparse, {report['degree']:,} neighbours each"),
        ("threshold", f"{report['threshold']:,} of {report['degree'] + 1:,} shares"),
        ("corrupt", f"at most {report['corrupt_neighbours']:,} neighbours of an honest client"),
        ("unprotected", f"an input with probability 2^{report['log2_privacy']:.1f} at most"),
        ("lost", f"a secret with probability 2^{report['log2_correctness']:.1f} at most"),
        ("sum", f"of {report['min_users']:,} clients at least"),
    ]
