"""A secret in a log, an error, a representation or the database: keys, tokens and shares must be in none."""

import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from secagg.dap.aggregator.directory import Directory
from secagg.dap.aggregator.peer import HttpPeer
from secagg.dap.aggregator.worker import Workers
from secagg.dap.messages import AggregationJobInitReq, Interval, Role
from secagg.dap.metrics import Metrics
from secagg.dap.problems import DapProblem
from secagg.dap.server.app import helper_app, leader_app
from secagg.dap.server.common import Context
from secagg.dap.server.limits import Limits
from secagg.dap.store.engine import StoreUnavailable
from secagg.dap.store.keys import KeyPair
from secagg.errors import SecAggError
from secagg.http.base64url import base64url

from ...support.world import COLLECTOR_TOKEN, PEER_TOKEN, Crash, Fault, World, dump, serving

NewWorld = Callable[..., World]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that is logged, of libraries, too."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "httpx")
    caplog.set_level(logging.DEBUG, "httpcore")
    return caplog


def secrets(world: World) -> dict[str, bytes]:
    known = {
        "verify key": world.verify_key,
        "the peer's token": PEER_TOKEN,
        "the Collector's token": COLLECTOR_TOKEN,
    }
    for role, vault in world.vaults.items():
        known |= {f"{role.name}'s secret": vault.secret, f"{role.name}'s noise key": vault.noise_key}
        known[f"{role.name}'s HPKE key"] = world.keys(role)[{Role.LEADER: 7, Role.HELPER: 8}[role]].private_bytes
    for side, share in zip(("Leader", "Helper"), world.raw_shares(Interval(world.bucket, 1)), strict=True):
        if any(share):
            known[f"the {side}'s aggregate share"] = share
    return known


def spellings(secret: bytes) -> list[str]:
    return [
        secret.hex(),
        secret.hex().upper(),
        b64encode(secret).decode().rstrip("="),
        base64url(secret),
        repr(secret)[2:-1],
        repr(bytearray(secret))[12:-2],
        str(list(secret)),
        secret.decode("latin-1"),
    ]


def assert_clean(world: World, text: str) -> None:
    for name, secret in secrets(world).items():
        for spelling in spellings(secret):
            assert spelling not in text, f"{name} shows"


def all_of(log: pytest.LogCaptureFixture) -> str:
    """With arguments and tracebacks."""
    assert log.records
    return log.text + "".join(repr(record.args) + repr(record.exc_info) for record in log.records)


def test_search_finds_a_secret_that_shows(dap_world: NewWorld, log: pytest.LogCaptureFixture) -> None:
    world = dap_world()
    for spelling in spellings(world.verify_key):
        with pytest.raises(AssertionError, match="verify key"):
            assert_clean(world, f"x{spelling}x")


def test_no_secret_is_in_logs_or_answers_of_requests_that_fail(
    dap_world: NewWorld, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = dap_world()
    reports = world.upload_many(4)
    world.aggregate_all()
    clock = world.clock
    contexts = [
        Context(Directory(store, clock), limits=Limits(upload_bytes=10_000), clock=clock)
        for store in (world.leader_store, world.helper_store)
    ]
    answers: list[httpx.Response] = []
    apps = leader_app(world.leader, contexts[0]), helper_app(world.helper, contexts[1])
    with serving(*apps) as (leader, helper), httpx.Client() as http:
        for stage in ("works", "store gone", "broken"):
            if stage != "works":
                monkeypatch.setattr(world.leader_store, "write", failing(stage))
                monkeypatch.setattr(world.helper_store, "write", failing(stage))
            for method, url, headers, body in requests(world, leader, helper):
                answers.append(http.request(method, url, headers=headers, content=body))
    monkeypatch.undo()
    assert {response.status_code for response in answers} >= {200, 400, 401, 404, 413, 415, 500, 503}
    assert len(reports) == 4
    shown = "".join(f"{response.headers} {response.content!r} {response.text}" for response in answers)
    assert_clean(world, shown)
    assert_clean(world, all_of(log))


def failing(stage: str) -> Callable[[], Any]:
    def write() -> Any:
        if stage == "store gone":
            raise StoreUnavailable("the database does not answer: gone")
        raise RuntimeError("an error that nobody expects")

    return write


def requests(world: World, leader: str, helper: str) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Good and bad ones of every resource, with each token, the right one and the other's."""
    task = f"/tasks/{world.task.text}"
    ppm = "application/ppm-dap;message="
    body = AggregationJobInitReq(0, b"", (), AggregationJobInitReq.decode(world.peer.seen[0]).verify_inits[:1]).encode()
    for token in (PEER_TOKEN.decode(), COLLECTOR_TOKEN.decode(), ""):
        auth = {"Authorization": f"Bearer {token}"} if token else {}
        for server, resource, kind, content in (
            (leader, "collection_jobs", "collection-job-req", world.request()),
            (leader, "collection_jobs", "collection-job-req", b"bad"),
            (helper, "aggregation_jobs", "aggregation-job-init-req", body),
            (helper, "aggregation_jobs", "aggregation-job-init-req", body[:-1]),
            (helper, "aggregate_shares", "aggregate-share-req", b"bad"),
            (helper, "aggregate_shares", "text", b"bad"),
        ):
            yield "POST", f"{server}{task}/{resource}", {"Content-Type": ppm + kind, **auth}, content
            yield "GET", f"{server}{task}/{resource}/{base64url(bytes(16))}", auth, b""
    upload = {"Content-Type": ppm + "upload-req"}
    yield "POST", f"{leader}{task}/reports", upload, b"bad"
    yield "POST", f"{leader}{task}/reports", upload, bytes(10_001)


def test_no_secret_is_in_logs_of_work_that_fails(
    dap_world: NewWorld, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers whose Helper is away, whose store is gone, and whose program is wrong."""
    world = dap_world()
    directory = Directory(world.leader_store, world.clock)
    workers = Workers(world.leader, directory, Metrics(), clock=world.clock)
    world.upload_many(4)
    world.leader.create_jobs(world.clock.now)
    world.peer.faults = [Fault.LOST_REQUEST]
    workers.step(world.clock.now)
    world.clock.now += 10
    with httpx.Client() as http:
        world.leader._peer = world.leader.collections._peer = HttpPeer(http, world.clock)  # to a host that there is not
        workers.step(world.clock.now)
    world.leader._peer = world.leader.collections._peer = world.peer
    monkeypatch.setattr(world.leader_store, "write", failing("broken"))
    monkeypatch.setattr(workers._stop, "wait", lambda seconds: workers._stop.set())
    workers._run(True)
    monkeypatch.undo()
    assert "a step failed" in log.text
    assert "waits for the Helper" in log.text
    assert_clean(world, all_of(log))


def test_no_secret_is_in_an_error(dap_world: NewWorld) -> None:
    """Of the machines themselves."""
    world = dap_world()
    world.upload_many(4)
    world.aggregate_all()
    bad_job, bad_share = world.peer.seen[0][:-3], b"\1\0\0"
    keys = world.keys(Role.HELPER)
    attempts: list[Callable[[], object]] = [
        lambda: world.helper.create_job(world.helper_task, keys, bad_job, world.clock.now),
        lambda: world.helper.create_share(world.helper_task, bad_share, world.clock.now),
        lambda: world.leader.collections.create(world.leader_task, b"", world.clock.now),
        lambda: world.vaults[Role.LEADER].open(bytes(60), b"place"),
        lambda: type(world.vaults[Role.LEADER]).from_text(world.vaults[Role.LEADER].secret.hex() + "x", "the file"),
        lambda: type(world.vaults[Role.LEADER])(world.vaults[Role.LEADER].secret + b"x"),
    ]
    for attempt in attempts:
        with pytest.raises(SecAggError) as caught:
            attempt()
        error = caught.value
        assert_clean(world, f"{error} {error!r} {error.args} {vars(error)}")
        assert error.__cause__ is None
    assert issubclass(DapProblem, SecAggError)


def test_no_secret_is_in_a_representation(dap_world: NewWorld) -> None:
    world = dap_world()
    reports = world.upload_many(4)
    world.aggregate_all()
    shown = [world.leader_task, world.leader_task.secrets, world.helper_task, world.helper_task.secrets, reports[0]]
    shown += [*world.vaults.values(), *(world.keys(role)[n] for role, n in ((Role.LEADER, 7), (Role.HELPER, 8)))]
    shown += [KeyPair(world.configs[Role.LEADER], world.keys(Role.LEADER)[7]), world.leader, world.leader_store]
    assert_clean(world, " ".join(f"{thing!r} {thing}" for thing in shown))


@pytest.mark.parametrize("crash", [False, True], ids=["at_rest", "after_a_crash"])
def test_no_secret_is_readable_in_the_database(dap_world: NewWorld, crash: bool) -> None:
    """Private keys, the verification key, tokens and aggregate shares are sealed under the secret outside of it."""
    world = dap_world()
    world.upload_many(4)
    world.aggregate_all()
    if crash:
        world.leader_store.crash_at = 1
        with pytest.raises(Crash):
            world.collect()
        world.restart()
    known = secrets(world)
    assert "the Leader's aggregate share" in known
    for url in (world.urls.leader, world.urls.helper):
        values = [value for rows in dump(url).values() for row in rows for value in row.values()]
        for name, secret in known.items():
            assert not any(isinstance(value, bytes) and secret in value for value in values), name
