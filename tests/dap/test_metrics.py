"""Reports are counted by task, as long as there are not too many tasks."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from secagg.dap import metrics as module
from secagg.dap.messages import ReportError
from secagg.dap.metrics import OTHERS, Metrics
from secagg.dap.task import Task

from ..support.tasks import make_task

REJECTED = ReportError.VDAF_VERIFY_ERROR


def task_of(number: int) -> Task:
    return Task(bytes([number]) * 32, make_task().configuration)


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by its labels, in the order of their names."""
    families = text_string_to_metric_families(metrics.text().decode())
    found: list[Any] = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in found}


def test_each_task_has_its_numbers() -> None:
    metrics, first, second = Metrics(), task_of(1), task_of(2)
    metrics.count_uploads(first, 5, [ReportError.REPORT_REPLAYED])
    metrics.count_uploads(first, 2, [])
    metrics.count_uploads(second, 0, [ReportError.REPORT_REPLAYED] * 3)
    metrics.count_job(second, 4, {1: REJECTED, 2: REJECTED})
    assert samples(metrics, "secagg_dap_reports_uploaded_total") == {
        ("accepted", first.text): 7, ("report_replayed", first.text): 1, ("report_replayed", second.text): 3,
    }  # fmt: skip
    assert samples(metrics, "secagg_dap_reports_aggregated_total") == {
        ("aggregated", second.text): 4, ("vdaf_verify_error", second.text): 2,
    }  # fmt: skip


def test_the_numbers_of_too_many_tasks_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TASKS_MAX", 2)
    metrics, tasks = Metrics(), [task_of(i) for i in range(5)]
    for _ in range(2):
        for task in tasks:
            metrics.count_uploads(task, 1, [])
    assert samples(metrics, "secagg_dap_reports_uploaded_total") == {
        ("accepted", tasks[0].text): 2, ("accepted", tasks[1].text): 2, ("accepted", OTHERS): 6,
    }  # fmt: skip
    metrics.set_releases_left([(task, 10 - i) for i, task in enumerate(tasks)])
    left = samples(metrics, "secagg_dap_releases_left")
    assert left == {(tasks[0].text,): 10, (tasks[1].text,): 9, (OTHERS,): 6}


def test_a_task_that_is_deleted_has_no_releases_left() -> None:
    metrics, task = Metrics(), task_of(1)
    metrics.set_releases_left([(task, 3)])
    metrics.set_releases_left([])
    assert samples(metrics, "secagg_dap_releases_left") == {(task.text,): 0}
