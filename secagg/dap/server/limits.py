"""How much one process accepts before it answers that it is busy."""

from dataclasses import dataclass

from ...errors import SecAggError
from ..admission import UPLOAD_BYTES


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


class UploadQueueFull(SecAggError):
    """Too many reports wait for the disk already; send them later."""
