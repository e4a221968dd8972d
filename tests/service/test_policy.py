"""What a site accepts: each rule by itself, and over any sessions and any policies."""

import pickle
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import LocalProtocolError, Model, Params, Threat
from secagg.protocol.graph import Sparse
from secagg.service.policy import Policy, PolicyRefusal

from ..support.folders import ROOT

HASH = bytes(range(32))


def params(**changes: Any) -> Params:
    settings = {"n": 10, "m": 4, "modulus": 1 << 20, "max_value": 100, "context": b"round 7", **changes}
    return Params(**settings)


def named(policy: Policy, session: Params, roster: bytes = b"", *, noisy: bool = False) -> list[str]:
    return [difference.field for difference in policy.differences(session, roster, noisy=noisy)]


def test_a_policy_that_says_nothing_wants_protection_from_server_and_clients_together() -> None:
    assert named(Policy(), params()) == []
    assert named(Policy(), params(threat=Threat.CLIENTS_ONLY)) == ["threat"]
    assert named(Policy(threat=None), params(threat=Threat.SERVER_ONLY)) == []


RULES: list[tuple[dict[str, Any], dict[str, Any], str]] = [  # a policy's, what is just enough, and the field
    ({"model": Model.ACTIVE}, {"model": Model.ACTIVE}, "model"),
    ({"n_min": 11}, {"n": 11}, "n"),
    ({"n_max": 9}, {"n": 9}, "n"),
    ({"min_users": 8}, {"min_users": 8}, "min_users"),
    ({"n_corrupt": 4}, {"n_corrupt": 4}, "n_corrupt"),
    ({"t": 8}, {"t": 8}, "t"),
    ({"min_inputs": 5}, {"min_users": 8}, "min_inputs"),
    ({"m": 5}, {"m": 5}, "m"),
    ({"max_value": 99}, {"max_value": 99}, "max_value"),
    ({"context": b"round 8"}, {"context": b"round 8"}, "context"),
    ({"context": b""}, {"context": b""}, "context"),
]


@pytest.mark.parametrize(("rule", "enough", "field"), RULES, ids=str)
def test_each_rule_refuses_what_is_less_and_takes_what_is_enough(
    rule: dict[str, Any], enough: dict[str, Any], field: str
) -> None:
    policy = Policy(**rule)
    assert named(policy, params()) == [field]
    assert named(policy, params(**enough)) == []
    with pytest.raises(PolicyRefusal, match=f"{field} is .*, and this site wants "):
        policy.check(params())
    policy.check(params(**enough))


def test_room_for_noise_is_bounded() -> None:
    assert named(Policy(room=9), params(room=10)) == ["room"]
    assert named(Policy(room=10), params(room=10)) == []


@pytest.mark.parametrize(("n", "least"), [(3, 1), (4, 1), (6, 1), (7, 2), (10, 3)])
def test_a_policy_that_does_not_say_wants_as_many_corrupt_users_as_params_has(n: int, least: int) -> None:
    assert named(Policy(), params(n=n, n_corrupt=least)) == []
    (difference,) = Policy().differences(params(n=n, n_corrupt=least - 1))
    assert (difference.field, difference.asked) == ("n_corrupt", f"{least - 1}")
    assert difference.wanted == f"at least {least}; to accept less, give n_corrupt in a policy (--policy)"
    assert named(Policy(n_corrupt=0), params(n=n, n_corrupt=least - 1)) == []
    assert named(Policy(threat=Threat.SERVER_ONLY), params(n=n, threat=Threat.SERVER_ONLY)) == []


def test_a_session_of_two_is_none_by_default() -> None:
    assert named(Policy(), params(n=2)) == ["n_corrupt"]


def test_a_policy_that_does_not_say_wants_all_of_a_roster() -> None:
    policy, session = Policy(), params(model=Model.ACTIVE)
    assert policy.differences(session, users=10) == ()
    (difference,) = policy.differences(session, users=11)
    assert str(difference) == (
        "n is 10, and this site wants all 11 users of the roster; to accept less, give min_users in a policy (--policy)"
    )
    assert Policy(n_min=10).differences(session, users=11) == ()
    assert Policy(min_users=7).differences(session, users=11) == ()
    with pytest.raises(PolicyRefusal, match="all 11 users"):
        policy.check(session, users=11)


def test_a_refusal_names_every_field_with_what_is_asked_and_what_is_wanted() -> None:
    with pytest.raises(PolicyRefusal) as refusal:
        Policy(min_users=9, n_corrupt=4, context=b"round 8").check(params())
    assert str(refusal.value) == (
        "the session is refused by this site's policy: min_users is 7, and this site wants at least 9; n_corrupt is 3,"
        " and this site wants at least 4; context is 'round 7', and this site wants 'round 8'"
    )
    copied = pickle.loads(pickle.dumps(refusal.value))
    assert copied.differences == refusal.value.differences


@pytest.mark.parametrize("context", [b"\x1b[2J", b"a\nb", b"x" * 65, "é".encode()])
def test_a_refusal_has_no_control_characters_of_the_coordinator(context: bytes) -> None:
    with pytest.raises(PolicyRefusal) as refusal:
        Policy(context=b"").check(params(context=context))
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()


def test_a_roster_is_the_one_that_the_site_has() -> None:
    policy = Policy(roster=HASH)
    assert named(policy, params(), HASH) == []
    (difference,) = policy.differences(params(), HASH[::-1])
    assert (difference.asked, difference.wanted) == (HASH[::-1].hex(), HASH.hex())
    (difference,) = policy.differences(params())
    assert difference.asked == "none"


def test_noise_is_wanted_on_every_input_or_on_none() -> None:
    assert named(Policy(noise=True), params()) == ["noise"]
    assert named(Policy(noise=True), params(room=5)) == ["noise"]
    assert named(Policy(noise=True), params(room=5), noisy=True) == []
    assert named(Policy(noise=False), params()) == []
    assert named(Policy(noise=False), params(room=5)) == ["noise"]
    assert named(Policy(noise=False), params(), noisy=True) == ["noise"]


def test_a_sparse_graph_is_refused_unless_it_is_allowed() -> None:
    session = params(n=20, n_corrupt=6, graph=Sparse(8), t=8, min_joined=20, min_users=19)
    assert named(Policy(), session) == ["graph"]
    assert named(Policy(complete_graph=False), session) == []
    assert named(Policy(), params(n=20, n_corrupt=6)) == []


def test_a_sparse_graph_has_at_least_the_degree_that_a_site_wants() -> None:
    session = params(n=20, n_corrupt=6, graph=Sparse(8), t=8, min_joined=20, min_users=19)
    assert named(Policy(complete_graph=False, degree=8), session) == []
    (difference,) = Policy(complete_graph=False, degree=9).differences(session)
    assert str(difference) == "graph is sparse, with 8 neighbours, and this site wants at least 9 neighbours"
    (difference,) = Policy().differences(session)
    assert str(difference) == "graph is sparse, with 8 neighbours, and this site wants the complete graph"
    assert named(Policy(complete_graph=False, degree=100), params(n=20, n_corrupt=6)) == []


def test_a_degree_is_for_sites_that_accept_sparse_graphs() -> None:
    with pytest.raises(LocalProtocolError, match="degree = 8 accepts sparse graphs: it needs complete_graph = false"):
        Policy(degree=8)


# Over any session and any policy.

SESSIONS = st.builds(
    lambda n, corrupt, more, max_value, room: Params(
        n=n,
        m=3,
        modulus=1 << 40,
        n_corrupt=min(corrupt, (n - 1) // 3),
        min_users=None if more else n,
        max_value=max_value,
        room=room,
    ),
    st.integers(5, 60),
    st.integers(0, 20),
    st.booleans(),
    st.integers(1, 1000),
    st.integers(0, 100),
)
BOUNDS = {
    "n_min": ("n", 1),
    "min_users": ("min_users", 1),
    "n_corrupt": ("n_corrupt", 1),
    "t": ("t", 1),
    "min_inputs": ("min_inputs", 1),
    "n_max": ("n", -1),
    "max_value": ("max_value", -1),
    "room": ("room", -1),
}


def policies(session: Params) -> st.SearchStrategy[tuple[Policy, set[str]]]:
    """A policy whose bounds are near a session's numbers, and the fields that are beyond them."""

    def make(offsets: dict[str, int]) -> tuple[Policy, set[str]]:
        wanted: dict[str, Any] = {"min_inputs": 0, "n_corrupt": 0}
        beyond: set[str] = set()
        for rule, offset in offsets.items():
            field, sign = BOUNDS[rule]
            wanted[rule] = max(0, getattr(session, field) + offset)
            if (wanted[rule] - getattr(session, field)) * sign > 0:
                beyond.add(field)
        return Policy(**wanted), beyond

    names = [name for name in BOUNDS if name != "n_max"]  # which must not contradict the others
    return st.dictionaries(st.sampled_from(names), st.integers(-2, 2)).map(make)


@given(st.data())
def test_exactly_the_fields_beyond_a_bound_are_named(data: st.DataObject) -> None:
    session = data.draw(SESSIONS)
    policy, beyond = data.draw(policies(session))
    assert set(named(policy, session)) == beyond


@given(st.data())
def test_no_policy_refuses_a_session_and_takes_a_weaker_one(data: st.DataObject) -> None:
    session = data.draw(SESSIONS)
    policy, _ = data.draw(policies(session))
    weaker = replace_params(session, min_users=data.draw(st.integers(session.t, session.min_users)))
    assert set(named(policy, session)) <= set(named(policy, weaker))


@given(st.data())
def test_what_is_filled_in_refuses_no_less(data: st.DataObject) -> None:
    session = data.draw(SESSIONS)
    policy, beyond = data.draw(policies(session))
    m = data.draw(st.integers(1, 5))
    filled = policy.filled(m=m)
    assert set(named(filled, session)) == beyond | ({"m"} if m != session.m else set())


def replace_params(session: Params, **changes: Any) -> Params:
    return replace(session, **changes)


def test_what_is_filled_in_must_not_contradict_the_policy() -> None:
    assert Policy(m=4).filled(m=4, model=Model.ACTIVE) == Policy(m=4, model=Model.ACTIVE)
    with pytest.raises(LocalProtocolError, match="wants m = 4, and here it is 5"):
        Policy(m=4).filled(m=5)
    with pytest.raises(LocalProtocolError, match="wants model = active, and here it is semi-honest"):
        Policy(model=Model.ACTIVE).filled(model=Model.SEMI_HONEST)
    with pytest.raises(LocalProtocolError, match=f"wants roster = {HASH.hex()}, and here"):
        Policy(roster=HASH).filled(roster=bytes(32))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"min_users": -1}, "min_users must not be negative"),
        ({"min_users": 2.0}, "min_users must be an integer"),
        ({"min_users": True}, "min_users must be an integer"),
        ({"n_min": 5, "n_max": 4}, "no session has n_min = 5, n_max = 4"),
        ({"min_users": 5, "n_max": 4}, "no session has min_users = 5, n_max = 4"),
        ({"roster": b"short"}, "a hash of 32 bytes"),
        ({"context": "text"}, "context must be bytes"),
        ({"model": 7}, "model must be one of semi-honest, active"),
        ({"threat": 9}, "threat must be one of"),
        ({"noise": "no"}, "noise must be True or False"),
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        Policy(**values)


def test_numbers_of_numpy_are_plain_ones() -> None:
    assert type(Policy(min_users=np.int8(5)).min_users) is int  # type: ignore[arg-type]


# The file.

FILE = f"""\
model = "active"
threat = "colluding"
n_min = 50
n_max = 1000
min_users = 40
n_corrupt = 10
t = 30
min_inputs = 20
m = 1000
max_value = 65535
room = 0
noise = false
context = "trial 7"
roster = "{HASH.hex()}"
complete_graph = false
degree = 30
allow_http = false
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_has_every_key(tmp_path: Path) -> None:
    assert Policy.read(written(tmp_path, FILE)) == Policy(
        model=Model.ACTIVE,
        threat=Threat.COLLUDING,
        n_min=50,
        n_max=1000,
        min_users=40,
        n_corrupt=10,
        t=30,
        min_inputs=20,
        m=1000,
        max_value=65535,
        room=0,
        noise=False,
        context=b"trial 7",
        roster=HASH,
        complete_graph=False,
        degree=30,
        allow_http=False,
    )
    assert Policy.read(written(tmp_path, "")) == Policy()
    assert Policy.read(written(tmp_path, 'threat = "any"\ncontext_hex = "00ff"')) == Policy(
        threat=None, context=b"\0\xff"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("min_user = 3", "a policy has no min_user: keys are .*min_users"),
        ("[table]\nx = 1", "a policy has no table"),
        ("min_users", "is not TOML"),
        ("min_users = 3.0", "min_users must be an integer"),
        ('min_users = "3"', "min_users must be an integer"),
        ('model = "strong"', "model must be one of semi-honest, active"),
        ("model = 2", "model must be one of semi-honest, active"),
        ('threat = "all"', "threat must be one of"),
        ("context = 3", "context must be text"),
        ('context = "a"\ncontext_hex = "00"', "both given"),
        ('context_hex = "0g"', "context_hex must be hexadecimal"),
        ("roster = 12", "roster must be hexadecimal"),
        ('roster = "12"', "a hash of 32 bytes"),
        ("noise = 1", "noise must be True or False"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_its_name(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(LocalProtocolError, match=f"^{path}.*{reason}"):
        Policy.read(path)


def test_the_documentation_has_every_key_and_no_other() -> None:
    page = (ROOT / "docs" / "service.md").read_text()
    section = page.partition("### What a site accepts")[2].partition("\n### ")[0]
    assert re.findall(r"^    (\w+) = ", section, re.M) == [field.name for field in fields(Policy)]
