"""What the server refuses: the sender is dropped and listed, and the session goes on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secagg import Abort, Client, Fault, LocalProtocolError, Model, Params, Round, Server, Stray, Threat
from secagg.protocol.messages import AdvertiseKeys, Answer, MaskedInputCollection, ShareKeys, Unmasking, decode, encode
from secagg.shamir import Q

from ..support.rounds import parties, play_until
from ..test_primitives import NOT_ON_CURVE

PARAMS = Params(n=5, m=5, modulus=(1 << 12) - 3, t=3)  # 5 elements of 12 bits: 4 bits of padding
ANSWERS: dict[Round, type[Answer]] = {
    Round.ADVERTISE_KEYS: AdvertiseKeys,
    Round.SHARE_KEYS: ShareKeys,
    Round.MASKED_INPUT_COLLECTION: MaskedInputCollection,
    Round.UNMASKING: Unmasking,
}


def answer(client: Client, request: bytes) -> bytes:
    return client.receive(request) if request else client.start()


def finish(server: Server, clients: dict[int, Client], requests: dict[int, bytes]) -> None:
    """The rest of the session with all that are left."""
    while server.round is not None:
        for u in server.waiting:
            server.receive(u, answer(clients[u], requests[u]))
        requests = server.end_round()


def dropped_for(current: Round, alter: Callable[[bytes], bytes], reason: str) -> None:
    """User 2's message of a round is altered: it alone is dropped and named, and the others' sum is right."""
    server, clients, requests = play_until(current, PARAMS)
    server.receive(2, alter(answer(clients[2], requests[2])))
    assert [(fault.client, fault.round) for fault in server.faults] == [(2, current)]
    assert reason in server.faults[0].reason
    assert 2 not in server.waiting
    finish(server, clients, requests)
    survivors = {1, 3, 4, 5} | ({2} if current is Round.UNMASKING else set())
    assert set(server.survivors) == survivors
    assert server.sum.tolist() == [sum(survivors)] * 5
    assert len(server.faults) == 1


@pytest.mark.parametrize("current", ANSWERS)
@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda data: data[:-1], "ends early"),
        (lambda data: data + b"\0", "1 bytes too many"),
        (lambda data: b"", "not a message of protocol version"),
        (lambda data: b"\0" + data[1:], "not a message of protocol version"),
        (lambda data: data[:1] + b"\2" + data[2:], "got type 2"),
    ],
    ids=["truncated", "extended", "empty", "other version", "other type"],
)
def test_server_drops_senders_of_malformed_messages(
    current: Round, alter: Callable[[bytes], bytes], reason: str
) -> None:
    dropped_for(current, alter, reason)


def altered(kind: type[Answer], change: Callable[[Any], dict[str, Any]]) -> Callable[[bytes], bytes]:
    def alter(data: bytes) -> bytes:
        message = decode(data, kind)
        return encode(replace(message, **change(message)))  # type: ignore[type-var]

    return alter


def overwritten(array: Any, index: int, value: bytes) -> Any:
    changed = array.copy()
    changed[index] = np.frombuffer(value, np.uint8)
    return changed


REJECTIONS: dict[str, tuple[type[Answer], Callable[[Any], dict[str, Any]], str]] = {
    "a key off the curve": (AdvertiseKeys, lambda a: {"s_pk": NOT_ON_CURVE}, "not on the curve"),
    "a key beyond p": (AdvertiseKeys, lambda a: {"c_pk": b"\xff" * 32}, "not on the curve"),
    "two equal keys": (AdvertiseKeys, lambda a: {"s_pk": a.c_pk}, "advertised before"),
    "too few ciphertexts": (ShareKeys, lambda a: {"ciphertexts": a.ciphertexts[:3]}, "3 ciphertexts for 4"),
    "too many ciphertexts": (
        ShareKeys,
        lambda a: {"ciphertexts": np.repeat(a.ciphertexts, 2, axis=0)},
        "8 ciphertexts for 4",
    ),
    "masks for another U2": (MaskedInputCollection, lambda a: {"u2_hash": bytes(32)}, "for another list than U2"),
    "unopened users outside U2": (
        MaskedInputCollection,
        lambda a: {"unopened": np.array([7], np.uint32)},
        "the list of unopened",
    ),
    "itself as unopened": (
        MaskedInputCollection,
        lambda a: {"unopened": np.array([2], np.uint32)},
        "the list of unopened",
    ),
    "a repeated unopened user": (
        MaskedInputCollection,
        lambda a: {"unopened": np.array([3, 3], np.uint32)},
        "the list of unopened",
    ),
    "too many unopened users": (
        MaskedInputCollection,
        lambda a: {"unopened": np.array([1, 3, 4], np.uint32)},
        "only 2 ciphertexts opened",
    ),
    "a short vector": (MaskedInputCollection, lambda a: {"y": a.y[:-1]}, "wrong length"),
    "a long vector": (MaskedInputCollection, lambda a: {"y": bytes(a.y) + b"\0"}, "wrong length"),
    "an empty vector": (MaskedInputCollection, lambda a: {"y": b""}, "wrong length"),
    "an entry not below R": (MaskedInputCollection, lambda a: {"y": b"\xfd\xff" + bytes(6)}, "an entry >= R"),
    "dirty padding": (MaskedInputCollection, lambda a: {"y": bytes(7) + b"\x10"}, "dirty padding"),
    "too few shares": (Unmasking, lambda a: {"shares": a.shares[:4]}, "4 shares for 5 users"),
    "too many shares": (Unmasking, lambda a: {"shares": np.repeat(a.shares, 2, axis=0)}, "10 shares for 5 users"),
    "a share not below q": (
        Unmasking,
        lambda a: {"shares": overwritten(a.shares, 3, Q.to_bytes(32, "big"))},
        "not an element of the field",
    ),
}


@pytest.mark.parametrize("name", REJECTIONS)
def test_server_drops_the_sender_of(name: str) -> None:
    kind, change, reason = REJECTIONS[name]
    dropped_for(kind.ROUND, altered(kind, change), reason)


def test_server_drops_the_later_of_two_users_with_equal_keys() -> None:
    server = Server(PARAMS)
    message = Client(PARAMS, 1).start()
    server.receive(1, message)
    server.receive(2, message)
    assert server.faults == [Fault(2, Round.ADVERTISE_KEYS, "a public key was advertised before")]
    assert server.waiting == {3, 4, 5}


@pytest.mark.parametrize("user", [0, 6, -1, 1 << 40])
def test_server_refuses_unknown_users(user: int) -> None:
    server = Server(PARAMS)
    with pytest.raises(LocalProtocolError, match=r"client ids must be 1 \.\. n = 5"):
        server.receive(user, Client(PARAMS, 1).start())


def test_a_client_cannot_fill_the_list_of_faults() -> None:
    server = Server(PARAMS)
    for _ in range(100):
        server.receive(1, b"")
    assert [fault.client for fault in server.faults] == [1]


@pytest.mark.parametrize("current", ANSWERS)
def test_server_lets_the_first_of_two_messages_stand(current: Round) -> None:
    server, clients, requests = play_until(current, PARAMS)
    message = answer(clients[1], requests[1])
    server.receive(1, message)
    server.receive(1, message)
    assert server.faults == []
    server.receive(1, message[:-1])
    assert server.faults == [Fault(1, current, "has answered this round in two ways")]
    finish(server, clients, requests)
    assert server.sum.tolist() == [15] * 5
    assert server.strays == []


@pytest.mark.parametrize("current", [Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING])
def test_who_missed_a_round_is_refused_in_the_next(current: Round) -> None:
    before = max(earlier for earlier in ANSWERS if earlier < current)
    server, clients, requests = play_until(before, PARAMS)
    late = answer(clients[5], requests[5])
    for u in (1, 2, 3, 4):
        server.receive(u, answer(clients[u], requests[u]))
    requests = server.end_round()
    server.receive(5, late)
    assert server.strays == [Stray(5, current, "the round that it answers has ended")]
    finish(server, clients, requests)
    assert server.sum.tolist() == [10] * 5
    assert server.faults == []


@pytest.mark.parametrize("current", [Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING])
def test_who_is_out_of_the_session_cannot_come_back(current: Round) -> None:
    before = max(earlier for earlier in ANSWERS if earlier < current)
    server, clients, requests = play_until(before, PARAMS)
    for u in (1, 2, 3, 4):
        server.receive(u, answer(clients[u], requests[u]))
    requests = server.end_round()
    message = answer(clients[1], requests[1])
    server.receive(5, message)
    assert server.faults == [Fault(5, current, "is not expected in this round")]
    server.receive(1, message)
    finish(server, clients, requests)
    assert server.sum.tolist() == [10] * 5


def test_a_restarted_client_is_not_expelled() -> None:
    """Its new keys are a second answer to round 0, which the first one stands for; whoever has those can go on."""
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    server.receive(3, Client(PARAMS, 3).start())
    assert server.faults == [Fault(3, Round.ADVERTISE_KEYS, "has answered this round in two ways")]
    finish(server, clients, requests)
    assert server.survivors == (1, 2, 3, 4, 5)


def test_a_message_of_a_later_round_is_a_fault_of_its_sender() -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    later = play_until(Round.MASKED_INPUT_COLLECTION, PARAMS)
    message = later[1][3].receive(later[2][3])
    server.receive(3, message[:2] + server._scope + message[34:])
    assert server.faults == [Fault(3, Round.SHARE_KEYS, "expected ShareKeys (type 3), got type 5")]
    finish(server, clients, requests)
    assert server.survivors == (1, 2, 4, 5)


@pytest.mark.parametrize("dropped", [set(), {4}], ids=["b", "s_sk"])
@pytest.mark.parametrize("wrong", [bytes(32), bytes(31) + b"\1"])
def test_server_notices_that_all_shares_of_a_secret_are_wrong(dropped: set[int], wrong: bytes) -> None:
    server, clients, requests = play_until(Round.UNMASKING, PARAMS, {Round.MASKED_INPUT_COLLECTION: dropped})
    for u in (1, 2, 3):
        message = decode(clients[u].receive(requests[u]), Unmasking)
        server.receive(u, encode(replace(message, shares=overwritten(message.shares, 3, wrong))))
    with pytest.raises(Abort, match="too many shares of user 4's secret are wrong"):
        server.end_round()
    ended(server)
    assert server.faults == []  # nobody is blamed: any of them may have lied


def test_server_corrects_a_wrong_share() -> None:
    server, clients, requests = play_until(Round.UNMASKING, PARAMS)
    for u in clients:
        message = decode(clients[u].receive(requests[u]), Unmasking)
        shares = overwritten(message.shares, 3, bytes(32)) if u == 2 else message.shares
        server.receive(u, encode(replace(message, shares=shares)))
    server.end_round()
    assert server.sum.tolist() == [15] * 5
    assert server.disputes == [(2, 4)]
    assert server.faults == []


def ended(server: Server) -> None:
    assert server.round is None
    assert not server.ready
    assert not server.waiting
    for call in (server.end_round, lambda: server.receive(1, b"")):
        with pytest.raises(LocalProtocolError, match="this session has ended"):
            call()
    with pytest.raises(LocalProtocolError, match="no sum"):
        _ = server.sum


def test_an_aborted_server_answers_nothing_more() -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    server.receive(1, clients[1].receive(requests[1]))
    with pytest.raises(Abort, match="ShareKeys: 1 answered, 3 needed"):
        server.end_round()
    ended(server)


def test_a_finished_server_answers_nothing_more() -> None:
    server, clients, requests = play_until(Round.UNMASKING, PARAMS)
    finish(server, clients, requests)
    with pytest.raises(LocalProtocolError, match="this session has ended"):
        server.receive(1, b"")
    assert server.sum.tolist() == [15] * 5


@pytest.mark.parametrize("threat", [Threat.CLIENTS_ONLY, Threat.SERVER_ONLY])
def test_one_lie_blames_nobody_even_if_no_user_is_declared_corrupt(threat: Threat) -> None:
    params = Params(n=5, m=1, modulus=1 << 8, t=3, threat=threat)
    server, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, params)
    message = decode(clients[2].receive(requests.pop(2)), MaskedInputCollection)
    server.receive(2, encode(replace(message, unopened=np.array([4], np.uint32))))
    for u, request in requests.items():
        server.receive(u, clients[u].receive(request))
    for u, request in server.end_round().items():
        answer = decode(clients[u].receive(request), Unmasking)
        shares = np.delete(answer.shares, 3, axis=0) if u == 2 else answer.shares
        server.receive(u, encode(replace(answer, shares=shares)))
    server.end_round()
    assert server.sum.tolist() == [15]
    assert server.disputes == [(2, 4)]
    assert server.faults == []


def outcome(server: Server) -> tuple[object, ...]:
    users = range(1, server.params.n + 1)
    assert {u for u in users if server.has_answered(u)} == server.answered
    assert {u for u in users if server.is_waiting_for(u)} == server.waiting
    assert (server.answered_count, server.waiting_count) == (len(server.answered), len(server.waiting))
    return server.round, server.answered, server.waiting, server.faults, server.strays


@pytest.mark.parametrize("model", Model)
def test_messages_that_are_taken_together_have_the_same_outcome(model: Model) -> None:
    """Also where some are altered, repeated, of an earlier round, or a second answer."""
    active = model is Model.ACTIVE
    params = Params(n=12, m=4, t=9 if active else 7, modulus=1 << 12, model=model)
    together, clients = parties(params)
    single, each = (Server(params, roster=together._pki._roster) for _ in range(2))
    requests, earlier = dict.fromkeys(clients, b""), dict[int, bytes]()
    for bad in (12, 11, 10, 9, 8)[: 5 if active else 4]:
        answers = {u: clients[u].receive(requests[u]) if requests[u] else clients[u].start() for u in requests}
        altered = {u: message[:-1] + bytes([message[-1] ^ 1]) * active for u, message in answers.items()}
        batches = [answers | {bad: altered[bad]}, {1: answers[1], 2: altered[2], bad: answers[bad]}]
        for batch in [*batches, {1: b"none", 3: earlier.get(3, b""), 4: answers[5]}]:
            together.receive_all(batch)
            for (u, message), taken in zip(batch.items(), each.receive_each(batch), strict=True):
                single.receive(u, message)
                assert taken == u
                assert outcome(each) == outcome(single)
            assert outcome(together) == outcome(single)
        requests, earlier = together.end_round(), answers
        assert single.end_round() == each.end_round() == requests
    assert list(each.receive_each({1: answers[1]})) == [1]  # again, after the end
    assert outcome(each)[1:3] == (frozenset(), frozenset())
    assert each.strays == single.strays
    assert together.sum.tolist() == single.sum.tolist()
    assert together.strays if active else together.faults


def test_a_batch_with_an_unknown_user_is_refused_whole() -> None:
    server, clients = parties(Params(n=5, m=4, t=4, modulus=1 << 12, model=Model.ACTIVE))
    with pytest.raises(LocalProtocolError, match="client ids must be"):
        server.receive_all({1: clients[1].start(), 6: b""})
    assert server.answered == frozenset()
    server.receive_all({})
    with pytest.raises(LocalProtocolError, match="client ids must be"):
        list(server.receive_each({2: clients[2].start(), 6: b""}))
    assert server.answered == frozenset()
