"""What secure aggregation buys for privacy: noise of each user alone, or of all users together.

Appendix B of the paper (Bonawitz et al. 2017): n users each hold a vector of bounded L2 norm, and the server wants the
mean. With local noise, each vector needs all the noise that (epsilon, delta) asks for. Under secure aggregation the
server sees the sum only, and the users' parts need to add up to that noise once: the estimate's standard deviation is
sqrt(n) times smaller, 32 times at n = 1024. The appendix counts on all n parts. A cohort that may lose users, some of
them corrupt, counts on the honest ones of min_users (about a third of all, Fig. 5's last row), and gains a factor of
sqrt(min_users - n_C).

The vectors are of signs, as those of a gradient. Small cohorts go through whole sessions of the protocol as well, the
noise under the masks, and these must give the same sums.
"""

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from secagg import Client, Params, Server
from secagg.dp import ApproxDp, Neighbours, Party, Place, Plan, Sensitivity, plan_at

COHORTS = (16, 32, 64, 128, 256, 512, 1024)
IN_SESSIONS = 32  # cohorts of up to so many users
BUDGET = ApproxDp("0.5", "1e-6")

Integers = NDArray[np.int64]


class Row(NamedTuple):
    """Standard deviations of an entry of the estimated mean, measured over all entries."""

    n: int
    local: float
    distributed: float  # all n parts are counted on, as in appendix B
    cautious: float  # counted_on parts are
    counted_on: int  # min_users - n_C

    @property
    def gain(self) -> float:
        return self.local / self.distributed

    @property
    def cautious_gain(self) -> float:
        return self.local / self.cautious


def estimate(vectors: Integers, plan: Plan) -> NDArray[np.float64]:
    """The mean of noisy vectors [n, m], as the server gets it."""
    noise = plan.noise_for(Party.CLIENT)
    noises = np.array([noise.sample() for _ in vectors])
    total = (vectors + noises).sum(axis=0)
    in_session = plan.place is Place.DISTRIBUTED and len(vectors) <= IN_SESSIONS
    if in_session and not np.array_equal(session(vectors, noises, plan.room()), total):
        raise SystemExit("FAILED: the session's sum is not that of the noisy vectors")
    return np.asarray(total / len(vectors))


def session(vectors: Integers, noises: Integers, room: int) -> Integers:
    """The sum over users of vector + noise through the protocol, where a sign travels as 0 or 2."""
    n, m = vectors.shape
    params = Params.for_inputs(max_value=2, n=n, m=m, room=room)
    server, clients = Server(params), {u: Client(params, u) for u in range(1, n + 1)}
    for client, vector, noise in zip(clients.values(), vectors, noises, strict=True):
        client.set_input(vector + 1, noise)
    messages = {u: client.start() for u, client in clients.items()}
    while server.round is not None:
        for u, message in messages.items():
            server.receive(u, message)
        messages = {u: clients[u].receive(request) for u, request in server.end_round().items()}
    total = np.asarray(server.sum, np.int64) - n
    return np.asarray(np.where(total >= params.modulus - room - n, total - params.modulus, total))


def compare(n: int, m: int, rng: np.random.Generator) -> Row:
    """Each plan's error on the same vectors."""
    vectors = rng.choice([-1, 1], (n, m))
    sensitivity = Sensitivity.l2_bounded(m, m, Neighbours.REPLACE_ONE)  # m signs have a squared L2 norm of m
    plans = (
        Plan.local(BUDGET, sensitivity, m, clients=n),
        Plan.distributed(BUDGET, sensitivity, m, clients=n, survivors=n, corrupt=0),
        plan_at(Place.DISTRIBUTED, BUDGET, sensitivity, m, n),
    )
    errors = (estimate(vectors, plan) - vectors.mean(axis=0) for plan in plans)
    local, distributed, cautious = (float(np.sqrt(np.mean(error**2))) for error in errors)
    return Row(n, local, distributed, cautious, plans[-1].honest)


HEADER = "users  deviation: local  all counted on   gain  sqrt(n)   honest counted on   gain   sqrt(honest)"


def line(row: Row) -> str:
    return (
        f"{row.n:5}  {row.local:16.3f}  {row.distributed:14.3f}  {row.gain:5.2f}  {row.n**0.5:7.2f}  "
        f"{row.cautious:18.3f}  {row.cautious_gain:5.2f}  {row.counted_on**0.5:13.2f}"
    )


def save_plot(rows: list[Row], m: int, path: Path) -> None:
    n = [row.n for row in rows]
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog(n, [row.local for row in rows], marker="o", label="local")
    left.loglog(n, [row.cautious for row in rows], marker="o", label="distributed, honest ones counted on")
    left.loglog(n, [row.distributed for row in rows], marker="o", label="distributed, all counted on")
    left.set(title=f"{BUDGET}, vectors of {m:,} signs", ylabel="standard deviation of the mean's noise")
    right.loglog(n, [size**0.5 for size in n], ls="--", color="gray", label=r"$\sqrt{n}$")
    right.loglog(n, [row.cautious_gain for row in rows], marker="o", color="C1", label="honest ones counted on")
    right.loglog(n, [row.gain for row in rows], marker="o", color="C2", label="all counted on")
    right.set(title="gain over local noise", ylabel="factor")
    factors = (2, 4, 8, 16, 32)
    right.set_yticks(factors, [str(factor) for factor in factors])
    for axes in (left, right):
        axes.set(xlabel="users n")
        axes.set_xticks(n, [str(size) for size in n])
        axes.minorticks_off()
        axes.legend()
    figure.savefig(path)


def plot_path(path: Path) -> Path:
    """Refuse before the measurements, not after them."""
    if not path.parent.is_dir() or path.suffix != ".png":
        raise typer.BadParameter(f"{path} must end in .png, in a directory that exists")
    return path


def main(
    largest: Annotated[int, typer.Option(min=16, help="Cohorts of 16, 32 ... 1024 users, up to this.")] = 1024,
    entries: Annotated[int, typer.Option(min=1, help="Of each vector: errors are measured over them.")] = 4096,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the vectors; the noise differs every time.")] = 1,
    plot: Annotated[Path, typer.Option(callback=plot_path, help="Where to save it.")] = Path(
        "local_or_distributed.png"
    ),
) -> None:
    """Measure how much less noise a mean needs under secure aggregation than with local noise."""
    console, rng = Console(soft_wrap=True, highlight=False), np.random.default_rng(seed)
    cohorts = [n for n in COHORTS if n <= largest]
    console.print(HEADER)
    rows = []
    for n in track(cohorts, description="cohorts", console=console, transient=True):
        rows.append(compare(n, entries, rng))
        console.print(line(rows[-1]))
    save_plot(rows, entries, plot)
    console.print(f"plot saved to {plot}")


if __name__ == "__main__":
    typer.run(main)
