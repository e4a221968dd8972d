"""The meaning of status codes and header fields (RFC 9110), for clients and servers."""

from email.utils import parsedate_to_datetime

TEMPORARY = frozenset({408, 425, 429, 502, 503, 504})
"""Status codes that say: the same request may succeed later."""


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds from now, at least 0, that a Retry-After header states (RFC 9110, section 10.2.3).

    Args:
        value: of the header; None if there was none.
        now: POSIX seconds.

    Returns:
        The seconds; None without a valid header.
    """
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])  # bounded: more digits are more than anyone waits
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None
