"""The ping-pong topology: the draft's framing, and what a wrong message costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import LocalProtocolError, ReportRejected
from secagg.vdaf import DRAFT_08, DRAFT_20, Draft, PingPong, Prio3, Prio3Count, Prio3Histogram, Rows

from ..support.prio3_reports import ALL, IDS, Reports


def encode(kind: int, payload: bytes) -> bytes:
    """The draft's struct Message (section 5.7.1)."""
    return bytes([kind]) + len(payload).to_bytes(4, "big") + payload


class Exchange:
    """A batch between Leader and Helper."""

    def __init__(self, reports: Reports) -> None:
        self.reports = reports
        self.party = PingPong(reports.prio3)
        self.common = reports.key, reports.ctx, reports.nonces, reports.public
        self.states, self.request = self.party.leader_init(*self.common, reports.inputs[0])

    def helper(self, request: Rows | list[bytes]) -> tuple[Rows, Rows]:
        return self.party.helper_init(*self.common, self.reports.inputs[1], request)


@pytest.mark.parametrize(("prio3", "measurements", "result"), ALL, ids=IDS)
def test_both_parties_finish(prio3: Prio3, measurements: list[object], result: object) -> None:
    exchange = Exchange(Reports(prio3, measurements))
    helper_out, response = exchange.helper(list(exchange.request))
    leader_out = exchange.party.leader_continued(exchange.states, list(response))
    agg_shares = [prio3.agg_init(), prio3.agg_init()]
    for agg_share, out_shares in zip(agg_shares, (leader_out, helper_out), strict=True):
        prio3.agg_update(agg_share, out_shares)
    assert prio3.unshard(agg_shares, len(measurements)) == result


@pytest.mark.parametrize("draft", [DRAFT_20, DRAFT_08])
def test_messages_are_the_drafts(draft: Draft) -> None:
    reports = Reports(Prio3Histogram(length=3, draft=draft), [2, 0])
    exchange = Exchange(reports)
    _, shares = reports.verify_init(0)
    assert list(exchange.request) == [encode(0, share) for share in shares]
    _, others = reports.verify_init(1)
    message = reports.prio3.verifier_shares_to_message_batch(reports.ctx, [shares, others])
    _, response = exchange.helper(exchange.request)
    assert list(response) == [encode(2, payload) for payload in message]


def test_a_state_may_be_kept_as_bytes() -> None:
    exchange = Exchange(Reports(Prio3Histogram(length=3), [2, 0]))
    _, response = exchange.helper(exchange.request)
    stored = list(exchange.states.encode())
    again = exchange.party.leader_continued(stored, list(response))
    assert np.array_equal(again.data, exchange.party.leader_continued(exchange.states, response).data)


def test_each_wrong_request_rejects_its_report() -> None:
    exchange = Exchange(Reports(Prio3Count(), [1] * 8))
    request = list(exchange.request)
    payload = request[0][5:]
    request[1] = encode(2, payload)
    request[2] = encode(1, payload)
    request[3] = encode(0, payload)[:-1]
    request[4] = encode(0, payload) + b"\0"
    request[5] = b"\0\0\0\0\x21" + payload
    request[6] = b""
    request[7] = encode(0, b"\xff" * len(payload))
    out_shares, response = exchange.helper(request)
    reasons = {i: error.reason for i, error in out_shares.rejected.items()}
    size = len(request[0])
    framing = "ping-pong message initialize: it states another type or length"
    length = f"ping-pong message initialize: {size} bytes expected, got "
    assert reasons == {
        1: framing,
        2: framing,
        3: f"{length}{size - 1}",
        4: f"{length}{size + 1}",
        5: framing,
        6: f"{length}0",
        7: "verifier share: a field element is not below the modulus",
    }
    assert set(response.rejected) == set(reasons)
    assert response[0] == encode(2, b"")
    assert set(exchange.party.leader_continued(exchange.states, response).rejected) == set(reasons)


def test_each_wrong_response_rejects_its_report() -> None:
    exchange = Exchange(Reports(Prio3Histogram(length=2), [1] * 4))
    _, answer = exchange.helper(exchange.request)
    response = list(answer)
    response[1] = response[0]
    response[2] = encode(1, response[2][5:])
    response[3] = response[3][:4]
    out_shares = exchange.party.leader_continued(exchange.states, response)
    assert {i: error.reason for i, error in out_shares.rejected.items()} == {
        1: "the joint randomness is not the Client's",
        2: "ping-pong message finish: it states another type or length",
        3: "ping-pong message finish: 37 bytes expected, got 4",
    }
    assert len(out_shares[0]) == exchange.reports.prio3.OUT_SHARE_SIZE
    with pytest.raises(ReportRejected, match="report 2"):
        out_shares[2]


def test_reports_that_the_helper_cannot_read() -> None:
    exchange = Exchange(Reports(Prio3Count(), [1, 0]))
    exchange.reports.inputs[1][0] = b"?"
    out_shares, response = exchange.helper(exchange.request)
    assert list(out_shares.rejected) == list(response.rejected) == [0]


def test_a_report_that_the_helper_refuses_last() -> None:
    """The proof holds, but not with the joint randomness that the Leader's part makes."""
    exchange = Exchange(Reports(Prio3Histogram(length=2), [1, 0]))
    request = list(exchange.request)
    request[1] = request[1][:-1] + bytes([request[1][-1] ^ 1])
    out_shares, response = exchange.helper(request)
    assert [error.reason for error in out_shares.rejected.values()] == ["the joint randomness is not the Client's"]
    assert set(out_shares.rejected) == set(response.rejected) == {1}


def test_reports_that_the_leader_could_not_read() -> None:
    """Whatever the Helper answers."""
    reports = Reports(Prio3Count(), [1, 0])
    reports.inputs[0][0] = b"?"
    states, _ = reports.verify_init(0)
    for states_or_rows in (states, states.encode()):
        assert set(PingPong(reports.prio3).leader_continued(states_or_rows, [encode(2, b"")] * 2).rejected) == {0}


def test_two_aggregators_only() -> None:
    with pytest.raises(LocalProtocolError, match="for 2 Aggregators, got 3"):
        PingPong(Prio3Count(3))


@given(st.lists(st.binary(max_size=40), min_size=2, max_size=2))
def test_no_bytes_but_an_encoding_are_taken(messages: list[bytes]) -> None:
    exchange = Exchange(Reports(Prio3Count(), [1, 0]))
    out_shares = exchange.party.leader_continued(exchange.states, messages)
    assert set(out_shares.rejected) == {i for i, message in enumerate(messages) if message != encode(2, b"")}
