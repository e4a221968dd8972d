"""The steps of a Collector (section 4.6) without I/O: what it asks, and what it makes of the answers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import urljoin

from ...arguments import flag, real
from ...dp import Place
from ...errors import RemoteProtocolError, SecAggError, require
from ...http.base64url import base64url
from ...http.problems import NO_TYPE, printable
from ...http.semantics import parse_retry_after, same_origin
from ...http.steps import ANSWER_BYTES, Progress, Request, Response, Retries, Steps, Wait
from ..hpke import HpkeError, PrivateKey
from ..messages import (
    BatchSelector,
    CollectionJobReq,
    CollectionJobResp,
    HpkeCiphertext,
    HpkeConfig,
    Interval,
    Query,
    Role,
)
from ..privacy.estimates import error_bars, estimates
from ..problems import WAITING
from ..secrets import token_header
from ..task import Task
from ..taskprov import advertisement
from .answers import problem, require_media_type, require_success, send

_JOB_ID_SIZE = 16
_MANY_JOBS = 1 << 40  # more than any task has
_LONGEST_PAUSE = 3600.0  # seconds between two polls, whatever the Leader asks for

Batch: TypeAlias = Interval | tuple[float, float] | None
"""What is asked for: an interval, counted in time_precision or as start and duration in seconds; None for the batch
that the Leader selects."""


@dataclass(frozen=True)
class Collection:
    """The aggregate of a batch (section 4.6.6).

    Attributes:
        report_count: the number of reports in it.
        interval: the smallest interval that holds their times, counted in time_precision.
        start: the start of that interval, in POSIX seconds.
        end: its end, in POSIX seconds; the first second after it.
        result: an integer or a list, as the VDAF has it. With the Aggregators' noise it may be negative. Where Clients
            randomize, it is the unbiased estimates, which are fractions.
        error_bars: the bound that each entry's error keeps to, with `confidence` for each entry by itself; in
            `result`'s shape.
        confidence: of the error bars.
        job: the collection job's URL.
        deleted: whether the Leader has forgotten the job. The next query gets a leader-selected job again unless it is
            deleted: call `delete` first.
    """

    report_count: int
    interval: Interval
    start: int
    end: int
    result: Any
    error_bars: Any
    confidence: float
    job: str
    deleted: bool = False


class CollectionPending(SecAggError):
    """A batch is not ready. The Leader goes on with it: the same query finds the same job.

    Attributes:
        reason: what the batch waits for.
        job: the collection job's URL.
    """

    def __init__(self, reason: str, job: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.job = job

    def __reduce__(self) -> tuple[type["CollectionPending"], tuple[str, str]]:
        return CollectionPending, (self.reason, self.job)


class Collecting:
    """The steps of a Collector, for one task.

    Args:
        task: whose batches.
        private_key: to which the Aggregators seal.
        config: the HPKE configuration of this key that the Aggregators have.
        token: that the Leader knows the Collector by; after `DAP-Auth-Token: ` it is shown in that header.
        clock: POSIX seconds.
        retries: how often and how patiently the Leader is asked.

    Raises:
        LocalProtocolError: key and configuration do not belong together, or the token cannot be sent in a header.
    """

    def __init__(
        self,
        task: Task,
        private_key: PrivateKey,
        config: HpkeConfig,
        token: str,
        clock: Callable[[], float],
        retries: Retries,
    ) -> None:
        require(
            config.public_key == private_key.public_bytes, "the HPKE configuration does not belong to the private key"
        )
        self._task = task
        self._key = private_key
        self._config = config
        self._credentials = token_header(token)
        self._clock = clock
        self._retries = retries
        self._resources = task.dialect.resources
        self._url = f"{task.leader_url}/tasks/{task.text}/collection_jobs"

    def collect(
        self, batch: Batch, confidence: float, timeout: float | None, *, keep: bool = False
    ) -> Steps[Collection]:
        """Create the job, poll it, and make the result of it (sections 4.6.1 and 4.6.6).

        Args:
            batch: see `Collector.collect`.
            confidence: of the error bars.
            timeout: seconds until CollectionPending; None to wait as long as the Leader does.
            keep: see `Collector.collect`.
        """
        confidence, timeout = real(confidence, "confidence"), None if timeout is None else real(timeout, "timeout")
        keep = flag(keep, "keep")

        # The query, checked before anything is sent.
        request = self.request(batch)
        error_bars(self._task.privacy, self._task.vdaf, confidence, report_count=1)  # raises now, not after hours

        # Create the collection job (section 4.6.1).
        started = self._clock()
        response, job = yield from self._begin(self._task.dialect.wire.encode_collection_req(request))

        # Poll it until it is ready or has failed (section 3.1).
        while True:
            job = self._location(response, job)
            if not response.successful:
                yield from self._clear(response, job)
            require_success(response, self._clock())
            if response.content:
                break
            if self._forgotten(response):
                raise RemoteProtocolError("the collection job was deleted while its batch was awaited; ask again")
            self._require_job(job)
            yield from self._wait(response, job, started, timeout)
            response = yield from self._ask(self._resources.poll, job)

        # Open and unshard; a leader-selected job is deleted, or the next query would get it again.
        dialect = self._task.dialect
        require_media_type(response, self._resources.media_types.collection_resp, dialect.aggregators_tag)
        result, selector = dialect.wire.decode_collection(response.content, request)
        collection = self.finish(request, result, selector, confidence, job)
        if self._task.by_time or keep:
            return collection
        return replace(collection, deleted=(yield from self._delete_quietly(job)))

    def request(self, batch: Batch) -> CollectionJobReq:
        """The query for a batch (section 4.6.1); the same query has the same bytes.

        Args:
            batch: see `Collector.collect`.

        Raises:
            LocalProtocolError: the task has no such batches.
        """
        task = self._task
        if not task.by_time:
            require(batch is None, "the Leader selects this task's batches: pass None")
            return CollectionJobReq(Query(task.batch_mode, b""))
        require(batch is not None, "this task's batches are intervals of time: pass one")
        interval = batch if isinstance(batch, Interval) else _interval(task, *batch)  # type: ignore[misc]
        require(interval.duration >= 1, f"an interval must last at least {task.time_precision} seconds")
        return CollectionJobReq(Query(task.batch_mode, task.interval_to_wire(interval).encode()))

    def finish(
        self,
        request: CollectionJobReq,
        response: CollectionJobResp,
        selector: BatchSelector,
        confidence: float,
        job: str,
    ) -> Collection:
        """Open both aggregate shares and unshard them (sections 4.6.6 and 4.6.7).

        Args:
            request: the query.
            response: the Leader's answer to it.
            selector: the batch, as far as the Leader has said which.
            confidence: of the error bars.
            job: the collection job's URL.

        Raises:
            RemoteProtocolError: the response is not an answer to the query, or a share does not open.
            LocalProtocolError: the sum of so many reports may be beyond the VDAF's field.
        """
        # Is this an answer to the query?
        task = self._task
        self._check_batch(request, response)

        # OpenBase of both aggregate shares (section 4.6.7).
        prio3, aad = task.prio3, task.agg_share_aad(request, selector)
        sealed = {
            Role.LEADER: response.leader_encrypted_agg_share,
            Role.HELPER: response.helper_encrypted_agg_share,
        }
        shares = [prio3.decode_agg_share(self._open(role, aad, ciphertext)) for role, ciphertext in sealed.items()]

        # Vdaf.unshard (section 4.6.6), then estimates and error bars.
        result = prio3.unshard(
            shares, response.report_count, signed=task.privacy is not None, room=task.noise_room
        )  # fmt: skip
        result, bars = _with_bars(task, result, response.report_count, confidence)
        interval = task.interval_of_wire(response.interval)
        start, end = (time * task.time_precision for time in (interval.start, interval.end))
        return Collection(response.report_count, interval, start, end, result, bars, confidence, job)

    def delete(self, job: str) -> Steps[None]:
        """Delete a collection job (section 4.6.3).

        Args:
            job: its URL.

        Raises:
            DapProblem: the Leader does not know the job.
        """
        self._require_job(job)
        response = yield from self._ask("DELETE", job)
        require_success(response, self._clock())

    def _check_batch(self, request: CollectionJobReq, response: CollectionJobResp) -> None:
        """Check that the answer is to the query, as far as the Collector can see."""
        task = self._task
        if response.report_count < task.min_batch_size:
            raise RemoteProtocolError(
                f"the Leader's result has {response.report_count} reports, and the task requires at least"
                f" {task.min_batch_size}: the result is not shown"
            )
        require(
            response.report_count <= task.max_batch_size,
            f"the batch has {response.report_count:,} reports, and the sum of more than {task.max_batch_size:,} may be"
            " beyond the VDAF's field: the result may be wrong and is not shown; collect shorter intervals, or make"
            " a task with a lower max_measurement",
        )
        if task.by_time and not response.interval.within(Interval.decode(request.query.config)):
            raise RemoteProtocolError("the Leader answers with reports from outside the interval that was asked for")

    def _open(self, role: Role, aad: bytes, sealed: HpkeCiphertext) -> bytes:
        who = role.name.capitalize()
        if sealed.config_id != self._config.id:
            raise RemoteProtocolError(
                f"the {who} sealed its share to HPKE configuration {sealed.config_id}, and ours is {self._config.id}:"
                " its task names another Collector"
            )
        try:
            return self._key.open(sealed.enc, self._task.agg_share_info(role), aad, sealed.payload)
        except HpkeError:
            raise RemoteProtocolError(
                f"the {who}'s aggregate share does not open: its task has another Collector's key or"
                " another configuration than ours, or it was asked another query"
            ) from None

    # HTTP.

    def _begin(self, body: bytes) -> Steps[tuple[Response, str]]:
        """Create the job. Returns the first answer about its state, and its URL if that is known."""
        if not self._resources.chosen_ids:
            return (yield from self._ask("POST", self._url, body)), ""
        response, job = yield from self._put(body, 0)
        if self._forgotten(response):
            response, job = yield from self._put(body, (yield from self._unused_number(body)))
        return response, job

    def _put(self, body: bytes, number: int) -> Steps[tuple[Response, str]]:
        """Create a job under an ID of our choice, which the same query has again."""
        job = self._chosen(body, number)
        response = yield from self._ask("PUT", job, body)
        return ((yield from self._ask(self._resources.poll, job)) if response.successful else response), job

    def _unused_number(self, body: bytes) -> Steps[int]:
        """The number of the first job of this query that is not deleted, where the Leader keeps the IDs of those that
        are: every batch that it has selected was one."""
        low, high = 0, 1
        while (yield from self._is_forgotten(body, high)):
            low, high = high, 2 * high
            if high > _MANY_JOBS:
                raise RemoteProtocolError("the Leader says of any collection job that it was deleted")
        while high - low > 1:
            middle = (low + high) // 2
            if (yield from self._is_forgotten(body, middle)):
                low = middle
            else:
                high = middle
        return high

    def _is_forgotten(self, body: bytes, number: int) -> Steps[bool]:
        return self._forgotten((yield from self._ask(self._resources.poll, self._chosen(body, number))))

    def _forgotten(self, response: Response) -> bool:
        """Whether the Leader says of a job that it was deleted (draft 9, section 4.6.1)."""
        return self._resources.chosen_ids and response.status == HTTPStatus.NO_CONTENT

    def _chosen(self, body: bytes, number: int) -> str:
        """The URL of a query's job with this number. Its ID follows from the query, so that a Collector that was
        interrupted finds the job again."""
        named = self._task.id + number.to_bytes(8, "big") + body
        return f"{self._url}/{base64url(sha256(named).digest()[:_JOB_ID_SIZE])}"

    def _ask(self, method: str, url: str, body: bytes = b"") -> Steps[Response]:
        headers = {**self._credentials, **advertisement(self._task)}
        if body:
            headers["Content-Type"] = self._resources.media_types.collection_req
        max_bytes = ANSWER_BYTES + 2 * self._task.prio3.OUT_SHARE_SIZE
        request = Request(method, url, headers, body, max_bytes)
        return (yield from send(request, clock=self._clock, retries=self._retries))

    def _location(self, response: Response, before: str) -> str:
        """The job's URL; empty as long as the Leader has not named it."""
        given = response.headers.get("location")
        if given is None:
            return before
        try:
            job = urljoin(before or self._url, given)
            self._require_job(job)
        except ValueError:
            raise RemoteProtocolError("the Leader's Location of the collection job is not a URL") from None
        return job

    def _require_job(self, job: str) -> None:
        """Check that a job's URL is at the Leader: our token goes nowhere else."""
        if not same_origin(job, self._url):
            where = f"at {job!r}, which is not the Leader's" if job else "nowhere"
            raise RemoteProtocolError(f"the Leader says that the collection job is {where}")

    def _wait(self, response: Response, job: str, started: float, timeout: float | None) -> Steps[None]:
        now = self._clock()
        asked = parse_retry_after(response.headers.get("retry-after"), now)
        pause = min(_LONGEST_PAUSE, max(0.1, 1.0 if asked is None else asked))
        reason = printable(response.headers.get(WAITING.lower(), ""))
        if timeout is not None:
            left = started + timeout - now
            if left <= 0:
                raise CollectionPending(
                    f"the batch is not ready after {timeout:g} s{': ' * bool(reason)}{reason}; ask again later: the"
                    " Leader goes on with the job",
                    job,
                )
            pause = min(pause, left)
        yield Progress(now - started, pause, reason)
        yield Wait(pause)

    def _clear(self, response: Response, job: str) -> Steps[None]:
        """Delete a leader-selected job that has failed for good: it would answer every query."""
        failed = 400 <= response.status < 500 and problem(response, self._clock()).type != NO_TYPE
        if failed and not self._task.by_time:
            yield from self._delete_quietly(job)

    def _delete_quietly(self, job: str) -> Steps[bool]:
        """Delete a job. Returns whether it is deleted: a result in hand is worth more than an error."""
        try:
            if job:
                yield from self.delete(job)
        except SecAggError:
            return False
        return bool(job)


def _interval(task: Task, start: float, duration: float) -> Interval:
    """An interval counted in time_precision, from POSIX seconds."""
    start, duration, precision = real(start, "start"), real(duration, "duration"), task.time_precision
    require(
        start >= 0 and start % precision == 0 and duration % precision == 0,
        f"start and duration must be multiples of the task's time_precision, {precision} seconds",
    )
    return Interval(int(start // precision), int(duration // precision))


def _with_bars(task: Task, result: Any, report_count: int, confidence: float) -> tuple[Any, Any]:
    """The unbiased result and its error bars, both in the result's shape."""
    privacy, local = task.privacy, task.privacy is not None and task.privacy.place is Place.LOCAL
    unbiased = estimates(privacy, task.vdaf, result, report_count)
    bars = error_bars(privacy, task.vdaf, confidence, report_count, unbiased)
    shaped = (unbiased[0], bars[0]) if isinstance(result, int) else (unbiased, bars)
    return shaped if local else (result, shaped[1])
