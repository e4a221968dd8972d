"""The picture of the coordinator's page: `python -m docs.generate.screenshot` writes it to docs/assets/.

It shows sessions of a coordinator in this process, in which real clients have answered. Time stands still there.
"""

import socket
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvicorn

from secagg import Client, Identity, Model, Params, Roster, rounds_of
from secagg.http.bounds import Bounds
from secagg.http.server import configured
from secagg.service import Coordinator
from secagg.service.authentication import make_token, token_hash
from secagg.service.deadlines import Deadlines
from secagg.service.running import RunningSession
from secagg.service.setup import SessionSetup

from .browser import chromium

FILE = Path(__file__).parents[1] / "assets" / "coordinator.png"
WIDTH, HEIGHT = 1280, 800
NOW = 1_800_000_000.0


def write_sessions(folder: Path) -> None:
    """The folder of a coordinator's sessions: two that run, one that has finished, and one that was aborted.

    Args:
        folder: to write to.
    """
    updates = Params(n=20, m=10_000, modulus=1 << 24, n_corrupt=4)
    banks = Params(n=12, m=500, modulus=1 << 32, n_corrupt=2, model=Model.ACTIVE)
    small = Params(n=8, m=100, modulus=1 << 16, n_corrupt=1)
    updates_15 = [_all_but(updates, 12), _all_but(updates, 12, 7, 16), (1, 2, 4, 5, 9, 13, 17, 20)]
    fraud = [_all_but(banks), (2, 3, 5, 8, 11)]
    updates_14 = [_all_but(small), _all_but(small), _all_but(small, 3), _all_but(small, 3)]
    _play(folder, "updates-15", "mean of model updates", updates, 283, None, updates_15)
    _play(folder, "fraud-q4", "counts of twelve banks", banks, 42, 10, fraud)
    _play(folder, "updates-14", "mean of model updates", small, 4_000, 7, updates_14)
    _play(folder, "updates-13", "mean of model updates", small, 7_000, 7, [(1, 2, 6), ()])


def _all_but(params: Params, *gone: int) -> list[int]:
    return [u for u in range(1, params.n + 1) if u not in gone]


def _play(
    folder: Path,
    name: str,
    label: str,
    params: Params,
    ago: float,
    goal: int | None,
    answering: Sequence[Collection[int]],
) -> None:
    """Write a session that began so many seconds ago, and in whose rounds these users have answered."""
    users, now = range(1, params.n + 1), [NOW - ago]
    keys = {u: Identity.generate() for u in users} if params.model is Model.ACTIVE else {}
    roster = Roster({u: key.verification_key for u, key in keys.items()}) if keys else None
    deadlines = Deadlines(goal=goal, seconds=dict.fromkeys(rounds_of(params), 120))
    setup = SessionSetup(name, params, roster, None, deadlines, now[0], label=label)
    session = RunningSession.create(folder / name, setup, clock=lambda: now[0])
    clients = {
        u: Client(params, u, np.full(params.m, u, params.dtype), identity=keys.get(u), roster=roster) for u in users
    }
    for u in users:
        session.join(u if roster is not None else f"user {u}")
    for index, current in enumerate(rounds_of(params)[: len(answering)]):
        if session.round is not current:  # too few have answered the round before
            break
        for u in answering[index]:
            request = session.request(u, None)
            spool = session.spool(u, current)
            spool.write(clients[u].start() if request is None else clients[u].receive(request))
            session.deliver(u, current, spool)
        ends = session.tick()
        if session.round is current and index + 1 < len(answering) and ends is not None:
            now[0] = ends
            session.tick()
    session.close()


@contextmanager
def _served(folder: Path, token: str) -> Iterator[str]:
    """A coordinator with these sessions; gives its URL."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        coordinator = Coordinator(folder, url=url, operator=token_hash(token), clock=lambda: NOW)
        server = uvicorn.Server(configured(coordinator, Bounds(), lifespan="on", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield url
        finally:
            server.should_exit = True
            thread.join()


def main() -> None:
    """Write the picture."""
    token = make_token()
    with TemporaryDirectory() as folder:
        write_sessions(Path(folder, "state"))
        with _served(Path(folder, "state"), token) as url, chromium() as browser:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto(f"{url}/")
            page.locator("#token").fill(token)
            page.locator("#sign-in button").click()
            page.locator("#session-updates-13").wait_for()
            page.screenshot(path=FILE)
            page.locator("#sign-out").click()  # or the coordinator would wait for the page
            page.locator("#token").wait_for()


if __name__ == "__main__":
    main()
