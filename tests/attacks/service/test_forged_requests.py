"""Requests that are not their sender's: each is refused by HTTP, changes nothing, and drops nobody."""

import hmac
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from secagg import Identity, Round
from secagg.http.base64url import base64url, from_base64url
from secagg.service import authentication
from secagg.service.authentication import NO_PARAMS, NONCE_BYTES, RequestScope, Tokens, bearer, content_digest, sign
from secagg.service.resources import (
    CONTENT_DIGEST,
    NONCE,
    SESSIONS,
    abort_path,
    answer_path,
    join_path,
    request_path,
    result_path,
    session_path,
)
from secagg.service.sizes import answer_bytes

from ...support.coordinators import Kept, Party, Table, kept, problem_type, seated

FIRST = Round.ADVERTISE_KEYS


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with kept(tmp_path_factory.mktemp("coordinator") / "state") as coordinator:
        yield coordinator


@pytest.fixture
def active(here: Kept) -> Iterator[Table]:
    """A session in which everybody has joined; at the end it must be as if nothing had happened."""
    table = seated(here, active=True)
    yield table
    _untouched(here, table)


@pytest.fixture
def by_token(here: Kept) -> Iterator[Table]:
    table = seated(here)
    yield table
    _untouched(here, table)


def _untouched(here: Kept, table: Table) -> None:
    """Nobody is out, nothing was taken, and all can go on to the end."""
    status = here.status(table.session)
    assert (status["faulty"], status["faults"], status["strays"], status["answered"]) == ([], [], [], [])
    assert status["received_bytes"] == 0
    table.play()
    assert table.parties[0].next(Round.UNMASKING).status_code == 200
    assert here.status(table.session)["status"] == "finished"


# --- Signatures -----------------------------------------------------------------------------------------------------


def test_a_message_under_another_key_is_refused_and_its_user_stays(active: Table) -> None:
    answers = active.start()
    party = active.parties[0]
    stranger = replace(party, identity=Identity.generate())
    response = stranger.answer(FIRST, answers[party.user])
    assert (response.status_code, problem_type(response)) == (403, "forbidden")
    other = replace(party, identity=active.parties[1].identity)  # a user of the roster, in another's name
    assert other.answer(FIRST, answers[party.user]).status_code == 403


def bent(**changes: Any) -> Callable[[RequestScope], RequestScope]:
    return lambda scope: replace(scope, **changes)


BENT = {
    "another coordinator": bent(coordinator="http://127.0.0.1:1"),
    "another coordinator's path": lambda s: replace(s, coordinator=s.coordinator + "/b"),
    "other parameters": bent(params=bytes(range(32))),
    "no parameters": bent(params=NO_PARAMS),
    "another session": bent(session="another"),
    "another user": bent(user=2),
    "another method": bent(method="GET"),
    "another path": lambda s: replace(s, path=answer_path(s.session, 2, FIRST)),
    "a query": lambda s: replace(s, path=s.path + "?wait=1"),
    "another round": bent(round=Round.SHARE_KEYS),
    "no round": bent(round=None),
    "another content": bent(content=sha256(b"other").digest()),
}


@pytest.mark.parametrize("change", BENT.values(), ids=BENT)
def test_a_signature_of_something_else_is_none(active: Table, change: Callable[[RequestScope], RequestScope]) -> None:
    party = active.parties[0]
    answer = active.start()[party.user]
    path = answer_path(active.session, party.user, FIRST)
    nonce = party.fresh_nonce()
    scope = change(party.scope("POST", path, FIRST, answer, party.digest))
    assert party.identity is not None
    forged = sign(party.identity, scope, nonce).replace(f"user={scope.user},", f"user={party.user},")
    headers = {"Authorization": forged, CONTENT_DIGEST: content_digest(sha256(answer).digest())}
    response = party.kept.http.post(party.kept.url + path, content=answer, headers=headers)
    assert (response.status_code, problem_type(response)) == (403, "forbidden")


def test_a_coordinator_cannot_join_another_in_a_users_name(here: Kept, tmp_path: Path) -> None:
    """What a user signs for A is shown to B, where its roster key is known as well."""
    with kept(tmp_path / "b") as b:
        at_b = seated(b, active=True, name="the-same")
        party = at_b.parties[0]
        nonce = party.fresh_nonce()  # A passes B's on
        own = Party(here, "the-same", party.user, party.identity)
        assert own.identity is not None
        path = request_path("the-same", party.user, None, 0)
        header = sign(own.identity, own.scope("GET", path, None, b"", party.digest), nonce)
        response = b.http.get(b.url + path, headers={"Authorization": header})
        assert (response.status_code, problem_type(response)) == (403, "forbidden")


def test_a_request_is_taken_once(active: Table) -> None:
    """Whoever repeats it, byte for byte, shows a nonce that is spent."""
    party = active.parties[0]
    path = request_path(active.session, party.user, None, 0)
    assert party.identity is not None
    header = sign(party.identity, party.scope("GET", path, None, b"", party.digest), party.fresh_nonce())
    codes = [
        party.kept.http.get(party.kept.url + path, headers={"Authorization": header}).status_code for _ in range(3)
    ]
    assert codes == [204, 401, 401]


def test_a_replayed_answer_changes_nothing(active: Table) -> None:
    party = active.parties[0]
    answer = active.start()[party.user]
    nonce = party.fresh_nonce()
    wrong = party.answer(FIRST, answer, nonce=nonce, bend=bent(session="another"))
    assert wrong.status_code == 403  # and has not spent the nonce: who cannot sign spends nobody's
    assert party.request(None, nonce=nonce).status_code == 204
    assert party.answer(FIRST, answer, nonce=nonce).status_code == 401


def test_a_participant_that_spends_many_nonces_makes_its_own_void_and_nobody_elses(
    active: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "SPENT_MAX", 3)
    greedy, other = active.parties[:2]
    kept_back = [party.fresh_nonce() for party in (greedy, other)]
    for _ in range(5):
        assert greedy.request(None).status_code == 204
    assert other.request(None, nonce=kept_back[1]).status_code == 204
    assert greedy.request(None, nonce=kept_back[0]).status_code == 401
    assert greedy.request(None).status_code == 204  # by the nonce of that answer


@pytest.mark.parametrize("nonce", [bytes(NONCE_BYTES), bytes(5), b"\xff" * NONCE_BYTES], ids=["zero", "short", "ones"])
def test_nonces_that_nobody_gave(active: Table, nonce: bytes) -> None:
    party = active.parties[0]
    response = party.answer(FIRST, active.start()[party.user], nonce=nonce)
    assert (response.status_code, problem_type(response)) == (401, "unauthenticated")
    assert len(from_base64url(response.headers[NONCE])) == NONCE_BYTES


def test_a_nonce_of_another_coordinator(active: Table, tmp_path: Path) -> None:
    party = active.parties[0]
    with kept(tmp_path / "b") as b:
        foreign = from_base64url(b.http.get(b.url + "/healthz").headers[NONCE])
    assert party.answer(FIRST, active.start()[party.user], nonce=foreign).status_code == 401


def test_the_protocols_signatures_are_no_requests(active: Table) -> None:
    """The server of a session sees signatures of answers, and must not make requests of them."""
    party = active.parties[0]
    answer = active.start()[party.user]
    header = f'SecAgg user=1, nonce="{base64url(party.fresh_nonce())}", signature="{base64url(answer[-64:])}"'
    response = party.kept.http.get(
        party.kept.url + request_path(active.session, 1, None, 0), headers={"Authorization": header}
    )
    assert response.status_code == 403


def test_a_path_has_one_spelling(active: Table) -> None:
    """A signature is for a path as it is sent; what leads to the same place in another spelling is no resource."""
    party = active.parties[0]
    path = request_path(active.session, party.user, None, 0).replace("users", "%75sers")
    assert party.ask("GET", path).status_code == 404


# --- Contents -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["active", "by_token"])
def either(request: pytest.FixtureRequest) -> Table:
    table: Table = request.getfixturevalue(request.param)
    return table


def test_a_content_that_was_exchanged_on_the_way(either: Table) -> None:
    party = either.parties[0]
    answer = either.start()[party.user]
    path = answer_path(either.session, party.user, FIRST)
    headers = {CONTENT_DIGEST: content_digest(sha256(answer).digest())}
    if party.identity is not None:
        scope = party.scope("POST", path, FIRST, answer, party.digest)
        headers["Authorization"] = sign(party.identity, scope, party.fresh_nonce())
    else:
        headers["Authorization"] = bearer(party.token or "")
    exchanged = answer[:-1] + bytes([answer[-1] ^ 1])
    response = party.kept.http.post(party.kept.url + path, content=exchanged, headers=headers)
    assert (response.status_code, problem_type(response)) == (400, "other-content")


def test_a_content_without_its_digest(either: Table) -> None:
    party = either.parties[0]
    path = answer_path(either.session, party.user, FIRST)
    for digest in ("", "sha-256=:AAAA:", "sha-512=:" + "A" * 43 + "=:", "x" * 5000):
        response = party.ask("POST", path, b"answer", current=FIRST, headers={CONTENT_DIGEST: digest})
        assert (response.status_code, problem_type(response)) == (400, "malformed")


def test_a_content_above_its_rounds_size_is_not_waited_for(either: Table) -> None:
    """413 comes before a byte of the content, which never comes."""
    party = either.parties[0]
    path = answer_path(either.session, party.user, FIRST)
    largest = answer_bytes(either.params, FIRST)
    content = bytes(largest + 1)
    if party.identity is not None:
        scope = party.scope("POST", path, FIRST, content, party.digest)
        shown = sign(party.identity, scope, party.fresh_nonce())
    else:
        shown = bearer(party.token or "")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: here\r\nAuthorization: {shown}\r\n"
        f"{CONTENT_DIGEST}: {content_digest(sha256(content).digest())}\r\n"
    )
    assert _raw(party, f"{head}Content-Length: {len(content)}\r\n\r\n".encode()).startswith(b"HTTP/1.1 413")
    if party.token is not None:  # a signature serves once
        chunk = b"%x\r\n" % len(content) + content + b"\r\n"
        chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk
        assert _raw(party, chunked).startswith(b"HTTP/1.1 413")


def test_nobody_who_is_not_known_is_listened_to(either: Table) -> None:
    """Of a content that a stranger announces, nothing is read before it is refused."""
    party = either.parties[0]
    path = answer_path(either.session, party.user, FIRST)
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\n{CONTENT_DIGEST}: {content_digest(bytes(32))}\r\n"
    for shown, code in (("", b"401"), ("Authorization: Bearer nobody\r\n", b"403")):
        answered = _raw(party, f"{head}{shown}Content-Length: 20\r\n\r\n".encode())
        assert answered.startswith(b"HTTP/1.1 " + code)


def _raw(party: Party, sent: bytes) -> bytes:
    """The beginning of the answer to what is sent by hand, and may not be a whole request."""
    address = party.kept.http.build_request("GET", party.kept.url).url
    with socket.create_connection((address.host, address.port or 0), timeout=60) as connection:
        connection.sendall(sent)
        return connection.recv(1 << 12)


# --- Tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_speaks_for_its_own_user_alone(by_token: Table) -> None:
    answers = by_token.start()
    first, second = by_token.parties[:2]
    thief = replace(first, token=second.token)
    for response in (thief.answer(FIRST, answers[1]), thief.request(None)):
        assert (response.status_code, problem_type(response)) == (403, "forbidden")


def test_who_has_not_joined_has_no_say(here: Kept, by_token: Table) -> None:
    stranger = replace(by_token.parties[0], token=here.tokens["fay"])
    response = stranger.answer(FIRST, by_token.start()[1])
    assert (response.status_code, problem_type(response)) == (403, "not-invited")
    assert stranger.ask("GET", result_path(by_token.session)).status_code == 403
    assert stranger.ask("GET", session_path(by_token.session)).status_code == 403


def test_the_operators_token_is_no_participants(here: Kept, either: Table) -> None:
    party = replace(either.parties[0], identity=None, token=here.operator)
    for response in (
        party.ask("POST", join_path(either.session)),
        party.answer(FIRST, either.start()[party.user]),
        party.request(None),
    ):
        assert (response.status_code, problem_type(response)) == (403, "forbidden")


def test_no_participants_token_is_the_operators(here: Kept, either: Table) -> None:
    token = here.tokens["ada"]
    party = replace(either.parties[0], identity=None, token=token)
    for path in (SESSIONS, abort_path(either.session)):
        response = party.ask("POST", path, b'{"reason": "ours"}')
        assert (response.status_code, problem_type(response)) == (403, "forbidden")
    signed = either.parties[0]
    if signed.identity is not None:
        assert signed.ask("POST", abort_path(either.session), b'{"reason": "ours"}').status_code == 403


def test_tokens_in_an_active_session_and_signatures_in_another(here: Kept, active: Table) -> None:
    for token in here.tokens.values():
        response = replace(active.parties[0], identity=None, token=token).request(None)
        assert (response.status_code, problem_type(response)) == (403, "forbidden")


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides is hmac.compare_digest, of all that is not an address, for known and unknown tokens alike."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return bool(real(one, other))

    tokens = Tokens({"ada": sha256(b"ada's").digest(), "bo": sha256(b"bo's").digest()})
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert [tokens.check(bearer(token)) for token in ("ada's", "bo's", "nobody's")] == ["ada", "bo", None]
    assert [len(one) for one, _ in compared] == [16, 16, 16]
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: False)
    assert tokens.check(bearer("ada's")) is None


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic YWRhOnM=", "Bearer \x7f", "Bearer " + "x" * 5000, "bearer  two words"],
)
def test_no_token(header: str | None) -> None:
    assert Tokens({"ada": sha256(b"").digest()}).check(header) is None
