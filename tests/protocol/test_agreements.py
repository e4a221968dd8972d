"""A ciphertext that does not open is tried with OpenSSL first; what a faulty kernel made is made anew."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import Client, Model, Params, RemoteProtocolError, Round, Server, _kernels, live_keys
from secagg.primitives import LIVE, KeyPair, PublicKey
from secagg.protocol.messages import MaskedInputCollection, MaskedInputCollectionRequest, decode, encode

from ..support.rounds import play_until
from ..support.saved import recorded

PARAMS = Params(n=5, m=4, modulus=1 << 12, t=3)
Kernel = Callable[..., None]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel in use, which nobody has found to be wrong."""
    monkeypatch.setattr(LIVE, "_disagreements", 0)
    if not LIVE.in_use:
        pytest.skip(f"keys are agreed on by {LIVE}")


def wrong_in(row: int) -> Kernel:
    """The kernel, but one bit of one agreement is wrong."""
    kernel = _kernels.p256_exchange

    def exchange(agreed: Any, valid: Any, scalar: bytes, xs: Any) -> None:
        kernel(agreed, valid, scalar, xs)
        agreed[row, 31] ^= 1

    return exchange


def share_keys(clients: dict[int, Client], requests: dict[int, bytes], server: Server) -> dict[int, bytes]:
    for u, client in clients.items():
        server.receive(u, client.receive(requests[u]))
    return server.end_round()


def finish(clients: dict[int, Client], requests: dict[int, bytes], server: Server) -> list[int]:
    """The sum, from ShareKeys on."""
    while server.round is not None:
        requests = share_keys(clients, requests, server)
    assert server.sum is not None
    summed: list[int] = server.sum.tolist()
    return summed


@pytest.mark.usefixtures("live")
def test_a_kernel_that_computes_wrongly_costs_no_share_and_no_sum(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Client 2's agreements with user 4, of both keys, are wrong: of row 2 among its neighbours 1, 3, 4, 5."""
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    with monkeypatch.context() as patch:
        patch.setattr(_kernels, "p256_exchange", wrong_in(2))
        server.receive(2, clients[2].receive(requests[2]))
    wrong_seed = clients[2]._state.peers[4].mask_seed  # type: ignore[union-attr]
    requests = share_keys({u: client for u, client in clients.items() if u != 2}, requests, server)

    with caplog.at_level(logging.ERROR, live_keys.__name__):
        answers = {u: client.receive(requests[u]) for u, client in clients.items()}
    unopened = {u: decode(answer, MaskedInputCollection).unopened.tolist() for u, answer in answers.items()}
    assert unopened == {1: [], 2: [], 3: [], 4: [2], 5: []}  # 2 sealed a share under a key that 4 does not have
    assert LIVE.disagreements == 1
    assert "disagree about a key" in caplog.text
    assert not any(secret in caplog.text for secret in (clients[2].session.hex(), wrong_seed.hex()))  # type: ignore[union-attr]

    for u, answer in answers.items():
        server.receive(u, answer)
    assert finish(clients, server.end_round(), server) == [1 + 2 + 3 + 4 + 5] * PARAMS.m
    assert server.faults == []


@pytest.mark.usefixtures("live")
def test_what_one_client_notices_holds_for_all_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client 2's key with user 4 is wrong, which it notices; of client 5 a seed alone, which nothing shows."""
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    kernel, calls = _kernels.p256_exchange, iter("cs")

    def wrong_seed(agreed: Any, valid: Any, scalar: bytes, xs: Any) -> None:
        kernel(agreed, valid, scalar, xs)
        agreed[1, 31] ^= next(calls) == "s"

    for u, wrong in ((2, wrong_in(2)), (5, wrong_seed)):
        with monkeypatch.context() as patch:
            patch.setattr(_kernels, "p256_exchange", wrong)
            server.receive(u, clients[u].receive(requests[u]))
    requests = share_keys({u: client for u, client in clients.items() if u not in (2, 5)}, requests, server)
    assert finish(clients, requests, server) == [1 + 2 + 3 + 4 + 5] * PARAMS.m
    assert LIVE.disagreements == 1


@pytest.mark.usefixtures("live")
def test_a_derivation_that_computes_wrongly_costs_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    derive = _kernels.hkdf_sha256

    def wrong(out: Any, keys: Any, infos: Any) -> None:
        derive(out, keys, infos)
        out[2, 0] ^= 1

    with monkeypatch.context() as patch:
        patch.setattr(_kernels, "hkdf_sha256", wrong)
        server.receive(2, clients[2].receive(requests[2]))
    requests = share_keys({u: client for u, client in clients.items() if u != 2}, requests, server)
    with monkeypatch.context() as patch:
        patch.setattr(_kernels, "hkdf_sha256", wrong)  # it stays wrong
        server.receive(2, clients[2].receive(requests[2]))
    assert LIVE.disagreements == 1
    for u in (1, 3, 4, 5):
        server.receive(u, clients[u].receive(requests[u]))
    assert finish(clients, server.end_round(), server) == [1 + 2 + 3 + 4 + 5] * PARAMS.m


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("altered", [0, 1, 3])
def test_a_ciphertext_that_was_altered_is_tried_once_and_blames_no_kernel(
    monkeypatch: pytest.MonkeyPatch, altered: int
) -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    request = decode(share_keys(clients, requests, server)[2], MaskedInputCollectionRequest)
    ciphertexts = request.ciphertexts.copy()
    ciphertexts[:altered] ^= np.uint8(1)
    request = replace(request, ciphertexts=ciphertexts)
    tries: list[Any] = []
    agree = KeyPair.agree

    def counted(pair: KeyPair, public: PublicKey) -> bytes:
        tries.append(public)
        return agree(pair, public)

    monkeypatch.setattr(KeyPair, "agree", counted)
    if altered < 3:
        answer = decode(clients[2].receive(encode(request)), MaskedInputCollection)
        assert answer.unopened.tolist() == [1, 3, 4][:altered]
    else:
        with pytest.raises(Exception, match="too few shares can be opened"):
            clients[2].receive(encode(request))
    assert len(tries) == altered
    assert (LIVE.disagreements, LIVE.in_use) == (0, True)


def test_private_keys_are_dropped_with_round_2_with_any_error_and_by_leaving() -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    requests = share_keys(clients, requests, server)
    assert all(client._agreements is not None for client in clients.values())
    clients[1].receive(requests[1])
    with pytest.raises(RemoteProtocolError):
        clients[2].receive(b"\0\0")
    clients[3].leave()
    assert [u for u, client in clients.items() if client._agreements is not None] == [4, 5]


def test_a_client_that_was_loaded_has_no_private_keys(tmp_path: Path) -> None:
    """What it saved has none: a ciphertext that does not open then is a missing share at once."""
    session = recorded(Model.SEMI_HONEST)
    path = tmp_path / "client"
    client = session.saved(path)
    session.play(client, 2)
    assert client._agreements is not None
    loaded = session.load(path)
    assert loaded._agreements is None
    session.play(loaded, 3)
