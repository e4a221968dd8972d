"""What became of reports since it was stored last; `store.outcomes` keeps it, for all processes of an Aggregator."""

import threading
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum


class Stage(StrEnum):
    """Where an Aggregator decides what becomes of a report."""

    UPLOAD = "upload"
    AGGREGATION = "aggregation"


Counts = Mapping[tuple[bytes, Stage, str], int]
"""By task ID, stage and outcome: how many reports."""


class Tally:
    """A process's counts; several threads may count."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._counts: Counter[tuple[bytes, Stage, str]] = Counter()

    def add(self, task_id: bytes, stage: Stage, outcomes: Mapping[str, int]) -> None:
        """Count reports.

        Args:
            task_id: of a task that this Aggregator has: others would fill the memory.
            stage: where that was decided.
            outcomes: by name, how many reports.
        """
        with self._turn:
            for outcome, count in outcomes.items():
                self._counts[task_id, stage, outcome] += count

    def take(self) -> Counts:
        """What was counted since it was taken last."""
        with self._turn:
            taken, self._counts = self._counts, Counter()
        return taken

    def put_back(self, counts: Counts) -> None:
        """Count again what was taken and could not be stored.

        Args:
            counts: of `take`.
        """
        with self._turn:
            self._counts.update(counts)
