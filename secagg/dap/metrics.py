"""What an Aggregator counts, for Prometheus."""

import os
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from .messages import ReportError

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """One process's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.uploaded = self._counter("reports_uploaded", "reports by outcome of their upload", "outcome")
        self.aggregated = self._counter("reports_aggregated", "reports by outcome of their aggregation", "outcome")
        self.requests = self._counter("requests", "HTTP requests by resource and status", "resource", "status")
        self.request_seconds = self._histogram("request_seconds", "time to answer by resource", "resource")
        self.job_seconds = self._histogram("job_seconds", "time of one step of an aggregation job")
        self.batch_sizes = Histogram(
            "secagg_dap_batch_size",
            "reports in collected batches",
            buckets=[10.0**i for i in range(8)],
            registry=self.registry,
        )
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

    def count_job(self, aggregated: int, errors: Mapping[int, ReportError]) -> None:
        """Count what became of the reports of an aggregation job.

        Args:
            aggregated: how many were added to batches.
            errors: why the others were not, by position.
        """
        self.aggregated.labels("aggregated").inc(aggregated)
        for error in errors.values():
            self.aggregated.labels(error.name.lower()).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"secagg_dap_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"secagg_dap_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        # Every process reads the same store.
        return Gauge(f"secagg_dap_{name}", text, labels, registry=self.registry, multiprocess_mode="mostrecent")
