"""Requests that wait for news: woken when a round ends, one for each user, and let go when the server stops."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from secagg import Round
from secagg.service.coordinator import Limits
from secagg.service.resources import abort_path

from ...support.coordinators import PATIENCE, Kept, Party, kept, problem_type, seated

FIRST = Round.ADVERTISE_KEYS
LONG = 50.0  # seconds that no test waits for


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path / "state", limits=Limits(poll_seconds=LONG)) as coordinator:
        yield coordinator


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def waiting(here: Kept, party: Party, after: Round, pool: ThreadPoolExecutor) -> "Future[httpx.Response]":
    """A poll that the coordinator knows of; it has its own connection and nonce."""
    before = polls(here)
    own = replace(party, nonce=None)
    future = pool.submit(own.request, after, LONG)
    wait_for(lambda: polls(here) > before or future.done(), "the poll does not wait")
    return future


def polls(here: Kept) -> float:
    value = here.coordinator.metrics.registry.get_sample_value("secagg_service_waiting_polls")
    assert value is not None
    return value


def wait_for(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.002)


@pytest.mark.parametrize("active", [False, True])
def test_all_are_woken_when_the_round_ends(here: Kept, active: bool) -> None:
    table = seated(here, active=active)
    answers = table.start()
    with threads() as pool:
        for party in table.parties[:3]:
            assert party.answer(FIRST, answers[party.user]).status_code == 204
        futures = [waiting(here, party, FIRST, pool) for party in table.parties[:3]]
        assert not any(future.done() for future in futures)  # although three messages have come
        last = table.parties[3]
        assert last.answer(FIRST, answers[last.user]).status_code == 204
        responses = [future.result(PATIENCE) for future in futures]
    assert [response.status_code for response in responses] == [200] * 3
    assert {response.headers["SecAgg-Round"] for response in responses} == {"share-keys"}
    wait_for(lambda: polls(here) == 0, "a poll is counted although it has ended")


def test_a_second_poll_of_a_user_ends_the_first(here: Kept) -> None:
    table = seated(here)
    answers = table.start()
    with threads() as pool:
        party = table.parties[0]
        assert party.answer(FIRST, answers[party.user]).status_code == 204
        first = waiting(here, party, FIRST, pool)
        second = pool.submit(replace(party).request, FIRST, LONG)
        ended = first.result(PATIENCE)
        assert (ended.status_code, ended.headers["retry-after"]) == (204, "1")
        assert polls(here) == 1
        for other in table.parties[1:]:
            other.answer(FIRST, answers[other.user])
        assert second.result(PATIENCE).status_code == 200


def test_those_who_wait_are_told_of_an_abort(here: Kept) -> None:
    table = seated(here)
    with threads() as pool:
        future = waiting(here, table.parties[0], FIRST, pool)
        reason = {"reason": "wrong model"}
        assert here.http.post(here.url + abort_path(table.session), headers=here.headers, json=reason).is_success
        told = future.result(PATIENCE)
    assert (told.status_code, problem_type(told)) == (410, "aborted")
    assert "wrong model" in told.json()["detail"]


def test_a_poll_ends_with_its_own_time(here: Kept) -> None:
    table = seated(here)
    response = table.parties[0].request(FIRST, 0.05)
    assert (response.status_code, response.headers["retry-after"]) == (204, "0")
    response = table.parties[0].request(FIRST, 0)
    assert (response.status_code, response.headers["retry-after"]) == (204, "1")


def test_a_poll_ends_with_its_connection(here: Kept) -> None:
    table = seated(here)
    party = table.parties[0]
    with httpx.Client(timeout=0.5) as impatient, pytest.raises(httpx.ReadTimeout):
        replace(party, kept=replace(here, http=impatient)).request(FIRST, LONG)
    wait_for(lambda: polls(here) == 0, "the poll of a peer that went away still waits")


@pytest.mark.parametrize("query", ["wait=-1", "wait=x", "wait=1e9", "wait=", "after=", "after=6", "after=ShareKeys"])
def test_queries_that_are_none(here: Kept, query: str) -> None:
    table = seated(here)
    party = table.parties[0]
    response = party.ask("GET", f"/v1/sessions/{table.session}/users/1/request?{query}")
    assert (response.status_code, problem_type(response)) == (400, "malformed")
