"""The numbers that commands read."""

import re
from functools import partial
from typing import Any

import typer


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
