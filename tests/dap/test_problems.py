"""Problem documents: as the draft writes them, and any answer of any server is one error."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dap.problems import DapProblem, from_response, to_document
from secagg.http.problems import MEDIA_TYPE
from secagg.http.semantics import parse_retry_after

TASK_ID = bytes(range(32))
PROBLEM = {"content-type": MEDIA_TYPE}
NOW = 1_700_000_000.0


def document(**members: object) -> DapProblem:
    return from_response(400, PROBLEM, json.dumps(members).encode(), NOW)


def test_document_is_the_drafts() -> None:
    problem = DapProblem("unsupportedExtension", "extension 23", task_id=TASK_ID, unsupported_extensions=[23])
    assert json.loads(to_document(problem)) == {
        "type": "urn:ietf:params:ppm:dap:error:unsupportedExtension",
        "title": "An extensions list includes an unknown extension.",
        "status": 400,
        "detail": "extension 23",
        "taskid": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "unsupported_extensions": [23],
    }


def test_types_that_are_not_daps_stay_out_of_its_namespace() -> None:
    written = json.loads(to_document(DapProblem("about:blank", "", status=404)))
    assert written == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_round_trip() -> None:
    sent = DapProblem("invalidBatchSize", "batch has 37 reports, needs 100", status=409, task_id=TASK_ID, size=37)
    got = from_response(409, PROBLEM | {"retry-after": "41"}, to_document(sent), NOW)
    assert (got.type, got.detail, got.status) == ("invalidBatchSize", "batch has 37 reports, needs 100", 409)
    assert (got.task_id, got.retry_after, got.members) == (TASK_ID, 41, {"size": 37})
    assert str(got) == "invalidBatchSize: batch has 37 reports, needs 100 (HTTP 409)"


def test_media_type_may_have_parameters_and_capitals() -> None:
    got = from_response(400, {"content-type": "Application/Problem+JSON; charset=utf-8"}, b'{"detail": "why"}', NOW)
    assert got.detail == "why"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b'{"type": "urn:ietf:params:ppm:dap:error:invalidMessage"}'),
        (MEDIA_TYPE, b"<html>"),
        (MEDIA_TYPE, b"[1]"),
        (MEDIA_TYPE, b"\xff"),
        (MEDIA_TYPE, b"[" * 60_000),
        (MEDIA_TYPE, b'{"type": "a", "detail": "' + b"x" * 70_000 + b'"}'),
        ("", b""),
    ],
)
def test_answers_without_a_document_say_the_status(content_type: str, body: bytes) -> None:
    got = from_response(502, {"content-type": content_type}, body, NOW)
    assert (got.type, got.detail, got.status) == ("about:blank", "", 502)
    assert str(got) == "about:blank: Bad Gateway (HTTP 502)"


def test_members_of_the_wrong_kind_are_ignored() -> None:
    got = document(type=7, detail=["x"], title="said so", taskid="short", self=1, task_id=2, retry_after="no", status=1)
    assert (got.type, got.detail, got.task_id, got.status) == ("about:blank", "said so", None, 400)
    assert (got.retry_after, got.members) == (None, {})


def test_a_servers_text_cannot_steer_a_terminal() -> None:
    got = document(type="\x1b[2J", detail="gone\x1b]0;title\x07\nnext")
    assert str(got).isprintable()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        ("9" * 30, 999_999_999),
        ("-1", None),
        ("1.5", None),
        ("\u0663", None),
        ("soon", None),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:12:20 GMT", 0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_pickle() -> None:
    problem = DapProblem("batchOverlap", "taken", status=409, task_id=TASK_ID, retry_after=1.5, more=[1])
    copy = pickle.loads(pickle.dumps(problem))
    assert (vars(copy), str(copy)) == (vars(problem), str(problem))


@given(st.integers(400, 599), st.text(max_size=50), st.binary(max_size=200), st.text(max_size=30))
def test_any_answer_is_a_problem(status: int, content_type: str, body: bytes, retry_after: str) -> None:
    for kind in (content_type, MEDIA_TYPE):
        got = from_response(status, {"content-type": kind, "retry-after": retry_after}, body, NOW)
        assert got.status == status


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda kinds: st.lists(kinds, max_size=3))


@given(st.dictionaries(st.text() | st.sampled_from(["type", "title", "detail", "taskid", "status"]), JSON))
def test_any_document_is_a_problem(members: dict[str, object]) -> None:
    got = from_response(400, PROBLEM, json.dumps(members).encode(), NOW)
    assert (got.status, str(got).isprintable()) == (400, True)
