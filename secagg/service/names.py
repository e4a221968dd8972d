"""Who takes part in the semi-honest model: names and 64-bit numbers of the operator's choice, kept apart.

In JSON a number is an integer and a name is a string. In a line of text, such as one of a file or of a journal, digits
alone are a number, and a name of digits stands in quotes: 7 is not "7".
"""

import re
from collections.abc import Mapping
from typing import Any

from ..arguments import whole
from ..errors import ArgumentTypeError, require

Name = str | int
Hashes = Mapping[str, bytes] | Mapping[int, bytes] | Mapping[Name, bytes]
"""Of tokens, by whose they are."""

NAME_BYTES = 255
NUMBER_MAX = (1 << 64) - 1
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_QUOTE = '"'


def check_name(name: Name) -> Name:
    """The same participant, a number as a Python integer.

    Args:
        name: a number of 0 .. 2^64 - 1; or printable characters, 1 .. 255 bytes of UTF-8 as `name_text` writes them.

    Raises:
        LocalProtocolError: it is something else.
    """
    if isinstance(name, str):
        good = name.isprintable() and name != "" and len(name_text(name).encode(errors="replace")) <= NAME_BYTES
        require(good, f"a participant's name must be printable characters, 1 .. {NAME_BYTES} bytes of UTF-8")
        return name
    number = _number(name)
    require(0 <= number <= NUMBER_MAX, f"a participant's number must be 0 .. 2^64 - 1, got {number}")
    return number


def name_text(name: Name) -> str:
    """A participant in a line of text.

    Args:
        name: that `check_name` takes.
    """
    if isinstance(name, str) and ((name.isascii() and name.isdigit()) or name.startswith(_QUOTE)):
        return f"{_QUOTE}{name}{_QUOTE}"
    return str(name)


def parse_name(text: str) -> Name:
    """The participant that a line of text stands for.

    Args:
        text: as `name_text` writes it; any name may stand in quotes.

    Raises:
        LocalProtocolError: it is none.
    """
    if text.isascii() and text.isdigit():
        known = _NUMBER.fullmatch(text) is not None
        require(known, "a participant's number must be 0 .. 2^64 - 1, without leading zeros: put a name into quotes")
        return check_name(int(text))
    if text.startswith(_QUOTE):
        require(len(text) > 2 and text.endswith(_QUOTE), f"a name that begins with a quote ends with one: {text}")
        return check_name(text[1:-1])
    return check_name(text)


def _number(value: Any) -> int:
    try:
        return whole(value, "a participant's number")
    except ArgumentTypeError:
        raise ArgumentTypeError(f"a participant must be a name or an integer, got {type(value).__name__}") from None
