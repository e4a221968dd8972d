"""The server's unmasking over executors of every kind: the same sum, whoever does the work, and dies of it."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import pytest
from distributed import Client as Dask
from distributed import LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import LocalProtocolError, Model, Params, Round, Server, masking
from secagg.primitives import KeyPair, load_public_keys, mask_seed
from secagg.protocol import unmask
from secagg.protocol.executors import completed
from secagg.protocol.graph import Circle, Everybody, Neighbourhoods
from secagg.protocol.unmask import Masks, Removal, Revealed, in_blocks, prg_nonce

from ..support.processes import workers
from ..support.rounds import play_until

SESSION = bytes(range(32))
MODULI = [(1 << 12) - 3, 1 << 24, 1 << 40]


class Inline(Executor):
    """Does the work when it is asked for, and remembers what that was."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks.append(fn.__name__)
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tasks of little work, few at a time."""
    sizes = {"RANGE": 128, "SEEDS": 8, "ELEMENTS": 1, "CHUNK": 1, "POINTS": 2, "PRODUCTS": 1, "WINDOW": 6}
    for name, size in sizes.items():
        monkeypatch.setattr(unmask, name, size)


# --- Calls as they complete ---


def test_every_call_is_returned_with_its_result() -> None:
    with ThreadPoolExecutor(3) as pool:
        done = dict(completed(pool, abs, range(-50, 0), 7))
    assert done == {a: -a for a in range(-50, 0)}


def test_no_more_calls_are_under_way_than_allowed() -> None:
    asked = 0

    def calls() -> Iterator[int]:
        nonlocal asked
        for a in range(20):
            asked += 1
            yield a

    for taken, _ in enumerate(completed(Inline(), abs, calls(), 4)):
        assert asked == min(20, taken + 4)
    assert asked == 20


def test_nothing_to_do_is_done() -> None:
    assert list(completed(Inline(), abs, [], 4)) == []


def test_what_has_not_begun_is_cancelled_when_a_call_fails() -> None:
    class Stuck(Inline):
        """Begins with what fails, and never gets to the rest."""

        def __init__(self) -> None:
            super().__init__()
            self.futures: list[Future[Any]] = []

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.futures.append(Future() if self.futures else super().submit(fn, *args))
            return self.futures[-1]

    stuck = Stuck()
    with pytest.raises(ValueError, match="invalid literal"):
        next(completed(stuck, int, ["a", "1", "2"], 3))
    assert [future.cancelled() for future in stuck.futures] == [False, True, True]


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 12))
def test_blocks_hold_the_same_seeds_in_order(lengths: list[int], size: int) -> None:
    total = sum(lengths)
    seeds = np.arange(16 * total, dtype=np.uint64).astype(np.uint8).reshape(total, 16)
    signs = np.where(np.arange(total) % 3 == 0, 1, -1).astype(np.int8)
    cuts = np.cumsum(lengths)[:-1]
    masks = map(Masks, np.split(seeds, cuts), np.split(signs, cuts))
    blocks = list(in_blocks(masks, size))
    assert [len(block.signs) for block in blocks] == [size] * (total // size) + [total % size] * (total % size > 0)
    assert np.concatenate([np.empty((0, 16), np.uint8), *(block.seeds for block in blocks)]).tolist() == seeds.tolist()
    assert np.concatenate([np.empty(0, np.int8), *(block.signs for block in blocks)]).tolist() == signs.tolist()


# --- What is removed ---


def revealed(survivors: list[int], dropped: list[int], seed: int) -> tuple[Revealed, dict[int, KeyPair]]:
    """Secrets of a session, and everyone's keys."""
    rng = np.random.default_rng(seed)
    pairs = {u: KeyPair.generate(rng.bytes) for u in (*survivors, *dropped)}

    def octets(items: list[bytes], length: int) -> NDArray[np.uint8]:
        return np.frombuffer(b"".join(items), np.uint8).reshape(-1, length)

    secrets = Revealed(
        np.array(survivors, np.uint32),
        octets([rng.bytes(16) for _ in survivors], 16),
        octets([pairs[u].public for u in survivors], 32),
        np.array(dropped, np.uint32),
        octets([pairs[v].secret for v in dropped], 32),
    )
    return secrets, pairs


def everybody(secrets: Revealed) -> Everybody:
    """The complete graph of these users."""
    return Everybody(np.union1d(secrets.survivors, secrets.dropped))


def twin(params: Params, secrets: Revealed, pairs: dict[int, KeyPair], graph: Neighbourhoods) -> list[int]:
    """Minus the masks, one after the other, by the survivors' own keys."""

    def mask(seed: bytes) -> Any:
        return masking.expand(params.m, seed, modulus=params.modulus, nonce=prg_nonce(SESSION)).astype(object)

    total = -sum((mask(seed.tobytes()) for seed in secrets.seeds), np.zeros(params.m, object))
    for v in secrets.dropped.tolist():
        (point,) = load_public_keys(np.frombuffer(pairs[v].public, np.uint8).reshape(1, 32))
        assert point is not None
        for u in graph.neighbours(v, secrets.survivors).tolist():
            p = mask(mask_seed(pairs[u].agree(point), SESSION, u, v))
            total += -p if u > v else p
    result: list[int] = (total % params.modulus).tolist()
    return result


def parameters(m: int, modulus: int) -> Params:
    return Params(n=20, m=m, modulus=modulus, max_value=1)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_removal_takes_out_every_mask_however_it_is_cut(data: st.DataObject) -> None:
    users = data.draw(st.permutations(range(1, 13)))
    survivors, dropped = (
        sorted(users[: data.draw(st.integers(1, 8))]),
        sorted(users[8 : 8 + data.draw(st.integers(0, 4))]),
    )
    params = parameters(data.draw(st.integers(1, 200)), data.draw(st.sampled_from(MODULI)))
    secrets, pairs = revealed(survivors, dropped, data.draw(st.integers(0, 1 << 16)))
    steps: list[tuple[int, int]] = []
    inline = Inline()
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "RANGE",
            "SEEDS",
            "TASKS_MIN",
            "TASKS_MAX",
            "ELEMENTS",
            "CHUNK",
            "POINTS",
            "PRODUCTS",
            "WINDOW",
        ):
            patch.setattr(unmask, name, data.draw(st.integers(1, 40), name))
        graph: Neighbourhoods = everybody(secrets)
        if len(graph.users) > 5 and data.draw(st.booleans()):
            graph = Circle(graph.users, 4, np.array(data.draw(st.permutations(range(len(graph.users)))), np.intp))
        removal = Removal(params, SESSION, graph, secrets, lambda done, total: steps.append((done, total)))
        assert removal.run(inline).tolist() == twin(params, secrets, pairs, graph)
    assert steps == [(done, len(inline.tasks)) for done in range(1, len(inline.tasks) + 1)]


def test_only_neighbours_have_masks() -> None:
    secrets, pairs = revealed([1, 3, 4, 6, 7, 9], [2, 5, 8], 1)
    params = parameters(40, 1 << 24)
    circle = Circle(everybody(secrets).users, 4, np.array([3, 1, 4, 0, 5, 8, 2, 6, 7]))
    expected = twin(params, secrets, pairs, circle)
    assert expected != twin(params, secrets, pairs, everybody(secrets))
    assert Removal(params, SESSION, circle, secrets, lambda done, total: None).run(Inline()).tolist() == expected


def test_no_task_shows_its_secrets() -> None:
    logged: list[str] = []

    class Watched(Inline):
        """Notes what a cluster would log of a task."""

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = super().submit(fn, *args, **kwargs)
            logged.append(f"{args} {kwargs} {future.result()}" if fn is unmask.agreed_masks else f"{args} {kwargs}")
            return future

    secrets, _ = revealed([1, 3, 4], [2, 5], 1)
    Removal(parameters(4, 1 << 24), SESSION, everybody(secrets), secrets, lambda done, total: None).run(Watched())
    assert len(logged) == 2
    for text in (*logged, repr(secrets)):
        assert not any(word in text for word in ("array", "seeds", "secrets", "["))


def test_few_of_many_tasks_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many agreements and as many expansions, for sums as small as these."""
    for name, size in {"RANGE": 16, "SEEDS": 1, "ELEMENTS": 1, "CHUNK": 1, "TASKS_MIN": 1000, "WINDOW": 50}.items():
        monkeypatch.setattr(unmask, name, size)
    secrets, _ = revealed([1, 3, 4, 6, 7, 9], [2, 5, 8], 1)
    inline, under_way = Inline(), [0]
    Removal(
        parameters(320, 1 << 24),
        SESSION,
        everybody(secrets),
        secrets,
        lambda done, total: under_way.append(len(inline.tasks) - done),
    ).run(inline)
    assert len(inline.tasks) > 400
    assert max(under_way) <= 2 * 50


@pytest.mark.parametrize(
    ("n", "d", "m"), [(1000, 300, 100_000), (1000, 0, 100_000), (1000, 300, 1), (10_000, 3000, 10**7), (2, 1, 10**8)]
)
def test_tasks_are_neither_tiny_nor_huge(n: int, d: int, m: int) -> None:
    seeds = (n - d) * (d + 1)
    ranges = unmask.coordinate_ranges(m)
    block = unmask.block_size(seeds, ranges)
    assert [cut.start for cut in ranges[1:]] == [cut.stop for cut in ranges[:-1]]
    assert (ranges[0].start, ranges[-1].stop) == (0, m)
    assert max(map(len, ranges)) <= unmask.RANGE
    assert len(ranges[0]) - len(ranges[-1]) <= 16 * len(ranges)
    tasks = len(ranges) * -(-seeds // block)
    work = min(seeds, block) * len(ranges[0])
    assert tasks <= 1.01 * unmask.TASKS_MAX
    assert tasks >= unmask.TASKS_MIN / 2 or work <= 1.1 * unmask.ELEMENTS or seeds <= unmask.SEEDS
    assert work >= unmask.ELEMENTS or block >= min(seeds, unmask.SEEDS)
    assert work <= unmask.RANGE * unmask.SEEDS or tasks >= unmask.TASKS_MAX / 2


# --- Executors ---

DROPS: dict[int, set[int]] = {Round.MASKED_INPUT_COLLECTION: {2, 5, 9}, Round.UNMASKING: {3}}
EXPECTED = [sum({*range(1, 11)} - {2, 5, 9})] * 1000


def before_the_end(model: Model = Model.SEMI_HONEST) -> Server:
    """A server that has all answers of the last round, and only its masks left to remove."""
    params = Params(n=10, m=1000, modulus=1 << 24, t=6, n_corrupt=0, model=model)
    server, clients, requests = play_until(Round.UNMASKING, params, DROPS)
    for u in server.waiting - DROPS[Round.UNMASKING]:
        server.receive(u, clients[u].receive(requests[u]))
    return server


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with workers(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def dask() -> Iterator[Dask]:
    """Worker processes of this machine."""
    with (
        LocalCluster(n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Dask(cluster) as client,
    ):
        yield client


@pytest.fixture(params=["inline", "threads", "processes", "dask", "default"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor | None]:
    match request.param:
        case "inline":
            yield Inline()
        case "threads":
            with ThreadPoolExecutor(3) as pool:
                yield pool
        case "processes":
            yield request.getfixturevalue("processes")
        case "dask":
            yield request.getfixturevalue("dask").get_executor()
        case _:
            yield None


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("model", Model)
def test_every_executor_gives_the_same_sum(executor: Executor | None, model: Model) -> None:
    server = before_the_end(model)
    server.executor = executor
    assert server.end_round() == {}
    assert server.sum.tolist() == EXPECTED
    assert server.faults == []


def test_the_callers_executor_is_not_shut_down() -> None:
    with ThreadPoolExecutor(1) as pool:
        server = before_the_end()
        server.executor = pool
        server.end_round()
        assert pool.submit(abs, -1).result() == 1


# --- Workers that die ---


@pytest.mark.usefixtures("small_tasks")
def test_dask_does_a_killed_workers_tasks_again(dask: Dask) -> None:
    pids = dask.run(os.getpid)
    killed: list[str] = []

    def kill_a_busy_worker(done: int, total: int) -> None:
        if done < total // 2 or killed:
            return
        for pid in pids.values():
            os.kill(pid, signal.SIGSTOP)  # so that none ends its tasks before it is killed
        try:
            killed.extend([worker for worker, tasks in dask.processing().items() if tasks][:1])
            for worker in killed:
                os.kill(pids.pop(worker), signal.SIGKILL)
        finally:
            for pid in pids.values():
                os.kill(pid, signal.SIGCONT)

    server = before_the_end()
    server.executor = dask.get_executor()
    server._progress = kill_a_busy_worker
    server.end_round()
    assert server.sum.tolist() == EXPECTED
    assert len(killed) == 1


@pytest.mark.usefixtures("small_tasks")
def test_a_broken_process_pool_can_be_replaced() -> None:
    server = before_the_end()
    with workers(1) as pool:
        pids = [pool.submit(os.getpid).result()]
        server.executor = pool
        server._progress = lambda done, total: os.kill(pids.pop(), signal.SIGKILL) if pids else None
        with pytest.raises(BrokenProcessPool):
            server.end_round()
    with pytest.raises(LocalProtocolError, match="no sum"):
        _ = server.sum
    assert server.round is Round.UNMASKING
    server.executor = None
    assert server.end_round() == {}
    assert server.sum.tolist() == EXPECTED
    assert server.round is None


def test_an_interrupted_round_can_be_ended_again() -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    server = before_the_end()
    server._progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        server.end_round()
    server._progress = lambda done, total: None
    server.end_round()
    assert server.sum.tolist() == EXPECTED
