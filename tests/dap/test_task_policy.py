"""What a party asks of a task that somebody else has made: one rule after the other."""

from fractions import Fraction
from typing import Any

import pytest

from secagg.dap.dialect import DAP_09_CLIENTS
from secagg.dap.messages import Interval, TaskConfiguration, TaskExtension
from secagg.dap.privacy import extension
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.task_policy import OptedOut, TaskPolicy
from secagg.dap.vdafs import vdaf
from secagg.dp import ApproxDp, PureDp, ZCdp

from ..support.tasks import NOW, make_task

BUCKET = int(NOW) // 300
PRIVATE = TaskPolicy(min_batch_size=3, budget=PureDp(1), total=PureDp(10))
ANYTHING = TaskPolicy(min_batch_size=1, lifetime=None)


ONE, TEN = PureDp(1), PureDp(10)


def noisy(budget: Any = ONE, total: Any = TEN, **others: Any) -> Privacy:
    return Privacy(others.pop("mechanism", Mechanism.DISCRETE_LAPLACE), budget, total, **others)


def encoded(**changes: Any) -> bytes:
    """A configuration that ends tomorrow and has noise, unless said otherwise."""
    return make_task(**{"interval": Interval(BUCKET, 288), "privacy": noisy()} | changes).encoded


def refusal(policy: TaskPolicy, **changes: Any) -> str:
    with pytest.raises(OptedOut) as refused:
        policy.opt_in(encoded(**changes), NOW)
    return str(refused.value)


def test_a_task_that_is_as_it_should_be() -> None:
    assert PRIVATE.opt_in(encoded(), NOW).encoded == encoded()
    assert ANYTHING.opt_in(make_task().encoded, NOW).privacy is None


@pytest.mark.parametrize(
    ("policy", "changes", "reason"),
    [(TaskPolicy(vdafs=frozenset({"Count", "Sum"}), budget=PureDp(1)), {}, "Histogram is not among the VDAFs Count,"),
     (TaskPolicy(min_batch_size=4), {}, "min_batch_size must be at least 4, and is 3"),
     (TaskPolicy(min_batch_size=3, time_precision=301), {}, "must be 301 .. 31,622,400 seconds, and is 300"),
     (ANYTHING, {"time_precision": 366 * 86_400 + 1, "interval": None}, "31,622,400 seconds, and is 31,622,401"),
     (PRIVATE, {"interval": None}, "the task must end: give it a task interval"),
     (PRIVATE, {"interval": Interval(BUCKET - 9, 9)}, "the task has ended, at 2023-11-14T22:15:00Z"),
     (ANYTHING, {"interval": Interval(BUCKET - 9, 9)}, "the task has ended"),
     (PRIVATE, {"interval": Interval(BUCKET, 90 * 288 + 1)}, "the task must end by 2024-02-12T22:15:23Z, and ends at"),
     (PRIVATE, {"interval": Interval(BUCKET, (1 << 64) - 1 - BUCKET)}, "the task must end by"),
     (PRIVATE, {"privacy": None}, "results must have noise, at 1-DP a collection or less"),
     (PRIVATE, {"privacy": noisy(PureDp("1.01"))}, "a collection may reveal 1-DP at most, and would reveal 1.01-DP"),
     (PRIVATE, {"privacy": noisy(total=PureDp("10.01"))}, "all collections may reveal 10-DP at most, and would reveal"),
     (PRIVATE, {"privacy": noisy(honest=2, mechanism=Mechanism.POLYA)},
      "the task may count on 1 of the two Aggregators for noise, and counts on 2"),
     (TaskPolicy(min_batch_size=3, report_bytes=100), {}, "a report may have 100 bytes, and would have"),
     (TaskPolicy(min_batch_size=3, collections=9), {}, "the total budget must pay for 9 collections at most"),
     (ANYTHING, {"privacy": noisy(PureDp("1e-9"), PureDp(1000))}, "must pay for 1,000 collections")],
)  # fmt: skip
def test_opting_out(policy: TaskPolicy, changes: dict[str, Any], reason: str) -> None:
    assert reason in refusal(policy, **changes)


def test_at_the_limit() -> None:
    size = TaskPolicy(min_batch_size=3, report_bytes=10_000)
    for policy, changes in (
        (TaskPolicy(min_batch_size=3, time_precision=300, collections=10), {}),
        (PRIVATE, {"interval": Interval(BUCKET - 9, 10)}),
        (PRIVATE, {"interval": Interval(BUCKET, 90 * 288)}),
        (TaskPolicy(min_batch_size=3, honest=2), {"privacy": noisy(honest=2, mechanism=Mechanism.POLYA)}),
        (PRIVATE, {"privacy": noisy(honest=0, mechanism=Mechanism.RANDOMIZED_RESPONSE)}),
        (size, {}),
    ):
        policy.opt_in(encoded(**changes), NOW)


@pytest.mark.parametrize(
    ("asked", "given", "taken"),
    [(PureDp(1), ApproxDp(1, "1e-9"), False), (PureDp(1), ZCdp("1e-3"), False), (ZCdp("0.5"), PureDp(1), True),
     (ZCdp("0.1"), PureDp(1), False), (ApproxDp(1, "1e-9"), PureDp(1), True), (ApproxDp(1, "1e-6"), ZCdp("0.01"), True),
     (ApproxDp(1, "1e-6"), ZCdp("0.1"), False)],
)  # fmt: skip
def test_budgets_of_other_kinds_are_compared_by_what_they_imply(asked: Any, given: Any, taken: bool) -> None:
    policy = TaskPolicy(min_batch_size=3, budget=asked)
    mechanism = extension.least_noise(given, make_task().vdaf)
    privacy = Privacy(mechanism, given, extension_total(given))
    if taken:
        policy.opt_in(encoded(privacy=privacy), NOW)
    else:
        assert "a collection may reveal" in refusal(policy, privacy=privacy)


def extension_total(budget: Any) -> Any:
    """So much that ten collections are paid."""
    return type(budget)(*(number * Fraction(10) for number in vars(budget).values()))


def test_an_advertised_task_speaks_one_dialect() -> None:
    configuration = make_task(dialect=DAP_09_CLIENTS, interval=Interval(BUCKET, 288)).encoded
    with pytest.raises(OptedOut, match="an advertised task speaks dap-19, not dap-09"):
        TaskPolicy(min_batch_size=3).opt_in(configuration, NOW)


def test_what_is_not_implemented_is_opted_out_of() -> None:
    fields = vars(make_task(interval=Interval(BUCKET, 288)).configuration)
    for change, reason in (
        ({"vdaf_type": 0xFFFF0000}, "VDAF 0xffff0000 is not supported"),
        ({"vdaf_configuration": b""}, "ends early"),
        ({"batch_config": b"x"}, "batch_config must be empty"),
        ({"extensions": (*fields["extensions"], TaskExtension(0x7777, b""))}, "are not supported"),
        ({"extensions": (TaskExtension(1, b"short"),)}, "ends early"),
        ({"extensions": (*fields["extensions"], TaskExtension(0xFD01, b"\x09"))}, "Mechanism"),
    ):
        configuration = TaskConfiguration(**fields | change).encode()
        with pytest.raises(OptedOut, match=reason):
            TaskPolicy(min_batch_size=3).opt_in(configuration, NOW)


def test_bytes_that_are_no_configuration() -> None:
    with pytest.raises(OptedOut, match="message ends early"):
        PRIVATE.opt_in(encoded()[:-1], NOW)


def test_noise_is_not_calibrated_for_a_task_that_numbers_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration takes up to seconds, and anybody may send a task."""

    def calibrated(*arguments: Any) -> Any:
        raise AssertionError("noise was calibrated")

    monkeypatch.setattr(extension, "_plan", calibrated)
    loose = noisy(PureDp("0.9"), PureDp(9))
    for policy, changes in (
        (TaskPolicy(min_batch_size=3, budget=PureDp("0.5")), {}),
        (TaskPolicy(min_batch_size=3, total=PureDp(1)), {}),
        (TaskPolicy(min_batch_size=4), {}),
        (TaskPolicy(vdafs=frozenset({"Sum"}), min_batch_size=3), {}),
        (TaskPolicy(min_batch_size=3, time_precision=600), {}),
        (TaskPolicy(min_batch_size=3), {"interval": None}),
    ):
        fields = vars(make_task(interval=changes.get("interval", Interval(BUCKET, 288))).configuration)
        added = (*fields["extensions"], TaskExtension(0xFD01, loose.encode()))
        with pytest.raises(OptedOut):
            policy.opt_in(TaskConfiguration(**fields | {"extensions": added}).encode(), NOW)


def test_a_vector_of_any_length_is_judged_by_its_size() -> None:
    for large in (vdaf("Histogram", length=(1 << 32) - 1), vdaf("SumVec", length=(1 << 32) - 1, max_measurement=255)):
        assert "a report may have" in refusal(TaskPolicy(min_batch_size=3), vdaf=large, privacy=None)
