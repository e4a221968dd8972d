"""Participants and a coordinator on real sockets: both models, blocking and asynchronous, losses, TLS, and models."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from secagg import LocalProtocolError, Model, Params, Quantizer, RemoteProtocolError, Round, rounds_of
from secagg.dp import Ledger, ZCdp
from secagg.http.steps import Progress
from secagg.noisy import NoisySum
from secagg.service.participant import Contribution, Standing
from secagg.service.policy import Policy, PolicyRefusal
from secagg.service.refusals import Kind, Refused
from secagg.service.resources import ROUND_NAMES

from ..support.coordinators import PATIENCE, Kept, kept
from ..support.saved import MemoryCounter
from ..support.sites import Sites, sum_over, vector


@pytest.fixture(params=list(Model), ids=lambda model: model.name.lower())
def model(request: pytest.FixtureRequest) -> Model:
    chosen: Model = request.param
    return chosen


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path / "coordinator") as running:
        yield running


@pytest.fixture
def sites(coordinator: Kept, tmp_path: Path, model: Model) -> Sites:
    return Sites(coordinator, tmp_path, model)


def check(contribution: Contribution, survivors: Any) -> None:
    assert contribution.survivors == tuple(survivors)
    assert contribution.sum is not None
    assert contribution.sum.tolist() == sum_over(survivors)
    assert contribution.included is (contribution.user in survivors)


def test_everybody_contributes_from_a_thread(sites: Sites) -> None:
    session, _ = sites.create()
    told: dict[int, list[Progress]] = {u: [] for u in sites.users}

    def contribute(u: int) -> Contribution:
        with sites.participant(u) as participant:
            return participant.contribute(session, vector(u), progress=told[u].append)

    with ThreadPoolExecutor(sites.n) as pool:
        contributions = list(pool.map(contribute, sites.users))
    for u, contribution in zip(sites.users, contributions, strict=True):
        assert contribution.user == u
        check(contribution, sites.users)
        standings = [each for each in told[u] if isinstance(each, Standing)]
        answered = [each.round for each in standings if each.reason == "answered"]
        assert answered == list(rounds_of(contribution.params))
        assert sites.states(u) == []


def test_everybody_contributes_in_one_event_loop(sites: Sites) -> None:
    session, _ = sites.create()
    contributions: dict[int, Contribution] = {}

    async def contribute(u: int) -> None:
        async with sites.asynchronous(u) as participant:
            contributions[u] = await participant.contribute(session, vector(u))

    async def everybody() -> None:
        async with anyio.create_task_group() as tasks:
            for u in sites.users:
                tasks.start_soon(contribute, u)

    anyio.run(everybody)
    for contribution in contributions.values():
        check(contribution, sites.users)
    assert len(contributions) == sites.n


def test_an_interrupt_tells_the_coordinator(sites: Sites) -> None:
    session, _ = sites.create()

    def interrupted(told: Progress) -> None:
        if isinstance(told, Standing) and told.round is Round.ADVERTISE_KEYS:
            raise KeyboardInterrupt

    with sites.participant(2) as participant, pytest.raises(KeyboardInterrupt):
        participant.contribute(session, vector(2), progress=interrupted)
    assert sites.states(2) == []
    assert sites.kept.status(session)["left"] == [2]


def test_a_task_that_is_cancelled_tells_the_coordinator(sites: Sites) -> None:
    """While it waits for news, under asyncio's own cancellation."""
    session, _ = sites.create()

    async def cancelled() -> None:
        answered = asyncio.Event()

        def progress(told: Progress) -> None:
            if isinstance(told, Standing) and told.round is Round.ADVERTISE_KEYS:
                answered.set()

        async with sites.asynchronous(2) as participant:
            task = asyncio.create_task(participant.contribute(session, vector(2), progress=progress))
            await answered.wait()
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    assert sites.states(2) == []
    assert sites.kept.status(session)["left"] == [2]


class Watched(MemoryCounter):
    """A counter that notes which threads wait for it, and is told when it reaches a number."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self.reached: dict[int, Callable[[], None]] = {}

    def advance(self, to: int) -> None:
        super().advance(to)
        self.threads.add(threading.get_ident())
        self.reached.pop(to, lambda: None)()


def test_a_task_that_is_cancelled_while_it_computes_for_share_keys_leaves(sites: Sites) -> None:
    """The answer was not sent, so the user is not in U2. The loop waits neither for the disk nor for the counter."""
    session, _ = sites.create()
    counter, begun = Watched(), Progressed()

    async def others() -> None:
        async def contribute(u: int) -> None:
            async with sites.asynchronous(u) as participant:
                await participant.contribute(session, vector(u))

        await asyncio.gather(*(contribute(u) for u in (1, 3, 4)))

    async def cancelled() -> None:
        loop = asyncio.get_running_loop()
        async with sites.asynchronous(2, counter=lambda name: counter) as participant:
            task = asyncio.create_task(participant.contribute(session, vector(2), progress=begun))
            counter.reached[3] = lambda: cancel(loop, task)  # new, AdvertiseKeys, ShareKeys
            everybody = asyncio.create_task(others())
            with pytest.raises(asyncio.CancelledError):
                await task
            assert threading.get_ident() not in counter.threads
            assert sites.states(2) == []
            await everybody

    asyncio.run(cancelled())
    assert begun.rounds == {None, Round.ADVERTISE_KEYS}
    assert counter.value() == 4
    status = sites.kept.status(session)
    assert (status["left"], status["status"]) == ([2], "finished")


class Progressed:
    """The rounds that were answered, as far as is told."""

    def __init__(self) -> None:
        self.rounds: set[Round | None] = set()

    def __call__(self, told: Progress) -> None:
        assert isinstance(told, Standing)
        self.rounds.add(told.round)


def cancel(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any]") -> None:
    """From another thread, which goes on once it is done."""
    done = threading.Event()
    loop.call_soon_threadsafe(task.cancel)
    loop.call_soon_threadsafe(done.set)
    assert done.wait(PATIENCE)


class Gone(Exception):
    """A participant's program fails."""


def gone_before(current: Round, params: Params) -> Any:
    """A callback for progress that fails before the answer of a round is made."""
    order = rounds_of(params)
    before = order[order.index(current) - 1] if current in order[1:] else None

    def progress(told: Progress) -> None:
        assert isinstance(told, Standing)
        if told.round is before and told.reason in ("joined", "answered"):
            raise Gone

    return progress


def test_whoever_is_lost_in_any_round_is_a_dropout(sites: Sites) -> None:
    """A session for each round, all at once; in each, user 2 is lost in that round, whose deadline ends it."""
    params = Params(n=sites.n, m=5, modulus=1 << 20, model=sites.model, n_corrupt=1, t=3)
    losses = list(rounds_of(params))

    async def contribute(u: int, session: str, current: Round, params: Params, run: int) -> Contribution | None:
        state = sites.folder / f"state{u}-{run}"
        async with sites.asynchronous(u, state=state) as participant:
            progress = gone_before(current, params) if u == 2 else None
            try:
                return await participant.contribute(session, vector(u), progress=progress)
            except Gone:
                return None

    async def all_sessions() -> list[list[Contribution | None]]:
        made = [sites.create(seconds={ROUND_NAMES[current]: 4.0}) for current in losses]
        running = [
            asyncio.gather(*(contribute(u, session, current, params, run) for u in sites.users))
            for run, (current, (session, params)) in enumerate(zip(losses, made, strict=True))
        ]
        return list(await asyncio.gather(*running))

    for current, contributions in zip(losses, asyncio.run(all_sessions()), strict=True):
        counted = [1, 3, 4] if current <= Round.MASKED_INPUT_COLLECTION else [1, 2, 3, 4]
        assert [each is None for each in contributions] == [False, True, False, False]
        for contribution in contributions:
            if contribution is not None:
                check(contribution, counted)


def test_a_task_that_is_cancelled_leaves_before_u2_and_comes_back_after(sites: Sites) -> None:
    session, _ = sites.create(seconds={"share-keys": 4.0})

    async def until(u: int, moment: Round) -> None:
        """Cancel the task once the user has answered a round."""
        answered = asyncio.Event()
        loop = asyncio.get_running_loop()

        def progress(told: Progress) -> None:
            assert isinstance(told, Standing)
            if told.reason == "answered" and told.round is moment:
                loop.call_soon_threadsafe(answered.set)

        async with sites.asynchronous(u) as participant:
            task = asyncio.create_task(participant.contribute(session, vector(u), progress=progress))
            await answered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def contribute(u: int) -> Contribution:
        async with sites.asynchronous(u) as participant:
            return await participant.contribute(session, vector(u))

    async def story() -> list[Contribution]:
        await until(1, Round.ADVERTISE_KEYS)
        assert sites.states(1) == []
        others = [asyncio.create_task(contribute(u)) for u in (3, 4)]
        await until(2, Round.SHARE_KEYS)
        assert len(sites.states(2)) == 1
        return list(await asyncio.gather(contribute(2), *others))

    for contribution in asyncio.run(story()):
        check(contribution, [2, 3, 4])


def test_a_weaker_session_is_refused_and_no_key_is_sent(sites: Sites) -> None:
    session, _ = sites.create()
    with (
        sites.participant(1, policy=Policy(min_users=4, n_corrupt=2)) as participant,
        pytest.raises(PolicyRefusal, match=r"min_users is 3, .* at least 4; n_corrupt is 1, .* at least 2"),
    ):
        participant.contribute(session, vector(1))
    assert sites.kept.status(session)["answered"] == []


def test_a_session_that_is_unknown_or_aborted_says_so(sites: Sites) -> None:
    session, _ = sites.create()
    with sites.participant(1) as participant:
        with pytest.raises(Refused, match="no session unknown") as refused:
            participant.contribute("unknown", vector(1))
        assert refused.value.kind is Kind.NO_SESSION
        url = f"{sites.kept.url}/v1/sessions/{session}/abort"
        answer = sites.kept.http.post(url, headers=sites.kept.headers, json={"reason": "the wrong day"})
        assert answer.status_code == 200
        with pytest.raises(Refused, match="the wrong day") as refused:
            participant.contribute(session, vector(1))
        assert refused.value.kind is Kind.ABORTED


def test_credentials_of_another_are_refused(sites: Sites) -> None:
    """Another key under the same user id, or a token that nobody has."""
    session, _ = sites.create()
    other = Sites(sites.kept, sites.folder / "other", sites.model)
    who = other.who(1) if sites.model is Model.ACTIVE else {"token": "a-token-that-nobody-was-given"}
    sites.who = lambda u: who  # type: ignore[method-assign]
    with sites.participant(1) as participant, pytest.raises(RemoteProtocolError, match="HTTP 403"):
        participant.contribute(session, vector(1))


def test_models_are_summed_and_decoded(sites: Sites) -> None:
    models = {u: {"w": np.full((3, 2), 0.01 * u), "b": np.full(2, -0.5)} for u in sites.users}
    quantizer: Quantizer[Any] = Quantizer.like(models[1], clip=1.0, max_weight=4)
    session, _ = sites.create(params=quantizer.params(sites.n, model=sites.model, n_corrupt=1, t=3))

    def contribute(u: int) -> Contribution:
        with sites.participant(u) as participant:
            return participant.contribute(session, models[u], weight=u, quantizer=quantizer)

    with ThreadPoolExecutor(sites.n) as pool:
        for contribution in pool.map(contribute, sites.users):
            np.testing.assert_allclose(contribution.mean["w"], np.full((3, 2), 0.03), atol=1e-4)
            np.testing.assert_allclose(contribution.mean["b"], [-0.5, -0.5], atol=1e-4)


def test_noise_is_paid_for_by_ledgers_on_disk(sites: Sites) -> None:
    noisy: NoisySum[Any] = NoisySum.like(np.zeros(5), clip=1.0, budget=ZCdp(2), n=sites.n, survivors=3, corrupt=1)
    session, _ = sites.create(params=noisy.params(model=sites.model, t=3))

    def contribute(u: int) -> Contribution:
        ledger = Ledger(ZCdp(3), sites.folder / f"{u}.ledger")
        with sites.participant(u) as participant:
            return participant.contribute(session, np.full(5, 0.1), noisy_sum=noisy, ledger=ledger)

    with ThreadPoolExecutor(sites.n) as pool:
        contributions = list(pool.map(contribute, sites.users))
    assert len({contribution.decoded.flat.tobytes() for contribution in contributions if contribution.decoded}) == 1
    for u in sites.users:
        assert len(Ledger(ZCdp(3), sites.folder / f"{u}.ledger").spent) == 1


def test_a_participant_finds_the_only_session(sites: Sites) -> None:
    session, _ = sites.create()

    def contribute(u: int) -> Contribution:
        with sites.participant(u) as participant:
            return participant.contribute(None, vector(u))

    with ThreadPoolExecutor(sites.n) as pool:
        for contribution in pool.map(contribute, sites.users):
            assert contribution.session == session
            check(contribution, sites.users)


def test_an_http_client_that_follows_redirects_is_refused(sites: Sites) -> None:
    with httpx.Client(follow_redirects=True) as http, pytest.raises(LocalProtocolError, match="must not follow"):
        sites.participant(1, http=http)
