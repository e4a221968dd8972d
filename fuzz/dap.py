"""DAP's messages for the fuzzer, and what else a party takes from outside: tasks, uploads of an older dialect, problem
documents, IDs in URLs. Few of the messages say what they are, so bytes of one may well be another."""

from collections.abc import Callable
from dataclasses import is_dataclass
from fractions import Fraction
from functools import partial
from types import ModuleType
from typing import Any

from secagg import LocalProtocolError, RemoteProtocolError
from secagg.codec import Struct
from secagg.dap import messages as m
from secagg.dap import messages_09 as old
from secagg.dap.dialect import DAP_09_CLIENTS, DIALECTS, STATED
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.problems import DapProblem, from_response, to_document
from secagg.dap.reports import choose_config, decode_upload, encode_upload
from secagg.dap.task import Task, task_configuration
from secagg.dap.vdafs import vdaf
from secagg.dap.wire import DRAFT_09
from secagg.dp import PureDp
from secagg.http.base64url import base64url, from_base64url
from secagg.http.problems import MEDIA_TYPE, NO_TYPE

Check = Callable[[bytes], bool]


def structs_of(module: ModuleType) -> list[type[Struct]]:
    """The messages that a module defines."""
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
    return [kind for kind in kinds if issubclass(kind, Struct) and is_dataclass(kind)]


STRUCTS, STRUCTS_09 = structs_of(m), structs_of(old)
ID, TASK_ID = bytes(range(16)), bytes(range(32))
INTERVAL = m.Interval(5_666_667, 12)
CIPHERTEXT = m.HpkeCiphertext(7, bytes(range(32)), bytes(range(40)))
CONFIGS = m.HpkeConfigList((m.HpkeConfig(1, 0x10, 1, 1, b"\4" * 65), m.HpkeConfig(2, 0x20, 1, 1, b"\t" * 32)))
METADATA = m.ReportMetadata(ID, 5_666_667, (m.Extension(0xFF00, b"public"),))
REPORT = m.Report(METADATA, b"public share", CIPHERTEXT, CIPHERTEXT)
CONFIGURATION = task_configuration(
    task_info=b"fuzz",
    leader_url="https://leader.example/dap",
    helper_url="https://helper.example:8443/",
    time_precision=300,
    min_batch_size=100,
    batch_mode=m.BatchMode.TIME_INTERVAL,
    vdaf=vdaf("Histogram", length=16),
    dialect=DAP_09_CLIENTS,
    privacy=Privacy(Mechanism.DISCRETE_LAPLACE, PureDp(Fraction(1)), PureDp(Fraction(10))),
    interval=INTERVAL,
)
OLD_TASK = Task(TASK_ID, CONFIGURATION)
OLD_REPORT = m.Report(m.ReportMetadata(ID, 1_700_000_100), b"public share", CIPHERTEXT, CIPHERTEXT)
REQUEST = m.CollectionJobReq(
    m.Query(m.BatchMode.TIME_INTERVAL, INTERVAL.encode()), b"parameter", (m.CollectionJobExtension(1, b"data"),)
)
SHARE = m.ReportShare(METADATA, b"public share", CIPHERTEXT)
INIT = m.VerifyInit(SHARE, b"verifier share")
BATCH = m.AggregationJobExtension(m.LEADER_SELECTED_BATCH_ID, bytes(32))
RESPONSES = (m.VerifyResp(ID, b"payload"), m.VerifyResp(ID, None), m.VerifyResp(ID, 3))
STATUS = m.ReportUploadStatus(ID, 11)
PROBLEM = DapProblem("unsupportedExtension", "extension 23", task_id=TASK_ID, unsupported_extensions=[23])

SAMPLES: list[Struct] = [
    CONFIGS,
    CONFIGS.configs[1],
    CIPHERTEXT,
    INTERVAL,
    CONFIGURATION,
    CONFIGURATION.extensions[0],
    METADATA.public_extensions[0],
    METADATA,
    REPORT,
    m.UploadRequest((REPORT, REPORT)),
    STATUS,
    m.UploadErrors((STATUS, STATUS)),
    m.PlaintextInputShare((m.Extension(0xFF01, b"private"),), b"input share"),
    BATCH,
    SHARE,
    INIT,
    m.AggregationJobInitReq(1, b"parameter", (BATCH,), (INIT, INIT)),
    RESPONSES[0],
    m.AggregationJobResp(RESPONSES),
    m.VerifyContinue(ID, b"payload"),
    m.AggregationJobContinueReq(1, (m.VerifyContinue(ID, b"payload"),)),
    REQUEST.query,
    m.BatchSelector(m.BatchMode.LEADER_SELECTED, bytes(32)),
    REQUEST.extensions[0],
    REQUEST,
    m.CollectionJobResp(1000, INTERVAL, CIPHERTEXT, CIPHERTEXT),
    m.AggregateShareReq(REQUEST, m.BatchSelector(m.BatchMode.TIME_INTERVAL, INTERVAL.encode()), 1000, bytes(32)),
    m.AggregateShare(CIPHERTEXT),
    m.AggregateShareAad(TASK_ID, CONFIGURATION, REQUEST),
]

SHARE_09 = old.ReportShare(old.ReportMetadata(ID, 1_700_000_100), b"public share", CIPHERTEXT)
INIT_09 = old.PrepareInit(SHARE_09, b"prep share")
RESPONSES_09 = (old.PrepareResp(ID, b"payload"), old.PrepareResp(ID, None), old.PrepareResp(ID, 0))
FIXED_SIZE = old.PartialBatchSelector(bytes(32))
SELECTOR_09 = old.BatchSelector(INTERVAL)

SAMPLES_09: list[Struct] = [
    SHARE_09.report_metadata,
    SHARE_09,
    INIT_09,
    FIXED_SIZE,
    old.AggregationJobInitReq(b"parameter", FIXED_SIZE, (INIT_09, INIT_09)),
    RESPONSES_09[2],
    old.AggregationJobResp(RESPONSES_09),
    old.PrepareContinue(ID, b"payload"),
    old.AggregationJobContinueReq(1, (old.PrepareContinue(ID, b"payload"),)),
    old.Query(bytes(32)),
    old.CollectionReq(old.Query(INTERVAL), b"parameter"),
    old.Collection(FIXED_SIZE, 1000, INTERVAL, CIPHERTEXT, CIPHERTEXT),
    SELECTOR_09,
    old.AggregateShareReq(SELECTOR_09, b"parameter", 1000, bytes(32)),
    old.AggregateShareAad(TASK_ID, b"parameter", SELECTOR_09),
]

WIRE_09: dict[type[Struct], tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    old.AggregationJobInitReq: (DRAFT_09.decode_job_init, DRAFT_09.encode_job_init),
    old.AggregationJobResp: (DRAFT_09.decode_job_resp, DRAFT_09.encode_job_resp),
    old.CollectionReq: (DRAFT_09.decode_collection_req, DRAFT_09.encode_collection_req),
    old.AggregateShareReq: (DRAFT_09.decode_share_req, DRAFT_09.encode_share_req),
}
"""How `wire` takes those that it takes by themselves, and writes them again."""


def takes_struct(kind: type[Struct], data: bytes) -> bool:
    try:
        struct = kind.decode(data)
    except RemoteProtocolError:
        return False
    assert struct.encode() == data
    return True


def takes_struct_09(kind: type[Struct], data: bytes) -> bool:
    """What is one in draft 9 is one in the terms of `messages`, too, and nothing of it is lost there."""
    taken = takes_struct(kind, data)
    if kind in WIRE_09:
        decode, encode = WIRE_09[kind]
        try:
            message = decode(data)
        except RemoteProtocolError:
            assert not taken
            return False
        assert encode(message) == data
    return taken


def takes_task(data: bytes) -> bool:
    """A configuration that nobody can honour makes no task, and says why by one of two errors."""
    try:
        configuration = m.TaskConfiguration.decode(data)
        task = Task(TASK_ID, configuration)
    except (LocalProtocolError, RemoteProtocolError):
        return False
    assert task.encoded == data
    assert task.dialect in (*DIALECTS.values(), *STATED.values())
    assert task.leader_url
    assert task.helper_url
    return True


def takes_old_upload(data: bytes) -> bool:
    try:
        reports = decode_upload(OLD_TASK, data)
    except RemoteProtocolError:
        return False
    assert encode_upload(OLD_TASK, reports) == data
    return True


def takes_configs(data: bytes) -> bool:
    """What a Client seals to is one of the list."""
    try:
        configs = m.HpkeConfigList.decode(data)
        chosen = choose_config(configs)
    except RemoteProtocolError:
        return False
    assert chosen in configs.configs
    return True


def takes_problem(data: bytes) -> bool:
    """Any answer is a problem; whether this one says of what type. It can be said again."""
    problem = from_response(400, {"content-type": MEDIA_TYPE}, data, 0.0)
    assert str(problem).isprintable()
    again = from_response(400, {"content-type": MEDIA_TYPE}, to_document(problem), 0.0)
    assert (again.type, again.task_id) == (problem.type, problem.task_id)
    return problem.type != NO_TYPE


def takes_id(data: bytes) -> bool:
    text = data.decode("latin-1")
    try:
        found = from_base64url(text, len(TASK_ID))
    except RemoteProtocolError:
        return False
    assert base64url(found) == text
    return True


DAP: dict[str, tuple[Check, bytes]] = {
    **{type(sample).__name__: (partial(takes_struct, type(sample)), sample.encode()) for sample in SAMPLES},
    **{
        f"Dap09{type(sample).__name__}": (partial(takes_struct_09, type(sample)), sample.encode())
        for sample in SAMPLES_09
    },
    "Task": (takes_task, CONFIGURATION.encode()),
    "Dap09Report": (takes_old_upload, encode_upload(OLD_TASK, [OLD_REPORT])),
    "ChosenConfig": (takes_configs, CONFIGS.encode()),
    "DapProblem": (takes_problem, to_document(PROBLEM)),
    "TaskId": (takes_id, base64url(TASK_ID).encode()),
}
"""Each check, and an honest message."""
