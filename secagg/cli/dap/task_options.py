"""What `secagg dap task new` and `peer new` ask for, turned into a task's configuration and its secrets."""

import os
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from ...dap import task_file
from ...dap.dialect import DIALECTS, Dialect
from ...dap.messages import BatchMode, HpkeConfig, Interval, TaskConfiguration
from ...dap.privacy.extension import MAX_REPORTS, Mechanism, Privacy, least_noise
from ...dap.privacy.run import privacy_of_run
from ...dap.secrets import DAP_AUTH_TOKEN
from ...dap.task import Task, task_configuration
from ...dap.task_file import CollectorKey, Decided
from ...dap.vdafs import VDAFS, Vdaf, vdaf
from ...dp import ApproxDp, Budget, Place, PureDp, Unit, ZCdp
from ...errors import LocalProtocolError, RemoteProtocolError
from ...http.base64url import base64url, from_base64url
from ...http.urls import parse_server_url
from ...text import decode_text, read_text
from ..app import CommandError, require
from ..dp.options import choose, choose_budget
from .common import load

SECRET_BYTES_MAX = 4096  # of a file that holds one
AUTOMATIC, NONE = "auto", "none"
MECHANISMS = {str(mechanism).lower().replace(" ", "-"): mechanism for mechanism in Mechanism}
MODES = {"time-interval": BatchMode.TIME_INTERVAL, "leader-selected": BatchMode.LEADER_SELECTED}

CollectorKeyOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The Collector's key file, from `collector-key`. [default: a fresh key]"),
]
CollectorConfigOption = Annotated[
    str | None,
    typer.Option(
        "--collector-config",
        "--hpke-config",
        help="In its place what `collector-key` printed, where the Collector is somebody else: its HPKE configuration,"
        " encoded, in base64url.",
    ),
]
LeaderTokenOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The token that the Leader shows to the Helper; - is stdin.")
]
CollectorTokenOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The token that the Collector shows to the Leader; - is stdin.")
]


def choose_vdaf(name: str, **parameters: int | None) -> Vdaf:
    """The VDAF of this name, in any spelling of case and dashes, with the parameters that were given."""
    word = name.replace("-", "").replace("_", "").lower()
    kind = next((known for known in VDAFS if known.lower() == word), None)
    if kind is None:
        raise CommandError(f"--vdaf must be one of {', '.join(VDAFS)}; got {name!r}")
    return vdaf(kind, **{key: value for key, value in parameters.items() if value is not None})


_Stated = tuple[str | None, str | None, str | None]  # an epsilon, a delta and a rho
_NOT_STATED: _Stated = (None, None, None)


@dataclass(frozen=True)
class PrivacyOptions:
    """The privacy options of `task new`, under their names."""

    epsilon: str | None
    delta: str | None
    rho: str | None
    total_epsilon: str | None
    total_delta: str | None
    total_rho: str | None
    collections: int | None
    mechanism: str
    honest: int
    reports_per_client: int
    span: str

    def privacy(self, vdaf: Vdaf) -> Privacy | None:
        """The privacy of the task; None for exact results, which must be asked for."""
        mechanism = choose("--mechanism", [AUTOMATIC, NONE, *MECHANISMS], self.mechanism)
        if mechanism == NONE:
            require(self._of_one == self._of_all == _NOT_STATED, "--mechanism none takes no budget")
            return None
        unit = Unit(self.reports_per_client, self.span)
        if self.collections is not None and self._of_one == _NOT_STATED != self._of_all:
            require(mechanism == AUTOMATIC, "--collections and the total choose the mechanism: leave out --mechanism")
            return privacy_of_run(choose_budget(*self._of_all), self.collections, vdaf, honest=self.honest, unit=unit)
        require(
            self.epsilon is not None or self.rho is not None,
            "a budget is missing: give --epsilon, with or without --delta, or --rho; or --collections and the total of"
            " all; or --mechanism none for exact results",
        )
        budget = choose_budget(*self._of_one)
        local = mechanism != AUTOMATIC and MECHANISMS[mechanism].place is Place.LOCAL
        honest = 0 if local else self.honest
        chosen = least_noise(budget, vdaf, honest, unit) if mechanism == AUTOMATIC else MECHANISMS[mechanism]
        return Privacy(chosen, budget, self._total(budget), honest, unit=unit)

    def _total(self, budget: Budget) -> Budget:
        """The total budget: as stated, or a multiple of one collection's."""
        if self.collections is None:
            require(
                self._of_all != _NOT_STATED,
                "the total budget is missing: give --collections, or --total-epsilon, --total-delta and --total-rho",
            )
            return choose_budget(*self._of_all)
        require(
            self._of_all == _NOT_STATED,
            "--collections and the budget of one set the total: leave out --total-epsilon, -delta and -rho, or the"
            " budget of one",
        )
        require(self.collections >= 1, "--collections must be at least 1")
        return times(budget, self.collections)

    @property
    def _of_one(self) -> _Stated:
        return self.epsilon, self.delta, self.rho

    @property
    def _of_all(self) -> _Stated:
        return self.total_epsilon, self.total_delta, self.total_rho


def times(budget: Budget, count: int) -> Budget:
    """The most that so many collections at a budget cost, by basic composition."""
    if isinstance(budget, PureDp):
        return PureDp(budget.epsilon * count)
    if isinstance(budget, ZCdp):
        return ZCdp(budget.rho * count)
    assert isinstance(budget, ApproxDp)
    require(budget.delta * count < 1, "--delta times --collections must be below 1")
    return ApproxDp(budget.epsilon * count, Fraction(budget.delta * count))


def server_url(option: str, url: str) -> str:
    """The URL of an Aggregator as it travels: an internationalised host in ASCII."""
    try:
        return parse_server_url(url).text
    except LocalProtocolError as error:
        raise CommandError(f"{option} must be the URL of a server: {error}") from None


def choose_interval(start: int | None, end: int | None, precision: int) -> Interval | None:
    """The smallest task interval that has both times, in time_precision."""
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise CommandError("a task interval has a start and an end: give --start, and --end or --duration")
    first, last = start // precision, -(-end // precision)
    require(first < last, "--end must be after --start")
    return Interval(first, last - first)


def size_warning(task: Task, batch_size: int) -> str | None:
    """A warning for a task whose batches may be too large for the VDAF's field; such batches are refused.

    Nothing bounds batches by time: their tasks get a warning unless MAX_REPORTS reports are sure to fit. A task with
    noise must have room for so many.

    Args:
        task: the task.
        batch_size: of the batches that the Leader selects.
    """
    max_size = task.max_batch_size
    largest, value = max(task.min_batch_size, batch_size), task.prio3.flp.valid.MAX_ENTRY
    if (MAX_REPORTS if task.by_time else largest) <= max_size:
        return None
    why = (
        f"more than {max_size:,} reports of up to {value:,} each may sum up to more than {task.vdaf.NAME}'s field holds"
    )
    if task.min_batch_size > max_size:
        return f"no batch of this task has a result: {why}; lower --max-measurement or --min-batch-size"
    if task.by_time:
        return f"a larger batch is refused: {why}; collect intervals that have fewer, or lower --max-measurement"
    return f"the Leader selects smaller batches than --batch-size: {why}"


def choose_dialect(name: str) -> Dialect:
    """The dialect of this name."""
    return DIALECTS[choose("--dialect", tuple(DIALECTS), name)]


def choose_collector(key: Path | None, config: str | None) -> CollectorKey | HpkeConfig:
    """The Collector's key, of its file or fresh, or in its place the configuration of a key that it keeps to itself."""
    require(key is None or config is None, "give --collector-key or --collector-config, not both")
    if key is not None:
        return load(key, task_file.load_key)
    if config is None:
        return CollectorKey.generate()
    try:
        return task_file.config_from_text(config)
    except RemoteProtocolError as error:
        raise CommandError(f"--collector-config must be what `secagg dap collector-key` printed: {error}") from None


def choose_decided(
    task_id: str | None,
    verify_key: Path | None,
    leader_token: Path | None,
    collector_token: Path | None,
    *,
    verify_key_option: str = "--verify-key-file",
) -> Decided:
    """What somebody else has decided of the task: its ID, and secrets in files, of which one may be stdin."""
    files = {
        verify_key_option: verify_key,
        "--leader-token-file": leader_token,
        "--collector-token-file": collector_token,
    }
    require([str(file) for file in files.values()].count("-") <= 1, "only one secret can come from stdin")
    texts = [None if file is None else secret_word(option, file) for option, file in files.items()]
    tokens = [None if text is None else text.encode() for text in texts[1:]]
    named = None if task_id is None else _decoded("--task-id", task_id)
    return Decided(named, None if texts[0] is None else _decoded(verify_key_option, texts[0]), *tokens)


def secret_word(option: str, file: Path) -> str:
    """The one word that a file holds; of a token, the header that shows it may stand before."""
    text = (
        decode_text(sys.stdin.buffer.read(SECRET_BYTES_MAX + 1), "stdin")
        if str(file) == "-"
        else read_text(file, limit=SECRET_BYTES_MAX)
    )
    word = text.strip()
    one = len(word.removeprefix(DAP_AUTH_TOKEN).split()) == 1
    require(word.isascii() and one and len(word) <= SECRET_BYTES_MAX, f"{option} must hold one word")
    return word


def _decoded(option: str, text: str) -> bytes:
    try:
        return from_base64url(text, name=option)
    except RemoteProtocolError as error:
        raise CommandError(str(error)) from None


def configuration(
    *, info: str | None, batch_mode: str, leader: str, helper: str, vdaf: Vdaf, **others: Any
) -> TaskConfiguration:
    """A task's configuration; `info` is random if None."""
    text = base64url(os.urandom(16)) if info is None else info
    encoded = text.encode(errors="replace")
    require(encoded.decode() == text, "--info must be UTF-8 text")
    require(len(encoded) < 1 << 8, "--info has 255 bytes at most")
    return task_configuration(
        task_info=encoded,
        leader_url=leader,
        helper_url=helper,
        batch_mode=MODES[choose("--batch-mode", tuple(MODES), batch_mode)],
        vdaf=vdaf,
        **others,
    )
