"""Help in one layout: what a command does, arguments, options, commands, exit codes, examples."""

import inspect
import re
import textwrap
from collections.abc import Sequence
from typing import Any

NAME_WIDTH = 30  # columns of help for an option's name

CLOSED_PIPE = 141  # 128 + SIGPIPE: what shells say of a program that the signal has ended
EXIT_CODES = {
    0: "done",
    2: "it cannot be done as asked: a line on stderr says why",
    130: "interrupted",
    CLOSED_PIPE: "whoever reads the output has closed it",
}
"""Of every command; a command's docstring adds its own in a paragraph such as `Exit codes: 1 the sum is wrong`."""


def help_text(
    about: str,
    arguments: Sequence[tuple[str, str]],
    options: Sequence[tuple[str, str]],
    commands: Sequence[tuple[str, str]],
    width: int,
) -> str:
    """The help of a command, without the line of its usage.

    Args:
        about: its docstring, with `Exit codes: 1 ...` and `Examples:` in paragraphs of their own.
        arguments: name and help of each.
        options: names and help of each.
        commands: name and line of help of each, if it is a group.
        width: columns of a line.
    """
    paragraphs, codes, examples = parts(about)
    sections = {
        "Arguments": [_plain(*record) for record in arguments],
        "Options": [_plain(*record) for record in options],
        "Commands": list(commands),
        "Exit codes": [(str(code), meaning) for code, meaning in codes.items()],
    }
    text = "".join("\n" + _wrapped(paragraph, width, "  ") for paragraph in paragraphs)
    text += "".join(f"\n{title}:\n" + _rows(rows, width) for title, rows in sections.items() if rows)
    if examples:
        text += "\nExamples:\n" + "".join(_example(example, width) for example in examples)
    return text


def parts(text: str) -> tuple[list[str], dict[int, str], list[str]]:
    """What a docstring says of a command, in paragraphs; all exit codes and what they mean; and its examples.

    Args:
        text: the docstring.
    """
    about, codes, examples = [], {}, []
    for paragraph in re.split(r"\n[ \t]*\n", inspect.cleandoc(text)):
        lines = paragraph.removeprefix("\b\n").splitlines()
        if re.match(r"Examples?:$", lines[0]):
            joined = re.sub(r"\n {4,}", " ", "\n".join(lines[1:]))  # a line that is further in goes on
            examples += [line.strip() for line in joined.splitlines()]
        elif lines[0].startswith("Exit codes: "):
            own = " ".join(lines).removeprefix("Exit codes: ").rstrip(".")
            codes = {int(code): meaning for code, _, meaning in (item.partition(" ") for item in own.split("; "))}
        else:
            about.append(" ".join(lines))
    return about, dict(sorted({**EXIT_CODES, **codes}.items())), examples


def _plain(names: str, text: str) -> tuple[str, str]:
    """An option or argument without typer's words for types, and with one blank before what it adds in brackets."""
    return re.sub(r"(?<=[A-Z.]) <\S+>", "", names).replace("<str>", "TEXT"), text.replace("  [", " [")


def _wrapped(text: str, width: int, indent: str, first: str | None = None, glue: str = "\n") -> str:
    """Text in lines of so many columns; a word is never cut, nor is a name with hyphens."""
    begin = indent if first is None else first
    whole: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return glue.join(textwrap.wrap(text, width, initial_indent=begin, subsequent_indent=indent, **whole)) + "\n"


def _rows(rows: list[tuple[str, str]], width: int) -> str:
    """Names, and beside each what it means; a long name has a line of its own."""
    column = min(max(len(name) for name, _ in rows), NAME_WIDTH) + 4
    lines = []
    for name, text in rows:
        begin = f"  {name}"
        if len(begin) + 2 > column:
            lines.append(begin + "\n")
            begin = ""
        lines.append(_wrapped(text, width, " " * column, begin.ljust(column)))
    return "".join(lines)


def _example(text: str, width: int) -> str:
    """A command, ready to be pasted, on as many lines as it takes; an option and its value stay together."""
    units = re.sub(r"(?<= )(--?[a-z][\w-]*) (?=[^-])", "\\1\0", text)
    return _wrapped(units, width - 2, "      ", "  ", " \\\n").replace("\0", " ")
