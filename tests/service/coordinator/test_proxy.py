"""Two coordinators behind nginx, which has the configuration of docs/service.md.

TLS ends at the proxy. Both models run a session in each coordinator at once.
"""

import re
import signal
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue
from typing import cast

import httpx
import numpy as np
import pytest

from bench.certificates import write_certificate
from secagg import Model, Round
from secagg.cli.service.serve import CONFIG, TOKEN, TOKENS
from secagg.http.steps import Progress
from secagg.http.urls import parse_server_url
from secagg.service.authentication import content_digest, coordinator_name
from secagg.service.coordinator import Coordinator
from secagg.service.participant import Contribution, Standing
from secagg.service.resources import CONTENT_DIGEST, SESSIONS, answer_path

from ...support.commands import Command
from ...support.coordinators import NAMES, PATIENCE, Kept, Party, free_ports, problem_type, process, sum_of
from ...support.folders import ROOT
from ...support.nginx import WITH_NGINX, proxying, replaced
from ...support.onlooker import Onlooker, until
from ...support.sites import Sites, sum_over, vector

pytestmark = [WITH_NGINX, pytest.mark.alone]
LENGTH = 450_000
MODELS = pytest.mark.parametrize("model", list(Model), ids=lambda model: model.name.lower())


def documented() -> str:
    """What docs/service.md says to put into `http { ... }`."""
    found = re.findall(r"^```nginx\n(.*?)^```$", (ROOT / "docs" / "service.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    text: str = found[0]
    return text


@contextmanager
def proxy(folder: Path, port: int, a: int, b: int) -> Iterator[None]:
    """nginx in front of two coordinators' ports, once it answers."""
    folder.mkdir()
    write_certificate(folder)
    places = {
        "127.0.0.1:8081": f"127.0.0.1:{a}",
        "127.0.0.1:8082": f"127.0.0.1:{b}",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/sums.pem": str(folder / "tls.crt"),
        "/etc/ssl/sums.key": str(folder / "tls.key"),
    }
    with proxying(folder, port, documented(), places):
        yield


@dataclass
class Behind:
    """A coordinator behind the proxy, in a process that may be killed.

    Attributes:
        folder: its configuration, tokens and state.
        port: on which it listens.
        url: at the proxy.
        ca: the certificate of the proxy.
        stack: ends all processes.
    """

    folder: Path
    port: int
    url: str
    ca: Path
    stack: ExitStack
    kept: Kept = field(init=False)

    def __post_init__(self) -> None:
        names = ",".join(NAMES[:4])
        Command("serve").run("--init", self.folder, "--participants", names, "--listen", f"127.0.0.1:{self.port}")
        config = self.folder / CONFIG
        line = '# url = "https://secagg.example.org"'
        config.write_text(replaced(config.read_text(), {line: f'url = "{self.url}"'}))
        self.start()
        tokens = {name: (self.folder / TOKENS / f"{name}.token").read_text().strip() for name in NAMES[:4]}
        http = httpx.Client(timeout=PATIENCE, verify=ssl.create_default_context(cafile=str(self.ca)))
        self.stack.callback(http.close)
        operator = (self.folder / TOKEN).read_text().strip()
        self.kept = Kept(cast(Coordinator, None), self.url, operator, tokens, http)

    def start(self) -> None:
        url, self.running = self.stack.enter_context(process("--config", self.folder / CONFIG))
        assert url == self.url

    def kill(self) -> None:
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()


class Held:
    """A session in one of them, which user 4 holds up once it has answered ShareKeys."""

    def __init__(self, behind: Behind, model: Model, folder: Path, pool: ThreadPoolExecutor) -> None:
        self.sites = Sites(behind.kept, folder, model)
        self.session, params = self.sites.create(m=LENGTH)
        assert params.packed_size > 1 << 20  # more than nginx takes by itself
        self._ca = behind.ca
        self._reached: Queue[None] = Queue()
        self._go_on: Queue[None] = Queue()
        self._everybody: list[Future[Contribution]] = [pool.submit(self._contribute, u) for u in self.sites.users]

    def _contribute(self, u: int) -> Contribution:
        with self.sites.participant(u, ca=self._ca) as participant:
            x = np.resize(vector(u), LENGTH)
            return participant.contribute(self.session, x, progress=self._hold if u == 4 else None)

    def _hold(self, told: Progress) -> None:
        assert isinstance(told, Standing)
        if (told.reason, told.round) == ("answered", Round.SHARE_KEYS):
            self._reached.put(None)
            self._go_on.get(timeout=PATIENCE)

    def reached(self) -> None:
        self._reached.get(timeout=PATIENCE)

    def finish(self) -> None:
        """Let go of it; the sum is right for all."""
        self._go_on.put(None)
        expected = np.resize(sum_over(self.sites.users), LENGTH)
        for each in self._everybody:
            contribution = each.result(PATIENCE)
            assert contribution.sum is not None
            assert (contribution.sum == expected).all()
        assert (sum_of(self.sites.kept, self.session) == expected).all()


@pytest.fixture(scope="module")
def coordinators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Behind, Behind]]:
    """Both, and the proxy."""
    folder = tmp_path_factory.mktemp("proxy")
    with ExitStack() as stack:
        port, a, b = free_ports(3)
        stack.enter_context(proxy(folder / "proxy", port, a, b))
        url, ca = f"https://127.0.0.1:{port}", folder / "proxy" / "tls.crt"
        yield Behind(folder / "a", a, f"{url}/a", ca, stack), Behind(folder / "b", b, f"{url}/b", ca, stack)


@MODELS
def test_two_sessions_at_once_while_one_coordinator_is_killed(
    coordinators: tuple[Behind, Behind], tmp_path: Path, model: Model
) -> None:
    a, b = coordinators
    with ThreadPoolExecutor(8) as pool:
        in_a, in_b = Held(a, model, tmp_path / "a", pool), Held(b, model, tmp_path / "b", pool)
        in_a.reached()
        in_b.reached()

        # The proxy says for one coordinator that it is away, and the other one's session comes to its end.
        a.kill()
        assert a.kept.http.get(f"{a.url}/healthz").status_code == 502
        in_b.finish()

        a.start()
        in_a.finish()
        for behind, own, other in ((a, in_a, in_b), (b, in_b, in_a)):
            names = {path.name for path in (behind.folder / "state").iterdir()}
            assert own.session in names
            assert other.session not in names


def test_a_coordinator_cannot_speak_to_another_in_a_participants_name(
    coordinators: tuple[Behind, Behind], tmp_path: Path
) -> None:
    """They have a roster in common, and one passes a request on that was signed for it, over a nonce of the other."""
    a, b = coordinators
    sites = Sites(b.kept, tmp_path, Model.ACTIVE)
    session, _ = sites.create()
    party = Party(b.kept, "", 1, sites.identities[1])
    own = party.ask("GET", SESSIONS)
    assert session in [each["session"] for each in own.json()["sessions"]]
    name = coordinator_name(parse_server_url(a.url))
    passed_on = party.ask("GET", SESSIONS, bend=lambda scope: replace(scope, coordinator=name))
    assert (passed_on.status_code, problem_type(passed_on)) == (403, "forbidden")


def test_a_stranger_is_refused_before_its_content_has_come(coordinators: tuple[Behind, Behind]) -> None:
    """The proxy does not gather a message whose sender nobody has looked at."""
    a, _ = coordinators
    session = a.kept.create(n=4, length=3)["session"]
    url = a.kept.http.build_request("GET", a.url).url
    head = (
        f"POST /a{answer_path(session, 1, Round.ADVERTISE_KEYS)} HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n"
        f"{CONTENT_DIGEST}: {content_digest(bytes(32))}\r\n\r\n"
    )
    trusted = ssl.create_default_context(cafile=str(a.ca))
    plain = socket.create_connection((url.host, url.port or 0), timeout=PATIENCE)
    with trusted.wrap_socket(plain, server_hostname=url.host) as connection:
        connection.sendall(head.encode() + b"x")
        assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_the_page_through_the_proxy(coordinators: tuple[Behind, Behind]) -> None:
    """Its cookie is for its own coordinator, and events come as they happen."""
    a, b = coordinators
    with Onlooker(a.kept, verify=ssl.create_default_context(cafile=str(a.ca))) as onlooker:
        cookie = onlooker.sign_in().headers["set-cookie"]
        assert "Path=/a/page" in cookie
        assert "Secure" in cookie
        with onlooker.events() as events:
            until(events, "list")
            made, other = a.kept.create(n=4, length=3)["session"], b.kept.create(n=4, length=3)["session"]
            names = until(events, "list", lambda told: made in told["names"])["names"]
            assert other not in names
