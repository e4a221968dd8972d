"""Problem documents: each refusal has a type of its own, and comes out as the same refusal."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import RemoteProtocolError
from secagg.http.problems import MEDIA_TYPE
from secagg.service.problems import TYPES, URN, ServiceProblem, from_response, of_refusal, refusal, to_document
from secagg.service.refusals import Kind, Refused

from ..support.folders import ROOT

HEADERS = {"content-type": MEDIA_TYPE, "retry-after": "7"}


@pytest.mark.parametrize("kind", Kind)
def test_a_refusal_comes_out_as_it_went_in(kind: Kind) -> None:
    refused = Refused(kind, "because", retry_after=7.0)
    problem = of_refusal(refused)
    read = refusal(problem.status, HEADERS, to_document(problem), 0.0)
    assert isinstance(read, Refused)
    assert (read.kind, read.detail, read.retry_after) == (kind, "because", 7.0)


def test_every_refusal_has_a_type_and_no_two_share_one() -> None:
    assert {str(kind) for kind in Kind} <= set(TYPES)
    assert all(400 <= status < 600 and title for status, title in TYPES.values())


def test_every_type_and_its_status_is_documented() -> None:
    page = (ROOT / "docs" / "service.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name, (status, _) in TYPES.items():
        assert any(f"`{name}`" in row and f"| {status} |" in row for row in rows), name


def test_types_are_uris_of_ours() -> None:
    problem = from_response(404, HEADERS, to_document(ServiceProblem("no-session", "which?")), 0.0)
    assert (problem.type, problem.status, problem.detail) == ("no-session", 404, "which?")
    assert f'"{URN}no-session"'.encode() in to_document(problem)
    assert b'"about:blank"' in to_document(ServiceProblem("about:blank", "", status=500))


def test_what_is_no_refusal_is_an_error_of_the_peer() -> None:
    for status, body in ((404, to_document(ServiceProblem("unfinished", "which?"))), (500, b"<html>")):
        error = refusal(status, HEADERS, body, 0.0)
        assert isinstance(error, RemoteProtocolError)
        assert str(status) in str(error)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_bytes_give_an_error(status: int, body: bytes) -> None:
    assert str(refusal(status, HEADERS, body, 0.0)).isprintable()


def test_problems_travel_between_processes() -> None:
    problem = ServiceProblem("busy", "later", retry_after=3)
    other = pickle.loads(pickle.dumps(problem))
    assert vars(other) == vars(problem)
