"""SecAgg in the frameworks that people train with: a core that knows no framework, and an adapter for each.

A round of training is one session of the protocol. `Site` is a node's side, with a policy of its own (`SitePolicy`);
`ServerRound` is the server's. Adapters move their bytes: `secagg.integrations.flower`, `secagg.integrations.nvflare`.
What steers training beside the model is the same at all nodes; adapters write it down with `encoded_task`.

Names are imported when they are first used (PEP 562).
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .coding import Coding, Metric, Noise, Update
    from .policy import SitePolicy
    from .refusal import NodeRefusal
    from .server_round import RoundOutcome, RoundSettings, ServerRound
    from .site import Admitted, Site
    from .task import encoded_task

_HOME_OF = {
    "Admitted": "site",
    "Coding": "coding",
    "Metric": "coding",
    "NodeRefusal": "refusal",
    "Noise": "coding",
    "RoundOutcome": "server_round",
    "RoundSettings": "server_round",
    "ServerRound": "server_round",
    "Site": "site",
    "SitePolicy": "policy",
    "Update": "coding",
    "encoded_task": "task",
}

__all__ = [
    "Admitted",
    "Coding",
    "Metric",
    "NodeRefusal",
    "Noise",
    "RoundOutcome",
    "RoundSettings",
    "ServerRound",
    "Site",
    "SitePolicy",
    "Update",
    "encoded_task",
]


__getattr__, __dir__ = lazy_names(__name__, _HOME_OF)
