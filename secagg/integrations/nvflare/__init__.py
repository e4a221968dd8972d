"""Secure aggregation in NVIDIA FLARE: a job's weighted means without any site's update.

On the server, `SecAggFedAvg` is FLARE's own FedAvg, whose training tasks run the protocol; `SecAggController` makes the
same of any other controller. At a site, `SecAggSite` and the two filters stand in `local/privacy.json`, where a job
cannot change them. `secure` makes a secure job of a recipe.
"""

from typing import TYPE_CHECKING

from ...lazy import lazy_names

if TYPE_CHECKING:
    from .controller import SecAggController, SecAggFedAvg
    from .executor import RoundExecutor
    from .filters import ReplyFilter, RequestFilter
    from .recipe import SecAggFedAvgRecipe, secure
    from .site import SecAggSite
    from .terms import Terms

_HOME_OF = {
    "ReplyFilter": "filters",
    "RequestFilter": "filters",
    "RoundExecutor": "executor",
    "SecAggController": "controller",
    "SecAggFedAvg": "controller",
    "SecAggFedAvgRecipe": "recipe",
    "SecAggSite": "site",
    "Terms": "terms",
    "secure": "recipe",
}

__all__ = [
    "ReplyFilter",
    "RequestFilter",
    "RoundExecutor",
    "SecAggController",
    "SecAggFedAvg",
    "SecAggFedAvgRecipe",
    "SecAggSite",
    "Terms",
    "secure",
]


# A client's process has no use for the server's half.
__getattr__, __dir__ = lazy_names(__name__, _HOME_OF, framework="nvflare")
