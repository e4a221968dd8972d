"""What a coordinator counts, for Prometheus; docs/service.md lists the names."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_PREFIX = "secagg_service_"


class Metrics:
    """One process's numbers, in a registry of their own. No label is a participant's or a session's name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "HTTP requests by resource and status", "resource", "status")
        self.request_seconds = Histogram(
            f"{_PREFIX}request_seconds",
            "time to answer by resource",
            ["resource"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.answers = self._counter(
            "answers", "answers of participants by round, and taken, again or why refused", "round", "outcome"
        )
        self.answer_bytes = self._counter("answer_bytes", "bytes of answers that were taken, by round", "round")
        self.rounds = self._counter("rounds_ended", "rounds that have ended, by round", "round")
        self.ended = self._counter("sessions_ended", "sessions that were finished or aborted", "status")
        self.sessions = self._gauge("sessions", "sessions in the folder by status", "status")
        self.unopened = self._gauge("unopened_sessions", "sessions that are not open although their folders are there")
        self.polls = self._gauge("waiting_polls", "requests that wait for news")
        self.uploads = self._gauge("uploads", "answers on their way or being taken")
        self.failures = self._counter("journal_failures", "sessions that were opened again after the disk failed")

    def text(self) -> bytes:
        """All numbers in Prometheus' format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(_PREFIX + name, text, labels, registry=self.registry)
