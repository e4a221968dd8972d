"""What a run took, from samples of its processes, the coordinator's log, and what participants tell."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import Params, Round, rounds_of

from . import bound
from .crowd import Told
from .links import Link
from .parts import Part
from .toxiproxy import Passed
from .usage import OTHERS, Samples

COORDINATOR, PARTICIPANTS, PROXY = "coordinator", "participants", "proxy"
LEAST_CORES = 0.1  # that others leave: clocks have ticks


@dataclass(frozen=True)
class Run:
    """What a run took; all that is by round is by its name.

    Attributes:
        part: its name.
        server: seconds of each round at the coordinator; of sessions at once, the mean.
        client: mean seconds of each round at a participant, which include the waiting for others.
        whole: seconds from the first request to the last session's sum.
        survivors: inputs in the sums.
        lost: participants that a round has ended without, and who were not to vanish.
        coordinator: CPU seconds by round.
        participants: CPU seconds by round, of all together.
        proxy: CPU seconds.
        others: CPU seconds of all else on this machine, meanwhile.
        peak: bytes of memory of the coordinator.
        up, down: bytes of a participant on its link.
        bound: seconds that the session must take on this machine with this CPU time; 0 where not all answer, or with
            several at once.
        left: the same on the cores that others have left, on an average.
        apart: seconds with a core for each party; 0 likewise.
        answers: messages of ShareKeys that were taken.
        deadline: seconds of MaskedInputCollection; 0 where it has none.
        took: seconds, with all that begins before and ends after the session.
        load: the machine's, when the run began.
    """

    part: str
    server: dict[str, float]
    client: dict[str, float]
    whole: float
    survivors: int
    lost: int
    coordinator: dict[str, float]
    participants: dict[str, float]
    proxy: float
    others: float
    peak: int
    up: float
    down: float
    bound: float
    left: float
    apart: float
    answers: int
    deadline: float
    took: float
    load: float

    @property
    def computing(self) -> float:
        """CPU seconds of all participants, in all rounds."""
        return sum(self.participants.values())

    @property
    def rate(self) -> float:
        """ShareKeys' messages for each CPU second of the coordinator."""
        return self.answers / self.coordinator[str(Round.SHARE_KEYS)]


def measured(
    part: Part,
    params: Params,
    links: Sequence[Link],
    marks: Sequence[Sequence[float]],
    samples: Samples,
    told: Sequence[Told],
    passed: Passed,
    **known: Any,
) -> Run:
    """What a run took.

    Args:
        part: whose run it was.
        params: of its sessions; their nonces are of no matter.
        links: of all participants.
        marks: of each session, POSIX seconds of its beginning and of the end of each round.
        samples: of its processes.
        told: by all participants.
        passed: the links.
        known: the other fields.
    """
    rounds, times = tuple(rounds_of(params)), np.mean(marks, axis=0)
    begin, end = float(times[0]), max(each[-1] for each in marks)
    spent = {name: _by_round(samples, name, rounds, times) for name in (COORDINATOR, PARTICIPANTS)}
    others = samples.spent(OTHERS, begin, end)
    costs = bound.costs(params, links[: part.n], spent[PARTICIPANTS], spent[COORDINATOR])
    cores, comparable = os.cpu_count() or 1, not part.dropouts and part.sessions == 1
    return Run(
        part=part.name,
        server=_named(dict(zip(rounds, np.diff(times).tolist(), strict=True))),
        client=_named(_client_seconds(told, rounds, begin)),
        whole=end - begin,
        lost=sum(bool(each.lost) for each in told),
        coordinator=_named(spent[COORDINATOR]),
        participants=_named(spent[PARTICIPANTS]),
        proxy=samples.spent(PROXY, begin, end),
        others=others,
        peak=samples.peaks[COORDINATOR],
        up=passed.up / part.everybody,
        down=passed.down / part.everybody,
        bound=bound.total_bound(costs, cores) if comparable else 0.0,
        left=bound.total_bound(costs, max(LEAST_CORES, cores - others / (end - begin))) if comparable else 0.0,
        apart=bound.total_apart(costs) if comparable else 0.0,
        answers=sum(Round.SHARE_KEYS in each.answered for each in told),
        **known,
    )


def _by_round(samples: Samples, name: str, rounds: Sequence[Round], times: NDArray[Any]) -> dict[Round, float]:
    """CPU seconds of a group of processes."""
    return {current: samples.spent(name, times[i], times[i + 1]) for i, current in enumerate(rounds)}


def _client_seconds(told: Sequence[Told], rounds: Sequence[Round], begin: float) -> dict[Round, float]:
    """Mean seconds of each round, of those who have answered all."""
    whole = [each.answered for each in told if len(each.answered) == len(rounds)]
    times = np.array([[begin, *(answered[current] for current in rounds)] for answered in whole])
    return dict(zip(rounds, np.diff(times, axis=1).mean(axis=0).tolist(), strict=True))


def _named(seconds: dict[Round, float]) -> dict[str, float]:
    return {str(current): value for current, value in seconds.items()}
