"""Whether a task's Helper has the task and accepts our token, by a request that changes nothing there.

The Leader asks for an aggregation job that does not exist; in draft 9, where nobody asks for one, it deletes it. Before
a Helper looks for the job, it has to know the task and whose request it is (sections 3.5 and 4.5.4.2), so its answer
tells what is missing. The draft leaves a Helper some freedom there: it may answer 404 or 400 with no type, and then we
cannot tell.
"""

from enum import StrEnum
from http import HTTPStatus

from ...http.base64url import base64url
from ..problems import DapProblem
from ..store.tasks import TaskRecord
from .helper import JOB_ID_SIZE
from .peer import Peer, PeerUnavailable

NO_JOB = base64url(bytes(JOB_ID_SIZE))


class HelperState(StrEnum):
    """What a Helper says of a task; the values are stored."""

    READY = "ready"
    NO_TASK = "no task"
    OPTS_OUT = "opts out"
    TOKEN_REFUSED = "token refused"
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    UNCLEAR = "unclear"

    @property
    def advice(self) -> str:
        """What it means, and what to do."""
        return _ADVICE[self]

    @property
    def fails(self) -> bool:
        """Whether reports wait for nothing while it is so."""
        return self not in (HelperState.READY, HelperState.UNCLEAR)


_WAIT = "reports are accepted, and wait"
_ADVICE = {
    HelperState.READY: "has the task and accepts our token",
    HelperState.NO_TASK: f"does not have the task: its operator has to add it there, by `secagg dap task add`; {_WAIT}",
    HelperState.OPTS_OUT: f"opts out of the task, which is advertised: its operator takes others; {_WAIT}",
    HelperState.TOKEN_REFUSED: f"refuses our token: the task's files at both must be of one `task new`; {_WAIT}",
    HelperState.UNREACHABLE: f"does not answer: is its URL right, does it run, can this machine reach it? {_WAIT}",
    HelperState.BUSY: f"answers that it is busy or fails: is its URL right? If it lasts, ask its operator; {_WAIT}",
    HelperState.UNCLEAR: "answers, but not so that one can tell: ask its operator whether the task is there",
}


def ask_helper(peer: Peer, record: TaskRecord) -> tuple[HelperState, str]:
    """What a task's Helper says of the task, and its words.

    Args:
        peer: sends the request.
        record: the task.

    Raises:
        PeerUnavailable: it does not answer.
    """
    task = record.task
    job = f"{task.helper_url}/tasks/{task.text}/aggregation_jobs/{NO_JOB}"
    try:
        if task.dialect.resources.helper_waits:
            peer.poll_job(record, f"{job}?step=0")
        else:
            peer.delete_job(record, job)
    except DapProblem as problem:
        return _state(problem), str(problem)
    return HelperState.UNCLEAR, "it succeeds for a job that does not exist"


def state_of(error: PeerUnavailable) -> HelperState:
    """What the failure of a call means.

    Args:
        error: of the call.
    """
    states = {"wrong answer": HelperState.UNCLEAR, "busy": HelperState.BUSY}
    return states.get(error.kind, HelperState.UNREACHABLE)


def _state(problem: DapProblem) -> HelperState:
    if problem.type == "unrecognizedAggregationJob":
        return HelperState.READY
    if problem.type == "unrecognizedTask":
        return HelperState.NO_TASK
    if problem.type == "invalidTask":
        return HelperState.OPTS_OUT
    if problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or problem.type == "unauthorizedRequest":
        return HelperState.TOKEN_REFUSED
    return HelperState.UNCLEAR
