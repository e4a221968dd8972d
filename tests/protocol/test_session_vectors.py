"""Whole sessions, byte for byte, against messages that were computed without this package.

A sum comes out right whenever masks cancel, whatever they are; only known answers say that they are Fig. 4's.
"""

import io
import json
from typing import Any

import pytest

from secagg import Client, Params, Server
from secagg.protocol.graph import COMPLETE, Sparse, circle_order
from secagg.protocol.messages import ShareKeysRequest, decode, session_id
from secagg.protocol.thresholds import Threat

from ..support.folders import VECTORS

CASES = json.loads((VECTORS / "session.json").read_text())["cases"]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))


def params_of(case: dict[str, Any]) -> Params:
    fields = dict(case["params"])
    degree = fields.pop("degree")
    fields["graph"] = Sparse(degree) if degree else COMPLETE
    nonce, context = bytes.fromhex(fields["nonce"]), bytes.fromhex(fields["context"])
    return Params(**fields | {"threat": Threat(fields["threat"]), "nonce": nonce, "context": context})


def by_user(messages: dict[str, str]) -> dict[int, bytes]:
    return {int(u): bytes.fromhex(message) for u, message in messages.items()}


def test_both_kinds_of_modulus_and_of_graph_are_there() -> None:
    rounds = ["AdvertiseKeys", "ShareKeys", "MaskedInputCollection", "Unmasking"]
    assert [case["params"]["modulus"] for case in CASES] == [2**12, 2**24 - 3, 2**20]
    assert [case["params"]["degree"] for case in CASES] == [0, 0, 2]
    for case in CASES:
        users = [str(u) for u in range(1, case["params"]["n"] + 1)]
        assert [entry["round"] for entry in case["rounds"]] == rounds
        assert [sorted(entry["answers"]) for entry in case["rounds"]] == [users] * 2 + [users[:-1]] * 2
        assert [str(u) for u in case["survivors"]] == users[:-1]


@each_case
def test_users_stand_on_the_circle_in_this_order(case: dict[str, Any]) -> None:
    if case["circle"]:
        order = circle_order(bytes.fromhex(case["session"]), case["params"]["n"]) + 1
        assert order.tolist() == case["circle"] != sorted(case["circle"])


@each_case
def test_params_and_session_id(case: dict[str, Any]) -> None:
    params = params_of(case)
    assert params.encode().hex() == case["params_encoded"]
    request = decode(bytes.fromhex(case["rounds"][0]["requests"]["1"]), ShareKeysRequest)
    assert session_id(params, b"", request).hex() == case["session"]


@each_case
def test_each_client_sends_these_bytes(case: dict[str, Any]) -> None:
    params = params_of(case)
    for u, user in case["users"].items():
        drawn = io.BytesIO(bytes.fromhex(user["rand"]))
        client = Client(params, int(u), user["x"], rand=drawn.read)
        request = b""
        for entry in case["rounds"]:
            if u not in entry["answers"]:
                break
            answer = client.receive(request) if request else client.start()
            assert answer.hex() == entry["answers"][u], entry["round"]
            request = bytes.fromhex(entry["requests"].get(u, ""))
        assert drawn.read() == b""


@each_case
def test_the_server_sends_these_bytes_and_finds_the_sum(case: dict[str, Any]) -> None:
    server = Server(params_of(case))
    for entry in case["rounds"]:
        assert str(server.round) == entry["round"]
        for u, answer in by_user(entry["answers"]).items():
            server.receive(u, answer)
        assert server.end_round() == by_user(entry["requests"])
    assert server.faults == []
    assert list(server.survivors) == case["survivors"]
    assert server.sum.tolist() == case["sum"]
