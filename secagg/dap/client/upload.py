"""The Client (section 4.4): it makes reports of measurements, and uploads them.

    with Client(task) as client:
        result = client.upload([3, 1, 4])

`AsyncClient` is the same with `await`. Both run the steps of `_Uploader`, which does no I/O.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import anyio
import httpx

from ...arguments import whole
from ...errors import RemoteProtocolError, SecAggError
from ...http.problems import printable
from ...http.steps import ANSWER_BYTES, Request, Response, Retries, Steps, Unreachable, run, run_async
from ...shamir import RandomBytes
from ..admission import check_endpoints
from ..media_types import UPLOAD_ERRORS
from ..messages import ReportError, Role, UploadErrors
from ..problems import REFUSED
from ..reports import encode_upload, randomize, report_size, seal_reports
from ..secrets import token_header
from ..task import Task
from ..taskprov import advertisement
from .answers import problem, require_media_type, require_success, send
from .hpke_configs import Configs

__all__ = ["AsyncClient", "Client", "UploadInterrupted", "UploadResult"]

MAX_BODY = 1 << 20  # bytes of a request with several reports
TIMEOUT = 30.0  # seconds, of our own HTTP clients
_STATUS_SIZE = 17
_DAP_09_ERRORS = {
    "outdatedConfig": ReportError.OUTDATED_CONFIG,
    "reportRejected": ReportError.REPORT_DROPPED,
    "reportTooEarly": ReportError.REPORT_TOO_EARLY,
}


_OUTDATED = {ReportError.HPKE_UNKNOWN_CONFIG_ID, ReportError.OUTDATED_CONFIG}
"""Errors after which a Client fetches the configurations again and makes the report anew."""

_LASTING = {
    ReportError.REPORT_TOO_EARLY,
    ReportError.TASK_NOT_STARTED,
    ReportError.INVALID_MESSAGE,
    ReportError.UNSUPPORTED_EXTENSION,
}
"""Errors that the same bytes would have had at any time before, too."""


@dataclass(frozen=True)
class UploadResult:
    """What became of measurements: each report was accepted or refused, or its outcome is unknown.

    The Leader takes a report once. Suppose that the answer to a first attempt is lost, and that the Leader refuses the
    second one. Then either the Leader took the report at the first attempt, or meanwhile its batch was collected, the
    task ended or a key was replaced.

    Attributes:
        accepted: the number of reports that the Leader has accepted.
        errors: why it refused others, by their position among the measurements.
        unknown: positions of reports that it has either accepted or refused. Measured and sent anew, they may count
            twice.
        collected: what the Leader says of the collected batches that refused reports, in words; may be empty.
    """

    accepted: int
    errors: Mapping[int, ReportError]
    unknown: Sequence[int] = ()
    collected: str = ""


class UploadInterrupted(SecAggError):
    """An upload ended early; its cause is the exception's `__cause__`.

    `resume` continues the upload, and counts no measurement twice: reports that may have arrived are sent again byte
    for byte, and the Leader takes each once.

    Attributes:
        reason: what happened and what to do, in words.
        result: what is known so far.
    """

    def __init__(self, reason: str, upload: "_Upload") -> None:
        super().__init__(reason)
        self.reason = reason
        self._upload = upload

    @property
    def result(self) -> UploadResult:
        """What is known so far."""
        return self._upload.result

    def __reduce__(self) -> tuple[type["UploadInterrupted"], tuple[str, "_Upload"]]:
        return UploadInterrupted, (self.reason, self._upload)


@dataclass(repr=False)
class _Sent:
    """A request that the Leader has not answered yet.

    Attributes:
        positions: of its reports' measurements.
        ids: of its reports.
        body: the request's content.
        doubtful: whether it was sent before and got no answer: the Leader may have accepted its reports then.
    """

    positions: Sequence[int]
    ids: Sequence[bytes]
    body: bytes
    doubtful: bool = False


@dataclass(repr=False)
class _Upload:
    """Where an upload stands. Each measurement is in one of five places: waiting, sent, accepted, refused, unknown."""

    values: Any
    waiting: deque[int]
    sent: _Sent | None = None
    accepted: int = 0
    errors: dict[int, ReportError] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    renewed: set[int] = field(default_factory=set)  # whose report was made anew, which happens once
    collected: str = ""

    @property
    def result(self) -> UploadResult:
        unknown = self.unknown.union(() if self.sent is None else self.sent.positions)
        return UploadResult(self.accepted, dict(sorted(self.errors.items())), tuple(sorted(unknown)), self.collected)

    def settle(self, errors: Mapping[int, ReportError]) -> bool:
        """Enter an answer of the Leader, with its errors by position. Returns whether a configuration is outdated."""
        assert self.sent is not None
        outdated = {i for i, error in errors.items() if error in _OUTDATED}
        unknown = {i for i, error in errors.items() if self.sent.doubtful and error not in _LASTING}
        again = outdated - unknown - self.renewed
        self.accepted += len(self.sent.positions) - len(errors)
        self.errors.update((i, error) for i, error in errors.items() if i not in again | unknown)
        self.unknown |= unknown
        self.renewed |= again
        self.waiting.extend(sorted(again))
        self.sent = None
        return bool(outdated)

    def refuse(self) -> None:
        """Enter that the Leader has accepted neither the request nor any of its reports: they wait again."""
        assert self.sent is not None
        self.waiting.extendleft(reversed(self.sent.positions))
        self.sent = None


class _Uploader:
    """The steps of both clients."""

    def __init__(
        self,
        task: Task,
        clock: Callable[[], float],
        rand: RandomBytes,
        retries: Retries,
        max_body: int,
        token: str | None,
    ) -> None:
        self._task = task
        self._credentials = {} if token is None else token_header(token)
        self._clock = clock
        self._rand = rand
        self._retries = retries
        self._configs = Configs(task, clock, retries)
        self._batch = max(1, whole(max_body, "max_body") // report_size(task)) if task.dialect.bulk else 1

    def begin(self, measurements: Any) -> _Upload:
        """An upload of measurements. Raises ValueError before anything is sent if one is out of range."""
        values = randomize(self._task, measurements, rand=self._rand)
        return _Upload(values, deque(range(len(values))))

    def steps(self, upload: _Upload) -> Steps[UploadResult]:
        """Make and send reports, one request after the other, until none is left."""
        try:
            # One request at a time; one that got no answer is sent again byte for byte.
            while upload.waiting or upload.sent is not None:
                if upload.sent is None:
                    upload.sent = yield from self._make(upload)
                errors = yield from self._send(upload, upload.sent)
                if upload.settle(errors):
                    self._configs.forget()
        # Nothing arrived: raise the error itself. Otherwise the caller can resume.
        except SecAggError as error:
            if not upload.accepted and not upload.unknown and upload.sent is None:
                raise
            raise UploadInterrupted(_advice(upload, error), upload) from error
        return upload.result

    def _send(self, upload: _Upload, sent: _Sent) -> Steps[dict[int, ReportError]]:
        """Send a request; the errors in its answer, by position."""
        # Until there is an answer, the request may have arrived.
        sent.doubtful, doubtful = True, sent.doubtful
        try:
            response = yield from send(self._request(sent), clock=self._clock, retries=self._retries)
        except Unreachable as error:
            sent.doubtful = doubtful or error.doubtful
            if not sent.doubtful:
                upload.refuse()
            raise

        # Some attempt may have arrived although its answer was lost.
        sent.doubtful = doubtful or response.doubtful
        upload.collected = printable(response.headers.get(REFUSED.lower(), "")) or upload.collected
        try:
            return self._errors(sent, response)
        except SecAggError:
            if 300 <= response.status < 500 and not sent.doubtful:
                upload.refuse()
            raise

    def _make(self, upload: _Upload) -> Steps[_Sent]:
        leader = yield from self._configs.get(Role.LEADER)
        helper = yield from self._configs.get(Role.HELPER)
        positions = [upload.waiting.popleft() for _ in range(min(self._batch, len(upload.waiting)))]
        reports = seal_reports(
            self._task, leader, helper, upload.values[positions], self._clock(), rand=self._rand
        )  # fmt: skip
        ids = [report.report_metadata.report_id for report in reports]
        return _Sent(positions, ids, encode_upload(self._task, reports))

    def _request(self, sent: _Sent) -> Request:
        dialect = self._task.dialect
        return Request(
            dialect.upload_method,
            f"{self._task.leader_url}/tasks/{self._task.text}/reports",
            {"Content-Type": dialect.upload_media_type, **advertisement(self._task), **self._credentials},
            sent.body,
            max_bytes=max(ANSWER_BYTES, _STATUS_SIZE * len(sent.ids)),
        )

    def _errors(self, sent: _Sent, response: Response) -> dict[int, ReportError]:
        """The errors in an answer, by position."""
        if not self._task.dialect.bulk:
            return self._error_of_one(sent, response)
        require_success(response, self._clock())
        if not response.content:
            return {}
        require_media_type(response, UPLOAD_ERRORS, self._task.dialect.tag)
        positions = dict(zip(sent.ids, sent.positions, strict=True))
        errors = {}
        for status in UploadErrors.decode(response.content).status:
            if status.id not in positions:
                raise RemoteProtocolError("the Leader's answer names a report that it was not sent, or names one twice")
            errors[positions.pop(status.id)] = self._task.dialect.report_error(status.error)
        return errors

    def _error_of_one(self, sent: _Sent, response: Response) -> dict[int, ReportError]:
        """The errors in an answer of DAP-09, which has problem documents instead of UploadErrors."""
        if not response.successful:
            error = _DAP_09_ERRORS.get(problem(response, self._clock()).type)
            if error is not None:
                return {sent.positions[0]: error}
        require_success(response, self._clock())
        return {}


def _advice(upload: _Upload, error: SecAggError) -> str:
    return (
        f"upload interrupted with {upload.accepted} of {len(upload.values)} reports accepted: {error}."
        " To go on, pass this error to resume(); uploading the measurements anew would count some of them twice"
    )


class Client:
    """Uploads measurements of one task (section 4.4).

    Args:
        task: of the measurements.
        token: that the Leader's operator has given to this Client, if it takes uploads from such alone; the Helper
            never sees it.
        http: an `httpx.Client` with certificates, proxies and headers as you need them; by default one that is closed
            with this client.
        clock: POSIX seconds.
        rand: cryptographic randomness.
        retries: how often and how patiently a server is asked where the network fails or the server is busy.
        max_body: bytes of a request with several reports; a single report may be longer.
        sleep: waits for a number of seconds.
        allow_http: whether http may lead to other machines than this one, in a network where nobody listens.

    Raises:
        LocalProtocolError: the task's URLs are refused, see `secagg.dap.admission.check_endpoints`; or the token cannot
            be sent in a header.
    """

    def __init__(
        self,
        task: Task,
        *,
        token: str | None = None,
        http: httpx.Client | None = None,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
        retries: Retries = Retries(),  # noqa: B008  # immutable
        max_body: int = MAX_BODY,
        sleep: Callable[[float], None] = time.sleep,
        allow_http: bool = False,
    ) -> None:
        check_endpoints(task, allow_http=allow_http)
        self._uploader = _Uploader(task, clock, rand, retries, max_body, token)
        self._sleep = sleep
        self._owned = http is None
        self._http = http or httpx.Client(timeout=TIMEOUT)

    def upload(self, measurements: Any) -> UploadResult:
        """Make a report of each measurement, and upload it (sections 4.4.2.1 and 4.4.2).

        Args:
            measurements: [n, ...], as the task's VDAF takes them; where Clients encode buckets, [n], their numbers.

        Raises:
            ValueError: a measurement is out of range; nothing was sent.
            DapProblem: a server refuses the request; no report was accepted.
            Unreachable: a server cannot be reached; no report was sent.
            RemoteProtocolError: a server's answer is not what the draft allows; no report was accepted.
            UploadInterrupted: the upload ended early for any reason, and some reports may have arrived; see `resume`.
        """
        return run(self._http, self._uploader.steps(self._uploader.begin(measurements)), self._sleep)

    def resume(self, interrupted: UploadInterrupted) -> UploadResult:
        """Go on with an upload; returns and raises what `upload` would for all its measurements.

        Args:
            interrupted: what `upload` or `resume` has raised.
        """
        return run(self._http, self._uploader.steps(interrupted._upload), self._sleep)

    def close(self) -> None:
        """Close the HTTP client, unless it was passed in."""
        if self._owned:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncClient:
    """`Client` for asyncio and trio; `http` is an `httpx.AsyncClient`.

    Args:
        task: see `Client`.
        token: see `Client`.
        http: an `httpx.AsyncClient`; by default one that is closed with this client.
        clock: POSIX seconds.
        rand: cryptographic randomness.
        retries: see `Client`.
        max_body: see `Client`.
        sleep: a coroutine function that waits for a number of seconds.
        allow_http: see `Client`.

    Raises:
        LocalProtocolError: see `Client`.
    """

    def __init__(
        self,
        task: Task,
        *,
        token: str | None = None,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
        retries: Retries = Retries(),  # noqa: B008  # immutable
        max_body: int = MAX_BODY,
        sleep: Callable[[float], Any] = anyio.sleep,
        allow_http: bool = False,
    ) -> None:
        check_endpoints(task, allow_http=allow_http)
        self._uploader = _Uploader(task, clock, rand, retries, max_body, token)
        self._sleep = sleep
        self._owned = http is None
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT)

    async def upload(self, measurements: Any) -> UploadResult:
        """See `Client.upload`.

        Args:
            measurements: [n, ...], as the task's VDAF takes them; where Clients encode buckets, [n], their numbers.
        """
        return await run_async(self._http, self._uploader.steps(self._uploader.begin(measurements)), self._sleep)

    async def resume(self, interrupted: UploadInterrupted) -> UploadResult:
        """See `Client.resume`.

        Args:
            interrupted: what `upload` or `resume` has raised.
        """
        return await run_async(self._http, self._uploader.steps(interrupted._upload), self._sleep)

    async def aclose(self) -> None:
        """Close the HTTP client, unless it was passed in."""
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()
