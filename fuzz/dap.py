"""DAP's messages for the fuzzer, and what else a party takes from outside: tasks, uploads of an older dialect, problem
documents, IDs in URLs. Few of the messages say what they are, so bytes of one may well be another."""

from collections.abc import Callable
from dataclasses import is_dataclass
from fractions import Fraction
from functools import partial

from secagg import LocalProtocolError, RemoteProtocolError
from secagg.codec import Struct
from secagg.dap import messages as m
from secagg.dap.dialect import DAP_09, DIALECTS
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.problems import DapProblem, from_response, to_document
from secagg.dap.reports import choose_config, decode_upload, encode_upload
from secagg.dap.task import Task, task_configuration
from secagg.dap.vdafs import vdaf
from secagg.dp import PureDp
from secagg.http.base64url import base64url, from_base64url
from secagg.http.problems import MEDIA_TYPE, NO_TYPE

Check = Callable[[bytes], bool]

STRUCTS: list[type[Struct]] = [
    kind for kind in vars(m).values() if isinstance(kind, type) and issubclass(kind, Struct) and is_dataclass(kind)
]
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
    dialect=DAP_09,
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


def takes_struct(kind: type[Struct], data: bytes) -> bool:
    try:
        struct = kind.decode(data)
    except RemoteProtocolError:
        return False
    assert struct.encode() == data
    return True


def takes_task(data: bytes) -> bool:
    """A configuration that nobody can honour makes no task, and says why by one of two errors."""
    try:
        configuration = m.TaskConfiguration.decode(data)
        task = Task(TASK_ID, configuration)
    except (LocalProtocolError, RemoteProtocolError):
        return False
    assert task.encoded == data
    assert task.dialect in DIALECTS.values()
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
    "Task": (takes_task, CONFIGURATION.encode()),
    "Dap09Report": (takes_old_upload, encode_upload(OLD_TASK, [OLD_REPORT])),
    "ChosenConfig": (takes_configs, CONFIGS.encode()),
    "DapProblem": (takes_problem, to_document(PROBLEM)),
    "TaskId": (takes_id, base64url(TASK_ID).encode()),
}
"""Each check, and an honest message."""
