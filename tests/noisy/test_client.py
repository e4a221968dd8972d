"""Clients that add noise and pay for it from ledgers of their own."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from secagg import Identity, LocalProtocolError, Model, Params, RemoteProtocolError, Roster, Round, Server
from secagg.dp import ApproxDp, BudgetExceeded, Ledger, Neighbours, Noise, Party, Plan, Sensitivity
from secagg.noisy import Ball, NoisyClient, NoisySum

TASK = NoisySum.like(np.zeros(20), clip=1.0, budget=ApproxDp(1, "1e-6"), n=5)
PLAN = TASK.plan
X = np.linspace(-0.1, 0.1, 20)
COLLECTION = Round.MASKED_INPUT_COLLECTION
MODELS = pytest.mark.parametrize("model", list(Model))

Session = tuple[Server, dict[int, NoisyClient]]


def ledger(sessions: int, path: Path | None = None) -> Ledger:
    """Enough for so many sessions and not for one more."""
    budget = next(total for total in totals() if affords(total, sessions))
    assert not affords(budget, sessions + 1)
    return Ledger(budget, path)


def totals() -> list[ApproxDp]:
    return [ApproxDp(f"{epsilon}/20", "1e-5") for epsilon in range(1, 200)]


def affords(total: ApproxDp, sessions: int) -> bool:
    trial = Ledger(total)
    try:
        for number in range(sessions):
            trial.spend(PLAN.guarantee, str(number), total_variation=PLAN.total_variation)
    except BudgetExceeded:
        return False
    return True


def session(ledgers: dict[int, Ledger], model: Model = Model.SEMI_HONEST, **params: Any) -> Session:
    """A server, and five clients that have their inputs."""
    settings = TASK.params(model=model, **params)
    identities = {u: Identity.generate() for u in ledgers} if model is Model.ACTIVE else {}
    roster = Roster({u: identity.verification_key for u, identity in identities.items()}) if identities else None
    clients = {
        u: NoisyClient(
            settings, TASK, u, TASK.encode(X, settings), ledger=own, identity=identities.get(u), roster=roster
        )
        for u, own in ledgers.items()
    }
    return Server(settings, roster=roster), clients


def play(server: Server, clients: dict[int, NoisyClient], drops: dict[Round, set[int]] | None = None) -> None:
    """To the end; who drops out in a round is not asked from then on."""
    messages = {u: client.start() for u, client in clients.items()}
    while server.round is not None:
        for u, message in messages.items():
            server.receive(u, message)
        requests = server.end_round()
        gone = (drops or {}).get(server.round, set()) if server.round else set()
        messages = {u: clients[u].receive(request) for u, request in requests.items() if u not in gone}


def until_collection(server: Server, clients: dict[int, NoisyClient]) -> dict[int, bytes]:
    """The requests of round 2."""
    messages = {u: client.start() for u, client in clients.items()}
    while server.round is not COLLECTION:
        for u, message in messages.items():
            server.receive(u, message)
        requests = server.end_round()
        messages = {} if server.round is COLLECTION else {u: clients[u].receive(r) for u, r in requests.items()}
    return requests


def everyones(make: Callable[[], Ledger]) -> dict[int, Ledger]:
    return {u: make() for u in range(1, 6)}


@MODELS
def test_a_session_pays_once_from_each_ledger_and_under_its_own_id(model: Model) -> None:
    ledgers = everyones(lambda: ledger(2))
    server, clients = session(ledgers, model)
    play(server, clients)
    assert server.survivors == (1, 2, 3, 4, 5)
    release = TASK.decode(server.sum, server.params, 5)
    assert np.abs(release.mean - X).max() < 7 * release.mean_deviation
    names = {tuple(own.spent) for own in ledgers.values()}
    assert len(names) == 1
    ((name,),) = names
    assert len(bytes.fromhex(name)) == 32
    for own in ledgers.values():
        assert own.spent[name].guarantee == PLAN.guarantee
        assert own.spent[name].total_variation == PLAN.total_variation
    assert all(client.finished for client in clients.values())


def test_the_noise_is_in_the_sum() -> None:
    """And by the plan's law: 20 entries of 5 clients' noise are never all 0."""
    server, clients = session(everyones(lambda: ledger(1)))
    play(server, clients)
    exact = sum(TASK.encode(X, server.params).astype(np.int64) for _ in range(5))
    assert np.abs(server.sum.astype(np.int64) - exact).max() > 10  # rounding alone is 5 at most


def test_a_client_at_its_limit_does_not_join() -> None:
    ledgers = everyones(lambda: ledger(1))
    play(*session(ledgers))
    spent = dict(ledgers[1].spent)
    _, clients = session(ledgers)
    with pytest.raises(BudgetExceeded, match="this user does not join"):
        clients[1].start()
    assert clients[1].finished
    with pytest.raises(LocalProtocolError, match="has ended"):
        clients[1].start()
    with pytest.raises(LocalProtocolError, match="has ended"):
        clients[1].receive(b"")
    assert dict(ledgers[1].spent) == spent


def test_a_round_goes_on_without_those_who_cannot_pay() -> None:
    ledgers = {**everyones(lambda: ledger(1)), 2: Ledger(ApproxDp("1/1000", "1e-9"))}
    server, clients = session(ledgers)
    with pytest.raises(BudgetExceeded):
        clients.pop(2).start()
    play(server, clients)
    assert server.survivors == (1, 3, 4, 5)


def test_a_new_session_costs_again_also_with_the_same_nonce() -> None:
    """Noise is drawn anew: a second release under a first one's name would be free, and could be averaged with it."""
    ledgers = everyones(lambda: ledger(3))
    for nonce in (b"n" * 16, b"n" * 16, b"o" * 16):
        play(*session(ledgers, nonce=nonce))
    for own in ledgers.values():
        assert len(own.spent) == 3
    _, clients = session(ledgers, nonce=b"n" * 16)
    with pytest.raises(BudgetExceeded):
        clients[1].start()


@MODELS
def test_dropping_out_before_the_masked_input_costs_nothing(model: Model) -> None:
    ledgers = everyones(lambda: ledger(1))
    server, clients = session(ledgers, model)
    play(server, clients, {COLLECTION: {3}})
    assert not ledgers[3].spent
    assert server.survivors == (1, 2, 4, 5)


@MODELS
def test_dropping_out_after_the_masked_input_has_cost(model: Model) -> None:
    ledgers = everyones(lambda: ledger(1))
    server, clients = session(ledgers, model)
    play(server, clients, {Round.UNMASKING: {4}})
    assert len(ledgers[4].spent) == 1  # its input is in the sum
    assert server.survivors == (1, 2, 3, 4, 5)


def test_a_request_that_is_refused_costs_nothing() -> None:
    ledgers = everyones(lambda: ledger(1))
    server, clients = session(ledgers)
    requests, client = until_collection(server, clients), clients[1]
    with pytest.raises(RemoteProtocolError):
        client.receive(requests[1][:-1])
    assert client.finished
    assert not ledgers[1].spent


def test_the_cost_is_on_disk_before_the_masked_input_leaves(tmp_path: Path) -> None:
    """So a crash right after it has paid: another process finds the session spent, and paying again is free."""
    file = tmp_path / "ledger"
    ledgers = {**everyones(lambda: ledger(1)), 1: ledger(1, file)}
    server, clients = session(ledgers)
    request = until_collection(server, clients)[1]
    assert not ledgers[1].spent
    answer = clients[1].receive(request)
    again = Ledger(ledgers[1].total, file)
    assert clients[1].session is not None
    name = clients[1].session.hex()
    assert list(again.spent) == [name]
    again.spend(PLAN.guarantee, name, total_variation=PLAN.total_variation)  # the same session: nothing to pay
    assert list(again.spent) == [name]
    server.receive(1, answer)
    server.receive(1, answer)  # the same bytes once more, as a caller does after a lost connection
    assert list(again.spent) == [name]
    _, others = session({**ledgers, 1: again})
    with pytest.raises(BudgetExceeded):
        others[1].start()


@MODELS
def test_a_repeated_request_gets_the_same_bytes_and_costs_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every round, and after the last; no noise is drawn for it, and the ledger is not asked."""
    ledgers = everyones(lambda: ledger(1))
    server, clients = session(ledgers, model)
    messages = {u: client.start() for u, client in clients.items()}
    while server.round is not None:
        for u, message in messages.items():
            server.receive(u, message)
        requests = server.end_round()
        messages = {u: clients[u].receive(request) for u, request in requests.items()}
        spent = {u: dict(own.spent) for u, own in ledgers.items()}
        with monkeypatch.context() as patch:
            patch.delattr(Ledger, "spend")
            patch.delattr(Plan, "noise_for")
            assert messages == {u: clients[u].receive(request) for u, request in requests.items()}
        assert spent == {u: dict(own.spent) for u, own in ledgers.items()}
    assert server.survivors == (1, 2, 3, 4, 5)
    assert [len(own.spent) for own in ledgers.values()] == [1] * 5


@MODELS
def test_another_request_for_a_masked_input_costs_nothing_and_gives_none(model: Model) -> None:
    ledgers = everyones(lambda: ledger(2))
    server, clients = session(ledgers, model)
    requests = until_collection(server, clients)
    answer, spent = clients[1].receive(requests[1]), dict(ledgers[1].spent)
    with pytest.raises(RemoteProtocolError, match="MaskedInputCollection has been answered"):
        clients[1].receive(requests[2])
    assert dict(ledgers[1].spent) == spent
    assert clients[1].receive(requests[1]) == answer
    assert not clients[1].finished


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, BudgetExceeded])
def test_what_was_not_paid_for_is_not_given_when_it_is_asked_for_again(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, clients = session(everyones(lambda: ledger(1)))
    requests = until_collection(server, clients)

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "spend", fail)
        with pytest.raises(error):
            clients[1].receive(requests[1])
    assert clients[1].finished
    with pytest.raises(LocalProtocolError, match="has ended"):
        clients[1].receive(requests[1])


def test_a_delivered_answer_can_be_forgotten() -> None:
    server, clients = session(everyones(lambda: ledger(1)))
    requests = until_collection(server, clients)
    clients[1].receive(requests[1])
    clients[1].forget_answer()
    with pytest.raises(RemoteProtocolError, match="has been answered"):
        clients[1].receive(requests[1])


def test_of_two_sessions_at_once_the_second_is_left_when_the_first_has_spent(tmp_path: Path) -> None:
    """Both could be paid for when they began. The second's masked input is dropped, and with it the machine."""
    file = tmp_path / "ledger"
    shared = ledger(1, file)
    first, second = (session({**everyones(lambda: ledger(1)), 1: Ledger(shared.total, file)}) for _ in range(2))
    requests = [until_collection(*parties)[1] for parties in (first, second)]
    first[1][1].receive(requests[0])
    with pytest.raises(BudgetExceeded):
        second[1][1].receive(requests[1])
    assert second[1][1].finished
    assert second[1][1].answer is None
    with pytest.raises(LocalProtocolError, match="has ended"):
        second[1][1].receive(requests[1])
    assert len(shared.spent) == 1


def test_a_ledger_that_cannot_be_written_ends_the_client(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    ledgers = {**everyones(lambda: ledger(1)), 1: ledger(1, folder / "ledger")}
    server, clients = session(ledgers)
    request = until_collection(server, clients)[1]
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with pytest.raises(OSError, match="ledger"):
        clients[1].receive(request)
    assert clients[1].finished


def test_the_given_source_is_asked_once_and_all_noise_follows_from_it_and_the_input() -> None:
    params, asked = TASK.params(), []

    def rand(size: int) -> bytes:
        asked.append(size)
        return bytes([len(asked) % 256]) * size

    def noisy(client: NoisyClient, x: Any) -> Any:
        client.set_input(x)
        return client._client._x.tolist()  # type: ignore[union-attr]

    first, second = (NoisyClient(params, TASK, 1, ledger=ledger(1), rand=rand) for _ in range(2))
    assert asked == [32, 32]
    x = TASK.encode(X, params)
    assert noisy(first, x) == noisy(first, x) != noisy(second, x)
    assert asked == [32, 32]


def test_a_source_that_repeats_itself_gives_unrelated_noise_to_other_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the difference of two masked inputs of one user, or of two users, would have no noise."""
    draws: list[tuple[int, ...]] = []

    def noted(noise: Noise, **given: Any) -> Any:
        draws.append(tuple(SAMPLE(noise, **given).tolist()))
        return np.array(draws[-1])

    monkeypatch.setattr(Noise, "sample", noted)
    params, x = TASK.params(), np.zeros(20, np.int64)
    inputs = [(params, 1, x), (params, 1, x), (params, 1, x + 1), (params, 2, x), (TASK.params(), 1, x)]
    for settings, user, values in inputs:
        NoisyClient(settings, PLAN, user, values, ledger=ledger(1), rand=bytes)
    assert draws[0] == draws[1]
    assert len(set(draws)) == 4


SAMPLE = Noise.sample


def test_every_entry_gets_the_whole_noise_of_the_plan() -> None:
    """The weight's entry like all others: over 2,000 clients the noise of each has the variance of the plan's law."""
    task = NoisySum.like(np.zeros(4), clip=1.0, budget=ApproxDp(1, "1e-6"), n=5, max_weight=3)
    params = task.params(nonce=bytes(16))  # with the secrets below, the same noise in every run
    x = task.encode(np.zeros(4), params, 2).astype(np.int64)
    rand = Random(1).randbytes
    noises = np.zeros((2000, task.length))
    for noise in noises:
        client = NoisyClient(params, task, 1, x, ledger=Ledger(task.budget), rand=rand)
        assert client._client is not None
        assert client._client._x is not None
        noisy = client._client._x.astype(object)
        noise[:] = (noisy - x + params.modulus // 2) % params.modulus - params.modulus // 2
    deviations = noises.std(0) / task.plan.law.variance**0.5
    assert np.abs(deviations - 1).max() < 0.15  # four times its own deviation, of Polya noise
    assert np.abs(noises.mean(0)).max() < 0.2 * task.plan.law.variance**0.5


def test_a_plan_for_others_is_refused() -> None:
    params = TASK.params()
    sensitivity = Sensitivity.l2_bounded(100, 20, Neighbours.REPLACE_ONE)
    budget = ApproxDp(1, "1e-6")
    by_server = Plan.central(budget, sensitivity, 20)
    with pytest.raises(LocalProtocolError, match="by this plan the Collector adds the noise"):
        NoisyClient(params, by_server, 1, ledger=ledger(1))
    for clients, survivors, corrupt, reason in (
        (6, 4, 1, "for 6 parties, but the session has 5"), (5, 5, 1, "counts on 4 honest clients")
    ):  # fmt: skip
        plan = Plan.distributed(budget, sensitivity, 20, clients=clients, survivors=survivors, corrupt=corrupt)
        with pytest.raises(LocalProtocolError, match=reason):
            NoisyClient(params, plan, 1, ledger=ledger(1))


def test_local_noise_works_too() -> None:
    budget = ApproxDp(1, "1e-6")
    plan = Plan.local(budget, Sensitivity.histogram(Neighbours.REPLACE_ONE), 4, clients=5)
    params = Params.for_inputs(1, n=5, m=4, noise=plan)
    server = Server(params)
    clients = {u: NoisyClient(params, plan, u, np.eye(4, dtype=int)[u % 4], ledger=Ledger(budget)) for u in range(1, 6)}
    play(server, clients)
    assert server.sum.shape == (4,)
    assert plan.noise_for(Party.CLIENT).sampler is not None


# --- inputs that the noise does not cover -----------------------------------------------------------------------------

BEYOND = "the input is beyond the plan's sensitivity"


def test_an_input_of_many_clips_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry is in range, the vector is 31.6 clips long: rho would be 1,000 times what the ledger books."""
    task = NoisySum.like(np.zeros(1000), clip=1.0, budget=ApproxDp("0.5", "1e-6"), n=9)
    params = task.params()
    longest = np.full(1000, params.max_value)
    clips = np.linalg.norm((longest - task.steps) * task.step)
    assert clips == pytest.approx(31.6, abs=0.1)
    client = NoisyClient(params, task, 1, ledger=Ledger(task.budget))
    with monkeypatch.context() as patch:
        patch.delattr(Plan, "noise_for")  # no noise is drawn, and nothing leaves
        for plan in (task, task.plan):
            with pytest.raises(LocalProtocolError, match=BEYOND):
                NoisyClient(params, plan, 1, longest, ledger=Ledger(task.budget))
        with pytest.raises(LocalProtocolError, match=BEYOND):
            client.set_input(longest)
    client.set_input(task.encode(np.full(1000, 5.0), params))


def test_a_refused_input_leaves_the_one_before_it_and_the_session() -> None:
    server, clients = session(everyones(lambda: ledger(1)))
    for client in clients.values():
        with pytest.raises(LocalProtocolError, match=BEYOND):
            client.set_input(np.zeros(20, np.int64))
    play(server, clients)
    release = TASK.decode(server.sum, server.params, 5)
    assert np.abs(release.mean - X).max() < 7 * release.mean_deviation


@pytest.mark.parametrize(
    "bad", [np.full(20, 0.5), np.zeros(19, np.int64), np.zeros((20, 1), np.int64), np.zeros(20, bool), "x"]
)
def test_what_is_no_vector_of_integers_is_refused(bad: Any) -> None:
    client = NoisyClient(TASK.params(), TASK, 1, ledger=ledger(1))
    with pytest.raises(LocalProtocolError, match=r"input must be integers of shape \[20\], got"):
        client.set_input(bad)
    with pytest.raises(LocalProtocolError, match="must not be a masked array"):
        client.set_input(np.ma.masked_array(np.full(20, TASK.steps), np.arange(20) > 3))


def one_report(kind: Sensitivity, m: int, max_value: int, **others: Any) -> NoisyClient:
    budget = ApproxDp(1, "1e-6")
    plan = Plan.local(budget, kind, m, clients=5)
    params = Params.for_inputs(max_value, n=5, m=m, noise=plan)
    return NoisyClient(params, plan, 1, ledger=Ledger(budget), **others)


REPLACE = Neighbours.REPLACE_ONE
BY_HAND = [
    (Sensitivity.histogram(REPLACE), 1, [0, 0, 1, 0], [0, 1, 1, 0]),
    (Sensitivity.multihot(4, 1, REPLACE), 1, [0, 0, 0, 1], [0, 1, 0, 1]),
    (Sensitivity.multihot(4, 2, REPLACE), 1, [1, 1, 1, 1], None),  # any two are within sqrt(4) of each other
    (Sensitivity.vector_sum(4, 9, REPLACE), 9, [9, 0, 9, 9], None),
    (Sensitivity.l2_bounded(25, 4, REPLACE, signed=False), 9, [3, 4, 0, 0], [3, 4, 1, 0]),
    (Sensitivity(10, 100, REPLACE), 9, [5, 0, 0, 0], [4, 2, 0, 0]),  # in L1
    (Sensitivity.sum(7, REPLACE), 9, [7], [8]),
]


@pytest.mark.parametrize(("kind", "max_value", "good", "bad"), BY_HAND)
def test_a_plan_made_by_hand_bounds_counts(
    kind: Sensitivity, max_value: int, good: list[int], bad: list[int] | None
) -> None:
    client = one_report(kind, len(good), max_value)
    client.set_input(good)
    if bad is not None:
        with pytest.raises(LocalProtocolError, match=BEYOND):
            client.set_input(bad)


def test_a_plan_made_by_hand_may_have_a_centre_of_its_own() -> None:
    kind = Sensitivity.l2_bounded(25, 4, REPLACE)
    client = one_report(kind, 4, 20, bound=Ball(kind, 2 * 10))
    client.set_input([13, 6, 10, 10])
    for bad in ([13, 6, 11, 10], [0, 0, 0, 0]):
        with pytest.raises(LocalProtocolError, match=BEYOND):
            client.set_input(bad)
    with pytest.raises(LocalProtocolError, match="leave out bound"):
        NoisyClient(TASK.params(), TASK, 1, ledger=ledger(1), bound=Ball(kind, 0))


RUN = NoisySum.like(np.zeros(20), clip=1.0, budget=ApproxDp(4, "1e-6"), n=5, rounds=3, per_client=2)


def joined(task: NoisySum[Any], own: dict[int, Ledger], x: Any = X) -> Server:
    """A session of the run, whose users pay from their ledgers."""
    settings = task.params()
    clients = {u: NoisyClient(settings, task, u, task.encode(x, settings), ledger=own[u]) for u in own}
    server = Server(settings)
    play(server, clients)
    return server


def test_a_run_keeps_to_one_budget_in_the_rounds_that_a_user_joins(tmp_path: Path) -> None:
    """Two of three rounds; for the third no user's ledger pays. After a restart the files are asked for."""
    ledgers = {u: RUN.plan.ledger(tmp_path / str(u), begun=False) for u in range(1, 6)}
    for _ in range(2):
        assert joined(RUN, ledgers).sum is not None
        ledgers = {u: RUN.plan.ledger(tmp_path / str(u), begun=True) for u in ledgers}
    assert [own.releases_left(RUN.plan.guarantee) for own in ledgers.values()] == [0] * 5
    with pytest.raises(BudgetExceeded):
        joined(RUN, ledgers)
    assert all(own.epsilon("1e-6") <= 4 for own in ledgers.values())
    (tmp_path / "1").unlink()
    with pytest.raises(LocalProtocolError, match="is missing, although the run has begun"):
        RUN.plan.ledger(tmp_path / "1", begun=True)


def test_a_run_takes_more_noise_in_each_round_than_one_round_alone() -> None:
    alone = NoisySum.like(np.zeros(20), clip=1.0, budget=ApproxDp(4, "1e-6"), n=5)
    both = NoisySum.like(np.zeros(20), clip=1.0, budget=ApproxDp(4, "1e-6"), n=5, rounds=3)
    deviations = [task.plan.variance() ** 0.5 * task.step for task in (alone, RUN, both)]
    assert deviations == sorted(deviations)
    assert both.per_client == 3
    assert both.central.per_client == 3
    assert len({task.bind(b"") for task in (alone, RUN, both)}) == 3


@pytest.mark.parametrize("releases", [None, 3])
def test_a_ledger_that_does_not_count_a_runs_rounds_is_refused(releases: int | None) -> None:
    settings = RUN.params()
    with pytest.raises(LocalProtocolError, match="of the 3 rounds of this plan one user joins 2 at most"):
        NoisyClient(settings, RUN, 1, ledger=Ledger(ApproxDp(40, "1e-6"), releases=releases))
    NoisyClient(settings, RUN, 1, ledger=Ledger(ApproxDp(40, "1e-6"), releases=2))


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"rounds": 2, "per_client": 3}, {"per_client": 2}])
def test_rounds_of_a_noisy_sum_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="1 <= per_client <= rounds must hold"):
        NoisySum.like(np.zeros(20), clip=1.0, budget=ApproxDp(4, "1e-6"), n=5, **wrong)
