"""Which checks count users and which count shares: `quorum` and `t` are equal today; these tests tell them apart."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secagg import Abort, Client, LocalProtocolError, Model, Params, Round, Server, rounds_of, shamir
from secagg.protocol.messages import (
    ROUNDS,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    Unmasking,
    decode,
    encode,
)

from ..support.rounds import play_until

N = 7
Setting = Callable[[int], None]
Parties = tuple[Server, dict[int, Client], dict[int, bytes]]


@pytest.fixture
def quorum(monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Sets the quorum of all Params."""

    def setting(users: int) -> None:
        monkeypatch.setattr(Params, "quorum", users)

    return setting


def make(model: Model = Model.SEMI_HONEST, **changes: Any) -> Params:
    return Params(**{"n": N, "m": 3, "modulus": 1 << 12, "n_corrupt": 1, "model": model, **changes})


def after(parties: Parties) -> Parties:
    """The same machines when everybody has answered the round."""
    server, clients, requests = parties
    for u, request in requests.items():
        server.receive(u, clients[u].receive(request))
    return server, clients, server.end_round()


def first(params: Params, data: bytes, users: int) -> bytes:
    """A request whose list has its first users only."""
    request: Any = decode(data, next(kind for kind in ROUNDS[params.model] if data[1] == kind.TYPE))
    shorter: dict[str, Any] = {"users": request.users[:users]}
    if isinstance(request, ShareKeysRequest):
        shorter["keys"] = request.keys[:users]
    if isinstance(request, MaskedInputCollectionRequest):
        shorter["ciphertexts"] = request.ciphertexts[: users - 1]
    elif hasattr(request, "signatures"):
        shorter["signatures"] = request.signatures[:users]
    return encode(replace(request, **shorter))


# --- Params ---


def test_the_quorum_of_the_complete_graph_is_t() -> None:
    params = make()
    assert params.quorum == params.t == 5
    assert Params.decode(params.encode()).quorum == 5
    assert make(t=6).quorum == 6


def test_sums_hold_a_quorum_of_inputs_at_least(quorum: Setting) -> None:
    quorum(5)
    assert make(t=3).min_users == 5
    with pytest.raises(LocalProtocolError, match=r"^min_users must be quorum = 5 \.\. n = 7, got 4$"):
        make(t=3, min_users=4)
    assert make(t=6, min_users=5).min_users == 5


def test_two_quorums_have_an_honest_user_in_common(quorum: Setting) -> None:
    quorum(5)
    assert make(Model.ACTIVE, t=3).t == 3
    quorum(4)
    with pytest.raises(LocalProtocolError, match=r"^quorum = 4 must satisfy 2 \* quorum > n \+ n_corrupt = 8, or"):
        make(Model.ACTIVE, t=6)


def test_corrupt_users_hold_fewer_shares_than_reveal_a_secret(quorum: Setting) -> None:
    quorum(6)
    for t in (2, 3):
        with pytest.raises(LocalProtocolError, match=f"threshold t = {t} must exceed n_corrupt = 3"):
            make(t=t, n_corrupt=3)
    with pytest.raises(LocalProtocolError, match=r"threshold t must be 2 \.\. n = 7, got 8"):
        make(t=8)
    quorum(2)
    assert make(t=4, n_corrupt=3, min_users=5).t == 4


def test_as_many_wrong_shares_are_corrected_as_t_leaves_beside(quorum: Setting) -> None:
    quorum(5)
    assert make(t=3).max_liars == 2


# --- The client ---


@pytest.mark.parametrize("current", [Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING])
def test_a_client_goes_on_with_a_quorum(current: Round, quorum: Setting) -> None:
    """In U1, in U2 and in U4."""
    quorum(5)
    params = make(Model.ACTIVE, t=3)
    _, clients, requests = play_until(current, params)
    with pytest.raises(Abort, match=r"^too few users (are left|have joined) .*: 4 answered, 5 needed$"):
        clients[1].receive(first(params, requests[1], 4))
    assert clients[2].receive(first(params, requests[2], 5))


@pytest.mark.parametrize("model", Model)
def test_a_client_lets_go_of_sums_with_min_users_inputs(model: Model, quorum: Setting) -> None:
    quorum(5)
    params = make(model, t=3, min_users=6)
    _, clients, requests = play_until(Round(3 if model is Model.ACTIVE else 4), params)
    with pytest.raises(Abort, match=r"^too few users are left .*: 5 answered, 6 needed$"):
        clients[1].receive(first(params, requests[1], 5))
    assert clients[2].receive(first(params, requests[2], 6))


@pytest.mark.parametrize(("t", "users"), [(3, 5), (5, 3)])
def test_t_shares_reveal_a_secret(t: int, users: int, quorum: Setting) -> None:
    quorum(users)
    before = play_until(Round.SHARE_KEYS, make(t=t))
    secret: bytes = before[1][1]._state.s.secret  # type: ignore[union-attr]
    _, clients, requests = after(before)
    for u, request in requests.items():
        clients[u].receive(request)
    shares = np.stack([client._state.shares[:1, 0] for client in clients.values()])  # type: ignore[union-attr]
    xs = np.arange(1, N + 1, dtype=np.uint32)
    assert shamir.reconstruct(shares[:t], xs[:t]).tobytes() == secret
    assert shamir.reconstruct(shares[: t - 1], xs[: t - 1]).tobytes() != secret


@pytest.mark.parametrize(("t", "users"), [(3, 5), (5, 3)])
def test_a_client_goes_on_with_t_opened_shares(t: int, users: int, quorum: Setting) -> None:
    """Its own is one of them. Without so many, nobody could take out its masks."""
    quorum(users)
    _, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, make(t=t))

    def spoiled(u: int, opened: int) -> bytes:
        request = decode(requests[u], MaskedInputCollectionRequest)
        ciphertexts = request.ciphertexts.copy()
        ciphertexts[opened - 1 :] = 0
        return encode(replace(request, ciphertexts=ciphertexts))

    with pytest.raises(Abort, match=f"^too few shares can be opened: {t - 1} answered, {t} needed$"):
        clients[1].receive(spoiled(1, t - 1))
    assert clients[2].receive(spoiled(2, t))


# --- The server ---


@pytest.mark.parametrize(("model", "current"), [(model, r) for model in Model for r in rounds_of(make(model))])
def test_a_server_ends_a_round_with_a_quorum_and_that_of_inputs_with_min_users(
    model: Model, current: Round, quorum: Setting
) -> None:
    quorum(5)
    needed = 6 if current is Round.MASKED_INPUT_COLLECTION else 5
    server, clients, requests = play_until(current, make(model, t=3, min_users=6))
    for answered, (u, request) in enumerate(requests.items(), 1):
        server.receive(u, clients[u].receive(request) if request else clients[u].start())
        assert server.ready == (answered >= needed)
        if answered == needed - 1:
            break
    with pytest.raises(Abort, match=f"{needed - 1} answered, {needed} needed"):
        server.end_round()


@pytest.mark.parametrize(("t", "users"), [(3, 5), (5, 3)])
def test_a_server_takes_masked_inputs_of_users_who_hold_t_shares(t: int, users: int, quorum: Setting) -> None:
    quorum(users)
    server, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, make(t=t))
    for u, held in ((1, t - 1), (2, t)):
        answer = decode(clients[u].receive(requests[u]), MaskedInputCollection)
        others = np.array([v for v in requests if v != u], np.uint32)
        server.receive(u, encode(replace(answer, unopened=others[held - 1 :])))
    assert [(fault.client, fault.reason) for fault in server.faults] == [(1, f"only {t - 1} ciphertexts opened")]
    assert server.answered == {2}


def test_a_server_recovers_secrets_from_t_shares(quorum: Setting) -> None:
    """Of five shares of a secret, where three reveal it, one may be wrong."""
    quorum(5)
    server, clients, requests = play_until(Round.UNMASKING, make(t=3))
    for u in range(1, 6):
        answer = decode(clients[u].receive(requests[u]), Unmasking)
        server.receive(u, encode(replace(answer, shares=answer.shares[::-1]) if u == 1 else answer))
    server.end_round()
    assert server.sum.tolist() == [sum(range(1, N + 1))] * 3


def test_a_server_needs_t_shares_although_a_quorum_has_answered(quorum: Setting) -> None:
    quorum(3)
    server, clients, requests = play_until(Round.UNMASKING, make(t=5, min_users=4))
    for u in range(1, 5):
        server.receive(u, clients[u].receive(requests[u]))
    assert server.ready
    with pytest.raises(Abort, match=r"^shares of user 1's secret: 4 answered, 5 needed$"):
        server.end_round()
