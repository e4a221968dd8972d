"""The reference of the command line, from the commands themselves."""

import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from secagg.cli import app
from secagg.cli.layout import parts

_INTRODUCTION = """# Command reference

Made from the commands. [A tour of them](command-line.md) shows the most useful ones; `--help` says the same as this
page.

"""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command and group, by its full name, a group before its commands."""
    yield from _below("secagg", get_command(app))


def page() -> str:
    """The whole reference."""
    return _INTRODUCTION + "\n".join(line for name, each in commands() for line in _lines(name, each))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for sub in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from _below(f"{name} {sub}", command.get_command(None, sub))


def _lines(name: str, command: Any) -> Iterator[str]:
    yield f"{'#' * (2 + (name.count(' ') > 1))} {name}\n"
    about, codes, examples = parts(command.help or "")
    yield from (_plain(paragraph) + "\n" for paragraph in about)
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    for title, params, row in (("argument", arguments, _argument), ("option", options, _option)):
        if params:
            yield f"| {title} | what it is | default |\n|---|---|---|"
            yield from (row(each) for each in params)
            yield ""
    yield "Exit codes: " + "; ".join(f"{code} {_plain(meaning)}" for code, meaning in codes.items()) + ".\n"
    if examples:
        yield "```text\n" + "\n".join(examples) + "\n```\n"


def _option(option: Any) -> str:
    names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag else f" {_kind(option)}"
    return f"| {names}{kind} | {_help(option)} | {_default(option)} |"


def _argument(argument: Any) -> str:
    return f"| {_kind(argument)} | {_help(argument)} | {_default(argument)} |"


def _kind(param: Any) -> str:
    return str(param.metavar or "TEXT")


def _help(param: Any) -> str:
    """The help, without the default that some of them write out themselves."""
    return _plain(re.sub(r"\s*\[default: .*?\]$", "", param.help or "")).replace("|", "\\|")


def _default(param: Any) -> str:
    written = re.search(r"\[default: (.*?)\]$", param.help or "")
    if param.required:
        return "required"
    if written:
        return written.group(1)
    if param.default is None or param.default is False or callable(param.default):
        return ""
    if param.secondary_opts:
        return f"`{param.opts[0]}`"
    return f"`{param.default}`"


def _plain(text: str) -> str:
    """Help text as Markdown: what looks like a tag, or like emphasis, is neither."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(piece if piece.startswith("`") else _unmarked(piece) for piece in pieces)


def _unmarked(words: str) -> str:
    return re.sub(r"([*_])", r"\\\1", words).replace("<", "&lt;")
