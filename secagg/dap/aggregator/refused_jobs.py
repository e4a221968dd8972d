"""Aggregation jobs that a Helper refuses whole, although the fault may be of one report."""

from collections import Counter
from enum import Enum, auto


class Remedy(Enum):
    """What to do about a job that was refused whole."""

    HALVE = auto()  # the report at fault is in one of the halves
    DROP = auto()  # this report is at fault
    WAIT = auto()  # the fault may be the Helper's


class RefusedJobs:
    """Finds the report at fault: a refused job is halved until that report stands alone.

    It is dropped if the Helper has accepted another job of the task since, such as the other half. Else the fault may
    be the Helper's: no more jobs of the task are halved until it accepts one.

    Tasks and jobs go by their numbers in the store.
    """

    def __init__(self) -> None:
        self._accepted: Counter[int] = Counter()  # jobs that the Helper has accepted, by task
        self._before: dict[int, int] = {}  # how many these were when a job was first refused, by job
        self._stuck: dict[int, int] = {}  # how many when a report by itself was refused last, by task

    def accepted(self, task: int, job: int) -> None:
        """The Helper has accepted a job."""
        self._accepted[task] += 1
        self.forget(job)

    def remedy(self, task: int, job: int, reports: int) -> Remedy:
        """What to do about a job of so many reports that the Helper has refused."""
        accepted = self._accepted[task]
        before = self._before.setdefault(job, accepted)
        if reports > 1:
            return Remedy.WAIT if self._stuck.get(task) == accepted else Remedy.HALVE
        if accepted > before:
            return Remedy.DROP
        self._stuck[task] = accepted
        return Remedy.WAIT

    def halved(self, job: int, half: int) -> None:
        """Some of a refused job's reports are in a job of their own, which was refused with it."""
        before = self._before.get(job)
        if before is not None:  # else another worker, after this one's lease, has ended the job
            self._before[half] = before

    def forget(self, job: int) -> None:
        """A job has ended, or is accepted."""
        self._before.pop(job, None)
