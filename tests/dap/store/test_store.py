"""The store: its versions, what goes on in it at once, and what it says when it cannot go on."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, inspect, text

from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.dialect import DAP_18, DIALECTS, Dialect
from secagg.dap.messages import BatchMode, Interval, ReportError, Role
from secagg.dap.store import buckets, engine, migrations, schema
from secagg.dap.store.engine import Store, StoreUnavailable
from secagg.dap.store.peers import list_peers
from secagg.dap.store.tasks import find_task
from secagg.dap.store.vault import Vault
from secagg.errors import LocalProtocolError

from ...support.folders import ROOT
from ...support.postgres import postgres_schemas
from ...support.processes import PATIENCE, started
from ...support.world import BUCKETS, MIN_BATCH, START, Urls, World

NewWorld = Callable[..., World]
VAULT = Vault(bytes(32))
MODES = pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())


# Versions.

TODAY = migrations.MIGRATIONS


def add_a_table(connection: Any) -> None:
    Table("later", MetaData(), Column("number", Integer)).create(connection)


def fail_half_way(connection: Any) -> None:
    add_a_table(connection)
    raise RuntimeError("power cut")


def with_steps(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[Any], None]) -> None:
    """The program of a later version, whose schema these steps make of today's."""
    every = (*migrations.MIGRATIONS, *steps)
    monkeypatch.setattr(migrations, "MIGRATIONS", every)
    monkeypatch.setattr(migrations, "VERSION", len(every))
    monkeypatch.setattr("secagg.dap.store.engine.VERSION", len(every))


def test_old_store_is_upgraded_with_all_that_is_in_it(
    dap_urls: Urls, dap_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = dap_world()
    world.upload_many(4)
    world.close()
    with_steps(monkeypatch, add_a_table)
    world.restart()
    with world.leader_store.read() as tx:
        assert migrations.version(tx.connection) == len(TODAY) + 1
        assert inspect(tx.connection).has_table("later")
    world.aggregate_all()
    assert world.result(world.collect()).count == 4


LATER: dict[int, list[str]] = {  # what takes a store of the next version back to these
    11: ["DROP TABLE client_tokens"],
    10: ["DROP TABLE old_tokens"],
    9: ["ALTER TABLE helper_jobs DROP COLUMN digest"],
    8: ["DROP TABLE advertised", "DROP TABLE peers"],
    7: ["DROP TABLE outcomes"],
    6: ["ALTER TABLE tasks DROP COLUMN dialect"],
    5: ["ALTER TABLE collection_jobs DROP COLUMN batch"],
    4: ["DROP TABLE task_watch"],
    3: [
        "DROP INDEX collection_jobs_end",
        "ALTER TABLE jobs DROP COLUMN problem",
        *(f'ALTER TABLE collection_jobs DROP COLUMN "{name}"' for name in ("start", "end", "open_reports")),
    ],
    2: [f"ALTER TABLE collection_jobs DROP COLUMN {name}" for name in ("asked", "share_location")],
}


@pytest.mark.parametrize("old", LATER)
def test_a_store_of_an_old_version_collects_what_it_began(dap_urls: Urls, dap_world: NewWorld, old: int) -> None:
    """2: its collection jobs had no bound, and wait for the Helper as long as new ones. 3: they closed no interval.
    6: its tasks named no dialect, and speak draft 18. 7: its Helper's jobs kept no digest."""
    world = dap_world(dialect=DAP_18)
    world.upload_many(4)
    job = world.collect(steps=1)
    world.close()
    engine = create_engine(dap_urls.leader)
    with engine.begin() as connection:
        for version in range(len(TODAY) - 1, old - 1, -1):
            for statement in LATER[version]:
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"UPDATE secagg_store SET version = {old}")
    engine.dispose()
    world.restart()
    with world.leader_store.read() as tx:
        assert migrations.version(tx.connection) == migrations.VERSION
        made = {index["name"] for index in inspect(tx.connection).get_indexes("collection_jobs")}
        assert "collection_jobs_end" in made
        found = find_task(tx, world.task.id)
        assert found is not None
        assert found.task == world.task
        assert list_peers(tx) == []
    world.aggregate_all()
    again = world.collect()
    assert again.id == job.id
    assert world.result(again).count == 4


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_store_knows_what_its_tasks_speak(dap_world: NewWorld, dialect: Dialect) -> None:
    world = dap_world(dialect=dialect)
    world.restart()
    with world.helper_store.read() as tx:
        found = find_task(tx, world.task.id)
    assert found is not None
    assert found.task.dialect is dialect


def test_a_task_of_a_later_dialect_is_not_taken_for_another(dap_world: NewWorld) -> None:
    world = dap_world()
    with world.helper_store.write() as tx:
        tx.execute(schema.tasks.update().values(dialect="dap-20"))
        with pytest.raises(LocalProtocolError, match="dialect 'dap-20' is not supported: use a newer program"):
            find_task(tx, world.task.id)


def test_old_store_is_refused_by_a_program_that_must_not_upgrade_it(
    dap_urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(dap_urls.leader, VAULT).close()
    with_steps(monkeypatch, add_a_table)
    with pytest.raises(LocalProtocolError, match=f"version {len(TODAY)}, this program's is {len(TODAY) + 1}: upgrade"):
        Store(dap_urls.leader, VAULT, create=False)
    with pytest.raises(LocalProtocolError, match="version 0"):
        Store(dap_urls.helper, VAULT, create=False)


def test_newer_store_is_refused(dap_urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        with_steps(later, add_a_table)
        Store(dap_urls.leader, VAULT).close()
    for create in (True, False):
        with pytest.raises(
            LocalProtocolError, match=f"version {len(TODAY) + 1}, this program's is {len(TODAY)}: use a newer"
        ):
            Store(dap_urls.leader, VAULT, create=create)


def test_upgrade_that_fails_leaves_the_old_version(dap_urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(dap_urls.leader, VAULT).close()
    with monkeypatch.context() as later:
        with_steps(later, fail_half_way)
        with pytest.raises(RuntimeError, match="power cut"):
            Store(dap_urls.leader, VAULT)
    store = Store(dap_urls.leader, VAULT)
    with store.read() as tx:
        assert migrations.version(tx.connection) == len(TODAY)
        assert not inspect(tx.connection).has_table("later")
    store.close()


OPEN = """
import sys
from secagg.dap.store.engine import Store
from secagg.dap.store.vault import Vault
Store(sys.argv[1], Vault(bytes(32))).close()
"""


def errors_of(command: list[str], count: int) -> list[tuple[bytes, int]]:
    """stderr and exit code of so many processes at once."""
    with ExitStack() as stack:
        processes = [stack.enter_context(started(*command, stderr=subprocess.PIPE)) for _ in range(count)]
        return [(process.communicate(timeout=PATIENCE)[1], process.returncode) for process in processes]


def test_processes_that_start_together_make_the_tables_once(dap_urls: Urls) -> None:
    assert errors_of([sys.executable, "-c", OPEN, dap_urls.leader], count=2) == [(b"", 0)] * 2
    store = Store(dap_urls.leader, VAULT, create=False)
    store.close()


def test_threads_that_open_a_new_store_together_make_the_tables_once(dap_urls: Urls) -> None:
    together([lambda: Store(dap_urls.leader, VAULT).close()] * 6)


NEW_STORES = 20  # that several open at once: each was a chance of one in seven to fail

OPEN_EACH = """
import sys
from secagg.dap.store.engine import Store
from secagg.dap.store.vault import Vault
print("ready", flush=True)
for url in sys.stdin:
    Store(url.strip(), Vault(bytes(32))).close()
    print("opened", flush=True)
"""


def test_threads_open_new_stores_together_again_and_again(tmp_path: Path) -> None:
    for i in range(NEW_STORES):
        together([lambda url=f"sqlite:///{tmp_path}/{i}.db": Store(url, VAULT).close()] * 6)  # type: ignore[misc]


def test_processes_open_new_stores_together_again_and_again(tmp_path: Path) -> None:
    piped: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with ExitStack() as stack:
        processes = [stack.enter_context(started(sys.executable, "-c", OPEN_EACH, **piped)) for _ in range(3)]
        assert [said(process) for process in processes] == ["ready"] * 3
        for i in range(NEW_STORES):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"sqlite:///{tmp_path}/{i}.db\n")
            assert [said(process) for process in processes] == ["opened"] * 3


def said(process: "subprocess.Popen[str]") -> str:
    """Its next line; empty if it has died."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another's connection to a store without a write-ahead log: a new one, or a backup that was put in its place."""
    path = tmp_path / "leader.db"
    Store(f"sqlite:///{path}", VAULT).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        yield connection


@pytest.mark.parametrize(("before", "size"), [(None, engine.PAGE_BYTES), (4096, 4096)], ids=["new", "older"])
def test_new_files_have_long_pages_and_older_ones_keep_theirs(tmp_path: Path, before: int | None, size: int) -> None:
    path = tmp_path / "leader.db"
    if before:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA page_size = {before}")
            connection.execute("CREATE TABLE others (id INTEGER)")
            connection.commit()
    store = Store(f"sqlite:///{path}", VAULT)
    with store.read() as tx:
        assert tx.execute(text("PRAGMA page_size")).scalar_one() == size
    store.close()


def test_store_waits_where_sqlite_refuses_at_once(
    tmp_path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch of the journal mode makes a write lock of a read lock, for which SQLite never waits."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            other.execute("ROLLBACK")

    monkeypatch.setattr(engine, "sleep", pause, raising=False)
    other.execute("BEGIN IMMEDIATE")
    store = Store(f"sqlite:///{tmp_path}/leader.db", VAULT)
    with store.read() as tx:
        assert tx.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
    store.close()
    assert len(pauses) == 3
    assert all(0 <= seconds <= 0.05 for seconds in pauses)


def test_store_that_stays_locked_is_unavailable(
    tmp_path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="database is locked"):
        Store(f"sqlite:///{tmp_path}/leader.db", VAULT)


def test_read_that_would_have_to_become_a_write_is_refused(tmp_path: Path) -> None:
    """By the tests (conftest), and always: SQLite itself refuses it only where another has written meanwhile."""
    store = Store(f"sqlite:///{tmp_path}/leader.db", VAULT)
    change = text("UPDATE secagg_store SET version = version")
    with pytest.raises(StoreUnavailable, match="readonly"), store.read() as tx:
        tx.execute(change)
    with store.write() as tx:  # on the same connection
        tx.execute(change)
    store.close()


def together(actions: list[Callable[[], object]]) -> None:
    """All at once; what one of them raises is raised."""
    start, failures = threading.Barrier(len(actions)), []

    def run(action: Callable[[], object]) -> None:
        start.wait()
        try:
            action()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


# At once.


@MODES
def test_workers_count_each_report_once(dap_world: NewWorld, mode: BatchMode) -> None:
    """Several make jobs, drive them and collect, while reports are still uploaded."""
    world = dap_world(batch_mode=mode, batch_size=20, settings=Settings(job_size=7))
    world.clock.now = START + 50
    reports = [world.report(i % BUCKETS) for i in range(120)]

    def upload() -> None:
        for i in range(0, 120, 4):
            assert world.upload(*reports[i : i + 4]) == [None] * 4

    def work() -> None:
        leader = Leader(world.leader_store, world.peer, Settings(job_size=7))
        for _ in range(40):
            leader.create_jobs(world.clock.now)
            while leader.work_job(world.keys(Role.LEADER), world.clock.now) is not None:
                pass

    together([upload, work, work, work])
    world.aggregate_all()
    assert world.count("helper", schema.aggregated) == 120
    if mode is BatchMode.TIME_INTERVAL:
        assert world.result(world.collect()).sums == [30] * BUCKETS
        return
    sums = [0] * BUCKETS
    for _ in range(6):
        job = world.collect()
        result = world.result(job)
        assert result.count == 20
        sums = [a + b for a, b in zip(sums, result.sums, strict=True)]
        world.leader.collections.delete(world.leader_task, job.id)
    assert sums == [30] * BUCKETS


def test_report_that_is_uploaded_during_a_collection_is_in_it_or_refused(dap_world: NewWorld) -> None:
    world = dap_world(settings=Settings(job_size=5))
    reports = world.upload_many(MIN_BATCH)
    late = [world.report() for _ in range(40)]
    request = world.request()
    outcomes: list[ReportError | None] = []

    def upload() -> None:
        for report in late:
            outcomes.extend(world.upload(report))

    def collect() -> None:
        leader = Leader(world.leader_store, world.peer, Settings(job_size=5, lease=1000))
        job = leader.collections.create(world.leader_task, request, world.clock.now)
        for seconds in range(400):
            leader.create_jobs(world.clock.now)
            leader.work_job(world.keys(Role.LEADER), world.clock.now)
            leader.collections.work(world.clock.now + seconds)
            if leader.collections.find(world.leader_task, job.id).finished:
                return

    together([upload, collect])
    world.clock.now += 2000
    world.aggregate_all()
    result = world.result(world.collect(request))
    assert set(outcomes) <= {None, ReportError.BATCH_COLLECTED}
    assert result.count == len(reports) + outcomes.count(None)


def test_collections_at_once_release_a_batch_once(dap_world: NewWorld) -> None:
    """Many workers, and overlapping requests."""
    world = dap_world()
    world.upload_many(8)
    world.aggregate_all()
    requests = [world.request(duration=duration) for duration in (1, 2, 3, 4)]
    jobs = [world.leader.collections.create(world.leader_task, request, world.clock.now) for request in requests]

    def work() -> None:
        while world.leader.collections.work(world.clock.now) is not None:
            pass

    together([work] * 4)
    ended = [world.leader.collections.find(world.leader_task, job.id) for job in jobs]
    assert sum(job.finished for job in ended) == 1
    assert sum(job.problem is not None for job in ended) == 3
    assert world.count("leader", schema.collected) == world.count("helper", schema.collected) == 1


WORKER = """
import sys, json
sys.path.insert(0, sys.argv[1])
from tests.support.victim import aggregate
aggregate(json.loads(sys.argv[2]))
"""


@pytest.mark.slow
def test_worker_processes_count_each_report_once(dap_world: NewWorld, tmp_path: Path) -> None:
    world = dap_world()
    world.upload_many(200)
    arguments = {
        "urls": [world.urls.leader, world.urls.helper],
        "secrets": [world.vaults[role].secret.hex() for role in (Role.LEADER, Role.HELPER)],
        "task": world.task.id.hex(),
        "folder": str(tmp_path),
        "now": world.clock.now,
    }
    command = [sys.executable, "-c", WORKER, str(ROOT), json.dumps(arguments)]
    assert errors_of(command, count=3) == [(b"", 0)] * 3
    assert world.result(world.collect()).sums == [50] * BUCKETS


# When it cannot go on.


@pytest.fixture
def full(tmp_path: Path) -> Iterator[World]:
    """A Leader whose database must not grow any more."""
    world = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    world.upload_many(4)
    with world.leader_store.read() as tx:
        pages = tx.execute(text("PRAGMA page_count")).scalar_one()
        tx.execute(text(f"PRAGMA max_page_count = {pages}"))
    yield world
    world.close()


def test_full_disk_refuses_reports_and_loses_none(full: World) -> None:
    refused = [full.report() for _ in range(200)]
    with pytest.raises(StoreUnavailable, match="full"):
        full.upload(*refused)
    full.restart()  # with room again
    assert full.upload(*refused[:2]) == [None, None]
    full.aggregate_all()
    assert full.result(full.collect()).count == 6


def test_database_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Store(f"sqlite:///{tmp_path}/missing/folder.db", VAULT)
    with pytest.raises(StoreUnavailable):
        Store(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}", VAULT)


@pytest.mark.parametrize("url", ["mysql://user:hidden-password@host/db", "no url with hidden-password", "sqlite:"])
def test_url_that_opens_no_database_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Store(url if url != "sqlite:" else "oracle://user:hidden-password@host/db", VAULT)
    assert "hidden-password" not in str(caught.value)


def test_database_of_another_secret_is_refused(dap_urls: Urls, dap_world: NewWorld) -> None:
    world = dap_world()
    store = Store(dap_urls.leader, Vault(bytes(range(32))))
    with store.read() as tx, pytest.raises(LocalProtocolError, match="secret"):
        find_task(tx, world.task.id)
    store.close()


def test_postgres_urls_are_of_schemas_of_their_own() -> None:
    """What one test writes no other sees."""
    with postgres_schemas(2) as (one, other):
        Store(one, VAULT).close()
        with pytest.raises(LocalProtocolError, match="version 0"):
            Store(other, VAULT, create=False)


def test_leader_waits_for_a_full_batch_but_not_for_ever(dap_world: NewWorld) -> None:
    world = dap_world(batch_mode=BatchMode.LEADER_SELECTED, batch_size=10, min_batch_size=4)
    world.upload_many(6)
    world.aggregate_all()
    world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
    assert world.collect(steps=3).finished is False
    world.upload_many(4)
    world.aggregate_all()
    assert world.result(world.collect(steps=3)).count == 10
    world.leader.collections.delete(world.leader_task, world.collect(steps=0).id)
    world.upload_many(5)
    world.aggregate_all()
    assert world.collect(steps=3).finished is False
    world.clock.now += world.leader.settings.patience
    assert world.result(world.collect(steps=3)).count == 5


class Counted(int):
    """A number that counts how often it is compared with others."""

    comparisons = 0

    def __lt__(self, other: int) -> bool:
        Counted.comparisons += 1
        return int(self) < other

    def __ge__(self, other: int) -> bool:
        Counted.comparisons += 1
        return int(self) >= other


def test_closed_buckets_are_found_without_comparing_each_with_each_interval(dap_world: NewWorld) -> None:
    world, rand, many = dap_world(), Random(1), 400
    intervals = {Interval(rand.randrange(10 * many), rand.choice([1, 2, 3, 200])) for _ in range(many)}
    starts = {Counted(start) for start in range(0, 10 * many, 7)}
    with world.leader_store.write() as tx:
        for interval in intervals:
            buckets.mark_collected(tx, world.leader_task, interval, bytes(32))
    with world.leader_store.read() as tx:
        Counted.comparisons = 0
        found = buckets.list_closed_buckets(tx, world.leader_task, starts)
        comparisons = Counted.comparisons
        ids = [buckets.bucket_id(start) for start in starts]
        collected = buckets.list_collected_buckets(tx, world.leader_task, ids)
    assert found.keys() == {start for start in map(int, starts) if any(start in each for each in intervals)}
    assert 0 < len(found) < len(starts)
    assert all(start in interval and interval in intervals for start, interval in found.items())
    assert collected == {buckets.bucket_id(start) for start in found}
    assert comparisons < 30 * len(starts)
