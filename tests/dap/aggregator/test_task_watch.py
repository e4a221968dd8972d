"""Tasks that were added are noticed, and the Leader asks the Helper whether it has them."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from secagg.dap.aggregator.directory import Directory
from secagg.dap.aggregator.health import Health, helper_state
from secagg.dap.aggregator.helper_check import HelperState, ask_helper
from secagg.dap.aggregator.peer import HttpPeer, PeerUnavailable
from secagg.dap.aggregator.peer_health import PAUSES, PeerHealth
from secagg.dap.aggregator.release import log_release
from secagg.dap.aggregator.task_watch import AGAIN, TaskWatch
from secagg.dap.messages import Role
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.problems import URN
from secagg.dap.secrets import TaskSecrets
from secagg.dap.server.app import helper_app
from secagg.dap.server.common import Context
from secagg.dap.store import schema
from secagg.dap.store.engine import StoreUnavailable
from secagg.dap.store.tasks import delete_task
from secagg.dp import PureDp
from secagg.http.problems import MEDIA_TYPE

from ...support.world import COLLECTOR_TOKEN, PEER_TOKEN, START, World, bound, serving, url_of

NOISY = Privacy(Mechanism.DISCRETE_LAPLACE, PureDp("1"), PureDp("2"))


class Answers:
    """A Helper that answers as the test says, with a problem of a kind or with nothing; and what it was asked."""

    def __init__(self, status: int = 404, kind: str | None = "unrecognizedAggregationJob") -> None:
        self.status, self.kind = status, kind
        self.fails = False
        self.meanwhile: Callable[[], object] = lambda: None
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        self.meanwhile()
        if self.fails:
            raise httpx.ConnectError("nobody is there")
        if self.kind == "":
            return httpx.Response(self.status)
        document = {} if self.kind is None else {"type": self.kind if ":" in self.kind else URN + self.kind}
        return httpx.Response(self.status, headers={"Content-Type": MEDIA_TYPE}, content=json.dumps(document))


class Watched:
    """A Leader's watch over one task, and its Helper."""

    def __init__(self, world: World, answers: Answers) -> None:
        self.world, self.answers = world, answers
        self.http = httpx.Client(transport=httpx.MockTransport(answers))
        self.peer = HttpPeer(self.http, world.clock)
        self.health = PeerHealth(1, world.clock)
        self.watch = TaskWatch(world.leader_store, self.peer, self.health)

    def state(self) -> dict[str, Any]:
        with self.world.leader_store.read() as tx:
            return helper_state(tx, self.world.leader_task)

    def step(self, seconds: float = 0.0) -> bool:
        self.world.clock.now += seconds
        return self.watch.step(self.world.clock.now)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Our own, in order."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("secagg.")]


@pytest.fixture
def watched(dap_world: Callable[..., World]) -> Iterator[Watched]:
    made = Watched(dap_world(privacy=NOISY), Answers())
    yield made
    made.http.close()


def test_a_helper_with_the_task_is_ready_and_asked_again_a_day_later(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    assert watched.state()["state"] is None
    with caplog.at_level(logging.INFO):
        assert watched.step()
    assert (watched.state()["state"], watched.state()["fails"]) == ("ready", False)
    assert watched.state()["checked"] == "2023-11-14T22:13:20Z"
    assert not watched.step(AGAIN - 1)
    assert watched.step(1)
    task = watched.world.task
    first, second = messages(caplog)
    assert first == (
        f"task {task.text} was added at 2023-11-14T22:13:20Z: Histogram, 3 reports or more, time-interval, discrete"
        " Laplace, 1-DP a collection, Leader http://leader.test, Helper http://helper.test"
    )
    assert second == f"task {task.text}: the Helper http://helper.test has the task and accepts our token"
    assert PEER_TOKEN.decode() not in caplog.text


def test_the_request_changes_nothing_and_shows_our_token(watched: Watched) -> None:
    watched.step()
    (request,) = watched.answers.seen
    task = watched.world.task
    job = "A" * 22
    assert (request.method, str(request.url)) == (
        "GET", f"http://helper.test/tasks/{task.text}/aggregation_jobs/{job}?step=0",
    )  # fmt: skip
    assert request.headers["Authorization"] == f"Bearer {PEER_TOKEN.decode()}"


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [
        (404, "unrecognizedAggregationJob", HelperState.READY),
        (400, "unrecognizedAggregationJob", HelperState.READY),  # the draft names no status
        (404, "unrecognizedTask", HelperState.NO_TASK),
        (400, "unrecognizedTask", HelperState.NO_TASK),
        (401, None, HelperState.TOKEN_REFUSED),
        (403, "about:blank", HelperState.TOKEN_REFUSED),
        (400, "unauthorizedRequest", HelperState.TOKEN_REFUSED),  # of earlier drafts
        (404, None, HelperState.UNCLEAR),
        (405, None, HelperState.UNCLEAR),
        (400, "invalidMessage", HelperState.UNCLEAR),
        (500, None, HelperState.BUSY),
        (429, None, HelperState.BUSY),
        (302, None, HelperState.BUSY),
        (200, None, HelperState.UNCLEAR),  # no success is right for a job that does not exist
        (204, "", HelperState.UNCLEAR),
    ],
)
def test_what_an_answer_means(status: int, kind: str | None, state: HelperState, watched: Watched) -> None:
    watched.answers.status, watched.answers.kind = status, kind
    watched.step()
    assert watched.state()["state"] == state
    assert watched.state()["fails"] == (state not in (HelperState.READY, HelperState.UNCLEAR))


def test_it_is_asked_until_it_is_ready_ever_more_seldom(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.answers.status, watched.answers.kind = 404, "unrecognizedTask"
    pauses: list[float] = []
    last = START
    with caplog.at_level(logging.WARNING):
        while len(pauses) < 12:
            if watched.step(0.5):
                pauses.append(watched.world.clock.now - last)
                last = watched.world.clock.now
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, PAUSES[1], PAUSES[1]]
    (warning,) = messages(caplog)  # it has said so, and nothing has changed
    assert "does not have the task: its operator has to add it there, by `secagg dap task add`" in warning
    watched.answers.kind = "unrecognizedAggregationJob"
    assert watched.step(PAUSES[1])
    assert watched.state()["state"] == "ready"


def test_a_helper_that_does_not_answer_rests_and_is_not_asked(watched: Watched) -> None:
    watched.answers.fails = True
    while len(watched.answers.seen) < 3:
        watched.step(0.5)
    assert watched.state()["state"] == "unreachable"
    assert watched.health.unavailable() == {"http://helper.test"}  # for its jobs as well
    watched.answers.fails = False
    while watched.state()["state"] != "ready":
        watched.step(0.5)
    assert not watched.health.unavailable()


@pytest.mark.parametrize("status", [500, 200])
def test_a_wrong_answer_to_the_check_puts_no_jobs_to_rest(status: int, watched: Watched) -> None:
    watched.answers.status = status
    with suppress(PeerUnavailable), watched.health.call("http://helper.test"):
        raise PeerUnavailable("it does not answer", kind="unreachable")
    while len(watched.answers.seen) < 4:
        watched.step(0.5)
    assert not watched.health.unavailable()
    for _ in range(2):
        with suppress(PeerUnavailable), watched.health.call("http://helper.test"):
            raise PeerUnavailable("it does not answer", kind="unreachable")
    assert watched.health.unavailable()  # what failed before still counts


def test_a_helper_that_rests_for_its_jobs_is_not_asked(watched: Watched) -> None:
    for _ in range(3):
        with suppress(PeerUnavailable), watched.health.call("http://helper.test"):
            raise PeerUnavailable("it does not answer", kind="unreachable")
    assert not watched.step()
    assert watched.answers.seen == []
    assert watched.step(PAUSES[0])


def test_several_processes_notice_and_ask_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    other = TaskWatch(watched.world.leader_store, watched.peer, PeerHealth(1))
    with caplog.at_level(logging.INFO):
        watched.answers.meanwhile = lambda: other.step(watched.world.clock.now)
        watched.step()
        assert not other.step(watched.world.clock.now)
    assert len(watched.answers.seen) == 1
    assert sum("was added" in message for message in messages(caplog)) == 1


def test_a_deleted_task_is_left_alone(watched: Watched) -> None:
    with watched.world.leader_store.write() as tx:
        delete_task(tx, watched.world.task.id)
    assert not watched.step()
    assert watched.answers.seen == []


def test_the_helper_notices_its_tasks_too(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert not TaskWatch(watched.world.helper_store).step(START)
    assert "was added at" in caplog.text


def test_what_our_own_helper_answers(dap_world: Callable[..., World]) -> None:
    with bound(1) as sockets:
        world = dap_world(helper_url=url_of(sockets[0]))
        context = Context(Directory(world.helper_store, world.clock), clock=world.clock)
        with serving(helper_app(world.helper, context), sockets=sockets), httpx.Client(trust_env=False) as http:
            peer = HttpPeer(http)
            assert ask_helper(peer, world.leader_task)[0] is HelperState.READY
            wrong = world.leader_task.secrets
            stolen = TaskSecrets(Role.LEADER, wrong.verify_key, wrong.collector_config, b"other-token", b"", 0)
            record = type(world.leader_task)(1, world.task, stolen)
            assert ask_helper(peer, record)[0] is HelperState.TOKEN_REFUSED
            with world.helper_store.write() as tx:
                delete_task(tx, world.task.id)
            context.directory = Directory(world.helper_store, world.clock)
            assert ask_helper(peer, world.leader_task)[0] is HelperState.NO_TASK
            assert world.count("helper", schema.helper_jobs) == 0


def test_health_in_detail(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    world = watched.world

    def look(role: Role = Role.LEADER) -> dict[str, Any]:
        store = world.leader_store if role is Role.LEADER else world.helper_store
        return Health(store, role, world.clock).describe()

    found = look()
    assert (found["status"], found["database"], found["oldest_waiting_job_seconds"]) == ("ok", "ok", None)
    watched.answers.kind = "unrecognizedTask"
    watched.step()
    world.upload_many(3)
    world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    world.clock.now += 70
    found = look()
    (task,) = found["tasks"]
    assert (found["status"], found["oldest_waiting_job_seconds"]) == ("attention", 70)
    assert (task["task_id"], task["waiting_reports"], task["collections_left"]) == (world.task.text, 3, 2)
    assert task["oldest_report_seconds"] >= 70
    assert (task["helper"]["state"], task["helper"]["url"]) == ("no task", "http://helper.test")
    assert look(Role.HELPER)["tasks"] == [{"task_id": world.task.text, "collections_left": 2}]
    text = json.dumps(found)
    assert PEER_TOKEN.decode() not in text
    assert COLLECTOR_TOKEN.decode() not in text

    again = Health(world.leader_store, Role.LEADER, world.clock)
    assert again.describe() is again.describe()  # anybody may ask, and it takes counting

    def fails() -> Any:
        raise StoreUnavailable("the database does not answer")

    monkeypatch.setattr(world.leader_store, "read", fails)
    assert look() == {"status": "failing", "role": "leader", "database": "does not answer"}


def test_releases_and_the_budget_are_in_both_logs(
    dap_world: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    world = dap_world(privacy=NOISY)
    said = []
    for _ in range(2):
        world.upload_many(3)
        world.aggregate_all()
        with caplog.at_level(logging.INFO):
            assert world.collect().finished
        said.append([(record.levelname, record.getMessage()) for record in caplog.records])
        caplog.clear()
        world.clock.now += 1000
    task, privacy = world.task.text, "with our noise, discrete Laplace, 1-DP"
    released = f"task {task}: batch 2023-11-14T22:13:20Z/2023-11-14T22:15:00Z was released: 3 reports, {privacy}"
    left = f"task {task}: 1 collections of its budget are spent, 1 are left"
    assert said[0] == [("INFO", released), ("INFO", left)] * 2  # of both Aggregators
    assert [line for line in said[1] if "left" in line[1]] == [
        ("WARNING", f"task {task}: 2 collections of its budget are spent, 0 are left")
    ] * 2


def test_a_release_of_an_interval_without_end_is_logged_too(
    dap_world: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    world = dap_world()
    world.upload_many(3)
    world.aggregate_all()
    with caplog.at_level(logging.INFO):
        assert world.collect(world.request(0, 1 << 60), steps=1).finished
    assert f"batch 1970-01-01T00:00:00Z/{100 << 60} s after 1970 was released: 3 reports" in caplog.text


def test_a_release_stands_though_the_log_cannot_tell_the_budget(
    dap_world: Callable[..., World], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = dap_world(privacy=NOISY)

    def fails() -> Any:
        raise StoreUnavailable("the database does not answer")

    monkeypatch.setattr(world.leader_store, "read", fails)
    log_release(world.leader_store, world.leader_task, bytes(32), 3)
    assert "what is left of its budget is not known: the database does not answer" in caplog.text


@pytest.mark.parametrize("case", ["the Helper's own", "not due", "the Helper rests", "the task is deleted"])
def test_a_watch_writes_only_what_there_is_to_write(
    case: str, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = watched.world
    store = world.helper_store if case == "the Helper's own" else world.leader_store
    watch = TaskWatch(store) if case == "the Helper's own" else watched.watch
    watch.step(START)
    with store.write() as tx:
        tx.execute(update(schema.task_watch).values(due=START + (case == "not due")))
        if case == "the task is deleted":
            delete_task(tx, world.task.id)
    for _ in range(3 * (case == "the Helper rests")):
        with suppress(PeerUnavailable), watched.health.call("http://helper.test"):
            raise PeerUnavailable("it does not answer", kind="unreachable")
    monkeypatch.setattr(store, "write", lambda: pytest.fail("there is nothing to write"))
    assert not watch.step(START)
