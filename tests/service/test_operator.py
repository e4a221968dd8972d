"""The operator's side, where answers are lost: what was asked for twice is done once."""

from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from secagg.errors import RemoteProtocolError
from secagg.http.base64url import base64url
from secagg.http.urls import parse_server_url
from secagg.protocol.params import Params
from secagg.service.operator import Operator
from secagg.service.problems import ServiceProblem
from secagg.service.resources import ResultForm

from ..support.coordinators import Kept, kept


class Losing(httpx.HTTPTransport):
    """Loses the answer to the first POST: the request has arrived."""

    lost = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.method == "POST" and not self.lost:
            self.lost = True
            response.read()
            raise httpx.ReadError("lost")
        return response


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path) as running:
        yield running


def operator(here: Kept, http: httpx.Client) -> Operator:
    return Operator(parse_server_url(here.url), here.operator, http, sleep=lambda seconds: None)


SINGLE = {"n": 4, "length": 3, "max_value": 9, "label": "one", "seconds": {"share-keys": 7.0}, "grace": 2.0}
WHOLE = {"params": base64url(Params(n=4, m=3, modulus=64).encode())}


@pytest.mark.parametrize("members", [SINGLE, WHOLE, {**SINGLE, "name": "mine"}], ids=["single", "params", "named"])
def test_a_session_is_made_once_although_the_answer_is_lost(here: Kept, members: dict[str, Any]) -> None:
    with httpx.Client(transport=Losing()) as http:
        asking = operator(here, http)
        made = asking.start(members)
        assert [each.session for each in asking.sessions()] == [made["session"]]
        assert made["url"] == f"{here.url}/v1/sessions/{made['session']}"
        assert made["n"] == 4


@pytest.mark.parametrize("change", [{"n": 5}, {"seconds": {"share-keys": 8.0}}, {"label": "two"}], ids=str)
def test_a_session_of_somebody_else_is_not_taken_for_ours(here: Kept, change: dict[str, Any]) -> None:
    here.create(**{**SINGLE, "name": "mine", **change})
    with (
        httpx.Client(transport=Losing()) as http,
        pytest.raises(ServiceProblem, match="a session mine already"),
    ):
        operator(here, http).start({**SINGLE, "name": "mine"})


def test_a_name_that_is_taken_is_refused_although_the_session_is_equal(here: Kept) -> None:
    """Nothing was lost, so that this is another session."""
    here.create(**SINGLE, name="mine")
    with httpx.Client() as http, pytest.raises(ServiceProblem, match="a session mine already"):
        operator(here, http).start({**SINGLE, "name": "mine"})


def test_a_session_is_aborted_once_although_the_answer_is_lost(here: Kept) -> None:
    session = here.create(**SINGLE)["session"]
    with httpx.Client(transport=Losing()) as http:
        told = operator(here, http).abort(session, "wrong model")
        assert (told["status"], told["reason"]) == ("aborted", "wrong model")
        with pytest.raises(ServiceProblem, match="the session is over"):
            operator(here, http).abort(session, "another reason")


def test_a_sum_that_claims_to_be_huge_is_refused_unread(here: Kept) -> None:
    """Its header says more entries than any memory has; the hash is that of the few bytes that follow."""
    file = BytesIO()
    np.save(file, np.zeros(5, np.uint32))
    huge = file.getvalue().replace(b"(5,), }" + b" " * 11, b"(500000000000,), }")
    assert huge != file.getvalue()
    form = ResultForm("one", (1, 2), sha256(bytes(20)).hexdigest(), "uint32", 5, 64)
    answering = httpx.MockTransport(lambda request: httpx.Response(200, content=huge))
    with (
        httpx.Client(transport=answering) as http,
        pytest.raises(RemoteProtocolError, match=r"is not uint32 of shape \[5\]"),
    ):
        operator(here, http).sum(form)
