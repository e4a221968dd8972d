"""Section 7.1 to the byte: the payload of real messages is the paper's formula, and every byte beyond it has a name."""

import pytest

from secagg import Params, Round
from secagg.protocol.messages import CIPHERTEXT_BYTES, KEY_BYTES, SHARE_BYTES

from ..support.rounds import run

HEADER, SESSION, LENGTH, FORM, COMMITMENT, USERS_HASH = 2, 32, 4, 1, 32, 32
ROUTE_AND_TAG = CIPHERTEXT_BYTES - 2 * SHARE_BYTES


def payload_bits(n: int, m: int, bits: int) -> int:
    """2 n a_K + (5n - 4) a_S + m ceil(log2 R)."""
    return 2 * n * 8 * KEY_BYTES + (5 * n - 4) * 8 * SHARE_BYTES + m * bits


def bitmap(n: int) -> int:
    """Of the users 1 .. n."""
    return -(-n // 8)


def overhead_bytes(n: int) -> dict[str, int]:
    """What a user sends and receives beyond the formula, by purpose (the table in protocol/messages.py)."""
    return {
        "headers": 7 * HEADER,
        "session ids": 5 * SESSION,
        "lengths": 11 * LENGTH,
        "lists of users": 3 * (FORM + bitmap(n)),
        "own keys, echoed": 2 * KEY_BYTES,
        "commitment": COMMITMENT,
        "hash of U2": USERS_HASH,
        "u || v and tag": 2 * (n - 1) * ROUTE_AND_TAG,
    }


@pytest.mark.parametrize(
    ("n", "m", "modulus"), [(2, 1, 64), (5, 8, 1 << 9), (10, 1000, 1 << 24), (30, 64, (1 << 40) + 15)]
)
def test_every_byte_is_accounted_for(n: int, m: int, modulus: int) -> None:
    result = run(n, m=m, modulus=modulus)
    params = result.params
    total = sum(cost.sent[1] + cost.received[1] for cost in result.costs.values())
    vector_padding = 8 * params.packed_size - m * params.bits
    assert 8 * (total - sum(overhead_bytes(n).values())) - vector_padding == payload_bits(n, m, params.bits)


def test_each_message_weighs_what_its_table_says() -> None:
    n, m = 7, 100
    costs = run(n, m=m, modulus=1 << 20).costs
    keys, shares = 2 * KEY_BYTES, 2 * SHARE_BYTES + ROUTE_AND_TAG
    users = FORM + LENGTH + bitmap(n)
    sent = {
        Round.ADVERTISE_KEYS: HEADER + keys,
        Round.SHARE_KEYS: HEADER + SESSION + COMMITMENT + LENGTH + (n - 1) * shares,
        Round.MASKED_INPUT_COLLECTION: HEADER + SESSION + USERS_HASH + 2 * LENGTH + m * 20 // 8,
        Round.UNMASKING: HEADER + SESSION + LENGTH + n * SHARE_BYTES,
    }
    received = {
        Round.ADVERTISE_KEYS: 0,
        Round.SHARE_KEYS: HEADER + users + 2 * LENGTH + n * keys,
        Round.MASKED_INPUT_COLLECTION: HEADER + SESSION + users + LENGTH + (n - 1) * shares,
        Round.UNMASKING: HEADER + SESSION + users + LENGTH,
    }
    for current, cost in costs.items():
        assert set(cost.sent.values()) == {sent[current]}
        assert set(cost.received.values()) == {received[current]}


@pytest.mark.parametrize(
    ("log_m", "log_n", "paper", "ours"), [(20, 10, 1.73, 1.76), (20, 14, 3.62, 4.00), (24, 14, 1.98, 2.01)]
)
def test_the_papers_three_expansion_factors(log_m: int, log_n: int, paper: float, ours: float) -> None:
    """16-bit inputs: the paper's factor by its formula, and ours with every byte counted.

    The paper takes R = n (R_U - 1) + 1, whose ceil(log2) is that of our power of two.
    """
    n, m = 1 << log_n, 1 << log_m
    bits = Params.for_inputs((1 << 16) - 1, n=n, m=m).bits
    assert bits == (n * ((1 << 16) - 1)).bit_length() == 16 + log_n
    payload = payload_bits(n, m, bits)
    assert payload == 256 * (7 * n - 4) + m * bits
    assert round(payload / (16 * m), 2) == paper
    assert round((payload + 8 * sum(overhead_bytes(n).values())) / (16 * m), 2) == ours
