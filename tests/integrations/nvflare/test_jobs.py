"""Controllers of other kinds, what a job is made with, and what a recipe writes."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="needs the extra nvflare")

from nvflare.apis.dxo import DXO, DataKind
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.app_common.workflows.model_controller import ModelController
from nvflare.fuel.utils.class_utils import instantiate_class

from secagg.dp import ApproxDp, ZCdp
from secagg.errors import LocalProtocolError
from secagg.integrations.nvflare import SecAggController, SecAggFedAvg, SecAggFedAvgRecipe, Terms, secure
from secagg.protocol.graph import COMPLETE, Sparse

from .federation import Federation, fedavg
from .test_rounds import TERMS, model, site, weighted_mean

TEXT = "print('training')\n"


class Mean(SecAggController, ModelController):  # type: ignore[misc]
    """A controller of a user's own: it waits for results, and counts them."""

    def run(self) -> None:
        self.results = self.send_model_and_wait("train", FLModel(params=model()), min_responses=4)


def test_controller_of_a_users_own_gets_one_mean(tmp_path: Path) -> None:
    sites = [site(tmp_path, u) for u in range(1, 5)]
    controller = Mean(persistor_id="", task_check_period=0.02, terms=Terms(**TERMS))
    federation = Federation(sites, tmp_path)
    federation.run(controller)
    assert federation.engine.panics == []
    (result,) = controller.results
    np.testing.assert_allclose(result.params["b"], weighted_mean([1, 2, 3, 4])["b"], atol=1e-4)
    assert result.metrics["accuracy"] == pytest.approx(0.3, abs=1e-3)
    assert "NUM_STEPS_CURRENT_ROUND" not in result.meta


class Validation(SecAggController, ModelController):  # type: ignore[misc]
    """Sends a task that the protocol has no part in."""

    def run(self) -> None:
        self.results = self.send_model_and_wait("validate", FLModel(params=model()))


def evaluated(accuracy: float) -> Any:
    return lambda received: DXO(DataKind.METRICS, data={"accuracy": accuracy})


def test_other_tasks_are_broadcast_as_usual(tmp_path: Path) -> None:
    sites = [site(tmp_path, u, train=evaluated(0.1 * u), plain_tasks=["validate"]) for u in (1, 2, 3)]
    controller = Validation(persistor_id="", task_check_period=0.02, terms=Terms(**TERMS))
    Federation(sites, tmp_path).run(controller)
    assert sorted(result.metrics["accuracy"] for result in controller.results) == [0.1 * u for u in (1, 2, 3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aggregation_weights": {"site-1": 2.0}}, "aggregation_weights cannot be used"),
        ({"exchange_timeout": 0.0}, "exchange_timeout must be positive"),
        ({"terms": {"clip": 1.0}}, "terms must be Terms"),
        ({"goal": -1}, "must not be negative"),
    ],
    ids=["weights", "timeout", "terms", "goal"],
)
def test_controller_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        SecAggFedAvg(**{"terms": Terms(clip=1.0), "persistor_id": "", **options})


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"clip": -1.0}, "clip"),
        ({"clip": 1.0, "threat": "none"}, "threat must be one of"),
        ({"clip": 1.0, "noise": {"epsilon": 1.0}}, "noise needs"),
        ({"clip": 1.0, "noise": {"rho": 1.0, "delta": 1e-6}}, "noise needs"),
        ({"clip": 1.0, "metrics": {"loss": {"men": 1.0}}}, "metric 'loss' has men"),
        ({"clip": 1.0, "metrics": {"loss": {}}}, "count or a mean"),
        ({"clip": 1.0, "noise": {"rho": 1, "x": 2}}, "noise has x"),
        ({"clip": 1.0, "noise": {"rho": 1, 2: 2}}, "noise has 2"),
        ({"clip": 1.0, "noise": 0.5}, "noise must be of type dict"),
        ({"clip": 1.0, "metrics": ["loss"]}, "metrics must be of type dict"),
        ({"clip": 1.0, "metrics": {"loss": 1.0}}, "metric 'loss' must be of type dict"),
        ({"clip": 1.0, "metrics": {7: {"mean": 1.0}}}, "name of a metric must be of type str"),
        ({"clip": 1.0, "left_out": 5}, "left_out must be of type list"),
        ({"clip": 1.0, "left_out": "*.steps"}, "left_out must be of type list"),
        ({"clip": 1.0, "left_out": [5]}, "a name in left_out must be of type str"),
        ({"clip": 1.0, "threat": []}, "threat must be one of"),
        ({"clip": 1.0, "roster": 5}, "roster must be of type str"),
        ({"clip": 1.0, "application": b"xray"}, "application must be of type str"),
        ({"clip": 1.0, "application": "\ud800"}, "application must be printable"),
        ({"clip": 1.0, "degree": 3}, "degree must be an even number"),
        ({"clip": 1.0, "degree": "30"}, "degree must be"),
        ({"clip": 1.0, "min_joined": 2.5}, "min_joined must be"),
    ],
)
def test_terms_refuse(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        Terms(**terms)


@pytest.mark.parametrize("number", [np.int64(3), np.uint8(3)])
def test_numbers_are_plain_in_a_jobs_configuration(tmp_path: Path, number: Any) -> None:
    """FLARE writes them as JSON, and would take a numpy number for a component."""
    half: Any = np.float32(0.5)
    terms = Terms(clip=half, max_weight=number, min_users=number)
    app = exported(secure(numpy_recipe(tmp_path), terms, goal=number, exchange_timeout=number), tmp_path)
    (workflow,) = read(app / "config" / "config_fed_server.json")["workflows"]
    assert workflow["args"]["terms"]["args"] == {"clip": 0.5, "max_weight": 3, "min_users": 3}
    assert (workflow["args"]["goal"], workflow["args"]["exchange_timeout"]) == (3, 3.0)


def test_a_degree_asks_for_a_sparse_graph() -> None:
    asked = Terms(clip=1.0, degree=30, min_joined=900).settings()
    assert (asked.graph, asked.min_joined) == (Sparse(30), 900)
    assert Terms(clip=1.0).settings().graph == COMPLETE


def test_budgets_are_what_they_look_like_in_decimals() -> None:
    given = Terms(clip=1.0, noise={"epsilon": 0.1, "delta": 1e-6}).coding().noise
    assert given is not None
    assert given.budget == ApproxDp("0.1", "1e-06")
    given = Terms(clip=1.0, noise={"rho": 0.1, "rotate": True}).coding().noise
    assert given is not None
    assert (given.budget, given.rotate) == (ZCdp("0.1"), True)


def test_model_selector_sees_the_mean_metric(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FLARE's best-model selection works on what would come from a site."""
    caplog.set_level(logging.INFO)
    federation = Federation([site(tmp_path, u) for u in range(1, 5)], tmp_path)
    federation.engine.handlers.append(IntimeModelSelector(key_metric="accuracy"))
    federation.run(fedavg(FLModel(params=model()), Terms(**TERMS), rounds=2))
    assert federation.engine.panics == []
    assert "new best validation metric at round 1: 0.3" in caplog.text


# Recipes.


def numpy_recipe(folder: Path, **options: Any) -> NumpyFedAvgRecipe:
    (folder / "training.py").write_text(TEXT)
    return NumpyFedAvgRecipe(
        name="job", model=[[0.0, 1.0]], min_clients=3, num_rounds=7, train_script=str(folder / "training.py"), **options
    )


def exported(recipe: Any, folder: Path) -> Path:
    """The folder of the application that the recipe writes."""
    recipe._job.export_job(str(folder / "jobs"))
    return folder / "jobs" / "job" / "app"


def read(path: Path) -> dict[str, Any]:
    read_: dict[str, Any] = json.loads(path.read_text())
    return read_


def test_recipe_keeps_what_fedavg_was_made_with(tmp_path: Path) -> None:
    recipe = secure(
        numpy_recipe(tmp_path, stop_cond="accuracy >= 0.9", exclude_vars="x"),
        Terms(clip=2.0, max_weight=10, metrics={"accuracy": {"mean": 1.0}}),
        goal=3,
        max_failed_rounds=2,
    )
    app = exported(recipe, tmp_path)
    (workflow,) = read(app / "config" / "config_fed_server.json")["workflows"]
    assert workflow["path"] == "secagg.integrations.nvflare.controller.SecAggFedAvg"
    assert workflow["args"]["terms"]["args"] == {
        "clip": 2.0,
        "max_weight": 10,
        "metrics": {"accuracy": {"mean": 1.0}},
    }
    given = {**workflow["args"], "terms": Terms(**workflow["args"]["terms"]["args"])}
    controller = instantiate_class(workflow["path"], given)
    assert (controller.num_rounds, controller.num_clients, controller.stop_cond) == (7, 3, "accuracy >= 0.9")
    assert (controller.exclude_vars, controller.goal, controller.max_failed_rounds) == ("x", 3, 2)


def test_job_brings_filters_and_no_code_of_this_package(tmp_path: Path) -> None:
    app = exported(secure(numpy_recipe(tmp_path), Terms(clip=1.0), task_interval=0.25), tmp_path)
    client = read(app / "config" / "config_fed_client.json")
    tasks = {"train", "secagg"}
    for chain, name in (("task_data_filters", "RequestFilter"), ("task_result_filters", "ReplyFilter")):
        (entry,) = client[chain]
        assert set(entry["tasks"]) == tasks
        assert entry["filters"][0]["path"] == f"secagg.integrations.nvflare.filters.{name}"
        assert entry["filters"][0]["args"] == {}
    assert ["secagg"] in [executor["tasks"] for executor in client["executors"]]
    assert read(app / "config" / "config_fed_server.json")["server"] == {"task_request_interval": 0.25}
    assert [path.name for path in (app / "custom").iterdir()] == ["training.py"]


def test_recipe_of_one_class(tmp_path: Path) -> None:
    (tmp_path / "training.py").write_text(TEXT)
    recipe = SecAggFedAvgRecipe(
        terms=Terms(clip=1.0),
        secagg={"goal": 2},
        name="job",
        model=[0.0],
        min_clients=2,
        train_script=str(tmp_path / "training.py"),
    )
    (workflow,) = read(exported(recipe, tmp_path) / "config" / "config_fed_server.json")["workflows"]
    assert workflow["args"]["goal"] == 2


class Other(ModelController):  # type: ignore[misc]
    def run(self) -> None:
        pass


def test_recipe_with_another_controller_is_refused(tmp_path: Path) -> None:
    recipe = numpy_recipe(tmp_path)
    recipe._job._deploy_map["server"].app_config.workflows[0].controller = Other(persistor_id="")
    with pytest.raises(LocalProtocolError, match=re.escape("class X(SecAggController, Other)")):
        secure(recipe, Terms(clip=1.0))


def test_recipe_with_a_secure_controller_of_a_users_own(tmp_path: Path) -> None:
    recipe = numpy_recipe(tmp_path)
    (workflow,) = recipe._job._deploy_map["server"].app_config.workflows
    workflow.controller = own = Mean(persistor_id="", terms=Terms(clip=3.0))
    secure(recipe, Terms(clip=1.0))
    assert workflow.controller is own
    assert own.terms.clip == 3.0
