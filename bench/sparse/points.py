"""The sessions of the plot, and what was measured of each."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from secagg import Model, Params

M, BITS = 1_000, 24
SHARE = 20
"""One user in so many is corrupt, and as many leave before MaskedInputCollection."""

MODELS = {"semi-honest": Model.SEMI_HONEST, "active": Model.ACTIVE}
COUNTS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
FILE = Path(__file__).parents[1] / "results" / "figures" / "sparse.json"


@dataclass(frozen=True)
class Session:
    """One session.

    Attributes:
        graph: "sparse", with the degree and t of `Params.sparse`, or "complete".
        model: "semi-honest" or "active".
        n: how many users take part.
        m: the length of a vector.
    """

    graph: str
    model: str
    n: int
    m: int = M

    @property
    def dropped(self) -> range:
        """Who leaves, evenly among all ids."""
        return range(1, self.n, SHARE)

    @property
    def params(self) -> Params:
        """The session's parameters."""
        model, few = MODELS[self.model], self.n // SHARE
        if self.graph == "complete":
            return Params(n=self.n, m=self.m, modulus=1 << BITS, model=model, n_corrupt=few)
        found = Params.sparse(self.n, corrupt=few, dropouts=len(self.dropped), model=model)
        return Params(**found.settings, m=self.m, modulus=1 << BITS)


@dataclass(frozen=True)
class Measured:
    """What was measured of a party in one session.

    Attributes:
        role: "client" or "server".
        session: the session.
        degree: how many neighbours a user has.
        t: how many shares reveal a secret.
        seconds: by round, of CPU time.
        sent: bytes that the client sends; 0 of a server.
        received: bytes that it receives; 0 of a server.
        megabytes: at the peak of the server's process; 0 of a client.
    """

    role: str
    session: Session
    degree: int
    t: int
    seconds: dict[str, float] = field(default_factory=dict)
    sent: int = 0
    received: int = 0
    megabytes: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of all rounds."""
        return sum(self.seconds.values())


def planned() -> list[tuple[str, Session]]:
    """The points of the plot, by role. A server's memory ends the complete graph at a thousand users, and in the active
    model the sparse one at ten thousand."""
    most = {
        ("client", "sparse", "semi-honest"): 100_000,
        ("client", "sparse", "active"): 100_000,
        ("client", "complete", "semi-honest"): 10_000,
        ("server", "sparse", "semi-honest"): 100_000,
        ("server", "sparse", "active"): 10_000,
        ("server", "complete", "semi-honest"): 1_000,
    }
    return [
        (role, Session(graph, model, n)) for (role, graph, model), last in most.items() for n in COUNTS if n <= last
    ]


def read(file: Path = FILE) -> tuple[dict[str, Any], list[Measured]]:
    """The machine, and what was measured on it."""
    document = json.loads(file.read_text())
    return document["machine"], [measured(each) for each in document["points"]]


def measured(form: dict[str, Any]) -> Measured:
    """One of them from JSON."""
    return Measured(**{**form, "session": Session(**form["session"])})


def write(machine: dict[str, Any], points: Iterable[Measured], file: Path = FILE) -> None:
    """Both, a line for each point."""
    lines = ",\n".join(json.dumps(asdict(point)) for point in points)
    file.write_text(f'{{"machine": {json.dumps(machine)}, "points": [\n{lines}\n]}}\n')
