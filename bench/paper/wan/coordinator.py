"""The coordinator of a run: `secagg serve` with the configuration that an operator would write."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from secagg import Round
from secagg.durable import create
from secagg.http.urls import parse_server_url
from secagg.service.authentication import make_token, token_hash
from secagg.service.coordinator.config import template

from ...certificates import write_certificate
from .parts import Part
from .toxiproxy import end

_LOG, _TOKEN, _PARTICIPANTS, _CERTIFICATE, _KEY = (
    "coordinator.log", "operator.token", "participants.txt", "tls.crt", "tls.key",
)  # fmt: skip


class RunFailed(Exception):
    """A process has ended otherwise than it should; the message has what it said."""


@dataclass(frozen=True, repr=False)
class Coordinator:
    """A coordinator that answers.

    Attributes:
        folder: of its files.
        process: of `secagg serve`.
        url: under which everybody knows it.
        operator_token: its operator's.
        certificate: that its own leads to; None without TLS.
    """

    folder: Path
    process: "subprocess.Popen[str]"
    url: str
    operator_token: str
    certificate: Path | None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    @property
    def port(self) -> int:
        """On this machine."""
        return parse_server_url(self.url).port

    def ends(self, session: str, rounds: Sequence[Round]) -> list[float]:
        """When each round of a session ended, POSIX seconds, as its log has it: the last one with the sum."""
        began = {}
        for entry in map(json.loads, (self.folder / _LOG).read_text().splitlines()):
            name, _, what = entry["message"].removeprefix("session ").partition(": ")
            if name == session:
                began[what] = datetime.fromisoformat(entry["time"]).timestamp()
        return [began[what] for what in (*map(str, rounds[1:]), "finished")]


@contextmanager
def coordinating(part: Part, folder: Path, tokens: Sequence[str]) -> Iterator[Coordinator]:
    """A coordinator for as long as the block lasts; its errors are what it says last.

    Args:
        part: what it is for.
        folder: of its files, and of its state.
        tokens: the participants', who are p0, p1 and so on.
    """
    token, config = make_token(), _write_files(part, folder, tokens)
    create(folder / _TOKEN, token.encode() + b"\n")
    command = [sys.executable, "-m", "secagg", "serve", "--config", str(config), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said:
                raise RunFailed("the coordinator does not start")
            certificate = folder / _CERTIFICATE if part.tls else None
            yield Coordinator(folder, process, json.loads(said)["listening"], token, certificate)
        finally:
            end(process)


def _write_files(part: Part, folder: Path, tokens: Sequence[str]) -> Path:
    """The configuration: defaults, and room for everybody's connections."""
    server = {"listen": "127.0.0.1:0"}
    if part.tls:
        write_certificate(folder)
        server |= {"certificate": _CERTIFICATE, "private_key": _KEY}
    values: dict[str, dict[str, Any]] = {
        "server": server,
        "limits": {"connections": 2000 + part.everybody},
        "log": {"file": _LOG, "format": "json"},
    }
    lines = [f"p{i} {token_hash(token).hex()}\n" for i, token in enumerate(tokens)]
    (folder / _PARTICIPANTS).write_text("".join(lines))
    path = folder / "coordinator.toml"
    path.write_text(template(values))
    return path
