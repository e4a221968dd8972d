"""Metrics as entries and digits of a vector."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import LocalProtocolError
from secagg.integrations import Coding
from secagg.integrations.arrays import UnusableUpdate
from secagg.integrations.coding import needs_weight
from secagg.integrations.metrics import (
    Metric,
    check_reported,
    counted,
    digits,
    digits_width,
    means_width,
    scaled,
    unscaled,
)


@given(
    st.integers(1, 62),
    st.integers(1, 2**200),
    st.lists(st.tuples(st.integers(0), st.integers(0)), min_size=1, max_size=6),
)
def test_sums_of_counts_are_exact(bits: int, largest: int, users: list[tuple[int, int]]) -> None:
    metrics = {"pair": Metric.count(largest, length=2), "one": Metric.count(7), "mean": Metric.mean(1.0)}
    reports = [{"pair": [a % (largest + 1), b % (largest + 1)], "one": 5} for a, b in users]
    encoded = [digits(metrics, report, bits) for report in reports]
    assert all(len(each) == digits_width(metrics, bits) for each in encoded)
    assert all(int(each.max()) < 1 << bits for each in encoded)
    total = np.sum([each.astype(object) for each in encoded], axis=0)
    pairs: Any = [report["pair"] for report in reports]
    assert counted(metrics, total, bits) == {
        "pair": [sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)],
        "one": 5 * len(users),
    }


@pytest.mark.parametrize("value", [2**1024, -(2**1024), 10**5000], ids=["2**1024", "-2**1024", "10**5000"])
def test_integers_that_no_float_holds_are_named_as_out_of_range(value: int) -> None:
    metrics = {"count": Metric.count(10), "mean": Metric.mean(1.0)}
    check_reported(metrics, {"count": value, "mean": value})
    with pytest.raises(UnusableUpdate, match="metric 'count' is an integer of"):
        digits(metrics, {"count": value}, 8)
    with pytest.raises(UnusableUpdate, match="metric 'mean' is an integer of"):
        scaled(metrics, {"mean": value}, 1.0)
    assert needs_weight(Coding(clip=1.0, max_weight=5), value) == value


@given(st.floats(1e-6, 1e6), st.floats(-1, 1), st.floats(0.1, 100))
def test_means_come_back(bound: float, share: float, largest: float) -> None:
    metrics = {"loss": Metric.mean(bound), "list": Metric.mean(bound, length=2), "count": Metric.count(3)}
    value = share * bound
    entries = scaled(metrics, {"loss": value, "list": [value, -value]}, largest)
    assert len(entries) == means_width(metrics) == 3
    assert np.abs(entries).max() <= largest * (1 + 1e-12)
    read: Any = unscaled(metrics, entries, largest)
    np.testing.assert_allclose([read["loss"], *read["list"]], [value, value, -value], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"max_value": 1, "bound": 1.0},
        {"max_value": 0},
        {"max_value": 1 << 256},
        {"bound": 0.0},
        {"bound": -1.0},
        {"bound": 1e300},
        {"bound": 1.0, "length": 0},
        {"bound": 1.0, "length": (1 << 16) + 1},
    ],
    ids=str,
)
def test_metrics_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        Metric(**wrong)
