"""The documents keep their promises: their Python runs and prints what they say, and their links lead somewhere."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from ..support.folders import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md", "bench/RESULTS.md")]
PAGES += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "bench" / "results").rglob("*.md"))
_BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n((?:    [^\n]*\n)+))?", re.DOTALL)
_LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


BLOCKS = [
    pytest.param(code, printed, id=f"{name_of(page)}-{number}")
    for page in PAGES
    if page.parent in (ROOT, ROOT / "docs")  # elsewhere they need clusters
    for number, (code, printed) in enumerate(_BLOCK.findall(page.read_text()), 1)
]


def test_the_pages_have_examples() -> None:
    with_python = {str(block.id).rpartition("-")[0] for block in BLOCKS}
    assert with_python == {
        "README.md",
        *(f"docs/{name}.md" for name in ("secagg", "prio3", "noise", "kernels", "c-api")),
    }


@pytest.mark.parametrize(("code", "printed"), BLOCKS)
def test_an_example_prints_what_the_page_says(code: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "example", "exec"), {})
    assert capsys.readouterr().out.strip() == dedent(printed).strip()


def anchors(page: Path) -> set[str]:
    """As forges make them of headings: small letters, spaces to hyphens, other punctuation left out."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)} links to {link}"


def test_the_front_page_is_short() -> None:
    """Whoever comes first reads it whole; the rest is in docs/."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110


def test_the_headlines_are_one_page() -> None:
    """Of bench/RESULTS.md; the long tables are in bench/results/."""
    assert len((ROOT / "bench" / "RESULTS.md").read_text().splitlines()) <= 60
