"""A task: what the four roles must agree on before the first report, and all that follows from it."""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from ..arguments import convert, octets, real, whole
from ..codec import Opaque
from ..dp import Place
from ..errors import RemoteProtocolError, require
from ..vdaf import PingPong, Prio3
from .base64url import base64url, from_base64url
from .dialect import DAP_18, DIALECT_EXTENSION, DIALECTS, Dialect
from .messages import (
    NO_EXTENSIONS,
    TASK_ID_SIZE,
    AggregateShareAad,
    BatchMode,
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

    Raises:
        LocalProtocolError: the configuration asks for something that this package does not do.
        RemoteProtocolError: a part of it is malformed.
    """

    id: bytes
    configuration: TaskConfiguration

    def __post_init__(self) -> None:
        convert(self, octets, "id")
        c = self.configuration
        require(len(self.id) == TASK_ID_SIZE, f"a task ID has {TASK_ID_SIZE} bytes, got {len(self.id)}")
        require(increasing(c.extensions), "task extensions must be in strictly increasing order of their type")
        unknown = sorted({extension.extension_type for extension in c.extensions} - _KNOWN)
        require(not unknown, f"task extensions {unknown} are not supported: no party may take part in this task")
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
        """The TaskConfiguration."""
        return self.configuration.encode()

    @cached_property
    def text(self) -> str:
        """The task ID as it stands in URLs."""
        return base64url(self.id)

    @cached_property
    def dialect(self) -> Dialect:
        tag = self._extension(DIALECT_EXTENSION)
        require(tag is None or tag in DIALECTS, f"dialect {tag!r} is not supported")
        return DAP_18 if tag is None else DIALECTS[tag]

    @cached_property
    def vdaf(self) -> Vdaf:
        return decode_vdaf(self.configuration.vdaf_type, self.configuration.vdaf_configuration)

    @cached_property
    def prio3(self) -> Prio3:
        return self.vdaf.prio3(self.dialect.vdaf)

    @cached_property
    def ping_pong(self) -> PingPong:
        return PingPong(self.prio3)

    @cached_property
    def privacy(self) -> Privacy | None:
        """The noise, if there is any."""
        data = self._extension(PRIVACY_EXTENSION)
        return None if data is None else Privacy.decode(data)

    @cached_property
    def noise_room(self) -> int:
        """What the Aggregators' noise on an entry stays within, but for a chance of 2^-40."""
        if self.privacy is None or self.privacy.place is Place.LOCAL:
            return 0
        return self.privacy.plan(self.vdaf).room()

    @cached_property
    def max_batch_size(self) -> int:
        """Reports of which a batch has a result: the sum of more, with noise, may be beyond the VDAF's field."""
        return self.prio3.capacity(signed=self.privacy is not None, room=self.noise_room)

    @cached_property
    def interval(self) -> Interval | None:
        """The task interval, in time_precision, outside of which no report may be."""
        data = self._extension(TASK_INTERVAL_EXTENSION)
        return None if data is None else Interval.decode(data)

    @property
    def batch_mode(self) -> BatchMode:
        return self.configuration.batch_mode

    @property
    def by_time(self) -> bool:
        """Whether batches are intervals of time; else the Leader selects them."""
        return self.batch_mode is BatchMode.TIME_INTERVAL

    @property
    def time_precision(self) -> int:
        """In seconds."""
        return self.configuration.time_precision

    @property
    def min_batch_size(self) -> int:
        return self.configuration.min_batch_size

    @property
    def leader_url(self) -> str:
        return _url(self.configuration.leader_aggregator_endpoint)

    @property
    def helper_url(self) -> str:
        return _url(self.configuration.helper_aggregator_endpoint)

    @cached_property
    def ctx(self) -> bytes:
        """The VDAF's application context."""
        return self.dialect.tag + self.id if self.dialect.binds_task else b""

    def time(self, seconds: float) -> int:
        """A POSIX time as the reports' metadata have it: never finer than time_precision."""
        rounded = int(real(seconds, "seconds")) // self.time_precision
        return rounded * self.time_precision if self.dialect.in_seconds else rounded

    def precision_time(self, time: int) -> int:
        """The time of a report's metadata, counted in time_precision: the start of its bucket of one."""
        time = whole(time, "time")
        return time // self.time_precision if self.dialect.in_seconds else time

    def input_share_info(self, role: Role) -> bytes:
        """HPKE's info of a Client's input share for the Leader or the Helper (section 4.4.2.1)."""
        return self.dialect.tag + b" input share" + bytes([Role.CLIENT, role])

    def input_share_aad(self, metadata: ReportMetadata, public_share: bytes) -> bytes:
        """The encoded InputShareAad."""
        share = octets(public_share, "public_share")
        return self._input_share_aad + self.encode_metadata(metadata) + _SHARE.write(share)

    def encode_metadata(self, metadata: ReportMetadata) -> bytes:
        """As the Client of this dialect encodes it."""
        encoded = metadata.encode()
        return encoded if self.dialect.public_extensions else encoded[: -len(NO_EXTENSIONS)]

    def agg_share_info(self, role: Role) -> bytes:
        """HPKE's info of the Leader's or Helper's aggregate share (section 4.6.7); never a dialect's."""
        return DAP_18.tag + b" aggregate share" + bytes([role, Role.COLLECTOR])

    def agg_share_aad(self, request: CollectionJobReq) -> bytes:
        """The encoded AggregateShareAad."""
        return AggregateShareAad(self.id, self.configuration, request).encode()

    @cached_property
    def _input_share_aad(self) -> bytes:
        return self.id + (self.encoded if self.dialect.binds_task else b"")

    def _extension(self, extension_type: int) -> bytes | None:
        """Its data, if the task has it."""
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
    dialect: Dialect = DAP_18,
    privacy: Privacy | None = None,
    interval: Interval | None = None,
) -> TaskConfiguration:
    """A configuration from its parts; URLs travel as they are written here."""
    optional = [
        (TASK_INTERVAL_EXTENSION, None if interval is None else interval.encode()),
        (DIALECT_EXTENSION, None if dialect is DAP_18 else dialect.tag),
        (PRIVACY_EXTENSION, None if privacy is None else privacy.encode()),
    ]
    return TaskConfiguration(
        task_info=task_info,
        leader_aggregator_endpoint=leader_url.encode("ascii"),
        helper_aggregator_endpoint=helper_url.encode("ascii"),
        time_precision=time_precision,
        min_batch_size=min_batch_size,
        batch_mode=batch_mode,
        batch_config=b"",
        vdaf_type=vdaf.type,
        vdaf_configuration=vdaf.encode(),
        extensions=tuple(TaskExtension(kind, data) for kind, data in optional if data is not None),
    )


def report_share(report: Report) -> ReportShare:
    """The Helper's part of a report."""
    return ReportShare(report.report_metadata, report.public_share, report.helper_encrypted_input_share)


def _url(endpoint: bytes) -> str:
    """An endpoint without the slashes at its end; raises RemoteProtocolError unless paths can be put after it."""
    try:
        url = endpoint.decode("ascii")
        parts = urlsplit(url)
        written_out = url.isprintable() and not set(url) & set(' "<>\\^`{|}')
        sound = written_out and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.username is not None or {"?", "#"} & set(url):
        raise RemoteProtocolError("an endpoint must be a URL such as https://example.org/dap, of ASCII, without query")
    return url.rstrip("/")
