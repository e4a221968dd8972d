"""A session with its journal: what is acknowledged when, for many threads, and what is kept."""

import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import LocalProtocolError, Model, Round, Sparse
from secagg.service import journal as journals
from secagg.service import running as runs
from secagg.service.deadlines import Deadlines
from secagg.service.journal import JournalFailed
from secagg.service.records import Body, CheckpointRecord
from secagg.service.records import Kind as RecordKind
from secagg.service.refusals import Kind, Refused
from secagg.service.running import Arrival, RunningSession, remove
from secagg.service.session import STRAYS_MAX, Admitted
from secagg.service.setup import SessionSetup
from secagg.service.storage import Disk

from ..support.coordinated import Coordinated, digest, make_setup, post
from ..support.forgetful import ForgetfulDisk, Memory, PowerCut

MODELS = pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
EVERYONE = (1, 2, 3, 4)


def begun(model: Model = Model.SEMI_HONEST, n: int = 4, m: int = 5, **deadlines: Any) -> Coordinated:
    world = Coordinated(make_setup(model, n, m, deadlines=Deadlines(**deadlines)), ForgetfulDisk())
    world.open()
    for u in world.users:
        world.join(u)
    return world


def until(world: Coordinated, round: Round) -> Coordinated:
    """All answer until this round is due."""
    world.play_until(lambda: world.session.round is round)
    return world


def refused(act: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


@MODELS
@pytest.mark.parametrize("m", [3, 40_000])
def test_a_session_on_the_disk(tmp_path: Path, model: Model, m: int) -> None:
    world = Coordinated(make_setup(model, m=m), Disk(), tmp_path / "state" / "session")
    world.open()
    for _ in range(4 + (model is Model.ACTIVE)):
        world.play_round(EVERYONE)
        world.reopen()
    world.check_result()
    assert world.session.result().survivors == EVERYONE
    assert world.session.result().sha256 == world.session.describe()["sha256"]
    world.remove()
    assert not (tmp_path / "state" / "session").exists()


@MODELS
def test_requests_are_the_same_after_a_restart(model: Model) -> None:
    world = begun(model)
    for _ in range(5):
        world.play_round(EVERYONE)
        if world.session.status == "running":
            before = {u: world.session.opened(u, None) for u in EVERYONE}
            told = world.session.describe()
            world.reopen()
            assert {u: world.session.opened(u, None) for u in EVERYONE} == before
            assert world.session.describe() == told | {"ends": world.session.describe()["ends"]}
    result = world.session.result()
    world.reopen()
    assert (world.session.result().sum == result.sum).all()
    assert world.session.result().sha256 == result.sha256


def test_a_session_is_created_once(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    session = RunningSession.create(folder, make_setup())
    with pytest.raises(LocalProtocolError, match="another coordinator"):
        RunningSession.open(folder)
    session.close()
    with pytest.raises(LocalProtocolError, match="already"):
        RunningSession.create(folder, make_setup())
    with pytest.raises(LocalProtocolError, match="is closed"):
        session.join("a")
    RunningSession.open(folder).close()


# Nobody hears what is not on disk.


def cut(world: Coordinated, act: Any) -> None:
    """The power goes before the first sync of this, and comes back."""
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)
    real = disk.step

    def step() -> None:
        if not disk._off and "sync" in _caller():
            disk.cut()
        real()

    disk.step = step  # type: ignore[method-assign]
    with pytest.raises(PowerCut):
        act()
    disk.step = real  # type: ignore[method-assign]
    disk.restart(Memory.NOTHING)
    world.open()


def _caller() -> str:
    return sys._getframe(2).f_code.co_name


def test_what_was_not_synced_was_not_acknowledged() -> None:
    world = begun()
    cut(world, lambda: world.send(1, Round.ADVERTISE_KEYS))
    assert world.session.describe()["answered"] == []
    world.send(1, Round.ADVERTISE_KEYS)
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)
    disk.cut()
    disk.restart(Memory.NOTHING)
    world.open()
    assert world.session.describe()["answered"] == [1]


def test_a_decision_is_on_disk_before_anybody_hears_of_it() -> None:
    world = begun()
    for u in EVERYONE:
        world.send(u, Round.ADVERTISE_KEYS)
    cut(world, world.session.tick)
    assert world.session.round is Round.ADVERTISE_KEYS
    world.session.tick()
    heard = world.session.opened(1, None)
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)
    disk.cut()
    disk.restart(Memory.NOTHING)
    world.open()
    assert world.session.opened(1, None) == heard is not None


def test_an_abort_is_on_disk_before_anybody_hears_of_it() -> None:
    world = begun()
    cut(world, lambda: world.session.abort("no"))
    assert world.session.status == "running"
    world.session.abort("for a reason")
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)
    disk.cut()
    disk.restart(Memory.NOTHING)
    world.open()
    assert "for a reason" in refused(lambda: world.session.opened(1, None)).detail
    with pytest.raises(LocalProtocolError, match="over"):
        world.session.abort("again")


@MODELS
def test_a_message_after_the_decision_is_late_for_ever(model: Model) -> None:
    world = until(begun(model, goal=3, grace=0.0), Round.MASKED_INPUT_COLLECTION)
    for u in EVERYONE:
        world.fetch(u)
    for u in (1, 2, 3):
        world.send(u, Round.MASKED_INPUT_COLLECTION)
    world.session.tick()
    for _ in range(2):
        late = refused(lambda: world.send(4, Round.MASKED_INPUT_COLLECTION))
        assert (late.kind, "wipe" in late.detail) == (Kind.LATE, True)
        world.reopen()
    world.finish((1, 2, 3))
    world.check_result()
    assert world.session.result().survivors == (1, 2, 3)


def test_a_decision_counts_all_that_stands_before_it_in_the_journal() -> None:
    """A message that is on its way when the round ends is either before the decision, or late."""
    world = begun(goal=3, grace=0.0)
    for u in (1, 2, 3):
        world.send(u, Round.ADVERTISE_KEYS)
    user = world.users[4]
    spool = world.session.spool(4, Round.ADVERTISE_KEYS)
    spool.write(user.answers[Round.ADVERTISE_KEYS])
    delivery = world.session._enter(4, Round.ADVERTISE_KEYS, spool.seal())
    assert delivery is not None
    world.session.tick()
    assert world.session.describe()["rounds"] == {"AdvertiseKeys": [1, 2, 3, 4]}
    world.session._make_durable(delivery.place)
    before = world.session.opened(4, None)
    world.reopen()
    assert world.session.opened(4, None) == before is not None


def test_the_machine_gets_messages_in_the_journals_order() -> None:
    """User 2 sends user 1's keys as its own: whose come first is the one who has them."""
    world = begun()
    deliveries = []
    for u in (1, 2):
        spool = world.session.spool(u, Round.ADVERTISE_KEYS)
        spool.write(world.users[1].answers[Round.ADVERTISE_KEYS])
        deliveries.append(world.session._enter(u, Round.ADVERTISE_KEYS, spool.seal()))
    assert deliveries[1] is not None
    world.session._make_durable(deliveries[1].place)
    assert deliveries[1].refused is not None
    assert deliveries[1].refused.kind is Kind.FAULTY
    for _ in range(2):
        told = world.session.describe()
        assert (told["answered"], told["faulty"]) == ([1], [2])
        world.reopen()


def test_a_grace_goes_on_after_a_restart() -> None:
    world = begun(goal=3, grace=10.0)
    for u in (1, 2, 3):
        world.clock.now += 1.0
        world.send(u, Round.ADVERTISE_KEYS)
    met = world.clock.now
    world.reopen()
    assert world.session.tick() == met + 10.0
    world.clock.now += 9.0
    world.session.tick()
    assert world.session.round is Round.ADVERTISE_KEYS
    world.clock.now += 1.0
    world.session.tick()
    assert world.session.describe()["rounds"] == {"AdvertiseKeys": [1, 2, 3]}


# Many threads.


def _failed(player: Future[None]) -> bool:
    return player.done() and player.exception() is not None


@MODELS
def test_many_threads_at_once(tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "INLINE_BYTES", 500)
    monkeypatch.setattr(runs, "CHECKPOINT_BYTES", 3000)
    monkeypatch.setattr(runs, "CHECKPOINT_INPUTS", 2)
    count = 12
    setup = make_setup(model, n=count, m=300, deadlines=Deadlines(goal=count - 2, grace=0.0))
    world = Coordinated(setup, Disk(), tmp_path / "session")
    world.open()
    changed, stopped = threading.Event(), threading.Event()
    world.session.subscribe(changed.set)
    for u in world.users:
        world.join(u)

    def play(u: int) -> None:
        while world.session.status == "running" and world.users[u].refused is None and not stopped.is_set():
            try:
                world.step(u)
            except Refused as refused:
                if refused.kind not in (Kind.LATE, Kind.NOT_NEEDED):
                    raise

    with ThreadPoolExecutor(count) as pool:
        players = [pool.submit(play, u) for u in world.users]
        try:
            while world.session.status == "running" and not any(map(_failed, players)):
                changed.wait(0.05)
                changed.clear()
                world.session.tick()
        finally:
            stopped.set()
        for player in players:
            player.result()
    world.check_result()
    world.reopen()
    world.check_result()


def test_the_same_message_twice_at_once() -> None:
    """Both are acknowledged, and it stands in the journal once."""
    world = begun()
    body = world.users[1].answers[Round.ADVERTISE_KEYS]
    first, second, other = (world.session.spool(1, Round.ADVERTISE_KEYS) for _ in range(3))
    for spool, content in ((first, body), (second, body), (other, body + b"?")):
        spool.write(content)
    deliveries = [world.session._enter(1, Round.ADVERTISE_KEYS, spool.seal()) for spool in (first, second)]
    busy = refused(lambda: world.session.deliver(1, Round.ADVERTISE_KEYS, other))
    assert (busy.kind, busy.retry_after) == (Kind.BUSY, 1.0)
    assert deliveries[0] is deliveries[1]
    for delivery in deliveries:
        assert delivery is not None
        world.session._make_durable(delivery.place)
    assert refused(lambda: post(world.session, 1, Round.ADVERTISE_KEYS, body + b"?")).kind is Kind.OTHER_ANSWER
    world.send(1, Round.ADVERTISE_KEYS)


def test_one_sync_serves_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own outcome: one was taken already, one is another answer, one went away, and one is refused."""
    world = begun()
    world.send(1, Round.ADVERTISE_KEYS)
    bodies = {u: user.answers[Round.ADVERTISE_KEYS] for u, user in world.users.items()}
    contents = [(1, bodies[1]), (1, bodies[2]), (2, bodies[2]), (3, bodies[3]), (4, bodies[2])]
    arrivals = [Arrival(u, Round.ADVERTISE_KEYS, world.session.spool(u, Round.ADVERTISE_KEYS)) for u, _ in contents]
    for arrival, (_, content) in zip(arrivals, contents, strict=True):
        arrival.spool.write(content)
    arrivals[3].spool.discard()
    file, syncs = world.session._journal._file, []
    real = file.sync

    def sync() -> None:
        syncs.append(1)
        real()

    monkeypatch.setattr(file, "sync", sync)
    taken, other, new, gone, faulty = world.session.deliver_all(arrivals)
    assert (taken, new, len(syncs)) == (None, None, 1)
    assert isinstance(other, Refused)
    assert isinstance(faulty, Refused)
    assert isinstance(gone, LocalProtocolError)
    assert (other.kind, faulty.kind, "discarded" in str(gone)) == (Kind.OTHER_ANSWER, Kind.FAULTY, True)
    assert all(arrival.spool._discarded for arrival in arrivals)
    world.reopen()
    told = world.session.describe()
    assert (told["answered"], told["faulty"], told["waiting"]) == ([1, 2], [4], [3])


def test_an_error_that_nobody_thought_of_is_of_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """What entered beside it is on disk all the same."""
    world = begun()
    arrivals = []
    for u in (1, 2, 3):
        spool = world.session.spool(u, Round.ADVERTISE_KEYS)
        spool.write(world.users[u].answers[Round.ADVERTISE_KEYS])
        arrivals.append(Arrival(u, Round.ADVERTISE_KEYS, spool))

    def digest() -> bytes:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(arrivals[1].spool, "digest", digest)
    first, second, third = world.session.deliver_all(arrivals)
    assert (first, str(second), third) == (None, "nobody thought of this", None)
    world.reopen()
    assert world.session.describe()["answered"] == [1, 3]


def test_nobody_hears_of_messages_that_the_disk_did_not_take() -> None:
    world = begun()
    arrivals = []
    for u in (1, 2):
        spool = world.session.spool(u, Round.ADVERTISE_KEYS)
        spool.write(world.users[u].answers[Round.ADVERTISE_KEYS])
        arrivals.append(Arrival(u, Round.ADVERTISE_KEYS, spool))

    def fails() -> None:
        raise OSError(5, "Input/output error")

    world.session._journal._file.sync = fails  # type: ignore[method-assign]
    with pytest.raises(JournalFailed):
        world.session.deliver_all(arrivals)
    with pytest.raises(JournalFailed):
        world.session.describe()


def test_subscribers_hear_of_each_change() -> None:
    world = begun()
    heard: list[str] = []
    end = world.session.subscribe(lambda: heard.append(""))
    world.send(1, Round.ADVERTISE_KEYS)
    assert len(heard) == 1
    world.send(1, Round.ADVERTISE_KEYS)
    world.session.tick()
    assert len(heard) == 1
    world.session.abort("no")
    assert len(heard) == 2
    end()
    end()


def test_others_hear_while_the_sum_is_worked_out() -> None:
    """Unmasking takes long: meanwhile the session says so, and a late answer is late."""
    asked: list[Any] = []

    class Slow(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            if not asked:
                pool = ThreadPoolExecutor(1)  # as a participant's thread would
                asked.append(pool.submit(world.session.describe).result(60))
                asked.append(pool.submit(lambda: refused(late).kind).result(60))
                asked.append(pool.submit(world.session.tick).result(60))
                asked.append(pool.submit(too_late_to_abort).result(60))
                pool.shutdown()
            return super().submit(*args, **kwargs)

    with Slow(1) as executor:
        world = Coordinated(make_setup(deadlines=Deadlines(goal=3, grace=0.0)), ForgetfulDisk())
        world.running = RunningSession.create(
            world.folder, world.setup, clock=world.clock, executor=executor, storage=world.storage
        )
        until(world, Round.UNMASKING)
        for u in EVERYONE:
            world.fetch(u)

        def late() -> None:
            world.send(4, Round.UNMASKING)

        def too_late_to_abort() -> None:
            with pytest.raises(LocalProtocolError, match="too late"):
                world.session.abort("now?")

        for u in (1, 2, 3):
            world.send(u, Round.UNMASKING)
        world.session.tick()
    described, kind, _, _ = asked
    assert (described["round"], described["closing"], described["answered"]) == ("Unmasking", True, [1, 2, 3])
    assert kind is Kind.LATE
    world.check_result()


class Broken(Executor):
    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the cluster is gone")


def test_a_broken_executor_costs_nothing() -> None:
    world = until(begun(), Round.UNMASKING)
    for u in EVERYONE:
        world.fetch(u)
        world.send(u, Round.UNMASKING)
    server = world.session._session._running()
    server.executor = Broken()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="gone"):
            world.session.tick()
        assert world.session.status == "running"
    server.executor = None
    world.session.tick()
    world.check_result()


def test_a_sum_that_was_not_worked_out_is_after_a_restart() -> None:
    world = until(begun(), Round.UNMASKING)
    for u in EVERYONE:
        world.fetch(u)
        world.send(u, Round.UNMASKING)
    world.session._session._running().executor = Broken()
    with pytest.raises(RuntimeError):
        world.session.tick()
    world.reopen()
    assert (world.session.status, world.session.describe()["closing"]) == ("running", True)
    with pytest.raises(Refused):
        world.session.result()
    world.session.tick()
    world.check_result()


# What is kept.


@MODELS
def test_masked_inputs_are_kept_until_a_checkpoint(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "CHECKPOINT_BYTES", 450)
    monkeypatch.setattr(runs, "CHECKPOINT_INPUTS", 2)
    world = until(begun(model, m=200), Round.MASKED_INPUT_COLLECTION)
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)
    inputs = {}
    for u in EVERYONE:
        world.fetch(u)
        inputs[u] = world.users[u].answers[Round.MASKED_INPUT_COLLECTION][100:150]
    world.send(1, Round.MASKED_INPUT_COLLECTION)
    assert disk.contains(inputs[1])
    world.send(2, Round.MASKED_INPUT_COLLECTION)
    assert not any(disk.contains(each) for each in inputs.values())
    world.reopen()
    world.send(3, Round.MASKED_INPUT_COLLECTION)
    assert disk.contains(inputs[3])
    world.reopen()

    # All that came is in the checkpoint with which the round ends.
    assert refused(lambda: post(world.session, 1, Round.MASKED_INPUT_COLLECTION, b"other")).kind is Kind.OTHER_ANSWER
    world.clock.now += 301.0
    world.session.tick()
    assert world.session.describe()["rounds"]["MaskedInputCollection"] == [1, 2, 3]
    assert not any(disk.contains(each) for each in inputs.values())
    world.reopen()
    world.finish((1, 2, 3))
    world.check_result()


@MODELS
def test_strays_are_counted_across_restarts_and_checkpoints(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a user would write as much as it likes to the disk of a coordinator that is often restarted."""
    monkeypatch.setattr(runs, "CHECKPOINT_BYTES", 450)
    monkeypatch.setattr(runs, "CHECKPOINT_INPUTS", 2)
    other = until(begun(model, m=200), Round.MASKED_INPUT_COLLECTION)
    other.fetch(4)
    stray = other.users[4].answers[Round.MASKED_INPUT_COLLECTION]
    world = until(begun(model, m=200), Round.MASKED_INPUT_COLLECTION)
    told = []
    for number in range(STRAYS_MAX + 2):
        refusal = refused(lambda: post(world.session, 4, Round.MASKED_INPUT_COLLECTION, stray))
        assert refusal.kind is Kind.STRAY
        told.append("too many" in refusal.detail)
        if number == 1:
            for u in (1, 2):
                world.fetch(u)
                world.send(u, Round.MASKED_INPUT_COLLECTION)
        world.reopen()
    assert told == [False] * STRAYS_MAX + [True, True]
    assert world.session.describe()["strays"] == [4]
    assert world.session.describe()["answered"] == [1, 2]

    # In another round they are counted anew.
    world.clock.now += 301.0
    world.fetch(3)
    world.send(3, Round.MASKED_INPUT_COLLECTION)
    world.session.tick()
    world.finish((1, 2, 3))
    world.check_result()


@pytest.mark.parametrize(
    "strays", [[(4, 0)], [(4, STRAYS_MAX + 1)], [(5, 1)], [(2, 1), (1, 1)], [(4, 1), (4, 1)]], ids=str
)
def test_a_checkpoint_with_strays_that_cannot_be_is_damaged(strays: list[tuple[int, int]]) -> None:
    records = list(history(False))
    kinds = [kind for kind, _ in records]
    place = kinds.index(RecordKind.CHECKPOINT)
    record = CheckpointRecord.decode(records[place][1])
    assert record.strays.shape == (0, 2)
    records[place] = RecordKind.CHECKPOINT, replace(record, strays=np.array(strays, np.uint32)).encode()
    disk, folder = ForgetfulDisk(), Path("/state/session")
    disk.make_folder(folder)
    journals.Journal.create(disk, folder, records)
    with pytest.raises(LocalProtocolError, match="a record CHECKPOINT cannot be"):
        RunningSession.open(folder, storage=disk)


@MODELS
def test_no_message_outlives_the_session(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "INLINE_BYTES", 200)
    world = begun(model, m=100)
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)
    world.finish()
    for u in EVERYONE:
        for body in world.users[u].answers.values():
            assert not disk.contains(body[40:70])
    assert len(disk.sizes(world.folder)) == 2  # the journal and the sum
    world.reopen()
    world.check_result()
    for u in EVERYONE:
        for each in world.users[u].answers:
            world.send(u, each)


def test_no_message_outlives_an_aborted_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "INLINE_BYTES", 200)
    world = until(begun(m=100), Round.MASKED_INPUT_COLLECTION)
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)
    world.fetch(1)
    world.send(1, Round.MASKED_INPUT_COLLECTION)
    world.session.abort("enough")
    assert set(disk.sizes(world.folder)) == {"journal"}
    assert not any(disk.contains(body[40:70]) for body in world.users[1].answers.values())
    told = world.session.describe()
    world.reopen()
    assert world.session.describe() == told
    assert refused(world.session.result).kind is Kind.ABORTED


def test_a_result_is_kept_for_a_while() -> None:
    world = begun(keep=100.0)
    assert refused(world.session.result).kind is Kind.EARLY
    world.finish()
    assert world.session.tick() == world.clock.now + 100.0
    world.clock.now += 99.0
    world.check_result()
    assert not world.session.expired
    world.clock.now += 1.0
    assert world.session.expired
    assert refused(world.session.result).kind is Kind.OVER
    assert refused(lambda: world.session.opened(1, None)).kind is Kind.OVER
    world.session.remove()
    with pytest.raises(FileNotFoundError):
        RunningSession.open(world.folder, storage=world.storage)


def test_a_result_that_is_damaged(tmp_path: Path) -> None:
    world = Coordinated(make_setup(m=40_000), Disk(), tmp_path / "session")
    world.open()
    world.finish()
    (path,) = tmp_path.glob("session/body-*")
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    with pytest.raises(LocalProtocolError, match="damaged"):
        world.session.result()


def test_what_a_crash_has_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir(mode=0o700)
    (folder / "journal.new").write_bytes(b"half")
    (folder / "body-0000000000000001").write_bytes(b"half")
    with pytest.raises(LocalProtocolError, match="holds no session"):
        RunningSession.open(folder)
    remove(folder)
    assert not folder.exists()
    folder.mkdir(mode=0o700)
    (folder / "notes.txt").touch()
    with pytest.raises(LocalProtocolError, match="no part of a session"):
        remove(folder)
    assert (folder / "notes.txt").exists()


# What is read.


@cache
def history(over: bool) -> list[tuple[RecordKind, bytes]]:
    """The records of a session; of one that is over, what remains."""
    world = begun()
    world.play_until(lambda: world.session.round is Round.MASKED_INPUT_COLLECTION)
    world.fetch(1)
    world.send(1, Round.MASKED_INPUT_COLLECTION)
    with world.session._lock:
        world.session._settle()
        world.session._make_checkpoint()
    world.finish() if over else world.play_round(EVERYONE)
    records: list[tuple[RecordKind, bytes]] = []
    journals.Journal.open(world.storage, world.folder, lambda kind, body: records.append((kind, bytes(body))))
    return records


@given(st.booleans(), st.data())
def test_records_that_cannot_be_are_refused_in_one_way(over: bool, data: st.DataObject) -> None:
    """Whatever the records are: the session goes on from them, or the journal is damaged."""
    records = list(history(over))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(records) - 1))
        kind, body = records[place]
        bit = data.draw(st.integers(0, max(0, 8 * len(body) - 1)))
        flipped = (int.from_bytes(body) ^ 1 << bit).to_bytes(len(body) + 1)[-len(body) :] if body else body
        other = data.draw(st.sampled_from(records))
        records[place] = data.draw(
            st.sampled_from([(kind, flipped), (kind, body[: bit // 8]), (other[0], body), other, (kind, b"")])
        )
    disk, folder = ForgetfulDisk(), Path("/state/session")
    disk.make_folder(folder)
    journals.Journal.create(disk, folder, records)
    try:
        session = RunningSession.open(folder, storage=disk)
    except LocalProtocolError:
        return
    session.describe()
    session.tick()


# A disk that fails.


def test_a_full_disk_costs_a_large_message_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "INLINE_BYTES", 10)
    world = begun()
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)

    def full(path: Path) -> Any:
        raise OSError(28, "No space left on device")

    disk.create = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        world.send(1, Round.ADVERTISE_KEYS)
    del disk.create
    world.send(1, Round.ADVERTISE_KEYS)
    assert world.session.describe()["answered"] == [1]


def test_a_journal_that_failed_is_opened_again() -> None:
    world = begun()
    world.send(1, Round.ADVERTISE_KEYS)
    file = world.session._journal._file

    def fails() -> None:
        raise OSError(5, "Input/output error")

    file.sync = fails  # type: ignore[method-assign]
    with pytest.raises(JournalFailed):
        world.send(2, Round.ADVERTISE_KEYS)
    for act in (
        lambda: world.send(1, Round.ADVERTISE_KEYS),
        lambda: world.session.opened(1, None),
        world.session.tick,
        lambda: world.session.abort("no"),
        lambda: world.session.join("user 1"),
    ):
        with pytest.raises(JournalFailed, match="opened again"):
            act()
    world.reopen()
    for u in EVERYONE:
        world.send(u, Round.ADVERTISE_KEYS)
    world.session.tick()
    assert world.session.round is Round.SHARE_KEYS


@pytest.mark.parametrize(
    "error", [LocalProtocolError("a body is damaged"), ValueError("a mistake")], ids=["known", "other"]
)
@pytest.mark.parametrize("where", ["receive_all", "close", "work_out", "open"])
def test_whatever_goes_wrong_the_session_is_opened_again(where: str, error: Exception) -> None:
    """The machine may be ahead of the disk, so that nobody hears from it; and no call waits for what cannot come."""
    world = begun()
    for u in EVERYONE[:-1]:
        world.send(u, Round.ADVERTISE_KEYS)

    def fails(*arguments: Any) -> Any:
        raise error

    setattr(world.session._session, where, fails)

    def goes_on() -> None:
        world.send(4, Round.ADVERTISE_KEYS)
        world.session.tick()

    with pytest.raises(JournalFailed, match=str(error)):
        goes_on()
    for act in (world.session.tick, world.session.describe, lambda: world.session.opened(1, None)):
        with pytest.raises(JournalFailed, match="opened again"):
            act()
    world.reopen()
    assert world.session.describe()["answered"] == ([1, 2, 3, 4] if where == "receive_all" else [])  # it was decided
    world.finish()
    world.check_result()


def test_a_session_that_was_closed_meanwhile_writes_no_more(tmp_path: Path) -> None:
    """Its folder is no longer locked: another object may go on with it."""
    world = Coordinated(make_setup(), Disk(), tmp_path / "session")
    world.open()
    until(world, Round.UNMASKING)
    for u in EVERYONE:
        world.fetch(u)
        world.send(u, Round.UNMASKING)
    old = world.session
    real, before = old._session.work_out, (world.folder / "journal").read_bytes

    def work_out() -> dict[int, bytes]:
        world.reopen()
        found.append(before())
        return real()

    found: list[bytes] = []
    old._session.work_out = work_out  # type: ignore[method-assign]
    with pytest.raises(LocalProtocolError, match="closed"):
        old.tick()
    assert found == [before()]
    assert old.describe()["round"] == "Unmasking"
    world.session.tick()
    world.check_result()


def test_a_delivery_to_a_session_that_was_closed_meanwhile() -> None:
    world = begun()
    spool = world.session.spool(1, Round.ADVERTISE_KEYS)
    spool.write(world.users[1].answers[Round.ADVERTISE_KEYS])
    old, delivery = world.session, world.session._enter(1, Round.ADVERTISE_KEYS, spool.seal())
    assert delivery is not None
    old._journal.sync()
    world.reopen()
    with pytest.raises(LocalProtocolError, match="closed"):
        old._make_durable(delivery.place)
    assert world.session.describe()["answered"] == [1]


@pytest.mark.parametrize("end", ["abort", "finish"])
def test_an_end_that_the_disk_did_not_take_is_not_told(end: str) -> None:
    world = until(begun(), Round.UNMASKING)
    for u in EVERYONE:
        world.fetch(u)
        world.send(u, Round.UNMASKING)
    disk = world.storage
    assert isinstance(disk, ForgetfulDisk)

    def fails(old: Path, new: Path) -> None:
        raise OSError(5, "Input/output error")

    disk.rename = fails  # type: ignore[method-assign]
    with pytest.raises(JournalFailed):
        world.session.tick() if end == "finish" else world.session.abort("no")
    assert (world.session.status, world.session.round) == ("running", Round.UNMASKING)
    for act in (world.session.describe, world.session.result, lambda: world.session.opened(1, None)):
        with pytest.raises(JournalFailed):
            act()
    del disk.rename
    world.reopen()
    world.session.tick()
    world.check_result()


def test_a_deadline_that_passed_while_the_coordinator_was_away() -> None:
    world = until(begun(grace=10.0), Round.MASKED_INPUT_COLLECTION)
    world.session.close()
    world.clock.now += 10_000.0
    world.open()
    assert world.session.tick() == world.clock.now + 10.0
    world.finish()
    world.check_result()


def test_large_messages_are_mapped() -> None:
    """The machine gets a view of the file, and no copy of it."""
    world = until(begun(m=60_000), Round.MASKED_INPUT_COLLECTION)
    seen: list[Any] = []
    session = world.session._session
    real = session.receive_all

    def receive_all(round: Round, messages: Sequence[Admitted]) -> Any:
        seen.extend(type(message.body) for message in messages)
        return real(round, messages)

    session.receive_all = receive_all  # type: ignore[method-assign]
    world.play_round(EVERYONE)
    assert seen == [memoryview] * 4


def test_a_body_is_discarded_before_its_record_names_it(tmp_path: Path) -> None:
    """As when a participant goes away while a thread takes its message: the message counts, and so its file stays."""
    world = Coordinated(make_setup(m=60_000), Disk(), tmp_path / "session")
    world.open()
    until(world, Round.MASKED_INPUT_COLLECTION)
    world.fetch(1)
    spool = world.session.spool(1, Round.MASKED_INPUT_COLLECTION)
    spool.write(world.users[1].answers[Round.MASKED_INPUT_COLLECTION])
    real = spool.seal

    def seal() -> Body:
        body = real()
        spool.discard()
        return body

    spool.seal = seal  # type: ignore[method-assign]
    world.session.deliver(1, Round.MASKED_INPUT_COLLECTION, spool)
    world.reopen()
    assert world.session.describe()["answered"] == [1]
    world.finish()
    world.check_result()


def test_names_and_digests() -> None:
    """What HTTP asks before it reads a body."""
    world = begun()
    body = world.users[1].answers[Round.ADVERTISE_KEYS]
    assert world.session.admit(1, Round.ADVERTISE_KEYS, digest(body))
    world.send(1, Round.ADVERTISE_KEYS)
    assert not world.session.admit(1, Round.ADVERTISE_KEYS, digest(body))
    assert world.session.user_of("user 1") == 1
    assert isinstance(world.session.setup, SessionSetup)
    assert np.isfinite(world.session.describe()["ends"])
    assert os.fspath(world.session.folder)


SPARSE: dict[str, Any] = {"n_corrupt": 1, "graph": Sparse(4), "t": 3, "min_joined": 7, "min_users": 6}


@pytest.mark.parametrize(
    ("model", "changes"),
    [(Model.SEMI_HONEST, {}), (Model.ACTIVE, {"n_corrupt": 0, "t": 4})],
    ids=["semi-honest", "active"],
)
def test_a_session_over_a_sparse_graph_goes_on_after_every_round(
    model: Model, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Seven must join and six be in the sum; three shares reveal a secret, or four where the server may lie."""
    world = Coordinated(make_setup(model, n=8, **{**SPARSE, **changes}), Disk(), tmp_path / "session")
    world.open()
    needed = []
    while world.session.status == "running":
        needed.append(world.session.describe()["minimum"])
        world.play_round(world.users)
        world.reopen()
    assert needed == [7, 5, 6, 5, 5][: 4 if model is Model.SEMI_HONEST else 5]
    world.check_result()
    assert world.session.result().survivors == tuple(range(1, 9))


def test_fewer_than_must_join_end_a_session_over_a_sparse_graph(tmp_path: Path) -> None:
    world = Coordinated(make_setup(n=8, **SPARSE), Disk(), tmp_path / "session")
    world.open()
    world.play_round(range(1, 7))
    assert world.session.round is Round.ADVERTISE_KEYS
    world.clock.now += 1e7
    world.session.tick()
    assert "6 users answered by the deadline, 7 are needed" in str(world.session.describe()["reason"])


def test_no_goal_ends_a_round_before_enough_have_joined() -> None:
    params = make_setup(n=8, **SPARSE).params
    with pytest.raises(LocalProtocolError, match=r"^goal must be min_joined = 7 \.\. n = 8, got 6$"):
        Deadlines(goal=6).check(params)
    Deadlines(goal=7).check(params)
