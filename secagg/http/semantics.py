"""The meaning of status codes and header fields (RFC 9110), for clients and servers."""

import re
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

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


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, user, host and port, however they are spelled (RFC 9110, section 4.3.1).

    Args:
        one: an absolute URL.
        other: the same.

    Raises:
        ValueError: one of them is not a URL.
    """
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str | int | None, ...]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.username, parts.password, parts.hostname, port


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})")
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*(?:({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*"))?')
_TYPE_CHARACTERS_MAX = 1000  # of a media type, with its parameters


def parse_media_type(value: str) -> tuple[str, dict[str, str]] | None:
    """A media type and its parameters (RFC 9110, section 8.3.1), all in lower case and without quotes; None if the text
    is not one, or names a parameter twice.

    Args:
        value: of a Content-Type field.
    """
    found = _TYPE.match(value)
    if found is None or len(value) > _TYPE_CHARACTERS_MAX:
        return None
    parameters: dict[str, str] = {}
    end = found.end()
    while parameter := _PARAMETER.match(value, end):
        end = parameter.end()
        name, text = (parameter[1] or "").lower(), (parameter[2] or "").lower()
        if name in parameters:
            return None
        if name:
            parameters[name] = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
    return None if value[end:].strip(" \t") else (found[1].lower(), parameters)
