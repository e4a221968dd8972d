"""Mutated messages against the machines: a client may end with the package's errors only, a server lists a fault.

Honest sessions are recorded once; an example replays one, from the same random bytes, up to the message it spoils.
"""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import Abort, Client, LocalProtocolError, Params, RemoteProtocolError, Round, SecAggError, Server
from secagg.protocol.messages import Answer, Message, Request, decode, encode

PARAMS = Params(n=3, t=2, n_corrupt=0, m=3, modulus=(1 << 12) - 3, nonce=bytes(16))
USERS = range(1, PARAMS.n + 1)
ROUNDS = [Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING]
Messages = dict[tuple[Round, int], bytes]
Mutation = Callable[[bytes, int, int, bytes], bytes]


def new_client(u: int, seed: int) -> Client:
    return Client(PARAMS, u, [u] * PARAMS.m, rand=random.Random(seed + u).randbytes)


def record(seed: int, lost: int | None) -> tuple[Messages, Messages]:
    """Every answer, and the request before it, of a session in which user `lost` never sends its masked input."""
    server, clients = Server(PARAMS), {u: new_client(u, seed) for u in USERS}
    answers: Messages = {}
    requests: Messages = {}
    pending = dict.fromkeys(USERS, b"")
    while (current := server.round) is not None:
        if current is Round.MASKED_INPUT_COLLECTION:
            pending.pop(lost or 0, None)
        for u, request in pending.items():
            requests[current, u] = request
            answers[current, u] = clients[u].receive(request) if request else clients[u].start()
            server.receive(u, answers[current, u])
        pending = server.end_round()
    assert server.sum.tolist() == [sum({*USERS} - {lost})] * PARAMS.m
    return answers, requests


SESSIONS = {"nobody": record(seed=0, lost=None), "user 3": record(seed=0, lost=3)}  # by who is lost
FOREIGN = record(seed=99, lost=None)
EVERY_MESSAGE = sorted({m for session in (*SESSIONS.values(), FOREIGN) for part in session for m in part.values()})

MUTATIONS: dict[str, Mutation] = {
    "flip a bit": lambda own, i, j, _: (int.from_bytes(own) ^ 1 << i * 8 + j % 8).to_bytes(len(own)) if own else own,
    "cut off the end": lambda own, i, j, _: own[:j],
    "cut off the front": lambda own, i, j, _: own[i:],
    "leave out a slice": lambda own, i, j, _: own[:i] + own[j:],
    "repeat a slice": lambda own, i, j, _: own[:j] + own[i:],
    "zeros for a slice": lambda own, i, j, _: own[:i] + bytes(j - i) + own[j:],
    "ones for a slice": lambda own, i, j, _: own[:i] + b"\xff" * (j - i) + own[j:],
    "extend": lambda own, i, j, other: own + other[i:j],
    "a slice of another": lambda own, i, j, other: own[:i] + other[i:j] + own[j:],
    "the rest of another": lambda own, i, j, other: own[:i] + other[i:],
    "random bytes": lambda own, i, j, _: own[:i] + random.Random(j).randbytes(j - i) + own[j:],
    "another message": lambda own, i, j, other: other,
}


TYPES: dict[int, type[Message]] = {kind.TYPE: kind for kind in (*Answer.__subclasses__(), *Request.__subclasses__())}


@st.composite
def mutated(draw: st.DrawFn, message: bytes) -> bytes:
    last = max(len(message) - 1, 0)
    start, stop = draw(st.integers(0, last)), draw(st.integers(0, last))
    mutation = MUTATIONS[draw(st.sampled_from(list(MUTATIONS)))]
    return mutation(message, min(start, stop), max(start, stop) + 1, draw(st.sampled_from(EVERY_MESSAGE)))


@st.composite
def rearranged(draw: st.DrawFn, message: bytes) -> bytes:
    """The same with the items of one array left out, repeated or in another order: it still decodes."""
    decoded = decode(message, TYPES[message[1]])
    arrays = {name: value for name, value in vars(decoded).items() if isinstance(value, np.ndarray) and len(value)}
    if not arrays:
        return draw(mutated(message))
    name = draw(st.sampled_from(list(arrays)))
    size = len(arrays[name])
    rows = draw(st.permutations(range(size)) | st.lists(st.integers(0, size - 1), max_size=size + 2))
    fields = vars(decoded) | {name: arrays[name][np.array(rows, np.intp)]}
    return encode(type(decoded)(**fields))


def spoiled(message: bytes) -> st.SearchStrategy[bytes]:
    return mutated(message) | rearranged(message)


def hear(client: Client, request: bytes, honest: bytes) -> bytes:
    """The answer to a request, or if that is to a round before, and so changes nothing, to the honest one."""
    try:
        return client.receive(request)
    except RemoteProtocolError:
        if client.finished:
            raise
        return client.receive(honest)


@pytest.mark.parametrize("current", ROUNDS[1:], ids=str)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_client_answers_or_ends(current: Round, data: st.DataObject) -> None:
    """One request is spoiled; if it is answered all the same, the honest ones follow."""
    _, requests = SESSIONS[data.draw(st.sampled_from(list(SESSIONS)))]
    u = data.draw(st.sampled_from([u for at, u in requests if at is current]))
    bad = data.draw(spoiled(requests[current, u]))
    client = new_client(u, seed=0)
    client.start()
    try:
        for at in ROUNDS[1:]:
            if (at, u) in requests:
                assert hear(client, bad if at is current else requests[at, u], requests[at, u])
    except SecAggError:
        assert client.finished
        assert client._state is None
        assert client._x is None
        with pytest.raises(LocalProtocolError, match="has ended"):
            client.receive(requests[current, u])


def deliver(server: Server, messages: list[tuple[int, bytes]]) -> int:
    """Gives the server messages that may be anything; returns how many of them it took. What it did not take is nothing
    that it had, or a stray, or its sender is out."""
    taken = 0
    for sender, message in messages:
        due, faults = sender in server.waiting, len(server.faults)
        server.receive(sender, message)
        taken += due and sender in server.answered
        if sender in server.waiting:
            assert len(server.faults) == faults or server.faults[-1].reason == "has answered this round in two ways"
    return taken


@pytest.mark.parametrize("current", ROUNDS, ids=str)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_server_lists_faults(current: Round, data: st.DataObject) -> None:
    """Some messages of one round come first, spoiled; the honest ones of all rounds follow.

    Only a masked input that the server took may change the sum: wrong shares are noticed.
    """
    answers, _ = SESSIONS[data.draw(st.sampled_from(list(SESSIONS)))]
    messages = [
        (sender, data.draw(spoiled(answers.get((current, sender), answers[current, 1]))))
        for sender in data.draw(st.lists(st.sampled_from(USERS), min_size=1, max_size=3))
    ]
    server = Server(PARAMS)
    taken = 0
    try:
        for at in ROUNDS:
            taken += deliver(server, messages if at is current else [])
            deliver(server, [(u, answer) for (then, u), answer in answers.items() if then is at])
            requests = server.end_round()
            assert all(isinstance(request, bytes) and u in USERS for u, request in requests.items())
    except (Abort, RemoteProtocolError):
        assert server.round is None
        return
    assert server.round is None
    if not (taken and current is Round.MASKED_INPUT_COLLECTION):
        assert server.sum.tolist() == [sum(server.survivors)] * PARAMS.m
