"""Averaging the noise away by asking again must be impossible: whatever is deleted, restored, asked in another way or
killed, a batch has one answer with one noise, or none, and costs once.
"""

import json
import operator
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secagg import dp
from secagg.dap.messages import (
    AggregateShare,
    AggregateShareReq,
    BatchMode,
    BatchSelector,
    CollectionJobReq,
    Interval,
    Query,
    Role,
)
from secagg.dap.privacy.extension import Mechanism, Privacy, collections_allowed
from secagg.dap.privacy.noise import add_noise, noise_secret
from secagg.dap.problems import DapProblem
from secagg.dap.store import buckets, schema
from secagg.errors import LocalProtocolError

from ...support.folders import ROOT
from ...support.processes import started
from ...support.world import PRECISION, Crash, Fault, World, dump, problem_type, restore

NewWorld = Callable[..., World]
PRIVACY = Privacy(Mechanism.DISCRETE_LAPLACE, dp.PureDp("1"), dp.PureDp("100"))
SCARCE = Privacy(Mechanism.DISCRETE_LAPLACE, dp.PureDp("1"), dp.PureDp("2"))
SIDES = pytest.mark.parametrize("side", ["leader", "helper", "both"])


def noised(world: World, batch: Interval) -> tuple[bytes, bytes]:
    """The one noised share that either Aggregator may ever release for a batch of the reports that it holds now."""
    assert world.task.privacy is not None
    plan, prio3 = world.task.privacy.plan(world.task.vdaf), world.task.prio3
    shares = []
    for role, raw in zip((Role.LEADER, Role.HELPER), world.raw_shares(batch), strict=True):
        secret = noise_secret(world.vaults[role].noise_key, world.task.id, batch.encode())
        shares.append(prio3.encode_agg_share(add_noise(plan, prio3, prio3.decode_agg_share(raw), secret)))
    return shares[0], shares[1]


def filled(world: World, count: int = 4) -> Interval:
    """A new batch of so many aggregated reports."""
    world.clock.now = (world.clock.bucket + 1) * PRECISION
    world.upload_many(count)
    world.aggregate_all()
    return Interval(world.bucket, 1)


def urls(world: World, side: str) -> list[str]:
    return {"leader": [world.urls.leader], "helper": [world.urls.helper]}.get(
        side, [world.urls.leader, world.urls.helper]
    )


def test_both_aggregators_add_the_noise_that_follows_from_key_task_batch_and_share(dap_world: NewWorld) -> None:
    world = dap_world(privacy=PRIVACY)
    without: list[bytes] = []
    released: list[bytes] = []
    for _ in range(5):
        batch = filled(world)
        without += world.raw_shares(batch)
        expected = noised(world, batch)
        shares = world.result(world.collect()).shares
        assert shares == expected
        released += shares
    assert sum(map(operator.ne, without, released)) > 5  # some draws are 0 in every entry, few


def test_deleted_and_made_again_gives_nothing_new(dap_world: NewWorld) -> None:
    world = dap_world(privacy=PRIVACY)
    batch = filled(world)
    first = world.result(world.collect())
    job = world.collect()
    for _ in range(3):
        assert world.collect().response == first.encoded
    world.leader.collections.delete(world.leader_task, job.id)
    with pytest.raises(DapProblem, match="batchOverlap"):
        world.collect()
    share_id, _ = world.helper.create_share(world.helper_task, world.peer.seen[-1], world.clock.now)
    world.helper.delete_share(world.helper_task, share_id)
    with pytest.raises(DapProblem, match="batchOverlap"):
        world.helper.create_share(world.helper_task, world.peer.seen[-1], world.clock.now)
    assert batch.start == world.bucket
    assert world.spent("leader") == world.spent("helper") == 1


def test_other_queries_over_the_same_buckets_give_nothing(dap_world: NewWorld) -> None:
    world = dap_world(privacy=PRIVACY)
    batch = filled(world)
    world.result(world.collect())
    for start in range(batch.start - 2, batch.start + 1):
        for duration in range(batch.end - start, 5):
            if (start, duration) != (batch.start, 1):
                with pytest.raises(DapProblem, match="batchOverlap"):
                    world.collect(world.request(start=start, duration=duration))
    assert world.spent("leader") == world.spent("helper") == 1


@pytest.mark.parametrize("journals", [False, True], ids=["without_journal", "with_journal"])
@SIDES
def test_restored_backup_gives_the_same_noise(dap_world: NewWorld, side: str, journals: bool, tmp_path: Path) -> None:
    """From before the collection; afterwards the Leader is asked by the Collector, and the Helper by the Leader."""
    world = dap_world(privacy=PRIVACY, journals=tmp_path if journals else None)
    filled(world)
    backups = {url: dump(url) for url in urls(world, side)}
    first = world.result(world.collect())
    asked = world.peer.seen[-1]
    for _ in range(3):
        for url, backup in backups.items():
            restore(url, backup)
        world.restart()
        assert helper_share(world, asked) == first.shares[1]
        if side != "helper":
            assert world.result(world.collect()).shares == first.shares
    assert world.spent("leader") == world.spent("helper") == 1


@SIDES
def test_restored_backup_under_a_version_of_other_noise_gives_nothing(
    dap_world: NewWorld, side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same reports under two noises could be averaged: the journal knows which share has left."""
    world = dap_world(privacy=PRIVACY, journals=tmp_path)
    filled(world)
    backups = {url: dump(url) for url in urls(world, side)}
    world.result(world.collect())
    asked = world.peer.seen[-1]
    for url, backup in backups.items():
        restore(url, backup)
    world.restart()
    with monkeypatch.context() as newer:
        newer.setattr("secagg.dp.seeds.VERSION", 2)
        if side != "helper":
            assert problem_type(world.collect()) == "batchOverlap"
        if side != "leader":
            with pytest.raises(DapProblem, match="batchOverlap"):
                helper_share(world, asked)
    helper_share(world, asked)  # by the version that drew it


def helper_share(world: World, body: bytes) -> bytes:
    _, share = world.helper.create_share(world.helper_task, body, world.clock.now)
    request = AggregateShareReq.decode(body).collection_job_req
    return world.open_share(Role.HELPER, AggregateShare.decode(share).encrypted_aggregate_share, request)


@SIDES
def test_restored_backup_with_other_reports_gives_nothing(dap_world: NewWorld, side: str, tmp_path: Path) -> None:
    """One more report than in what was released: the difference of two answers would say it, with new noise each."""
    world = dap_world(privacy=PRIVACY, journals=tmp_path)
    filled(world)
    backups = {url: dump(url) for url in urls(world, side)}
    first = world.result(world.collect())
    for url, backup in backups.items():
        restore(url, backup)
    world.restart()
    world.upload(world.report())
    world.aggregate_all()
    batch, longer = Interval(world.bucket, 1), Interval(world.bucket - 1, 2)
    if side != "helper":
        assert problem_type(world.collect(world.request(longer.start, longer.duration))) == "batchOverlap"
    if side == "leader":  # the Helper still refuses the report
        assert world.result(world.collect()).shares == first.shares
    if side == "both":
        assert problem_type(world.collect()) == "batchOverlap"
    if side != "leader":
        for interval in [batch, longer] if side == "both" else [longer]:
            with pytest.raises(DapProblem, match="batchOverlap"):
                world.helper.create_share(world.helper_task, share_request(world, interval, interval), world.clock.now)


@SIDES
def test_restored_backup_without_its_journal_releases_nothing(dap_world: NewWorld, side: str, tmp_path: Path) -> None:
    """A journal made anew would allow what the one that is gone forbids."""
    world = dap_world(privacy=PRIVACY, journals=tmp_path)
    filled(world)
    backups = {url: dump(url) for url in urls(world, side)}
    world.result(world.collect())
    for url, backup in backups.items():
        restore(url, backup)
    for name in ("leader", "helper") if side == "both" else (side,):
        (tmp_path / f"{name}.journal").unlink()
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=r"the journal of releases, .* is gone"):
            world.restart()


def share_request(world: World, batch: Interval, query: Interval) -> bytes:
    """For all that the Helper holds there."""
    with world.helper_store.read() as tx:
        held = buckets.get_batch(tx, world.helper_task, batch)
    request = CollectionJobReq(Query(BatchMode.TIME_INTERVAL, query.encode()))
    selector = BatchSelector(BatchMode.TIME_INTERVAL, batch.encode())
    return AggregateShareReq(request, selector, held.count, held.checksum).encode()


@pytest.mark.parametrize("committed", [False, True], ids=["before_commit", "after_commit"])
@pytest.mark.parametrize("side", ["leader", "helper"])
def test_crash_between_draw_and_release_gives_the_same_noise(dap_world: NewWorld, side: str, committed: bool) -> None:
    """A batch for each transaction of a collection, at which the process dies."""
    world = dap_world(privacy=PRIVACY)
    for transaction in range(100):
        expected = noised(world, filled(world))
        store = world.leader_store if side == "leader" else world.helper_store
        store.crash_at, store.committed = transaction, committed
        crashed = False
        try:
            world.collect()
        except Crash:
            crashed = True
            world.restart()
        store.crash_at = None
        assert world.result(world.collect()).shares == expected
        assert world.spent("leader") == world.spent("helper") == transaction + 1
        if not crashed:
            break
    assert transaction == (4 if side == "leader" else 1)


@pytest.mark.parametrize("turns", [3, pytest.param(60, marks=pytest.mark.nightly)])
def test_kill_between_draw_and_release_gives_the_same_noise(dap_world: NewWorld, tmp_path: Path, turns: int) -> None:
    """Leader and Helper in a process of their own, with kill -9 at any moment of their collection."""
    world = dap_world(privacy=PRIVACY, journals=tmp_path)
    rng = random.Random(7)
    for turn in range(turns):
        expected = noised(world, filled(world))
        job = world.leader.collections.create(world.leader_task, world.request(), world.clock.now)
        world.close()
        kill_while_collecting(world, tmp_path, rng.uniform(0, 0.03))
        world.restart()
        again = world.collect()
        assert again.id == job.id
        assert world.result(again).shares == expected
        assert world.spent("leader") == world.spent("helper") == turn + 1


VICTIM = """
import sys, json
sys.path.insert(0, sys.argv[1])
from tests.support.victim import collect
collect(json.loads(sys.argv[2]))
"""


def kill_while_collecting(world: World, folder: Path, seconds: float) -> None:
    arguments = {
        "urls": [world.urls.leader, world.urls.helper],
        "secrets": [world.vaults[role].secret.hex() for role in (Role.LEADER, Role.HELPER)],
        "task": world.task.id.hex(),
        "folder": str(folder),
        "now": world.clock.now,
    }
    command = (sys.executable, "-c", VICTIM, ROOT, json.dumps(arguments))
    with started(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n", victim.communicate()
        try:
            victim.wait(seconds)
        except subprocess.TimeoutExpired:
            victim.kill()
        victim.communicate()


# The ledger.


def test_ledgers_refuse_past_the_total(dap_world: NewWorld) -> None:
    """The Leader asks nothing of the Helper then, and the Helper refuses a Leader that asks all the same."""
    world = dap_world(privacy=SCARCE)
    allowed = collections_allowed(SCARCE, world.task.vdaf)
    assert allowed == 2
    for _ in range(allowed):
        filled(world)
        world.result(world.collect())
    batch = filled(world)
    asked = len(world.peer.seen)
    job = world.collect()
    assert job.problem is not None
    assert json.loads(job.problem)["type"] == "urn:secagg:dap:error:budgetSpent"
    assert len(world.peer.seen) == asked
    with pytest.raises(DapProblem, match="budgetSpent"):
        world.helper.create_share(world.helper_task, share_request(world, batch, batch), world.clock.now)
    assert world.spent("leader") == world.spent("helper") == allowed
    assert world.count("leader", schema.collected) == world.count("helper", schema.collected) == allowed


@SIDES
def test_restored_backup_gives_no_budget_back(dap_world: NewWorld, side: str, tmp_path: Path) -> None:
    """The ledger has forgotten a release; the journal has not."""
    world = dap_world(privacy=SCARCE, journals=tmp_path)
    backups = {url: dump(url) for url in urls(world, side)}
    for _ in range(2):
        filled(world)
        world.result(world.collect())
        for url, backup in backups.items():
            restore(url, backup)
        world.restart()
    batch, asked = filled(world), len(world.peer.seen)
    assert problem_type(world.collect()) == "budgetSpent"
    assert len(world.peer.seen) == asked
    if side != "leader":
        with pytest.raises(DapProblem, match="budgetSpent"):
            world.helper.create_share(world.helper_task, share_request(world, batch, batch), world.clock.now)


def test_repeated_collection_costs_once(dap_world: NewWorld) -> None:
    world = dap_world(privacy=SCARCE)
    filled(world)
    world.peer.faults = [Fault.LOST_REQUEST, Fault.LOST_ANSWER, Fault.LOST_ANSWER]
    for _ in range(5):
        world.result(world.collect())
        world.restart()
    assert world.spent("leader") == world.spent("helper") == 1


def test_failed_collection_costs_once(dap_world: NewWorld) -> None:
    """Nothing for too few reports; where the Aggregators disagree, the Leader had drawn its noise, the Helper not."""
    world = dap_world(privacy=PRIVACY)
    filled(world, 2)
    world.clock.now += 10 * PRECISION
    for _ in range(3):
        assert problem_type(world.collect()) == "invalidBatchSize"
    assert world.spent("leader") == world.spent("helper") == 0
    filled(world)
    backup = dump(world.urls.helper)
    world.upload_many(1)
    world.aggregate_all()
    restore(world.urls.helper, backup)
    for _ in range(3):
        assert problem_type(world.collect()) == "batchMismatch"
    assert (world.spent("leader"), world.spent("helper")) == (1, 0)


def test_task_without_budget_for_one_collection_is_refused(dap_world: NewWorld) -> None:
    poor: Any = Privacy(Mechanism.DISCRETE_LAPLACE, dp.PureDp("1"), dp.PureDp("1/2"))
    with pytest.raises(Exception, match="total"):
        dap_world(privacy=poor)
