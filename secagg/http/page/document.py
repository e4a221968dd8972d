"""The page as one document, and the headers that forbid it everything else."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ...text import read_text

FOLDER = Path(__file__).parent

OWN_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",  # or a script of another origin could load what the page is told
    "X-Frame-Options": "DENY",
}
"""Of the page and of all that it asks for. The server says that none of it is stored."""


class Document(NamedTuple):
    """The page.

    Attributes:
        content: HTML, with its style and its script.
        headers: to send with it.
    """

    content: bytes
    headers: dict[str, str]


def load(folder: Path, title: str, what: str, instead: str) -> Document:
    """A page: the shell that all pages have, from the files beside this one, and what it shows.

    Args:
        folder: of what it shows: content.html, page.css and page.js.
        title: of the page.
        what: it shows, in one word.
        instead: a command that needs no browser.

    Raises:
        OSError: a file cannot be read.
    """
    style = read_text(FOLDER / "shell.css") + read_text(folder / "page.css")
    script = read_text(folder / "page.js") + read_text(FOLDER / "shell.js")  # which starts what was declared before
    words = {"title": title, "what": what, "instead": instead}
    parts = {**words, "content": read_text(folder / "content.html"), "style": style, "script": script}
    html = read_text(FOLDER / "shell.html")
    for name, text in parts.items():
        html = html.replace("{{" + name + "}}", text)
    return Document(html.encode(), {**OWN_HEADERS, "Content-Security-Policy": _policy(style, script)})


def _policy(style: str, script: str) -> str:
    """What the browser may do for the page: run this script, show this style, and speak to this server."""
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
