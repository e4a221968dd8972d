"""Prio3's messages for the fuzzer. All of a kind have one size, and most bytes of that size are one, so a check here is
what the protocol does with it: what is taken is canonical, and where an honest message is due, is that message."""

from collections.abc import Callable

from secagg import RemoteProtocolError
from secagg.vdaf import PingPong, Prio3Histogram, Rows, VerifyStates

PRIO3 = Prio3Histogram(length=5)
PARTY = PingPong(PRIO3)
KEY, CTX, NONCE = bytes(range(32)), b"fuzz", bytes(range(16))
PUBLIC, (LEADER, HELPER) = PRIO3.shard(CTX, 1, NONCE, bytes(i % 251 for i in range(PRIO3.RAND_SIZE)))
STATE, VERIFIER_SHARE = PRIO3.verify_init(KEY, CTX, 0, NONCE, PUBLIC, LEADER)
_, HELPER_VERIFIER_SHARE = PRIO3.verify_init(KEY, CTX, 1, NONCE, PUBLIC, HELPER)


def leader_init(share: bytes) -> tuple[VerifyStates, Rows]:
    return PARTY.leader_init(KEY, CTX, [NONCE], [PUBLIC], [share])


def helper_init(share: bytes, request: bytes) -> tuple[Rows, Rows]:
    return PARTY.helper_init(KEY, CTX, [NONCE], [PUBLIC], [share], [request])


REQUEST = leader_init(LEADER)[1][0]
RESPONSE = helper_init(HELPER, REQUEST)[1][0]
OUT_SHARE = PARTY.leader_continued([STATE], [RESPONSE])[0]
AGG_SHARE = OUT_SHARE  # of one report


def canonical(elements: bytes) -> bool:
    size = PRIO3.field.ENCODED_SIZE
    values = (int.from_bytes(elements[i : i + size], "little") for i in range(0, len(elements), size))
    return all(value < PRIO3.field.MODULUS for value in values)


def takes_leader_share(data: bytes) -> bool:
    _, messages = leader_init(data)
    if messages.rejected:
        return False
    assert len(data) == PRIO3.LEADER_SHARE_SIZE
    assert canonical(data[: -PRIO3.VERIFIER_MESSAGE_SIZE])
    assert (messages[0] == REQUEST) == (data == LEADER)
    return True


def takes_helper_share(data: bytes) -> bool:
    out_shares, messages = helper_init(data, REQUEST)
    assert set(out_shares.rejected) == set(messages.rejected)
    taken = not messages.rejected
    assert taken == (data == HELPER)
    return taken


def takes_verifier_share(data: bytes) -> bool:
    messages = PRIO3.verifier_shares_to_message_batch(CTX, [[VERIFIER_SHARE], [data]])
    if messages.rejected:
        return False
    # Another joint randomness part makes another message, which verify_next refuses.
    assert (messages[0] == RESPONSE[5:]) == (data == HELPER_VERIFIER_SHARE)
    return True


def takes_request(data: bytes) -> bool:
    out_shares, messages = helper_init(HELPER, data)
    assert set(out_shares.rejected) == set(messages.rejected)
    taken = not messages.rejected
    assert taken == (data == REQUEST)
    return taken


def takes_response(data: bytes) -> bool:
    taken = not PARTY.leader_continued([STATE], [data]).rejected
    assert taken == (data == RESPONSE)
    return taken


def takes_agg_share(data: bytes) -> bool:
    try:
        agg_share = PRIO3.decode_agg_share(data)
    except RemoteProtocolError:
        return False
    assert canonical(data)
    assert PRIO3.encode_agg_share(agg_share) == data
    return True


REPORTS: dict[str, tuple[Callable[[bytes], bool], bytes]] = {
    "Prio3LeaderShare": (takes_leader_share, LEADER),
    "Prio3HelperShare": (takes_helper_share, HELPER),
    "Prio3VerifierShare": (takes_verifier_share, HELPER_VERIFIER_SHARE),
    "Prio3AggShare": (takes_agg_share, AGG_SHARE),
    "PingPongInitialize": (takes_request, REQUEST),
    "PingPongFinish": (takes_response, RESPONSE),
}
"""Each check, and an honest message."""
