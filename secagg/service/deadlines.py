"""How long a coordinator waits in each round, and how long it keeps a result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..arguments import convert, real, whole
from ..errors import require
from ..protocol.messages import Round
from ..protocol.params import Params

_JOINING, _OTHERS = 3600.0, 300.0  # seconds
SECONDS_MAX = 366 * 86400.0


@dataclass(frozen=True)
class Deadlines:
    """When a round ends.

    A round ends when all who may answer have answered; or when `goal` of them have and a grace has passed; or at its
    deadline, if at least the server's minimum have answered. Otherwise the session aborts.

    Attributes:
        goal: how many answers are enough; None for all. Where fewer may still answer, all of these are enough.
        seconds: by round, its deadline, counted from its beginning. By default an hour for AdvertiseKeys, in which
            participants join, and five minutes for each other round.
        grace: how many seconds more are waited once the goal is met, for those who are nearly there.
        keep: how many seconds the result of a session is kept.

    Raises:
        LocalProtocolError: a number is negative, or longer than a year; a deadline of no seconds; or a goal below 1.
    """

    goal: int | None = None
    seconds: Mapping[Round, float] = field(default_factory=dict)
    grace: float = 10.0
    keep: float = 86400.0

    def __post_init__(self) -> None:
        convert(self, whole, "goal")
        convert(self, real, "grace", "keep")
        defaults = {each: _JOINING if each is Round.ADVERTISE_KEYS else _OTHERS for each in Round}
        given = {Round(each): real(value, f"seconds[{Round(each)}]") for each, value in self.seconds.items()}
        object.__setattr__(self, "seconds", MappingProxyType(defaults | given))
        require(self.goal is None or self.goal >= 1, f"goal must be at least 1, got {self.goal}")
        for name, value in (("grace", self.grace), ("keep", self.keep)):
            require(0 <= value <= SECONDS_MAX, f"{name} must be 0 .. {SECONDS_MAX:.0f} seconds, got {value}")
        for each, value in self.seconds.items():
            require(0 < value <= SECONDS_MAX, f"the deadline of {each} must be above 0 and a year at most, got {value}")

    def __reduce__(self) -> tuple[type["Deadlines"], tuple[int | None, dict[Round, float], float, float]]:
        return Deadlines, (self.goal, dict(self.seconds), self.grace, self.keep)  # a proxy cannot be pickled

    def check(self, params: Params) -> None:
        """Check that these deadlines can be met in a session.

        Args:
            params: the session's parameters.

        Raises:
            LocalProtocolError: the goal is below `min_users` or `min_joined`, or above n.
        """
        least, name = max((params.min_users, "min_users"), (params.min_joined, "min_joined"))
        require(
            self.goal is None or least <= self.goal <= params.n,
            f"goal must be {name} = {least} .. n = {params.n}, got {self.goal}",
        )

    def enough(self, may_answer: int) -> int:
        """How many answers meet the goal where so many users may still answer."""
        may_answer = whole(may_answer, "may_answer")
        return may_answer if self.goal is None else min(self.goal, may_answer)
