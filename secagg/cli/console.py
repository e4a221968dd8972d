"""The input and output of every command: results on stdout, one line for an error on stderr, exit codes, and help."""

import inspect
import json
import os
import re
import select
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from typer.core import TyperCommand, TyperGroup

from ..errors import Abort, SecAggError

WIDE = 120  # columns from which a table's titles stay on one line
PIPE_WIDTH = 400  # a pipe has no width; this is enough that nothing is cut or wrapped

NAME_WIDTH = 30  # columns of help for an option's name

CLOSED_PIPE = 141  # 128 + SIGPIPE: what shells say of a program that the signal has ended
EXIT_CODES = {
    0: "done",
    2: "it cannot be done as asked: a line on stderr says why",
    130: "interrupted",
    CLOSED_PIPE: "whoever reads the output has closed it",
}
"""Of every command; a command's docstring adds its own in a paragraph such as `Exit codes: 1 the sum is wrong`."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


class CommandError(SecAggError):
    """A request cannot be carried out; the message is for the person who typed it."""


class App(typer.Typer):
    """A group of commands whose help is plain text: it reads the same in a terminal, in a pipe and in a bug report.

    Args:
        others: as for typer.
    """

    def __init__(self, **others: Any) -> None:
        plain = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "add_completion": False}
        super().__init__(**{"cls": Group, "no_args_is_help": True, **plain, **others})

    def command(self, name: str | None = None, **others: Any) -> Any:
        """See `typer.Typer.command`."""
        return super().command(name, **{"cls": Command, **others})


class _Help:
    """Help in one layout: usage, what the command does, arguments, options, commands, exit codes, examples."""

    def format_help(self: Any, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        about, codes, examples = _parts(self.help or "")
        records = [(param, param.get_help_record(ctx)) for param in self.get_params(ctx)]
        shown = [(param, record) for param, record in records if record is not None]
        names = self.list_commands(ctx) if isinstance(self, TyperGroup) else []
        sections = {
            "Arguments": [_plain(*record) for param, record in shown if param.param_type_name == "argument"],
            "Options": [_plain(*record) for param, record in shown if param.param_type_name == "option"],
            "Commands": [(name, self.get_command(ctx, name).get_short_help_str(PIPE_WIDTH)) for name in names],
            "Exit codes": [(str(code), meaning) for code, meaning in sorted({**EXIT_CODES, **codes}.items())],
        }
        self.format_usage(ctx, formatter)
        for paragraph in about:
            formatter.write("\n" + _wrapped(paragraph, formatter.width, "  "))
        for title, rows in sections.items():
            if rows:
                formatter.write(f"\n{title}:\n" + _rows(rows, formatter.width))
        if examples:
            formatter.write("\nExamples:\n" + "".join(_example(text, formatter.width) for text in examples))


class Command(_Help, TyperCommand):
    """A command."""


class Group(_Help, TyperGroup):
    """Turns the errors that a command raises on purpose into a line on stderr and an exit code."""

    def make_context(self, *args: Any, **others: Any) -> Any:
        """Read the options; help and version are printed here."""
        with _ended():
            return super().make_context(*args, **others)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _ended():
            return super().invoke(ctx)


@contextmanager
def _ended() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Abort as error:
        fail(f"too few clients are left in {error}")
    except SecAggError as error:
        fail(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _output_is_closed():
            raise typer.Exit(CLOSED_PIPE) from None
        fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
    except MemoryError as error:
        fail(f"out of memory: {error}" if str(error) else "out of memory")


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run a command line and end the process, without a word where whoever reads the output has closed it.

    Args:
        app: with the commands.
        name: of the program.
    """
    code: Any = 0
    try:
        app(prog_name=name)
    except SystemExit as end:
        code = end.code
    except BrokenPipeError:  # of stderr, while the line of an error was written
        code = CLOSED_PIPE
    for stream in (sys.stdout, sys.stderr):
        try:
            _flush(stream)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python writes what is left when it ends
            if not (code or isinstance(error, BrokenPipeError)):
                print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
            code = code or (CLOSED_PIPE if isinstance(error, BrokenPipeError) else 2)
    sys.exit(code)


def _output_is_closed() -> bool:
    """Whether nobody reads stdout or stderr any more; else it was another pipe that broke."""
    watched = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # no file at all
            watched.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))


def _flush(stream: Any) -> None:
    if stream is not None:  # as where the shell has closed it: `>&-`
        stream.flush()


def _parts(text: str) -> tuple[list[str], dict[int, str], list[str]]:
    """What a docstring says of a command, in paragraphs, the exit codes of its own by number, and its examples."""
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
    return about, codes, examples


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


def fail(reason: str, code: int = 2) -> None:
    """End the command with an error line and an exit code."""
    with suppress(OSError):  # an error is one although nobody reads the output
        _flush(sys.stdout)
    print("error:", " ".join(reason.split()), file=sys.stderr)
    raise typer.Exit(code)


def warn(reason: str) -> None:
    """Print a warning line on stderr; the command goes on."""
    print("warning:", " ".join(reason.split()), file=sys.stderr)


def require(condition: bool, reason: str) -> None:
    """Raise CommandError with this reason unless the condition holds."""
    if not condition:
        raise CommandError(reason)


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
