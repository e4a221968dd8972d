"""Federated averaging of a small neural network, with every average taken through secure aggregation.

Each client holds some of scikit-learn's handwritten digits: the training set is shuffled and cut into parts whose sizes
follow a log-normal distribution (sigma = 1, at least one example), so that some clients hold dozens of times as many as
others. In every round each client trains the model on its part; some drop out, each before a random round of the
protocol; and the server learns the survivors' average update, weighted by how many examples they hold, without seeing
any single update or weight. The same updates are averaged in the clear as well, and the two averages must agree to the
quantizer's error bound.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from secagg import Abort, Aggregate, Quantizer, Round, Simulation, simulate

HIDDEN = 256  # 64 * 256 + 256 + 256 * 10 + 10 = 19,210 parameters
EPOCHS, LEARNING_RATE = 5, 0.3
CLIP, BITS, MAX_WEIGHT = 1.0, 16, 500  # 100 clients then need R = 2**32

# Clients may drop out before any round of the semi-honest protocol.
STEPS = (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING)

Model = list[NDArray[Any]]
Drops = dict[Round, list[int]]
Report = Callable[[Round, int, int], None]


class Examples(NamedTuple):
    """Images [k, 64], pixels 0 .. 1, and their digits [k]."""

    x: NDArray[Any]
    y: NDArray[Any]

    @property
    def weight(self) -> int:
        """How much an update trained on these counts; the cap is public, the weight itself is not."""
        return min(len(self.y), MAX_WEIGHT)


@dataclass(frozen=True)
class Outcome:
    """What one round of training gave: accuracies on the test set, and how far the two averages are apart."""

    secure_accuracy: float
    plain_accuracy: float
    difference: float
    bound: float
    drops: Drops
    seconds: float
    simulation: Simulation


def load_data(seed: int) -> tuple[Examples, Examples]:
    """Training and test set, 80 % and 20 % of the 1,797 digits."""
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x / 16, y, test_size=0.2, random_state=seed, stratify=y)
    return Examples(x_train, y_train), Examples(x_test, y_test)


def partition(examples: Examples, clients: int, rng: np.random.Generator) -> dict[int, Examples]:
    """Each client's part, by user id, of unequal size (see above)."""
    share = rng.lognormal(sigma=1.0, size=clients)
    sizes = 1 + rng.multinomial(len(examples.y) - clients, share / share.sum())
    parts = np.split(rng.permutation(len(examples.y)), np.cumsum(sizes)[:-1])
    return {u: Examples(examples.x[part], examples.y[part]) for u, part in enumerate(parts, 1)}


def new_model(rng: np.random.Generator) -> Model:
    """Weights and biases of two layers."""
    hidden = rng.normal(0, np.sqrt(2 / 64), (64, HIDDEN))
    output = rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, 10))
    return [hidden, np.zeros(HIDDEN), output, np.zeros(10)]


def forward(model: Model, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The hidden layer's activations (ReLU) and the output's probabilities (softmax)."""
    w1, b1, w2, b2 = model
    hidden = np.maximum(x @ w1 + b1, 0)
    logits = hidden @ w2 + b2
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return hidden, odds / odds.sum(axis=1, keepdims=True)


def gradient(model: Model, examples: Examples) -> Model:
    """Of the mean cross-entropy."""
    hidden, probabilities = forward(model, examples.x)
    at_output = (probabilities - np.eye(10)[examples.y]) / len(examples.y)
    at_hidden = at_output @ model[2].T * (hidden > 0)
    return [examples.x.T @ at_hidden, at_hidden.sum(axis=0), hidden.T @ at_output, at_output.sum(axis=0)]


def train(model: Model, examples: Examples) -> Model:
    """A client's update: new parameters minus old, after some epochs of gradient descent, clipped."""
    local = model
    for _ in range(EPOCHS):
        local = [array - LEARNING_RATE * slope for array, slope in zip(local, gradient(local, examples), strict=True)]
    return [np.clip(new - old, -CLIP, CLIP) for new, old in zip(local, model, strict=True)]


def add(model: Model, update: Model) -> Model:
    return [array + change for array, change in zip(model, update, strict=True)]


def accuracy(model: Model, examples: Examples) -> float:
    return float(np.mean(forward(model, examples.x)[1].argmax(axis=1) == examples.y))


def choose_drops(clients: int, share: float, rng: np.random.Generator) -> Drops:
    """Who drops out before which round of the protocol."""
    drops: Drops = {step: [] for step in STEPS}
    for u in rng.choice(clients, round(share * clients), replace=False) + 1:
        drops[Round(rng.choice(STEPS))].append(int(u))
    return drops


def plain_average(updates: dict[int, Model], parts: dict[int, Examples], survivors: tuple[int, ...]) -> Model:
    """Federated averaging as it is without secure aggregation."""
    weights = [parts[u].weight for u in survivors]
    return [np.average(layer, axis=0, weights=weights) for layer in zip(*(updates[u] for u in survivors), strict=True)]


class Training:
    """The model, the clients' data, and the source of every choice that `--seed` fixes."""

    def __init__(self, clients: int, drop: float, seed: int, threads: int) -> None:
        self._rng = np.random.default_rng(seed)
        training_set, self._test_set = load_data(seed)
        self._parts = partition(training_set, clients, self._rng)
        self._model = new_model(self._rng)
        self._drop = drop
        self._threads = threads

    def round(self, report: Report) -> Outcome:
        """Train on every client, average securely, and go on from there; compare with the plain average."""
        start = time.perf_counter()
        updates = {u: train(self._model, part) for u, part in self._parts.items()}
        drops = choose_drops(len(updates), self._drop, self._rng)
        average, simulation = self._secure_average(updates, drops, report)
        plain = plain_average(updates, self._parts, simulation.survivors)
        plain_model, self._model = add(self._model, plain), add(self._model, average.mean)
        return Outcome(
            secure_accuracy=accuracy(self._model, self._test_set),
            plain_accuracy=accuracy(plain_model, self._test_set),
            difference=max(float(np.abs(a - b).max()) for a, b in zip(average.mean, plain, strict=True)),
            bound=average.mean_error,
            drops=drops,
            seconds=time.perf_counter() - start,
            simulation=simulation,
        )

    def _secure_average(
        self, updates: dict[int, Model], drops: Drops, report: Report
    ) -> tuple[Aggregate[Model], Simulation]:
        """What a deployment does on the clients (encode), between the parties (simulate) and on the server (decode)."""
        quantizer = Quantizer.like(self._model, clip=CLIP, bits=BITS, max_weight=MAX_WEIGHT)
        params = quantizer.params(n=len(updates), context=b"federated digits")
        # Rounding is no secret, so it may follow the seed; the protocol's randomness is the operating system's.
        inputs = {u: quantizer.encode(updates[u], self._parts[u].weight, rand=self._rng.bytes) for u in updates}
        simulation = simulate(params, inputs, drops=drops, threads=self._threads, progress=report)
        return quantizer.decode(simulation.sum, params, len(simulation.survivors)), simulation


HEADER = "round  secure   plain  |difference|     bound  seconds  dropped (round of the protocol: clients)"


def line(number: int, outcome: Outcome) -> str:
    dropped = ", ".join(f"{step:d}: {' '.join(map(str, sorted(who)))}" for step, who in outcome.drops.items() if who)
    return (
        f"{number:5}  {outcome.secure_accuracy:6.1%}  {outcome.plain_accuracy:6.1%}  {outcome.difference:12.2e}  "
        f"{outcome.bound:8.2e}  {outcome.seconds:7.2f}  {dropped or 'nobody'}"
    )


def kilobytes(per_round: Iterable[dict[int, int]], clients: tuple[int, ...]) -> str:
    """What the rounds of the protocol add up to, on average over these clients."""
    return f"{sum(amount[u] for amount in per_round for u in clients) / len(clients) / 1000:.1f} kB"


def summary(outcomes: list[Outcome]) -> Table:
    last = outcomes[-1]
    params, costs = last.simulation.params, last.simulation.costs.values()
    stayed = last.simulation.answered[Round.UNMASKING]
    table = Table(title="Summary", show_header=False)
    table.add_row("test accuracy, secure", f"{last.secure_accuracy:.1%}")
    table.add_row("test accuracy, plain", f"{last.plain_accuracy:.1%}")
    table.add_row("largest |difference| / bound", f"{max(o.difference / o.bound for o in outcomes):.2f}")
    table.add_row("clients, threshold", f"{params.n}, {params.t}")
    table.add_row("masked vector", f"{params.m:,} entries of {params.bits} bits")
    table.add_row("sent per client and round", kilobytes((c.sent for c in costs), stayed))
    table.add_row("received per client and round", kilobytes((c.received for c in costs), stayed))
    for step in STEPS:
        table.add_row(f"dropped before {step:d}, {step}", str(sum(len(o.drops[step]) for o in outcomes)))
    table.add_row("time", f"{sum(o.seconds for o in outcomes):.1f} s")
    return table


def save_plot(outcomes: list[Outcome], path: Path) -> None:
    rounds = range(1, len(outcomes) + 1)
    figure = Figure(figsize=(7, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(rounds, [100 * o.plain_accuracy for o in outcomes], lw=4, alpha=0.4, label="plain average")
    above.plot(rounds, [100 * o.secure_accuracy for o in outcomes], lw=1.2, label="secure aggregation")
    above.set_ylabel("test accuracy, %")
    below.semilogy(rounds, [o.bound for o in outcomes], ls="--", label="error bound")
    below.semilogy(rounds, [o.difference for o in outcomes], marker=".", label="largest |difference|")
    below.set(ylabel="difference of the two averages", xlabel="round")
    for axes in (above, below):
        axes.legend()
    figure.savefig(path)


def run(training: Training, rounds: int, console: Console) -> list[Outcome]:
    """Train with a progress bar, one line a round."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    outcomes: list[Outcome] = []
    console.print(HEADER)
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        whole, session = progress.add_task("training", total=rounds), progress.add_task("session")

        def report(step: Round, done: int, total: int) -> None:
            progress.update(session, description=str(step), completed=done, total=total)

        while len(outcomes) < rounds:
            outcomes.append(training.round(report))
            console.print(line(len(outcomes), outcomes[-1]))
            progress.advance(whole)
            if outcomes[-1].difference > outcomes[-1].bound:
                raise SystemExit("FAILED: the two averages differ by more than the error bound")
    return outcomes


def plot_path(path: Path) -> Path:
    """Refuse before the training, not after it."""
    if not path.parent.is_dir():
        raise typer.BadParameter(f"no such directory: {path.parent}")
    if path.suffix != ".png":
        raise typer.BadParameter("the name must end in .png")
    return path


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of training.")] = 30,
    clients: Annotated[int, typer.Option(min=3, max=500, help="How many clients share the data.")] = 100,
    drop: Annotated[float, typer.Option(min=0, max=1, help="Share of clients that drop out in each round.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the partition, the training and who drops out.")] = 1,
    plot: Annotated[Path, typer.Option(callback=plot_path, help="Where to save the plot.")] = Path(
        "federated_digits.png"
    ),
    threads: Annotated[int, typer.Option(min=1, help="Clients computed at once.")] = os.cpu_count() or 1,
) -> None:
    """Train a neural network on handwritten digits that clients keep to themselves, by secure aggregation."""
    console = Console(soft_wrap=True, highlight=False)
    try:
        with threadpool_limits(1):  # the products are small: BLAS threads would only get in the way of `threads`
            outcomes = run(Training(clients, drop, seed, threads), rounds, console)
    except Abort as error:
        typer.echo(f"too many clients dropped out: {error}", err=True)
        raise typer.Exit(2) from None
    save_plot(outcomes, plot)
    console.print(summary(outcomes))
    console.print(f"plot saved to {plot}")


if __name__ == "__main__":
    typer.run(main)
