"""How much one process accepts before it answers that it is busy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...errors import SecAggError
from ..admission import UPLOAD_BYTES
from ..problems import NO_TYPE, DapProblem


@dataclass(frozen=True)
class Limits:
    """How much one process accepts before it answers 503 or 413.

    Attributes:
        upload_bytes: the largest request with reports.
        request_bytes: the largest other request.
        waiting_reports: how many reports may wait for the disk.
        requests: how many requests of Leader or Collector are worked on at once; each holds a thread.
        key_cache: how many seconds Clients may keep our HPKE configurations.
    """

    upload_bytes: int = UPLOAD_BYTES
    request_bytes: int = 1 << 26
    waiting_reports: int = 10_000
    requests: int = 16
    key_cache: int = 86_400


class Capacity:
    """How many requests may be worked on at once.

    Args:
        amount: all that there is.
    """

    def __init__(self, amount: int) -> None:
        self._free = amount

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Count as one of these until the block is left.

        Raises:
            DapProblem: there are as many already.
        """
        if self._free < 1:
            raise DapProblem(NO_TYPE, "too many requests at once; try again later", status=503, retry_after=1)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class UploadQueueFull(SecAggError):
    """Too many reports wait for the disk already; send them later."""
