"""Numbers on the command line: those that everybody reads, in the digits 0 to 9 and without underscores."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from secagg.cli import app, numbers
from secagg.cli.app import CommandError
from secagg.cli.dap.upload import parse
from secagg.dp.exact import fraction
from secagg.errors import LocalProtocolError

STRANGE = ["1_0", "_1", "\u0661\u0662", "\uff11", "\u00b2", "", "one", "0x10", "1e3", "2.0"]


def commands(command: Any) -> Iterator[Callable[..., Any]]:
    """The functions of a command and of all below it."""
    if isinstance(command, TyperGroup):
        for name in command.list_commands(None):  # type: ignore[arg-type]
            yield from commands(command.get_command(None, name))  # type: ignore[arg-type]
    else:
        yield inspect.unwrap(command.callback)


def numeric_options() -> dict[str, Any]:
    """What annotates each parameter that is a number, by its name."""
    parameters = [
        (f"{command.__module__}.{command.__name__}({parameter.name})", *get_args(parameter.annotation))
        for command in commands(get_command(app))
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
    ]
    return {name: option for name, kind, option in parameters if {int, float} & {kind, *get_args(kind)}}


def test_every_number_on_the_command_line_is_read_by_our_own_parsers() -> None:
    options = numeric_options()
    assert len(options) > 30
    parsers = {name: getattr(option.parser, "func", option.parser) for name, option in options.items()}
    ours = (numbers.integer, numbers.integer_option(help="").parser.func, numbers.number)
    assert not [name for name, parser in parsers.items() if parser not in ours]


@pytest.mark.parametrize("text", STRANGE)
def test_strange_integers_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="digits 0 to 9"):
        numbers.integer(text)


@pytest.mark.parametrize("text", [text for text in STRANGE if text not in ("1e3", "2.0")])
def test_strange_numbers_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a number"):
        numbers.number(text)
    with pytest.raises(LocalProtocolError, match="epsilon must be"):
        fraction(text, "epsilon")


@pytest.mark.parametrize(("text", "value"), [("10", 10), ("-3", -3), ("+7", 7), (" 8 ", 8), ("007", 7), (5, 5)])
def test_integers_are_read(text: Any, value: int) -> None:
    assert numbers.integer(text) == value


@pytest.mark.parametrize(("text", "value"), [("10", 10.0), ("-0.5", -0.5), ("1e-6", 1e-6), (0.25, 0.25)])
def test_numbers_are_read(text: Any, value: float) -> None:
    assert numbers.number(text) == value


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("simulate --clients 1_0", "'1_0' is not an integer"),
        ("simulate --bits \u0662\u0664", "is not an integer"),
        ("simulate --drop 0_0.1", "'0_0.1' is not a number"),
        ("dp calibrate --epsilon 1_0 --task histogram --length 4", "epsilon must be a number"),
        ("dp calibrate --epsilon \u0661 --task histogram --length 4", "epsilon must be a number"),
        ("dp tradeoff --epsilon 1 --reports 1_0 --task histogram --length 4", "--reports must be a number"),
        ("dap key end --config leader.toml 1_0", "'1_0' is not an integer"),
    ],
)
def test_commands_refuse_strange_numbers(arguments: str, reason: str) -> None:
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 2
    assert reason in result.output


def test_ranges_of_numbers_are_said() -> None:
    result = CliRunner().invoke(app, ["dap", "worker", "--config", "x", "--threads", "65"])
    assert result.exit_code == 2
    assert "65 is not in the range 1 .. 64" in result.output


def test_measurements_are_read_as_strictly_and_never_shown() -> None:
    from ..support.tasks import make_task

    assert parse(make_task(), "3", 1) == 3
    with pytest.raises(CommandError, match="measurement 1 must be a number") as error:
        parse(make_task(), "1_0", 1)
    assert "1_0" not in str(error.value)
