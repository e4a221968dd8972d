"""The model, what each node holds, and how it trains: a network of two layers, in numpy alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

HIDDEN = 64  # 64 * 64 + 64 + 64 * 10 + 10 = 4,810 parameters
EPOCHS, LEARNING_RATE = 20, 0.3
TEST = 360  # examples that no node holds
CLIP, MAX_WEIGHT, LOSS_MAX = 1.0, 500, 10.0

Model = dict[str, NDArray[np.float32]]
Examples = tuple[NDArray[np.float32], NDArray[np.int64]]


def new_model(seed: int) -> Model:
    """Weights and biases of the two layers."""
    rng = np.random.default_rng(seed)
    shapes = {"hidden.weight": (64, HIDDEN), "hidden.bias": (HIDDEN,), "out.weight": (HIDDEN, 10), "out.bias": (10,)}
    return {
        name: (rng.normal(0, np.sqrt(2 / shape[0]), shape) if name.endswith("weight") else np.zeros(shape)).astype("f4")
        for name, shape in shapes.items()
    }


def test_examples() -> Examples:
    """Images [360, 64], pixels 0 .. 1, and their digits [360]."""
    x, y = _shuffled()
    return x[:TEST], y[:TEST]


def examples_of(partition: int, partitions: int) -> Examples:
    """What a node holds: parts of unequal size, the last ten times as large as the first."""
    x, y = _shuffled()
    sizes = np.linspace(1, 10, partitions)
    ends = TEST + (np.cumsum(sizes) / sizes.sum() * (len(y) - TEST)).astype(int)
    begin, end = [TEST, *ends.tolist()][partition : partition + 2]
    return x[begin:end], y[begin:end]


def train(model: Model, examples: Examples) -> tuple[Model, float]:
    """The model after some epochs of gradient descent, and its mean cross-entropy before the last."""
    x, y = examples
    model = dict(model)
    loss = 0.0
    for _ in range(EPOCHS):
        hidden, odds = _forward(model, x)
        loss = float(-np.log(odds[np.arange(len(y)), y] + 1e-9).mean())
        at_out = (odds - np.eye(10, dtype=np.float32)[y]) / len(y)
        at_hidden = at_out @ model["out.weight"].T * (hidden > 0)
        slopes = {
            "hidden.weight": x.T @ at_hidden,
            "hidden.bias": at_hidden.sum(0),
            "out.weight": hidden.T @ at_out,
            "out.bias": at_out.sum(0),
        }
        model = {name: array - np.float32(LEARNING_RATE) * slopes[name] for name, array in model.items()}
    return model, loss


def accuracy(model: Model, examples: Examples) -> float:
    x, y = examples
    return float(np.mean(_forward(model, x)[1].argmax(1) == y))


def _forward(model: Model, x: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The hidden layer's activations (ReLU) and the output's probabilities (softmax)."""
    hidden = np.maximum(x @ model["hidden.weight"] + model["hidden.bias"], 0)
    logits = hidden @ model["out.weight"] + model["out.bias"]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return hidden, odds / odds.sum(1, keepdims=True)


def _shuffled() -> Examples:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return (x[order] / 16).astype(np.float32), y[order]
