"""What puts a site out of a round, and what never leaves it."""

import logging
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from nvflare.apis.controller_spec import Task, TaskCompletionStatus
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.fl_constant import FilterKey, FLContextKey, ReturnCode
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.fuel.utils import fobs
from nvflare.private.fed.client.client_runner import ClientRunnerConfig, TaskRouter

from secagg.integrations.nvflare import ReplyFilter, RequestFilter, SecAggFedAvg, SecAggSite, Terms
from secagg.integrations.nvflare.filters import TaskRefused
from secagg.integrations.nvflare.models import update_of

from ..rounds import active, write_policy, write_roster
from .federation import Federation, Model, Site, fedavg, moved
from .test_rounds import CODING, METRICS, TERMS, change, check, model, run, site

SERVER, REQUEST, REPLY = "SecAggFedAvg", "RequestFilter", "ReplyFilter"


def lines(caplog: pytest.LogCaptureFixture, logger: str) -> str:
    """What one of FLARE's components has said."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name.endswith(logger))


@pytest.fixture(autouse=True)
def all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_stricter_site_refuses_before_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    strict = site(tmp_path, 2, protection='model = "semi-honest"\nmin_users = 5')
    found, federation = run(tmp_path, [strict, *(site(tmp_path, u) for u in (1, 3, 4, 5))])
    check(found, [1, 3, 4, 5], federation)
    assert strict.trainer.tasks == []
    assert "min_users is 4, and this site wants at least 5" in lines(caplog, SERVER)
    assert "min_users is 4" in lines(caplog, REQUEST)


def test_nan_puts_its_site_out_and_is_named_there_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = site(tmp_path, 2, train=moved({"w": np.nan}, 20, accuracy=0.2))
    found, federation = run(tmp_path, [bad, *(site(tmp_path, u) for u in (1, 3, 4, 5))])
    check(found, [1, 3, 4, 5], federation)
    assert "array 'w' holds NaN" in lines(caplog, REPLY)
    assert "site-2 is out of the round: this node's update cannot be used" in lines(caplog, SERVER)
    assert "'w'" not in lines(caplog, SERVER)
    assert not any(b"NaN" in reply for reply in bad.replies)


def test_site_without_examples_drops_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    empty = site(tmp_path, 2, train=moved({}, 0, accuracy=0.0))
    found, federation = run(tmp_path, [empty, *(site(tmp_path, u) for u in (1, 3, 4, 5))])
    check(found, [1, 3, 4, 5], federation)
    assert "weight must be an integer 1 .." in lines(caplog, REPLY)
    assert "weight" not in lines(caplog, SERVER)


def reshaped(received: Model) -> DXO:
    return DXO(DataKind.WEIGHTS, data={**received, "w": np.zeros((4, 3))}, meta={"NUM_STEPS_CURRENT_ROUND": 1})


def without_weight(received: Model) -> DXO:
    return DXO(DataKind.WEIGHTS, data=dict(received), meta={"initial_metrics": {"accuracy": 0.5}})


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        (reshaped, "array 'w' has shape"),
        (without_weight, "NUM_STEPS_CURRENT_ROUND"),
        (moved({}, 3), "metric 'accuracy' is missing"),
        (moved({}, 3, accuracy=0.5, loss=2.0), "metric 'loss' has no bound"),
        (lambda received: DXO(DataKind.METRICS, data={"accuracy": 1.0}), "only WEIGHTS and WEIGHT_DIFF"),
        (lambda received: DXO(DataKind.WEIGHTS, data={"w": "text"}), "array 'w' is a builtins.str"),
    ],
    ids=["shape", "weight", "metric", "unknown metric", "no model", "no array"],
)
def test_update_that_does_not_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture, train: Any, reason: str) -> None:
    found, federation = run(tmp_path, [site(tmp_path, 2, train=train), *(site(tmp_path, u) for u in (1, 3, 4, 5))])
    check(found, [1, 3, 4, 5], federation)
    assert reason in lines(caplog, SERVER)
    assert reason in lines(caplog, REPLY)


def test_training_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(received: Model) -> DXO:
        raise ValueError("a secret of the data")

    bad = site(tmp_path, 2, train=fail)
    found, federation = run(tmp_path, [bad, *(site(tmp_path, u) for u in (1, 3, 4, 5))])
    check(found, [1, 3, 4, 5], federation)
    assert "site-2 is out of the round: FLARE's return code EXECUTION_EXCEPTION" in lines(caplog, SERVER)
    assert not any(b"secret" in reply for reply in bad.replies)


def test_differences_are_averaged_like_models(tmp_path: Path) -> None:
    def difference(received: Model) -> DXO:
        meta = {"NUM_STEPS_CURRENT_ROUND": 20, "initial_metrics": {"accuracy": 0.2}}
        changes = {name: np.broadcast_to(by, received[name].shape) for name, by in change(2).items()}
        return DXO(DataKind.WEIGHT_DIFF, data=changes, meta=meta)

    found, federation = run(tmp_path, [site(tmp_path, 2, train=difference), *(site(tmp_path, u) for u in (1, 3, 4))])
    check(found, [1, 2, 3, 4], federation)


@pytest.mark.parametrize(
    "by",
    [
        np.array([3, 0]),
        np.array([2**63 - 8, 0]),
        np.array([2**63 - 1, 0]),
        np.array([2**64 - 1, 0], np.uint64),
        np.array([3.0, 0.0]),
    ],
    ids=["clip", "last of int64", "int64", "uint64", "floats"],
)
def test_integer_beyond_the_clip_is_refused_in_a_difference_as_in_a_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, by: Any
) -> None:
    """A counter that was clipped in silence would be wrong at every site after it."""

    def difference(received: Model) -> DXO:
        changes = {name: np.zeros(values.shape) for name, values in received.items()}
        meta = {"NUM_STEPS_CURRENT_ROUND": 20, "initial_metrics": {"accuracy": 0.2}}
        return DXO(DataKind.WEIGHT_DIFF, data={**changes, "steps": by}, meta=meta)

    found, federation = run(tmp_path, [site(tmp_path, 2, train=difference), *(site(tmp_path, u) for u in (1, 3, 4, 5))])
    check(found, [1, 3, 4, 5], federation)
    assert "holds integers that have changed by more than clip" in lines(caplog, REPLY)
    assert "steps" not in lines(caplog, SERVER)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64])
def test_differences_of_integers_are_added_exactly(dtype: Any) -> None:
    """Beyond 2^53, float64 would round them."""
    largest = np.iinfo(dtype).max
    received = {"steps": np.array([largest - 1, 5], dtype)}
    result = DXO(DataKind.WEIGHT_DIFF, data={"steps": np.array([1, 2], dtype)}).to_shareable()
    (new,) = update_of(result, received, weighted=False).arrays.values()
    assert new.dtype == dtype
    assert new.tolist() == [largest, 7]


def test_training_code_may_change_the_arrays_it_is_given(tmp_path: Path) -> None:
    def in_place(received: Model) -> DXO:
        for name, by in change(2).items():
            received[name] += np.asarray(by, received[name].dtype)
        meta = {"NUM_STEPS_CURRENT_ROUND": 20, "initial_metrics": {"accuracy": 0.2}}
        return DXO(DataKind.WEIGHTS, data=received, meta=meta)

    found, federation = run(tmp_path, [site(tmp_path, 2, train=in_place), *(site(tmp_path, u) for u in (1, 3, 4))])
    check(found, [1, 2, 3, 4], federation)


# The active model.


def active_site(folder: Path, u: int, rosters: Path) -> Site:
    return site(folder, u, protection=active(rosters, u))


def test_active_model(tmp_path: Path) -> None:
    write_roster(tmp_path / "pki", range(1, 6))
    sites = [active_site(tmp_path, u, tmp_path / "pki") for u in range(1, 6)]
    sites[3].dies_at = 2
    terms = {**TERMS, "roster": str(tmp_path / "pki" / "roster.txt"), "min_users": 4}
    found, federation = run(tmp_path, sites, terms)
    check(found, [1, 2, 3, 5], federation)


def test_site_with_another_roster(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_roster(tmp_path / "pki", range(1, 6))
    write_roster(tmp_path / "other", range(1, 6))
    sites = [active_site(tmp_path, u, tmp_path / ("other" if u == 2 else "pki")) for u in range(1, 6)]
    found, federation = run(tmp_path, sites, {**TERMS, "roster": str(tmp_path / "pki" / "roster.txt")})
    check(found, [1, 3, 4, 5], federation)
    assert sites[1].trainer.tasks == []
    assert "roster is " in lines(caplog, SERVER)


# Rounds that fail.


def test_too_few_sites_end_the_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sites = [site(tmp_path, u, dies_at=0 if u > 2 else None) for u in range(1, 6)]
    found, federation = run(tmp_path, sites, train_timeout=1.0)
    assert ["secagg: the round has failed" in panic for panic in federation.engine.panics] == [True]
    for name, values in model().items():
        np.testing.assert_array_equal(found[name], values)


def test_failed_rounds_leave_the_model_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sites = [site(tmp_path, u, dies_at=0 if u > 2 else None) for u in range(1, 6)]
    found, federation = run(tmp_path, sites, train_timeout=0.5, max_failed_rounds=2, rounds=2)
    assert federation.engine.panics == []
    assert "the model stays as it is" in lines(caplog, SERVER)
    for name, values in model().items():
        np.testing.assert_array_equal(found[name], values)


def test_job_that_is_aborted_ends_in_the_middle_of_a_round(tmp_path: Path) -> None:
    sites = [site(tmp_path, u, dies_at=0 if u == 5 else None) for u in range(1, 6)]
    federation = Federation(sites, tmp_path)
    controller = fedavg(FLModel(params=model()), Terms(**TERMS), max_failed_rounds=9)  # waits for the fifth for ever
    aborts = Timer(1.0, lambda: federation.abort.trigger(True))
    aborts.start()
    federation.run(controller)
    assert ["aborted in the middle of a round" in panic for panic in federation.engine.panics] == [True]


class Faltering(SecAggFedAvg):
    """FLARE takes its tasks for two sites, and none for a third."""

    def send(self, task: Task, *args: Any, **options: Any) -> None:
        sent = self.__dict__.setdefault("sent", [])
        if len(sent) == 2:
            raise ValueError("FLARE takes no more tasks")
        sent.append(task)
        super().send(task, *args, **options)


def test_tasks_that_were_sent_end_when_another_cannot_be_sent(tmp_path: Path) -> None:
    federation = Federation([site(tmp_path, u, dies_at=0) for u in range(1, 5)], tmp_path)
    controller = fedavg(FLModel(params=model()), Terms(**TERMS), kind=Faltering)
    with suppress(ValueError):  # which FLARE's runner makes the end of the job
        federation.run(controller)
    assert [task.completion_status for task in controller.sent] == [TaskCompletionStatus.CANCELLED] * 2


def test_failed_rounds_are_counted_in_a_row(tmp_path: Path) -> None:
    def every_other_round(u: int) -> Any:
        rounds = iter(range(9))

        def train(received: Model) -> DXO:
            return moved({"w": np.nan} if next(rounds) % 2 == 0 else change(u), 10, accuracy=0.5)(received)

        return train

    sites = [site(tmp_path, u, train=every_other_round(u) if u > 2 else None) for u in range(1, 6)]
    found, federation = run(tmp_path, sites, max_failed_rounds=1, rounds=4)
    assert federation.engine.panics == []
    np.testing.assert_array_equal(found["steps"], [9, 11])


def test_model_with_nan_is_not_sent(tmp_path: Path) -> None:
    given = FLModel(params={"w": np.array([np.nan])})
    federation = Federation([site(tmp_path, u) for u in (1, 2, 3)], tmp_path)
    federation.run(fedavg(given, Terms(**TERMS)))
    assert "array 'w' of the model to be trained holds NaN" in federation.engine.panics[0]
    assert all(played.replies == [] for played in federation.sites.values())


# What never leaves.


def holds_update(replies: list[bytes]) -> bool:
    """Whether an update, a weight or a metric can be read in what has left a site."""
    return any(b"numpy" in reply or b"NUM_STEPS" in reply or b"accuracy" in reply for reply in replies)


def plain_fedavg(sites: list[Site], folder: Path) -> Federation:
    """A job of a server that wants every update in the clear."""
    federation = Federation(sites, folder)
    controller = FedAvg(
        num_clients=64, num_rounds=1, persistor_id="", model=FLModel(params=model()), task_check_period=0.02
    )
    federation.run(controller)
    return federation


def test_update_cannot_be_read_in_what_leaves(tmp_path: Path) -> None:
    sites = [site(tmp_path, u) for u in range(1, 5)]
    run(tmp_path, sites)
    assert all(len(played.replies) == 4 for played in sites)
    assert not any(holds_update(played.replies) for played in sites)


def test_site_without_filters_sends_all_in_the_clear(tmp_path: Path) -> None:
    """What the tests beside this one are about; if FLARE's encoding changes, this fails."""
    sites = [site(tmp_path, u, forced=False, job_filters=False) for u in (1, 2)]
    plain_fedavg(sites, tmp_path)
    assert all(holds_update(played.replies) for played in sites)


def test_job_without_the_protocol_gets_nothing(tmp_path: Path) -> None:
    sites = [site(tmp_path, u, job_filters=False) for u in (1, 2)]
    federation = plain_fedavg(sites, tmp_path)
    assert len(federation.engine.panics) >= 1
    assert all(played.trainer.tasks == [] for played in sites)
    assert not any(holds_update(played.replies) for played in sites)


def test_job_without_filters_is_held_by_the_sites(tmp_path: Path) -> None:
    found, federation = run(tmp_path, [site(tmp_path, u, job_filters=False) for u in range(1, 5)])
    check(found, [1, 2, 3, 4], federation)


def test_filters_of_a_job_are_enough_where_the_site_has_none(tmp_path: Path) -> None:
    """The simulator's case: it knows `SecAggSite`, and no filters of sites."""
    found, federation = run(tmp_path, [site(tmp_path, u, forced=False) for u in range(1, 5)])
    check(found, [1, 2, 3, 4], federation)


def test_site_without_a_policy_sends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bare = site(tmp_path, 2, forced=False, configured=False)
    found, federation = run(tmp_path, [bare, *(site(tmp_path, u) for u in (1, 3, 4, 5))])
    check(found, [1, 3, 4, 5], federation)
    assert bare.trainer.tasks == []
    assert "must name SecAggSite in local/privacy.json" in lines(caplog, SERVER)


def test_site_with_a_broken_policy_sends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = site(tmp_path, 2)
    (bad.folder / "policy.toml").write_text("[coding]\nclipp = 1.0\n")
    found, federation = run(tmp_path, [bad, *(site(tmp_path, u) for u in (1, 3, 4, 5))])
    check(found, [1, 3, 4, 5], federation)
    assert "clipp" in lines(caplog, REQUEST)
    assert "clipp" not in lines(caplog, SERVER)
    assert "see the site's log" in lines(caplog, SERVER)


def test_code_of_a_job_is_not_held_by_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a site cannot enforce against a job whose own code it runs: docs/nvflare.md begins with it."""

    def steal(received: Model) -> DXO:
        monkeypatch.setattr(ReplyFilter, "process", lambda self, shareable, fl_ctx: shareable)
        return moved(change(2), 20, accuracy=0.2)(received)

    robbed = site(tmp_path, 2, train=steal, job_filters=False)
    plain = Federation([robbed], tmp_path)
    plain.run(fedavg(FLModel(params=model()), Terms(**TERMS)))
    assert not holds_update(robbed.replies)  # one site is too few: its policy refuses before that code runs
    sites = [robbed, *(site(tmp_path, u) for u in (1, 3, 4, 5))]
    run(tmp_path, sites)
    assert holds_update(robbed.replies)


# The filters alone.


def asked(played: Site, task: str = "validate", direction: str = FilterKey.IN) -> Any:
    """A context in which a filter of this site is called for a task."""
    played.engine.components["secagg"] = SecAggSite("policy.toml", played.plain_tasks)
    context = played.engine.new_context()
    for key, value in (
        (FLContextKey.TASK_ID, "1"),
        (FLContextKey.TASK_NAME, task),
        (FLContextKey.FILTER_DIRECTION, direction),
    ):
        context.set_prop(key, value, private=True, sticky=False)
    return context


def plain_reply(folder: Path, result: Shareable) -> Shareable:
    """What leaves a site whose operator has named "validate", when its executor gives this result of it."""
    played = site(folder, 1, plain_tasks=["validate"])
    context = asked(played)
    RequestFilter().process(Shareable(), context)
    context.set_prop(FLContextKey.FILTER_DIRECTION, FilterKey.OUT, private=True, sticky=False)
    return ReplyFilter().process(result, context)


def test_plain_tasks_are_those_that_the_site_names(tmp_path: Path) -> None:
    metrics = {"accuracy": 0.5, "steps": 7, "best": True, "loss": np.float32(0.25)}
    reply = plain_reply(tmp_path, DXO(DataKind.METRICS, data=metrics).to_shareable())
    assert reply.get_return_code() == ReturnCode.OK
    assert from_shareable(reply).data == metrics
    assert not any(isinstance(value, np.generic) for value in from_shareable(reply).data.values())
    with pytest.raises(TaskRefused, match="no result in the clear"):
        RequestFilter().process(Shareable(), asked(site(tmp_path, 2)))


def test_server_cannot_have_a_model_trained_under_the_name_of_a_plain_task(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The executor trains on every task, as FLARE's executors with tasks=["*"] do."""
    played = site(tmp_path, 1, plain_tasks=["validate"])
    federation = Federation([played], tmp_path)
    task = fobs.dumps(DXO(DataKind.WEIGHTS, data=model()).to_shareable())
    reply, _ = played.handle("validate", "7", task, federation._public())
    assert len(played.trainer.tasks) == 1
    assert reply.get_return_code() == ReturnCode.TASK_RESULT_FILTER_ERROR
    assert not holds_update(played.replies)
    assert "held back: it holds more than metrics" in lines(caplog, REPLY)


@pytest.mark.parametrize(
    "metrics",
    [
        {"w": np.zeros(3)},
        {"w": np.array(1.0)},
        {"w": [0.5, 0.25]},
        {"w": {"inner": 0.5}},
        {"w": "0.5"},
        {"w": b"bytes"},
        {"w": None},
        {"w": 1j},
        {"w": 1 << 60_000},
        {"n" * 101: 0.5},
        {7: 0.5},
        {f"w{i}": float(i) for i in range(33)},
    ],
    ids=[
        "array",
        "array of one",
        "list",
        "dict",
        "text",
        "bytes",
        "none",
        "complex",
        "large integer",
        "long name",
        "no name",
        "many",
    ],
)
def test_model_does_not_leave_as_metrics_of_a_plain_task(tmp_path: Path, metrics: dict[Any, Any]) -> None:
    result = DXO(DataKind.METRICS, data={"accuracy": 0.5}).to_shareable()
    result["DXO"]["data"] = metrics
    reply = plain_reply(tmp_path, result)
    assert reply.get_return_code() == ReturnCode.TASK_RESULT_FILTER_ERROR
    assert "DXO" not in reply


@pytest.mark.parametrize("code", [ReturnCode.OK, ReturnCode.EXECUTION_EXCEPTION, "a model as text" * 1000, b"model"])
def test_nothing_leaves_beside_the_metrics_of_a_plain_task(tmp_path: Path, code: Any) -> None:
    result = DXO(DataKind.METRICS, data={"accuracy": 0.5}, meta={"model": np.ones(4)}).to_shareable()
    result["model"] = np.ones(4)
    result.set_header("model", np.ones(4))
    result.set_return_code(code)
    reply = plain_reply(tmp_path, result)
    assert b"model" not in fobs.dumps(reply)
    assert ("DXO" in reply) == (code == ReturnCode.OK)


def test_site_gives_no_tasks_to_others(tmp_path: Path) -> None:
    """FLARE's client-controlled workflows send models from site to site, as the data of tasks."""
    played = site(tmp_path, 1, plain_tasks=["train"])
    with pytest.raises(TaskRefused, match="gives no tasks to others"):
        RequestFilter().process(Shareable(), asked(played, "train", FilterKey.OUT))


def test_reply_without_its_request_does_not_leave(tmp_path: Path) -> None:
    played = site(tmp_path, 1, plain_tasks=["train"])
    result = DXO(DataKind.WEIGHTS, data=model()).to_shareable()
    context = asked(played, "train", FilterKey.OUT)
    reply = ReplyFilter().process(result, context)
    assert reply.get_return_code() == ReturnCode.TASK_RESULT_FILTER_ERROR
    assert "DXO" not in reply


def test_reply_of_another_task_does_not_leave(tmp_path: Path) -> None:
    played = site(tmp_path, 1, plain_tasks=["train"])
    context = asked(played, "train")
    RequestFilter().process(Shareable(), context)
    context.set_prop(FLContextKey.TASK_ID, "2", private=True, sticky=False)
    context.set_prop(FLContextKey.FILTER_DIRECTION, FilterKey.OUT, private=True, sticky=False)
    reply = ReplyFilter().process(DXO(DataKind.WEIGHTS, data=model()).to_shareable(), context)
    assert "DXO" not in reply


def test_job_cannot_replace_the_site() -> None:
    """FLARE builds a job's components first, and then refuses the site's of the same name: the job does not start."""
    components = ClientRunnerConfig(TaskRouter(), {}, {}, components={"secagg": object()})
    with pytest.raises(ValueError, match="duplicate component id"):
        components.add_component("secagg", SecAggSite("policy.toml"))


def test_another_component_is_no_site(tmp_path: Path) -> None:
    played = site(tmp_path, 1)
    context = asked(played)
    played.engine.components["secagg"] = object()
    with pytest.raises(TaskRefused, match="no secagg policy"):
        RequestFilter().process(Shareable(), context)


@pytest.mark.parametrize("name", ["../site-1", ".site", "a/b", "", "s" * 201, None])
def test_name_of_a_site_is_no_path(tmp_path: Path, name: str | None) -> None:
    played = Site("site-1", tmp_path, moved({}, 1))
    played.engine.manager.identity_name = name
    write_policy(tmp_path, coding=CODING, metrics=METRICS)
    with pytest.raises(Exception, match="site's name"):
        SecAggSite("{site}.toml").opened(played.engine.new_context())


def test_policy_of_each_site_by_its_name(tmp_path: Path) -> None:
    played = Site("site-1", tmp_path, moved({}, 1))
    write_policy(tmp_path, coding=CODING, metrics=METRICS).rename(tmp_path / "site-1.toml")
    opened = SecAggSite("{site}.toml").opened(played.engine.new_context())
    assert opened.policy.coding.clip == 1.0
