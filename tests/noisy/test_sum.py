"""Vectors through clip, rotation, rounding, noise, masks and back."""

import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import LocalProtocolError, Model, Params, Quantizer, Round, Sparse, Threat, simulate
from secagg.dp import (
    ApproxDp,
    Neighbours,
    Party,
    Plan,
    PureDp,
    Rounding,
    Sensitivity,
    Skellam,
    Unit,
    ZCdp,
    rounded_norm_squared,
)
from secagg.noisy import NoisySum, PaddingWarning
from secagg.noisy.sum import ROUNDING_SHARE, WEIGHT_STEPS_MIN
from secagg.protocol.layout import Layout
from secagg.protocol.simulate import expected_sum

from ..support.gaussian_curve import curve_delta

BUDGET = ApproxDp(1, "1e-6")
pytestmark = pytest.mark.filterwarnings("ignore::secagg.noisy.PaddingWarning")
ROTATED = pytest.mark.parametrize("rotate", [False, True])


def noisy_sum(m: int = 50, n: int = 7, **others: Any) -> NoisySum[Any]:
    return NoisySum.like(np.zeros(m), **{"clip": 2.0, "budget": BUDGET, "n": n, **others})


def vectors(task: NoisySum[Any], seed: int = 0) -> dict[int, NDArray[np.float64]]:
    """Of norm clip, but for the first, which is longer."""
    rng = np.random.default_rng(seed)
    directions = {u: rng.normal(size=task.layout.size) for u in range(1, task.n + 1)}
    return {u: x / np.linalg.norm(x) * task.clip * (3 if u == 1 else 1) for u, x in directions.items()}


def clipped(task: NoisySum[Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * min(1.0, task.clip / float(np.linalg.norm(x)))


# --- end to end -------------------------------------------------------------------------------------------------


@ROTATED
@pytest.mark.parametrize("model", [Model.SEMI_HONEST, Model.ACTIVE])
@pytest.mark.parametrize("drops", [{}, {2: {3, 6}}, {1: {2}, 4: {5}}, {0: {1, 7}}])
def test_the_sum_minus_the_noises_is_that_of_the_inputs(rotate: bool, model: Model, drops: dict[int, set[int]]) -> None:
    """Exactly, in integers; and decoded, the sum is off by the noises and by rounding, no more."""
    task = noisy_sum(rotate=rotate)
    params = task.params(model=model)
    xs, noise = vectors(task), task.plan.noise_for(Party.CLIENT)
    inputs = {u: task.encode(x, params) for u, x in xs.items()}
    noises = {u: noise.sample() for u in xs}
    result = simulate(params, inputs, noises=noises, drops={Round(r): users for r, users in drops.items()})
    k = len(result.survivors)
    added = sum(noises[u] for u in result.survivors)
    exact = sum(inputs[u].astype(np.int64) for u in result.survivors)
    signed = result.sum.astype(np.int64)
    assert ((signed - added - exact) % params.modulus == 0).all()

    # No noise in the sum: what is left is rounding, below a step for each client in each rotated entry.
    without = simulate(params, inputs, drops={Round.MASKED_INPUT_COLLECTION: set(xs) - set(result.survivors)})
    clear = sum(clipped(task, xs[u]) for u in result.survivors)
    difference = task.decode(without.sum, params, k).sum - clear
    assert np.linalg.norm(difference) <= k * task.step * math.sqrt(task.length)
    if not rotate:
        assert np.abs(difference).max() <= k * task.step
        noisy = task.decode(result.sum, params, k).sum
        np.testing.assert_allclose(noisy, task.decode(without.sum, params, k).sum + added * task.step, atol=1e-9)


@ROTATED
def test_the_error_is_that_of_the_noise(rotate: bool) -> None:
    task = noisy_sum(m=4096, rotate=rotate)
    params, xs = task.params(), vectors(task)
    noise, rand = task.plan.noise_for(Party.CLIENT), np.random.default_rng(0).bytes
    result = simulate(
        params,
        {u: task.encode(x, params) for u, x in xs.items()},
        noises={u: noise.sample(rand=rand, context=b"%d" % u) for u in xs},
    )
    release = task.decode(result.sum, params, task.n)
    error = release.sum - sum(clipped(task, x) for x in xs.values())
    assert np.std(error) == pytest.approx(release.deviation, rel=0.06)  # 5 deviations of its own, sqrt(1 / 2m)
    np.testing.assert_allclose(release.mean, release.sum / task.n)
    assert release.mean_deviation == release.deviation / task.n


def released_variance(plan: Plan, params: Params, silent: set[int], dropped: set[int]) -> float:
    """Of the noise in the sum of a session in which some add none."""
    noise, zeros, rand = plan.noise_for(Party.CLIENT), np.zeros(params.m, np.int64), np.random.default_rng(0).bytes
    inputs = {u: np.zeros(params.m, np.uint64) for u in range(1, params.n + 1)}
    noises = {u: zeros if u in silent else noise.sample(rand=rand, context=b"%d" % u) for u in inputs}
    result = simulate(params, inputs, noises=noises, drops={Round.MASKED_INPUT_COLLECTION: dropped})
    signed = result.sum.astype(np.int64)
    signed[signed > params.modulus // 2] -= params.modulus
    return float(np.mean(signed.astype(np.float64) ** 2))


@pytest.mark.parametrize("budget", [BUDGET, ZCdp("0.05"), ApproxDp(3, "1e-6")])
def test_the_released_sum_has_the_honest_clients_noise(budget: ApproxDp | ZCdp) -> None:
    """An audit from outside: as many drop out as may, as many of the rest add nothing as may; and with one more silent
    client than the plan allows, which is a planted mutant, it fails."""
    task = noisy_sum(m=8000, n=10, budget=budget)
    params, plan = task.params(), task.plan
    dropped = set(range(1, params.n - params.min_users + 1))
    left = sorted(set(range(1, params.n + 1)) - dropped)
    needed = plan.honest * float(plan.law.variance)
    if isinstance(budget, ZCdp):
        assert needed >= float(plan.sensitivity.l2_squared / (2 * budget.rho))
    else:
        mu = math.sqrt(float(plan.sensitivity.l2_squared) / needed)
        assert 0.99 * float(budget.delta) <= curve_delta(mu, float(budget.epsilon)) <= float(budget.delta)
    silent = set(left[: params.n_corrupt])
    assert released_variance(plan, params, silent, dropped) >= 0.92 * needed  # 5 deviations of its own, sqrt(2 / m)
    assert released_variance(plan, params, set(left[: params.n_corrupt + 1]), dropped) < 0.92 * needed


def test_dropouts_up_to_the_threshold_never_weaken_the_guarantee() -> None:
    task = noisy_sum(n=10)
    assert task.plan.keeps_budget
    assert (task.survivors, task.corrupt, task.plan.honest) == (7, 3, 4)
    overs = [task.plan.over_noise(k) for k in range(task.survivors, task.n + 1)]
    assert overs == [Fraction(k, 4) for k in (7, 8, 9, 10)]
    params = task.params()
    with pytest.raises(LocalProtocolError, match=r"survivors must be 7 \.\. 10, got 6"):
        task.decode(np.zeros(params.m, params.dtype), params, 6)


# --- the grid, R, and what an encoding is -----------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.integers(1, 5000), st.integers(2, 2000), st.sampled_from(["0.0001", "0.01", "1", "20"]), st.booleans(),
    st.sampled_from([None, 1, 100]),
)  # fmt: skip
def test_by_default_rounding_is_lost_in_the_noise(
    m: int, n: int, rho: str, rotate: bool, max_weight: int | None
) -> None:
    task = noisy_sum(m, n, budget=ZCdp(rho), rotate=rotate, max_weight=max_weight)
    entries = task.length - (max_weight is not None)
    norm_squared = rounded_norm_squared(task.steps, entries, Rounding.CONDITIONAL)
    assert norm_squared <= (1 + ROUNDING_SHARE) * task.steps**2
    assert Fraction(n, 4) <= ROUNDING_SHARE * 4 * task.steps**2 / (2 * Fraction(rho))
    assert max_weight is None or task.weight_steps >= WEIGHT_STEPS_MIN
    assert task.steps & (task.steps - 1) == 0
    assert task.step == task.clip * (max_weight or 1) / task.steps


@ROTATED
@pytest.mark.parametrize("max_weight", [None, 20])
@settings(deadline=None)  # the first call of some fills caches
@given(st.integers(0, 2**32), st.floats(1e-3, 1e3))
def test_every_encoding_is_in_range_and_within_the_sensitivity(
    rotate: bool, max_weight: int | None, seed: int, scale: float
) -> None:
    task = noisy_sum(30, 5, rotate=rotate, max_weight=max_weight)
    params, rng = task.params(), np.random.default_rng(seed)
    entries = rng.normal(size=30) * (rng.random(30) < rng.random()) * scale
    x = task.encode(entries, params, max_weight, rand=rng.bytes).astype(np.int64)
    assert x.min() >= 0
    assert x.max() <= task.max_value == params.max_value
    vector = x[max_weight is not None :] - task._limit
    assert 4 * int(vector @ vector) <= task.plan.sensitivity.l2_squared
    assert task.bound.holds(x)
    if max_weight is not None:
        assert x[0] == task.weight_steps * max_weight


def test_sums_cannot_wrap_and_noisy_ones_hardly_ever() -> None:
    task = noisy_sum(n=10)
    params = task.params()
    assert params.room == task.plan.room()
    assert params.modulus > params.n * params.max_value + 2 * params.room >= params.modulus // 2
    assert params.room > 7 * math.sqrt(task.plan.variance())  # 2**-40 is beyond 7 deviations of any law


@pytest.mark.parametrize("sign", [1, -1])
@ROTATED
def test_a_sum_at_the_edge_of_its_room_is_decoded_with_its_sign(sign: int, rotate: bool) -> None:
    task = noisy_sum(rotate=rotate, max_weight=9)
    params, k = task.params(), task.survivors
    steps = np.full(task.length, sign * (k * task._limit + params.room))
    steps[0] = k * 9 * task.weight_steps + params.room if sign > 0 else k * task.weight_steps - params.room
    offset = np.full(task.length, k * task._limit)
    offset[0] = 0
    total = ((steps + offset) % params.modulus).astype(params.dtype)
    np.testing.assert_array_equal(task._signed(total, params, k), steps)


def test_rotation_takes_less_of_r_where_clients_are_many() -> None:
    plain, rotated = (noisy_sum(4096, 2000, rotate=rotate).params() for rotate in (False, True))
    assert plain.m == rotated.m
    assert plain.bits - rotated.bits >= 3


def test_a_grid_and_thresholds_of_ones_own() -> None:
    task = noisy_sum(n=10, steps=1000, survivors=9, corrupt=1)
    params = task.params(t=8)
    assert (task.step, task.plan.honest) == (0.002, 8)
    assert (params.t, params.min_users, params.n_corrupt) == (8, 9, 1)
    alone = noisy_sum(n=10, survivors=6, corrupt=0).params(threat=Threat.SERVER_ONLY)
    assert alone.min_inputs == 6


def test_skellam_noise_where_it_is_the_choice() -> None:
    task = noisy_sum(100, 100, steps=2, survivors=100, corrupt=1, budget=ApproxDp(8, "1e-5"))
    assert isinstance(task.plan.law, Skellam)
    params, noise = task.params(), task.plan.noise_for(Party.CLIENT)
    inputs = {u: task.encode(np.ones(100), params) for u in range(1, 101)}
    noises = {u: noise.sample() for u in inputs}
    result = simulate(params, inputs, noises=noises)
    assert np.array_equal(result.sum, expected_sum(params, inputs, result.survivors, noises=noises))


def test_central_noise_is_less_by_what_dropouts_and_liars_cost() -> None:
    task = noisy_sum(1000, 100)
    assert task.plan.variance(100) / task.central.variance() == pytest.approx(100 / 34, rel=0.02)


def test_models_of_several_arrays_keep_their_shapes() -> None:
    model = [np.ones((2, 3)), np.full(4, -1.0)]
    task = NoisySum.like(model, clip=5.0, budget=BUDGET, n=3, rotate=True)
    params = task.params()
    result = simulate(params, {u: task.encode(model, params) for u in (1, 2, 3)})
    mean = task.decode(result.sum, params, 3).mean
    for array, expected in zip(mean, model, strict=True):
        np.testing.assert_allclose(array, expected, atol=4 * task.step)


def test_a_mapping_of_arrays_comes_back_as_the_same_mapping() -> None:
    model: dict[str, NDArray[Any]] = {
        "w": np.ones((2, 3), np.float16),
        "b": np.full(4, -1.0, np.float32),
        "a": np.array(0.5),
    }
    assert noisy_sum().like({"w": np.zeros(10)}, clip=5.0, budget=BUDGET, n=3).length == 10
    for keep, dtypes in ((False, ["float64"] * 3), (True, ["float16", "float32", "float64"])):
        task = NoisySum.like(model, clip=5.0, budget=BUDGET, n=3, keep_dtypes=keep)
        params = task.params()
        shuffled = {key: model[key] for key in ("a", "b", "w")}
        inputs = {1: task.encode(model, params), 2: task.encode(shuffled, params), 3: task.encode(model, params)}
        release = task.decode(simulate(params, inputs).sum, params, 3)
        for decoded, factor in ((release.mean, 1), (release.sum, 3)):
            assert list(decoded) == ["w", "b", "a"]
            assert [str(array.dtype) for array in decoded.values()] == dtypes
            for key, array in decoded.items():
                np.testing.assert_allclose(array, factor * model[key], atol=4 * task.step)


def test_numbers_too_large_to_square_are_clipped_and_zeros_stay() -> None:
    task = noisy_sum(2, 3)
    params = task.params()
    half = task.steps / math.sqrt(2)
    assert task.encode(np.array([1e300, -1e300]), params) - np.float64(task.steps) == pytest.approx(
        [half, -half], abs=1
    )
    assert (task.encode(np.zeros(2), params) == task.steps).all()
    assert task.clipped(np.array([1e300, 0.0]))
    assert not task.clipped(np.array([2.0, 0.0]))
    assert not task.clipped(np.zeros(2))


# --- weights ----------------------------------------------------------------------------------------------------


@ROTATED
def test_weights_are_noised_beside_what_they_weigh(rotate: bool) -> None:
    task = noisy_sum(m=60, n=60, max_weight=50, rotate=rotate, budget=ZCdp(10), survivors=55, corrupt=1)
    params, xs = task.params(), vectors(task)
    weights = {u: 1 + u % 50 for u in xs}
    inputs = {u: task.encode(x, params, weights[u]) for u, x in xs.items()}
    noise = task.plan.noise_for(Party.CLIENT)
    noises = {u: noise.sample() for u in xs}
    result = simulate(params, inputs, noises=noises)
    release = task.decode(result.sum, params, task.n)
    truth = sum(weights[u] * clipped(task, x) for u, x in xs.items())
    noise_of_weight = sum(int(each[0]) for each in noises.values())
    assert release.weight == pytest.approx(sum(weights.values()) + noise_of_weight / task.weight_steps)
    assert abs(release.weight - sum(weights.values())) < 6 * math.sqrt(task.plan.variance()) / task.weight_steps
    assert np.std(release.sum - truth) == pytest.approx(release.deviation, rel=0.5)
    np.testing.assert_allclose(release.mean, release.sum / release.weight)


def test_a_weights_sensitivity_is_counted() -> None:
    plain, weighted = noisy_sum(1000, steps=1 << 12), noisy_sum(1000, steps=1 << 12, max_weight=30)
    share = 29 * weighted.weight_steps
    assert weighted.plan.sensitivity.l2_squared == plain.plan.sensitivity.l2_squared + share**2
    assert weighted.plan.length == weighted.params().m == 1001
    assert 1 < weighted.plan.law.variance / plain.plan.law.variance < 1.02
    assert noisy_sum(1000, steps=1 << 12, max_weight=1).plan.sensitivity.l2_squared > plain.plan.sensitivity.l2_squared


def test_a_noisy_weight_is_cut_to_what_clients_can_have_sent() -> None:
    task = noisy_sum(max_weight=10)
    params, k = task.params(), 7
    for sent, weight in ((-5 * task.weight_steps, 7.0), (99 * task.weight_steps, 70.0), (33 * task.weight_steps, 33.0)):
        total = np.zeros(params.m, params.dtype)
        total[0] = sent % params.modulus
        assert task.decode(total, params, k).weight == weight


@pytest.mark.parametrize(
    ("max_weight", "weight", "reason"),
    [(None, 1, "one without it takes none"), (10, None, "with max_weight needs a weight"), (10, 0, r"1 \.\. 10"),
     (10, 11, r"1 \.\. 10"), (10, 1.5, "weight must be an integer")],
)  # fmt: skip
def test_weights_out_of_range_are_refused(max_weight: int | None, weight: Any, reason: str) -> None:
    task = noisy_sum(max_weight=max_weight)
    with pytest.raises(LocalProtocolError, match=reason):
        task.encode(np.zeros(50), task.params(), weight)


def test_a_quantizer_with_weights_takes_no_plan() -> None:
    """It would release the sum of weights under noise that nobody calibrated for it, or under none."""
    weighted: Quantizer[Any] = Quantizer.like(np.zeros(3), clip=1.0, bits=4, max_weight=9)
    sensitivity = Sensitivity.vector_sum(4, weighted.max_value, Neighbours.REPLACE_ONE)
    plan = Plan.distributed(BUDGET, sensitivity, 4, clients=5, survivors=4, corrupt=1)
    with pytest.raises(LocalProtocolError, match=r"for weighted averages with noise use secagg\.noisy\.NoisySum"):
        weighted.params(5, noise=plan)
    plain: Quantizer[Any] = Quantizer.like(np.zeros(4), clip=1.0, bits=4)
    assert plain.params(5, noise=plan).room == plan.room()
    with pytest.raises(LocalProtocolError, match="an entry without noise would be released exactly"):
        Quantizer.like(np.zeros(5), clip=1.0, bits=4).params(5, noise=plan)


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"clip": 0.0}, "clip must be positive"), ({"clip": math.nan}, "clip must be finite"),
     ({"n": 1}, "n must be at least 2"), ({"max_weight": 0}, "max_weight must be positive"),
     ({"budget": PureDp(1)}, "cannot keep a pure budget such as 1-DP"), ({"steps": 0}, "steps must be 1"),
     ({"steps": 1 << 29}, "steps must be 1"), ({"steps": -1}, "steps must be 1 .*, got -1"),
     ({"survivors": -1}, "0 <= corrupt < survivors <= n must hold, got 2, -1 and 7"),
     ({"survivors": 8}, "must hold, got 2, 8 and 7"), ({"corrupt": -1}, "must hold, got -1, 4 and 7")],
)  # fmt: skip
def test_a_sum_that_makes_no_sense_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        noisy_sum(**changes)


def test_none_is_what_was_left_out() -> None:
    layout = Layout.of(np.zeros(50))
    task = NoisySum(layout=layout, clip=2.0, budget=BUDGET, n=7, survivors=None, corrupt=None, steps=None)
    assert task == NoisySum(layout=layout, clip=2.0, budget=BUDGET, n=7) == noisy_sum()
    assert (task.survivors, task.corrupt) == (5, 2)
    assert task.steps + 1 == noisy_sum().steps + 1  # readers get integers


def test_an_empty_model_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="no values"):
        noisy_sum(m=0)


@pytest.mark.parametrize(
    ("changes", "names"),
    [({"clip": 1.0}, "clip"), ({"budget": ZCdp("0.02")}, "budget"), ({"n": 8}, "n"), ({"survivors": 7}, "survivors"),
     ({"corrupt": 1}, "corrupt"), ({"max_weight": 9}, "max_weight"),
     ({"rotate": True}, "rotate"), ({"steps": 63}, "steps"), ({"unit": Unit(1, "a day")}, "unit"),
     ({"isochronous": False}, "isochronous"), ({"m": 51}, "layout"),
     ({"clip": 1.0, "steps": 63}, "clip and another steps")],
)  # fmt: skip
def test_parameters_of_another_sum_are_refused_by_name(changes: dict[str, Any], names: str) -> None:
    own = {"steps": 64, "survivors": 6, "corrupt": 2}
    task, other = noisy_sum(**own), noisy_sum(**own | changes)
    assert task != other
    params = other.params()
    for unbound in (False, True):
        with pytest.raises(LocalProtocolError, match=f"by this noisy sum: they were made for another {names}$"):
            task.encode(np.zeros(50), params, unbound=unbound)
        with pytest.raises(LocalProtocolError, match=f"by this noisy sum: they were made for another {names}$"):
            task.decode(np.zeros(params.m, params.dtype), params, 7, unbound=unbound)


def test_parameters_of_an_equal_sum_are_taken() -> None:
    """Also where one party asks for the form of samples that the other has by default, or shows other dtypes."""
    task = noisy_sum()
    same: NoisySum[Any] = NoisySum.like(np.zeros(50, np.float16), clip=np.float64(2), budget=BUDGET, n=np.int64(7),
                                        isochronous=task.plan.isochronous, keep_dtypes=True)  # fmt: skip
    params = task.params(context=b"model 17")
    assert params.context == task.bind(b"model 17") == same.bind(b"model 17")
    total = same.encode(np.ones(50), params).astype(params.dtype)
    assert same.decode(total, params, 7).flat.tolist() == task.decode(total, params, 7).flat.tolist()


def test_parameters_made_by_hand_are_taken_when_asked_for() -> None:
    task = noisy_sum()
    good = task.params()
    room: dict[str, Any] = {"max_value": task.max_value, "room": good.room}
    bare, bound = (Params(n=7, m=50, modulus=1 << 40, context=c, **room) for c in (b"by hand", task.bind(b"by hand")))
    with pytest.raises(LocalProtocolError, match=r"context does not begin with its hash; .* or pass unbound=True"):
        task.encode(np.zeros(50), bare)
    total = task.encode(np.zeros(50), bare, unbound=True).astype(bare.dtype)
    np.testing.assert_array_equal(task.encode(np.zeros(50), bound), total)
    with pytest.raises(LocalProtocolError, match=r"context does not begin with its hash"):
        task.decode(total, bare, 7)
    assert task.decode(total, bare, 7, unbound=True).flat.shape == (50,)
    assert task.decode(total, bound, 7).flat.shape == (50,)
    quantizer: Quantizer[Any] = Quantizer.like(np.zeros(50), clip=2.0)
    with pytest.raises(LocalProtocolError, match="not made by this noisy sum: their context"):
        task.encode(np.zeros(50), quantizer.params(7))


def test_parameters_made_by_hand_are_checked_as_far_as_they_go() -> None:
    task = noisy_sum()
    good = task.params()
    for field, other in (("n", {"n": 8}), ("m", {"m": 51}), ("max_value", {"max_value": task.max_value + 1})):
        sizes: dict[str, Any] = {"n": 7, "m": 50, "max_value": task.max_value} | other
        with pytest.raises(LocalProtocolError, match=f"not made by this noisy sum: their {field} is"):
            task.encode(np.zeros(50), Params(modulus=1 << 40, room=good.room, **sizes), unbound=True)
    narrow = Params(n=7, m=50, modulus=1 << 40, max_value=task.max_value, room=1, context=task.bind())
    with pytest.raises(LocalProtocolError, match=r"the noise needs room = \d+, but there is 1"):
        task.encode(np.zeros(50), narrow)
    lax = Params(n=7, m=50, modulus=1 << 40, max_value=task.max_value, room=good.room, n_corrupt=1, t=3, min_users=3)
    with pytest.raises(LocalProtocolError, match="counts on 3 honest clients in every sum"):
        task.encode(np.zeros(50), lax, unbound=True)


# --- what rotation pads -----------------------------------------------------------------------------------------------


def padding(m: int, n: int = 10, **others: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        NoisySum.like(np.zeros(m), **{"clip": 1.0, "budget": ApproxDp("0.5", "1e-6"), "n": n, **others})
    assert all(issubclass(warning.category, PaddingWarning) for warning in caught)
    return [str(warning.message) for warning in caught]


def test_rotation_that_pads_says_what_it_costs_and_how_to_avoid_it() -> None:
    (text,) = padding(600, rotate=True)
    assert "rotation pads 600 entries to 1,024, and every masked vector from 1,275 bytes to 2,176;" in text
    assert "rotate=False" in text
    with pytest.warns(PaddingWarning, match="1,275 bytes to 2,176"):
        rotated = noisy_sum(600, 10, rotate=True, clip=1.0, budget=ApproxDp("0.5", "1e-6"))
    plain = noisy_sum(600, 10, clip=1.0, budget=ApproxDp("0.5", "1e-6"))
    assert (plain.params().packed_size, rotated.params().packed_size) == (1275, 2176)
    with pytest.warns(PaddingWarning) as caught:
        NoisySum(layout=plain.layout, clip=1.0, budget=plain.budget, n=10, rotate=True)
    assert caught[0].filename == __file__


def test_rotation_that_costs_next_to_nothing_goes_without_a_word() -> None:
    assert padding(1000, rotate=False) == []
    assert padding(1024, rotate=True) == []
    assert padding(1000, rotate=True) == []
    assert padding(1800, n=2000, rotate=True) == []  # 14 % more entries, of fewer bits
    assert padding(600, rotate=True, max_weight=20, steps=1 << 12)


def test_a_sum_that_has_no_parameters_is_refused_where_they_are_asked_for() -> None:
    """Not earlier, for want of sizes to compare."""
    assert padding(600, rotate=True, budget=ZCdp("1e-40")) == []
    task = noisy_sum(600, 10, rotate=True, budget=ZCdp("1e-40"))
    with pytest.raises(LocalProtocolError, match=r"must be 1 \.\. 2\*\*64 - 1"):
        task.params()


def test_vectors_and_sums_of_another_form_are_refused() -> None:
    task = noisy_sum()
    params = task.params()
    for bad, reason in ((np.zeros(49), "arrays of shapes"), (np.full(50, np.nan), "NaN or infinity")):
        with pytest.raises(LocalProtocolError, match=reason):
            task.encode(bad, params)
    with pytest.raises(LocalProtocolError, match="the sum must be"):
        task.decode(np.zeros(49, params.dtype), params, 7)


def test_a_sum_over_a_sparse_graph_counts_honest_clients_over_all() -> None:
    """Not those of a neighbourhood; and a graph that would part so few survivors is refused."""
    noisy = NoisySum.like(np.zeros(4), clip=1.0, budget=ApproxDp(1, "1e-6"), n=20, survivors=16, corrupt=2)
    params = noisy.params(graph=Sparse(8), t=4, min_joined=18)
    assert (params.min_users, params.n_corrupt, params.min_inputs) == (16, 2, 14)
    assert noisy.plan.honest <= params.min_inputs
    few = NoisySum.like(np.zeros(4), clip=1.0, budget=ApproxDp(1, "1e-6"), n=20, survivors=14, corrupt=2)
    with pytest.raises(LocalProtocolError, match="leave sums of a part of the honest users known"):
        few.params(graph=Sparse(8), t=4, min_joined=18)
