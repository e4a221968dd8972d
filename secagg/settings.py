"""Configurations: TOML files of tables, each key of which is declared with what it may be and what it means.

A table is a frozen dataclass whose fields are `option`s. The same declarations check a file that a person wrote and
write the commented file that a person begins with.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import LocalProtocolError, SecAggError
from .text import read_text


class ConfigError(SecAggError):
    """A configuration has a value that it may not have; the message names file, table and key."""


@dataclass(frozen=True)
class Kind:
    """What a value must be.

    Attributes:
        words: that say so.
        holds: whether a value is so.
    """

    words: str
    holds: Callable[[Any], bool]


def whole_kind(low: int, high: int) -> Kind:
    """Whole numbers in a range.

    Args:
        low: the smallest.
        high: the largest.
    """
    return Kind(f"a whole number from {low:,} to {high:,}", lambda v: type(v) is int and low <= v <= high)


def one_of(words: tuple[str, ...]) -> Kind:
    """One of some words.

    Args:
        words: that are allowed.
    """
    return Kind(f"one of {', '.join(words)}", lambda v: v in words)


def is_address(value: object) -> bool:
    """Whether a value is a host and a port, such as "127.0.0.1:8080"."""
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(host) and port.isascii() and port.isdigit() and int(port) < 1 << 16


TEXT = Kind("text", lambda v: isinstance(v, str) and v != "")
TRUTH = Kind("true or false", lambda v: isinstance(v, bool))
SECONDS = Kind("seconds, above 0 and at most a day", lambda v: type(v) in (int, float) and 0 < v <= 86_400)
RATE = Kind("a number from 1 to 1,000,000", lambda v: type(v) in (int, float) and 1 <= v <= 1_000_000)
ADDRESS = Kind('an address such as "127.0.0.1:8080" or "[::]:443"', is_address)


def option(default: Any, kind: Kind, comment: str, example: Any = None) -> Any:
    """A key of a table.

    Args:
        default: its value if it is left out; None for none, and `MISSING` if it must be there.
        kind: what its value must be.
        comment: what it means, on one line or several.
        example: a value to show where there is no default.
    """
    return field(default=default, metadata={"kind": kind, "comment": comment, "example": example})


def load_toml(path: Path) -> dict[str, Any]:
    """What a file holds, unchecked.

    Args:
        path: of the file.

    Raises:
        ConfigError: it is not TOML.
        LocalProtocolError: it is not UTF-8.
        OSError: it cannot be read.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def read_tables(path: Path, who: str, known: Mapping[str, type[Any]], given: Mapping[str, object]) -> dict[str, Any]:
    """All tables of a file, checked; those that are left out have their defaults.

    Args:
        path: of the file, for errors.
        who: has such a file, as in "a coordinator".
        known: the tables' dataclasses, by name.
        given: what the file has.

    Raises:
        ConfigError: there is another table, or a table has a key or a value that is not allowed.
    """
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ConfigError(f"{path}: {who} has no [{unknown[0]}]: tables are {', '.join(known)}")
    return {name: _read_table(path, name, kind, given.get(name, {})) for name, kind in known.items()}


def _read_table(path: Path, table: str, kind: type[Any], given: object) -> Any:
    """A table, checked.

    Args:
        path: of the file, for errors.
        table: its name.
        kind: its dataclass.
        given: what the file has.

    Raises:
        ConfigError: a key or a value is not allowed, or a key is missing.
    """
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: {table} must be a table: write [{table}] before its keys")
    known = {entry.name: entry for entry in fields(kind)}
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"{path}: [{table}] has no key {key}: its keys are {', '.join(known)}")
        wanted: Kind = known[key].metadata["kind"]
        if not wanted.holds(value):
            raise ConfigError(f"{path}: [{table}] {key} must be {wanted.words}, got {value!r}")
    missing = [name for name, entry in known.items() if entry.default is MISSING and name not in given]
    if missing:
        raise ConfigError(f"{path}: [{table}] {missing[0]} is missing")
    return kind(**given)


def template_lines(table: str, kind: type[Any], values: Mapping[str, Any]) -> list[str]:
    """A table as it is written for a person, with a comment before each key.

    Args:
        table: its name.
        kind: its dataclass.
        values: by key; they replace defaults.

    Raises:
        LocalProtocolError: a text is not printable.
    """
    lines = ["", f"[{table}]"]
    for entry in fields(kind):
        default = None if entry.default is MISSING else entry.default
        lines += _lines(entry, values.get(entry.name, default))
    return lines


def _lines(entry: "Field[Any]", value: Any) -> list[str]:
    comment = [f"# {line}" for line in entry.metadata["comment"].splitlines()]
    if value is None:
        return [*comment, f"# {entry.name} = {_toml(entry.metadata['example'] or '...')}"]
    return [*comment, f"{entry.name} = {_toml(value)}"]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        if any(not c.isprintable() for c in value):
            raise LocalProtocolError("a configuration's text must be printable")
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
