"""How the Leader schedules its work."""

from dataclasses import dataclass

from ..task import Task

_JOB_BYTES = 1 << 25  # of the shares of an aggregation job


@dataclass(frozen=True)
class Settings:
    """How the Leader schedules its work.

    Attributes:
        job_size: the largest number of reports in an aggregation job.
        lease: seconds after which a worker's step is taken for lost.
        backoff: the longest pause before a failed step is tried again, in seconds; the first pause is 1, the next ones
            double.
        patience: seconds after which a batch that the Leader selects is released although it is not full, if it is
            large enough.
        give_up: seconds after which a collection job fails if the Helper gives no share, or if it waits for the last
            reports of its batch and none of them is aggregated.
    """

    job_size: int = 500
    lease: float = 120.0
    backoff: float = 60.0
    patience: float = 60.0
    give_up: float = 600.0

    def size(self, task: Task) -> int:
        """The largest number of reports in a job of this task: fewer than `job_size` where their shares are long.

        The shares of a job are in memory at once.

        Args:
            task: of the job.
        """
        return max(1, min(self.job_size, _JOB_BYTES // (task.prio3.LEADER_SHARE_SIZE + task.prio3.OUT_SHARE_SIZE)))

    def delay(self, attempts: int, retry_after: float | None) -> float:
        """Seconds until a step that failed is tried again.

        Args:
            attempts: how often the job was leased before.
            retry_after: the seconds that the Helper asked for; None if it did not.
        """
        return retry_after or min(self.backoff, 2.0 ** min(attempts, 62))
