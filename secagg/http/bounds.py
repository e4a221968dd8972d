"""What an HTTP server takes from one peer, and from all together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """What a server process takes.

    Attributes:
        connections: at once. One more takes the place of the one that has been idle for longest, or else of the one
            that has been sending its request for longest.
        head_bytes: of a request's line and header fields together.
        head_seconds: from a connection's first moment, or a later request's first byte, to the end of the head. A peer
            that was answered before it had sent its whole request has as long to end it.
        body_rate: bytes a second that a request's content must come at, at least, and that a long answer is read at.
        body_window: seconds over which that rate is an average.
        buffered_bytes: of the contents of all requests together.
    """

    connections: int = 1000
    head_bytes: int = 1 << 16
    head_seconds: float = 10.0
    body_rate: float = 1024.0
    body_window: float = 10.0
    buffered_bytes: int = 1 << 26
