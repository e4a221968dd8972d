"""A site's training code: softmax regression on its part of scikit-learn's handwritten digits.

Nothing in it knows of secure aggregation. It runs with plain FedAvg as it stands.
"""

from typing import Any

import numpy as np
import nvflare.client as flare
from numpy.typing import NDArray
from nvflare.client import FLModel
from sklearn.datasets import load_digits

Array = NDArray[Any]

EPOCHS, LEARNING_RATE = 20, 0.5
SITES = 10  # how many parts there are, of unequal size


def data_of(site: str) -> tuple[Array, Array]:
    """Images [k, 65], the last column 1, and their digits [k]."""
    number = int(site.rpartition("-")[2]) - 1
    x, y = load_digits(return_X_y=True)
    shuffled = np.random.default_rng(1).permutation(len(y))
    ends = np.cumsum(np.arange(1, SITES + 1)) * len(y) // (SITES * (SITES + 1) // 2)
    part = np.split(shuffled, ends[:-1])[number]
    return np.hstack([x[part] / 16, np.ones((len(part), 1))]), y[part]


def probabilities(weights: Array, x: Array) -> Array:
    logits = x @ weights
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def trained(weights: Array, x: Array, y: Array) -> Array:
    """Some epochs of gradient descent on the mean cross-entropy."""
    for _ in range(EPOCHS):
        weights = weights - LEARNING_RATE * x.T @ (probabilities(weights, x) - np.eye(10)[y]) / len(y)
    return weights


def main() -> None:
    flare.init()
    x, y = data_of(flare.get_site_name())
    while flare.is_running():
        received = flare.receive()
        weights = np.asarray(received.params["numpy_key"])
        accuracy = float(np.mean(probabilities(weights, x).argmax(axis=1) == y))
        if not flare.is_train():  # a server may send a model to be evaluated, too
            flare.send(FLModel(metrics={"accuracy": accuracy}))
            continue
        flare.send(
            FLModel(
                params={"numpy_key": trained(weights, x, y)},
                metrics={"accuracy": accuracy},
                meta={"NUM_STEPS_CURRENT_ROUND": len(y)},
            )
        )


if __name__ == "__main__":
    main()
