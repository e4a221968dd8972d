"""Whole sessions, drawn step by step: users vanish, messages come twice, late, out of order or altered, corrupt users
sign what they like. Whatever happens, either the sum is right or the session ends in one of the package's errors, and
what happens on the way only is nobody's fault.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from numpy.typing import NDArray

from secagg import (
    Abort,
    Client,
    Identity,
    Model,
    Params,
    RemoteProtocolError,
    Roster,
    Round,
    Server,
    Threat,
    masking,
    rounds_of,
    vector,
)
from secagg.protocol.client_state import Shared
from secagg.protocol.graph import Sparse
from secagg.protocol.messages import (
    Answer,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    Message,
    Request,
    decode,
    encode,
    signed,
)
from secagg.protocol.unmask import pairwise_signs, prg_nonce, seed_array
from secagg.signatures import SIGNATURE_BYTES

from ..support.rounds import play_until

TYPES: dict[int, type[Message]] = {kind.TYPE: kind for kind in (*Answer.__subclasses__(), *Request.__subclasses__())}
CLIENTS_ONLY: dict[str, Any] = {"threat": Threat.CLIENTS_ONLY, "allow_single_input": True}
SIZES: list[dict[str, Any]] = [
    {"n": 3, "t": 2, "n_corrupt": 1, "modulus": 1 << 12, **CLIENTS_ONLY},
    {"n": 4, "t": 3, "n_corrupt": 1, "modulus": (1 << 12) - 3},
    {"n": 5, "t": 3, "n_corrupt": 2, "modulus": (1 << 40) - 87, **CLIENTS_ONLY},
    {"n": 5, "t": 4, "n_corrupt": 1, "modulus": 1 << 20},
]
SPARSE: dict[Model, dict[str, Any]] = {
    Model.SEMI_HONEST: {
        "n": 7, "t": 3, "n_corrupt": 1, "modulus": 1 << 12, "graph": Sparse(4), "min_joined": 6, "min_users": 5
    },
    Model.ACTIVE: {
        "n": 9, "t": 6, "n_corrupt": 1, "modulus": 1 << 12, "graph": Sparse(6), "min_joined": 8, "min_users": 6
    },
}  # fmt: skip
KEYS = {u: Ed25519PrivateKey.from_private_bytes(bytes([u] * 32)) for u in range(1, 10)}
ROSTERS = {n: Roster({u: KEYS[u].public_key().public_bytes_raw() for u in range(1, n + 1)}) for n in (3, 4, 5, 9)}


def parties(params: Params, seed: int) -> tuple[Server, dict[int, Client], dict[int, list[int]]]:
    """The server, the clients and their inputs, the same for the same seed."""
    users = range(1, params.n + 1)
    roster = ROSTERS[params.n] if params.model is Model.ACTIVE else None
    inputs = {u: [random.Random(seed * 9 + u).randint(0, params.max_value) for _ in range(params.m)] for u in users}
    clients = {
        u: Client(
            params,
            u,
            inputs[u],
            identity=Identity(KEYS[u]) if roster else None,
            roster=roster,
            rand=random.Random(seed * 9 + u).randbytes,
        )
        for u in users
    }
    return Server(params, roster=roster), clients, inputs


def foreign_messages(model: Model) -> list[bytes]:
    """Every message of a session of the same users under another nonce."""
    server, clients, _ = parties(Params(m=3, model=model, nonce=b"another session.", **SIZES[1]), seed=99)
    messages: list[bytes] = []
    requests = dict.fromkeys(clients, b"")
    while server.round is not None:
        if server.round is Round.MASKED_INPUT_COLLECTION:
            del requests[3]
        for u, request in requests.items():
            answer = clients[u].receive(request) if request else clients[u].start()
            messages += [request, answer]
            server.receive(u, answer)
        requests = server.end_round()
    return messages


FOREIGN = {model: foreign_messages(model) for model in Model}


@st.composite
def spliced(draw: st.DrawFn, message: bytes, others: list[bytes]) -> bytes:
    """A slice gives way to other bytes, or to none: also truncation, extension and another message for this one."""
    start, stop = sorted(draw(st.tuples(*[st.integers(0, len(message))] * 2)))
    other = draw(st.sampled_from(others))
    fillings: list[Callable[[], bytes]] = [
        lambda: b"",
        lambda: bytes(stop - start),
        lambda: b"\xff" * (stop - start),
        lambda: draw(st.binary(max_size=40)),
        lambda: random.Random(stop).randbytes(stop - start),
        lambda: message[start:stop] * 2,
        lambda: other[start:stop],
    ]
    return draw(st.sampled_from([other, message[:start] + draw(st.sampled_from(fillings))() + message[stop:]]))


@st.composite
def bit_flipped(draw: st.DrawFn, message: bytes) -> bytes:
    return (int.from_bytes(message) ^ 1 << draw(st.integers(0, 8 * len(message) - 1))).to_bytes(len(message))


@st.composite
def rearranged(draw: st.DrawFn, message: bytes) -> bytes:
    """The items of one list left out, repeated or in another order."""
    decoded = decode(message, TYPES[message[1]])
    lists = {name: value for name, value in vars(decoded).items() if isinstance(value, np.ndarray) and len(value)}
    if not lists:
        return draw(bit_flipped(message))
    name = draw(st.sampled_from(sorted(lists)))
    size = len(lists[name])
    rows = draw(st.permutations(range(size)) | st.lists(st.integers(0, size - 1), max_size=size + 2))
    return encode(type(decoded)(**vars(decoded) | {name: lists[name][np.array(rows, np.intp)]}))


@st.composite
def without_users(draw: st.DrawFn, message: bytes, recipient: int) -> bytes:
    """A request as it would be without some of the users, all its lists in step."""
    decoded = decode(message, TYPES[message[1]])
    users: NDArray[np.uint32] = vars(decoded).get("users", np.empty(0, np.uint32))
    remaining = np.array([draw(st.booleans()) or u == recipient for u in users.tolist()], np.bool_)
    by_length = {len(users): remaining, len(users) - 1: remaining[users != recipient]}
    fields = {
        name: value[by_length[len(value)]] if isinstance(value, np.ndarray) and len(value) in by_length else value
        for name, value in vars(decoded).items()
    }
    return encode(type(decoded)(**fields))


def spoiled(message: bytes, others: list[bytes], recipient: int = 0) -> st.SearchStrategy[bytes]:
    """`message`, a header and a body without signature, altered in one of these ways."""
    return (
        bit_flipped(message)
        | spliced(message, others)
        | rearranged(message)
        | (without_users(message, recipient) if recipient else st.nothing())
    )


class Session(RuleBasedStateMachine):
    """One session with an honest server. `victims` are the users to whom anything can happen; `touched` are those to
    whom something has for which they may be blamed: neither to vanish nor to be heard late or twice, and in the active
    model not that their messages were altered. `corrupt` have signed something of their own. `delayed` are true
    messages on their way, `accepted` those that the server has taken, `last` and `told` what each client has heard and
    said."""

    MODEL = Model.SEMI_HONEST

    @initialize(
        sizes=st.sampled_from([*SIZES, None]),
        seed=st.integers(0, 3),
        rounds=st.integers(0, 4),
        absent=st.integers(0, 5),
        many=st.booleans(),
        data=st.data(),
    )
    def begin(
        self, sizes: dict[str, Any] | None, seed: int, rounds: int, absent: int, many: bool, data: st.DataObject
    ) -> None:
        """Some rounds pass without incident, but that one user, if there is one of this id, sends no masked input."""
        self.absent = absent
        self.params = Params(m=3, model=self.MODEL, nonce=bytes(16), **(SPARSE[self.MODEL] if sizes is None else sizes))
        self.server, self.clients, self.inputs = parties(self.params, seed)
        max_victims = self.params.n if many else self.params.n_corrupt
        self.victims = data.draw(st.sets(st.sampled_from(sorted(self.clients)), min_size=1, max_size=max_victims))
        self.touched: set[int] = set()
        self.corrupt: set[int] = set()
        self.delayed: list[tuple[int, bytes]] = []
        self.accepted: list[tuple[int, bytes]] = []
        self.last: dict[int, tuple[bytes, bytes]] = {}
        self.told: dict[int, list[bytes]] = {u: [] for u in self.clients}
        self.own: dict[int, NDArray[Any]] = {}
        self.shared: dict[int, Shared] = {}
        self.others = list(FOREIGN[self.MODEL])
        self.seen: list[bytes] = []
        self.requests = dict.fromkeys(self.clients, b"")
        self.pending = dict(self.requests)
        for _ in range(rounds % len(rounds_of(self.params))):
            self.end_round()

    @property
    def over(self) -> bool:
        return self.server.round is None

    @property
    def reachable(self) -> list[int]:
        """Victims who have not answered this round."""
        return sorted(self.victims & set(self.pending))

    @property
    def protected(self) -> bool:
        """In the semi-honest model, y_u's channel protects it."""
        return self.MODEL is Model.SEMI_HONEST and self.server.round is Round.MASKED_INPUT_COLLECTION

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Somebody's message comes next."""
        if self.pending:
            self.exchange(data.draw(st.sampled_from(sorted(self.pending))))

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.reachable)
    def drop(self, data: st.DataObject) -> None:
        del self.pending[data.draw(st.sampled_from(self.reachable))]

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.reachable and self.server.round is not Round.ADVERTISE_KEYS)
    def spoil_request(self, data: st.DataObject) -> None:
        u = data.draw(st.sampled_from(self.reachable))
        bad = data.draw(spoiled(self.requests[u], self.others, recipient=u))
        if bad != self.requests[u]:
            self.touched.add(u)
            self.pending[u] = bad

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.reachable and not self.protected)
    def spoil_answer(self, data: st.DataObject) -> None:
        """In the active model the server refuses it, for its signature is wrong; the true one may still come."""
        u = data.draw(st.sampled_from(self.reachable))
        answer = self.answer(u)
        if answer is not None:
            size = len(answer) - self.signature_bytes
            bad = data.draw(
                spoiled(answer[:size], self.others).map(lambda bad: bad + answer[size:]) | bit_flipped(answer)
            )
            self.send(u, bad, unaltered=bad == answer)
            if self.MODEL is Model.ACTIVE:
                self.delayed.append((u, answer))

    @rule(data=st.data())
    @precondition(lambda self: not self.over and not self.protected)
    def inject(self, data: st.DataObject) -> None:
        """A message of an earlier round or another session comes as a victim's, due or not."""
        u = data.draw(st.sampled_from(sorted(self.victims)))
        if self.MODEL is Model.SEMI_HONEST:
            self.pending.pop(u, None)
            if not self.clients[u]._started:  # it may be in the session now, although it has vanished
                self.clients[u].start()
        self.send(u, data.draw(st.sampled_from(self.others)))

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.reachable)
    def delay(self, data: st.DataObject) -> None:
        """An answer is on its way, and may come in this round, later, or not at all."""
        u = data.draw(st.sampled_from(self.reachable))
        answer = self.answer(u)
        if answer is not None:
            self.delayed.append((u, answer))

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.delayed)
    def arrive(self, data: st.DataObject) -> None:
        u, message = self.delayed.pop(data.draw(st.integers(0, len(self.delayed) - 1)))
        self.send(u, message, unaltered=True)

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.accepted)
    def repeat_answers(self, data: st.DataObject) -> None:
        """Messages of this round and of all before, in any order."""
        self.replay(data.draw(st.lists(st.sampled_from(self.accepted), min_size=1, max_size=4)))

    @rule(data=st.data())
    @precondition(lambda self: self.last)
    def repeat_request(self, data: st.DataObject) -> None:
        """A client hears again what it has answered: the last request, for which it gives the same bytes, or another,
        to which it says nothing."""
        u = data.draw(st.sampled_from(sorted(self.last)))
        client, (request, answer) = self.clients[u], self.last[u]
        before = dict(vars(client))
        earlier = data.draw(st.sampled_from([b"", *(told for told in self.told[u] if told != request)]))
        if earlier:
            with pytest.raises(RemoteProtocolError, match="has been answered"):
                client.receive(earlier)
        assert client.receive(request) == answer
        assert vars(client) == before

    def replay(self, messages: list[tuple[int, bytes]]) -> None:
        """The server has these messages, and takes no notice."""
        before = (list(self.server.faults), list(self.server.strays), self.server.waiting, self.server.answered)
        for u, message in messages:
            self.server.receive(u, message)
        assert before == (self.server.faults, self.server.strays, self.server.waiting, self.server.answered)

    @rule()
    def end_round(self) -> None:
        """The rest of the messages come; the sum, if there is one, is right."""
        if self.over:
            return
        for u in sorted(self.pending):
            self.exchange(u)
        ending = self.server.round
        try:
            requests = self.server.end_round()
        except Abort:
            event(f"{self.MODEL.name}: abort in round {ending}")
            requests = {}
        if ending is Round.SHARE_KEYS:
            self.u2 = np.array(sorted(requests), np.uint32)
        if ending is Round.MASKED_INPUT_COLLECTION:
            self.u3 = tuple(requests)
        if self.MODEL is Model.ACTIVE:
            self.others += self.seen
        self.seen = list(requests.values())
        self.requests, self.pending = requests, dict(requests)
        if self.server.round is Round.MASKED_INPUT_COLLECTION:
            self.pending.pop(self.absent, None)
        if self.over:
            self.check_end()

    def teardown(self) -> None:
        while hasattr(self, "pending") and not self.over:
            self.end_round()

    @property
    def signature_bytes(self) -> int:
        return SIGNATURE_BYTES if self.MODEL is Model.ACTIVE else 0

    def exchange(self, u: int) -> None:
        """The user answers, if it can, and the server gets the answer."""
        answer = self.answer(u)
        if answer is not None:
            self.send(u, answer, unaltered=True)

    def answer(self, u: int) -> bytes | None:
        """The answer of u's machine, whose errors may only be these two."""
        request, client = self.pending.pop(u), self.clients[u]
        try:
            answer = client.start() if self.server.round is Round.ADVERTISE_KEYS else client.receive(request)
        except (Abort, RemoteProtocolError):
            if client.finished:
                self.last.pop(u, None)
                return None
            request = self.requests[u]  # what came was to a round that it had answered, and changed nothing
            answer = client.receive(request)
        if request:
            self.last[u] = request, answer
            self.told[u].append(request)
        if isinstance(client._state, Shared):
            self.shared[u] = client._state
        return answer

    def send(self, u: int, message: bytes, unaltered: bool = False, forged: bool = False) -> None:
        on_the_way = self.MODEL is Model.ACTIVE and not unaltered and not forged
        if not unaltered and not on_the_way:
            self.touched.add(u)
        due, faults = u in self.server.waiting, list(self.server.faults)
        self.seen.append(message)
        self.server.receive(u, message)
        if on_the_way:
            assert self.server.faults == faults
            assert (u in self.server.waiting) == due
        if due and u in self.server.answered:
            self.accepted.append((u, message))
        if self.server.round is Round.MASKED_INPUT_COLLECTION and due and u in self.server._answered:
            self.own[u] = self.own_vector(u, message)

    def own_vector(self, u: int, message: bytes) -> NDArray[Any]:
        """What u adds to the sum, whatever it is: y_u without the masks that the others know."""
        shared = self.shared[u]
        others = self.params.graph.over(shared.session, shared.users).neighbours(u, self.u2)
        answer = decode(message[: len(message) - self.signature_bytes], MaskedInputCollection)
        own = vector.unpack(answer.y, self.params.m, self.params.modulus)
        seeds = shared.b_seed + b"".join(shared.peers[v].mask_seed for v in others.tolist())
        signs = np.append(np.int8(1), pairwise_signs(u, others))
        nonce = prg_nonce(shared.session)
        masking.mask_sum(own, seed_array(seeds), -signs, modulus=self.params.modulus, nonce=nonce)
        return own

    def check_end(self) -> None:
        """Honest inputs are in the sum exactly; of the others, what they chose. Nobody is blamed for nothing."""
        self.replay(self.accepted)
        if self.server._result is not None:
            event(f"{self.MODEL.name}: sum, {'touched' if self.touched else 'untouched'}")
            expected = [0] * self.params.m
            assert self.server.survivors == self.u3
            for u in self.u3:
                vector_of_u = self.own[u].tolist() if u in self.corrupt else self.inputs[u]
                expected = [(a + b) % self.params.modulus for a, b in zip(expected, vector_of_u, strict=True)]
            assert self.server.sum.tolist() == expected
        if len(self.touched) <= self.params.n_corrupt:
            assert {fault.client for fault in self.server.faults} <= self.touched
            assert all(self.touched & {*pair} for pair in self.server.disputes)


class ActiveSession(Session):
    MODEL = Model.ACTIVE

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.reachable)
    def forge(self, data: st.DataObject) -> None:
        """A victim is corrupt, and signs what it makes of its answer."""
        u = data.draw(st.sampled_from(self.reachable))
        answer = self.answer(u)
        if answer is not None:
            self.corrupt.add(u)
            content = data.draw(spoiled(answer[:-SIGNATURE_BYTES], self.others))
            self.send(u, content + self.sign(u, content), forged=True)

    def sign(self, u: int, content: bytes) -> bytes:
        try:
            answer = decode(content, TYPES[content[1]])
        except (RemoteProtocolError, LookupError):
            return bytes(SIGNATURE_BYTES)
        if not isinstance(answer, Answer):
            return bytes(SIGNATURE_BYTES)
        return KEYS[u].sign(signed(self.clients[u]._scope, u, answer))


TestSemiHonestSession = Session.TestCase
TestSemiHonestSession.settings = settings(Session.TestCase.settings, max_examples=300, stateful_step_count=10)
TestActiveSession = pytest.mark.slow(ActiveSession.TestCase)
TestActiveSession.settings = settings(ActiveSession.TestCase.settings, max_examples=400, stateful_step_count=10)


@pytest.mark.parametrize("model", Model)
def test_input_masked_for_other_users_is_refused(model: Model) -> None:
    """One user is shown a U2 without user 4, all else in order: its y_u would lack a mask that the others' have."""
    server, clients, requests = play_until(
        Round.MASKED_INPUT_COLLECTION, Params(n=4, t=3, n_corrupt=1, m=3, modulus=1 << 12, model=model)
    )
    request = decode(requests[1], MaskedInputCollectionRequest)
    requests[1] = encode(MaskedInputCollectionRequest(request.session, request.users[:3], request.ciphertexts[:2]))
    while server.round is not None:
        for u, data in requests.items():
            server.receive(u, clients[u].receive(data))
        requests = server.end_round()
    assert [(fault.client, fault.round) for fault in server.faults] == [(1, Round.MASKED_INPUT_COLLECTION)]
    assert server.survivors == (2, 3, 4)
    assert server.sum.tolist() == [9] * 3
