"""How the Leader schedules its work."""

from dataclasses import dataclass

from ..task import Task

_JOB_BYTES = 1 << 25  # of the shares of an aggregation job


@dataclass(frozen=True)
class Settings:
    """How the Leader schedules its work.

    Attributes:
        job_size: reports in an aggregation job, at most.
        lease: seconds after which work that somebody does is taken for lost.
        backoff: seconds before a failed step is tried again, at most; the first time after 1, then twice as many.
        patience: seconds after which a batch that the Leader selects is released although it is not full, if it is
            large enough.
    """

    job_size: int = 500
    lease: float = 120.0
    backoff: float = 60.0
    patience: float = 60.0

    def size(self, task: Task) -> int:
        """Reports in a job of this task: fewer than `job_size` where their shares are long, which are in memory at
        once."""
        return max(1, min(self.job_size, _JOB_BYTES // (task.prio3.LEADER_SHARE_SIZE + task.prio3.OUT_SHARE_SIZE)))

    def delay(self, attempts: int, retry_after: float | None) -> float:
        """Seconds until a step that failed is tried again: as many as the Helper asked for, if it did."""
        return retry_after or min(self.backoff, 2.0 ** min(attempts, 62))
