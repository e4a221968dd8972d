"""Whoever makes an advertised task is the adversary, alone or together with the Leader (taskprov, section 4)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from secagg.dap.aggregator.directory import FRESH
from secagg.dap.aggregator.opt_in import SHARE, OptIn, Quota
from secagg.dap.messages import Interval, Role
from secagg.dap.peer_file import AggregatorPeer, new_peers
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.problems import DapProblem
from secagg.dap.store import schema
from secagg.dap.store.engine import Store
from secagg.dap.store.peers import add_peer
from secagg.dap.store.vault import Vault
from secagg.dap.task import Task
from secagg.dap.task_file import CollectorKey
from secagg.dap.task_policy import TaskPolicy
from secagg.dap.vdafs import vdaf
from secagg.dp import PureDp

from ...support.advertised import URN, deployed
from ...support.tasks import HELPER_URL, LEADER_URL, NOW, make_task
from ...support.world import Urls

BUCKET = int(NOW) // 300
ASKED = TaskPolicy(min_batch_size=3, time_precision=300, budget=PureDp(1), total=PureDp(10), report_bytes=10_000)


class CountingStore(Store):
    """Counts its transactions."""

    transactions = 0

    @contextmanager
    def read(self) -> Iterator[Any]:
        self.transactions += 1
        with super().read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Any]:
        self.transactions += 1
        with super().write() as tx:
            yield tx


@dataclass
class Watch:
    """A clock in the test's hand, and how many tasks were judged."""

    now: float = 0.0
    judged: int = 0


@dataclass(frozen=True)
class SlowPolicy(TaskPolicy):
    """Judges each task in so many seconds of the watch."""

    watch: Watch = field(default_factory=Watch)
    seconds: float = 0.0

    def opt_in(self, configuration: bytes, now: float) -> Task:
        self.watch.judged += 1
        self.watch.now += self.seconds
        return super().opt_in(configuration, now)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CountingStore]:
    made = CountingStore(f"sqlite:///{tmp_path}/aggregator.db", Vault(bytes(32)))
    yield made
    made.close()


def advertised_to(
    store: CountingStore, role: Role, quota: Quota, *, seconds: float = 0.0
) -> tuple[OptIn, Watch, AggregatorPeer]:
    """What decides at an Aggregator with one peer, and its watch."""
    watch = Watch()
    peer = new_peers(LEADER_URL, HELPER_URL, CollectorKey.generate())[role.name.lower()]
    assert isinstance(peer, AggregatorPeer)
    with store.write() as tx:
        add_peer(tx, LEADER_URL, HELPER_URL, peer.secrets, NOW)
    store.transactions = 0
    policy = SlowPolicy(min_batch_size=3, watch=watch, seconds=seconds)
    return OptIn(store, role, policy, quota, ticks=lambda: watch.now), watch, peer


def numbered(number: int, **changes: Any) -> bytes:
    """One of any number of tasks."""
    return make_task(**{"task_info": b"%d" % number, "interval": Interval(BUCKET, 288)} | changes).encoded


def is_refused(opt_in: OptIn, configuration: bytes, now: float) -> bool:
    """Whether the Leader opts out; otherwise it has the task now."""
    try:
        opt_in.opt_in(configuration, None, now)
    except DapProblem as problem:
        if problem.type != "invalidTask":
            raise
        return True
    return False


def rows(store: Store) -> int:
    with store.read() as tx:
        return len(tx.execute(schema.tasks.select()).all())


def test_a_flood_of_tasks_fills_a_quota_and_nothing_else(store: CountingStore) -> None:
    """5,000 good tasks within 50 s: 5 are stored, and most others cost neither a judgement nor a transaction. A million
    would cost their hashes, and as many of both as fit into the time that they take."""
    opt_in, watch, _ = advertised_to(store, Role.LEADER, Quota(tasks=5, a_day=100))
    refused = 0
    for number in range(5_000):
        watch.now += 0.01
        refused += is_refused(opt_in, numbered(number), NOW)
    looks = 50 / FRESH + 1
    assert store.transactions <= 5 + 2 * looks
    assert watch.judged <= 5 + looks
    assert refused == 5_000 - 5
    assert rows(store) == 5


def test_tasks_that_end_at_once_fill_the_quota_of_a_day(store: CountingStore) -> None:
    opt_in, watch, _ = advertised_to(store, Role.LEADER, Quota(tasks=100, a_day=7))
    for number in range(300):
        watch.now += FRESH
        now = NOW + 600 * number  # two days
        is_refused(opt_in, numbered(number, interval=Interval(int(now) // 300, 1)), now)
    assert rows(store) == 3 * 7


def test_nobody_but_the_leader_costs_the_helper_more_than_a_hash(store: CountingStore) -> None:
    """Not a judgement, and a look at the peers once in a while."""
    opt_in, watch, peer = advertised_to(store, Role.HELPER, Quota())
    for number in range(5_000):
        watch.now += 0.01
        token = (None, b"", b"guess", peer.secrets.peer_token)[number % 4]  # the last is the hash of the token
        with pytest.raises(DapProblem) as refused:
            opt_in.opt_in(numbered(number), token, NOW)
        assert refused.value.status == 401
    assert watch.judged == 0
    assert store.transactions <= 50 / FRESH + 1
    assert rows(store) == 0


def test_judging_tasks_takes_a_small_part_of_the_time(store: CountingStore) -> None:
    """Each of these takes two seconds, as of a calibration, and is refused in the end."""
    opt_in, watch, _ = advertised_to(store, Role.LEADER, Quota(), seconds=2.0)
    told = {400: 0, 503: 0}
    for number in range(2_000):
        watch.now += 0.1
        with pytest.raises(DapProblem) as refused:
            opt_in.opt_in(numbered(number, interval=None), None, NOW)
        told[refused.value.status] += 1
        assert refused.value.retry_after == (1.0 if refused.value.status == 503 else None)
    assert told[400] == watch.judged
    assert 2.0 * watch.judged <= SHARE * watch.now + 2.0
    assert 2.0 * watch.judged >= SHARE * watch.now - 2.0


NOISY = Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(1), PureDp(10))
WEAK: dict[str, dict[str, Any]] = {
    "no noise": {"privacy": None},
    "little noise": {"privacy": Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(1000), PureDp(1000))},
    "noise for ever": {"privacy": Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(1), PureDp(1000))},
    "noise of both": {"privacy": Privacy(Mechanism.POLYA, PureDp(1), PureDp(10), honest=2)},
    "batches of one": {"min_batch_size": 1},
    "exact times": {"time_precision": 1, "interval": Interval(int(NOW), 3600)},
    "no end": {"interval": None},
    "a long life": {"interval": Interval(BUCKET, 1 << 32)},
    "a report that fills the disk": {"vdaf": vdaf("Histogram", length=1 << 20)},
}


@pytest.mark.parametrize("weak", WEAK.values(), ids=WEAK)
@pytest.mark.parametrize("side", ["leader", "helper"])
def test_weak_parameters_are_refused_by_each_aggregator_for_itself(
    tmp_path: Path, side: str, weak: dict[str, Any]
) -> None:
    """Also by a Helper whose Leader has opted in. Nothing is stored."""
    urls = Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db")
    with deployed(urls, policy=ASKED) as parties:
        parts = {"privacy": NOISY, "time_precision": 300, "interval": Interval(int(parties.clock.now) // 300, 288)}
        if isinstance(interval := weak.get("interval"), Interval):
            moved = int(parties.clock.now) - int(NOW)
            precision = weak.get("time_precision", 300)
            weak = {**weak, "interval": Interval(interval.start + moved // precision, interval.duration)}
        task = parties.task(**parts | weak)
        response = parties.upload(task) if side == "leader" else parties.ask_helper(task)
        assert (response.status_code, response.json()["type"]) == (400, URN + "invalidTask")
        assert parties.leader.stored() == parties.helper.stored() == 0

        good = parties.task(**parts)
        assert parties.upload(good).status_code == 200
        assert parties.ask_helper(good).json()["type"] == URN + "invalidMessage"  # of the job, in a task that is there
        assert parties.leader.stored() == parties.helper.stored() == 1
