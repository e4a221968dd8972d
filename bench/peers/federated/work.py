"""What is trained, and what each way makes of it: the same data, nodes and model for all."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
FEATURES, CLASSES, EXAMPLES = 64, 10, 100
CLIP, BITS, MAX_WEIGHT = 1.0, 16, 1000


@dataclass(frozen=True)
class Setting:
    """A round: n nodes, a network of two layers with about m parameters, `dropped` nodes that leave before they send
    their masked input, and `epochs` of training on 100 examples a node.
    """

    n: int
    m: int
    dropped: int = 0
    epochs: int = 1

    @property
    def hidden(self) -> int:
        return self.m // (FEATURES + CLASSES)

    @cached_property
    def model(self) -> list[Array]:
        rng = np.random.default_rng(0)
        first = rng.normal(0, 0.1, (FEATURES, self.hidden)).astype(np.float32)
        return [first, np.zeros((self.hidden, CLASSES), np.float32)]

    def weight(self, node: int) -> int:
        """How many examples a node says it has."""
        return 10 + node

    def train(self, node: int, model: list[Array]) -> list[Array]:
        """The model after some epochs of gradient descent on the node's examples."""
        rng = np.random.default_rng(1 + node)
        x = rng.normal(0, 1, (EXAMPLES, FEATURES)).astype(np.float32)
        wanted = np.eye(CLASSES, dtype=np.float32)[rng.integers(CLASSES, size=EXAMPLES)]
        first, second = model
        for _ in range(self.epochs):
            inner = np.tanh(x @ first)
            logits = inner @ second
            odds = np.exp(logits - logits.max(1, keepdims=True))
            error = (odds / odds.sum(1, keepdims=True) - wanted) / EXAMPLES
            back = error @ second.T * (1 - inner**2)
            first, second = first - np.float32(0.1) * (x.T @ back), second - np.float32(0.1) * (inner.T @ error)
        return [first, second]

    def mean(self, survivors: list[int]) -> list[Array]:
        """Plain federated averaging of these nodes, in float64."""
        trained = [self.train(node, self.model) for node in survivors]
        weights = [self.weight(node) for node in survivors]
        return [np.average(each, axis=0, weights=weights) for each in zip(*trained, strict=True)]
