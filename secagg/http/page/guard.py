"""Whether a request is the page's own, and not that of another site in the same browser."""

from starlette.requests import Request

from ...errors import LocalProtocolError
from ..urls import parse_server_url
from .problems import FORBIDDEN, PageProblem

HEADER = "SecAgg-Page"
"""Of every request that changes something: a browser sends it for another site only if CORS allows that, and here it
does not."""


def check_own(request: Request, url: str) -> None:
    """Refuse a request that another site has made.

    A browser says of every request that changes something where it comes from. Of one that reads it may say nothing;
    then the browser's own rules keep other sites from reading the answer.

    Args:
        request: that the page may send.
        url: the server's, as the operator knows it.

    Raises:
        PageProblem: it is not the page's (403).
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    changes = request.method not in ("GET", "HEAD")
    foreign = site not in (None, "same-origin") or (origin is not None and not _is_own(origin, request, url))
    if foreign or (changes and site is None and origin is None):
        raise PageProblem(FORBIDDEN, f"this is for the page at {url}/ alone")
    if changes and request.headers.get(HEADER) != "1":
        raise PageProblem(FORBIDDEN, f"this takes the header {HEADER}: 1")


def _is_own(origin: str, request: Request, url: str) -> bool:
    """The server's own URL, or the one that the browser knows it by, as through a tunnel."""
    known = _place(url), _place(f"{request.url.scheme}://{request.headers.get('host', '')}")
    return _place(origin) is not None and _place(origin) in known


def _place(url: str) -> tuple[str, str, int] | None:
    try:
        parsed = parse_server_url(url)
    except LocalProtocolError:
        return None
    return parsed.scheme, parsed.host, parsed.port
