"""HTTP for clients: a generator has the requests in their order, and a blocking or an asynchronous driver runs it.

A generator of `Steps` yields requests, waits and progress, and is sent answers. It does no I/O, and the drivers know
nothing of DAP.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx

from ..arguments import convert, real, whole
from ..errors import RemoteProtocolError, SecAggError
from .semantics import TEMPORARY, parse_retry_after

__all__ = ["Notify", "Progress", "Retries", "Unreachable"]

T = TypeVar("T")
ANSWER_BYTES = 1 << 16  # of an answer that says nothing but how it went


@dataclass(frozen=True, repr=False)
class Request:
    """One request.

    Attributes:
        method: of HTTP, such as GET.
        url: the whole URL.
        headers: by name.
        content: the request's body.
        max_bytes: how many bytes of an answer are read; a longer answer is refused.
        seconds: how long the answer's content may take; a slower answer is refused. None leaves that to the client's
            timeouts.
        timeout: seconds that each wait for the network may take; None for the client's timeouts.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    max_bytes: int = ANSWER_BYTES
    seconds: float | None = None
    timeout: float | None = None


@dataclass(frozen=True, repr=False)
class Response:
    """An answer, read to its end.

    Attributes:
        status: of HTTP.
        headers: by name in lower case.
        content: the answer's body.
        doubtful: whether the request may have arrived before, and its answer was lost.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    doubtful: bool = False

    @property
    def successful(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Wait:
    """Go on after a pause.

    Attributes:
        seconds: how long.
    """

    seconds: float


@dataclass(frozen=True)
class Progress:
    """What a caller may be told while it waits.

    Attributes:
        waited: seconds since the beginning.
        pause: seconds until the server is asked again.
        reason: what the server waits for, if it says so; otherwise empty.
    """

    waited: float
    pause: float
    reason: str = ""

    def __post_init__(self) -> None:
        convert(self, real, "waited", "pause")


class Unreachable(SecAggError):
    """A server gave no answer, after several attempts.

    Attributes:
        doubtful: whether the request may have arrived all the same.
    """

    def __init__(self, reason: str, *, doubtful: bool = True) -> None:
        super().__init__(reason)
        self.doubtful = doubtful


class Busy(SecAggError):
    """A server says that it is busy, after several attempts.

    Attributes:
        response: its last answer.
    """

    def __init__(self, host: str, response: Response) -> None:
        super().__init__(f"{host} is busy (HTTP {response.status}); try again later")
        self.response = response


@dataclass(frozen=True)
class Failure:
    """No answer came.

    Attributes:
        kind: the name of the error.
        detail: what the network or the library says of it; may be empty, and may name addresses.
        arrived: whether the request itself may have arrived.
    """

    kind: str
    detail: str
    arrived: bool

    @property
    def reason(self) -> str:
        """Kind and detail, for a message."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


Step: TypeAlias = Request | Wait | Progress
"""What a generator of steps yields."""

Reply: TypeAlias = Response | Failure | RemoteProtocolError | None
"""What it is sent: the outcome of a Request, and None after any other step."""

Steps: TypeAlias = Generator[Step, Reply, T]
"""A generator of steps that returns a T."""

Notify: TypeAlias = Callable[[Progress], None]
"""Is told each Progress."""


@dataclass(frozen=True)
class Retries:
    """How often, and how patiently, a request is sent again where the network fails or the server says that it is busy.

    Attributes:
        attempts: the largest number of times that it is sent.
        longest: the longest pause between two attempts, in seconds; a server that asks for more gets no further
            attempt.
    """

    attempts: int = 5
    longest: float = 60.0

    def __post_init__(self) -> None:
        convert(self, whole, "attempts")
        convert(self, real, "longest")


def send(request: Request, *, clock: Callable[[], float], retries: Retries) -> Steps[Response]:
    """Send the same bytes until there is an answer other than "busy".

    Args:
        request: what to send.
        clock: POSIX seconds.
        retries: how often and how patiently.

    Raises:
        Busy: the server stays busy, or asks for a longer pause than `retries` allows.
        Unreachable: no answer came.
        RemoteProtocolError: an answer is longer or slower than the request allows, or is compressed.
    """
    host = urlsplit(request.url).netloc
    attempt, doubtful = 0, False
    while True:
        attempt += 1
        reply = yield request

        # An answer other than "busy" ends this.
        if isinstance(reply, RemoteProtocolError):
            raise reply
        if isinstance(reply, Response) and reply.status not in TEMPORARY:
            return replace(reply, doubtful=doubtful)

        # Busy, or no answer: a later attempt may succeed.
        asked: float | None = None
        error: Busy | Unreachable
        if isinstance(reply, Response):
            doubtful = True
            asked = parse_retry_after(reply.headers.get("retry-after"), clock())
            error = Busy(host, reply)
        else:
            assert isinstance(reply, Failure)
            doubtful = doubtful or reply.arrived
            reason = f"{host} does not answer: {reply.reason}; check its URL and the network"
            error = Unreachable(reason, doubtful=doubtful)

        # Pause as long as the server asks, or twice as long as before.
        pause = 0.5 * 2 ** (attempt - 1) if asked is None else asked
        if attempt >= retries.attempts or pause > retries.longest:
            raise error
        yield Wait(pause)


# Drivers.


@dataclass(frozen=True)
class _Done(Generic[T]):
    value: T


def _advance(steps: Steps[T], reply: Reply) -> Step | _Done[T]:
    try:
        return steps.send(reply)
    except StopIteration as end:
        return _Done(end.value)


_FAULTS = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)  # the last for host names that IDNA does not have
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL, UnicodeError)
_IDENTITY = {"Accept-Encoding": "identity"}  # what unpacks has no size that a limit could be put on


def run(
    http: httpx.Client, steps: Steps[T], sleep: Callable[[float], None] = time.sleep, notify: Notify | None = None
) -> T:
    """Run the steps to their end, and return what they return.

    Args:
        http: sends the requests.
        steps: a generator of requests, waits and progress.
        sleep: waits for a number of seconds.
        notify: is told each progress; None for nobody.
    """
    reply: Reply = None
    while True:
        step = _advance(steps, reply)
        reply = None
        if isinstance(step, _Done):
            return step.value
        if isinstance(step, Request):
            reply = perform(http, step)
        elif isinstance(step, Wait):
            sleep(step.seconds)
        elif notify is not None:
            notify(step)


async def run_async(
    http: httpx.AsyncClient, steps: Steps[T], sleep: Callable[[float], Any] = anyio.sleep, notify: Notify | None = None
) -> T:
    """`run` under asyncio or trio. The steps compute on a thread, so that the event loop goes on meanwhile.

    Args:
        http: sends the requests.
        steps: a generator of requests, waits and progress.
        sleep: waits for a number of seconds.
        notify: is told each progress; None for nobody.
    """
    reply: Reply = None
    while True:
        step = await on_thread(partial(_advance, steps, reply))
        reply = None
        if isinstance(step, _Done):
            return step.value
        if isinstance(step, Request):
            reply = await perform_async(http, step)
        elif isinstance(step, Wait):
            await sleep(step.seconds)
        elif notify is not None:
            notify(step)


async def on_thread(act: Callable[[], T]) -> T:
    """What a function returns or raises, on a thread. Whoever is cancelled waits for it, also where asyncio itself
    cancels, of which `to_thread` knows nothing: a generator that computes cannot be closed.

    Args:
        act: what to do.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def noted() -> None:
        try:
            returned.append(act())
        except BaseException as error:
            raised.append(error)

    async with anyio.create_task_group() as tasks:  # which waits for its tasks, whoever cancels
        tasks.start_soon(anyio.to_thread.run_sync, noted)
    if raised:
        raise raised[0]
    return returned[0]


def perform(http: httpx.Client, request: Request) -> Response | Failure | RemoteProtocolError:
    """Send one request, and read the answer as far as the request allows.

    Args:
        http: sends it.
        request: what to send.

    Returns:
        The answer; a Failure if none came; a RemoteProtocolError if it is not one that the request allows.
    """
    body = _Body(request)
    try:
        with http.stream(**_stated(request)) as response:
            if body.begins(response):
                for chunk in response.iter_bytes():
                    if not body.takes(chunk):
                        break
    except _FAULTS as error:
        return _failure(error)
    return body.reply(response)


async def perform_async(http: httpx.AsyncClient, request: Request) -> Reply:
    """`perform` under asyncio or trio.

    Args:
        http: sends the request.
        request: what to send.
    """
    body = _Body(request)
    try:
        async with http.stream(**_stated(request)) as response:
            if body.begins(response):
                async for chunk in response.aiter_bytes():
                    if not body.takes(chunk):
                        break
    except _FAULTS as error:
        return _failure(error)
    return body.reply(response)


def _stated(request: Request) -> dict[str, Any]:
    """What httpx is told."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": {**_IDENTITY, **request.headers},
        "content": request.content,
        "timeout": httpx.USE_CLIENT_DEFAULT if request.timeout is None else request.timeout,
    }


def _failure(error: Exception) -> Failure:
    return Failure(type(error).__name__, str(error), arrived=not isinstance(error, _UNSENT))


class _Body:
    """An answer's content, read as far as the request allows."""

    def __init__(self, request: Request) -> None:
        self._max_bytes = request.max_bytes
        self._seconds = request.seconds
        self._end = None if request.seconds is None else time.monotonic() + request.seconds
        self._chunks: list[bytes] = []
        self._size = 0
        self._fault = ""

    def begins(self, response: httpx.Response) -> bool:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            self._fault = "a server's answer is compressed, although we did not ask for that"
        return not self._fault

    def takes(self, chunk: bytes) -> bool:
        self._size += len(chunk)
        if self._size > self._max_bytes:
            self._fault = f"a server's answer has more than {self._max_bytes:,} bytes, more than it may have"
            return False
        if self._end is not None and time.monotonic() > self._end:
            self._fault = f"a server's answer takes longer than {self._seconds:g} s"
            return False
        self._chunks.append(chunk)
        return True

    def reply(self, response: httpx.Response) -> Response | RemoteProtocolError:
        if self._fault:
            return RemoteProtocolError(self._fault)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status_code, headers, b"".join(self._chunks))
