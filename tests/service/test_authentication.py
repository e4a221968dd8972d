"""What requests' signatures cover, nonces that serve once, and the two headers, on a simulated clock."""

from dataclasses import fields, replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import Identity, LocalProtocolError, Roster, Round
from secagg.http.base64url import from_base64url
from secagg.http.urls import parse_server_url
from secagg.service.authentication import (
    LABEL,
    NONCE_BYTES,
    NONCE_SECONDS,
    SPENT_MAX,
    Nonces,
    RequestScope,
    Tokens,
    bearer,
    content_digest,
    coordinator_name,
    make_token,
    parse_content_digest,
    parse_signed,
    sign,
    to_sign,
    token_hash,
    verify,
    verify_all,
)

SCOPE = RequestScope(
    "https://secagg.example:443", bytes(32), "one", 7, "POST", "/v1/sessions/one/join", None, sha256(b"").digest()
)
NONCE = bytes(NONCE_BYTES)
ADA, BO = bytes([1] * 32), bytes([2] * 32)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- Signatures -----------------------------------------------------------------------------------------------------

OTHER = {
    "coordinator": "https://secagg.example:443/b",
    "params": bytes([1] * 32),
    "session": "two",
    "user": 8,
    "method": "GET",
    "path": "/v1/sessions/one/join?",
    "round": Round.ADVERTISE_KEYS,
    "content": bytes([1] * 32),
}


def test_a_signature_covers_every_field_and_the_nonce() -> None:
    identity = Identity.generate()
    roster = Roster({7: identity.verification_key, 8: Identity.generate().verification_key})
    signed = parse_signed(sign(identity, SCOPE, NONCE))
    assert signed is not None
    assert (signed.user, signed.nonce) == (7, NONCE)
    assert verify(roster, SCOPE, signed)
    assert not verify(roster, SCOPE, replace(signed, nonce=bytes([1] * NONCE_BYTES)))
    assert set(OTHER) == {field.name for field in fields(RequestScope)}
    for name, value in OTHER.items():
        changed = replace(SCOPE, **{name: value})  # type: ignore[arg-type]
        assert not verify(roster, changed, signed), name
        assert verify_all([(roster, changed, signed), (roster, SCOPE, signed)] * 4) == [False, True] * 4, name
        assert to_sign(changed, NONCE) != to_sign(SCOPE, NONCE), name  # also where the user's key is another


def test_requests_of_several_sessions_are_verified_together() -> None:
    """Each under its own roster's key of its user."""
    identities = [Identity.generate() for _ in range(3)]
    rosters = [Roster({7: identity.verification_key}) for identity in identities]
    headers = [parse_signed(sign(identity, SCOPE, NONCE)) for identity in identities]
    requests = [(roster, SCOPE, signed) for roster in rosters for signed in headers if signed is not None]
    assert verify_all(requests) == [verify(*request) for request in requests] == [i % 4 == 0 for i in range(9)]
    nobody, other = Roster({8: identities[0].verification_key}), replace(SCOPE, user=8)
    assert (
        verify_all([(nobody, scope, signed) for _, _, signed in requests for scope in (SCOPE, other)]) == [False] * 18
    )


def test_a_boundary_cannot_be_moved() -> None:
    one, other = replace(SCOPE, method="GET", path="/a"), replace(SCOPE, method="GET/", path="a")
    assert to_sign(one, NONCE) != to_sign(other, NONCE)
    assert to_sign(SCOPE, NONCE).startswith(LABEL)


def test_the_first_round_is_not_no_round() -> None:
    assert to_sign(replace(SCOPE, round=Round.ADVERTISE_KEYS), NONCE) != to_sign(SCOPE, NONCE)


@pytest.mark.parametrize("changes", [{"user": 0}, {"user": 1 << 32}, {"params": b""}, {"content": bytes(31)}])
def test_scopes_that_cannot_be(changes: dict[str, int | bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        replace(SCOPE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://Secagg.Example", "https://secagg.example:443"),
     ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
     ("https://[::1]/a//", "https://[::1]:443/a"),
     ("https://b\u00fccher.example./x", "https://xn--bcher-kva.example:443/x")],
)  # fmt: skip
def test_a_coordinator_has_one_name(url: str, name: str) -> None:
    assert coordinator_name(parse_server_url(url)) == name


@given(st.text(max_size=300) | st.text('SecAgg user=127,nonce"signature-_A ', max_size=100))
def test_any_header_is_a_signature_or_none(header: str) -> None:
    parse_signed(header)
    parse_content_digest(header)
    Tokens({"ada": bytes(32)}).check(header)


def test_headers_that_are_nearly_signatures() -> None:
    good = sign(Identity.generate(), SCOPE, NONCE)
    assert parse_signed(good) is not None
    for bad in (
        good.replace("user=7", "user=07"),
        good.replace("user=7", "user=4294967296"),
        good.replace("user=7", "user=-7"),
        good[:-2] + '="',
        good + " ",
        good.replace("nonce", "Nonce="),
        good.replace(", ", ","),
        good.replace("SecAgg", "Bearer"),
    ):
        assert parse_signed(bad) is None, bad


# --- Nonces ---------------------------------------------------------------------------------------------------------


def test_a_nonce_serves_once_and_not_for_long() -> None:
    clock = Clock()
    nonces = Nonces(clock)
    first, second, third = (from_base64url(nonces.issue()) for _ in range(3))
    assert nonces.serves(first)
    assert [nonces.spend(first, ADA), nonces.spend(first, ADA)] == [True, False]
    clock.now += NONCE_SECONDS
    assert nonces.spend(second, ADA)
    clock.now += 0.01
    assert not nonces.serves(third)
    assert not nonces.spend(third, ADA)


def test_a_spent_nonce_is_remembered_for_as_long_as_it_could_serve() -> None:
    """Whatever is spent in between, at whatever moments."""
    clock = Clock()
    nonces = Nonces(clock)
    spent = []
    for _ in range(200):
        clock.now += NONCE_SECONDS / 7
        nonce = from_base64url(nonces.issue())
        assert nonces.spend(nonce, ADA)
        spent.append(nonce)
        assert not any(nonces.spend(old, ADA) for old in spent)


def test_whoever_spends_many_nonces_takes_no_more_memory_and_none_serves_again() -> None:
    """The latest are remembered one by one; older ones serve that participant no more, whether it has spent them."""
    clock = Clock()
    nonces = Nonces(clock)
    spent, kept_back = [], []
    for _ in range(4 * SPENT_MAX):
        clock.now += 0.01
        kept_back.append(from_base64url(nonces.issue()))
        spent.append(from_base64url(nonces.issue()))
        assert nonces.spend(spent[-1], ADA)
    assert sum(len(each._latest) for each in nonces._spent.values()) == SPENT_MAX
    assert not any(nonces.spend(each, ADA) for each in spent)
    assert not nonces.spend(kept_back[0], ADA)
    assert nonces.spend(kept_back[-1], ADA)
    assert nonces.spend(from_base64url(nonces.issue()), ADA)


def test_nobody_spends_the_nonces_of_others() -> None:
    """Not the very same, and not by spending many later ones."""
    clock = Clock()
    nonces = Nonces(clock)
    first = from_base64url(nonces.issue())
    for _ in range(2 * SPENT_MAX):
        clock.now += 0.01
        assert nonces.spend(from_base64url(nonces.issue()), BO)
    assert [nonces.spend(first, key) for key in (BO, ADA, ADA)] == [False, True, False]


def test_nonces_in_any_order_each_serve_once() -> None:
    """Of requests that are under way at once, a later one may come first, and many are given in one millisecond."""
    clock = Clock()
    nonces = Nonces(clock)
    given = [from_base64url(nonces.issue()) for _ in range(SPENT_MAX)]
    assert all(nonces.spend(each, ADA) for each in reversed(given))
    assert not any(nonces.spend(each, ADA) for each in given)


def test_those_who_spend_nothing_any_more_are_forgotten() -> None:
    clock = Clock()
    nonces = Nonces(clock)
    for number in range(100):
        clock.now += NONCE_SECONDS / 5
        assert nonces.spend(from_base64url(nonces.issue()), bytes([number]))
    assert len(nonces._spent) + len(nonces._spent_before) < 15


def test_memory_of_spent_nonces_after_a_long_silence() -> None:
    clock = Clock()
    nonces = Nonces(clock)
    for pause in (0.0, 10 * NONCE_SECONDS, NONCE_SECONDS - 1):
        clock.now += pause
        nonce = from_base64url(nonces.issue())
        assert nonces.spend(nonce, ADA)
        assert not nonces.spend(nonce, ADA)


def test_a_restart_makes_nonces_void() -> None:
    clock = Clock()
    nonce = from_base64url(Nonces(clock).issue())
    assert not Nonces(clock).serves(nonce)


def test_who_changes_a_nonce_has_none() -> None:
    clock = Clock()
    nonces = Nonces(clock)
    nonce = from_base64url(nonces.issue())
    for place in range(NONCE_BYTES):
        changed = bytearray(nonce)
        changed[place] ^= 1
        assert not nonces.serves(bytes(changed))
    assert not nonces.serves(nonce[:-1])
    assert not nonces.serves(nonce + b"\0")
    assert not nonces.serves(b"")


# --- Tokens and digests ---------------------------------------------------------------------------------------------


def test_tokens_are_known_by_their_hashes() -> None:
    tokens = {name: make_token() for name in ("ada", "bo")}
    known = Tokens({name: token_hash(token) for name, token in tokens.items()})
    assert {name: known.check(bearer(token)) for name, token in tokens.items()} == {"ada": "ada", "bo": "bo"}
    assert known.check(bearer(tokens["ada"]).replace("Bearer", "bearer")) == "ada"
    assert known.check(bearer(tokens["ada"][:-1])) is None
    assert tokens["ada"] not in repr(known)


def test_two_cannot_have_one_token() -> None:
    with pytest.raises(LocalProtocolError, match="two names have one token"):
        Tokens({"ada": bytes(32), "bo": bytes(32)})
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        Tokens({"ada": bytes(31)})


@given(st.binary(min_size=32, max_size=32))
def test_digests_go_round(digest: bytes) -> None:
    assert parse_content_digest(content_digest(digest)) == digest
    assert parse_content_digest(f"sha-512=:AAAA:, {content_digest(digest)}") == digest


@pytest.mark.parametrize("header", [None, "", "sha-256", "sha-256=::", "sha-256=:" + "A" * 44 + ":", "x" * 10_000])
def test_no_digest(header: str | None) -> None:
    assert parse_content_digest(header) is None


def test_a_digest_has_one_spelling() -> None:
    """Base64 whose last character has bits that mean nothing would be a second one."""
    assert parse_content_digest("sha-256=:" + "A" * 42 + "B=:") is None
