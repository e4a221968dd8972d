"""Thresholds of Fig. 5, and sums that cannot overflow."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import LocalProtocolError, Model, Params, RemoteProtocolError, Threat
from secagg.dp import ApproxDp, Neighbours, Place, Plan, PureDp, Sensitivity, plan_at
from secagg.protocol.graph import Sparse
from secagg.protocol.thresholds import default_threshold, max_corrupt


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 99, 100, 101, 1000])
def test_default_thresholds_are_those_of_figure_5(n: int) -> None:
    def t(threat: Threat) -> int:
        return Params(n=n, m=1, modulus=1 << 32, threat=threat).t

    assert t(Threat.CLIENTS_ONLY) == 2  # the figure's 1 would make every share the secret itself
    assert t(Threat.SERVER_ONLY) == max(2, n // 2 + 1)
    assert t(Threat.COLLUDING) == max(2, 2 * n // 3 + 1)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 99, 100, 101, 1000])
def test_plans_for_a_usual_cohort_count_on_figure_5s_last_row(n: int) -> None:
    """`secagg.dp` has its own copy of the two numbers: it loads nothing of the protocol."""
    distributed = plan_at(Place.DISTRIBUTED, ApproxDp(1, "1e-6"), Sensitivity.histogram(Neighbours.REPLACE_ONE), 1, n)
    corrupt = max_corrupt(n)
    assert distributed.honest == default_threshold(n, Threat.COLLUDING, corrupt) - corrupt


def test_colluding_is_the_default_threat() -> None:
    params = Params(n=100, m=1, modulus=1 << 32)
    assert params.threat is Threat.COLLUDING
    assert (params.n_corrupt, params.t) == (33, 67)


@pytest.mark.parametrize(
    ("threat", "n_corrupt", "min_inputs"),
    [(Threat.CLIENTS_ONLY, 10, 50), (Threat.SERVER_ONLY, 0, 60), (Threat.COLLUDING, 20, 40)],
)
def test_minimum_inputs_in_the_sum_are_those_of_figure_5(threat: Threat, n_corrupt: int, min_inputs: int) -> None:
    params = Params(n=100, m=1, modulus=1 << 32, threat=threat, n_corrupt=n_corrupt, t=60)
    assert params.min_inputs == min_inputs


@given(st.integers(2, 2000), st.data())
def test_two_disjoint_sets_of_honest_users_never_both_reach_the_default_threshold(n: int, data: st.DataObject) -> None:
    n_corrupt = data.draw(st.integers(0, (n - 1) // 2))
    t = Params(n=n, m=1, modulus=1 << 63, n_corrupt=n_corrupt).t
    assert 2 * t > n + n_corrupt


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"t": 1}, "threshold t must be 2"),
        ({"t": 11}, "threshold t must be 2"),
        ({"t": 3, "n_corrupt": 3}, "must exceed n_corrupt"),
        ({"t": 3}, "must exceed n_corrupt"),
        ({"n_corrupt": 10}, "n_corrupt must be"),
        ({"n": 1}, "n must be"),
        ({"model": 3}, "model has an unknown value: 3"),
        ({"model": Model.ACTIVE, "t": 6, "n_corrupt": 2}, r"must satisfy 2 \* quorum > n \+ n_corrupt"),
        ({"model": Model.ACTIVE, "t": 5, "threat": Threat.SERVER_ONLY}, r"must satisfy 2 \* quorum > n \+ n_corrupt"),
        ({"min_users": 6}, "min_users must be quorum = 7 .. n = 10"),
        ({"min_users": 11}, "min_users must be quorum = 7 .. n = 10"),
        ({"n": 3.5}, "n must be an integer"),
        ({"threat": "x"}, "threat must be an integer"),
        ({"threat": Threat.SERVER_ONLY, "n_corrupt": 1}, "SERVER_ONLY means that no user is corrupt"),
        ({"m": 0}, "m = 0"),
        ({"m": 1 << 33}, "a vector must take"),
        ({"modulus": 1}, "modulus must be"),
        ({"modulus": (1 << 64) + 1}, "modulus must be"),
        ({"modulus": 10}, "too small for 10 inputs"),
        ({"max_value": 6554}, "the sum can reach 65540"),
        ({"max_value": 6553, "room": 3}, "the sum can reach 65536"),
        ({"max_value": 0}, "max_value must be at least 1, got 0"),
        ({"max_value": -1}, "max_value must be at least 1, got -1"),
        ({"room": -1}, "room must be at least 0, got -1"),
        ({"n_corrupt": -1}, r"n_corrupt must be 0 \.\. n - 1, got -1"),
        ({"t": -1}, r"threshold t must be 2 \.\. n = 10, got -1"),
        ({"min_users": -1}, r"min_users must be quorum = 7 \.\. n = 10, got -1"),
        ({"n": None}, "n must be an integer"),
        ({"nonce": bytes(15)}, "nonce must be 16"),
        ({"nonce": bytes(256)}, "nonce must be 16"),
        ({"context": bytes(1 << 16)}, "context must be below"),
        ({"modulus": (1 << 64) - 59, "m": 1 << 23, "max_value": 1}, "measurably biased"),
    ],
)
def test_contradictory_params_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        Params(**{"n": 10, "m": 20, "modulus": 1 << 16} | changes)


@given(st.integers(2, 1000), st.integers(1, 1 << 40), st.integers(0, 1 << 40))
def test_for_inputs_picks_the_smallest_power_of_two_that_cannot_overflow(n: int, max_value: int, room: int) -> None:
    params = Params.for_inputs(max_value, n=n, m=3, room=room)
    span = n * max_value + 2 * room
    assert span < params.modulus <= 2 * span
    assert params.modulus & (params.modulus - 1) == 0
    assert (params.max_value, params.room) == (max_value, room)


@pytest.mark.parametrize("max_value", [0, 1 << 62])
def test_for_inputs_refuses_what_no_modulus_can_hold(max_value: int) -> None:
    with pytest.raises(LocalProtocolError, match=r"must be 1 \.\. 2\*\*64 - 1"):
        Params.for_inputs(max_value, n=4, m=1)


def plan(length: int = 4, clients: int = 10, survivors: int = 7, corrupt: int = 3) -> Plan:
    sensitivity = Sensitivity.l2_bounded(100, length, Neighbours.REPLACE_ONE)
    return Plan.distributed(
        ApproxDp(1, "1e-6"), sensitivity, length, clients=clients, survivors=survivors, corrupt=corrupt
    )


def test_a_plan_of_noise_says_how_much_room_it_takes() -> None:
    params = Params.for_inputs(5, n=10, m=4, noise=plan())
    assert params == Params.for_inputs(5, n=10, m=4, room=plan().room(), nonce=params.nonce)
    assert params.room > 7 * plan().variance() ** 0.5  # 2**-40 over four entries
    assert params.modulus > 50 + 2 * params.room


def test_a_plan_that_is_met_with_more_honest_inputs_than_it_counts_on() -> None:
    noise = plan(survivors=5, corrupt=3)
    assert Params.for_inputs(5, n=10, m=4, noise=noise, min_users=9).min_inputs > noise.honest


@pytest.mark.parametrize(
    ("noise", "settings", "reason"),
    [
        (plan(), {"room": 10}, "give one"),
        (plan(), {"room": 0}, "give one"),
        (plan(length=3), {}, "an entry without noise would be released exactly"),
        (plan(clients=9), {}, "for 9 parties, but the session has 10 clients"),
        (plan(survivors=8), {}, "counts on 5 honest clients in every sum, but min_users - n_corrupt leaves 4"),
        (plan(), {"n_corrupt": 4, "t": 7}, "min_users - n_corrupt leaves 3"),
        (
            Plan.central(PureDp(1), Sensitivity.vector_sum(4, 5, Neighbours.REPLACE_ONE), 4), {},
            "make the plan for noise that these clients add",
        ),
    ],
)  # fmt: skip
def test_a_plan_for_another_session_is_refused(noise: Plan, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        Params.for_inputs(5, n=10, m=4, noise=noise, **settings)


def test_noise_too_wide_for_any_modulus_is_refused() -> None:
    wide = Plan.local(PureDp("1e-18"), Sensitivity.sum(9, Neighbours.REPLACE_ONE), 1, clients=10)
    with pytest.raises(LocalProtocolError, match=r"n \* max_value \+ 2 \* room must be 1 \.\. 2\*\*64 - 1"):
        Params.for_inputs(5, n=10, m=1, noise=wide)


def test_none_is_what_was_left_out() -> None:
    params = Params(n=10, m=20, modulus=1 << 16, max_value=None, n_corrupt=None, t=None, min_users=None, nonce=None)
    assert params == Params(n=10, m=20, modulus=1 << 16, nonce=params.nonce)
    assert (params.max_value, params.n_corrupt, params.t, params.min_users) == (6553, 3, 7, 7)
    assert params.t + 1 == 8  # readers get integers
    assert params == Params.for_inputs(6553, n=10, m=20, t=None, nonce=params.nonce)


def test_nonces_are_fresh() -> None:
    assert Params(n=2, m=1, modulus=4).nonce != Params(n=2, m=1, modulus=4).nonce


@given(st.integers(2, 100), st.integers(1, 1000), st.integers(8, 64), st.binary(max_size=40))
def test_params_travel(n: int, m: int, bits: int, context: bytes) -> None:
    params = Params(n=n, m=m, modulus=1 << bits, context=context)
    assert Params.decode(params.encode()) == params


def test_received_params_are_checked_too() -> None:
    encoded = bytearray(Params(n=10, m=20, modulus=1 << 16).encode())
    encoded[3] = 1
    with pytest.raises(RemoteProtocolError, match="n must be"):
        Params.decode(bytes(encoded))


CHANGES: dict[str, dict[str, Any]] = {
    "n": {"n": 11, "n_corrupt": 3, "t": 7, "max_value": 100, "min_users": 7},
    "m": {"m": 5},
    "modulus": {"modulus": 1 << 17},
    "max_value": {"max_value": 99},
    "room": {"room": 8},
    "model": {"model": Model.ACTIVE},
    "threat": {"threat": Threat.CLIENTS_ONLY},
    "n_corrupt": {"n_corrupt": 2},
    "t": {"t": 6, "min_users": 7},
    "min_users": {"min_users": 8},
    "graph": {"graph": Sparse(8)},
    "min_joined": {"min_joined": 9},
    "nonce": {"nonce": bytes(16)},
    "context": {"context": b"another model"},
}


def like(**changes: Any) -> Params:
    values = {"n": 10, "m": 4, "modulus": 1 << 16, "max_value": 100, "n_corrupt": 3, "t": 7, "min_users": 7, "room": 9}
    return Params(**{**values, "min_joined": 10, "nonce": b"n" * 16, **changes})


@pytest.mark.parametrize("name", CHANGES)
def test_params_say_in_which_field_they_differ(name: str) -> None:
    assert like().difference(like(**CHANGES[name])) == (name,)
    assert like(**CHANGES[name]).difference(like()) == (name,)


def test_every_field_is_compared() -> None:
    assert set(CHANGES) == {field.name for field in fields(Params)}
    assert like().difference(Params.decode(like().encode())) == ()
    assert like().difference(like(m=5, context=b"x")) == ("m", "context")


SINGLE: list[dict[str, Any]] = [
    {"model": Model.ACTIVE, "n": 3, "t": 3, "n_corrupt": 2},
    {"model": Model.ACTIVE, "threat": Threat.CLIENTS_ONLY, "n": 10, "n_corrupt": 3},  # Fig. 5's t = 4
    {"n": 10, "n_corrupt": 3, "t": 4},
    {"n": 10, "n_corrupt": 3, "t": 4, "min_users": 4},
    {"n": 10, "n_corrupt": 9, "t": 10},
]


@pytest.mark.parametrize("settings", SINGLE)
def test_a_sum_that_may_be_one_honest_users_input_is_refused(settings: dict[str, Any]) -> None:
    """In the active model, and where clients and server may collude; a test that needs it says so."""
    with pytest.raises(LocalProtocolError, match="allow a sum with one honest user's input"):
        Params(m=1, modulus=1 << 16, **settings)
    with pytest.raises(LocalProtocolError, match="allow a sum with one honest user's input"):
        Params.for_inputs(1, m=1, **settings)
    params = Params(m=1, modulus=1 << 16, allow_single_input=True, **settings)
    assert params.min_inputs == 1
    assert params == Params(m=1, modulus=1 << 16, nonce=params.nonce, allow_single_input=True, **settings)
    with pytest.raises(RemoteProtocolError, match="allow a sum with one honest user's input"):
        Params.decode(params.encode())  # what a test allows itself does not travel
    with pytest.raises(LocalProtocolError, match="allow a sum with one honest user's input"):
        replace(params, context=b"another")


def test_two_honest_inputs_are_enough() -> None:
    for settings in SINGLE[1:-1]:
        params = Params(m=1, modulus=1 << 16, **{**settings, "min_users": 5})
        assert params.min_inputs == 2
        assert Params.decode(params.encode()) == params


def test_semi_honest_clients_alone_may_sum_one_honest_input() -> None:
    """They see no sum unless the server, which follows the protocol, shows it to them: Fig. 5's first row."""
    assert Params(n=10, m=1, modulus=1 << 16, n_corrupt=3, threat=Threat.CLIENTS_ONLY).min_inputs == 1


def test_integers_of_any_type_are_taken_as_they_are() -> None:
    params = Params(n=np.int64(100), m=np.uint8(1), modulus=np.int64(1 << 32), threat=3)  # type: ignore[arg-type]
    assert params == Params(n=100, m=1, modulus=1 << 32, nonce=params.nonce)
    assert {type(value) for value in (params.n, params.m, params.modulus)} == {int}
    assert params.threat is Threat.COLLUDING
    assert Params.for_inputs(np.int64(5), n=3, m=1).modulus == 16  # type: ignore[arg-type]


@given(st.integers(2, 300), st.data())
def test_the_active_model_never_lets_two_sets_of_users_reveal_both_secrets(n: int, data: st.DataObject) -> None:
    """A server that shows two survivor sets needs a quorum for each: disjoint honest users, and n_C twice."""
    n_corrupt, t = data.draw(st.integers(0, n - 1)), data.draw(st.integers(2, n))
    try:
        Params(n=n, m=1, modulus=1 << 63, n_corrupt=n_corrupt, t=t, model=Model.ACTIVE, allow_single_input=True)
    except LocalProtocolError:
        assert 2 * t <= n + n_corrupt or t <= n_corrupt
    else:
        assert 2 * (t - n_corrupt) > n - n_corrupt


def test_clients_only_needs_no_majority_in_the_active_model() -> None:
    assert Params(n=100, m=1, modulus=1 << 32, model=Model.ACTIVE, threat=Threat.CLIENTS_ONLY).t == 2


def test_params_tell_what_the_session_survives() -> None:
    params = Params(n=100, m=1, modulus=1 << 32, model=Model.ACTIVE, min_users=80)
    assert (params.t, params.n_corrupt) == (67, 33)
    assert params.min_inputs == 80 - 33
    assert params.max_liars == 16
