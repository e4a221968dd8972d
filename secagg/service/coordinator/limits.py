"""How much a coordinator accepts before it answers that it is busy."""

from dataclasses import dataclass

from ...arguments import convert, real, whole
from ...errors import require
from ..resources import WAIT_SECONDS


@dataclass(frozen=True)
class Limits:
    """How much one process accepts.

    Attributes:
        uploads: answers of participants on their way or being taken at once; then 503.
        threads: that put answers on disk and give them to their sessions.
        sessions: that the folder may hold; then 503 for a new one.
        request_bytes: the largest request of the operator, which may hold a roster.
        poll_seconds: for which a request waits for news, at most.

    Raises:
        LocalProtocolError: a number is too small.
    """

    uploads: int = 1000
    threads: int = 32
    sessions: int = 1000
    request_bytes: int = 1 << 24
    poll_seconds: float = WAIT_SECONDS

    def __post_init__(self) -> None:
        convert(self, whole, "uploads", "threads", "sessions", "request_bytes")
        convert(self, real, "poll_seconds")
        least = min(self.uploads, self.threads, self.sessions, self.request_bytes)
        require(least >= 1 and self.poll_seconds >= 0, "a coordinator's limits must be at least 1")
