"""What one process takes on before it says that it is busy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...errors import SecAggError
from ..problems import NO_TYPE, DapProblem


@dataclass(frozen=True)
class Limits:
    """What one process takes on before it says 503 or 413.

    Attributes:
        upload_bytes: of a request with reports.
        request_bytes: of any other request.
        waiting_reports: that are not on disk yet.
        requests: of Leader or Collector that are worked on at once; each holds a thread and its body.
        key_cache: seconds for which Clients may keep our HPKE configurations.
        body_seconds: for which a request's content may be on its way.
    """

    upload_bytes: int = 1 << 24
    request_bytes: int = 1 << 26
    waiting_reports: int = 10_000
    requests: int = 16
    key_cache: int = 86_400
    body_seconds: float = 60.0


class Capacity:
    """Lets requests hold only so much at once: threads, or bytes of their bodies."""

    def __init__(self, amount: int) -> None:
        self._free = amount

    @contextmanager
    def reserve(self, amount: int = 1) -> Iterator[None]:
        """Raises DapProblem where there is not enough left."""
        if self._free < amount:
            raise DapProblem(NO_TYPE, "too many requests at once; try again later", status=503, retry_after=1)
        self._free -= amount
        try:
            yield
        finally:
            self._free += amount


class UploadQueueFull(SecAggError):
    """Too many reports wait for the disk already; send them later."""
