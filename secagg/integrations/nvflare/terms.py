"""What a job asks of its rounds, in arguments that FLARE can write into a job's configuration."""

from pathlib import Path
from typing import Any

from ...arguments import convert, flag, real, whole
from ...dp import ApproxDp, ZCdp
from ...errors import ArgumentTypeError, LocalProtocolError, require
from ...protocol.graph import COMPLETE, Graph, Sparse
from ...protocol.identity import Roster
from ...protocol.thresholds import Threat
from .. import Coding, Metric, Noise, RoundSettings

_NOISE_KEYS = ("rho", "epsilon", "delta", "rotate", "steps", "rounds", "per_client")
_THREATS = {threat.name.lower().replace("_", "-"): threat for threat in Threat}


class Terms:
    """How updates are averaged, and what a round needs: the server's half of what each site's policy says.

    A site takes part only where its policy agrees, field by field. All arguments are numbers, text, lists and dicts.

    Args:
        clip: the largest change of a parameter in one round; larger ones are clipped. With noise: the L2 norm of all.
        bits: of one entry before it is weighted.
        max_weight: the largest weight of a site; None for a plain mean.
        metrics: by name, {"mean": bound} or {"count": max_value}, and "length" for lists.
        left_out: names or patterns of arrays that are not averaged.
        stochastic: whether rounding is at random and right on average.
        noise: {"rho": ...} or {"epsilon": ..., "delta": ...}, and optionally "rotate", "steps", "rounds" and
            "per_client", see `Noise`; None for none.
        roster: path of the sites' verification keys on the server, for the active model; None for semi-honest.
        threat: "colluding", "clients-only" or "server-only".
        min_users: how many sites a mean must hold at least.
        t: how many shares reveal a secret.
        n_corrupt: how many corrupt sites are tolerated.
        degree: with how many others each site shares secrets, for a thousand sites and more; None for all of them.
        min_joined: how many sites must join at least.
        application: what the rounds are for, as a site's policy may ask for it. Every round is bound to its job, too.

    Raises:
        LocalProtocolError: an argument is out of range.
    """

    def __init__(
        self,
        clip: float,
        bits: int = 16,
        max_weight: int | None = None,
        metrics: dict[str, dict[str, Any]] | None = None,
        left_out: list[str] | None = None,
        stochastic: bool = True,
        noise: dict[str, Any] | None = None,
        roster: str | None = None,
        threat: str = "colluding",
        min_users: int | None = None,
        t: int | None = None,
        n_corrupt: int | None = None,
        degree: int | None = None,
        min_joined: int | None = None,
        application: str = "",
    ) -> None:
        self.clip = clip
        self.bits = bits
        self.max_weight = max_weight
        self.metrics = metrics
        self.left_out = left_out
        self.stochastic = stochastic
        self.noise = noise
        self.roster = roster
        self.threat = threat
        self.min_users = min_users
        self.t = t
        self.n_corrupt = n_corrupt
        self.degree = degree
        self.min_joined = min_joined
        self.application = application
        convert(self, real, "clip")
        convert(self, whole, "bits", "max_weight", "min_users", "t", "n_corrupt", "degree", "min_joined")
        convert(self, flag, "stochastic")
        _require_kind(application, str, "application")
        require(application.isprintable(), "application must be printable text")
        _require_kind(left_out, list | tuple | None, "left_out")
        for name in left_out or ():
            _require_kind(name, str, "a name in left_out")
        _require_kind(roster, str | None, "roster")
        self.coding()
        self._threat()
        self._graph()

    def coding(self) -> Coding:
        """How updates become vectors."""
        return Coding(
            clip=self.clip,
            bits=self.bits,
            max_weight=self.max_weight,
            metrics=_metrics(self.metrics),
            left_out=tuple(self.left_out or ()),
            noise=None if self.noise is None else _noise(self.noise),
            stochastic=self.stochastic,
        )

    def settings(self) -> RoundSettings:
        """What each round of a job is made with; reads the roster.

        Raises:
            LocalProtocolError: the roster is refused.
            OSError: its file cannot be read.
        """
        roster = None if self.roster is None else Roster.read(Path(self.roster))
        return RoundSettings(
            coding=self.coding(),
            roster=roster,
            threat=self._threat(),
            min_users=self.min_users,
            t=self.t,
            n_corrupt=self.n_corrupt,
            graph=self._graph(),
            min_joined=self.min_joined,
            application=self.application.encode(),
        )

    def _graph(self) -> Graph:
        return COMPLETE if self.degree is None else Sparse(self.degree)

    def _threat(self) -> Threat:
        require(str(self.threat) in _THREATS, f"threat must be one of {', '.join(_THREATS)}, got {self.threat!r}")
        return _THREATS[self.threat]  # budgets below: decimals as written, where a float is another number


def _require_kind(value: Any, kind: Any, name: str) -> None:
    """Raises `ArgumentTypeError` unless a value is of a kind that a job's configuration can hold."""
    if not isinstance(value, kind):
        wanted = getattr(kind, "__name__", kind)
        raise ArgumentTypeError(f"{name} must be of type {wanted}, got {type(value).__name__}")


def _metrics(given: Any) -> dict[str, Metric]:
    _require_kind(given, dict | None, "metrics")
    return {name: _metric(name, form) for name, form in (given or {}).items()}


def _metric(name: str, given: Any) -> Metric:
    """One metric, of {"mean": bound} or {"count": max_value}."""
    _require_kind(name, str, "the name of a metric")
    _require_kind(given, dict, f"metric {name!r}")
    rest = [str(key) for key in given if key not in ("mean", "count", "length")]
    require(not rest, f"metric {name!r} has {', '.join(rest)}; it takes mean or count, and length")
    return Metric(max_value=given.get("count"), bound=given.get("mean"), length=given.get("length"))


def _noise(given: Any) -> Noise:
    """A budget for one round, and how noise is laid on."""
    _require_kind(given, dict, "noise")
    rest = [str(key) for key in given if key not in _NOISE_KEYS]
    require(not rest, f"noise has {', '.join(rest)}; it takes {', '.join(_NOISE_KEYS)}")
    options = dict(given)
    match options.pop("rho", None), options.pop("epsilon", None), options.pop("delta", None):
        case rho, None, None if rho is not None:
            return Noise(budget=ZCdp(str(rho)), **options)
        case None, epsilon, delta if epsilon is not None and delta is not None:
            return Noise(budget=ApproxDp(str(epsilon), str(delta)), **options)
    raise LocalProtocolError('noise needs {"rho": ...} or {"epsilon": ..., "delta": ...}')
