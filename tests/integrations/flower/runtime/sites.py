"""Nodes with policies: what each site writes down once."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from secagg import Identity, Roster

from .deployment import Node, Runtime

APP = Path(__file__).parent / "apps" / "additions"
STEP = 0.125

POLICY = """\
[site]
state = "state"
[protection]
{protection}
n_corrupt = 0
t = 2
n_min = 3
min_users = 2
[coding]
clip = 1.0
max_weight = 100
[metrics]
loss = {{ mean = 10.0 }}
right = {{ count = 100 }}
"""
ACTIVE = 'model = "active"\nroster = "../roster.txt"\nidentity = "identity.pem"'
SEMI_HONEST = 'model = "semi-honest"'


@dataclass
class Sites:
    """Nodes 1 .. n of a deployment, each with a policy, and in the active model with an identity."""

    here: Runtime
    n: int = 3
    active: bool = True
    identities: dict[int, Identity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.active:
            self.identities = {u: Identity.generate() for u in range(1, self.n + 1)}
            Roster({u: each.verification_key for u, each in self.identities.items()}).write(self.roster)

    @property
    def roster(self) -> Path:
        return self.here.folder / "roster.txt"

    def start(self, number: int, **config: object) -> Node:
        """The node's policy, and its SuperNode."""
        folder = self.here.folder / f"node{number}"
        folder.mkdir()
        policy = folder / "policy.toml"
        policy.write_text(POLICY.format(protection=ACTIVE if self.active else SEMI_HONEST))
        if self.active:
            self.identities[number].save(folder / "identity.pem")
        own = {"number": number, "folder": folder, "secagg-policy": policy}
        return self.here.start_node(number, own | config)

    def app(self, **config: object) -> dict[str, Any]:
        """The run's configuration."""
        roster = {"roster": self.roster} if self.active else {}
        return {"result": self.result, "nodes": self.n, **roster, **config}

    @property
    def result(self) -> Path:
        return self.here.folder / "result.json"

    def found(self) -> dict[str, Any]:
        """What the ServerApp has written."""
        found: dict[str, Any] = json.loads(self.result.read_text())
        return found

    def check(self, survivors: Collection[int], rounds: int = 1) -> None:
        """The mean is that of the survivors, to the bound, and counts are exact."""
        found = self.found()
        assert sorted(found["survivors"]) == sorted(self.here.nodes[u].id for u in survivors)
        numbers = np.array(sorted(survivors))
        change = rounds * STEP * np.average(numbers, weights=numbers)
        assert 0 < found["bound"] < 1e-3
        for name, before in (("w", 0.0), ("b", 1.0)):
            np.testing.assert_allclose(found["arrays"][name], before + change, atol=rounds * found["bound"] + 1e-6)
        last = found["metrics"][str(rounds)]
        assert last["right"] == numbers.sum()
        assert abs(last["loss"] - 0.5 * np.average(numbers, weights=numbers)) <= 10 * found["bound"] + 1e-6
