"""Who shares with whom.

A user deals shares of its secrets to its neighbours, keeps one share itself, and adds one pairwise mask for each
neighbour. In the paper every two users are neighbours: the graph is complete.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..codec import Ids


class Graph(Protocol):
    """Who is whose neighbour. The relation is symmetric: if v is a neighbour of u, then u is a neighbour of v."""

    def neighbours(self, u: int, users: Ids | Sequence[int]) -> Ids:
        """Those of `users`, in order, with whom u exchanges shares and masks; u itself is not one of them."""

    def holders(self, u: int, users: Ids | Sequence[int]) -> Ids:
        """Those of `users`, in order, who hold shares of u's secrets: u's neighbours, and u itself if it is in `users`.

        By symmetry u holds shares of their secrets."""


class CompleteGraph:
    """Every two users are neighbours, as in Fig. 4."""

    def neighbours(self, u: int, users: Ids | Sequence[int]) -> Ids:
        """Everyone else; see `Graph`."""
        everyone = np.asarray(users, dtype=np.uint32)
        others: Ids = everyone[everyone != u]
        return others

    def holders(self, u: int, users: Ids | Sequence[int]) -> Ids:
        """Everyone; see `Graph`."""
        return np.asarray(users, dtype=np.uint32)


COMPLETE = CompleteGraph()
