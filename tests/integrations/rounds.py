"""Rounds of a framework that is none: sites with policies in files, and messages that each meet a new `Site`."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.integrations import Coding, NodeRefusal, RoundOutcome, RoundSettings, ServerRound, Site, SitePolicy, Update
from secagg.integrations.wire import is_first
from secagg.protocol.identity import Identity, Roster
from secagg.protocol.messages import Round

NOW = 1_800_000_000.0
Model = dict[str, NDArray[Any]]


@dataclass
class Node:
    """A site that a test plays.

    Attributes:
        policy: its policy's file.
        train: trains a model.
        trained: how often it has.
        refusals: what put it out.
        notes: lines of its own log.
    """

    name: str
    policy: Path
    train: Callable[[Model], Update]
    trained: int = 0
    refusals: list[NodeRefusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def site(self) -> Site:
        """The site as a fresh process has it."""
        return Site(SitePolicy.read(self.policy), self.name, clock=lambda: NOW)

    def handle(self, request: bytes, model: Model) -> bytes | None:
        """The reply to a message, or None where this node refuses."""
        site = self.site()
        try:
            return (
                site.begin(request, model, lambda: self._trained(model), task=b"")
                if is_first(request)
                else site.answer(request)
            )
        except NodeRefusal as refusal:
            self.refusals.append(refusal)
            return None
        finally:
            self.notes += site.take_notes()

    def _trained(self, model: Model) -> Update:
        self.trained += 1
        return self.train(model)


def moved_by(change: Mapping[str, Any], weight: int | None = None, **metrics: Any) -> Callable[[Model], Update]:
    """Training that adds to each array."""
    return lambda model: Update(
        {name: (values + change.get(name, 0)).astype(values.dtype) for name, values in model.items()}, weight, metrics
    )


CODING = "clip = 1.0\nbits = 16\nmax_weight = 100"


def write_policy(folder: Path, *, coding: str = CODING, protection: str = "", **tables: str) -> Path:
    """A site's policy; semi-honest, unless `protection` says otherwise.

    Args:
        folder: of the policy.
        coding: the keys of [coding].
        protection: the keys of [protection].
        tables: the keys of other tables, by name.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = {"protection": protection or 'model = "semi-honest"', "coding": coding, **tables}
    path = folder / "policy.toml"
    path.write_text("".join(f"[{name}]\n{keys}\n" for name, keys in written.items() if keys))
    return path


def write_roster(folder: Path, users: Collection[int]) -> Roster:
    """Identities u.pem for these users, and the file of their roster."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    identities = {u: Identity.generate() for u in users}
    for u, identity in identities.items():
        identity.save(folder / f"{u}.pem")
    roster = Roster({u: identity.verification_key for u, identity in identities.items()})
    roster.write(folder / "roster.txt")
    return roster


def active(folder: Path, u: int, more: str = "") -> str:
    """The table of protection of user u in the active model."""
    return f'model = "active"\nroster = "{folder}/roster.txt"\nidentity = "{folder}/{u}.pem"\n{more}'


def play(
    settings: RoundSettings,
    nodes: Mapping[Any, Node],
    model: Model,
    *,
    drops: Mapping[Round, Collection[Any]] | None = None,
    twice: bool = False,
) -> tuple[RoundOutcome[Any], list[str]]:
    """One round, and the lines of the server's log.

    Args:
        settings: the server's.
        nodes: by name.
        model: that is sent.
        drops: by round, the nodes that never answer from there on.
        twice: whether every message is delivered twice.
    """
    round_ = ServerRound(settings, list(nodes), model, task=b"", clock=lambda: NOW)
    gone: set[Any] = set()
    over = False
    while not over:
        gone |= set((drops or {}).get(round_.current, ()))  # type: ignore[arg-type]
        for name, request in round_.requests.items():
            if name in gone:
                continue
            reply = nodes[name].handle(request, model)
            if twice and reply is not None:
                assert nodes[name].handle(request, model) == reply
            if reply is None:
                round_.refuse(name, nodes[name].refusals[-1].reason)
            else:
                round_.receive(name, reply)
        over = round_.end_exchange()
    return round_.outcome, round_.take_notes()


def settings(coding: Coding | None = None, **others: Any) -> RoundSettings:
    """What goes with `CODING`."""
    return RoundSettings(coding=coding or Coding(clip=1.0, bits=16, max_weight=100), **others)


def model() -> Model:
    """A model of several shapes and dtypes."""
    rng = np.random.default_rng(7)
    return {
        "w": rng.normal(size=(3, 4)).astype(np.float32),
        "b": rng.normal(size=4).astype(np.float64),
        "half": rng.normal(size=5).astype(np.float16),
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(0.5, np.float32),
        "count": np.array([1_000, 2_000], np.int64),
    }


def changes(nodes: int, seed: int = 0) -> list[dict[str, Any]]:
    """What each node adds to that model."""
    rng = np.random.default_rng(seed)
    return [
        {
            "w": rng.uniform(-0.5, 0.5, (3, 4)),
            "b": rng.uniform(-0.9, 0.9, 4),
            "half": rng.uniform(-0.3, 0.3, 5),
            "count": 1,
        }
        for _ in range(nodes)
    ]
