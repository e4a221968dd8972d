"""Toxiproxy: a proxy that holds back what passes through it, with a listener for each participant.

It is a Go module, which the benchmark builds once into a cache folder of its own.
"""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .links import Link

VERSION = "v2.5.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@{VERSION}"
BUILD_SECONDS, START_SECONDS, END_SECONDS = 900.0, 30.0, 10.0

_BYTES = re.compile(r'^toxiproxy_proxy_received_bytes_total\{direction="(\w+)".*\} (\S+)$', re.M)


class NoToxiproxy(Exception):
    """There is none, and it cannot be built here; the message says why."""


class Passed(NamedTuple):
    """Bytes that came to the proxy, with all that HTTP and TLS add: `up` from participants, `down` to them."""

    up: int
    down: int


def cache_folder() -> Path:
    """Where the program is kept from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "secagg-bench" / f"toxiproxy-{VERSION}"


def toxiproxy(folder: Path | None = None) -> Path:
    """The program, which is built if it is not there.

    Args:
        folder: where it is kept; by default `cache_folder()`.

    Raises:
        NoToxiproxy: there is no Go, or the module could not be fetched or compiled.
    """
    program = (folder or cache_folder()) / "server"
    if not program.exists():
        _build(program.parent)
    return program


def _build(folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise NoToxiproxy(f"there is no command `go`, which builds {MODULE}")
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(folder.resolve()), "GOTOOLCHAIN": "local"}
    command = [go, "install", MODULE]
    try:
        built = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        raise NoToxiproxy(f"`{' '.join(command)}` takes more than {BUILD_SECONDS:.0f} s") from None
    if built.returncode:
        raise NoToxiproxy(f"`{' '.join(command)}` failed: {built.stderr.strip()[-500:]}")


class Toxiproxy:
    """A running proxy. Use `running`."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)

    @property
    def pid(self) -> int:
        return self.process.pid

    def open(self, links: Sequence[Link], port: int) -> list[int]:
        """A listener for each link.

        Args:
            links: one for each participant.
            port: of the coordinator, on this machine.

        Returns:
            The listeners' ports on 127.0.0.1, in the order of the links.
        """
        upstream = f"127.0.0.1:{port}"
        wanted = [
            {"name": f"p{i}", "listen": "127.0.0.1:0", "upstream": upstream, "enabled": True} for i in range(len(links))
        ]
        made = {each["name"]: each["listen"] for each in self._post("/populate", wanted)["proxies"]}
        for i, link in enumerate(links):
            for toxic in _toxics(link):
                self._post(f"/proxies/p{i}/toxics", toxic)
        self._http.close()  # toxiproxy ends it before it is used again
        return [int(made[f"p{i}"].rpartition(":")[2]) for i in range(len(links))]

    def passed(self) -> Passed:
        """The bytes of all connections that have ended; call it once all have."""
        before, now = None, self._passed()
        while now != before:
            time.sleep(0.3)
            before, now = now, self._passed()
        return now

    def _passed(self) -> Passed:
        total = {"upstream": 0.0, "downstream": 0.0}
        metrics = self._ask("GET", "/metrics").decode()
        self._http.close()
        for direction, count in _BYTES.findall(metrics):
            total[direction] += float(count)
        return Passed(int(total["upstream"]), int(total["downstream"]))

    def _post(self, path: str, content: object) -> Any:
        return json.loads(self._ask("POST", path, json.dumps(content)))

    def _ask(self, method: str, path: str, content: str | None = None) -> bytes:
        self._http.request(method, path, content, {"Content-Type": "application/json"})
        response = self._http.getresponse()
        answer = response.read()
        if response.status >= 400:
            raise RuntimeError(f"toxiproxy answers {method} {path} with {response.status}: {answer[:300]!r}")
        return answer

    def close(self) -> None:
        self._http.close()


def _toxics(link: Link) -> Iterator[dict[str, Any]]:
    """Latency comes first: it counts from when bytes came to the proxy, and would else take in the time that they wait
    for the bandwidth."""
    for stream, rate in (("upstream", link.up), ("downstream", link.down)):
        latency = {"latency": link.delay, "jitter": link.jitter}
        yield {"name": f"latency-{stream}", "type": "latency", "stream": stream, "attributes": latency}
        yield {"name": f"bandwidth-{stream}", "type": "bandwidth", "stream": stream, "attributes": {"rate": rate}}


@contextmanager
def running(program: Path, seed: int) -> Iterator[Toxiproxy]:
    """The program as a process, which ends with the block.

    Args:
        program: as `toxiproxy` gives it.
        seed: of jitter.
    """
    port = _free_port()
    command = [program, "-host", "127.0.0.1", "-port", str(port), "-seed", str(seed), "-proxy-metrics"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    proxy = Toxiproxy(process, port)
    try:
        _wait(process, port)
        yield proxy
    finally:
        proxy.close()
        end(process)


def end(process: "subprocess.Popen[Any]") -> None:
    """End a process, by force if it takes long."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("toxiproxy does not start")
