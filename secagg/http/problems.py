"""Problem documents (RFC 9457), whatever their types mean: written, and read from any response."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from .semantics import parse_media_type, parse_retry_after

MEDIA_TYPE = "application/problem+json"
NO_TYPE = "about:blank"
"""Nothing is known beyond the status."""

_LONGEST_BODY = 1 << 16
_LONGEST_TEXT = 2000  # characters of a peer's text that are shown
_STANDARD = {"type", "title", "status", "detail", "instance"}


@dataclass(frozen=True)
class Stated:
    """What an unsuccessful response states.

    Attributes:
        type: a URI; NO_TYPE if it states none.
        detail: what is wrong, or else the title; may be empty.
        retry_after: the seconds after which to try again, if they are stated.
        members: extension members as they came.
    """

    type: str
    detail: str
    retry_after: float | None
    members: dict[str, Any]


def write_problem(type: str, title: str, status: int, detail: str, members: Mapping[str, Any]) -> bytes:
    """A problem document; the caller sends status, media type and Retry-After.

    Args:
        type: a URI.
        title: what the type means.
        status: of HTTP.
        detail: what is wrong; left out if it is empty.
        members: extension members; those that are None are left out.
    """
    document = {"type": type, "title": title, "status": int(status), "detail": detail or None, **members}
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


def problem_headers(status: int, retry_after: float | None, challenge: str) -> dict[str, str]:
    """The header fields that belong to a problem document.

    Args:
        status: of HTTP.
        retry_after: the seconds after which to try again; None to say nothing.
        challenge: how to show who one is, where nobody has (RFC 9110, section 15.5.2).
    """
    headers = {} if retry_after is None else {"Retry-After": str(ceil(retry_after))}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = challenge
    return headers


def read_problem(headers: Mapping[str, str], body: bytes, now: float) -> Stated:
    """The problem that an unsuccessful response states; any bytes give one.

    Args:
        headers: the response's, by name in lower case, or in a mapping that ignores case.
        body: the response's content.
        now: POSIX seconds, for a Retry-After that is a date.
    """
    document = _document(headers.get("content-type", ""), body)
    given = document.get("type")
    kind = given if isinstance(given, str) and given else NO_TYPE
    detail = next((text for text in map(document.get, ("detail", "title")) if isinstance(text, str) and text), "")
    return Stated(
        printable(kind) or NO_TYPE,
        printable(detail),
        parse_retry_after(headers.get("retry-after"), now),
        {name: value for name, value in document.items() if name not in _STANDARD},
    )


def without(members: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The members but for some.

    Args:
        members: of a problem.
        names: that are left out.
    """
    return {name: value for name, value in members.items() if name not in names}


def phrase(status: int) -> str:
    """What a status code means, in RFC 9110's words.

    Args:
        status: of HTTP.
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"


def printable(text: str) -> str:
    """A peer's text without control characters, which would reach a terminal, and cut at 2,000 characters.

    Args:
        text: what the peer sent.
    """
    return "".join(c if c.isprintable() else " " for c in text[:_LONGEST_TEXT])


def _document(content_type: str, body: bytes) -> dict[str, Any]:
    """The problem document of a body; empty if the body is none."""
    media_type = parse_media_type(content_type)
    if media_type is None or media_type[0] != MEDIA_TYPE or len(body) > _LONGEST_BODY:
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
