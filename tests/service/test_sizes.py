"""The sizes that are derived from parameters are those of real messages, to the byte."""

from collections.abc import Callable

import numpy as np
import pytest

from secagg import Client, Identity, Model, Params, Roster, Round, Server, rounds_of
from secagg.service.sizes import answer_bytes, request_bytes


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize(("n", "m", "bits"), [(4, 1, 1), (5, 7, 13), (9, 100, 62)])
def test_the_largest_messages_are_as_long_as_that(model: Model, n: int, m: int, bits: int) -> None:
    identities = {u: Identity.generate() for u in range(1, n + 1)} if model is Model.ACTIVE else {}
    roster = Roster({u: each.verification_key for u, each in identities.items()}) if identities else None
    params = Params(n=n, m=m, modulus=1 << max(bits, n.bit_length()), model=model, n_corrupt=1)
    server = Server(params, roster=roster)
    clients = {
        u: Client(params, u, np.zeros(m, params.dtype), identity=identities.get(u), roster=roster)
        for u in range(1, n + 1)
    }
    answers = {u: client.start() for u, client in clients.items()}
    assert request_bytes(params, Round.ADVERTISE_KEYS) == 0
    for current in rounds_of(params):
        _all_have(answers, answer_bytes(params, current), current)
        for u, answer in answers.items():
            server.receive(u, answer)
        requests = server.end_round()
        if server.round is not None:
            _all_have(requests, request_bytes(params, server.round) - _shortened(n), server.round)
            answers = {u: clients[u].receive(request) for u, request in requests.items()}
    assert server.survivors == tuple(clients)


def _all_have(messages: dict[int, bytes], largest: int, current: Round) -> None:
    """A masked input may list ciphertexts that did not open; here all have opened."""
    room: Callable[[Round], int] = lambda r: 4 * (len(messages) - 1) if r is Round.MASKED_INPUT_COLLECTION else 0  # noqa: E731
    sizes = {len(message) for message in messages.values()}
    assert len(sizes) == 1
    assert largest - sizes.pop() in (0, room(current))


def _shortened(n: int) -> int:
    """Each request lists all users 1 .. n: as a bitmap, which ids of a roster may be too large for."""
    return 4 * n - -(-n // 8)
