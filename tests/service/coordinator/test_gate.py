"""Who may speak, where many ask in one turn of the event loop."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from starlette.requests import Request

from secagg import Identity, Model, Roster
from secagg.http.base64url import from_base64url
from secagg.service.authentication import NONCE_BYTES, Nonces, RequestScope, Tokens, sign, verify_all
from secagg.service.coordinator import gate
from secagg.service.coordinator.gate import VERIFIED_TOGETHER, Gate
from secagg.service.problems import ServiceProblem
from secagg.service.setup import SessionSetup

from ...support.coordinated import IDENTITIES, make_setup

URL = "https://secagg.example:443"
PATH = "/v1/sessions/session/users/1/request"
EMPTY = sha256(b"").digest()


@pytest.fixture
def setup() -> SessionSetup:
    return make_setup(Model.ACTIVE, VERIFIED_TOGETHER + 6)


@pytest.fixture
def here() -> Gate:
    return Gate(URL, Tokens({}), Tokens({}), Nonces())


def signed(here: Gate, setup: SessionSetup, user: int, identity: Identity) -> Request:
    nonce = from_base64url(here.nonces.issue(), NONCE_BYTES)
    scope = RequestScope(URL, setup.params_digest, setup.name, user, "GET", PATH, None, EMPTY)
    header = (b"authorization", sign(identity, scope, nonce).encode())
    return Request({"type": "http", "method": "GET", "path": PATH, "query_string": b"", "headers": [header]})


def test_of_requests_that_are_verified_together_each_is_its_own_users(
    here: Gate, setup: SessionSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third is signed with a stranger's key. The second time all nonces are spent."""
    batches: list[int] = []

    def counted(requests: Any) -> list[bool]:
        batches.append(len(requests))
        return verify_all(requests)

    monkeypatch.setattr(gate, "verify_all", counted)
    counting = Gate(URL, Tokens({}), Tokens({}), here.nonces)
    users = range(1, VERIFIED_TOGETHER + 7)
    requests = [signed(here, setup, u, Identity.generate() if u % 3 == 0 else IDENTITIES[u]) for u in users]

    async def ask() -> list[Any]:
        asked = (counting.participant(request, setup) for request in requests)
        return await asyncio.gather(*asked, return_exceptions=True)

    for genuine in (None, 401):
        told = [each.status if isinstance(each, ServiceProblem) else each for each in asyncio.run(ask())]
        assert told == [403 if u % 3 == 0 else genuine or u for u in users]
    assert batches == [VERIFIED_TOGETHER, 6] * 2


def test_a_nonce_that_comes_twice_at_once_serves_once(here: Gate, setup: SessionSetup) -> None:
    request = signed(here, setup, 1, IDENTITIES[1])

    async def ask() -> list[Any]:
        return await asyncio.gather(*(here.participant(request, setup) for _ in range(5)), return_exceptions=True)

    told = [each.status if isinstance(each, ServiceProblem) else each for each in asyncio.run(ask())]
    assert sorted(told) == [1, 401, 401, 401, 401]


def test_whoever_is_in_two_rosters_sees_the_sessions_of_both(here: Gate, setup: SessionSetup) -> None:
    """And in no other that has the same user id."""
    keys = {u: IDENTITIES[u].verification_key for u in range(1, setup.params.n + 1)}
    other, foreign = (
        replace(setup, name=name, roster=Roster(keys | {u: Identity.generate().verification_key}))
        for name, u in (("other", 2), ("foreign", 1))
    )
    nonce = from_base64url(here.nonces.issue(), NONCE_BYTES)
    scope = RequestScope(URL, bytes(32), "", 1, "GET", "/v1/sessions", None, EMPTY)
    header = (b"authorization", sign(IDENTITIES[1], scope, nonce).encode())
    request = Request(
        {"type": "http", "method": "GET", "path": "/v1/sessions", "query_string": b"", "headers": [header]}
    )
    assert asyncio.run(here.anybody(request, [foreign, setup, other])) == [setup, other]
