"""Messages that come twice, late, out of order, altered or forged: equal bytes only, no oracle, and nobody honest is
accused. Five users; x_u is u in every entry."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secagg import (
    Abort,
    Client,
    Fault,
    LocalProtocolError,
    Model,
    Params,
    RemoteProtocolError,
    Round,
    Server,
    Stray,
    rounds_of,
)
from secagg.protocol import client as client_module
from secagg.protocol import server as server_module
from secagg.protocol.authentication import Pki
from secagg.protocol.messages import ROUNDS, Answer, Request, decode, encode, signed_body
from secagg.signatures import SIGNATURE_BYTES

from ..support.rounds import parties, play_until

N, M = 5, 3
ALL = [(model, current) for model in Model for current in rounds_of(Params(n=N, m=M, modulus=64, model=model))]
ASKED = [(model, current) for model, current in ALL if current is not Round.ADVERTISE_KEYS]
TWO_WAYS = "has answered this round in two ways"
Played = tuple[Server, dict[int, Client], dict[int, bytes]]


def name(value: Any) -> str:
    return value.name.lower() if isinstance(value, Model) else str(value)


every_round = pytest.mark.parametrize(("model", "current"), ALL, ids=name)
every_request = pytest.mark.parametrize(("model", "current"), ASKED, ids=name)
both_models = pytest.mark.parametrize("model", Model, ids=name)
signed_rounds = pytest.mark.parametrize("current", [at for model, at in ALL if model is Model.ACTIVE], ids=name)


def at(model: Model, current: Round) -> Played:
    """Before the answers of a round."""
    return play_until(current, Params(n=N, m=M, t=4, modulus=1 << 12, model=model))


def answer(client: Client, request: bytes) -> bytes:
    return client.receive(request) if request else client.start()


def finish(played: Played, between: Callable[[Server], None] = lambda server: None) -> Server:
    """The rest of the session, in which `between` happens before and after each round and after the end."""
    server, clients, requests = played
    while server.round is not None:
        between(server)
        for u in server.waiting & requests.keys():
            server.receive(u, answer(clients[u], requests[u]))
        between(server)
        requests = server.end_round()
    between(server)
    return server


def gives_the_sum_of(server: Server, *users: int) -> None:
    assert server.survivors == users
    assert server.sum.tolist() == [sum(users)] * M


def signature_bytes(model: Model) -> int:
    return SIGNATURE_BYTES if model is Model.ACTIVE else 0


def another(client: Client, current: Round, message: bytes) -> bytes:
    """What a corrupt user also says in this round: other content, of which it has signed every bit."""
    body = bytearray(message[2 : len(message) - signature_bytes(client.params.model)])
    body[48] ^= 1  # in no header, length or session id of any round
    return message[:2] + bytes(body) + sign(client, current, bytes(body))


def sign(client: Client, current: Round, body: bytes) -> bytes:
    identity = client._identity
    return identity.sign(signed_body(client._scope, client.user_id, current, body)) if identity else b""


# The server


@every_round
def test_a_replayed_message_expels_nobody(model: Model, current: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ignored in its own round, in all that follow and after the end; no signature is looked at."""
    server, clients, requests = played = at(model, current)
    message = answer(clients[1], requests[1])
    server.receive(1, message)

    def replay(server: Server) -> None:
        with monkeypatch.context() as patch:
            patch.delattr(Pki, "reasons_to_doubt")
            patch.delattr(server_module, "decode")
            server.receive(1, message)

    gives_the_sum_of(finish(played, replay), 1, 2, 3, 4, 5)
    assert server.faults == []
    assert server.strays == []


@both_models
def test_a_transport_that_delivers_everything_twice_and_out_of_order_harms_nothing(model: Model) -> None:
    """Requests and answers of all rounds so far come again, the newest first."""
    params = Params(n=N, m=M, t=4, modulus=1 << 12, model=model)
    server, clients = parties(params)
    requests, sent = dict.fromkeys(clients, b""), list[tuple[int, bytes]]()
    told: dict[int, list[bytes]] = {u: [] for u in clients}
    while server.round is not None:
        for u, request in requests.items():
            message = answer(clients[u], request)
            sent.append((u, message))
            for earlier in reversed(told[u]):
                with pytest.raises(RemoteProtocolError, match="has been answered"):
                    clients[u].receive(earlier)
            if request:
                assert clients[u].receive(request) == message
                told[u].append(request)
        for u, message in reversed(sent):
            server.receive(u, message)
        requests = server.end_round()
    gives_the_sum_of(server, 1, 2, 3, 4, 5)
    assert server.faults == []
    assert server.strays == []


@every_round
def test_a_late_message_is_nobodys_fault(model: Model, current: Round) -> None:
    """Its sender has dropped out, and no more than that."""
    server, clients, requests = played = at(model, current)
    late = answer(clients.pop(5), requests.pop(5))
    for u in (1, 2, 3, 4):
        server.receive(u, answer(clients[u], requests[u]))
    played = (server, clients, server.end_round())
    if server.round is not None:
        server.receive(5, late)
        assert server.strays == [Stray(5, server.round, "the round that it answers has ended")]
    finish(played)
    gives_the_sum_of(server, 1, 2, 3, 4, *[5] * (current > Round.MASKED_INPUT_COLLECTION))
    assert server.faults == []


@signed_rounds
@pytest.mark.parametrize("bit", [0, 9, 8 * 20, 8 * 48, -1], ids=["version", "type", "session", "content", "signature"])
def test_a_message_altered_on_its_way_is_nobodys_fault(current: Round, bit: int) -> None:
    """And its sender is still in the session: the true message counts when it comes."""
    server, clients, requests = played = at(Model.ACTIVE, current)
    message = answer(clients[5], requests[5])
    bad = bytearray(message)
    bad[bit // 8] ^= 1 << bit % 8
    for forged in (bytes(bad), message[:-1], message + b"\0", message[:-SIGNATURE_BYTES], b""):
        server.receive(5, forged)
    assert [(stray.client, stray.round) for stray in server.strays] == [(5, current)]
    assert 5 in server.waiting
    server.receive(5, message)
    server.receive(5, bytes(bad))
    assert 5 in server.answered
    gives_the_sum_of(finish(played), 1, 2, 3, 4, 5)
    assert server.faults == []


@every_round
def test_a_message_of_another_session_is_nobodys_fault(model: Model, current: Round) -> None:
    """In the semi-honest model keys name no session, and whoever advertised them is in."""
    server, *_ = played = at(model, current)
    _, others, told = at(model, current)
    old = answer(others[5], told[5])
    server.receive(5, old)
    if (model, current) == (Model.SEMI_HONEST, Round.ADVERTISE_KEYS):
        assert server.answered == {5}
        return
    reason = "a signature is wrong" if model is Model.ACTIVE else "the message belongs to another session"
    assert server.strays == [Stray(5, current, reason)]
    gives_the_sum_of(finish(played), 1, 2, 3, 4, 5)
    assert server.faults == []


@every_round
def test_a_second_signed_message_is_equivocation(model: Model, current: Round) -> None:
    """It is listed once, whenever it comes; the first message stands, and its sender stays. In the semi-honest model
    the channel stands for the signature."""
    rounds = rounds_of(at(model, current)[0].params)
    for when in (at for at in rounds if at >= current):
        server, clients, requests = played = at(model, current)
        message = answer(clients[1], requests[1])
        second = another(clients[1], current, message)
        server.receive(1, message)

        def replay(server: Server, when: Round = when, second: bytes = second) -> None:
            if server.round is when:
                server.receive(1, second)

        gives_the_sum_of(finish(played, replay), 1, 2, 3, 4, 5)
        assert server.faults == [Fault(1, current, TWO_WAYS)]
        assert server.strays == []


@signed_rounds
def test_a_second_message_in_somebody_elses_name_accuses_nobody(current: Round) -> None:
    """Not even by a corrupt user, whose own signature it has."""
    server, clients, requests = played = at(Model.ACTIVE, current)
    message = answer(clients[1], requests[1])
    liar = clients[2]._identity
    assert liar is not None
    body = another(clients[1], current, message)[2:-SIGNATURE_BYTES]
    forged = message[:2] + body + liar.sign(signed_body(clients[1]._scope, 1, current, body))
    server.receive(1, message)

    def replay(server: Server) -> None:
        if server.round is not None:
            server.receive(1, forged)

    gives_the_sum_of(finish(played, replay), 1, 2, 3, 4, 5)
    assert server.faults == []
    assert {stray[::2] for stray in server.strays} == {(1, "a signature is wrong")}


@both_models
def test_a_signed_message_of_a_later_round_expels_its_sender(model: Model) -> None:
    server, clients, requests = played = at(model, Round.SHARE_KEYS)
    _, others, told = at(model, Round.MASKED_INPUT_COLLECTION)
    clients[5].receive(requests.pop(5))
    body = clients[5]._scope + others[5].receive(told[5])[34:]
    body = body[: len(body) - signature_bytes(model)]
    server.receive(5, b"\1\5" + body + sign(clients[5], Round.MASKED_INPUT_COLLECTION, body))
    assert server.faults == [Fault(5, Round.SHARE_KEYS, "expected ShareKeys (type 3), got type 5")]
    gives_the_sum_of(finish(played), 1, 2, 3, 4)


def test_strays_cannot_fill_the_memory() -> None:
    server, clients, _ = played = at(Model.ACTIVE, Round.SHARE_KEYS)
    for _ in range(100):
        server.receive(1, os.urandom(200))
    assert len(server.strays) == 1
    gives_the_sum_of(finish(played), 1, 2, 3, 4, 5)
    assert len(clients) == 5


def test_tags_cannot_be_guessed_from_the_bytes() -> None:
    """Two servers have two keys, so nobody can look for bytes that one of them would take for others."""
    tags = {Server(Params(n=2, m=1, modulus=64))._deliveries.tag(bytes(100)) for _ in range(5)}
    assert len(tags) == 5


def test_long_messages_are_tagged_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.protocol.deliveries._CHUNK", 16)
    tag = Server(Params(n=2, m=1, modulus=64))._deliveries.tag
    messages = [bytes(size) for size in range(50)] + [bytes(at) + b"\1" + bytes(49 - at) for at in range(50)]
    assert len({tag(message) for message in messages}) == 100
    assert tag(bytes(40)) == tag(bytes(40))


# The client


@every_request
def test_a_repeated_request_gets_the_same_bytes(model: Model, current: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after the last round. Nothing is drawn, sealed, masked, revealed or signed for it."""
    _, clients, requests = at(model, current)
    message = clients[1].receive(requests[1])
    before = dict(vars(clients[1]))
    for what in ("decode", "seal_shares", "open_shares", "shamir", "masking", "encode", "signed_body"):
        monkeypatch.delattr(client_module, what)
    for _ in range(3):
        assert clients[1].receive(bytes(bytearray(requests[1]))) == message
    assert vars(clients[1]) == before


@every_request
def test_an_answer_that_was_lost_is_asked_for_again(model: Model, current: Round) -> None:
    server, clients, requests = played = at(model, current)
    for u, request in requests.items():
        clients[u].receive(request)  # and nothing arrives
    gives_the_sum_of(finish(played), 1, 2, 3, 4, 5)
    assert server.faults == []


def other_requests(kind: type[Request], request: Any, theirs: bytes) -> list[bytes]:
    """A part of the users, another session, another server's request, the same with a byte more, and a header alone."""
    users = request.users[:4]
    lists = {"keys": 4, "ciphertexts": 3, "signatures": 4}
    cut = {field: getattr(request, field)[:rows] for field, rows in lists.items() if hasattr(request, field)}
    fewer = encode(replace(request, users=users, **cut))
    changed = [fewer, theirs, encode(request) + b"\0", bytes((1, kind.TYPE))]
    if hasattr(request, "session"):
        changed.append(encode(replace(request, session=bytes(32))))
    return changed


@every_request
def test_another_request_to_an_answered_round_changes_nothing(model: Model, current: Round) -> None:
    """In the round after it, in all that follow and after the end: the client still answers what it is due."""
    kind = next(kind for kind in ROUNDS[model] if kind.ANSWER.ROUND is current)
    server, clients, requests = at(model, current)
    lies = other_requests(kind, decode(requests[1], kind), at(model, current)[2][1])
    while True:
        for u in requests:
            message = clients[u].receive(requests[u])
            server.receive(u, message)
            if u == 1:
                _refused(clients[1], lies)
                assert clients[1].receive(requests[1]) == message
        requests = server.end_round()
        if server.round is None:
            break
    gives_the_sum_of(server, 1, 2, 3, 4, 5)
    assert server.faults == []


def _refused(client: Client, lies: list[bytes]) -> None:
    before = dict(vars(client))
    for lie in lies:
        with pytest.raises(RemoteProtocolError, match="has been answered, and this is not the last request again"):
            client.receive(lie)
    assert vars(client) == before


@both_models
def test_a_client_never_answers_a_second_unmasking_request(model: Model) -> None:
    """Of each dealer one share leaves, however often and for whichever lists the server asks."""
    _, clients, requests = at(model, Round.UNMASKING)
    client, kind = clients[1], ROUNDS[model][-1]
    state: Any = client._state
    shares = (state.masked if model is Model.ACTIVE else state).shares
    seen = {client.receive(requests[1])}
    request: Any = decode(requests[1], kind)
    for left in range(1, 5):
        users = np.delete(request.users, left)
        signatures = np.delete(request.signatures, left, 0) if model is Model.ACTIVE else request.signatures
        with pytest.raises(RemoteProtocolError, match="Unmasking has been answered"):
            client.receive(encode(replace(request, users=users, signatures=signatures)))
        seen.add(client.receive(requests[1]))
    (message,) = seen
    revealed = [[share.tobytes() in message for share in dealt] for dealt in shares]
    assert revealed == [[False, True]] * N
    assert client.finished


def test_a_client_never_signs_a_second_u3() -> None:
    server, clients, requests = at(Model.ACTIVE, Round.CONSISTENCY_CHECK)
    kind = ROUNDS[Model.ACTIVE][2]
    request: Any = decode(requests[1], kind)
    message = clients[1].receive(requests[1])
    with pytest.raises(RemoteProtocolError, match="ConsistencyCheck has been answered"):
        clients[1].receive(encode(replace(request, users=request.users[:4])))
    assert clients[1].receive(requests[1]) == message
    gives_the_sum_of(finish((server, clients, requests)), 1, 2, 3, 4, 5)


@every_request
def test_whatever_else_is_bad_ends_a_client_and_leaves_nothing(model: Model, current: Round) -> None:
    """The bytes of the last answer, too: a client that has ended answers nothing, not even what it has answered."""
    _, clients, requests = at(model, current)
    bad = requests[1][:-1]
    with pytest.raises((RemoteProtocolError, Abort)):
        clients[1].receive(bad)
    assert clients[1].finished
    assert clients[1]._last_answer is None
    assert clients[1]._state is None
    assert clients[1]._x is None
    for request in (bad, requests[1]):
        with pytest.raises(LocalProtocolError, match="has ended"):
            clients[1].receive(request)


@both_models
def test_a_finished_client_keeps_its_last_answer_and_nothing_else(model: Model) -> None:
    _, clients, requests = at(model, Round.UNMASKING)
    message = clients[1].receive(requests[1])
    last = clients[1]._last_answer
    assert last is not None
    assert (len(last.request), last.answer) == (32, message)
    assert clients[1]._state is None
    assert clients[1]._x is None
    clients[1].forget_answer()
    assert clients[1]._last_answer is None
    with pytest.raises(LocalProtocolError, match="has ended"):
        clients[1].receive(requests[1])


def test_every_round_has_a_byte_that_another_message_can_differ_in() -> None:
    """What `another` rests on."""
    for current in (current for model, current in ALL if model is Model.ACTIVE):
        _, clients, requests = at(Model.ACTIVE, current)
        message = answer(clients[1], requests[1])
        second = another(clients[1], current, message)
        kind = next(kind for kind in Answer.__subclasses__() if current is kind.ROUND)
        assert second != message
        assert decode(second[:-SIGNATURE_BYTES], kind)
