"""What a party asks of tasks that somebody else makes and advertises, before it takes part in one.

Whoever makes the task is not trusted (draft-ietf-ppm-dap-taskprov-04, section 3): every party judges the task for
itself, and opts out of one that it does not like. Numbers are compared before anything is computed from them, since
anybody may send a task.
"""

from dataclasses import dataclass

from ..arguments import convert, octets, real, whole
from ..dp import Budget, Place
from ..dp.composition import Spent, keeps_budget
from ..errors import LocalProtocolError, RemoteProtocolError, SecAggError
from .admission import UPLOAD_BYTES
from .dialect import ADVERTISED
from .messages import Interval, TaskConfiguration
from .privacy.extension import PRIVACY_EXTENSION, Privacy, pays_for
from .reports import report_size
from .task import TASK_INTERVAL_EXTENSION, Task, time_text
from .taskprov import advertised_task, decode_configuration
from .vdafs import VDAFS, decode_vdaf

__all__ = ["OptedOut", "TaskPolicy"]

DAY = 86_400


class OptedOut(SecAggError):
    """A party takes no part in a task; the message says why, for the task's Author."""


@dataclass(frozen=True)
class TaskPolicy:
    """What a party asks of a task (taskprov, section 3.5).

    Attributes:
        vdafs: names of the VDAFs that are taken.
        min_batch_size: the smallest number of reports that a batch may have.
        report_bytes: the largest report.
        time_precision: the finest that reports' times may be, in seconds.
        lifetime: how far ahead the end of the task may be, in seconds; None for tasks that need not end.
        budget: the most that one collection may reveal; None to accept exact results, too.
        total: the most that all collections of a task together may reveal; None for whatever the task says.
        honest: how many of the two Aggregators a task may count on for noise, 1 or 2.
        collections: how many collections a task's total budget may pay for.
    """

    vdafs: frozenset[str] = frozenset(VDAFS)
    min_batch_size: int = 100
    report_bytes: int = UPLOAD_BYTES
    time_precision: int = 1
    lifetime: int | None = 90 * DAY
    budget: Budget | None = None
    total: Budget | None = None
    honest: int = 1
    collections: int = 1000

    def __post_init__(self) -> None:
        convert(self, whole, "min_batch_size", "report_bytes", "time_precision", "lifetime", "honest", "collections")

    def opt_in(self, configuration: bytes, now: float) -> Task:
        """The task, if nothing speaks against taking part in it.

        Args:
            configuration: the encoded TaskConfiguration.
            now: POSIX seconds.

        Raises:
            OptedOut: this party takes no part in the task, as also where the configuration is malformed; the message
                says why.
        """
        encoded, moment = octets(configuration, "configuration"), real(now, "now")
        try:
            decoded = decode_configuration(encoded)
            self._check_sizes(decoded)
            extensions = {each.extension_type: each.extension_data for each in decoded.extensions}
            self._check_interval(extensions.get(TASK_INTERVAL_EXTENSION), decoded.time_precision, moment)
            self._check_budgets(extensions.get(PRIVACY_EXTENSION))
            task = advertised_task(encoded)
        except (
            LocalProtocolError,
            RemoteProtocolError,
        ) as error:  # it is malformed, or asks for what there is not here
            raise OptedOut(str(error)) from None
        self._check_task(task)
        return task

    def _check_sizes(self, configuration: TaskConfiguration) -> None:
        vdaf = decode_vdaf(configuration.vdaf_type, configuration.vdaf_configuration)
        _agree(vdaf.NAME in self.vdafs, f"{vdaf.NAME} is not among the VDAFs {', '.join(sorted(self.vdafs))}")
        size, precision = configuration.min_batch_size, configuration.time_precision
        _agree(size >= self.min_batch_size, f"min_batch_size must be at least {self.min_batch_size:,}, and is {size:,}")
        _agree(
            self.time_precision <= precision <= _PRECISION_MAX,
            f"time_precision must be {self.time_precision:,} .. {_PRECISION_MAX:,} seconds, and is {precision:,}",
        )

    def _check_interval(self, data: bytes | None, time_precision: int, now: float) -> None:
        """A task that has ended MUST be opted out of, and one that lives too long may be."""
        if data is None:
            _agree(self.lifetime is None, "the task must end: give it a task interval")
            return
        end = Interval.decode(data).end * time_precision
        _agree(end > now, f"the task has ended, at {time_text(end)}")
        if self.lifetime is not None:
            latest = now + self.lifetime
            _agree(end <= latest, f"the task must end by {time_text(latest)}, and ends at {time_text(end)}")

    def _check_budgets(self, data: bytes | None) -> None:
        """Compare budgets, before any noise is calibrated."""
        if data is None:
            _agree(self.budget is None, f"results must have noise, at {self.budget} a collection or less")
            return
        privacy = Privacy.decode(data)
        for name, least, given in (
            ("a collection", self.budget, privacy.budget),
            ("all collections", self.total, privacy.total),
        ):
            kept = least is None or keeps_budget(least, [Spent(given)])
            _agree(kept, f"{name} may reveal {least} at most, and would reveal {given}")
        if privacy.place is not Place.LOCAL:
            _agree(
                privacy.honest <= self.honest,
                f"the task may count on {self.honest} of the two Aggregators for noise, and counts on {privacy.honest}",
            )

    def _check_task(self, task: Task) -> None:
        """What only the whole task tells."""
        _agree(task.dialect is ADVERTISED, f"an advertised task speaks {ADVERTISED.name}, not {task.dialect.name}")
        size = report_size(task)
        _agree(size <= self.report_bytes, f"a report may have {self.report_bytes:,} bytes, and would have {size:,}")
        if task.privacy is not None:
            many = pays_for(task.privacy, task.privacy.plan(task.vdaf), self.collections + 1)
            _agree(not many, f"the total budget must pay for {self.collections:,} collections at most")


_PRECISION_MAX = 366 * DAY


def _agree(condition: bool, reason: str) -> None:
    if not condition:
        raise OptedOut(reason)
