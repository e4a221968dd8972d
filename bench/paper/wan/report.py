"""What was measured, kept as JSON, and the tables and the plot that are made of it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from secagg import Round

from ...tables import number, table
from ..figures import SVG
from . import links
from .crowd import THREADS
from .parts import PARTS, QUICK, Part
from .result import Run
from .toxiproxy import VERSION

BEGIN, END = "<!-- written by bench.paper.wan -->", "<!-- end -->"
MOST_TAKEN = 0.1  # of the machine's cores, by others, before the report warns
MOST_RATIO, MOST_BYTES, LEAST_RATE = 1.3, 1e9, 500
ROUNDS = tuple(map(str, Round))


class Spread(NamedTuple):
    """Milliseconds: mean and standard deviation, as Fig. 9 has them."""

    mean: float
    deviation: float


class Paper(NamedTuple):
    """A line of Fig. 9; `megabytes` of each client."""

    client: Spread
    server: Spread
    megabytes: float


FIG9 = {
    500: Paper(Spread(13_159, 6_443), Spread(14_670, 6_574), 0.95),
    1000: Paper(Spread(23_497, 6_271), Spread(27_855, 6_874), 1.15),
}


@dataclass
class Measured:
    """All runs so far.

    Attributes:
        origin: what they depend on: machine and versions in lines, processes, seed.
        runs: by the name of their part.
        dates: of the last run, by part.
        commands: that made them, by part.
        minutes: that the last command took.
    """

    origin: dict[str, Any]
    runs: dict[str, list[Run]] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    minutes: float = 0.0

    @classmethod
    def load(cls, path: Path, origin: dict[str, Any]) -> "Measured":
        """What a file holds of the same origin; nothing, if it holds another's."""
        if not path.exists():
            return cls(origin)
        held = json.loads(path.read_text())
        if held["origin"] != origin:
            return cls(origin)
        runs = {name: [Run(**each) for each in some] for name, some in held.pop("runs").items()}
        return cls(runs=runs, **held)

    def save(self, path: Path) -> None:
        """All of it or nothing, whatever interrupts."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1) + "\n")
        partial.replace(path)

    @property
    def parts(self) -> list[Part]:
        """Those that there are runs of."""
        return [part for part in (*PARTS, *QUICK) if self.runs.get(part.name)]


def lines(measured: Measured) -> Iterator[str]:
    """The Markdown between the marks."""
    yield from measured.origin["machine"]
    yield from _commands(measured)
    yield from _setting(measured)
    yield from _fig9(measured)
    yield from _targets(measured)
    yield from _rounds(measured)
    yield from _variants(measured)
    yield from _left_out(measured)


def _commands(measured: Measured) -> Iterator[str]:
    by_command: dict[tuple[str, str], list[Part]] = {}
    for part in measured.parts:
        by_command.setdefault((measured.commands[part.name], measured.dates[part.name]), []).append(part)
    for (command, date), parts in by_command.items():
        loads = [run.load for part in parts for run in measured.runs[part.name]]
        yield (
            f"- `{command}`, {date}: {', '.join(part.name for part in parts)}; load average when a run began"
            f" {number(min(loads))} to {number(max(loads))}"
        )
    yield f"- the last of these took {measured.minutes:.0f} minutes\n"


def _setting(measured: Measured) -> Iterator[str]:
    origin = measured.origin
    yield (
        f"The coordinator is `secagg serve`, a process with its state on {origin['disk']}. The participants are"
        f" `AsyncParticipant`, dealt out to {origin['processes']} processes of {THREADS} threads, each with a saved"
        f" client on {origin['memory']}: a thousand of them have not one disk in common. Each has a listener of"
        f" Toxiproxy {VERSION} to itself. {links.DISTRIBUTION} Links are drawn from seed {origin['seed']}. Connections"
        " are made without a delay, but not TLS's handshake. Vectors have 100,000 entries of 62 bits, each sum is"
        " compared with what was put in, and participants do not read it, as in the paper.\n"
    )


def _fig9(measured: Measured) -> Iterator[str]:
    rows = [
        (
            f"{part.n:,}",
            f"{len(measured.runs[part.name])}",
            *_beside(_spread(measured, part, lambda run: sum(run.client.values())), FIG9[part.n].client),
            *_beside(_spread(measured, part, lambda run: run.whole), FIG9[part.n].server),
            number(_mean(measured, part, lambda run: run.apart)),
            f"{_mean(measured, part, lambda run: (run.up + run.down) / 1e6):.2f}",
            f"{FIG9[part.n].megabytes}",
        )
        for part in measured.parts
        if part.name in ("500", "1000")
    ]
    if rows:
        header = (
            "n", "runs", "client, s", "paper's", "server, s", "paper's", "on a core each, s", "MB a client", "paper's",
        )  # fmt: skip
        yield "## Figure 9\n"
        yield from table(header, rows)
        yield (
            "Mean and standard deviation of whole sessions, with all waiting. A client's ends when its last answer is"
            " acknowledged, the server's with the sum. **The paper's clients had machines of their own; here all share"
            ' the cores of one**, and computing is most of the time. "On a core each" is computed: in each round the'
            " slowest link and one participant's CPU time, then all of the coordinator's. Megabytes are what came"
            " through the links, with all of HTTP.\n"
        )
        yield from _busy(measured)


def _busy(measured: Measured) -> Iterator[str]:
    """A warning, where the machine was not ours."""
    taken = max(run.others / run.whole for some in measured.runs.values() for run in some)
    if taken > MOST_TAKEN * measured.origin["cores"]:
        yield (
            f"**The machine was busy with other things, which took up to {number(taken)} of its"
            f" {measured.origin['cores']} cores**: all seconds here are longer than they would be on a quiet one, also"
            " those of CPU time. The last column of the next table says how they compare with what was left.\n"
        )


def _targets(measured: Measured) -> Iterator[str]:
    """What the issue of the service asks for at n = 1,000; for other parts as far as it can be said."""
    rows = []
    for part in measured.parts:
        ratio = _mean(measured, part, lambda run: run.whole / run.bound if run.bound else 0.0)
        beside = _mean(measured, part, lambda run: run.whole / run.left if run.left else 0.0)
        least = _mean(measured, part, lambda run: run.bound)
        peak, rate = max(run.peak for run in measured.runs[part.name]), _mean(measured, part, lambda run: run.rate)
        rows.append(
            (
                *_what(part),
                number(least) if least else "",
                f"{ratio:.2f}{_met(ratio <= MOST_RATIO)}" if ratio else "",
                number(_mean(measured, part, lambda run: run.computing) / part.everybody),
                f"{peak / 1e6:.0f}{_met(peak < MOST_BYTES)}",
                f"{rate:,.0f}{_met(rate >= LEAST_RATE)}",
                number(_mean(measured, part, lambda run: run.others / run.whole)),
                f"{beside:.2f}" if beside else "",
            )
        )
    yield "## Bounds and targets\n"
    yield from table(
        (
            "n", "", "bound, s", f"server's time / bound, at most {MOST_RATIO}", "CPU seconds of a participant",
            "coordinator's peak MB, under 1,000",
            f"ShareKeys messages a CPU second of the coordinator, at least {LEAST_RATE}", "cores that others took",
            "time / bound on the other cores",
        ),
        rows,
    )  # fmt: skip
    yield (
        "The bound is what links and the measured CPU time allow, summed over rounds; `bench/paper/wan/bound.py` has"
        " the formula. The ratio shows how long cores and links were idle, and not whether less CPU time would do: that"
        f" of a participant stands beside it. The bound takes all {measured.origin['cores']} cores to be ours; in the"
        " last column it takes only what others have left of them, on an average. The rate is of the coordinator's"
        " whole process, user and system time, from the end of AdvertiseKeys to that of ShareKeys, with all polls in"
        " between.\n"
    )


def _rounds(measured: Measured) -> Iterator[str]:
    yield "## Round by round\n"
    rows = []
    for part in measured.parts:
        for who, of in _PARTIES:
            cells = [number(_mean(measured, part, of(each))) if _has(measured, part, each) else "" for each in ROUNDS]
            total = number(sum(_mean(measured, part, of(each)) for each in ROUNDS if _has(measured, part, each)))
            rows.append((*_what(part), who, *cells, total))
    yield from table(("n", "", "", *ROUNDS, "total"), rows)
    yield (
        "Means in seconds. A round of the server's lasts from its opening to its end; a client's from one"
        " acknowledgement to the next, so that the end of one round and what others need for it are in the next.\n"
    )
    yield "![Seconds by round](figures/fig9.svg)\n"


_PARTIES: tuple[tuple[str, Callable[[str], Callable[[Run], float]]], ...] = (
    ("server", lambda current: lambda run: run.server[current]),
    ("client", lambda current: lambda run: run.client[current]),
    ("coordinator's CPU", lambda current: lambda run: run.coordinator[current]),
    ("participants' CPU", lambda current: lambda run: run.participants[current]),
)


def _variants(measured: Measured) -> Iterator[str]:
    rows = (
        (
            *_what(part),
            f"{len(measured.runs[part.name])}",
            _in_words(_spread(measured, part, lambda run: run.whole)),
            number(_mean(measured, part, lambda run: run.survivors)),
            number(_mean(measured, part, lambda run: run.lost)),
            f"{_mean(measured, part, lambda run: run.up / 1e6):.3f}",
            f"{_mean(measured, part, lambda run: run.down / 1e6):.3f}",
            number(_mean(measured, part, lambda run: run.proxy)),
        )
        for part in measured.parts
    )
    yield "## Variants\n"
    yield from table(
        ("n", "", "runs", "server, s", "inputs in the sum", "lost", "MB up", "MB down", "proxy's CPU, s"), rows
    )
    deadlines = {run.deadline for some in measured.runs.values() for run in some if run.deadline}
    if deadlines:
        yield (
            "Who drops out vanishes once it has answered ShareKeys. Nobody can tell it from the slow, so that"
            f" MaskedInputCollection lasts until its deadline, of {min(deadlines):.0f} to {max(deadlines):.0f} s:"
            ' about twice as long as the others take. "Lost" are those who did not vanish, and whom a round has ended'
            " without.\n"
        )
    if "tmpfs" in measured.runs:
        yield (
            "Without a journal on disk: the coordinator's state is in memory (tmpfs), where a sync costs nothing. What"
            " is written stays the same, as the service has no other way.\n"
        )


def _left_out(measured: Measured) -> Iterator[str]:
    wanted = QUICK if any(part in QUICK for part in measured.parts) else PARTS
    missing = {part: part.runs - len(measured.runs.get(part.name, ())) for part in wanted}
    words = [f"{count} of {part.runs} runs of {part.name}" for part, count in missing.items() if count > 0]
    if words:
        yield f"**A subset**; left out: {', '.join(words)}.\n"


def _what(part: Part) -> tuple[str, str]:
    return f"{part.n:,}", part.title


def _has(measured: Measured, part: Part, current: str) -> bool:
    return current in measured.runs[part.name][0].server


def _mean(measured: Measured, part: Part, of: Callable[[Run], float]) -> float:
    return mean(map(of, measured.runs[part.name]))


def _spread(measured: Measured, part: Part, of: Callable[[Run], float]) -> Spread:
    """In milliseconds, of a value in seconds."""
    values = [1000 * of(run) for run in measured.runs[part.name]]
    return Spread(mean(values), stdev(values) if len(values) > 1 else float("nan"))


def _beside(ours: Spread, paper: Spread) -> tuple[str, str]:
    return f"**{_in_words(ours)}**", _in_words(paper)


def _in_words(spread: Spread) -> str:
    """In seconds; a single run has no deviation."""
    deviation = "" if spread.deviation != spread.deviation else f" ± {number(spread.deviation / 1000)}"
    return number(spread.mean / 1000) + deviation


def _met(met: bool) -> str:
    return "" if met else " (**missed**)"


def write(measured: Measured, folder: Path) -> None:
    """service.md, whose words around the marks are kept, and the plot."""
    path = folder / "service.md"
    before, _, rest = (path.read_text() if path.exists() else _EMPTY).partition(BEGIN)
    text = "\n".join(lines(measured)).rstrip()
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    save_plot(measured, folder / "figures" / "fig9.svg")


_EMPTY = f"""# The service over a wide area

`python -m bench.paper.wan` runs whole sessions of the service as the paper's Fig. 9 has them, and writes what stands
between the marks below; every run is in [figures/fig9.json](figures/fig9.json).

{BEGIN}
{END}
"""


def save_plot(measured: Measured, path: Path) -> None:
    """A bar for each part, round after round, and the paper's servers beside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(SVG):
        figure = Figure(figsize=(9, 1.2 + 0.4 * len(measured.parts)), layout="constrained")
        axes = figure.subplots()
        for row, part in enumerate(measured.parts):
            left = 0.0
            for index, current in enumerate(ROUNDS):
                if _has(measured, part, current):
                    seconds = _mean(measured, part, _PARTIES[0][1](current))
                    axes.barh(row, seconds, left=left, color=f"C{index}", label=current)
                    left += seconds
            if part.name in ("500", "1000"):
                paper = FIG9[part.n].server
                axes.errorbar(
                    paper.mean / 1000, row, xerr=paper.deviation / 1000, fmt="kx", capsize=3, label="the paper's server"
                )
        axes.set_yticks(range(len(measured.parts)), [f"n = {', '.join(_what(part))}" for part in measured.parts])
        axes.invert_yaxis()
        axes.set(xlabel="seconds", title="Sessions over links like those of telephones")
        figure.legend(*_once(*axes.get_legend_handles_labels()), fontsize="small", loc="outside right center")
        axes.grid(axis="x", alpha=0.3)
        figure.savefig(path, metadata={"Date": None})


def _once(handles: Sequence[Any], labels: Sequence[str]) -> tuple[list[Any], list[str]]:
    first = {label: handle for handle, label in zip(reversed(handles), reversed(labels), strict=True)}
    ordered = [label for label in (*ROUNDS, "the paper's server") if label in first]
    return [first[label] for label in ordered], ordered
