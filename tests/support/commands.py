"""Running a command of `secagg` in this process, as tests do: what it prints, and by which line it is refused."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from secagg.cli import app

_COLOURS = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS")


@contextmanager
def plain_environment(*others: str) -> Iterator[None]:
    """Nothing in the environment asks for colours, nor are these variables set."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (*_COLOURS, *others):
            patch.delenv(name, raising=False)
        yield


@contextmanager
def loggers_as_before() -> Iterator[None]:
    """A server that is started here, or fails to start, logs to what stands for stderr: nothing may do so later."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


class Command:
    """A command by its words, such as `Command("dap", "demo")`."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def outcome(self, *arguments: str | Path, stdin: str | None = None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr; what was not raised on purpose is a failure of the test."""
        with loggers_as_before():
            result = CliRunner().invoke(app, [*self._words, *map(str, arguments)], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    def run(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """stdout of a run that must succeed and leave stderr empty."""
        code, out, err = self.outcome(*arguments, stdin=stdin)
        assert (code, err) == (0, ""), (code, err)
        return out

    def run_json(self, *arguments: str | Path) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def refused(self, *arguments: str | Path) -> str:
        """The one line by which a run is refused, without `error: `."""
        code, out, err = self.outcome(*arguments)
        assert (code, out) == (2, ""), err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err.removeprefix("error: ").rstrip("\n")
