"""The page as one document, and the headers that forbid it everything else."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ....text import read_text

FOLDER = Path(__file__).parent

OWN_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",  # or a script of another origin could load what the page is told
    "X-Frame-Options": "DENY",
}
"""Of the page and of all that it asks for. WithNonce says that none of it is stored."""


class Document(NamedTuple):
    """The page.

    Attributes:
        content: HTML, with its style and its script.
        headers: to send with it.
    """

    content: bytes
    headers: dict[str, str]


def load() -> Document:
    """The page, from the files beside this one.

    Raises:
        OSError: a file cannot be read.
    """
    style, script = read_text(FOLDER / "page.css"), read_text(FOLDER / "page.js")
    html = read_text(FOLDER / "index.html").replace("{{style}}", style).replace("{{script}}", script)
    return Document(html.encode(), {**OWN_HEADERS, "Content-Security-Policy": _policy(style, script)})


def _policy(style: str, script: str) -> str:
    """What the browser may do for the page: run this script, show this style, and speak to this coordinator."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_source(script)}",
            f"style-src {_source(style)}",
            "img-src data:",  # its icon
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",  # and there are none: no text becomes markup
            "trusted-types 'none'",
        )
    )


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"
