"""The documents keep their promises: their examples run and print what they say, and their links lead somewhere."""

import os
import re
import shlex
import socket
import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from textwrap import dedent

import pytest

from docs.generate import cli

from ..support.folders import ROOT
from ..support.processes import ran

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md", "bench/RESULTS.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "bench" / "results").rglob("*.md"))
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# A block and what it prints, if that follows, indented; what a shell prints may have empty lines.
_PYTHON = re.compile(r"```python\n(.*?)```\n(?:\n((?:    [^\n]*\n)+))?", re.DOTALL)
_SHELL = re.compile(r"```sh\n(.*?)```\n(?:\n((?:(?:    [^\n]*)?\n)+))?", re.DOTALL)
_RUN_BY = re.compile(r"<!-- (?:all )?run by (tests/\S+) -->")
_ALL_RUN_BY = re.compile(r"<!-- all run by tests/\S+ -->")  # Python, too: it needs a package that is not here
_INDENTED = re.compile(r"^    (secagg .*(?:\n {8}.*)*)", re.MULTILINE)
_INLINE = re.compile(r"`(secagg [^`]+)`")
_LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")
OPTIONS = {
    name: {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    for name, command in cli.commands()
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def python_blocks(page: Path) -> list[tuple[str, str]]:
    """A page's examples in Python that no other test runs, and what each prints."""
    text = page.read_text()
    return [] if _ALL_RUN_BY.search(text) else _PYTHON.findall(text)


def shell_blocks(page: Path) -> list[tuple[str, str]]:
    """A page's examples for a shell that no other test runs, and what each prints."""
    text = page.read_text()
    return [] if _RUN_BY.search(text) else _SHELL.findall(text)


_HERE = [page for page in PAGES if not page.is_relative_to(ROOT / "bench")]  # there they need clusters
WITH_PYTHON = [page for page in _HERE if python_blocks(page)]
WITH_SHELL = [page for page in _HERE if shell_blocks(page)]


def test_the_pages_have_examples() -> None:
    assert len(WITH_PYTHON) >= 9
    assert len(WITH_SHELL) >= 4


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_fenced_example_is_run(page: Path) -> None:
    """Here, if it is Python or a shell's; else the page names the tests that run it, and they name the page."""
    languages = {language for language, _ in _FENCED.findall(page.read_text())}
    run_by = _RUN_BY.search(page.read_text())
    if run_by:
        assert page.name in (ROOT / run_by.group(1)).read_text()
    else:
        assert languages <= {"python", "sh"}


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_an_example_prints_what_the_page_says(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The examples of a page go on from one another."""
    names: dict[str, object] = {}
    for code, printed in python_blocks(page):
        exec(compile(code, name_of(page), "exec"), names)
        assert capsys.readouterr().out.strip() == dedent(printed).strip()


def with_servers(page: Path) -> bool:
    return any(" &\n" in code or "dap demo" in code for code, _ in shell_blocks(page))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] if with_servers(page) else [])
        for page in WITH_SHELL
    ],
)
def test_a_shell_example_runs(page: Path, tmp_path: Path) -> None:
    """All of a page in one shell, in an empty folder."""
    printed = [dedent(text).strip() for _, text in shell_blocks(page)]
    said = run_in_shell([on_free_ports(code) for code, _ in shell_blocks(page)], tmp_path)
    for wanted, got in zip(printed, said, strict=True):
        same = OutputChecker().check_output(f"{wanted}\n", f"{got.strip()}\n", ELLIPSIS | NORMALIZE_WHITESPACE)
        assert not wanted or same, got


def run_in_shell(scripts: list[str], folder: Path) -> list[str]:
    """What each of the scripts prints; nothing that they start outlives them."""
    (folder / "secagg").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m secagg "$@"\n')
    (folder / "secagg").chmod(0o755)
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    end = "--- end of a block"
    script = "set -eu\n" + "".join(f"{each}echo '{end}'\n" for each in scripts)
    home = folder / "home"
    home.mkdir()
    with (folder / "stderr").open("w") as stderr:
        shell = ran("bash", "-c", script, cwd=home, env=environ, text=True, stderr=stderr)
    assert shell.returncode == 0, shell.stdout + (folder / "stderr").read_text()
    said: str = shell.stdout
    return said.split(f"{end}\n")[:-1]


_PORTS: dict[str, str] = {}


def on_free_ports(code: str) -> str:
    """The same with ports that are free here in place of 8080 and 8081."""
    for port in ("8080", "8081"):
        if f":{port}" in code and port not in _PORTS:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                _PORTS[port] = str(listener.getsockname()[1])
    return re.sub(r"(127\.0\.0\.1:)(\d+)", lambda match: match.group(1) + _PORTS[match.group(2)], code)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist_with_these_options(page: Path) -> None:
    """Of all that a page shows, also where it cannot be run here."""
    text = page.read_text()
    for line in [*_INDENTED.findall(text), *_INLINE.findall(text)]:
        words = shlex.split(line.replace("\\\n", " "), comments=True)
        command, options = " ".join(words[: command_length(words)]), words[command_length(words) :]
        unknown = {option for option in options if option.startswith("--") and option != "--"} - {"--help"}
        assert not unknown - OPTIONS[command], f"{name_of(page)}: {line}"


def command_length(words: list[str]) -> int:
    """How many words name a command."""
    return max(count for count in range(1, len(words) + 1) if " ".join(words[:count]) in OPTIONS)


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


def test_Flowers_page_and_SECURITY_begin_with_what_a_mod_cannot_enforce() -> None:  # noqa: N802
    _, _, first, *_ = (ROOT / "docs" / "flower.md").read_text().split("\n\n")
    _, _, heading, second, *_ = (ROOT / "SECURITY.md").read_text().split("\n\n")
    assert first.startswith("**A mod cannot protect a site from the application that it is part of.**")
    assert "--trusted-entities" in first
    assert heading.startswith("## In Flower")
    assert second == first
