"""Help of every command: nothing of its text is lost, it has one layout, and its examples can be typed."""

import inspect
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from secagg.cli import app
from secagg.cli.layout import EXIT_CODES

from ..support.commands import Command, plain_environment

TITLES = ["Usage", "Arguments", "Options", "Commands", "Exit codes", "Examples"]


def tree(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands and groups by their words."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name in command.list_commands(None):  # type: ignore[arg-type]
            yield from tree(command.get_command(None, name), (*path, name))  # type: ignore[arg-type]


COMMANDS = dict(tree(get_command(app)))
WITHOUT_JSON = {("keygen",), ("adopt",), ("selftest",), ("dap", "page-token")}  # they print one word or one line
EACH = pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "secagg")


def help_of(path: tuple[str, ...], columns: int) -> str:
    with plain_environment(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        return Command(*path).run("--help")


def words(text: str) -> set[str]:
    return {word.rstrip(".;") for word in text.replace("\b", " ").split() if word != "\\"}


def test_the_tree_has_all_commands() -> None:
    assert len(COMMANDS) > 25
    assert ("dap", "task", "new") in COMMANDS


@EACH
@pytest.mark.parametrize("columns", [80, 120])
def test_every_word_is_there_and_every_line_fits(path: tuple[str, ...], columns: int) -> None:
    command, text = COMMANDS[path], help_of(path, columns)
    shown = words(text)
    for param in command.params:
        assert words(param.help) <= shown, param.name
        assert set(param.opts) <= {word.rstrip(",") for word in shown} or param.param_type_name == "argument"
    assert words(re.sub(r"Exit codes: |Examples?:", "", inspect.cleandoc(command.help))) <= shown
    assert max(map(len, text.splitlines())) <= min(columns, 100)
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "\x1b" not in text
    assert not re.search(r"<(list|str|path)", text)


@EACH
def test_one_layout(path: tuple[str, ...]) -> None:
    command, text = COMMANDS[path], help_of(path, 80)
    titles = re.findall(r"^([A-Z][A-Za-z ]+):", text, re.MULTILINE)
    assert titles == [title for title in TITLES if title in titles]
    group = isinstance(command, TyperGroup)
    needed = {"Usage", "Options", "Exit codes", "Examples", *(["Commands"] if group else [])}
    assert needed <= set(titles)
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^  {code} +{re.escape(meaning)}$", text, re.MULTILINE)
    assert ("--json" in text) != (group or path in WITHOUT_JSON)


@EACH
def test_examples_can_be_typed(path: tuple[str, ...]) -> None:
    text = help_of(path, 80).partition("\nExamples:\n")[2]
    examples = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    assert examples
    own = 0
    for example in examples:
        typed = shlex.split(re.sub(r'.*"\d \$\((.*)\)".*', r"\1", example))
        typed = typed[typed.index("secagg") + 1 :]
        named = max((known for known in COMMANDS if tuple(typed[: len(known)]) == known), key=len)
        known = {option for param in COMMANDS[named].params for option in (*param.opts, *param.secondary_opts)}
        used = [word for word in typed if re.match(r"--[a-z]", word)]
        assert set(used) <= known, example
        assert not isinstance(COMMANDS[named], TyperGroup), example
        own += named[: len(path)] == path
    assert own == len(examples)
