"""What is fixed when a session is created."""

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import LocalProtocolError, Model, RemoteProtocolError, Round
from secagg.errors import ArgumentTypeError
from secagg.service.deadlines import Deadlines
from secagg.service.setup import SessionSetup

from ..support.coordinated import make_setup

FULL = replace(
    make_setup(n=3, deadlines=Deadlines(goal=3, seconds={Round.SHARE_KEYS: 1.5}, grace=0, keep=7)),
    invited=("7", 7, (1 << 64) - 1),
    results_for_participants=False,
    label="for people",
)
SETUPS = [make_setup(), make_setup(Model.ACTIVE), FULL]


@pytest.mark.parametrize("setup", SETUPS)
def test_a_setup_survives_encoding(setup: SessionSetup) -> None:
    decoded = SessionSetup.decode(setup.encode())
    assert decoded == setup
    assert hash(decoded) == hash(setup)
    for name in ("name", "params", "invited", "deadlines", "created", "results_for_participants", "label"):
        assert getattr(decoded, name) == getattr(setup, name)
    assert (None if decoded.roster is None else decoded.roster.hash) == (setup.roster and setup.roster.hash)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": ""}, "name must be"),
        ({"name": "-a"}, "name must be"),
        ({"name": "A"}, "name must be"),
        ({"name": "a" * 65}, "name must be"),
        ({"name": "a/b"}, "name must be"),
        ({"created": -1.0}, "created"),
        ({"created": float("nan")}, "finite"),
        ({"label": "two\nlines"}, "label"),
        ({"label": "x" * 201}, "label"),
        ({"invited": ("a", "b")}, "n = 3"),
        ({"invited": ("a", "a", "b")}, "twice"),
        ({"invited": ("a", "b", "c\n")}, "printable"),
        ({"invited": ("a", "b", "")}, "printable"),
        ({"invited": ("a", 7, 7)}, "twice"),
        ({"invited": ("a", "b", -1)}, "number must be 0 .. 2\\^64 - 1, got -1"),
        ({"invited": ("a", "b", 1 << 64)}, "number must be 0 .. 2\\^64 - 1, got 18446744073709551616"),
        ({"invited": ("a", "b", "ö" * 128)}, "printable"),
        ({"roster": make_setup(Model.ACTIVE, 3).roster}, "roster"),
        ({"params": make_setup(Model.ACTIVE, 3).params}, "roster"),
        ({"deadlines": Deadlines(goal=2)}, "min_users"),
        ({"deadlines": Deadlines(goal=4)}, "goal"),
    ],
)
def test_parts_that_do_not_belong_together(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        replace(FULL, **change)


def test_a_roster_has_no_names() -> None:
    with pytest.raises(LocalProtocolError, match="no names"):
        replace(make_setup(Model.ACTIVE), invited=("a", "b", "c", "d"))


@pytest.mark.parametrize(
    "change", [{"name": b"a"}, {"label": 3}, {"invited": (1, 2, 3.0)}, {"invited": (True, 2, 3)}, {"created": "now"}]
)
def test_other_types(change: dict[str, Any]) -> None:
    with pytest.raises(ArgumentTypeError):
        replace(FULL, **change)


@given(st.sampled_from(SETUPS), st.data())
def test_any_bytes_are_a_setup_or_refused(setup: SessionSetup, data: st.DataObject) -> None:
    encoded = setup.encode()
    bit = data.draw(st.integers(0, 8 * len(encoded) - 1))
    changed = (int.from_bytes(encoded) ^ 1 << bit).to_bytes(len(encoded))[: data.draw(st.integers(0, len(encoded)))]
    try:
        decoded = SessionSetup.decode(changed)
    except RemoteProtocolError:
        return
    assert decoded.encode() == changed


def test_default_deadlines() -> None:
    deadlines = Deadlines()
    assert deadlines.seconds == {each: 3600.0 if each is Round.ADVERTISE_KEYS else 300.0 for each in Round}
    assert (deadlines.goal, deadlines.grace, deadlines.keep) == (None, 10.0, 86400.0)
    assert deadlines.enough(7) == 7
    assert [Deadlines(goal=5).enough(n) for n in (4, 5, 6)] == [4, 5, 5]


@pytest.mark.parametrize(
    "arguments",
    [
        {"goal": 0},
        {"grace": -1.0},
        {"grace": 1e9},
        {"keep": -0.1},
        {"keep": float("inf")},
        {"seconds": {Round.SHARE_KEYS: 0.0}},
        {"seconds": {Round.SHARE_KEYS: float("nan")}},
        {"seconds": {Round.SHARE_KEYS: 1e9}},
    ],
)
def test_deadlines_that_are_none(arguments: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        Deadlines(**arguments)


def test_deadlines_are_copied_and_pickled() -> None:
    deadlines = Deadlines(goal=3, seconds={Round.SHARE_KEYS: 7.0})
    assert pickle.loads(pickle.dumps(deadlines)) == copy.deepcopy(deadlines) == deadlines


def test_numbers_become_pythons_own() -> None:
    numbers: dict[str, Any] = {"goal": np.int64(3), "grace": np.float32(2), "seconds": {Round.SHARE_KEYS: np.int8(4)}}
    deadlines = Deadlines(**numbers)
    assert type(deadlines.goal) is int
    assert type(deadlines.grace) is float
    assert type(deadlines.seconds[Round.SHARE_KEYS]) is float
