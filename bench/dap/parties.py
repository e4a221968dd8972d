"""A Client and a Collector as processes that may be killed at any time and started again, for the fault runs.

    python -m bench.dap.parties upload URL MEDIA_TYPE SPOOL
    python -m bench.dap.parties collect PARTY_FILE START DURATION

The Client keeps its sealed requests in a file and says in another one how far it has come, after each answer: what is
unanswered when it is killed is sent again byte for byte, as is the last request whose answer it did not note.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from secagg.dap import task_file
from secagg.dap.client.collector import Collector
from secagg.dap.task_file import CollectorParty
from secagg.http.steps import Retries

from .deployment import Connection

PATIENCE = 600.0  # seconds for which a Client tries one request
SURE = 1 - 1e-9  # confidence that noise stays within the error bars
_LENGTH = 4


def write_spool(spool: Path, requests: Iterable[bytes]) -> None:
    with spool.open("wb") as file:
        for body in requests:
            file.write(len(body).to_bytes(_LENGTH, "big") + body)


def read_spool(spool: Path, start: int) -> Iterator[bytes]:
    with spool.open("rb") as file:
        file.seek(start)
        while length := file.read(_LENGTH):
            yield file.read(int.from_bytes(length, "big"))


def progress(spool: Path) -> int:
    """Bytes of the spool that were answered."""
    noted = spool.with_suffix(".done")
    text = noted.read_text() if noted.exists() else ""
    return int(text or 0)


def upload(url: str, media_type: str, spool: Path) -> None:
    connection, at = Connection(url, media_type, PATIENCE), progress(spool)
    for body in read_spool(spool, at):
        connection.send(body)
        at += _LENGTH + len(body)
        fresh = spool.with_suffix(".new")
        fresh.write_text(str(at))
        fresh.replace(spool.with_suffix(".done"))


def collect(file: Path, start: int, duration: int) -> None:
    held = task_file.load(file)
    assert isinstance(held, CollectorParty)
    assert held.private_key is not None
    retries = Retries(attempts=1000, longest=2.0)
    with Collector(held.task, held.private_key, held.config, held.token, retries=retries) as collector:
        found = collector.collect((start, duration), confidence=SURE, timeout=PATIENCE)
    bars = None if found.error_bars is None else [float(bar) for bar in found.error_bars]
    print(json.dumps({"count": found.report_count, "result": [float(x) for x in found.result], "bars": bars}))


def main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "upload":
        upload(arguments[0], arguments[1], Path(arguments[2]))
    else:
        collect(Path(arguments[0]), int(arguments[1]), int(arguments[2]))


if __name__ == "__main__":
    main()
