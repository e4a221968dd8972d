"""What becomes of reports, in messages and by name: a number stands for an error in one draft only."""

from collections.abc import Iterable

from secagg.dap.messages import AggregationJobResp, ReportError, ReportUploadStatus, UploadErrors
from secagg.dap.task import Task


def upload_errors(task: Task, refused: Iterable[tuple[bytes, ReportError]]) -> bytes:
    """The body in which a Leader refuses reports, by their IDs."""
    return UploadErrors(
        tuple(ReportUploadStatus(each, task.dialect.error_number(why)) for each, why in refused)
    ).encode()


def refused_reports(task: Task, body: bytes) -> list[tuple[bytes, ReportError]]:
    """The IDs of the reports that an upload's answer refuses, and why."""
    return [(status.id, task.dialect.report_error(status.error)) for status in UploadErrors.decode(body).status]


def job_outcomes(task: Task, body: bytes | None) -> list[bytes | ReportError | None]:
    """What a Helper answers of each report of a job."""
    outcomes = [resp.outcome for resp in AggregationJobResp.decode(body or b"").verify_resps]
    return [task.dialect.report_error(each) if isinstance(each, int) else each for each in outcomes]
