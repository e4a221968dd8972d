"""What a session must take on this machine with the CPU time that its parties were measured to take, and these links.

A session that takes longer than its bound leaves cores or links idle, and that is all that the ratio shows. It does not
show CPU time that is wasted: whoever computes more than it needs raises the bound as well. So the CPU seconds of a
participant are told beside it.

A round ends when the last answer is in, and the next begins after that, so the bound of a session is the sum over its
rounds. Let D_u and U_u be the seconds in which the link of u carries a round's request to it and its answer back, P the
CPU seconds of all n participants, C those of the coordinator, and k the number of cores. The round's bound is the
largest of

    the path of the slowest        max over u of (D_u + U_u), + P / n
    the participants' work         min over u of D_u, + P / k, + min over u of U_u
    everybody's work               (P + C) / k

The second is there because no participant computes before a request has arrived, and the last answer has still to
travel. Jitter, HTTP, acknowledgements and the proxy's own CPU time are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secagg import Params, Round, rounds_of
from secagg.service.sizes import answer_bytes, request_bytes

from .links import Link


@dataclass(frozen=True, eq=False)
class Costs:
    """What a round costs.

    Attributes:
        down: D_u, float64 [n].
        up: U_u, float64 [n].
        participants: P.
        coordinator: C.
    """

    down: NDArray[np.float64]
    up: NDArray[np.float64]
    participants: float
    coordinator: float

    def bound(self, cores: float) -> float:
        """Seconds that the round takes at least, with these CPU seconds and so many cores for everybody."""
        return max(
            self.path,
            float(self.down.min() + self.up.min()) + self.participants / cores,
            (self.participants + self.coordinator) / cores,
        )

    @property
    def path(self) -> float:
        """Seconds until the answer of the slowest link is in, if nobody computes but its participant."""
        return float((self.down + self.up).max()) + self.participants / len(self.down)

    @property
    def apart(self) -> float:
        """Seconds of the round if each participant had a core of its own, and the coordinator did all its work, on one
        core, while the participants do none."""
        return self.path + self.coordinator


def costs(
    params: Params, links: Sequence[Link], participants: dict[Round, float], coordinator: dict[Round, float]
) -> dict[Round, Costs]:
    """Of each round, where nobody drops out.

    Args:
        params: of the session.
        links: of its participants.
        participants: CPU seconds of all of them, by round.
        coordinator: CPU seconds, by round.
    """
    return {
        current: Costs(
            np.array([_down(link, request_bytes(params, current)) for link in links]),
            np.array([link.up_seconds(answer_bytes(params, current)) for link in links]),
            participants[current],
            coordinator[current],
        )
        for current in rounds_of(params)
    }


def _down(link: Link, size: int) -> float:
    """No request opens AdvertiseKeys: a participant joins, and is told the parameters."""
    return link.down_seconds(size) if size else link.up_seconds(0) + link.down_seconds(0)


def total_bound(rounds: dict[Round, Costs], cores: float) -> float:
    """Seconds of a session, at least, with these CPU seconds."""
    return sum(each.bound(cores) for each in rounds.values())


def total_apart(rounds: dict[Round, Costs]) -> float:
    """Seconds of a session on a core for each party; see `Costs.apart`."""
    return sum(each.apart for each in rounds.values())
