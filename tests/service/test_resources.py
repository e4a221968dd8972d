"""Paths and JSON forms: they go round, and a reader refuses whatever is none."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import Params, RemoteProtocolError, Round
from secagg.service.deadlines import Deadlines
from secagg.service.resources import (
    ROUND_NAMES,
    Announcement,
    Listed,
    ResultForm,
    answer_path,
    deadlines_from_json,
    deadlines_to_json,
    parse_round,
    request_path,
)

PARAMS = Params(n=4, m=5, modulus=1 << 16, n_corrupt=1, nonce=bytes(16))
ANNOUNCEMENT = Announcement("one", 3, PARAMS, bytes(32), Deadlines(goal=3), Round.SHARE_KEYS, 12.5)
LISTED = Listed("one", "running", Round.SHARE_KEYS, "active", 4, 5, "label")
FORM = ResultForm("one", (1, 3), "ab" * 32, "uint32", 5, 1 << 16)
NAMED = replace(FORM, names=("3", (1 << 64) - 1))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_paths_are_as_documented() -> None:
    assert answer_path("one", 7, Round.MASKED_INPUT_COLLECTION) == (
        "/v1/sessions/one/users/7/answers/masked-input-collection"
    )
    assert request_path("one", 7, Round.SHARE_KEYS, 25.0) == "/v1/sessions/one/users/7/request?after=share-keys&wait=25"
    assert request_path("one", 7, None, 0.5) == "/v1/sessions/one/users/7/request?wait=0.5"


def test_rounds_have_names() -> None:
    assert {current: parse_round(name) for current, name in ROUND_NAMES.items()} == {each: each for each in Round}
    assert parse_round("ShareKeys") is None


@pytest.mark.parametrize(
    "value", [ANNOUNCEMENT, LISTED, FORM, NAMED, replace(ANNOUNCEMENT, round=None, seconds_left=None)]
)
def test_forms_go_round(value: Any) -> None:
    assert type(value).from_json(value.to_json()) == value
    assert type(value).from_json({**value.to_json(), "later": ["a", {}]}) == value  # members of later versions


@pytest.mark.parametrize("value", [ANNOUNCEMENT, LISTED, FORM, NAMED])
@given(data=st.data())
def test_anything_else_is_refused(value: Any, data: st.DataObject) -> None:
    document = value.to_json()
    name = data.draw(st.sampled_from(sorted(document)))
    changed = {**document, name: data.draw(JSON)}
    for bad in (changed, {key: entry for key, entry in document.items() if key != name}, data.draw(JSON)):
        with suppress(RemoteProtocolError):
            type(value).from_json(bad)


@pytest.mark.parametrize("names", [["a"], ["a", 1.0], ["a", True], ["a", -1], ["a", 1 << 64], ["a", ""], "ab", {}])
def test_names_that_are_none(names: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="a result: names"):
        ResultForm.from_json({**FORM.to_json(), "names": names})


@pytest.mark.parametrize("deadlines", [Deadlines(), Deadlines(goal=3, grace=0, keep=1, seconds={Round.UNMASKING: 5.5})])
def test_deadlines_go_round(deadlines: Deadlines) -> None:
    assert deadlines_from_json(deadlines_to_json(deadlines)) == deadlines


@pytest.mark.parametrize(
    "bad",
    [{"goal": "3"}, {"goal": 0}, {"grace": True}, {"grace": -1}, {"keep": float("nan")}, {"keep": 1e999},
     {"seconds": []}, {"seconds": {"round 1": 3}}, {"seconds": {"share-keys": "3"}}, {"seconds": {"share-keys": 0}},
     {"grace": 10**400}],
)  # fmt: skip
def test_deadlines_that_are_none(bad: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        deadlines_from_json(bad)
