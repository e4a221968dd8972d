"""SecAgg for Flower, by its Message API: `secagg_mod` for ClientApps, and `SecAggGrid` for ServerApps.

    app = ClientApp()

    @app.train(mods=[secagg_mod()])
    def train(message, context): ...

    strategy.start(grid=SecAggGrid(grid, Coding(clip=1.0, max_weight=1000), context.run_config), ...)

A node's policy is a file that the node's own configuration names: `flower-supernode --node-config
'secagg-policy="/etc/secagg/policy.toml"'`. It protects the node from a server that asks for too little. It does not
protect it from the application, which the run's submitter sends and which brings the mod: a site that does not trust
the submitter lets only signed applications run (`flower-supernode --trusted-entities`).

Names are imported when they are first used (PEP 562).
"""

from typing import TYPE_CHECKING

from ...lazy import lazy_names

if TYPE_CHECKING:
    from .grid import SecAggGrid
    from .mod import secagg_mod

__all__ = ["SecAggGrid", "secagg_mod"]

_HOME_OF = {"SecAggGrid": "grid", "secagg_mod": "mod"}


__getattr__, __dir__ = lazy_names(__name__, _HOME_OF, framework="flwr")
