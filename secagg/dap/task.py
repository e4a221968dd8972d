"""A task: what the four roles must agree on before the first report, and all that follows from it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import urlsplit

from ..arguments import convert, octets, real, whole
from ..codec import Opaque
from ..dp import Place
from ..errors import LocalProtocolError, RemoteProtocolError, require
from ..http.base64url import base64url, from_base64url
from ..http.urls import parse_server_url
from ..vdaf import PingPong, Prio3
from .dialect import DEFAULT, DIALECT_EXTENSION, STATED, Dialect
from .messages import (
    NO_EXTENSIONS,
    TASK_ID_SIZE,
    BatchMode,
    BatchSelector,
    CollectionJobReq,
    Interval,
    Report,
    ReportMetadata,
    ReportShare,
    Role,
    TaskConfiguration,
    TaskExtension,
    increasing,
)
from .privacy.extension import PRIVACY_EXTENSION, Privacy
from .vdafs import Vdaf, decode_vdaf

__all__ = [
    "BatchMode",
    "Task",
    "TaskConfiguration",
    "base64url",
    "from_base64url",
    "task_configuration",
]

TASK_INTERVAL_EXTENSION = 1
_KNOWN = {TASK_INTERVAL_EXTENSION, DIALECT_EXTENSION, PRIVACY_EXTENSION}
_SHARE = Opaque(4)


@dataclass(frozen=True, repr=False)
class Task:
    """One task, by its ID and configuration (section 4.2).

    Attributes:
        id: 32 bytes, unique and random.
        configuration: the same bytes for all four roles: they are bound into every share.
        dialect: what the parties speak. Where a task extension states what Clients alone speak, that counts.

    Raises:
        LocalProtocolError: the configuration asks for something that this package does not do.
        RemoteProtocolError: a part of it is malformed.
    """

    id: bytes
    configuration: TaskConfiguration
    dialect: Dialect = DEFAULT

    def __post_init__(self) -> None:
        convert(self, octets, "id")
        c = self.configuration
        require(len(self.id) == TASK_ID_SIZE, f"a task ID must have {TASK_ID_SIZE} bytes, got {len(self.id)}")
        require(increasing(c.extensions), "task extensions must be in strictly increasing order of their type")
        unknown = sorted({extension.extension_type for extension in c.extensions} - _KNOWN)
        require(not unknown, f"task extensions {unknown} are not supported: no party may take part in this task")
        object.__setattr__(self, "dialect", self._stated_dialect())
        named = self.dialect.empty_task_info or c.task_info
        require(bool(named), f"task_info must not be empty in {self.dialect.name}")
        require(not c.batch_config, "batch_config must be empty in both batch modes")
        require(c.time_precision >= 1, "time_precision must be at least 1 second")
        require(1 <= c.min_batch_size < 1 << 63, "min_batch_size must be at least 1, and below 2^63")
        require(self.prio3.NONCE_SIZE == 16 and self.prio3.ROUNDS == 1, "DAP needs a VDAF with nonces of 16 bytes")
        for endpoint in (c.leader_aggregator_endpoint, c.helper_aggregator_endpoint):
            _url(endpoint)
        if self.privacy is not None:
            self.privacy.plan(self.vdaf)
            require(
                self.dialect.binds_task or self.privacy.place is not Place.LOCAL,
                "Clients of this dialect see no parameters of a task and cannot randomize: let Aggregators add noise",
            )
        if self.interval is not None:
            require(self.interval.duration >= 1, "the task interval must not be empty")

    @cached_property
    def encoded(self) -> bytes:
        """The encoded TaskConfiguration."""
        return self.configuration.encode()

    @cached_property
    def text(self) -> str:
        """The task ID as it stands in URLs."""
        return base64url(self.id)

    @cached_property
    def vdaf(self) -> Vdaf:
        """The VDAF and its parameters (appendix B)."""
        return decode_vdaf(self.configuration.vdaf_type, self.configuration.vdaf_configuration)

    @cached_property
    def prio3(self) -> Prio3:
        """The VDAF itself, in the version of the draft that the dialect asks for."""
        return self.vdaf.prio3(self.dialect.vdaf)

    @cached_property
    def ping_pong(self) -> PingPong:
        """The VDAF's ping-pong topology, by which the Aggregators verify reports (section 4.5)."""
        return PingPong(self.prio3)

    @cached_property
    def privacy(self) -> Privacy | None:
        """The differential privacy of the task; None if its results are exact."""
        data = self._extension(PRIVACY_EXTENSION)
        return None if data is None else Privacy.decode(data)

    @cached_property
    def noise_room(self) -> int:
        """The bound that the Aggregators' noise on an entry exceeds with a chance of 2^-40 at most."""
        if self.privacy is None or self.privacy.place is Place.LOCAL:
            return 0
        return self.privacy.plan(self.vdaf).room()

    @cached_property
    def max_batch_size(self) -> int:
        """The largest number of reports in a batch that has a result: the sum of more reports, with noise, may be
        beyond the VDAF's field."""
        return self.prio3.capacity(signed=self.privacy is not None, room=self.noise_room)

    @cached_property
    def interval(self) -> Interval | None:
        """The task interval, in time_precision, which all reports lie in (section 4.2.3); None for any time."""
        data = self._extension(TASK_INTERVAL_EXTENSION)
        return None if data is None else Interval.decode(data)

    @property
    def batch_mode(self) -> BatchMode:
        """How reports are put into batches (section 5)."""
        return self.configuration.batch_mode

    @property
    def by_time(self) -> bool:
        """Whether batches are intervals of time; else the Leader selects them."""
        return self.batch_mode is BatchMode.TIME_INTERVAL

    @property
    def time_precision(self) -> int:
        """The unit of all times of the task, in seconds."""
        return self.configuration.time_precision

    @property
    def min_batch_size(self) -> int:
        """The smallest number of reports in a batch that is collected."""
        return self.configuration.min_batch_size

    @cached_property
    def leader_url(self) -> str:
        """The Leader's URL, without the slashes at its end."""
        return _url(self.configuration.leader_aggregator_endpoint)

    @cached_property
    def helper_url(self) -> str:
        """The Helper's URL, without the slashes at its end."""
        return _url(self.configuration.helper_aggregator_endpoint)

    @cached_property
    def ctx(self) -> bytes:
        """The VDAF's application context."""
        return self.dialect.tag + self.id if self.dialect.binds_task else b""

    def time(self, seconds: float) -> int:
        """A POSIX time as reports' metadata state it: never finer than time_precision.

        Args:
            seconds: POSIX seconds.

        Returns:
            The time, counted in time_precision; in a dialect whose times are in seconds, in seconds.
        """
        rounded = int(real(seconds, "seconds")) // self.time_precision
        return rounded * self.time_precision if self.dialect.in_seconds else rounded

    def precision_time(self, time: int) -> int:
        """The time of a report's metadata, counted in time_precision: the start of its batch bucket.

        Args:
            time: as the metadata state it.
        """
        time = whole(time, "time")
        return time // self.time_precision if self.dialect.in_seconds else time

    def interval_to_wire(self, interval: Interval) -> Interval:
        """A batch interval as messages state it.

        Args:
            interval: in time_precision.

        Raises:
            LocalProtocolError: it starts too late, or is too long, to be stated.
        """
        unit = self._interval_unit
        latest = max(interval.start, interval.duration) * unit
        require(latest < 1 << 64, "a batch interval must start before 2^64 seconds, and be shorter")
        return Interval(interval.start * unit, interval.duration * unit)

    def interval_of_wire(self, interval: Interval) -> Interval:
        """A batch interval, in time_precision.

        Args:
            interval: as messages state it.

        Raises:
            RemoteProtocolError: it starts or ends within a time_precision.
        """
        unit = self._interval_unit
        if interval.start % unit or interval.duration % unit:
            raise RemoteProtocolError(f"a batch interval must start and end at multiples of {unit} seconds")
        return Interval(interval.start // unit, interval.duration // unit)

    @property
    def _interval_unit(self) -> int:
        return self.time_precision if self.dialect.intervals_in_seconds else 1

    def interval_text(self, interval: Interval) -> str:
        """An interval in words.

        Args:
            interval: in time_precision.
        """
        start, end = (time_text(moment * self.time_precision) for moment in (interval.start, interval.end))
        return f"from {start} until {end}"

    def input_share_info(self, role: Role) -> bytes:
        """HPKE's info of a Client's input share (section 4.4.2.1).

        Args:
            role: for whom it is sealed: LEADER or HELPER.
        """
        return self.dialect.tag + b" input share" + bytes([Role.CLIENT, role])

    def input_share_aad(self, metadata: ReportMetadata, public_share: bytes) -> bytes:
        """The encoded InputShareAad (section 4.4.2.1).

        Args:
            metadata: the report's.
            public_share: the report's.
        """
        share = octets(public_share, "public_share")
        return self._input_share_aad + self.encode_metadata(metadata) + _SHARE.write(share)

    def encode_metadata(self, metadata: ReportMetadata) -> bytes:
        """A report's metadata, as the Clients of this dialect encode them.

        Args:
            metadata: the report's.
        """
        encoded = metadata.encode()
        return encoded if self.dialect.public_extensions else encoded[: -len(NO_EXTENSIONS)]

    def agg_share_info(self, role: Role) -> bytes:
        """HPKE's info of an aggregate share (section 4.6.7).

        Args:
            role: whose share it is: LEADER or HELPER.
        """
        return self.dialect.aggregators_tag + b" aggregate share" + bytes([role, Role.COLLECTOR])

    def agg_share_aad(self, request: CollectionJobReq, selector: BatchSelector | None = None) -> bytes:
        """The encoded AggregateShareAad (section 4.6.7).

        Args:
            request: the Collector's.
            selector: the batch; None for the one that the request names.
        """
        named = selector or BatchSelector(request.query.batch_mode, request.query.config)
        return self.dialect.wire.agg_share_aad(self.id, self.configuration, request, named)

    @cached_property
    def _input_share_aad(self) -> bytes:
        return self.id + (self.encoded if self.dialect.binds_task else b"")

    def _stated_dialect(self) -> Dialect:
        """The dialect that a task extension states, or else the one that the caller has named."""
        tag = self._extension(DIALECT_EXTENSION)
        if tag is None:
            require(not self.dialect.in_configuration, f"a task extension must state {self.dialect.name}")
            return self.dialect
        stated = STATED.get(tag.decode("ascii", "replace"))
        if stated is None:
            raise LocalProtocolError(f"dialect {tag!r} is not supported in a task extension")
        return stated

    def _extension(self, extension_type: int) -> bytes | None:
        """An extension's data; None if the task does not have it."""
        for extension in self.configuration.extensions:
            if extension.extension_type == extension_type:
                return extension.extension_data
        return None


def task_configuration(
    *,
    task_info: bytes,
    leader_url: str,
    helper_url: str,
    time_precision: int,
    min_batch_size: int,
    batch_mode: BatchMode,
    vdaf: Vdaf,
    dialect: Dialect = DEFAULT,
    privacy: Privacy | None = None,
    interval: Interval | None = None,
) -> TaskConfiguration:
    """A task's configuration from its parts (section 4.2).

    Args:
        task_info: what tells the task from others, at most 255 bytes.
        leader_url: the Leader's URL; it travels as it is written here, but for an internationalised host's A-labels.
        helper_url: the Helper's URL, likewise.
        time_precision: the unit of all times of the task, in seconds, at least 1.
        min_batch_size: the smallest number of reports in a batch that is collected, at least 1.
        batch_mode: whether batches are intervals of time or the Leader selects them.
        vdaf: what is computed; see `secagg.dap.vdafs.vdaf`.
        dialect: of the task. State it to `Task`, too: it is not in the configuration unless Clients alone speak it.
        privacy: the noise and its budget; None for exact results.
        interval: outside which no report may lie, counted in time_precision; None for any time.

    Raises:
        LocalProtocolError: a URL is none of a server.
    """
    optional = [
        (TASK_INTERVAL_EXTENSION, None if interval is None else interval.encode()),
        (DIALECT_EXTENSION, dialect.tag if dialect.in_configuration else None),
        (PRIVACY_EXTENSION, None if privacy is None else privacy.encode()),
    ]
    return TaskConfiguration(
        task_info=task_info,
        leader_aggregator_endpoint=_endpoint(leader_url, "leader_url"),
        helper_aggregator_endpoint=_endpoint(helper_url, "helper_url"),
        time_precision=time_precision,
        min_batch_size=min_batch_size,
        batch_mode=batch_mode,
        batch_config=b"",
        vdaf_type=vdaf.type,
        vdaf_configuration=vdaf.encode(),
        extensions=tuple(TaskExtension(kind, data) for kind, data in optional if data is not None),
    )


def time_text(seconds: float) -> str:
    """A time as ISO 8601 in UTC.

    Args:
        seconds: POSIX seconds.
    """
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{int(seconds)} s after 1970"


def report_share(report: Report) -> ReportShare:
    """The Helper's part of a report (section 4.5.3.1).

    Args:
        report: as the Client has uploaded it.
    """
    return ReportShare(report.report_metadata, report.public_share, report.helper_encrypted_input_share)


def _endpoint(url: str, name: str) -> bytes:
    try:
        return parse_server_url(url).text.encode("ascii")
    except LocalProtocolError as error:
        raise LocalProtocolError(f"{name} is no URL of a server: {error}") from None


def _url(endpoint: bytes) -> str:
    """An endpoint without the slashes at its end.

    `secagg.dap.admission` refuses more, such as hosts that some programs read as others, when a party gets the task.
    One that it has must stay readable.

    Raises:
        RemoteProtocolError: it is no URL that paths can be put after.
    """
    try:
        url = endpoint.decode("ascii")
        parts = urlsplit(url)
        written_out = url.isprintable() and not set(url) & set(' "<>\\^`{|}')
        sound = written_out and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.username is not None or {"?", "#"} & set(url):
        raise RemoteProtocolError("an endpoint must be an ASCII URL of a server, without a query")
    return url.rstrip("/")
