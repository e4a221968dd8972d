"""A site's own policy: a TOML file of the node, which no run and no server can change.

It says how updates are encoded, which sessions the site takes part in, and where its state lies. Whatever a session
asks for is compared with it before anything is trained; see `Site`.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ..arguments import convert, octets, real
from ..dp import ApproxDp, Ledger, ZCdp
from ..dp.rounds import ROUNDS_MAX
from ..durable import create, make_folder
from ..errors import LocalProtocolError, SecAggError, require
from ..protocol.identity import Identity, Roster
from ..protocol.params import Model
from ..protocol.thresholds import Threat
from ..service.policy import Policy
from ..settings import TEXT, TRUTH, ConfigError, Kind, load_toml, one_of, option, read_tables, whole_kind
from .coding import Coding, Metric, Noise

__all__ = ["SitePolicy"]

_USERS = whole_kind(0, (1 << 32) - 1)
_POSITIVE = Kind("a positive number", lambda v: type(v) in (int, float) and 0 < v < 1e200)
_SECONDS = Kind("seconds, above 0 and at most 365 days", lambda v: type(v) in (int, float) and 0 < v <= 365 * 86_400)
_NAMES = Kind(
    "a list of at most 10,000 names",
    lambda v: isinstance(v, list) and len(v) <= 10_000 and all(isinstance(name, str) for name in v),
)
_MODELS = ("active", "semi-honest")
_THREATS = ("colluding", "server-only", "clients-only")
_GRAPHS = ("complete", "sparse")
_METRICS_MAX = 1_000


@dataclass(frozen=True)
class SiteTable:
    """Where a site's state lies."""

    state: str = option("secagg-state", TEXT, "folder of saved clients and nonces, which only this user may write to")
    key: str | None = option(
        None, TEXT, "file of the key that saved clients are sealed under", "/etc/secagg/clients.key"
    )
    nonce_age: float = option(86_400.0, _SECONDS, "sessions are refused that were made longer ago, or later, than this")
    keep: float = option(
        86_400.0, _SECONDS, "what a session has left is removed so long after its begin, by the node's next message"
    )


@dataclass(frozen=True)
class ProtectionTable:
    """Which sessions a site takes part in."""

    model: str = option("active", one_of(_MODELS), "how the server may behave; active needs roster and identity")
    roster: str | None = option(None, TEXT, "file of everyone's verification keys", "roster.txt")
    identity: str | None = option(None, TEXT, "file of this site's private key", "identity.pem")
    threat: str = option("colluding", one_of(_THREATS), "against whom updates are protected")
    graph: str = option("complete", one_of(_GRAPHS), "who shares secrets with whom; with sparse, the complete one too")
    degree: int | None = option(None, _USERS, "in a sparse graph, every node must have so many neighbours or more", 30)
    n_min: int | None = option(None, _USERS, "the fewest nodes that may be invited", 10)
    n_max: int | None = option(None, _USERS, "the most nodes that may be invited", 1000)
    min_users: int | None = option(None, _USERS, "a sum must hold at least so many nodes' updates", 7)
    n_corrupt: int | None = option(None, _USERS, "at least so many corrupt nodes must be tolerated", 3)
    t: int | None = option(None, _USERS, "at least so many shares must reveal a secret", 7)
    min_inputs: int = option(2, _USERS, "a sum must hold at least so many honest nodes' updates")
    application: str | None = option(
        None, TEXT, "what sessions must be for, as the server's settings name it", "xray-7"
    )


@dataclass(frozen=True)
class CodingTable:
    """How updates are encoded; see `Coding`."""

    clip: float = option(1.0, _POSITIVE, "the largest change of a value in one round; with noise, of the L2 norm")
    bits: int = option(16, whole_kind(2, 53), "of one value before it is weighted")
    max_weight: int | None = option(None, whole_kind(1, 1 << 50), "the largest weight; leave out for plain means", 1000)
    stochastic: bool = option(True, TRUTH, "whether values are rounded at random")
    left_out: tuple[str, ...] = option((), _NAMES, "names or patterns of arrays that are not averaged")


@dataclass(frozen=True)
class NoiseTable:
    """The noise of rounds, and the ledger that pays for it."""

    epsilon: float | None = option(None, _POSITIVE, "of one round, or of all `rounds` together; with delta", 1.0)
    delta: float | None = option(None, _POSITIVE, "likewise", 1e-6)
    rho: float | None = option(None, _POSITIVE, "likewise, in place of epsilon and delta", 0.1)
    rounds: int | None = option(
        None, whole_kind(1, ROUNDS_MAX), "how many rounds the budget is for; then there is no total_epsilon", 100
    )
    per_client: int | None = option(
        None, whole_kind(1, ROUNDS_MAX), "with rounds: the most of them that this site joins; by default all", 10
    )
    rotate: bool = option(False, TRUTH, "whether updates are rotated at random")
    steps: int | None = option(None, whole_kind(1, 1 << 28), "of the grid", 1024)
    ledger: str | None = option(None, TEXT, "file of what was spent", "ledger.json")
    total_epsilon: float | None = option(None, _POSITIVE, "of all rounds, with total_delta", 10.0)
    total_delta: float | None = option(None, _POSITIVE, "of all rounds", 1e-5)
    total_rho: float | None = option(None, _POSITIVE, "of all rounds, in place of total_epsilon and total_delta", 1.0)


# Beside these, [metrics] and [evaluation] have names of the application's own as keys.
_TABLES = {"site": SiteTable, "protection": ProtectionTable, "coding": CodingTable, "noise": NoiseTable}


@dataclass(frozen=True, repr=False)
class SitePolicy:
    """What a site accepts, and what it has. It is read from the site's own file; see `read`.

    Attributes:
        coding: how updates are encoded.
        evaluation: how the metrics of an evaluation are encoded; None to take part in none.
        accepts: which sessions the site takes part in.
        state: the folder of saved clients and nonces.
        identity: in the active model, this site's.
        roster: in the active model, everyone's.
        key: the file of the key that saved clients are sealed under.
        ledger: what the noise spends; None without noise.
        nonce_age: how many seconds a session's nonce may be away from this site's clock.
        keep: how many seconds after its begin a session may still be gone on with. Its state is removed when the node
            handles its next message, of any session.
        application: what sessions must be for; None for anything.

    Raises:
        LocalProtocolError: the parts do not go together.
    """

    coding: Coding
    accepts: Policy
    state: Path
    identity: Identity | None = None
    roster: Roster | None = None
    key: Path | None = None
    ledger: Ledger | None = None
    nonce_age: float = 86_400.0
    keep: float = 86_400.0
    application: bytes | None = None
    evaluation: Coding | None = None

    def __post_init__(self) -> None:
        convert(self, real, "nonce_age", "keep")
        convert(self, octets, "application")
        require(self.nonce_age > 0 and self.keep > 0, "nonce_age and keep must be positive")
        active = self.accepts.model is Model.ACTIVE
        given = (self.identity is not None, self.roster is not None)
        require(self.accepts.model is not None, "a site's policy names a model")
        require(given == (active, active), "the active model needs an identity and a roster, and the other takes none")
        require((self.ledger is not None) == (self.coding.noise is not None), "noise, and nothing else, needs a ledger")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "SitePolicy":
        """The policy in a TOML file; paths in it are relative to its folder.

        Args:
            path: the file.

        Raises:
            ConfigError: a table, a key or a value is not allowed; the error names file, table and key.
            LocalProtocolError: the values do not go together, or a file that is named is refused.
            OSError: a file cannot be read.
        """
        file = Path(os.path.realpath(path))
        given = load_toml(file)
        metrics = _read_metrics(file, "metrics", given.pop("metrics", {}))
        evaluation = _read_metrics(file, "evaluation", given.pop("evaluation", {}))
        noisy = "noise" in given
        tables = read_tables(file, "a site's policy", _TABLES, given)
        try:
            return _policy(file.parent, metrics, evaluation, noisy, **tables)
        except (SecAggError, OverflowError) as error:
            raise LocalProtocolError(f"{file}: {error}") from None


def _policy(
    folder: Path,
    metrics: Mapping[str, Metric],
    evaluation: Mapping[str, Metric],
    noisy: bool,
    *,
    site: SiteTable,
    protection: ProtectionTable,
    coding: CodingTable,
    noise: NoiseTable,
) -> SitePolicy:
    state = folder / site.state
    roster = None if protection.roster is None else Roster.read(folder / protection.roster)
    identity = None if protection.identity is None else Identity.load(folder / protection.identity, state=state)
    encoded = Coding(
        clip=coding.clip,
        bits=coding.bits,
        max_weight=coding.max_weight,
        stochastic=coding.stochastic,
        metrics=metrics,
        left_out=coding.left_out,
        noise=_noise(noise) if noisy else None,
    )
    return SitePolicy(
        coding=encoded,
        evaluation=encoded.of_evaluation(evaluation) if evaluation else None,
        accepts=_accepted(protection, roster, noisy),
        state=state,
        identity=identity,
        roster=roster,
        key=None if site.key is None else folder / site.key,
        ledger=_ledger(noise, folder, state) if noisy else None,
        nonce_age=float(site.nonce_age),
        keep=float(site.keep),
        application=None if protection.application is None else protection.application.encode(),
    )


def _accepted(table: ProtectionTable, roster: Roster | None, noisy: bool) -> Policy:
    complete = table.graph == "complete"
    require(
        complete == (table.degree is None),
        'give [protection] degree, the fewest neighbours of a node, with graph = "sparse" and not without it',
    )
    return Policy(
        model=Model[table.model.upper().replace("-", "_")],
        threat=Threat[table.threat.upper().replace("-", "_")],
        n_min=table.n_min,
        n_max=table.n_max,
        min_users=table.min_users,
        n_corrupt=table.n_corrupt,
        t=table.t,
        min_inputs=table.min_inputs,
        noise=noisy,
        roster=None if roster is None else roster.hash,
        complete_graph=complete,
        degree=table.degree,
    )


def _noise(table: NoiseTable) -> Noise:
    require(table.per_client is None or table.rounds is not None, "[noise] per_client goes with rounds")
    budget = _budget("", table.epsilon, table.delta, table.rho)
    return Noise(
        budget=budget, rotate=table.rotate, steps=table.steps, rounds=table.rounds or 1, per_client=table.per_client
    )


def _ledger(table: NoiseTable, folder: Path, state: Path) -> Ledger:
    require(table.ledger is not None, "[noise] ledger is missing: the file of what was spent")
    path = folder / str(table.ledger)
    totals = (table.total_epsilon, table.total_delta, table.total_rho)
    if table.rounds is None:
        return Ledger(_budget("total_", *totals), path)
    require(
        totals == (None, None, None),
        "with [noise] rounds, the budget is of all of them: leave out total_epsilon, total_delta and total_rho",
    )
    return _ledger_of_run(_noise(table), path, state)


def _ledger_of_run(noise: Noise, path: Path, state: Path) -> Ledger:
    """A ledger of a whole run. That it has begun stands in the folder of state: a ledger that was lost is missed."""
    begun = state / f"{sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]}.begun"
    try:
        ledger = Ledger(noise.budget, path, releases=noise.joined, begun=begun.exists())
    except LocalProtocolError as error:
        if not begun.exists() or path.exists():
            raise
        raise LocalProtocolError(f"{error}; for a new run, remove {begun}") from None
    make_folder(state)
    with suppress(FileExistsError):
        create(begun, b"")
    return ledger


def _budget(prefix: str, epsilon: float | None, delta: float | None, rho: float | None) -> ApproxDp | ZCdp:
    """A budget; numbers are what they look like in decimals, as a float is another number than it is written as."""
    names = f"[noise] {prefix}epsilon and {prefix}delta"
    if rho is not None:
        require(epsilon is None and delta is None, f"give {names}, or {prefix}rho, not both")
        return ZCdp(str(rho))
    if epsilon is None or delta is None:
        raise LocalProtocolError(f"give {names}, or {prefix}rho")
    return ApproxDp(str(epsilon), str(delta))


def _read_metrics(file: Path, table: str, given: object) -> Mapping[str, Metric]:
    """A table of metrics: name = { mean = BOUND } or { count = LARGEST }, and perhaps a length."""
    if not isinstance(given, dict):
        raise ConfigError(f"{file}: {table} must be a table: write [{table}] before its keys")
    if len(given) > _METRICS_MAX:
        raise ConfigError(f"{file}: [{table}] has {len(given):,} keys, and may have {_METRICS_MAX:,}")
    return {name: _read_metric(f"{file}: [{table}] {name}", form) for name, form in given.items()}


def _read_metric(where: str, form: object) -> Metric:
    if not isinstance(form, dict) or not form.keys() <= {"mean", "count", "length"}:
        raise ConfigError(f"{where} must be such as {{ mean = 10.0 }} or {{ count = 1000 }}, perhaps with a length")
    values = {"bound": form.get("mean"), "max_value": form.get("count"), "length": form.get("length")}
    whole = all(values[name] is None or type(values[name]) is int for name in ("max_value", "length"))
    if not whole or not (values["bound"] is None or type(values["bound"]) in (int, float)):
        raise ConfigError(f"{where}: mean must be a number, and count and length whole numbers")
    try:
        return Metric(**values)
    except LocalProtocolError as error:
        raise ConfigError(f"{where}: {error}") from None
