"""How every command speaks: results on stdout, one line for an error on stderr, and exit codes.

0 is success, 1 a wrong result, 2 a request that cannot be carried out, 130 an interrupt.
"""

import json
import os
import re
import sys
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
from typer.core import TyperGroup

from ..errors import Abort, SecAggError

WIDE = 120  # columns from which a table's titles stay on one line
PIPE_WIDTH = 400  # a pipe has no width of its own: wide enough that nothing is cut or wrapped

Progress = Callable[[str, int, int], None]
"""Told what goes on, how much of it is done, and of how much."""


class CommandError(SecAggError):
    """What was asked for cannot be done, in words for the one who typed it."""


class Group(TyperGroup):
    """Turns what a command raises on purpose into a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:
            raise
        except Abort as error:
            fail(f"too few clients are left in {error}")
        except SecAggError as error:
            fail(str(error))
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        except MemoryError as error:
            fail(f"out of memory: {error}" if str(error) else "out of memory")


def fail(reason: str, code: int = 2) -> None:
    """End the command."""
    sys.stdout.flush()
    print("error:", " ".join(reason.split()), file=sys.stderr)
    raise typer.Exit(code)


def warn(reason: str) -> None:
    """A line on stderr about what the command does all the same."""
    print("warning:", " ".join(reason.split()), file=sys.stderr)


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise CommandError(reason)


def integer_option(*names: str, minimum: int | None = None, maximum: int | None = None, **others: Any) -> Any:
    """`typer.Option` of whole numbers, in a range if there is one: "1_0" and other scripts' digits are none."""
    return typer.Option(*names, parser=partial(_integer, minimum, maximum), metavar="INTEGER", **others)


def number_option(*names: str, **others: Any) -> Any:
    """`typer.Option` of numbers that may have fractions, written as for `integer_option`."""
    return typer.Option(*names, parser=number, metavar="NUMBER", **others)


def integer(value: str | int) -> int:
    """As people write it. Raises `typer.BadParameter`; a default value has nothing to be read."""
    return _integer(None, None, value)


def _integer(minimum: int | None, maximum: int | None, value: str | int) -> int:
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]{1,400}\s*", value, re.ASCII):
        raise typer.BadParameter(f"{value!r} is no integer: write it in the digits 0 to 9")
    integer = int(value)
    if (minimum is not None and integer < minimum) or (maximum is not None and integer > maximum):
        upper = "" if maximum is None else maximum
        raise typer.BadParameter(f"{integer} is not in the range {minimum} .. {upper}".rstrip(" ."))
    return integer


def number(value: str | float) -> float:
    """As people write it, 2, 0.5 or 1e-6. Raises `typer.BadParameter`."""
    try:
        if not isinstance(value, str) or (value.isascii() and "_" not in value):
            return float(value)
    except ValueError:
        pass
    raise typer.BadParameter(f"{value!r} is no number such as 2, 0.5 or 1e-6")


def check_writable(output: Path | None) -> None:
    """Complain before the work rather than after it."""
    if output is not None:
        require(not output.is_dir(), f"cannot write {output}: it is a directory")
        require(output.parent.is_dir(), f"cannot write {output}: no such directory: {output.parent}")
        target = output if output.exists() else output.parent
        require(os.access(target, os.W_OK), f"cannot write {output}: no permission")


def console(*, stderr: bool = False) -> Console:
    """Made when it is used: that is when stdout and stderr are known."""
    stream = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not stream.is_terminal:
        stream.width = PIPE_WIDTH
    return stream


@contextmanager
def progress_bar(*, quiet: bool = False) -> Iterator[Progress]:
    """A bar on stderr while something goes on, if that is a terminal and the command is not to be quiet."""
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

    Where a terminal is narrow, it saves columns: every word of a title stands on a line of its own.
    """
    wide = console().width >= WIDE
    padding = (0, 0, 0, int(wide))
    empty = Table(box=SIMPLE_HEAD, show_edge=False, padding=padding, pad_edge=False, header_style="bold")
    empty.add_column(first, no_wrap=True)
    for title in others:
        empty.add_column(title if wide else title.replace(" ", "\n"), justify="right", overflow="fold")
    return empty


def show(*items: Table | str) -> None:
    """Print tables and lines, the lines unwrapped and without the blanks that pad a table."""
    out = console()
    for item in items:
        with out.capture() as capture:
            out.print(item, soft_wrap=isinstance(item, str))
        out.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def show_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print `name  value` lines, aligned."""
    rows = list(pairs)
    width = max(len(name) for name, _ in rows)
    show(*(f"{name:{width}}  {value}" for name, value in rows))


def show_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def modulus_text(modulus: int) -> str:
    """R as people write it: 2^24, 2^24 - 3, 1000."""
    bits = (modulus - 1).bit_length()
    below = (1 << bits) - modulus
    if below * 1000 < modulus:
        return f"2^{bits} - {below}" if below else f"2^{bits}"
    return str(modulus)
