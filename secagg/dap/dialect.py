"""What the parties of a task speak: draft-ietf-ppm-dap-19, or draft 18, or DAP-09, which is deployed.

Each draft is a row of DIALECTS, and what differs between drafts is read from it. A new draft that changes no message is
a new row; `DEFAULT` says which one new tasks speak.

The dialect of a task is in its parties' files and in the Aggregators' stores. Tasks that were made when only Clients
had DAP-09 here state that in a task extension: DAP_09_CLIENTS. Their Aggregators and Collector speak draft 18 among
themselves.
"""

from dataclasses import dataclass, replace
from http import HTTPStatus

from ..errors import LocalProtocolError
from ..http.problems import NO_TYPE
from ..vdaf import DRAFT_08, DRAFT_20, Draft
from . import media_types, wire
from .media_types import MediaTypes
from .messages import ReportError as Error
from .wire import Wire

DIALECT_EXTENSION = 0xFD00  # a task extension of this package; its data is the dialect's tag


@dataclass(frozen=True)
class Reasons:
    """The errors of reports that drafts do not agree on (sections 4.4.2.2, 4.5.3.3 and 4.5.3.4).

    Attributes:
        before_interval: the report's time is before the task interval.
        after_interval: the report's time is after the task interval.
        unknown_extension: the report has a public extension that is not known here.
        unknown_config: the input share is sealed under an HPKE configuration that is not known here.
    """

    before_interval: Error
    after_interval: Error
    unknown_extension: Error
    unknown_config: Error


@dataclass(frozen=True)
class Resources:
    """How Aggregators and Collector ask for what they want (sections 3.1, 4.5 and 4.6).

    Attributes:
        media_types: of their messages.
        chosen_ids: whether who asks for a job chooses its ID, and sends PUT; else the answer to POST says where it is.
        helper_waits: whether the Helper may answer later, when it is asked again; else at once.
        poll: HTTP method that asks for a collection job again.
        job_methods: those of an aggregation job's resource.
        collection_methods: those of a collection job's.
        created: HTTP status of a job that is begun.
        pending: HTTP status of a collection job that is not ready.
        unauthorized: the problem of a request without its token, which has no type where drafts have none.
        unlike_agg_param: the problem of an aggregation parameter that is none of the VDAF's.
        unlike_batch: the problem of an aggregation job for a batch of another batch mode than the task's.
        unknown_batch: the problem of a batch ID that no aggregation job had.
        by_batch_id: whether a query may name a batch that the Leader has selected.
    """

    media_types: MediaTypes
    chosen_ids: bool
    helper_waits: bool
    poll: str
    job_methods: tuple[str, ...]
    collection_methods: tuple[str, ...]
    created: HTTPStatus
    pending: HTTPStatus
    unauthorized: str
    unlike_agg_param: str
    unlike_batch: str
    unknown_batch: str
    by_batch_id: bool


@dataclass(frozen=True)
class Dialect:
    """One draft, or one draft's upload path.

    Attributes:
        tag: the version in the info strings of input shares and in the VDAF's context.
        aggregators_tag: the version in the info strings of aggregate shares: what Aggregators and Collector speak among
            themselves.
        vdaf: the draft of the VDAF that Clients shard with.
        in_configuration: whether a task extension states the dialect.
        binds_task: whether input shares are bound to the task configuration, and the VDAF's context to the task.
        empty_task_info: whether task_info may be empty.
        public_extensions: whether report metadata has them.
        in_seconds: whether times of reports are in seconds, else in the task's time_precision.
        upload_method: HTTP method of an upload.
        upload_media_type: of a request with reports: several, or only one (`bulk`).
        bulk: whether a request holds any number of reports.
        hpke_config_list_media_type: of the answer to GET hpke_config, compared letter by letter by some Clients.
        wire: how Aggregators and Collector encode their messages.
        resources: how they ask each other.
        intervals_in_seconds: whether batch intervals are in seconds, else in the task's time_precision.
        report_errors: the errors of reports in the order of their numbers.
        first_error: the number of the first of them.
        at_upload: the errors that the Leader answers an upload with.
        in_job: the errors in an aggregation job.
        unknown_key: the error of each report in a job under an unknown verification key; None if that fails the job.
    """

    tag: bytes
    aggregators_tag: bytes
    vdaf: Draft
    in_configuration: bool
    binds_task: bool
    empty_task_info: bool
    public_extensions: bool
    in_seconds: bool
    upload_method: str
    upload_media_type: str
    bulk: bool
    hpke_config_list_media_type: str
    wire: Wire
    resources: Resources
    intervals_in_seconds: bool
    report_errors: tuple[Error, ...]
    first_error: int
    at_upload: Reasons
    in_job: Reasons
    unknown_key: Error | None

    @property
    def name(self) -> str:
        """Of the dialect, as people and files write it: its tag."""
        return self.tag.decode("ascii")

    def error_number(self, error: Error) -> int:
        """The number that stands for an error in messages.

        Args:
            error: one that the draft has.
        """
        return self.report_errors.index(error) + self.first_error

    def report_error(self, number: int) -> Error:
        """The error that a number stands for; others may use numbers that are registered later (section 10).

        Args:
            number: `first_error` to 255.
        """
        position = number - self.first_error
        return self.report_errors[position] if position < len(self.report_errors) else Error(f"unknown_{number}")


_COMMON = (
    Error.BATCH_COLLECTED,
    Error.REPORT_REPLAYED,
    Error.REPORT_DROPPED,
    Error.HPKE_UNKNOWN_CONFIG_ID,
    Error.HPKE_DECRYPT_ERROR,
    Error.VDAF_VERIFY_ERROR,
)

_RESOURCES = Resources(
    media_types=media_types.PPM_DAP,
    chosen_ids=False,
    helper_waits=True,
    poll="GET",
    job_methods=("GET", "POST", "DELETE"),
    collection_methods=("GET", "DELETE"),
    created=HTTPStatus.OK,
    pending=HTTPStatus.OK,
    unauthorized=NO_TYPE,
    unlike_agg_param="invalidAggregationParameter",
    unlike_batch="unsupportedExtension",
    unknown_batch="invalidBatchSize",
    by_batch_id=False,
)

DAP_19 = Dialect(
    tag=b"dap-19",
    aggregators_tag=b"dap-19",
    vdaf=DRAFT_20,
    in_configuration=False,
    binds_task=True,
    empty_task_info=True,
    public_extensions=True,
    in_seconds=False,
    upload_method="POST",
    upload_media_type="application/ppm-dap;message=upload-req",
    bulk=True,
    hpke_config_list_media_type="application/ppm-dap;message=hpke-config-list",
    wire=wire.DRAFT_18,
    resources=_RESOURCES,
    intervals_in_seconds=False,
    report_errors=(
        *_COMMON,
        Error.INVALID_MESSAGE,
        Error.REPORT_TOO_EARLY,
        Error.UNKNOWN_VERIFICATION_KEY_ID,
        Error.UNSUPPORTED_EXTENSION,
    ),
    first_error=1,
    at_upload=Reasons(
        before_interval=Error.REPORT_DROPPED,
        after_interval=Error.REPORT_DROPPED,
        unknown_extension=Error.UNSUPPORTED_EXTENSION,
        unknown_config=Error.HPKE_UNKNOWN_CONFIG_ID,
    ),
    in_job=Reasons(
        before_interval=Error.REPORT_DROPPED,
        after_interval=Error.REPORT_DROPPED,
        unknown_extension=Error.INVALID_MESSAGE,
        unknown_config=Error.HPKE_UNKNOWN_CONFIG_ID,
    ),
    unknown_key=Error.UNKNOWN_VERIFICATION_KEY_ID,
)

DAP_18 = replace(
    DAP_19,
    tag=b"dap-18",
    aggregators_tag=b"dap-18",
    empty_task_info=False,
    report_errors=(
        *_COMMON,
        Error.TASK_EXPIRED,
        Error.INVALID_MESSAGE,
        Error.REPORT_TOO_EARLY,
        Error.TASK_NOT_STARTED,
        Error.OUTDATED_CONFIG,
    ),
    at_upload=Reasons(
        before_interval=Error.REPORT_DROPPED,
        after_interval=Error.REPORT_DROPPED,
        unknown_extension=Error.INVALID_MESSAGE,
        unknown_config=Error.OUTDATED_CONFIG,
    ),
    in_job=Reasons(
        before_interval=Error.TASK_NOT_STARTED,
        after_interval=Error.TASK_EXPIRED,
        unknown_extension=Error.INVALID_MESSAGE,
        unknown_config=Error.HPKE_DECRYPT_ERROR,
    ),
    unknown_key=None,
)

DAP_09_CLIENTS = replace(
    DAP_18,
    tag=b"dap-09",
    vdaf=DRAFT_08,
    in_configuration=True,
    binds_task=False,
    public_extensions=False,
    in_seconds=True,
    upload_method="PUT",
    upload_media_type="application/dap-report",
    bulk=False,
    hpke_config_list_media_type="application/dap-hpke-config-list",
)

DAP_09 = replace(
    DAP_09_CLIENTS,
    aggregators_tag=b"dap-09",
    in_configuration=False,
    empty_task_info=True,
    wire=wire.DRAFT_09,
    resources=Resources(
        media_types=media_types.DAP_09,
        chosen_ids=True,
        helper_waits=False,
        poll="POST",
        job_methods=("PUT", "POST", "DELETE"),
        collection_methods=("PUT", "POST", "DELETE"),
        created=HTTPStatus.CREATED,
        pending=HTTPStatus.ACCEPTED,
        unauthorized="unauthorizedRequest",
        unlike_agg_param="invalidMessage",
        unlike_batch="invalidMessage",
        unknown_batch="batchInvalid",
        by_batch_id=True,
    ),
    intervals_in_seconds=True,
    report_errors=(*_COMMON, Error.BATCH_SATURATED, Error.TASK_EXPIRED, Error.INVALID_MESSAGE, Error.REPORT_TOO_EARLY),
    first_error=0,
    in_job=Reasons(
        before_interval=Error.REPORT_DROPPED,
        after_interval=Error.TASK_EXPIRED,
        unknown_extension=Error.INVALID_MESSAGE,
        unknown_config=Error.HPKE_UNKNOWN_CONFIG_ID,
    ),
)

DIALECTS = {dialect.name: dialect for dialect in (DAP_19, DAP_18, DAP_09)}

STATED = {dialect.name: dialect for dialect in (DAP_09_CLIENTS,)}
"""Those that a task extension states, by what it says."""


def find_dialect(name: str) -> Dialect:
    """The dialect of this name.

    Args:
        name: such as `dap-19`.

    Raises:
        LocalProtocolError: this program does not have it.
    """
    if name not in DIALECTS:
        raise LocalProtocolError(f"dialect {name!r} is not supported: use a newer program")
    return DIALECTS[name]


DEFAULT = DAP_19
"""What new tasks speak."""

ADVERTISED = DAP_19
"""What tasks speak that are advertised: draft-ietf-ppm-dap-taskprov-04 is built on it."""

UNNAMED = DAP_18
"""What a task speaks whose file or row in a store names no dialect: it was made before these did."""
