"""Bytes that other programs of draft 19 make of the same values, derived from the draft by other hands:
github.com/thibmeu/dap-ts and github.com/Deln0r/dap-go."""

from secagg.dap.dialect import DAP_18, DAP_19
from secagg.dap.messages import (
    AggregationJobResp,
    BatchMode,
    HpkeCiphertext,
    Report,
    ReportError,
    ReportMetadata,
    Role,
    UploadErrors,
    UploadRequest,
    VerifyResp,
)
from secagg.dap.task import Task, task_configuration
from secagg.dap.vdafs import vdaf
from secagg.http.base64url import from_base64url

REPORT_ID = bytes(range(16))
TASK_ID = "8BY0RzZMzxvA46_8ymhzycOB9krN-QIGYvg_RsByGec"
TASK_HEX = (
    "01 70  000a 68747470733a2f2f6c2f  000a 68747470733a2f2f682f"
    " 000000000000003c 0000000000000064 01 0000 00000001 0000 0000"
)
REPORT_HEX = "000102030405060708090a0b0c0d0e0f 0000000000000002 0000 00000000 07 0001aa 00000001bb 08 0001cc 00000001dd"
REJECTION_HEX = "000102030405060708090a0b0c0d0e0f 02"


def count_task() -> Task:
    configuration = task_configuration(
        task_info=b"p",
        leader_url="https://l/",
        helper_url="https://h/",
        time_precision=60,
        min_batch_size=100,
        batch_mode=BatchMode.TIME_INTERVAL,
        vdaf=vdaf("Count"),
    )
    return Task(from_base64url(TASK_ID), configuration)


def test_a_task_of_dap_ts() -> None:
    task = count_task()
    assert task.encoded == bytes.fromhex(TASK_HEX)
    assert task.time(179.999) == 2
    assert task.ctx == b"dap-19" + from_base64url(TASK_ID)
    assert task.input_share_info(Role.LEADER) == b"dap-19 input share\1\2"
    assert task.agg_share_info(Role.HELPER) == b"dap-19 aggregate share\3\0"


def test_a_report_of_dap_ts() -> None:
    report = Report(
        ReportMetadata(REPORT_ID, 2), b"", HpkeCiphertext(7, b"\xaa", b"\xbb"), HpkeCiphertext(8, b"\xcc", b"\xdd")
    )
    encoded = bytes.fromhex(REPORT_HEX)
    assert report.encode() == encoded
    assert UploadRequest((report, report)).encode() == encoded + encoded


def test_refusals_of_dap_ts() -> None:
    """4 is hpke_unknown_config_id; 255 is not registered."""
    statuses = UploadErrors.decode(bytes(16) + b"\4" + REPORT_ID + b"\xff").status
    errors = [DAP_19.report_error(status.error) for status in statuses]
    assert errors == [ReportError.HPKE_UNKNOWN_CONFIG_ID, "unknown_255"]


def test_a_rejection_of_dap_go() -> None:
    """invalid_message, in both drafts."""
    for dialect, number in ((DAP_19, "07"), (DAP_18, "08")):
        outcome = dialect.error_number(ReportError.INVALID_MESSAGE)
        encoded = AggregationJobResp((VerifyResp(REPORT_ID, outcome),)).encode()
        assert encoded == bytes.fromhex(REJECTION_HEX + number)
