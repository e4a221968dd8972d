"""What a server logs: one line for each event, as text or JSON.

This package passes no body, token, key or client address to a logger. Loggers of other packages that would write one
are kept quiet.
"""

import json
import logging
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

_QUIET = ("httpx", "httpcore", "asyncio")  # below a warning: URLs, headers
_LINE_BREAKS = {ord(c): " " for c in "\r\n\v\f\x1b\x85\u2028\u2029"}

log = logging.getLogger(__name__)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO secagg.service.journal: message`, then a traceback if there is one."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """One line, whatever is in it."""
        return super().formatMessage(record).translate(_LINE_BREAKS)


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, process, message and, for an error, its traceback.

    Args:
        role: that each line names.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The JSON object of one event."""
        seconds, milliseconds = time.gmtime(record.created), int(record.msecs)
        entry = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', seconds)}.{milliseconds:03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "role": self._role,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class LogFile(logging.FileHandler):
    """Lines at the end of a file, which several processes may share.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")

    def reopen(self) -> None:
        """Go on in the file that has the name now. Where it cannot be opened, the one that is open serves on."""
        try:
            latest = self._open()
        except OSError as error:
            log.error("the log file cannot be opened again: %s", error)
            return
        self.acquire()
        try:
            before, self.stream = self.stream, latest
        finally:
            self.release()
        if before is not None:
            with suppress(OSError):  # what it holds cannot be written, as on a full disk: that line is lost
                before.close()


def reopen() -> None:
    """Open the log file of this process again, if it has one."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogFile):
            handler.reopen()


def configure(
    level: str,
    form: str,
    role: str,
    stream: IO[str] | None = None,
    file: Path | None = None,
    quiet: Iterable[str] = (),
) -> None:
    """Send what this process logs to stderr, or to a file.

    Args:
        level: debug, info, warning or error.
        form: text or json.
        role: that each JSON line names.
        stream: to write to instead of stderr.
        file: to write to instead of either.
        quiet: loggers of other packages that may tell secrets below a warning.

    Raises:
        OSError: the file cannot be written.
    """
    handler = logging.StreamHandler(stream or sys.stderr) if file is None else LogFile(file)
    handler.setFormatter(JsonFormatter(role) if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in (*_QUIET, *quiet):
        logging.getLogger(name).setLevel(logging.WARNING)
    # uvicorn names the clients' addresses in its access log, and below info.
    logging.getLogger("uvicorn").setLevel(max(root.level, logging.INFO))
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)
