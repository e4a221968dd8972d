"""What is run, how often, and how long that takes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from secagg import Model, Params

LENGTH, BITS = 100_000, 62
ACTIVE_COST = 1.7  # times as much to compute in the active model
OWN_COST = 250  # others that a participant could share keys and masks with in the time that it takes with nobody
LINKS_SECONDS = 4.0  # of a session in which nobody computes
SLOW_SECONDS = 30.0  # more where some have slow links


@dataclass(frozen=True)
class Part:
    """Sessions that differ only by chance.

    Attributes:
        name: for the command line.
        title: for people.
        n: participants of a session.
        runs: how often.
        dropouts: percentage of them that vanish after ShareKeys.
        slow: percentage of them whose link has 256 kbit/s.
        tls: whether the coordinator speaks TLS.
        journal: whether the coordinator's state is on disk; else it is in memory (tmpfs).
        model: semi-honest, as the paper's, or active.
        sessions: at once, on one coordinator.
        m: entries of a vector.
    """

    name: str
    title: str
    n: int
    runs: int
    dropouts: int = 0
    slow: int = 0
    tls: bool = False
    journal: bool = True
    model: Model = Model.SEMI_HONEST
    sessions: int = 1
    m: int = LENGTH

    @property
    def everybody(self) -> int:
        """Participants of all sessions."""
        return self.n * self.sessions

    @property
    def vanishing(self) -> list[int]:
        """The users of a session who vanish, spread over 1..n."""
        count = self.n * self.dropouts // 100
        return [1 + i * self.n // count for i in range(count)]

    def params(self) -> Params:
        """Of a new session."""
        return Params(n=self.n, m=self.m, modulus=1 << BITS, model=self.model)


PARTS = (
    Part("500", "as in the paper", 500, 15),
    Part("1000", "as in the paper", 1000, 5),
    Part("10-percent", "10 % drop out", 500, 3, dropouts=10),
    Part("30-percent", "30 % drop out", 500, 3, dropouts=30),
    Part("slow", "5 % on 256 kbit/s", 500, 3, slow=5),
    Part("tls", "TLS", 500, 3, tls=True),
    Part("tmpfs", "without a journal on disk", 500, 3, journal=False),
    Part("active", "the active model", 500, 3, model=Model.ACTIVE),
    Part("twice", "two sessions at once", 500, 3, sessions=2),
)
QUICK = (Part("quick", "few participants", 100, 1),)


@dataclass(frozen=True)
class Pace:
    """How long runs take here: all participants compute on the same cores.

    Attributes:
        starting: seconds of starting and ending processes.
        unit: seconds of computing; see `_work`.
        n: participants of the run that this was learnt from.
    """

    starting: float
    unit: float
    n: int

    @classmethod
    def of(cls, part: Part, took: float, whole: float) -> Self:
        """From one run, of a part that waits for nothing.

        Args:
            part: whose run it was.
            took: seconds in all.
            whole: seconds of its sessions.
        """
        return cls((took - whole) / _starting(part), max(0.0, whole - LINKS_SECONDS) / _work(part), part.everybody)

    def seconds(self, part: Part) -> float:
        """Of one run."""
        waits = self.deadline(part) / 2 if part.dropouts else SLOW_SECONDS if part.slow else 0.0
        return self.starting * _starting(part) + LINKS_SECONDS + self.unit * _work(part) + waits

    def deadline(self, part: Part) -> float:
        """Seconds of MaskedInputCollection where some never answer: about twice as long as the others take, and more
        for slow links."""
        return 10.0 + self.unit * _work(part)


def _starting(part: Part) -> float:
    return 1 + part.everybody / 500


def _work(part: Part) -> float:
    """In units of what two users compute for each other."""
    return part.everybody * (part.n + OWN_COST) * (ACTIVE_COST if part.model is Model.ACTIVE else 1.0)


def fitted(wanted: Mapping[Part, int], done: Mapping[Part, int], pace: Pace, seconds: float) -> dict[Part, int]:
    """How many more runs of each part there is time for: one less of what is closest to whole, until they all fit.

    Each part gets one run, even if that takes longer.

    Args:
        wanted: how many more runs of each part would make it whole.
        done: how many there were.
        pace: how long they take.
        seconds: that are left.
    """
    runs = dict(wanted)
    while sum(count * pace.seconds(part) for part, count in runs.items()) > seconds:
        spare = [part for part, count in runs.items() if count and count + done.get(part, 0) > 1]
        if not spare:
            break
        runs[max(spare, key=lambda part: ((runs[part] + done.get(part, 0)) / part.runs, part.n))] -= 1
    return runs


def estimate(wanted: Mapping[Part, int], pace: Pace) -> Iterator[str]:
    """In lines, what is to be run."""
    for part, count in wanted.items():
        minutes = count * pace.seconds(part) / 60
        yield f"  {part.name}: {count} of {part.runs} runs of n = {part.n:,}, {part.title}: {minutes:.1f} minutes"
    yield f"  in all about {sum(count * pace.seconds(part) for part, count in wanted.items()) / 60:.0f} minutes"


def named(text: str, parts: Sequence[Part] = PARTS) -> tuple[Part, ...]:
    """The parts of these names, with commas between them.

    Raises:
        ValueError: there is no such part.
    """
    known = {part.name: part for part in parts}
    unknown = sorted(set(text.split(",")) - set(known))
    if unknown:
        raise ValueError(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(part for part in parts if part.name in text.split(","))
