"""Participants of a coordinator on loopback, each with credentials and a folder of state."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import Identity, Model, Params, Roster
from secagg.http.base64url import base64url
from secagg.service import AsyncParticipant, Participant

from .coordinators import NAMES, Kept


@dataclass
class Sites:
    """Users 1 .. n, who take part in sessions of one coordinator.

    Attributes:
        kept: the coordinator.
        folder: of keys and states.
        model: how they authenticate themselves.
        n: how many.
        identities, roster: in the active model.
    """

    kept: Kept
    folder: Path
    model: Model
    n: int = 4
    identities: dict[int, Identity] = field(default_factory=dict)
    roster: Roster | None = None

    def __post_init__(self) -> None:
        if self.model is Model.ACTIVE:
            self.identities = {u: Identity.generate() for u in range(1, self.n + 1)}
            self.roster = Roster({u: each.verification_key for u, each in self.identities.items()})

    @property
    def users(self) -> range:
        return range(1, self.n + 1)

    def create(self, *, m: int = 5, params: Params | None = None, **members: Any) -> tuple[str, Params]:
        """A new session for everybody."""
        params = params or Params(n=self.n, m=m, modulus=1 << 20, model=self.model, n_corrupt=1, t=3)
        if self.roster is None:
            members["invited"] = list(NAMES[: self.n])
        else:
            members["roster"] = {str(u): self.roster.key(u).hex() for u in self.users}
        created = self.kept.create(params=base64url(params.encode()), **members)
        return created["session"], params

    def who(self, u: int) -> dict[str, Any]:
        """The credentials of a user."""
        if self.model is Model.ACTIVE:
            return {"identity": self.identities[u], "roster": self.roster}
        return {"token": self.kept.tokens[NAMES[u - 1]]}

    def participant(self, u: int, **others: Any) -> Participant:
        return Participant(self.kept.url, **self.who(u), **{"state": self.folder / f"state{u}", **others})

    def asynchronous(self, u: int, **others: Any) -> AsyncParticipant:
        return AsyncParticipant(self.kept.url, **self.who(u), **{"state": self.folder / f"state{u}", **others})

    def states(self, u: int) -> list[Path]:
        """The saved clients of a user."""
        return list((self.folder / f"state{u}").glob("*.client"))


def vector(u: int, m: int = 5) -> NDArray[np.int64]:
    """What user u contributes."""
    return np.arange(m) + 100 * u


def sum_over(users: Any, m: int = 5) -> list[int]:
    """The sum of what these contribute."""
    total: list[int] = sum((vector(u, m) for u in users), np.zeros(m, np.int64)).tolist()
    return total
