"""A secure job, made of one of FLARE's recipes."""

from typing import Any, TypeVar

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.fuel.utils.class_utils import get_component_init_parameters
from nvflare.job_config.defs import FilterType
from nvflare.recipe.spec import Recipe

from ...arguments import real
from ...errors import require
from .controller import SecAggController, SecAggFedAvg
from .executor import RoundExecutor
from .filters import ReplyFilter, RequestFilter
from .terms import Terms
from .wire import ROUND_TASK

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)

TASK_INTERVAL = 0.5  # seconds; FLARE's default is 2
_PACKAGE = "secagg"


def secure(
    recipe: AnyRecipe,
    terms: Terms,
    *,
    task_interval: float = TASK_INTERVAL,
    **options: Any,
) -> AnyRecipe:
    """Make a recipe's training rounds secure: its FedAvg becomes `SecAggFedAvg`, and its sites' results are masked.

    Call it once, after `set_per_site_config` and before the recipe is run or exported. A recipe whose controller is
    another needs a class of its own (see `SecAggController`), given to the job in the controller's place.

    Args:
        recipe: for any framework whose sites and server exchange numpy arrays, which is FLARE's default.
        terms: how updates are averaged, and what a round needs.
        task_interval: seconds between two times that a site asks the server for a task. A round has four or five.
        options: of `SecAggController`: goal, train_timeout, exchange_timeout, max_failed_rounds.

    Returns:
        The same recipe.

    Raises:
        LocalProtocolError: the recipe's controller is not FedAvg.
    """
    interval = real(task_interval, "task_interval")
    require(interval > 0, f"task_interval must be positive, got {interval}")
    job = recipe._job
    job.set_app_packages([*job.job.app_packages, _PACKAGE])  # installed at the sites, and no part of the job's code
    tasks = _replace_controllers(job, terms, options)
    recipe.add_server_config({"server": {"task_request_interval": interval}})
    recipe._add_to_client_apps(RoundExecutor(), tasks=[ROUND_TASK])
    for task_filter, kind in ((RequestFilter(), FilterType.TASK_DATA), (ReplyFilter(), FilterType.TASK_RESULT)):
        recipe._add_to_client_apps(task_filter, filter_type=kind, tasks=[*tasks, ROUND_TASK])
    return recipe


class SecAggFedAvgRecipe(NumpyFedAvgRecipe):  # type: ignore[misc]
    """FLARE's `NumpyFedAvgRecipe` with secure rounds; for other frameworks see `secure`.

    Args:
        terms: how updates are averaged, and what a round needs.
        secagg: arguments of `secure`.
        fedavg: arguments of `NumpyFedAvgRecipe`.

    Raises:
        LocalProtocolError: an argument is refused.
    """

    def __init__(self, *, terms: Terms, secagg: dict[str, Any] | None = None, **fedavg: Any) -> None:
        super().__init__(**fedavg)
        secure(self, terms, **(secagg or {}))


def _replace_controllers(job: Any, terms: Terms, options: dict[str, Any]) -> list[str]:
    """Put secure controllers in the place of the job's FedAvg; the names of their training tasks."""
    tasks: list[str] = []
    workflows = job._deploy_map["server"].app_config.workflows
    for workflow in workflows:
        if type(workflow.controller) is FedAvg:
            workflow.controller = SecAggFedAvg(**_arguments(workflow.controller), terms=terms, **options)
        if isinstance(workflow.controller, SecAggController):
            tasks += workflow.controller.training_tasks
    names = ", ".join(type(workflow.controller).__name__ for workflow in workflows) or "none"
    require(bool(tasks), f"the recipe's controller is {names}: give the job a class X(SecAggController, {names})")
    require(len(set(tasks)) == len(tasks), "two controllers train by tasks of one name")
    return tasks


def _arguments(controller: Any) -> dict[str, Any]:
    """What a controller was made with, as FLARE itself reads it to write a job's configuration."""
    values = vars(controller)
    found = {}
    for name in get_component_init_parameters(controller):
        for attribute in (name, f"_{name}"):
            if name not in ("self", "args", "kwargs") and attribute in values:
                found[name] = values[attribute]
                break
    return found
