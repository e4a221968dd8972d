"""The mean of vectors that their owners keep to themselves, under noise that they add together.

Users hold vectors of bounded L2 norm, such as clipped gradients. In each round every user clips its vector, adds its
part of the noise, masks both and takes part in the protocol, unless its own ledger says that its budget is spent; the
server learns the noisy mean. Users drop out after they have agreed on masks with the others, as many as the protocol
allows. What is counted on is the noise of those that must remain, less the corrupt among them (min_users - n_C,
about a third), so that dropouts never weaken the guarantee; whatever the others add on top is over-noise.

Compared with it is central noise at the same budget: what a server would add that is trusted with the exact mean. The
standard deviation is sqrt(k / (min_users - n_C)) times larger with k users in the sum: 1.7 times with all of them, 1.4
times with min_users. All of it with and without a random rotation, which changes no error but the bits that an entry
takes.
"""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from secagg import Round, Server
from secagg.dp import ApproxDp, BudgetExceeded, Ledger, Party
from secagg.noisy import NoisyClient, NoisySum, Release

EPSILONS = ("0.5", "1", "2", "4", "8")
DELTA = "1e-6"
CLIP = 1.0
AT_ONE = "1"  # the epsilon at which dropouts are varied
TICKS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the users that may drop out

Vectors = NDArray[np.float64]


class Row(NamedTuple):
    """Root mean square errors of an entry of the mean, over the users that remain."""

    epsilon: float
    rotated: bool
    dropped: int
    error: float
    expected: float
    central: float  # over the same users
    over_noise: float
    bits: int
    sent: int  # bytes of a masked vector

    @property
    def ratio(self) -> float:
        return self.error / self.central


def draw(users: int, entries: int, rng: np.random.Generator) -> Vectors:
    """Users' vectors [users, entries], of norm 0.5 to 2, half of it in a direction that all have in common."""
    vectors = rng.normal(size=entries) + rng.normal(size=(users, entries))
    norms: Vectors = rng.uniform(0.5, 2, (users, 1))
    return np.asarray(vectors * norms / np.linalg.norm(vectors, axis=1, keepdims=True))


def clipped(vectors: Vectors) -> Vectors:
    return np.asarray(vectors * np.minimum(1, CLIP / np.linalg.norm(vectors, axis=1, keepdims=True)))


def session(task: NoisySum[Any], vectors: Vectors, ledgers: list[Ledger], dropped: int) -> tuple[Server, Release[Any]]:
    """A whole round of the protocol, in which the first users drop out: the server, and what it releases.

    Raises:
        BudgetExceeded: a user's ledger does not pay for the round; that user has sent nothing.
    """
    params = task.params(context=b"private mean")
    server = Server(params)
    clients = {
        u: NoisyClient(params, task, u, task.encode(vector, params), ledger=ledger)
        for u, (vector, ledger) in enumerate(zip(vectors, ledgers, strict=True), 1)
    }
    messages = {u: client.start() for u, client in clients.items()}
    while server.round is not None:
        for u, message in messages.items():
            server.receive(u, message)
        requests = server.end_round()
        if server.round is Round.MASKED_INPUT_COLLECTION:
            clients = {u: client for u, client in clients.items() if u > dropped}
        messages = {u: clients[u].receive(request) for u, request in requests.items() if u in clients}
    return server, task.decode(server.sum, params, len(server.survivors))


def measure(task: NoisySum[Any], vectors: Vectors, dropped: int) -> Row:
    """One round, and central noise for the same users."""
    server, release = session(task, vectors, [Ledger(task.budget) for _ in vectors], dropped)
    k = len(server.survivors)
    mean = clipped(vectors[np.array(server.survivors) - 1]).mean(axis=0)
    central = task.central.noise_for(Party.COLLECTOR).sample() * task.step / k
    row = Row(
        epsilon=float(epsilon_of(task)),
        rotated=task.rotate,
        dropped=task.n - k,
        error=float(np.sqrt(np.mean((release.mean - mean) ** 2))),
        expected=release.mean_deviation,
        central=float(np.sqrt(np.mean(central**2))),
        over_noise=float(release.over_noise),
        bits=server.params.bits,
        sent=server.params.packed_size,
    )
    if not 0.5 < row.error / row.expected < 1.5:
        raise SystemExit(f"FAILED: an error of {row.error:.3g}, where the noise makes {row.expected:.3g}")
    return row


def epsilon_of(task: NoisySum[Any]) -> Fraction:
    assert isinstance(task.budget, ApproxDp)
    return task.budget.epsilon


def task_for(epsilon: str, users: int, entries: int, rotate: bool) -> NoisySum[Any]:
    return NoisySum.like(np.zeros(entries), clip=CLIP, budget=ApproxDp(epsilon, DELTA), n=users, rotate=rotate)


def cases(users: int, entries: int) -> list[tuple[NoisySum[Any], int]]:
    """Every epsilon without dropouts and with the most; one epsilon with some between."""
    found = []
    for epsilon in EPSILONS:
        for rotate in (False, True):
            task = task_for(epsilon, users, entries, rotate)
            shares = SHARES if epsilon == AT_ONE else (0.0, 1.0)
            found += [(task, dropped) for dropped in sorted({int(s * (users - task.survivors)) for s in shares})]
    return found


def rounds_paid(total: ApproxDp, users: int, entries: int) -> int:
    """How many rounds users take part in before their ledgers, each one's own, keep them from joining."""
    task, rounds = task_for(AT_ONE, users, entries, rotate=False), 0
    vectors, ledgers = np.ones((users, entries)), [Ledger(total) for _ in range(users)]
    try:
        while True:
            session(task, vectors, ledgers, dropped=0)
            rounds += 1
    except BudgetExceeded:
        return rounds


HEADER = "epsilon  rotated  dropped  error of the mean  expected  central noise  ratio  over-noise  bits  bytes sent"


def line(row: Row) -> str:
    return (
        f"{row.epsilon:7g}  {'yes' if row.rotated else 'no':>7}  {row.dropped:7}  {row.error:17.5f}"
        f"  {row.expected:8.5f}  {row.central:13.5f}  {row.ratio:5.2f}  {row.over_noise:10.2f}"
        f"  {row.bits:4}  {row.sent:10,}"
    )


def save_plot(rows: list[Row], users: int, counted_on: int, path: Path) -> None:
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_epsilons(left, rows)
    left.set(title=f"{users} users, delta = {DELTA}", xlabel="epsilon", ylabel="error of an entry of the mean")
    plot_dropouts(right, [row for row in rows if row.epsilon == float(AT_ONE)], users, counted_on)
    right.set(title=f"epsilon = {AT_ONE}", xlabel="users that drop out", ylabel="error, times that of central noise")
    figure.savefig(path)


def plot_epsilons(axes: Axes, rows: list[Row]) -> None:
    """Errors against epsilon, without dropouts and with the most."""
    for dropped, color in ((0, "tab:blue"), (max(row.dropped for row in rows), "tab:orange")):
        chosen = [row for row in rows if row.dropped == dropped]
        plain, rotated = ([row for row in chosen if row.rotated is rotated] for rotated in (False, True))
        x, name = [row.epsilon for row in plain], f"{dropped or 'none'} dropped"
        axes.loglog(x, [row.error for row in plain], "o-", color=color, label=f"distributed, {name}")
        axes.loglog(x, [row.error for row in rotated], "x", ms=9, color=color, label=f"distributed, {name}, rotated")
        axes.loglog(x, [row.central for row in plain], "--", color=color, label=f"central, {name}")
    errors = [error for row in rows for error in (row.error, row.central)]
    axes.set_ylim(min(errors) / 1.2, max(errors) * 1.2)
    for axis, ticks in ((axes.xaxis, [float(epsilon) for epsilon in EPSILONS]), (axes.yaxis, TICKS)):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(loc="upper right")


def plot_dropouts(axes: Axes, rows: list[Row], users: int, counted_on: int) -> None:
    """Errors in proportion to those of central noise, against dropouts."""
    dropped = np.arange(max(row.dropped for row in rows) + 1)
    theory = np.sqrt((users - dropped) / counted_on)
    axes.plot(dropped, theory, "--", color="gray", label=r"$\sqrt{k / (k_{min} - n_C)}$, $k$ users remain")
    for rotated, marker in ((False, "o"), (True, "x")):
        chosen = [row for row in rows if row.rotated is rotated]
        name = "measured" + (", rotated" if rotated else "")
        axes.plot([row.dropped for row in chosen], [row.ratio for row in chosen], marker, ms=8, label=name)
    axes.axhline(1, color="black", lw=0.8)
    axes.annotate("central noise", (dropped[-1], 1), xytext=(0, 4), textcoords="offset points", ha="right")
    axes.set_ylim(0.8, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left")


def plot_path(path: Path) -> Path:
    """Refuse before the measurements, not after them."""
    if not path.parent.is_dir() or path.suffix != ".png":
        raise typer.BadParameter(f"{path} must end in .png, in a directory that exists")
    return path


def main(
    users: Annotated[int, typer.Option(min=4, max=500, help="How many hold a vector.")] = 60,
    entries: Annotated[int, typer.Option(min=100, help="Of each vector: errors are measured over them.")] = 4096,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the vectors; the noise differs every time.")] = 1,
    plot: Annotated[Path, typer.Option(callback=plot_path, help="Where to save it.")] = Path("private_mean.png"),
) -> None:
    """Measure how far distributed noise moves a mean, beside central noise at the same budget."""
    console = Console(soft_wrap=True, highlight=False)
    vectors = draw(users, entries, np.random.default_rng(seed))
    plan = task_for(AT_ONE, users, entries, rotate=False).plan
    console.print(f"{users} users, {entries:,} entries, delta = {DELTA}; {plan.assumptions()[0]}")
    console.print(HEADER)
    rows = []
    for task, dropped in track(cases(users, entries), description="rounds", console=console, transient=True):
        rows.append(measure(task, vectors, dropped))
        console.print(line(rows[-1]))
    total, each = ApproxDp(4, "1e-5"), ApproxDp(AT_ONE, DELTA)
    rounds = rounds_paid(total, users=5, entries=16)
    console.print(f"a ledger of {total} pays for {rounds} rounds at {each}; nobody joins the next one")
    save_plot(rows, users, plan.honest, plot)
    console.print(f"plot saved to {plot}")


if __name__ == "__main__":
    typer.run(main)
