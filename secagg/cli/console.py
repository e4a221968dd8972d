"""What commands print: tables, values, JSON and progress; and the numbers that they read."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from .app import require

WIDE = 120  # columns from which a table's titles stay on one line
PIPE_WIDTH = 400  # a pipe has no width; this is enough that nothing is cut or wrapped

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def integer_option(*names: str, minimum: int | None = None, maximum: int | None = None, **others: Any) -> Any:
    """`typer.Option` of integers, which are written in ASCII digits without underscores.

    Args:
        names: of the option, as for typer.
        minimum: the smallest integer, if there is one.
        maximum: the largest integer, if there is one.
        others: as for typer.
    """
    return typer.Option(*names, parser=partial(_integer, minimum, maximum), metavar="INTEGER", **others)


def number_option(*names: str, **others: Any) -> Any:
    """`typer.Option` of real numbers, which are written in ASCII digits without underscores.

    Args:
        names: of the option, as for typer.
        others: as for typer.
    """
    return typer.Option(*names, parser=number, metavar="NUMBER", **others)


def integer(value: str | int) -> int:
    """The integer that is written, or the default value as it is.

    Raises:
        typer.BadParameter: it is not an integer in ASCII digits.
    """
    return _integer(None, None, value)


def _integer(minimum: int | None, maximum: int | None, value: str | int) -> int:
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]{1,400}\s*", value, re.ASCII):
        raise typer.BadParameter(f"{value!r} is not an integer: write it in the digits 0 to 9")
    integer = int(value)
    if (minimum is not None and integer < minimum) or (maximum is not None and integer > maximum):
        upper = "" if maximum is None else maximum
        raise typer.BadParameter(f"{integer} is not in the range {minimum} .. {upper}".rstrip(" ."))
    return integer


def number(value: str | float) -> float:
    """The number that is written, such as 2, 0.5 or 1e-6, or the default value as it is.

    Raises:
        typer.BadParameter: it is not a number in ASCII characters.
    """
    try:
        if not isinstance(value, str) or (value.isascii() and "_" not in value):
            return float(value)
    except ValueError:
        pass
    raise typer.BadParameter(f"{value!r} is not a number such as 2, 0.5 or 1e-6")


def check_writable(output: Path | None) -> None:
    """Refuse an output file that cannot be written, before the work and not after it.

    Raises:
        CommandError: it is a directory, its folder does not exist, or it must not be written.
    """
    if output is not None:
        require(not output.is_dir(), f"cannot write {output}: it is a directory")
        require(output.parent.is_dir(), f"cannot write {output}: no such directory: {output.parent}")
        target = output if output.exists() else output.parent
        require(os.access(target, os.W_OK), f"cannot write {output}: no permission")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave the error to `run`; rich would end the process with 1."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """rich's console on stdout or stderr, as they are when it is used."""
    stream = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not stream.is_terminal:
        stream.width = PIPE_WIDTH
    return stream


@contextmanager
def progress_bar(*, quiet: bool = False) -> Iterator[Progress]:
    """Show a bar on stderr while the block runs, if stderr is a terminal.

    Args:
        quiet: show nothing.

    Yields:
        A function to be called with the progress.
    """
    err = console(stderr=True)
    if quiet or not err.is_interactive:
        yield lambda name, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ProgressBar(*columns, console=err, transient=True) as bar:
        task = bar.add_task("")
        yield lambda name, done, total: bar.update(task, description=name, completed=done, total=total)


def table(first: str, *others: str) -> Table:
    """An empty table: names in the first column, numbers in the others.

    On a narrow terminal every word of a title is on a line of its own.

    Args:
        first: title of the first column.
        others: titles of the other columns.
    """
    wide = console().width >= WIDE
    padding = (0, 0, 0, int(wide))
    empty = Table(box=SIMPLE_HEAD, show_edge=False, padding=padding, pad_edge=False, header_style="bold")
    empty.add_column(first, no_wrap=True)
    for title in others:
        empty.add_column(title if wide else title.replace(" ", "\n"), justify="right", overflow="fold")
    return empty


def show(*items: Table | str) -> None:
    """Print tables and lines of text; lines are not wrapped, and nothing ends in blanks."""
    out = console()
    for item in items:
        with out.capture() as capture:
            out.print(item, soft_wrap=isinstance(item, str))
        out.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def show_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print a line for each name and value, with aligned values."""
    rows = list(pairs)
    width = max(len(name) for name, _ in rows)
    show(*(f"{name:{width}}  {value}" for name, value in rows))


def show_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2))


def modulus_text(modulus: int) -> str:
    """R as people write it, such as 2^24, 2^24 - 3 or 1000."""
    bits = (modulus - 1).bit_length()
    below = (1 << bits) - modulus
    if below * 1000 < modulus:
        return f"2^{bits} - {below}" if below else f"2^{bits}"
    return str(modulus)
