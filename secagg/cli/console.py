"""What commands print: tables, values, JSON and progress."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

WIDE = 120  # columns from which a table's titles stay on one line
PIPE_WIDTH = 400  # a pipe has no width; this is enough that nothing is cut or wrapped

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


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
