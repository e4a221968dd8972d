"""What steers a site's training is the same for all sites of a round, whatever the server sends."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.fuel.utils import fobs

from secagg.integrations.nvflare import Terms
from secagg.integrations.nvflare.steering import steering

from .federation import Federation, Site, fedavg
from .test_rounds import PROTECTION, TERMS, check, model, run, site

SITES = range(1, 6)


class Lying(Federation):
    """A server that changes what one site is sent."""

    lie: Callable[[Shareable], None]
    victim = "site-2"

    def _fetch(self, played: Site) -> tuple[str, str, bytes] | None:
        task = super()._fetch(played)
        if task is None or task[0] != "train" or played.name != self.victim:
            return task
        data = fobs.loads(task[2])
        self.lie(data)
        return task[0], task[1], fobs.dumps(data)


def attacked(folder: Path, lie: Callable[[Shareable], None], survivors: list[int]) -> Federation:
    """A round in which the server lies to its second site, and those whose updates are in the mean."""
    sent = FLModel(params=model(), meta={"lr": 0.1})
    federation = Lying([site(folder, u) for u in SITES], folder)
    federation.lie = lie
    controller = fedavg(sent, Terms(**TERMS))
    federation.run(controller)
    federation.engine.components["controller"] = controller
    check(sent.params, survivors, federation)
    return federation


LIES: dict[str, Callable[[Shareable], None]] = {
    "meta": lambda task: task["DXO"]["meta"].update(lr=1.0),
    "type of meta": lambda task: task["DXO"]["meta"].update(lr=np.float32(0.1)),
    "no meta": lambda task: task["DXO"].update(meta={}),
    "more of the model": lambda task: task["DXO"].update(lr=1.0),
    "list in an array's place": lambda task: task["DXO"]["data"].update(steps=[7, 9]),
    "name in a header": lambda task: task.set_header(ReservedHeaderKey.TASK_NAME, "tune"),
    "name in another header": lambda task: task.set_header("task_name", "tune"),
    "current round": lambda task: task.set_header("current_round", 9),
    "another header": lambda task: task.set_header("lr", 1.0),
    "nested header": lambda task: task.set_header("configs", {"optimizer": {"lr": [1.0]}}),
    "cookie": lambda task: task.add_cookie("lr", 1.0),
    "operator": lambda task: task.get_header(ReservedHeaderKey.TASK_OPERATOR).update(lr=1.0),
    "entry": lambda task: task.update(lr=1.0),
    "array beside the model": lambda task: task.update(lr=np.ones(3)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_server_that_steers_one_site_gets_a_refusal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lie: Callable[[Shareable], None]
) -> None:
    """With a learning rate of its own, that site's update could be read in the mean."""
    caplog.set_level(logging.INFO)
    federation = attacked(tmp_path, lie, [1, 3, 4, 5])
    assert federation.sites["site-2"].trainer.tasks == []
    assert "site-2 is out of the round: the session is refused by this site's policy" in caplog.text
    assert "another task" in caplog.text


def test_what_flare_itself_sets_for_each_site_is_no_steering(tmp_path: Path) -> None:
    def deliver(task: Shareable) -> None:
        task.set_header(ReservedHeaderKey.AUDIT_EVENT_ID, "an id")
        task.set_header("__wait_time__", 0.5)
        task.set_header(ReservedHeaderKey.TASK_NAME, "train")
        task.set_header("task_name", "train")
        task.add_cookie(ReservedHeaderKey.WORKFLOW, "controller")

    federation = attacked(tmp_path, deliver, [1, 2, 3, 4, 5])
    for played in federation.sites.values():
        assert [task["DXO"]["meta"] for task in played.trainer.tasks] == [{"lr": 0.1}]


class Whispering(Federation):
    """A server that says something of itself to every site, beside a task and in its headers, as FLARE's does."""

    def _fetch(self, played: Site) -> tuple[str, str, bytes] | None:
        task = super()._fetch(played)
        if task is None:
            return None
        data = fobs.loads(task[2])
        data.set_peer_context(self._public())
        return task[0], task[1], fobs.dumps(data)

    def _public(self) -> FLContext:
        said = super()._public()
        said.set_prop("lr", 1.0, private=False)
        said.set_prop("__lr__", 1.0, private=False)
        return said


def test_server_cannot_steer_by_what_it_says_of_itself(tmp_path: Path) -> None:
    """FLARE hands a server's public properties to executors, in two places."""
    federation = Whispering([site(tmp_path, u) for u in SITES], tmp_path)
    federation.run(fedavg(FLModel(params=model()), Terms(**TERMS)))
    assert federation.engine.panics == []
    for played in federation.sites.values():
        (task,), (server,) = played.trainer.tasks, played.trainer.servers
        assert task.get_peer_props() == server.get_all_public_props()
        assert server.get_all_public_props() == {ReservedKey.RUN_NUM: "job", ReservedKey.IDENTITY_NAME: "server"}
        assert task.get_peer_context() is None


def test_task_of_another_job_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FLARE's runner compares jobs, too; here it believes in the server's."""
    caplog.set_level(logging.INFO)
    sites = [site(tmp_path, u) for u in SITES]
    sites[1].engine.manager.job_id = "another"
    found, federation = run(tmp_path, sites)
    check(found, [1, 3, 4, 5], federation)
    assert sites[1].trainer.tasks == []
    assert "the task is of another job" in caplog.text


class TwoJobs(Federation):
    """A server that gives a site which runs another job the requests of this one."""

    def _public(self) -> FLContext:
        said = super()._public()
        said.put(ReservedKey.RUN_NUM, "another", private=False, sticky=True)
        return said


def test_server_cannot_use_one_session_for_two_jobs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sites = [site(tmp_path, u) for u in SITES]
    for played in sites:
        played.engine.manager.job_id = played.runner.job_id = "another"
    federation = TwoJobs(sites, tmp_path)
    federation.run(fedavg(FLModel(params=model()), Terms(**TERMS)))
    assert len(federation.engine.panics) == 1
    assert all(played.trainer.tasks == [] for played in sites)
    assert "another task" in caplog.text


class Tuning(FLComponent):  # type: ignore[misc]
    """A component of the server that gives every site a learning rate of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.rates = iter(range(9))

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == AppEventType.BEFORE_TRAIN_TASK:
            fl_ctx.get_prop(AppConstants.TRAIN_SHAREABLE).set_header("lr", next(self.rates))


def test_component_that_tunes_each_site_is_told_why_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    federation = Federation([site(tmp_path, u) for u in SITES], tmp_path)
    federation.engine.handlers.append(Tuning())
    federation.run(fedavg(FLModel(params=model()), Terms(**TERMS), train_timeout=3.0))
    assert len(federation.engine.panics) == 1
    assert all(played.trainer.tasks == [] for played in federation.sites.values())
    assert "all sites of a round get the same headers and meta data" in caplog.text


def test_what_cannot_be_compared_is_not_sent(tmp_path: Path) -> None:
    federation = Federation([site(tmp_path, u) for u in SITES], tmp_path)
    federation.run(fedavg(FLModel(params=model(), meta={"rates": {0.1, 0.2}}), Terms(**TERMS)))
    assert "holds a set, which cannot be compared between nodes" in federation.engine.panics[0]
    assert all(played.replies == [] for played in federation.sites.values())


def test_steering_is_of_the_task_and_the_job() -> None:
    data = Shareable()
    assert steering("train", "job", data) == steering("train", "job", Shareable())
    assert len({steering(name, job, data) for name in ("train", "tune") for job in ("job", "another")}) == 4


@pytest.mark.parametrize(("application", "survivors"), [("xray-7", [1, 2, 3, 4, 5]), ("", [1, 3, 4, 5])])
def test_application_that_a_policy_asks_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, application: str, survivors: list[int]
) -> None:
    caplog.set_level(logging.INFO)
    sites = [site(tmp_path, u) for u in (1, 3, 4, 5)]
    sites.append(site(tmp_path, 2, protection=f'{PROTECTION}\napplication = "xray-7"'))
    found, federation = run(tmp_path, sites, {**TERMS, "application": application})
    check(found, survivors, federation)
    assert ("the session is for another application" in caplog.text) == (application == "")
