"""Commands and groups: how they are declared, imported once they are called, and end.

Nothing here imports rich, numpy or a command, so that `secagg --help` costs little more than typer.
"""

import os
import re
import select
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any, ClassVar, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from ..errors import Abort, SecAggError
from ..extras import not_installed
from .layout import CLOSED_PIPE, help_text

_ENCODED = re.compile(r"-[A-Za-z0-9_-]{42}")  # 32 bytes in base64url that begin with a minus sign


class CommandError(SecAggError):
    """A request cannot be carried out; the message is for the person who typed it."""


class App(typer.Typer):
    """A group of commands whose help is plain text: it reads the same in a terminal, in a pipe and in a bug report.

    Args:
        later: its commands by name, if they are imported when they are called.
        others: as for typer.
    """

    def __init__(self, *, later: "Mapping[str, Later] | None" = None, **others: Any) -> None:
        plain = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "add_completion": False}
        kind = Group if later is None else type("LaterGroup", (LaterGroup,), {"later": later})
        super().__init__(**{"cls": kind, "no_args_is_help": True, **plain, **others})

    def command(self, name: str | None = None, **others: Any) -> Any:
        """See `typer.Typer.command`."""
        return super().command(name, **{"cls": Command, **others})


class _Help:
    def get_help_option(self: Any, ctx: Any) -> Any:
        """The option --help, which a command line that does not give it leaves False.

        typer leaves it None, and takes 90 ms to load pydantic, which then converts None to None.
        """
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False
        return option

    def format_help(self: Any, ctx: Any, formatter: Any) -> None:
        """Write the help, in the layout of all commands."""
        records = [(param, param.get_help_record(ctx)) for param in self.get_params(ctx)]
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for param, record in records:
            if record is not None:
                rows[param.param_type_name].append(record)
        commands = self.summaries(ctx) if isinstance(self, Group) else []
        self.format_usage(ctx, formatter)
        formatter.write(help_text(self.help or "", rows["argument"], rows["option"], commands, formatter.width))


class Command(_Help, TyperCommand):
    """A command. One word in 64 that stands for 32 random bytes, such as an ID or a hash, begins with a minus sign: it
    is an argument here, and not an option that nobody knows, wherever it stands.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the options and arguments of a command line."""
        return super().parse_args(ctx, self._marked(args))

    def _marked(self, args: list[str]) -> list[str]:
        """The options, "--" and the arguments, if one of these is such a word."""
        values = {
            name: 0 if getattr(param, "is_flag", False) else param.nargs
            for param in self.params
            for name in (*param.opts, *param.secondary_opts)
        }
        options: list[str] = []
        arguments: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                arguments += words
            elif len(word) > 1 and word.startswith("-") and _ENCODED.fullmatch(word) is None:
                options += (word, *islice(words, values.get(word, 0)))
            else:
                arguments.append(word)
        return [*options, "--", *arguments] if any(map(_ENCODED.fullmatch, arguments)) else args


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

    def summaries(self, ctx: Any) -> list[tuple[str, str]]:
        """Name and line of help of each command."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return [(name, command.get_short_help_str(sys.maxsize)) for name, command in commands if command is not None]


@dataclass(frozen=True)
class Later:
    """A command that is imported when it is called.

    Attributes:
        place: of the function or of the `App`, such as "dap.task:app", below this package.
        summary: its line in the help of its group.
    """

    place: str
    summary: str

    def load(self, name: str) -> Any:
        """The command, under this name.

        Raises:
            CommandError: a package of an extra is not installed, or SECAGG_ISA names no instruction set of this CPU.
        """
        module, _, attribute = self.place.partition(":")
        _load_kernels()
        try:
            found = getattr(import_module(f"{__package__}.{module}"), attribute)
        except ModuleNotFoundError as error:
            reason = not_installed(error, module.partition(".")[0])
            if reason is None:
                raise
            raise CommandError(reason) from None
        if isinstance(found, App):
            command: Any = get_group(found)
            command.name = name
            return command
        alone = App()
        alone.command(name)(found)
        return get_command(alone)


def _load_kernels() -> None:
    """Before anything that needs them, which would fail in the middle of an import."""
    try:
        import_module("secagg._kernels")
    except ValueError as error:
        raise CommandError(f"SECAGG_ISA: {error}") from None
    except RuntimeError as error:  # their self-test, which says what to do
        raise CommandError(str(error)) from None


class LaterGroup(Group):
    """A group whose commands are imported when they are called."""

    later: ClassVar[Mapping[str, Later]] = {}

    def __init__(self, **others: Any) -> None:
        super().__init__(**others)
        self.commands: Any = dict.fromkeys(self.later)  # whose names are proposed for one that is none

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(self.later)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, if there is one."""
        later = self.later.get(cmd_name)
        return None if later is None else later.load(cmd_name)

    def summaries(self, ctx: Any) -> list[tuple[str, str]]:
        """Name and line of help of each command."""
        return [(name, later.summary) for name, later in self.later.items()]


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
