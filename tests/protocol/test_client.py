"""What a client refuses, each rejection by name; and that any refusal ends it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secagg import (
    Abort,
    ArgumentTypeError,
    Client,
    Identity,
    LocalProtocolError,
    Model,
    Params,
    RemoteProtocolError,
    Roster,
    Round,
    Server,
)
from secagg.primitives import KeyPair, seal, share_key
from secagg.protocol.messages import (
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    Message,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    session_id,
)
from secagg.protocol.requests import _all_differ
from secagg.shamir import Q

from ..support.rounds import play_until
from ..test_primitives import NOT_ON_CURVE, point

PARAMS = Params(n=5, m=4, modulus=1 << 12, t=3)
REQUESTS: dict[Round, type[Message]] = {
    Round.SHARE_KEYS: ShareKeysRequest,
    Round.MASKED_INPUT_COLLECTION: MaskedInputCollectionRequest,
    Round.UNMASKING: UnmaskingRequest,
}
Change = Callable[[Any], dict[str, Any]]
Ciphertexts = Callable[[Any], dict[int, bytes]]


def ids(*users: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return np.array(users, np.uint32)


def refused(current: Round, change: Change, error: type[Exception], reason: str) -> None:
    """Client 2 gets the request of a round with some fields changed: it must refuse, and be ended by it."""
    _, clients, requests = play_until(current, PARAMS)
    request = decode(requests[2], REQUESTS[current])
    with pytest.raises(error, match=reason):
        clients[2].receive(encode(replace(request, **change(request))))  # type: ignore[type-var]
    assert clients[2].finished
    assert clients[2]._x is None
    with pytest.raises(LocalProtocolError, match="has ended"):
        clients[2].receive(requests[2])


def with_keys(request: ShareKeysRequest, row: int, column: int, key: bytes) -> dict[str, Any]:
    keys = request.keys.copy()
    keys[row, column] = np.frombuffer(key, np.uint8)
    return {"keys": keys}


SHARE_KEYS_REJECTIONS: dict[str, tuple[Change, str]] = {
    "a list with a repeated user": (lambda r: {"users": ids(1, 2, 3, 4, 4)}, "not strictly ascending"),
    "a list out of order": (lambda r: {"users": ids(1, 3, 2, 4, 5)}, "not strictly ascending"),
    "a list that omits the client": (lambda r: {"users": ids(1, 3, 4, 5), "keys": r.keys[[0, 2, 3, 4]]}, "omits"),
    "user 0": (lambda r: {"users": ids(0, 2, 3, 4, 5)}, "user ids must be 1 .. n = 5"),
    "more users than n": (lambda r: {"users": ids(1, 2, 3, 4, 6)}, "user ids must be 1 .. n = 5"),
    "an empty list": (lambda r: {"users": ids(), "keys": r.keys[:0]}, "omits this user"),
    "fewer keys than users": (lambda r: {"keys": r.keys[:4]}, "4 key pairs for 5 users"),
    "another key in the client's place": (lambda r: with_keys(r, 1, 1, bytes(range(32))), "own keys"),
    "its own key as another's": (lambda r: with_keys(r, 0, 0, r.keys[1, 0].tobytes()), "two of the public keys"),
    "equal keys of others": (lambda r: with_keys(r, 3, 0, r.keys[4, 1].tobytes()), "two of the public keys"),
    "a key off the curve": (lambda r: with_keys(r, 3, 1, NOT_ON_CURVE), "client 4: a public key is not on the curve"),
    "a key beyond p": (lambda r: with_keys(r, 3, 0, b"\xff" * 32), "client 4: a public key is not on the curve"),
}


@pytest.mark.parametrize("name", SHARE_KEYS_REJECTIONS)
def test_client_refuses_in_share_keys(name: str) -> None:
    change, reason = SHARE_KEYS_REJECTIONS[name]
    refused(Round.SHARE_KEYS, change, RemoteProtocolError, reason)


MASKED_INPUT_REJECTIONS: dict[str, tuple[Change, str]] = {
    "another session": (lambda r: {"session": bytes(32)}, "another session"),
    "users outside U1": (lambda r: {"users": ids(1, 2, 3, 4, 9)}, "names users that the round before did not"),
    "a repeated user": (lambda r: {"users": ids(1, 2, 3, 3)}, "not strictly ascending"),
    "a list that omits the client": (lambda r: {"users": ids(1, 3, 4, 5)}, "omits this user"),
    "too few ciphertexts": (lambda r: {"ciphertexts": r.ciphertexts[:3]}, "3 ciphertexts for 4 senders"),
    "too many ciphertexts": (lambda r: {"users": ids(1, 2, 3, 4)}, "4 ciphertexts for 3 senders"),
}


@pytest.mark.parametrize("name", MASKED_INPUT_REJECTIONS)
def test_client_refuses_in_masked_input_collection(name: str) -> None:
    change, reason = MASKED_INPUT_REJECTIONS[name]
    refused(Round.MASKED_INPUT_COLLECTION, change, RemoteProtocolError, reason)


UNMASKING_REJECTIONS: dict[str, tuple[Change, str]] = {
    "another session": (lambda r: {"session": bytes(32)}, "another session"),
    "users outside U2": (lambda r: {"users": ids(1, 2, 3, 4, 6)}, "names users that the round before did not"),
    "a repeated user": (lambda r: {"users": ids(2, 2, 3)}, "not strictly ascending"),
    "a list that omits the client": (lambda r: {"users": ids(1, 3, 4, 5)}, "omits this user"),
}


@pytest.mark.parametrize("name", UNMASKING_REJECTIONS)
def test_client_refuses_in_unmasking(name: str) -> None:
    change, reason = UNMASKING_REJECTIONS[name]
    refused(Round.UNMASKING, change, RemoteProtocolError, reason)


@pytest.mark.parametrize("current", [Round.MASKED_INPUT_COLLECTION, Round.UNMASKING])
def test_client_aborts_when_fewer_than_the_quorum_are_left(current: Round) -> None:
    refused(current, lambda r: {"users": ids(1, 2)}, Abort, "2 answered, 3 needed")


def test_client_aborts_when_fewer_than_the_quorum_advertised_keys() -> None:
    refused(Round.SHARE_KEYS, lambda r: {"users": ids(1, 2), "keys": r.keys[:2]}, Abort, "2 answered, 3 needed")


@pytest.mark.parametrize("current", REQUESTS)
@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda data: data[:-1], "ends early"),
        (lambda data: data + b"\0", "1 bytes too many"),
        (lambda data: b"", "not a message of protocol version"),
        (lambda data: b"\2" + data[1:], "not a message of protocol version"),
        (lambda data: data[:1] + b"\x63" + data[2:], "got type 99"),
        (lambda data: data[:1] + b"\5" + data[2:], "got type 5"),
    ],
    ids=["truncated", "extended", "empty", "other version", "unknown type", "other type"],
)
def test_client_refuses_malformed_messages(current: Round, alter: Callable[[bytes], bytes], reason: str) -> None:
    _, clients, requests = play_until(current, PARAMS)
    with pytest.raises(RemoteProtocolError, match=reason):
        clients[1].receive(alter(requests[1]))
    assert clients[1].finished


@pytest.mark.parametrize("current", REQUESTS)
def test_client_answers_the_same_request_twice_with_the_same_bytes(current: Round) -> None:
    _, clients, requests = play_until(current, PARAMS)
    answer, state = clients[1].receive(requests[1]), clients[1]._state
    assert clients[1].receive(requests[1]) == answer
    assert clients[1]._state is state
    assert clients[1].answered is current


@pytest.mark.parametrize("current", REQUESTS)
def test_a_client_that_has_forgotten_its_answer_does_not_make_another(current: Round) -> None:
    server, clients, requests = play_until(current, PARAMS)
    for u, client in clients.items():
        server.receive(u, client.receive(requests[u]))
        client.forget_answer()
        with pytest.raises((RemoteProtocolError, LocalProtocolError), match=r"has been answered|has ended"):
            client.receive(requests[u])
    while server.round is not None:
        for u, request in server.end_round().items():
            server.receive(u, clients[u].receive(request))
    assert server.sum.tolist() == [15] * 4


def test_client_tells_which_round_it_has_answered_last() -> None:
    client = Client(PARAMS, 1)
    assert client.answered is None
    client.start()
    assert client.answered is Round.ADVERTISE_KEYS


def test_client_refuses_a_request_of_a_later_round() -> None:
    _, _, requests = play_until(Round.MASKED_INPUT_COLLECTION, PARAMS)
    fresh = Client(PARAMS, 1)
    fresh.start()
    with pytest.raises(RemoteProtocolError, match="expected ShareKeysRequest"):
        fresh.receive(requests[1])


def sealed_for_2(clients: dict[int, Client], session: bytes, plaintext: bytes) -> bytes:
    """A ciphertext that user 1 could make for user 2."""
    pair: KeyPair = clients[1]._state.c  # type: ignore[union-attr]
    other: KeyPair = clients[2]._state.c  # type: ignore[union-attr]
    return seal(share_key(pair.agree(point(other.public)), session, 1, 2), plaintext)


def request_with(
    clients: dict[int, Client], server: Server, requests: dict[int, bytes], ciphertexts: Ciphertexts
) -> bytes:
    """What client 2 gets in round 2, with some ciphertexts replaced, by row: from users 1, 3, 4 and 5."""
    for u, client in clients.items():
        server.receive(u, client.receive(requests[u]))
    request = decode(server.end_round()[2], MaskedInputCollectionRequest)
    changed = request.ciphertexts.copy()
    for row, ciphertext in ciphertexts(changed).items():
        changed[row] = np.frombuffer(ciphertext, np.uint8)
    return encode(replace(request, ciphertexts=changed))


@pytest.mark.parametrize(
    ("ciphertexts", "unopened"),
    [
        (lambda e: {2: e[2, ::-1].tobytes()}, [4]),
        (lambda e: {0: e[1].tobytes(), 1: e[0].tobytes()}, [1, 3]),
    ],
    ids=["an altered ciphertext", "two swapped ciphertexts"],
)
def test_a_ciphertext_that_does_not_open_is_a_missing_share(ciphertexts: Ciphertexts, unopened: list[int]) -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    answer = clients[2].receive(request_with(clients, server, requests, ciphertexts))
    assert decode(answer, MaskedInputCollection).unopened.tolist() == unopened
    request = encode(UnmaskingRequest(answer[2:34], ids(1, 2, 3, 4, 5), np.empty((0, 64), np.uint8)))
    assert len(decode(clients[2].receive(request), Unmasking).shares) == 5 - len(unopened)


def test_client_aborts_when_fewer_than_t_ciphertexts_open() -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    request = request_with(clients, server, requests, lambda e: {row: bytes(88) for row in range(3)})
    with pytest.raises(Abort, match="too few shares can be opened: 2 answered, 3 needed"):
        clients[2].receive(request)
    assert clients[2].finished


@pytest.mark.parametrize(
    "plaintext",
    [
        b"\0\0\0\1\0\0\0\2" + Q.to_bytes(32, "big") + bytes(32),
        b"\0\0\0\1\0\0\0\2" + bytes(32) + b"\xff" * 32,
        b"\0\0\0\3\0\0\0\2" + bytes(64),
        b"\0\0\0\1\0\0\0\3" + bytes(64),
    ],
    ids=["share of s_sk not below q", "share of b not below q", "another sender inside", "another recipient inside"],
)
def test_a_well_sealed_bad_share_is_a_missing_share(plaintext: bytes) -> None:
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    session = session_id(PARAMS, b"", decode(requests[1], ShareKeysRequest))
    bad = sealed_for_2(clients, session, plaintext)
    answer = clients[2].receive(request_with(clients, server, requests, lambda e: {0: bad}))
    assert decode(answer, MaskedInputCollection).unopened.tolist() == [1]


def test_client_never_reveals_both_shares_of_one_user() -> None:
    """Of each dealer exactly one share leaves: of b for those in U3, of s_sk for the others."""
    _, clients, requests = play_until(Round.UNMASKING, PARAMS, {Round.MASKED_INPUT_COLLECTION: {4}})
    held = clients[2]._state.shares  # type: ignore[union-attr]
    answer = decode(clients[2].receive(requests[2]), Unmasking)
    kind = {1: 1, 2: 1, 3: 1, 4: 0, 5: 1}
    assert [bytes(share) for share in answer.shares] == [held[v - 1, kind[v]].tobytes() for v in kind]
    assert clients[2]._state is None


def test_finished_client_holds_no_secrets() -> None:
    _, clients, requests = play_until(Round.UNMASKING, PARAMS)
    assert clients[1]._x is None
    clients[1].receive(requests[1])
    assert clients[1].finished
    assert clients[1]._state is None


def test_client_starts_once() -> None:
    client = Client(PARAMS, 1)
    client.start()
    with pytest.raises(LocalProtocolError, match="every session needs a new Client"):
        client.start()


def test_client_answers_nothing_before_it_starts() -> None:
    with pytest.raises(LocalProtocolError, match=r"start\(\) has not been called"):
        Client(PARAMS, 1).receive(b"")


@pytest.mark.parametrize("user_id", [0, 6, -1])
def test_client_refuses_an_id_outside_1_to_n(user_id: int) -> None:
    with pytest.raises(LocalProtocolError, match=r"user id must be 1 \.\. n = 5"):
        Client(PARAMS, user_id)


@pytest.mark.parametrize("user_id", [1.0, True, "1"])
def test_client_refuses_an_id_that_is_no_integer(user_id: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="user id must be an integer"):
        Client(PARAMS, user_id)


def test_a_client_has_the_identity_that_the_roster_has_for_it() -> None:
    params = Params(n=2, m=1, modulus=64, model=Model.ACTIVE, allow_single_input=True)
    identities = {u: Identity.generate() for u in (1, 2)}
    roster = Roster({u: identity.verification_key for u, identity in identities.items()})
    assert Client(params, 2, identity=identities[2], roster=roster).start()
    with pytest.raises(LocalProtocolError, match="the roster has another key for user 2"):
        Client(params, 2, identity=identities[1], roster=roster)
    with pytest.raises(LocalProtocolError, match="needs the user's identity"):
        Client(params, 2, roster=roster)
    with pytest.raises(LocalProtocolError, match="takes no identity"):
        Client(PARAMS, 2, identity=identities[2])


def test_a_session_has_a_roster_of_all_its_users_or_none() -> None:
    params = Params(n=3, m=1, modulus=64, model=Model.ACTIVE)
    roster = Roster({u: Identity.generate().verification_key for u in (1, 2)})
    with pytest.raises(LocalProtocolError, match="the roster has fewer than n users"):
        Server(params, roster=roster)
    with pytest.raises(LocalProtocolError, match="needs a roster"):
        Server(params)
    with pytest.raises(LocalProtocolError, match="takes no roster"):
        Server(PARAMS, roster=roster)


def test_input_must_be_there_when_it_is_due() -> None:
    _, clients, requests = play_until(Round.MASKED_INPUT_COLLECTION, PARAMS)
    clients[1]._x = None
    with pytest.raises(LocalProtocolError, match="the input is due"):
        clients[1].receive(requests[1])


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        ([0, 0, 0], "input must be integers of shape"),
        ([0.0, 1.0, 2.0, 3.0], "input must be integers of shape"),
        ([[0, 0, 0, 0]], "input must be integers of shape"),
        ([0, 0, 0, -1], "every element of the input must be 0"),
        ([PARAMS.max_value + 1, 0, 0, 0], "every element of the input must be 0"),
        ([1 << 40, 0, 0, 0], "every element of the input must be 0"),
    ],
)
def test_an_input_out_of_range_is_an_error_never_a_wrap(x: Any, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        Client(PARAMS, 1, x)


def test_an_input_error_names_no_value() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Client(PARAMS, 1, [123456, 0, 0, 0])
    assert "123456" not in str(caught.value)


def test_noise_needs_room_and_the_right_type() -> None:
    with pytest.raises(LocalProtocolError, match="no room"):
        Client(PARAMS, 1).set_input([0, 0, 0, 0], np.zeros(4, np.int64))
    roomy = Params.for_inputs(1, n=3, m=4, room=5)
    with pytest.raises(LocalProtocolError, match="noise must be int64"):
        Client(roomy, 1).set_input([0, 0, 0, 0], np.zeros(4))


def test_the_callers_input_is_copied() -> None:
    x = np.zeros(4, PARAMS.dtype)
    client = Client(PARAMS, 1, x)
    x[0] = 1
    assert client._x is not None
    assert client._x[0] == 0


def test_ids_may_be_numpy_integers() -> None:
    assert type(Client(PARAMS, np.int64(3)).user_id) is int  # type: ignore[arg-type]


def test_an_input_after_round_2_is_refused() -> None:
    _, clients, requests = play_until(Round.UNMASKING, PARAMS)
    with pytest.raises(LocalProtocolError, match="cannot be set any more"):
        clients[1].set_input([0, 0, 0, 0])
    clients[1].receive(requests[1])
    with pytest.raises(LocalProtocolError, match="cannot be set any more"):
        clients[1].set_input([0, 0, 0, 0])


def test_a_caller_is_told_of_each_answer_before_it_leaves() -> None:
    """Once for each, and not for one that is given again."""
    told: list[Round] = []
    server, clients, requests = play_until(Round.SHARE_KEYS, PARAMS)
    while server.round is not None:
        for u, request in requests.items():
            for _ in range(2):
                answer = clients[u].receive(request, before=told.append if u == 1 else None)
            server.receive(u, answer)
        requests = server.end_round()
    assert told == [Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING]


@pytest.mark.parametrize("current", REQUESTS)
@pytest.mark.parametrize("error", [OSError, LocalProtocolError, KeyboardInterrupt])
def test_an_answer_that_the_caller_stops_never_leaves(current: Round, error: type[BaseException]) -> None:
    _, clients, requests = play_until(current, PARAMS)

    def stop(_: Round) -> None:
        assert clients[1].answer is None
        raise error

    with pytest.raises(error):
        clients[1].receive(requests[1], before=stop)
    assert clients[1].finished
    assert clients[1].answer is None
    with pytest.raises(LocalProtocolError, match="has ended"):
        clients[1].receive(requests[1])


def test_keys_that_begin_alike_differ_all_the_same() -> None:
    keys = np.zeros((3, 32), np.uint8)
    keys[:, 31] = (1, 2, 3)
    assert _all_differ(keys)
    keys[2] = keys[0]
    assert not _all_differ(keys)
    keys[1, 0] = 9
    assert not _all_differ(keys)
