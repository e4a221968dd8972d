"""A client with noise and a ledger that is put away: it pays once for what leaves, and draws no second noise."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import Client, Identity, LocalProtocolError, Model, RemoteProtocolError, Roster, Round, Server
from secagg.dp import ApproxDp, BudgetExceeded, Ledger, Plan, ZCdp
from secagg.noisy import NoisyClient, NoisySum
from secagg.protocol.messages import MaskedInputCollectionRequest
from secagg.protocol.saved import ClientFile

from ..support.saved import KEY, KEYS, ROSTER, MemoryCounter, put_back, without_user_5

TASK = NoisySum.like(np.zeros(20), clip=1.0, budget=ApproxDp(1, "1e-6"), n=5)
PLAN = TASK.plan
X = np.linspace(-0.1, 0.1, 20)
TOTAL = ApproxDp(1, "1e-5")  # one session
WRITE = ClientFile._write
MODELS = pytest.mark.parametrize("model", list(Model), ids=lambda model: model.name.lower())


class Session:
    """Five users; user 1 is saved, and has its ledger in a file."""

    def __init__(self, model: Model, folder: Path, *, total: Any = TOTAL, counter: Any = None) -> None:
        self.params = TASK.params(model=model, nonce=bytes(16))
        self.active = model is Model.ACTIVE
        self.total, self.counter = total, counter
        self.path, self.ledger_path = folder / "client", folder / "ledger"
        self.encoded = TASK.encode(X, self.params)
        roster = ROSTER if self.active else None
        self.server = Server(self.params, roster=roster)
        self.others = {
            u: NoisyClient(self.params, TASK, u, self.encoded, ledger=Ledger(TOTAL), **self.pki(u)) for u in range(2, 6)
        }
        self.first = NoisyClient(self.params, TASK, 1, self.encoded, ledger=self.ledger(), **self.pki(1))
        self.first.save(self.path, key=KEY, counter=counter)
        self.requests: dict[int, bytes] = dict.fromkeys(range(1, 6), b"")

    def pki(self, u: int) -> dict[str, Any]:
        roster: Roster = ROSTER
        return {"identity": Identity(KEYS[u]), "roster": roster} if self.active else {}

    def ledger(self) -> Ledger:
        return Ledger(self.total, self.ledger_path)

    def load(self, **changes: Any) -> NoisyClient:
        given = {"params": self.params, "plan": TASK, "user_id": 1, "ledger": self.ledger(), "key": KEY}
        return NoisyClient.load(self.path, **{**given, "counter": self.counter, **self.pki(1), **changes})

    def play(self, until: Round | None) -> None:
        """User 1 is loaded anew for each answer."""
        while self.server.round is not until:
            for u, request in self.requests.items():
                client = self.others[u] if u > 1 else self.load()
                self.server.receive(u, client.receive(request) if request else client.start())
            self.requests = self.server.end_round()


@MODELS
@pytest.mark.parametrize("counter", [lambda: None, MemoryCounter], ids=["no counter", "counter"])
def test_a_client_that_is_loaded_for_each_round_pays_once(
    model: Model, counter: Callable[[], Any], tmp_path: Path
) -> None:
    session = Session(model, tmp_path, counter=counter())
    session.play(Round.MASKED_INPUT_COLLECTION)
    assert not session.ledger().spent
    session.play(None)
    assert session.server.survivors == (1, 2, 3, 4, 5)
    release = TASK.decode(session.server.sum, session.params, 5)
    assert np.abs(release.mean - X).max() < 7 * release.mean_deviation
    client = session.load()
    assert client.finished
    assert client.session is not None
    assert list(session.ledger().spent) == [client.session.hex()]
    assert client.answer is not None
    client.forget_answer()
    assert sorted(os.listdir(tmp_path)) == ["ledger", "ledger.lock"]


def test_the_noise_is_drawn_once_and_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(Model.SEMI_HONEST, tmp_path)
    noisy = session.first._client._x.tolist()  # type: ignore[union-attr]
    assert noisy != session.encoded.tolist()
    with monkeypatch.context() as patch:
        patch.delattr(Plan, "noise_for")
        assert session.load()._client._x.tolist() == noisy  # type: ignore[union-attr]
        session.play(None)
    assert session.server.survivors == (1, 2, 3, 4, 5)


def test_the_input_cannot_be_set_again(tmp_path: Path) -> None:
    """Another input, or another noise, under the same masks."""
    session = Session(Model.SEMI_HONEST, tmp_path)
    for current in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING):
        session.play(current)
        for client in (session.load(), session.first) if current is Round.ADVERTISE_KEYS else (session.load(),):
            before = client._client._x  # type: ignore[union-attr]
            with pytest.raises(LocalProtocolError, match="cannot be set any more"):
                client.set_input(session.encoded)
            assert client._client._x is before  # type: ignore[union-attr]


class Crash(BaseException):
    """The machine stops."""


def stops(*_: Any, **__: Any) -> None:
    raise Crash


@MODELS
@pytest.mark.parametrize("before", ["the ledger", "the file", "the end"])
def test_after_a_crash_at_any_step_the_session_is_paid_for_once_and_the_bytes_are_the_same(
    model: Model, before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(model, tmp_path)
    session.play(Round.MASKED_INPUT_COLLECTION)
    disk, request = session.path.read_bytes(), session.requests[1]
    expected = session.load().receive(request)
    put_back(session.path, disk)
    session.ledger_path.unlink()
    client = session.load()
    with monkeypatch.context() as patch:
        if before == "the ledger":
            patch.setattr(Ledger, "spend", stops)
        elif before == "the file":
            patch.setattr(ClientFile, "_write", stops)
        else:
            patch.setattr(ClientFile, "_write", writes_and_stops)
        with pytest.raises(Crash):
            client.receive(request)
    assert client.finished
    assert client.answer is None
    assert len(session.ledger().spent) == (before != "the ledger")
    assert session.load().receive(request) == expected
    assert len(session.ledger().spent) == 1
    session.play(None)
    assert session.server.survivors == (1, 2, 3, 4, 5)


def writes_and_stops(file: Any, contents: Any, memory: Any) -> None:
    WRITE(file, contents, memory)
    raise Crash


@MODELS
def test_a_copy_spends_nothing_more_for_equal_bytes_and_draws_no_second_noise(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file before round 2, for the same request and for another: one session, one noise, one entry."""
    session = Session(model, tmp_path)
    session.play(Round.MASKED_INPUT_COLLECTION)
    disk, request = session.path.read_bytes(), session.requests[1]
    monkeypatch.delattr(Plan, "noise_for")
    answers = []
    for asked in (request, without_user_5(MaskedInputCollectionRequest, request), request):
        put_back(session.path, disk)
        answers.append(session.load().receive(asked))
    assert answers[0] == answers[2] != answers[1]
    assert len(session.ledger().spent) == 1


def test_a_copy_in_another_session_is_another_release(tmp_path: Path) -> None:
    """Another list of keys is another session, and one that the ledger cannot pay for."""
    session = Session(Model.SEMI_HONEST, tmp_path)
    session.play(Round.SHARE_KEYS)
    disk = session.path.read_bytes()
    session.play(Round.UNMASKING)
    put_back(session.path, disk)
    client = session.load()
    second = Server(session.params)
    clients = {u: Client(session.params, u, session.encoded) for u in range(2, 6)}
    assert client.answer is not None
    second.receive(1, client.answer)
    for u, another in clients.items():
        second.receive(u, another.start())
    requests = second.end_round()
    for u, another in clients.items():
        second.receive(u, another.receive(requests[u]))
    second.receive(1, client.receive(requests[1]))
    with pytest.raises(BudgetExceeded):
        client.receive(second.end_round()[1])
    assert client.finished
    assert len(session.ledger().spent) == 1


def test_who_cannot_pay_does_not_join_and_leaves_no_file(tmp_path: Path) -> None:
    session = Session(Model.SEMI_HONEST, tmp_path, total=ApproxDp("1/1000", "1e-9"))
    client = session.load()
    with pytest.raises(BudgetExceeded, match="this user does not join"):
        client.start()
    assert not session.path.exists()
    client.leave()


def test_a_start_that_comes_late_removes_nothing(tmp_path: Path) -> None:
    """The ledger cannot pay for a second session; the first one goes on."""
    session = Session(Model.SEMI_HONEST, tmp_path)
    session.play(Round.UNMASKING)
    client = session.load()
    assert client.answered is Round.MASKED_INPUT_COLLECTION
    with pytest.raises(LocalProtocolError, match="has started already"):
        client.start()
    session.play(None)
    assert session.server.survivors == (1, 2, 3, 4, 5)


@MODELS
def test_a_bad_request_costs_nothing_and_ends_the_client_for_good(model: Model, tmp_path: Path) -> None:
    session = Session(model, tmp_path)
    session.play(Round.MASKED_INPUT_COLLECTION)
    with pytest.raises(RemoteProtocolError):
        session.load().receive(session.requests[1][:-1])
    client = session.load()
    assert client.finished
    with pytest.raises(LocalProtocolError, match="has ended"):
        client.receive(session.requests[1])
    assert not session.ledger().spent
    client.leave()
    assert not session.path.exists()


def test_a_state_with_a_price_is_not_loaded_without_it(tmp_path: Path) -> None:
    """Not as a `Client`, which pays nothing, nor with a plan of another cost; and no `Client`'s state as this."""
    session = Session(Model.SEMI_HONEST, tmp_path)
    with pytest.raises(LocalProtocolError, match="is of another binding; what a NoisyClient saved"):
        Client.load(session.path, params=session.params, user_id=1, key=KEY)
    for other in (ApproxDp(2, "1e-6"), ZCdp(2)):
        with pytest.raises(LocalProtocolError, match="is of another binding"):
            session.load(plan=NoisySum.like(np.zeros(20), clip=1.0, budget=other, n=5).plan)
    assert session.load(plan=PLAN).answer is None
    session.first.leave()
    plain = Client(session.params, 1, session.encoded)
    plain.save(session.path, key=KEY)
    with pytest.raises(LocalProtocolError, match="is of another binding"):
        session.load()


def test_a_client_without_input_is_not_saved(tmp_path: Path) -> None:
    client = NoisyClient(TASK.params(), TASK, 1, ledger=Ledger(TOTAL))
    with pytest.raises(LocalProtocolError, match="is saved with its input"):
        client.save(tmp_path / "client", key=KEY)
    client.set_input(TASK.encode(X, client.params))
    client.save(tmp_path / "client", key=KEY)


def test_a_client_that_has_ended_remembers_no_secret_of_noise(tmp_path: Path) -> None:
    params = TASK.params()
    ended = NoisyClient(params, TASK, 1, TASK.encode(X, params), ledger=Ledger(TOTAL))
    assert ended._noise_secret is not None
    ended.start()
    with pytest.raises(RemoteProtocolError):
        ended.receive(b"nothing")
    assert ended._noise_secret is None
    left = NoisyClient(params, TASK, 1, TASK.encode(X, params), ledger=Ledger(TOTAL))
    left.leave()
    assert left._noise_secret is None
    assert left.finished
