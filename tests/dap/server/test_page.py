"""The page of a Leader and a Helper without a browser: what it shows, in which bounds, and how it is served."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import BatchMode, HpkeConfig, ReportError, Role
from secagg.dap.metrics import Metrics
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.server.config import Config
from secagg.dap.server.page import view
from secagg.dap.server.page.events import Events
from secagg.dap.server.page.view import BATCHES_SHOWN, HOURS_SHOWN, JOBS_SHOWN, TASKS_SHOWN, WORDS_SHOWN
from secagg.dap.store import schema
from secagg.dap.store.engine import Store, StoreUnavailable, Tx
from secagg.dap.store.keys import KeyPair, add_key
from secagg.dap.store.leader_jobs import lease_job, postpone_job
from secagg.dap.store.outcomes import HOUR, keep_tally
from secagg.dap.store.tasks import delete_task
from secagg.dp import PureDp
from secagg.http.page.resources import STREAMS_MAX
from secagg.http.page.visits import Visits
from secagg.http.signals import Signal
from secagg.settings import ConfigError

from ...support.aggregators import change, serving
from ...support.commands import Command
from ...support.dap_pages import Shown, add_tasks, shown
from ...support.onlooker import Looker, parsed, until
from ...support.processes import PATIENCE
from ...support.world import MIN_BATCH, PRECISION, START, Urls, World

BOTH = pytest.mark.parametrize("role", [Role.LEADER, Role.HELPER], ids=lambda role: role.name.lower())


@pytest.fixture
def urls(tmp_path: Path) -> Urls:
    return Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db")


@pytest.fixture
def worlds(urls: Urls) -> Iterator[Callable[..., World]]:
    with ExitStack() as stack:

        def make(**parameters: Any) -> World:
            world = World(urls, **parameters)
            stack.callback(world.close)
            return world

        yield make


@contextmanager
def looking(page: Shown, path: str = "/page/events") -> Iterator[Any]:
    """The events that an operator is told who has signed in."""
    with page.looker() as looker:
        assert looker.sign_in().status_code == 200
        with looker.events(path) as events:
            yield events


def seen(world: World, role: Role = Role.LEADER, number: int = 1) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """One look: the overview, and the tasks by their IDs."""
    store = world.leader_store if role is Role.LEADER else world.helper_store

    async def look() -> dict[str, str]:
        return await Events(store, role, Visits(), Signal(), world.clock)._seen(number)

    found = {name: next(parsed(iter(text.split("\n")[:2]))) for name, text in asyncio.run(look()).items()}
    assert [each.kind for each in found.values()] == ["overview"] + ["task"] * (len(found) - 1)
    return found.pop("").data, {name: each.data for name, each in found.items()}


# What it shows.


def test_a_leaders_task_from_uploads_to_the_collection(worlds: Callable[..., World]) -> None:
    world = worlds()
    overview, tasks = seen(world)
    task = tasks[world.task.text]
    assert (overview["tasks"], overview["names"], overview["pages"]) == (1, [world.task.text], 1)
    assert (overview["waiting_reports"], overview["waiting_jobs"], overview["jobs"]) == (0, 0, [])
    assert (task["added"], task["mode"], task["min_batch_size"]) == (START, "time-interval", MIN_BATCH)
    assert (task["waiting_reports"], task["oldest"], task["batches"], task["collected"]) == (0, None, [], 0)

    # Reports wait, and are aggregated.
    world.upload_many(MIN_BATCH)
    overview, tasks = seen(world)
    assert overview["waiting_reports"] == tasks[world.task.text]["waiting_reports"] == MIN_BATCH
    assert tasks[world.task.text]["oldest"] == world.bucket * PRECISION
    world.aggregate_all()
    task = seen(world)[1][world.task.text]
    start = world.bucket * PRECISION
    batch = {"start": start, "end": start + PRECISION, "created": None, "reports": MIN_BATCH, "target": MIN_BATCH}
    assert (task["batches"], task["open_batches"], task["open_batch_reports"]) == ([batch], 1, MIN_BATCH)

    # A collection waits for what it says, and is over.
    job = world.collect(steps=0)
    overview, _ = seen(world)
    assert overview["waiting_jobs"] == 1
    assert overview["jobs"][0] | {"due": 0} == {
        "task": world.task.text, "kind": "collection", "since": world.clock.now, "due": 0, "attempts": 0, "why": None,
        "interval": [start, start + PRECISION],
    }  # fmt: skip
    assert world.collect().id == job.id
    overview, tasks = seen(world)
    assert (overview["jobs"], tasks[world.task.text]["collected"], tasks[world.task.text]["batches"]) == ([], 1, [])


def test_why_a_collection_waits(worlds: Callable[..., World]) -> None:
    world = worlds()
    world.upload_many(MIN_BATCH - 1)
    world.aggregate_all()
    world.collect(steps=2)
    (job,) = seen(world)[0]["jobs"]
    assert job["why"] == world.leader.collections.find(world.leader_task, world.collect(steps=0).id).waiting
    assert job["why"]


def test_an_aggregation_job_that_is_postponed_says_why(worlds: Callable[..., World]) -> None:
    world = worlds()
    world.upload_many(MIN_BATCH)
    world.leader.create_jobs(world.clock.now)
    assert seen(world)[0]["waiting_jobs"] == 0  # it is under way
    with world.leader_store.write() as tx:
        job = lease_job(tx, world.clock.now, 10.0)
        assert job is not None
        postpone_job(tx, job, world.clock.now + 60, "the Helper says <b>no</b>" + 1000 * "!")
    overview, _ = seen(world)
    (job_shown,) = overview["jobs"]
    assert (job_shown["kind"], job_shown["attempts"], job_shown["due"]) == ("aggregation", 1, world.clock.now + 60)
    assert job_shown["why"].startswith("the Helper says <b>no</b>!")
    assert len(job_shown["why"]) == WORDS_SHOWN


@pytest.mark.parametrize("role", [Role.LEADER, Role.HELPER], ids=lambda role: role.name.lower())
def test_batches_that_the_leader_selects(worlds: Callable[..., World], role: Role) -> None:
    world = worlds(batch_mode=BatchMode.LEADER_SELECTED, batch_size=MIN_BATCH + 1)
    world.upload_many(MIN_BATCH + 2)
    world.aggregate_all()
    task = seen(world, role)[1][world.task.text]
    assert sorted(each["reports"] for each in task["batches"]) == [1, MIN_BATCH + 1]
    assert {each["target"] for each in task["batches"]} == {MIN_BATCH + 1 if role is Role.LEADER else MIN_BATCH}
    assert {each["start"] for each in task["batches"]} == {None}


def test_the_helper_shows_what_it_has(worlds: Callable[..., World]) -> None:
    world = worlds()
    world.upload_many(MIN_BATCH)
    world.peer.later = True
    world.aggregate()
    overview, _ = seen(world, Role.HELPER)
    (job,) = overview["jobs"]
    assert (job["task"], job["kind"], job["since"]) == (world.task.text, "aggregation", world.clock.now)
    assert (overview["waiting_jobs"], "waiting_reports" in overview) == (1, False)
    world.aggregate_all()
    overview, tasks = seen(world, Role.HELPER)
    task = tasks[world.task.text]
    assert (overview["jobs"], task["open_batch_reports"]) == ([], MIN_BATCH)
    assert "helper" not in task


def test_the_budget_that_is_left(worlds: Callable[..., World]) -> None:
    privacy = Privacy(Mechanism.DISCRETE_LAPLACE, PureDp("1"), PureDp("3"))
    world = worlds(privacy=privacy)
    task = seen(world)[1][world.task.text]
    assert (task["collections_left"], task["collections_allowed"]) == (3, 3)
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    assert world.collect().finished
    for role in (Role.LEADER, Role.HELPER):
        assert seen(world, role)[1][world.task.text]["collections_left"] == 2


def test_outcomes_by_the_hour(worlds: Callable[..., World]) -> None:
    world, metrics = worlds(), Metrics()
    for ago, count in ((0, 3), (1, 4), (HOURS_SHOWN - 1, 5), (HOURS_SHOWN, 6)):
        metrics.count_uploads(world.task, count, [ReportError.REPORT_REPLAYED])
        keep_tally(world.leader_store, metrics.tally, START - ago * HOUR)
    outcomes = seen(world)[1][world.task.text]["outcomes"]
    middle = [0] * (HOURS_SHOWN - 3)
    assert outcomes == {"upload": {"accepted": [5, *middle, 4, 3], "report_replayed": [1, *middle, 1, 1]}}


def test_keys_and_their_ends(worlds: Callable[..., World]) -> None:
    world = worlds()
    config = HpkeConfig(9, 0x20, 1, 1, PrivateKey.generate().public_bytes)
    with world.leader_store.write() as tx:
        add_key(tx, KeyPair(config, PrivateKey.generate(), START + 10, START + 20), START + 5)
    world.clock.now = START + 15
    newer, older = seen(world)[0]["keys"]
    assert newer == {
        "id": 9, "created": START + 5, "advertised_until": START + 10, "accepted_until": START + 20,
        "advertised": False, "accepted": True,
    }  # fmt: skip
    assert (older["advertised"], older["advertised_until"], older["created"]) == (True, None, START)


# Its bounds.


def test_many_tasks_are_shown_on_pages_the_newest_first(worlds: Callable[..., World]) -> None:
    world = worlds()
    ids = [*[task.text for task in add_tasks(world, world.leader_store, TASKS_SHOWN + 3)][::-1], world.task.text]
    for number, expected in ((1, ids[:TASKS_SHOWN]), (2, ids[TASKS_SHOWN:]), (3, [])):
        overview, tasks = seen(world, number=number)
        assert overview["names"] == list(tasks) == expected
        assert (overview["tasks"], overview["pages"], overview["page"]) == (len(ids), 2, number)
    with world.leader_store.write() as tx:
        delete_task(tx, world.task.id)
    assert seen(world)[0]["tasks"] == len(ids) - 1


def test_many_batches_and_jobs_are_counted_and_not_shown(worlds: Callable[..., World]) -> None:
    world = worlds()
    world.clock.now = START + 100 * PRECISION
    for ago in range(BATCHES_SHOWN + 2):
        world.upload_many(1, at=world.clock.now - ago * PRECISION)
    world.aggregate_all()
    for start in range(JOBS_SHOWN + 3):
        world.collect(world.request(start), steps=0)
    overview, tasks = seen(world)
    task = tasks[world.task.text]
    assert (len(overview["jobs"]), overview["waiting_jobs"]) == (JOBS_SHOWN, JOBS_SHOWN + 3)
    assert (len(task["batches"]), task["open_batches"]) == (BATCHES_SHOWN, BATCHES_SHOWN + 2)
    assert task["open_batch_reports"] == BATCHES_SHOWN + 2
    starts = [batch["start"] for batch in task["batches"]]
    assert starts == sorted(starts, reverse=True)


@BOTH
def test_no_secret_is_shown(worlds: Callable[..., World], role: Role) -> None:
    world = worlds()
    world.upload_many(MIN_BATCH)
    world.aggregate_all()
    world.collect(steps=0)
    told = json.dumps(seen(world, role))
    store, task = (
        (world.leader_store, world.leader_task) if role is Role.LEADER else (world.helper_store, world.helper_task)
    )
    secrets = [task.secrets.verify_key, task.secrets.peer_token, store.vault.secret, world._keys[role].private_bytes]
    with store.read() as tx:
        secrets += [bytes(row.share) for row in tx.execute(schema.buckets.select())]
    for secret in secrets:
        for text in (secret.hex(), secret.decode("latin-1"), json.dumps(secret.decode("latin-1"))[1:-1]):
            assert text not in told


# Serving it.


@BOTH
def test_the_page_goes_with_what_happens(worlds: Callable[..., World], role: Role) -> None:
    world = worlds()
    with shown(world, role) as page, looking(page) as events:
        until(events, "overview", lambda data: data["names"] == [world.task.text])
        until(events, "task", lambda data: not data["batches"])
        world.upload_many(MIN_BATCH)
        world.aggregate_all()
        task = until(events, "task", lambda data: data["open_batch_reports"] == MIN_BATCH)
        assert task["id"] == world.task.text


def test_what_has_not_changed_is_not_told_again(worlds: Callable[..., World]) -> None:
    async def listen() -> list[str]:
        visits, stopping = Visits(), Signal()
        visit = visits.find(visits.begin())
        assert visit is not None
        found = []
        events = Events(worlds().leader_store, Role.LEADER, visits, stopping, lambda: START, pace=0.001, beat=0.01)
        async for text in events.stream(visit, 1):
            found.append(text.split("\n")[0].removeprefix("event: "))
            if found.count("clock") == 3:
                stopping.set()
        return found

    assert asyncio.run(listen()) == ["clock", "overview", "task", "clock", "clock", "end"]


def test_all_who_look_at_once_read_the_store_once(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And on a thread, so that the event loop goes on."""
    world, threads = worlds(), list[int]()
    look: Callable[..., dict[str, Any]] = view.overview_of

    def noted(*arguments: Any) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return look(*arguments)

    monkeypatch.setattr(view, "overview_of", noted)

    async def all_look() -> None:
        events = Events(world.leader_store, Role.LEADER, Visits(), Signal(), world.clock, pace=3600)
        await asyncio.gather(*(events._seen(number) for number in (1, 1, 2, 1, 2)))
        for number in range(3, 3 + 2 * STREAMS_MAX):
            await events._seen(number)
        assert len(events._looks) == STREAMS_MAX

    asyncio.run(all_look())
    assert len(threads) == 2 + 2 * STREAMS_MAX
    assert threading.get_ident() not in threads


def test_a_database_that_does_not_answer_is_said_and_not_the_end(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds()
    read = Store.read

    @contextmanager
    def broken(store: Store) -> Iterator[Tx]:
        raise StoreUnavailable("it is away")
        yield

    with shown(world) as page, looking(page) as events:
        until(events, "overview", lambda data: data["database"] == "ok")
        monkeypatch.setattr(Store, "read", broken)
        until(events, "overview", lambda data: data == {"database": "does not answer", "role": "leader"})
        monkeypatch.setattr(Store, "read", read)
        until(events, "overview", lambda data: data["database"] == "ok")


def test_leader_and_helper_of_one_host_have_cookies_of_their_own(worlds: Callable[..., World]) -> None:
    world = worlds()
    with shown(world) as leader, shown(world, Role.HELPER) as helper, httpx.Client() as browser:
        lookers = []
        for page in (leader, helper):
            looker = page.looker()
            looker.http.close()
            looker.http = browser
            assert looker.sign_in().status_code == 200
            lookers.append(looker)
        assert all(looker.signed_in for looker in lookers)
        assert set(browser.cookies) == {"secagg-leader-page", "secagg-helper-page"}


def test_a_page_that_stops_lets_go_of_those_who_look(worlds: Callable[..., World]) -> None:
    with ExitStack() as stack:
        with shown(worlds()) as page:
            events = stack.enter_context(looking(page))
            next(events)
        assert until(events, "end") == "stopping"


def served_here(folder: Path, role: str, **server: Any) -> tuple[Path, Path]:
    """The files of an Aggregator with a page: its configuration and the token."""
    Command("dap").run("init", "--role", role, "--dir", folder, "--listen", "127.0.0.1:0", "--page", "127.0.0.1:0")
    path = folder / f"{role}.toml"
    change(path, **server)
    return path, folder / f"{role}.token"


@pytest.mark.parametrize(("role", "processes"), [("leader", 1), ("leader", 2), ("helper", 1)])
def test_a_process_serves_its_page_beside_all_else(tmp_path: Path, role: str, processes: int) -> None:
    """One page for all server processes; the public address does not have it."""
    path, token = served_here(tmp_path, role, processes=processes)
    log = tmp_path / "log"
    path.write_text(path.read_text().replace('# file = "leader.log"', f"file = {json.dumps(str(log))}"))
    assert token.stat().st_mode & 0o777 == 0o600
    with serving(role, "--config", path) as (line, _):
        public = line.removeprefix("listening on ")
        for where in ("/", "/page/visit", "/page/events"):  # once the processes have started
            assert httpx.get(public + where, timeout=PATIENCE, trust_env=False).status_code == 404
        (url,) = [words.split()[-1] for words in log.read_text().splitlines() if "the operator's page is at" in words]
        with Looker(url, token.read_text().strip()) as looker:
            assert looker.sign_in().status_code == 200
            with looker.events() as events:
                assert until(events, "overview")["role"] == role


def test_a_page_needs_its_token(tmp_path: Path) -> None:
    path, token = served_here(tmp_path, "leader")
    token.chmod(0o644)
    assert "must be readable by its owner only" in Command("dap").refused("leader", "--config", path)
    token.unlink()
    assert "cannot read a token" in Command("dap").refused("leader", "--config", path)
    Command("dap").run("page-token", "--output", token)
    assert token.stat().st_mode & 0o777 == 0o600
    Config.load(path).page_token()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [(['listen = "0.0.0.0:9200"'], "[page] speaks plain HTTP, and listens on 0.0.0.0:9200"),
     (['listen = "dap.example:9200"'], "[page] speaks plain HTTP"),
     (['listen = "127.0.0.1:9200"', 'url = "http://dap.example"'], "[page] url must be https"),
     (['listen = "127.0.0.1:9200"', 'url = "dap.example"'], "[page] url must be the URL of a server"),
     (['listen = "0.0.0.0:9200"', "allow_http = true"], None),
     (['listen = "[::1]:9200"', 'url = "https://dap.example/operator"'], None)],
)  # fmt: skip
def test_a_token_does_not_travel_in_the_clear(tmp_path: Path, lines: list[str], reason: str | None) -> None:
    path = tmp_path / "a.toml"
    path.write_text('role = "leader"\n[store]\ndatabase = "sqlite:///a.db"\n[page]\n' + "\n".join(lines))
    if reason is None:
        Config.load(path)
    else:
        with pytest.raises(ConfigError) as refused:
            Config.load(path)
        assert reason in str(refused.value)
