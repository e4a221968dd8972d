"""What a client draws follows from its seed, the setup, the round and the request, and from nothing else."""

import hmac
import itertools

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from secagg import Client, LocalProtocolError, Model, Round
from secagg.errors import ArgumentTypeError
from secagg.protocol.randomness import Randomness, drawn_seed, noise_secret

from ..support.saved import recorded

SEEDS, SETUPS = (bytes(32), bytes([1]) * 32), (bytes(32), bytes([2]) * 32)
DIGESTS = (b"", bytes(32), bytes([3]) * 32)


def hkdf(secret: bytes, size: int, info: bytes) -> bytes:
    """RFC 5869 for at most 32 bytes."""
    return hmac.digest(hmac.digest(bytes(32), secret, "sha256"), info + b"\1", "sha256")[:size]


def test_a_stream_is_aes_in_counter_mode_under_a_key_of_its_own() -> None:
    info = b"secagg v1 randomness\0" + SETUPS[1] + bytes([1]) + DIGESTS[2]
    block = Cipher(AES256(hkdf(SEEDS[1], 32, info)), ECB()).encryptor().update
    expected = b"".join(block(i.to_bytes(16, "big")) for i in range(10))
    rand = Randomness(SEEDS[1], SETUPS[1]).of_round(Round.SHARE_KEYS, DIGESTS[2])
    assert b"".join(rand(size) for size in (1, 15, 32, 0, 7, 33)) == expected[:88]


def test_streams_that_differ_in_anything_are_unrelated_and_equal_ones_are_equal() -> None:
    cases = list(itertools.product(SEEDS, SETUPS, (Round.ADVERTISE_KEYS, Round.SHARE_KEYS), DIGESTS))
    drawn = [Randomness(seed, setup).of_round(at, digest)(32) for seed, setup, at, digest in cases]
    assert len(set(drawn)) == len(cases)
    assert drawn == [Randomness(seed, setup).of_round(at, digest)(32) for seed, setup, at, digest in cases]
    assert noise_secret(SEEDS[1]) == hkdf(SEEDS[1], 16, b"secagg v1 noise\0")
    assert noise_secret(SEEDS[0]) not in {value[:16] for value in drawn}


def test_a_source_of_the_wrong_length_or_type_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="rand must return 32 bytes, got 31"):
        drawn_seed(lambda size: bytes(31))
    with pytest.raises(ArgumentTypeError, match="what rand returns must be bytes"):
        drawn_seed(lambda size: "x" * size)  # type: ignore[arg-type, return-value]


def test_a_client_asks_its_source_once_and_drops_the_seed_after_share_keys() -> None:
    session = recorded(Model.ACTIVE)
    asked: list[int] = []

    def rand(size: int) -> bytes:
        asked.append(size)
        return bytes([7]) * size

    client = Client(session.params, 1, [1, 2, 3], rand=rand, **session.pki())
    session.play(client, 1)
    assert client._randomness is not None
    session.play(client, 2)
    assert client._randomness is None
    session.play(client, session.rounds)
    assert asked == [32]


def test_the_request_decides_what_share_keys_draws() -> None:
    """Secret and shares: of one seed, two requests get unrelated commitments, and one request the same one."""
    session = recorded(Model.SEMI_HONEST)
    commitments = []
    for request in (session.requests[0], session.others[0], session.requests[0]):
        client = session.fresh()
        session.play(client, 1)
        commitments.append(client.receive(request)[34:66])
    assert commitments[0] == commitments[2] != commitments[1]
