"""Table [taskprov] of an Aggregator's configuration: which advertised tasks it takes."""

from dataclasses import dataclass

from ...dp import ApproxDp, Budget, PureDp, ZCdp
from ...errors import LocalProtocolError
from ...settings import TEXT, TRUTH, ConfigError, option, whole_kind
from ..aggregator.opt_in import Quota
from ..task_policy import TaskPolicy
from ..vdafs import VDAFS

DAYS = 3660


@dataclass(frozen=True)
class Taskprov:
    """Table [taskprov]."""

    opt_in: bool = option(
        False,
        TRUTH,
        "Take part in tasks that Clients or the Leader advertise (DAP-Taskprov), with the peers of `secagg dap peer`,\n"
        "if they are as the keys below say. Whoever makes such a task is not trusted.",
    )
    vdafs: str = option(", ".join(VDAFS), TEXT, "Names of VDAFs, with commas between them.")
    min_batch_size: int = option(100, whole_kind(1, (1 << 63) - 1), "Reports that a task's batches must have.")
    report_bytes: int = option(
        1 << 17, whole_kind(1, 1 << 30), "Of a report, at most; [limits] upload_bytes counts, too."
    )
    time_precision: int = option(3600, whole_kind(1, 366 * 86_400), "Seconds to which reports' times must be rounded.")
    lifetime: int = option(90, whole_kind(1, DAYS), "Days within which a task must end: it needs a task interval.")
    exact: bool = option(False, TRUTH, "Whether results may be exact: then the six keys below say nothing.")
    epsilon: str | None = option(None, TEXT, "The most that one collection may reveal; with delta or without.", "1")
    delta: str | None = option(None, TEXT, "Together with epsilon.", "1e-9")
    rho: str | None = option(None, TEXT, "In place of epsilon: a budget of zCDP.", "0.1")
    total_epsilon: str | None = option(
        None, TEXT, "The most that all collections of a task may reveal together; with total_delta or without.", "30"
    )
    total_delta: str | None = option(None, TEXT, "Together with total_epsilon.", "1e-7")
    total_rho: str | None = option(None, TEXT, "In place of total_epsilon.", "3")
    honest: int = option(1, whole_kind(1, 2), "How many of the two Aggregators a task may count on for noise.")
    collections: int = option(1000, whole_kind(1, 1000), "How many collections a task's total may pay for.")
    tasks: int = option(100, whole_kind(1, 10_000), "Tasks of a peer that have not ended, at most.")
    tasks_a_day: int = option(20, whole_kind(1, 10_000), "New tasks of a peer within a day, at most.")

    def policy(self, where: str, upload_bytes: int) -> TaskPolicy:
        """What this Aggregator asks of a task.

        Args:
            where: file and table, for errors.
            upload_bytes: the largest upload that is taken here.

        Raises:
            ConfigError: the keys contradict one another, or a budget is missing.
        """
        names = frozenset(name.strip() for name in self.vdafs.split(","))
        if not names <= VDAFS.keys():
            raise ConfigError(f"{where} vdafs must be names of {', '.join(VDAFS)}, with commas between them")
        budgets = (self.epsilon, self.delta, self.rho), (self.total_epsilon, self.total_delta, self.total_rho)
        if self.exact and any(number is not None for given in budgets for number in given):
            raise ConfigError(f"{where} exact = true takes no budget: leave out epsilon, delta, rho and total_...")
        return TaskPolicy(
            vdafs=names,
            min_batch_size=self.min_batch_size,
            report_bytes=min(self.report_bytes, upload_bytes),
            time_precision=self.time_precision,
            lifetime=self.lifetime * 86_400,
            budget=None if self.exact else _budget(where, "", *budgets[0]),
            total=None if self.exact else _budget(where, "total_", *budgets[1]),
            honest=self.honest,
            collections=self.collections,
        )

    def quota(self) -> Quota:
        """How many tasks this Aggregator takes."""
        return Quota(self.tasks, self.tasks_a_day)


def _budget(where: str, prefix: str, epsilon: str | None, delta: str | None, rho: str | None) -> Budget:
    """The budget of three keys.

    Raises:
        ConfigError: it is missing, is given twice, or is none.
    """
    if (epsilon is None) == (rho is None) or (rho is not None and delta is not None):
        raise ConfigError(
            f"{where} needs {prefix}epsilon, with {prefix}delta or without, or {prefix}rho; or exact = true"
        )
    try:
        if epsilon is None:
            assert rho is not None
            return ZCdp(rho)
        return PureDp(epsilon) if delta is None else ApproxDp(epsilon, delta)
    except LocalProtocolError as error:
        raise ConfigError(f"{where} {prefix}{error}") from None
