"""`secagg dap collect --due`: complete batches into files, once each, whatever was cut off before."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secagg.cli.dap.due import Files, Format, Outcome, Told, collect_intervals, collect_selected, intervals
from secagg.dap import task_file
from secagg.dap.client.collector import Batch, Collection, CollectionPending
from secagg.dap.client.upload import Client
from secagg.dap.messages import BatchMode, Interval
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.problems import DapProblem
from secagg.dap.task import Task, time_text
from secagg.dp import PureDp

from ..support.aggregators import change, serving
from ..support.commands import Command, plain_environment
from ..support.tasks import make_task

HOUR = 3600
NOON = 1_769_860_800  # 2026-01-31T12:00Z
JOB = "https://leader.example/jobs/"

COMMAND = Command("dap")
run, run_json, refused, outcome = COMMAND.run, COMMAND.run_json, COMMAND.refused, COMMAND.outcome


@pytest.fixture(autouse=True)
def plain_terminal() -> Any:
    with plain_environment("SECAGG_DAP_SECRET"):
        yield


def collection(start: int, job: str = JOB, reports: int = 7) -> Collection:
    return Collection(reports, Interval(0, 1), start, start + HOUR, [3, 4], [0.0, 1.5], 0.95, job)


def files(folder: Path, form: Format = Format.CSV, labels: tuple[str, ...] = ()) -> Files:
    return Files(folder, form, labels)


class Leader:
    """Answers queries for intervals: at once, once they were asked for before, with a problem, or never."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.asked: list[tuple[str, float]] = []

    def ask(self, batch: Batch, timeout: float) -> Collection:
        assert isinstance(batch, tuple)
        name = time.strftime("h%H", time.gmtime(batch[0]))
        before = [each for each, _ in self.asked].count(name)
        self.asked.append((name, timeout))
        answer = self.answers.get(name, "ready")
        if answer == "never" or (answer == "later" and before == 0):
            raise CollectionPending("the batch is not ready", JOB)
        if answer not in ("ready", "later"):
            raise DapProblem(answer, "and why")
        return collection(int(batch[0]))


def collected(task: Task, folder: Path, leader: Leader, hours: int, timeout: float = 60) -> list[Told]:
    due = [(NOON + HOUR * i, HOUR) for i in range(hours)]
    return list(collect_intervals(task, due, files(folder), leader.ask, timeout, lambda: NOON))


@pytest.fixture
def by_time() -> Task:
    return make_task(batch_mode=BatchMode.TIME_INTERVAL)


def test_intervals_are_whole_and_over() -> None:
    assert list(intervals(NOON, HOUR, NOON + 3 * HOUR - 1)) == [(NOON, HOUR), (NOON + HOUR, HOUR)]
    assert list(intervals(NOON, HOUR, NOON + 3 * HOUR))[-1] == (NOON + 2 * HOUR, HOUR)
    assert list(intervals(NOON, HOUR, NOON - 1)) == []


def test_the_leader_is_asked_for_all_before_any_is_waited_for(by_time: Task, tmp_path: Path) -> None:
    leader = Leader(h12="later", h13="ready", h14="later")
    told = collected(by_time, tmp_path, leader, 3)
    assert leader.asked == [("h12", 0), ("h13", 0), ("h14", 0), ("h12", 60), ("h14", 60)]
    assert {each.outcome for each in told} == {Outcome.WRITTEN}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"20260131T{hour}0000Z-20260131T{hour + 1}0000Z.csv" for hour in (12, 13, 14)
    ]


def test_one_batch_s_fate_is_not_another_s(by_time: Task, tmp_path: Path) -> None:
    told = collected(by_time, tmp_path, Leader(h12="never", h13="invalidBatchSize", h14="batchOverlap"), 4)
    assert {each.batch[11:13]: each.outcome for each in told} == {
        "12": Outcome.PENDING, "13": Outcome.TOO_FEW, "14": Outcome.REFUSED, "15": Outcome.WRITTEN,
    }  # fmt: skip
    assert [path.name[:13] for path in tmp_path.iterdir()] == ["20260131T1500"]


def test_a_file_is_never_written_over(by_time: Task, tmp_path: Path) -> None:
    (told,) = collected(by_time, tmp_path, Leader(), 1)
    Path(told.detail).write_text("mine")
    (again,) = collected(by_time, tmp_path, Leader(), 1)
    assert (again.outcome, again.detail) == (Outcome.WRITTEN, told.detail)
    assert Path(told.detail).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_in_a_file(tmp_path: Path) -> None:
    noisy = make_task(privacy=Privacy(Mechanism.DISCRETE_LAPLACE, PureDp("1"), PureDp("2")))
    assert noisy.privacy is not None
    for form in Format:
        where = files(tmp_path, form, ('a, "b"', "c"))
        where.write(where.of_interval(NOON, HOUR), noisy, collection(NOON), NOON, NOON + HOUR)
    cost = {"mechanism": str(noisy.privacy.mechanism), "cost": str(noisy.privacy.budget)}
    with (tmp_path / "20260131T120000Z-20260131T130000Z.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    common = {"task_id": noisy.text, "start": "2026-01-31T12:00:00Z", "end": "2026-01-31T13:00:00Z"}
    assert rows[0] == common | cost | {
        "report_count": "7", "confidence": "0.95", "label": 'a, "b"', "value": "3", "error_bar": "0.0",
    }  # fmt: skip
    assert (rows[1]["label"], rows[1]["value"], rows[1]["error_bar"]) == ("c", "4", "1.5")
    (line,) = (tmp_path / "20260131T120000Z-20260131T130000Z.jsonl").read_text().splitlines()
    assert json.loads(line) == common | cost | {
        "report_count": 7, "confidence": 0.95, "labels": ['a, "b"', "c"], "result": [3, 4], "error_bars": [0.0, 1.5],
    }  # fmt: skip


class Selecting:
    """A Leader that selects batches: a job comes again until it is deleted."""

    def __init__(self, jobs: int, crash: Callable[[str], None] = lambda job: None) -> None:
        self.jobs = [f"{JOB}{number}" for number in range(jobs)]
        self.crash = crash

    def ask(self, batch: Batch, timeout: float) -> Collection:
        assert batch is None
        if not self.jobs:
            raise CollectionPending("no batch has 5 reports yet", JOB)
        return collection(NOON, self.jobs[0])

    def delete(self, job: str) -> None:
        self.crash(job)
        self.jobs.remove(job)


def test_all_that_the_leader_has_selected_is_collected(tmp_path: Path) -> None:
    task, leader = make_task(batch_mode=BatchMode.LEADER_SELECTED), Selecting(3)
    told = list(collect_selected(task, files(tmp_path), leader.ask, leader.delete, 5))
    assert [each.outcome for each in told] == [*3 * [Outcome.WRITTEN], Outcome.PENDING]
    assert len(list(tmp_path.iterdir())) == 3  # of equal times


def test_a_crash_before_a_job_is_deleted_loses_and_doubles_nothing(tmp_path: Path) -> None:
    def crash(job: str) -> None:
        raise KeyboardInterrupt

    task, leader = make_task(batch_mode=BatchMode.LEADER_SELECTED), Selecting(2, crash)
    with pytest.raises(KeyboardInterrupt):
        list(collect_selected(task, files(tmp_path), leader.ask, leader.delete, 5))
    assert len(list(tmp_path.iterdir())) == 1
    leader.crash = lambda job: None
    list(collect_selected(task, files(tmp_path), leader.ask, leader.delete, 5))
    assert len(list(tmp_path.iterdir())) == 2


# --- The command ----------------------------------------------------------------------------------------------------

TASK = ("task", "new", "--vdaf", "histogram", "--length", "2", "--mechanism", "none", "--min-batch-size", "3")


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    run(*TASK, "--leader", "https://l.example", "--helper", "https://h.example", "--output", tmp_path / "t")
    collect = ("collect", "--task", tmp_path / "t/collector.json")
    due = (*collect, "--due", "--into", tmp_path)
    (tmp_path / "labels").write_text("only one\n")
    for options, reason in {
        (*collect, "--due"): "--into is missing",
        (*collect, "--due", "--into", tmp_path / "nowhere"): "is no folder: make it first",
        (*due, "--next"): "--due takes none of --interval, --next and --early",
        (*collect, "--next", "--into", tmp_path): "--into is for --due",
        due: "--since is missing: this task does not say when it starts",
        (*due, "--since", "2026-01-31T12:00:07Z"): "must be whole numbers of the task's time precision",
        (*due, "--since", "0", "--every", "7s"): "must be whole numbers of the task's time precision",
        (*due, "--since", "0", "--labels", tmp_path / "labels"): "must have 2 lines, and has 1",
    }.items():
        assert reason in refused(*options)


def test_batches_of_a_deployment_are_due_once(tmp_path: Path) -> None:
    configs = []
    for role in ("leader", "helper"):
        run("init", "--role", role, "--dir", tmp_path)
        configs.append(tmp_path / f"{role}.toml")
        change(configs[-1], listen="127.0.0.1:0")
    leader, helper = configs
    with serving("leader", "--config", leader) as (line, _), serving("helper", "--config", helper) as (other, _):
        urls = ("--leader", line.split()[-1], "--helper", other.split()[-1], "--config", leader, "--config", helper)
        (tmp_path / "labels").write_text("dns\ntcp\n")
        named = ("--labels", tmp_path / "labels", "--output", tmp_path / "t")
        run(*TASK, *urls, "--time-precision", "1h", *named)
        hour = int(time.time()) // HOUR
        party = task_file.load(tmp_path / "t/client.json")
        with Client(party.task, clock=lambda: (hour - 1) * HOUR) as client:
            client.upload([0, 1, 1, 1])
        results = tmp_path / "results"
        results.mkdir()
        collect = ("collect", "--task", tmp_path / "t/collector.json", "--due", "--into", results, "--settle", "1s",
                   "--since", str((hour - 2) * HOUR), "--timeout", "60s")  # fmt: skip
        told = {each["batch"]: each for each in run_json(*collect)}
        before, last = (
            told[f"{time_text(at * HOUR)} until {time_text((at + 1) * HOUR)}"] for at in (hour - 2, hour - 1)
        )
        assert before["outcome"] == "too few reports"
        assert (last["outcome"], last["reports"]) == ("written", 4)
        with Path(last["detail"]).open(newline="") as file:
            assert [(row["label"], row["value"]) for row in csv.DictReader(file)] == [("dns", "1"), ("tcp", "3")]
        Path(last["detail"]).unlink()
        (tmp_path / "others").write_text("udp\n\u00e9tat\n")
        run(*collect, "--labels", tmp_path / "others")
        assert "udp," in Path(last["detail"]).read_text()
        again = run(*collect)
        assert "too few reports" in again
        assert "written" not in again
