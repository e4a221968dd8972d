"""Where the site shows the repository's files.

Pages link to one another as files of the repository, `../SECURITY.md` for one, so that they can be read on a forge. The
site has those files as pages, too: a module of the package as its page in the API reference, other sources as pages of
code. So no link to the repository leaves the site.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = "docs/"
PAGES = {
    "README.md": "readme.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/README.md": "bench/index.md",
    "bench/RESULTS.md": "bench/headlines.md",
    "bench/results/figures/figures.md": "bench/figures.md",
    **{f"bench/results/{path.name}": f"bench/{path.name.lower()}" for path in (ROOT / "bench/results").glob("*.md")},
}
_HOMES = {page: path for path, page in PAGES.items()}
_IMAGES = {".svg", ".png"}
_CODE = re.compile(r"^(?:```.*?^```|    [^\n]*)$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def page_of(path: str) -> str:
    """The site's file for a file of the repository."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    if path.startswith("secagg/") and path.endswith(".py"):  # its page in the API reference
        return f"api/{path.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}.md"
    return f"source/{path}" if Path(path).suffix in _IMAGES else f"source/{path}.md"


def home_of(page: str) -> str:
    """The file of the repository that a page of the site shows."""
    return _HOMES.get(page, DOCS + page)


def relinked(text: str, path: str) -> str:
    """The text of a file of the repository, with links to pages of the site.

    Args:
        text: Markdown.
        path: the file, relative to the repository's folder.
    """
    page = posixpath.dirname(page_of(path))

    def link(target: str) -> str:
        to, hash_, anchor = target.partition("#")
        return posixpath.relpath(page_of(_resolved(to, path)), page or ".") + hash_ + anchor

    return _with_links(text, link)


def sources() -> set[str]:
    """The files of the repository that pages link to, and that are no pages themselves."""
    found = {target for path in (*PAGES, *_written()) for target in _targets(path)}
    return {path for path in found if page_of(path).startswith("source/")}


def code_page(path: str) -> str:
    """A page that shows a source file."""
    language = {".py": "python", ".h": "c"}.get(Path(path).suffix, "text")
    return f"# {Path(path).name}\n\n`{path}` in the repository.\n\n````{language}\n{(ROOT / path).read_text()}\n````\n"


def is_image(path: str) -> bool:
    """Whether this file is shown as it is, and not as code."""
    return Path(path).suffix in _IMAGES


def _written() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / DOCS).rglob("*.md"))]


def _targets(path: str) -> Iterator[str]:
    """The files of the repository to which a page links."""
    found: list[str] = []
    _with_links((ROOT / path).read_text(), lambda target: found.append(target.partition("#")[0]) or target)  # type: ignore[func-returns-value]
    return (_resolved(target, path) for target in found)


def _with_links(text: str, link: Callable[[str], str]) -> str:
    """The text with every relative link to another file replaced by what `link` makes of it; code stays as it is."""
    pieces, end = [], 0
    for code in _CODE.finditer(text):
        pieces += [_replaced(text[end : code.start()], link), code.group()]
        end = code.end()
    return "".join([*pieces, _replaced(text[end:], link)])


def _replaced(text: str, link: Callable[[str], str]) -> str:
    def one(match: re.Match[str]) -> str:
        target = match.group(1)
        outside = target.startswith(("#", "http://", "https://", "mailto:"))
        return match.group() if outside else f"]({link(target)})"

    return _LINK.sub(one, text)


def _resolved(target: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
