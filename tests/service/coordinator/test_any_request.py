"""Any bytes as a request, to every resource: a problem document below 500, and nothing changes for what a stranger
sends."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import anyio.from_thread
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secagg import Identity, Model, Params, Round
from secagg.http.base64url import base64url, from_base64url
from secagg.http.problems import MEDIA_TYPE
from secagg.service.authentication import (
    NONCE_BYTES,
    RequestScope,
    bearer,
    content_digest,
    sign,
    token_hash,
)
from secagg.service.coordinator import Coordinator, Limits
from secagg.service.problems import TYPES, URN
from secagg.service.resources import ROUND_NAMES

URL = "https://secagg.example"
OPERATOR, ADA = "operator's-token", "ada's-token"
LISTED = {"ada": token_hash(ADA), "bo": token_hash("bo's-token")}


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    content: bytes


class Asked:
    """A coordinator in memory, on an event loop of its own."""

    def __init__(self, folder: Path, portal: Any) -> None:
        limits = Limits(poll_seconds=0.01)
        self.coordinator = Coordinator(
            folder, url=URL, operator=token_hash(OPERATOR), participants=LISTED, limits=limits
        )
        self._portal = portal
        self.identity = Identity.generate()
        self.active = Params(n=3, m=2, modulus=1 << 16, model=Model.ACTIVE, n_corrupt=0, nonce=bytes(16))

    def ask(self, method: bytes, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        answer: Answer = self._portal.call(self._ask, method, path, query, headers, body)
        return answer

    async def _ask(
        self, method: bytes, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> Answer:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method.decode("latin-1"),
            "scheme": "https",
            "path": path.decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        events = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return events.pop() if events else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.coordinator(scope, receive, send)  # type: ignore[arg-type]
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), content)

    def state(self) -> Any:
        """All that there is of all sessions."""
        lives = self.coordinator.sessions.all
        return {live.name: {**live.running.describe(), "ends": None} for live in lives}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with anyio.from_thread.start_blocking_portal() as portal:
        here = Asked(tmp_path_factory.mktemp("coordinator") / "state", portal)
        with portal.wrap_async_context_manager(here.coordinator.running()):
            keys = {str(u): Identity.generate().verification_key.hex() for u in (2, 3)}
            keys["1"] = here.identity.verification_key.hex()
            made = [
                {"name": "one", "n": 3, "length": 2, "n_corrupt": 0},
                {"name": "two", "params": base64url(here.active.encode()), "roster": keys},
                {"name": "three", "n": 3, "length": 2, "n_corrupt": 0},
            ]
            shown = [(b"authorization", bearer(OPERATOR).encode())]
            for members in made:
                assert here.ask(b"POST", b"/v1/sessions", b"", shown, json.dumps(members).encode()).status == 201
            reason = b'{"reason": "over"}'
            assert here.ask(b"POST", b"/v1/sessions/three/abort", b"", shown, reason).status == 200
            yield here


NAMED = [
    *(b"v1", b"sessions", b"one", b"two", b"three", b"join", b"users", b"1", b"request", b"answers", b"result", b"sum"),
    *(b"leave", b"roster", b"abort", b"healthz", b"", b"..", b"%00", b"0", b"-1", b"4294967296"),
    *(name.encode() for name in ROUND_NAMES.values()),
]
PARTS = st.sampled_from(NAMED) | st.binary(max_size=6).map(lambda part: part.replace(b"/", b""))
BELOW = [
    *(b"", b"/join", b"/abort", b"/result", b"/result/sum", b"/users/1/request"),
    *(b"/users/1/answers/advertise-keys", b"/users/2/answers/unmasking", b"/users/1/leave", b"/roster"),
]
SESSIONS = [b"/v1/sessions/" + name + below for name in (b"one", b"two", b"three", b"nowhere") for below in BELOW]
WHOLE = st.sampled_from([b"/v1/sessions", b"/healthz", *SESSIONS])
PATHS = WHOLE | st.lists(PARTS, max_size=7).map(lambda parts: b"/" + b"/".join(parts))
METHODS = st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"X"])
QUERIES = st.binary(max_size=20) | st.sampled_from(
    [b"wait=1", b"wait=0&after=share-keys", b"after=x", b"wait=\xff", b"&&="]
)
BODIES = st.one_of(
    st.binary(max_size=100),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3).map(
        lambda value: json.dumps(value).encode()
    ),
    st.dictionaries(
        st.sampled_from(
            ["n", "length", "bits", "params", "roster", "seconds", "invited", "reason", "name", "model", "t"]
        ),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    ).map(lambda value: json.dumps(value).encode()),
)
FORGED = st.sampled_from(
    [b"Bearer nobody", b"Bearer", b"Basic x", b"SecAgg", b'SecAgg user=1, nonce="", signature=""', b"\xff\xfe"]
) | st.binary(max_size=40)


@st.composite
def others(draw: st.DrawFn, body: bytes) -> list[tuple[bytes, bytes]]:
    """Header fields that are not about who speaks."""
    fields = draw(
        st.lists(
            st.tuples(
                st.sampled_from([b"content-type", b"content-encoding", b"accept", b"host", b"expect", b"x"]),
                st.binary(max_size=20) | st.sampled_from([b"application/octet-stream", b"gzip", b"identity"]),
            ),
            max_size=3,
        )
    )
    stated = content_digest(sha256(body).digest()).encode()
    digest = draw(st.sampled_from([None, stated, stated, b"sha-256=:AAAA:", b"\xff"]))
    length = draw(st.sampled_from([str(len(body)).encode(), b"99999999999999999999", b"-1", b"x", b""]))
    return [*fields, (b"content-length", length), *([] if digest is None else [(b"content-digest", digest)])]


def check(answer: Answer) -> None:
    assert answer.status < 500
    assert len(answer.headers[b"secagg-nonce"]) > 40
    if answer.status >= 400 and answer.status != 499:
        assert answer.headers[b"content-type"] == MEDIA_TYPE.encode()
        problem = json.loads(answer.content)
        assert problem["status"] == answer.status
        assert problem["type"].removeprefix(URN) in TYPES


@settings(max_examples=250, deadline=None)
@given(data=st.data(), method=METHODS, path=PATHS, query=QUERIES, body=BODIES, shown=st.none() | FORGED)
def test_what_a_stranger_sends_changes_nothing(
    asked: Asked, data: st.DataObject, method: bytes, path: bytes, query: bytes, body: bytes, shown: bytes | None
) -> None:
    before = asked.state()
    headers = data.draw(others(body)) + ([] if shown is None else [(b"authorization", shown)])
    answer = asked.ask(method, path, query, headers, body)
    if method in (b"GET", b"POST") and path.startswith(b"/v1/"):
        assert answer.status >= 400
    if method != b"HEAD":
        check(answer)
    assert asked.state() == before


@settings(max_examples=250, deadline=None)
@given(data=st.data(), method=METHODS, path=PATHS, query=QUERIES, body=BODIES, who=st.sampled_from([OPERATOR, ADA]))
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 1e999}', OPERATOR)
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 3, "length": 99999999999999999999999}', OPERATOR)
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 3, "length": 2, "seconds": {"share-keys": -1}}', OPERATOR)
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 3, "length": 2, "name": "\\ud800"}', OPERATOR)
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 3, "length": 2, "context": "\\ud800"}', OPERATOR)
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 3, "length": 2, "label": "\\ud800"}', OPERATOR)
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 1, "length": 2, "invited": ["\\ud800"]}', OPERATOR)
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 1, "length": 2, "invited": [18446744073709551616]}', OPERATOR)
@example(None, b"POST", b"/v1/sessions", b"", b'{"n": 1, "length": 2, "roster": {"\\ud800": "00"}}', OPERATOR)
@example(None, b"POST", b"/v1/sessions/one/abort", b"", b'{"reason": "\\ud800"}', OPERATOR)
def test_what_is_sent_by_those_who_may_is_answered(
    asked: Asked, data: st.DataObject | None, method: bytes, path: bytes, query: bytes, body: bytes, who: str
) -> None:
    headers = [] if data is None else data.draw(others(body))
    answer = asked.ask(method, path, query, [*headers, (b"authorization", bearer(who).encode())], body)
    if method != b"HEAD":
        check(answer)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.builds(dict, user=st.integers(2, 3)),
        st.builds(dict, method=st.sampled_from(["GET", "PUT"])),
        st.builds(dict, session=st.text(max_size=5).filter(lambda name: name != "two")),
        st.builds(dict, coordinator=st.text(max_size=30)),
        st.builds(dict, round=st.none() | st.sampled_from([r for r in Round if r is not Round.ADVERTISE_KEYS])),
        st.builds(dict, params=st.binary(min_size=32, max_size=32)),
        st.builds(dict, content=st.binary(min_size=32, max_size=32)),
        st.builds(dict, path=st.text("/abcsession123?=&", max_size=40)),
        st.builds(dict, nonce=st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)),
    )
)
def test_a_signature_of_anything_else_changes_nothing(asked: Asked, changes: dict[str, Any]) -> None:
    before, body, path = asked.state(), b"an answer", "/v1/sessions/two/users/1/answers/advertise-keys"
    given_nonce = asked.ask(b"GET", b"/healthz", b"", [], b"").headers[b"secagg-nonce"].decode()
    signed_nonce = changes.pop("nonce", None) or from_base64url(given_nonce)
    true: dict[str, Any] = {
        "coordinator": "https://secagg.example:443",
        "params": sha256(asked.active.encode()).digest(),
        "session": "two",
        "user": 1,
        "method": "POST",
        "path": path,
        "round": Round.ADVERTISE_KEYS,
        "content": sha256(body).digest(),
    }
    shown = sign(asked.identity, RequestScope(**(true | changes)), signed_nonce)
    shown = shown.replace(base64url(signed_nonce), given_nonce).replace(f"user={changes.get('user', 1)},", "user=1,")
    digest = content_digest(sha256(body).digest()).encode()
    answer = asked.ask(
        b"POST", path.encode(), b"", [(b"authorization", shown.encode()), (b"content-digest", digest)], body
    )
    assert answer.status == 403
    check(answer)
    assert asked.state() == before
