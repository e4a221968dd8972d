"""What an Aggregator counts, for Prometheus."""

import os
from collections import Counter as Counts
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from .messages import ReportError
from .tally import Stage, Tally
from .task import Task

TASKS_MAX = 1000
"""Tasks whose reports a process counts one by one; those of all others it counts together, as OTHERS."""

OTHERS = "others"

UNAUTHORIZED = "unauthorized"
"""The outcome of an upload that shows none of the task's tokens of Clients."""

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """One process's counters, in a registry of their own.

    Attributes:
        tally: of what became of reports, until it is stored.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self.registry = CollectorRegistry()
        self._tasks: set[str] = set()
        self._with_budget: set[str] = set()
        by_task = "task", "outcome"
        self.uploaded = self._counter("reports_uploaded", "reports by task and outcome of their upload", *by_task)
        self.aggregated = self._counter(
            "reports_aggregated", "reports by task and outcome of their aggregation", *by_task
        )
        self.requests = self._counter("requests", "HTTP requests by resource and status", "resource", "status")
        self.request_seconds = self._histogram("request_seconds", "time to answer by resource", "resource")
        self.job_seconds = self._histogram("job_seconds", "time of one step of an aggregation job")
        self.batch_sizes = Histogram(
            "secagg_dap_batch_size",
            "reports in collected batches",
            buckets=[10.0**i for i in range(8)],
            registry=self.registry,
        )
        self.opt_ins = self._counter("opt_ins", "requests that advertise a new task, by what became of it", "outcome")
        self.peer_errors = self._counter("peer_errors", "calls to Helpers that failed, by kind", "kind")
        self.oldest_seconds = self._gauge("oldest_report_seconds", "age of the oldest report that is not aggregated")
        self.queue_depth = self._gauge("queue_depth", "reports that are not aggregated yet")
        self.releases_left = self._gauge("releases_left", "collections that a task's budget still allows", "task")

    def text(self) -> bytes:
        """All numbers in Prometheus' format; where several server processes share a folder, those of all together."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def task_label(self, task: Task) -> str:
        """The label of a stored task's numbers: its ID, or OTHERS for those beyond TASKS_MAX.

        Args:
            task: that this Aggregator has.
        """
        if len(self._tasks) < TASKS_MAX:
            self._tasks.add(task.text)
        return task.text if task.text in self._tasks else OTHERS

    def count_uploads(self, task: Task, accepted: int, errors: Iterable[ReportError]) -> None:
        """Count what became of the reports of an upload.

        Args:
            task: of the reports.
            accepted: how many were stored.
            errors: why the others were not.
        """
        self._count(self.uploaded, task, Stage.UPLOAD, "accepted", accepted, errors)

    def count_unauthorized(self, task: Task) -> None:
        """Count an upload that is refused for its token, unread: as one, however many reports it has.

        Args:
            task: of the upload.
        """
        self._count(self.uploaded, task, Stage.UPLOAD, UNAUTHORIZED, 1, ())

    def count_job(self, task: Task, aggregated: int, errors: Mapping[int, ReportError]) -> None:
        """Count what became of the reports of an aggregation job.

        Args:
            task: of the reports.
            aggregated: how many were added to batches.
            errors: why the others were not, by position.
        """
        self._count(self.aggregated, task, Stage.AGGREGATION, "aggregated", aggregated, errors.values())

    def set_releases_left(self, left: Iterable[tuple[Task, int]]) -> None:
        """Set how many collections the budgets of tasks still allow; of those beyond TASKS_MAX, the fewest.

        Args:
            left: of each task with a budget; a task that is missing now has none left.
        """
        by_label: dict[str, int] = {}
        for task, count in left:
            label = self.task_label(task)
            by_label[label] = min(count, by_label.get(label, count))
        for label in self._with_budget | by_label.keys():
            self.releases_left.labels(label).set(by_label.get(label, 0))
        self._with_budget |= by_label.keys()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"secagg_dap_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"secagg_dap_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        # Every process reads the same store.
        return Gauge(f"secagg_dap_{name}", text, labels, registry=self.registry, multiprocess_mode="mostrecent")

    def _count(
        self, counter: Counter, task: Task, stage: Stage, success: str, count: int, errors: Iterable[ReportError]
    ) -> None:
        outcomes = Counts(error.name.lower() for error in errors)
        if count:
            outcomes[success] += count
        label = self.task_label(task)
        for outcome, number in outcomes.items():
            counter.labels(label, outcome).inc(number)
        self.tally.add(task.id, stage, outcomes)
