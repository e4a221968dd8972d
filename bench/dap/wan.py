"""A deployment whose parties are far apart: `python -m bench.dap.wan`.

Leader and Helper are reached through a link that holds back what comes for a while, lets so much through a second, and
now and then breaks. In the end the result must be what the Clients measured.
"""

import argparse
import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from secagg.cli.demo.local import Local
from secagg.dap.client.collector import Collector
from secagg.dap.client.upload import Client, UploadInterrupted
from secagg.dap.vdafs import vdaf
from secagg.http.steps import Retries

from .deployment import AGGREGATORS, histogram

BUCKETS = 16
PER_UPLOAD = 100
PATIENCE = 1200.0  # seconds for the collection
RETRIES = Retries(attempts=50, longest=5.0)


@dataclass(frozen=True)
class Distance:
    """What a link does.

    Attributes:
        delay: seconds that bytes take, one way.
        rate: bytes a second, of each connection and direction.
        breaks: the chance that a connection ends instead of passing on what came.
    """

    delay: float
    rate: float
    breaks: float


FULL, FULL_REPORTS = Distance(0.15, 250_000, 0.01), 10_000
QUICK, QUICK_REPORTS = Distance(0.02, 1_000_000, 0.02), 300


class Link:
    """Passes connections on to a server, as if it were far away."""

    def __init__(self, url: str, distance: Distance, seed: int) -> None:
        self._server = urlsplit(url)
        self._distance, self._random = distance, random.Random(seed)
        self.broken = 0

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connection, "127.0.0.1", 0)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        with suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(self._server.hostname, self._server.port)
            ends.append(far_writer)
            ways = [self._pass_on(reader, far_writer), self._pass_on(far_reader, writer)]
            await asyncio.wait([asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await reader.read(1 << 14):
                await asyncio.sleep(self._distance.delay + len(part) / self._distance.rate)
                if self._random.random() < self._distance.breaks:
                    self.broken += 1
                    return
                writer.write(part)
                await writer.drain()


@contextmanager
def far_away(local: Local, distance: Distance, seed: int) -> Iterator[list[Link]]:
    """Tasks that are made meanwhile name the links, not the servers."""
    links = [Link(local.urls[role], distance, seed + i) for i, role in enumerate(AGGREGATORS)]
    loop = asyncio.new_event_loop()
    servers = [loop.run_until_complete(link.listen()) for link in links]
    for role, server in zip(AGGREGATORS, servers, strict=True):
        local.urls[role] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield links
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for server in servers:
            server.close()
        connections = asyncio.all_tasks(loop)
        for connection in connections:
            connection.cancel()
        loop.run_until_complete(asyncio.gather(*connections, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0))  # their transports close
        loop.close()


def upload(client: Client, values: list[int]) -> int:
    """How many reports were taken, however often the link broke."""
    stopped: UploadInterrupted | None = None
    while True:
        try:
            return (client.upload(values) if stopped is None else client.resume(stopped)).accepted
        except UploadInterrupted as interrupted:
            stopped = interrupted


def run_wan(distance: Distance, reports: int, seed: int) -> None:
    """Uploads and a collection.

    Raises:
        SystemExit: the result is wrong.
    """
    values = np.random.default_rng(seed).integers(0, BUCKETS, reports).tolist()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secagg-wan-")))
        local = stack.enter_context(Local(folder))
        links = stack.enter_context(far_away(local, distance, seed))
        began = time.monotonic()
        task, held = local.new_task(vdaf("Histogram", length=BUCKETS), min_batch_size=reports, time_precision=3600)
        start = int(time.time()) // 3600 * 3600
        client = stack.enter_context(Client(task, retries=RETRIES))
        taken = sum(upload(client, values[at : at + PER_UPLOAD]) for at in range(0, reports, PER_UPLOAD))
        uploaded = time.monotonic() - began
        assert held.private_key is not None
        collector = Collector(held.task, held.private_key, held.config, held.token, retries=RETRIES)
        found = stack.enter_context(collector).collect((start, 2 * 3600), timeout=PATIENCE)
        seconds = time.monotonic() - began
    broken = sum(link.broken for link in links)
    print(f"{taken:,} reports in {uploaded:.0f} s, their result after {seconds:.0f} s; links broke {broken} times")
    if (found.report_count, list(found.result)) != (reports, histogram(values, BUCKETS)):
        raise SystemExit(f"wrong: {found.report_count} reports, {found.result}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few reports, not far away: checks that it works")
    parser.add_argument("--seed", type=int, default=0, help="of where links break")
    options = parser.parse_args()
    distance, reports = (QUICK, QUICK_REPORTS) if options.quick else (FULL, FULL_REPORTS)
    run_wan(distance, reports, options.seed)


if __name__ == "__main__":
    main()
