"""The documentation's site: its generated parts are right, and what is built is whole and can be read.

`ci/docs` builds the site and names its folder in SECAGG_SITE; without it the tests of the built site are skipped. It
leaves screenshots in SECAGG_SCREENSHOTS, if that names a folder.
"""

import functools
import http.server
import os
import re
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from xml.etree import ElementTree

import pytest

from docs.generate import api, benchmarks, cli, drawings, files, leader_screenshot, screenshot, tables
from secagg import Model

from ..support.browser import SCROLLS, View, browser
from ..support.folders import ROOT
from ..support.processes import ran
from ..support.rounds import run

# What is generated


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_drawings_are_those_of_their_script(name: str) -> None:
    written = (drawings.FOLDER / f"{name}.svg").read_text()
    assert written == drawings.drawing(name), "run `python -m docs.generate.drawings`"
    ElementTree.fromstring(written)


def luminance(colour: str) -> float:
    """Relative luminance as in WCAG 2.1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [drawings.LIGHT, drawings.DARK], ids=["light", "dark"])
def test_words_in_drawings_can_be_read(palette: dict[str, str]) -> None:
    assert palette.keys() == drawings.LIGHT.keys()
    for ink, ground in product(("ink", "soft", "input", "self", "pair", "gone"), ("paper", "panel")):
        assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)


@pytest.mark.parametrize("page", tables.pages(), ids=lambda page: page.name)
def test_tables_are_those_of_their_script(page: Path) -> None:
    assert page.read_text() == tables.written(page.read_text()), "run `python -m docs.generate.tables`"


def test_some_pages_have_tables() -> None:
    assert {page.name for page in tables.pages()} == {"parameters.md", "threat-models.md"}


@pytest.mark.parametrize("model", Model)
def test_bytes_in_the_table_are_those_of_a_session(model: Model) -> None:
    session = run(5, m=100, modulus=1 << 20, model=model)
    costs = session.costs.values()
    sent, received = sum(cost.sent[1] for cost in costs), sum(cost.received[1] for cost in costs)
    assert tables.traffic(session.params) == (sent, received)


def test_the_reference_has_every_public_module() -> None:
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "secagg").rglob("*.py"))
    names = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    public = {name for name in names if "._" not in name and not name.startswith("secagg.cli")}
    assert set(api.modules()) == public
    assert {page for entry in api.nav() for page in pages_in(entry)} == {api.page_of(name) for name in public}


def pages_in(entry: Any) -> Iterator[str]:
    """The pages that a piece of the navigation leads to."""
    if isinstance(entry, str):
        yield entry
    for each in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from pages_in(each)


def test_a_package_says_where_its_names_are() -> None:
    assert "- [`Client`][secagg.protocol.client.Client]" in api.page("secagg")
    assert "- [`masking`](secagg.masking.md)" in api.page("secagg")
    assert "members: ['get_include', 'get_library']" in api.page("secagg")
    assert "From its modules" not in api.page("secagg.masking")
    assert "- [`secagg_mod`][secagg.integrations.flower.mod.secagg_mod]" in api.page("secagg.integrations.flower")


def test_docstrings_are_plain_text() -> None:
    pytest.importorskip("griffe", reason="the extra `docs` is not installed")
    from docs.generate import docstrings

    assert docstrings.plain("2**64 of `2**b`, <name>\n\n    a ** b <c>") == (
        "2\\*\\*64 of `2**b`, &lt;name>\n\n    a ** b <c>"
    )


SECTIONS = dict(re.findall(r"^###? (secagg.*)\n((?:(?!##).*\n)*)", cli.page(), re.MULTILINE))


def test_the_reference_has_every_command() -> None:
    assert list(SECTIONS) == [name for name, _ in cli.commands()]
    assert {"secagg simulate", "secagg dp epsilon-for", "secagg dap task new", "secagg dap store backup"} <= set(
        SECTIONS
    )


def help_of(command: str) -> str:
    """What a command says of itself, on lines that are long enough."""
    shown = [sys.executable, "-m", "secagg", *command.split(), "--help"]
    done = ran(*shown, env=os.environ | {"COLUMNS": "300"}, text=True)
    done.check_returncode()
    said: str = done.stdout
    return said


@pytest.mark.parametrize("command", ["simulate", "dp calibrate", "dap task new", "dap upload"])
def test_the_reference_has_every_option(command: str) -> None:
    options = re.compile(r"--[a-z][a-z-]+")
    assert {*options.findall(help_of(command))} - {"--help"} <= {*options.findall(SECTIONS[f"secagg {command}"])}


@pytest.mark.parametrize("command", ["simulate", "bench", "dap collect"])
def test_the_reference_has_defaults_and_exit_codes(command: str) -> None:
    said, section = help_of(command), SECTIONS[f"secagg {command}"]
    for default in re.findall(r"\[default:\s+([^\]]+)\]", said):
        assert re.search(rf"\| `?{re.escape(' '.join(default.split()))}`? \|$", section, re.MULTILINE), default
    assert said.count("Exit codes") == section.count("Exit codes")


def test_benchmarks_come_from_their_data() -> None:
    page = benchmarks.page()
    data = (ROOT / "bench" / "results" / "figures" / "machine.txt").read_text()
    assert data in page
    assert "| server | 1,000 | 30 % | 413,767 | 4,673 ± 51.7 | 88.5 <span" in page
    assert page.count(" <span") > 100


def test_links_lead_to_pages_of_the_site() -> None:
    text = "[a](../SECURITY.md#noise) [b](secagg.md) [c](../secagg/dp/plan.py) [d](../secagg/include/secagg.h)"
    assert files.relinked(text, "docs/noise.md") == (
        "[a](security.md#noise) [b](secagg.md) [c](api/secagg.dp.plan.md) [d](source/secagg/include/secagg.h.md)"
    )
    assert files.relinked("`[a](b)` [c](../d.md)", "docs/tours/e.md") == "`[a](b)` [c](../d.md)"
    assert files.relinked("[a](results/SCALE.md)", "bench/README.md") == "[a](scale.md)"
    assert files.relinked("![a](fig6.svg)", "bench/results/figures/figures.md") == (
        "![a](../source/bench/results/figures/fig6.svg)"
    )


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"(?:- |: )([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert listed == written | set(files.PAGES.values()) | {"cli.md", "benchmarks.md"}


PICTURES = {"service.md": screenshot, "operations.md": leader_screenshot}


@pytest.mark.parametrize("document", PICTURES)
def test_the_pictures_of_operators_pages(document: str) -> None:
    """Of their scripts' sizes, and no burden; what is in each, its script decides."""
    script = PICTURES[document]
    data = script.FILE.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (script.WIDTH, script.HEIGHT)
    assert len(data) < 150_000
    assert f"(assets/{script.FILE.name})" in (ROOT / "docs" / document).read_text()


# What is built

SITE = Path(os.environ.get("SECAGG_SITE", "/nonexistent"))
built = pytest.mark.skipif(not SITE.is_dir(), reason="SECAGG_SITE names no built site: bash ci/docs")
SHOWN = ("index.html", "protocol/index.html", "cli/index.html")
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")


class Reader(HTMLParser):
    """What a page loads, links to, and can be linked to at."""

    LOADS = ("script", "img", "source", "iframe", "video", "audio", "embed", "object", "use", "image")
    RELATIONS = ("stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest")

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in self.LOADS:
            self.loaded += [values[name] for name in ("src", "href", "srcset", "data", "xlink:href") if name in values]
        if tag == "link" and set(values.get("rel", "").split()) & {*self.RELATIONS}:
            self.loaded.append(values["href"])
        self.loaded += re.findall(r"url\(\s*['\"]?([^)'\"]+)", values.get("style", ""))


@functools.cache
def pages() -> dict[str, Reader]:
    return {str(path.relative_to(SITE)): Reader(path) for path in sorted(SITE.rglob("*.html"))}


@built
def test_the_site_has_all_its_pages() -> None:
    assert len(pages()) > 100
    assert {*SHOWN, "api/secagg.masking/index.html", "security/index.html", "changelog/index.html"} <= pages().keys()


@built
def test_nothing_is_loaded_from_elsewhere() -> None:
    """By a page, nor by a style sheet."""
    sheets = {str(path.relative_to(SITE)): path.read_text() for path in SITE.rglob("*.css")}
    assert sheets
    loaded = [(name, url) for name, page in pages().items() for url in page.loaded]
    loaded += [(name, url) for name, sheet in sheets.items() for url in re.findall(r"url\(\s*['\"]?([^)'\"]+)", sheet)]
    loaded += [(name, url) for name, sheet in sheets.items() for url in re.findall(r"@import\s+['\"]([^'\"]+)", sheet)]
    assert [(name, url) for name, url in loaded if re.match(r"(https?:)?//", url)] == []


@built
def test_links_inside_the_site_lead_somewhere() -> None:
    """To a page that is there, and to an anchor that this page has."""
    broken = [(name, link) for name, page in pages().items() for link in page.links if not leads(name, link)]
    assert broken == []


def leads(name: str, link: str) -> bool:
    if urlsplit(link).scheme or name == "404.html":  # whose links begin at the site's root
        return True
    target, anchor = urldefrag(urljoin(f"/{name}", link))
    path = unquote(target).lstrip("/")
    path = f"{path}index.html" if not path or path.endswith("/") else path
    if path not in pages():
        return (SITE / path).is_file()
    return not anchor or unquote(anchor) in pages()[path].ids or anchor.startswith("__")


# What a reader sees


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The site, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


Show = Callable[[str, int, str], View]


@pytest.fixture(scope="module")
def show(address: str) -> Iterator[Show]:
    """Opens a page of the site at a width, for a reader who prefers a scheme."""
    with browser() as open_page:
        yield lambda name, width, scheme: open_page(address, name, width, scheme, wait_until="networkidle")


DRAWN = """drawing => ({
    box: [drawing.getBoundingClientRect().width, drawing.getBoundingClientRect().height],
    paper: getComputedStyle(drawing.querySelector('.paper')).fill,
    words: [...new Set([...drawing.querySelectorAll('text')].map(text => getComputedStyle(text).fill))],
})"""


def hexadecimal(colour: str) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour)[:3])


def check_drawing(drawing: Any, scheme: str) -> None:
    """That it has a size, the scheme's ground, and words that stand out of it."""
    drawn = drawing.evaluate(DRAWN)
    paper = hexadecimal(drawn["paper"])
    assert paper == {"light": drawings.LIGHT, "dark": drawings.DARK}[scheme]["paper"]
    assert min(drawn["box"]) > 200
    for colour in drawn["words"]:
        assert contrast(hexadecimal(colour), paper) >= 3


@built
@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_page_is_shown_whole(show: Show, name: str, width: int, scheme: str) -> None:
    page, faults = show(name, width, scheme)
    folder = os.environ.get("SECAGG_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(500)  # for what fades in
        page.screenshot(
            path=Path(folder) / f"{name.partition('/')[0]}-{width}-{scheme}.png", full_page=name != SHOWN[2]
        )
    assert page.locator("body").get_attribute("data-md-color-scheme") == {"light": "default", "dark": "slate"}[scheme]
    assert page.evaluate(SCROLLS) <= 0
    found = page.locator("svg.drawing").all()
    assert len(found) == {"index.html": 1, "protocol/index.html": 3, "cli/index.html": 0}[name]
    for drawing in found:
        check_drawing(drawing, scheme)
    assert faults == []


@built
def test_a_drawing_follows_the_switch_of_colours(show: Show) -> None:
    page, faults = show("index.html", 1280, "light")
    check_drawing(page.locator("svg.drawing").first, "light")
    page.locator("label[title='Dark colours']").click()
    check_drawing(page.locator("svg.drawing").first, "dark")
    assert faults == []


@built
def test_the_search_finds_a_page(show: Show) -> None:
    page, faults = show("index.html", 1280, "light")
    page.locator(".md-search-result__meta", has_text="Type to start").wait_for(state="attached")  # the index is there
    page.locator("input[name=query]").press_sequentially("dropped")
    page.locator(".md-search-result__item").first.wait_for()
    assert faults == []


@built
def test_no_page_is_wider_than_a_telephone(show: Show) -> None:
    """Every page that is written, and some of the reference, whose pages are all of one kind."""
    faults = []
    for name in pages():
        if name.startswith("api/") and name not in ("api/secagg/index.html", "api/secagg.dp.plan/index.html"):
            continue
        page, wrong = show(name, 390, "light")
        wide = page.evaluate(SCROLLS)
        faults += [(name, wrong, wide)] if wide > 0 or (wrong and name != "404.html") else []
    assert faults == []
