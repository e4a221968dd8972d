"""Counters of saved clients: a number for each state file, kept where whoever puts a file back cannot put it back.

A participant asks for the counter of one state by its name, 32 hexadecimal digits that stand for one coordinator,
session with its parameters, and participant. A name serves one state for ever: a number above 0 without a file means
that a state was there.
"""

import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..arguments import whole
from ..errors import LocalProtocolError, require
from ..protocol.saved import Counter

Counters = Callable[[str], Counter]
"""Gives the counter of a state by its name."""

COMMAND_SECONDS = 30.0
_OUTPUT_BYTES = 1 << 12
_LOOK_SECONDS = 0.01  # between two looks whether a program that is silent has ended
_SHOWN_CHARACTERS = 200
_VALUE = re.compile(rb"\s*(0|[1-9][0-9]{0,19})\s*", re.ASCII)


class CounterFailed(OSError):
    """A counter's program did not do what it was asked for. The state of the session stays, for the same call."""


class CommandCounter:
    """A counter behind a program, such as one that asks a TPM or a service for keys.

    `PROGRAM value NAME` prints the number as decimal digits, 0 for a name that was never advanced. `PROGRAM advance
    NAME NUMBER` raises it to that number, and ends once no crash can lower it. Both end with exit code 0.

    Args:
        command: the program and its first arguments.
        name: of the state.
        seconds: that the program may take.
    """

    def __init__(self, command: list[str], name: str, *, seconds: float = COMMAND_SECONDS) -> None:
        self._command = command
        self._name = name
        self._seconds = seconds

    def value(self) -> int:
        """The number now.

        Raises:
            CounterFailed: the program failed, or did not print a number of 64 bits.
        """
        found = _VALUE.fullmatch(printed := self._ran("value", self._name))
        if found is None or int(found[1]) >= 1 << 64:
            raise CounterFailed(f"{self._words('value')}: expected a number of 64 bits, got {_shown(printed)}")
        return int(found[1])

    def advance(self, to: int) -> None:
        """Raise the number.

        Args:
            to: the new number.

        Raises:
            CounterFailed: the program failed.
        """
        self._ran("advance", self._name, str(whole(to, "to")))

    def _ran(self, *arguments: str) -> bytes:
        """What the program prints."""
        words = self._words(arguments[0])
        with _started([*self._command, *arguments], words) as process:
            out, error = _said(process, self._seconds, words)
        if process.returncode != 0:
            said = f": {_shown(error)}" if error else ""
            raise CounterFailed(f"{words} ended with exit code {process.returncode}{said}")
        return out

    def _words(self, verb: str) -> str:
        return f"the counter '{shlex.join(self._command)} {verb}'"


def command_counters(text: str) -> Counters:
    """The counters behind a program.

    Args:
        text: the program and its first arguments, quoted as in a shell, which does not run.

    Raises:
        LocalProtocolError: there is no program in it.
    """
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise LocalProtocolError(f"the counter's command {text!r} cannot be read: {error}") from None
    require(bool(command), "the counter's command is empty")
    return lambda name: CommandCounter(command, name)


@contextmanager
def _started(command: list[str], words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a session of its own, which an interrupt of the terminal does not reach; it is gone afterwards."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # the latter for a NUL in a word
        raise CounterFailed(f"{words} cannot be run: {getattr(error, 'strerror', None) or error}") from None
    with process:
        try:
            yield process
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _said(process: "subprocess.Popen[bytes]", seconds: float, words: str) -> tuple[bytes, bytes]:
    """What a process writes to stdout and stderr, up to its own end: whoever it has started may have both open still.

    Raises:
        CounterFailed: it takes too long, or writes too much.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    until = time.monotonic() + seconds
    said = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    with selectors.DefaultSelector() as selector:
        for stream in said:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ended = process.poll() is not None  # before we look: what it wrote is there by then
            left = until - time.monotonic()
            ready = selector.select(0.0 if ended else max(0.0, min(_LOOK_SECONDS, left)))
            if not ready and ended:
                break
            if left <= 0.0:
                raise CounterFailed(f"{words} takes longer than {seconds:g} s")
            for key, _ in ready:
                part = os.read(key.fd, _OUTPUT_BYTES)
                said[key.fd] += part
                if len(said[key.fd]) > _OUTPUT_BYTES:
                    raise CounterFailed(f"{words} prints more than {_OUTPUT_BYTES} bytes")
                if not part:
                    selector.unregister(key.fd)
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise CounterFailed(f"{words} takes longer than {seconds:g} s") from None
    out, error = said.values()
    return out, error


def _shown(said: bytes) -> str:
    """The beginning of what a program says, in one line."""
    line = " ".join(said.decode(errors="replace").split())
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return printable[:_SHOWN_CHARACTERS] or "nothing"
