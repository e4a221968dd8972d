"""What a test runner sends: JSON objects, from which tasks are read."""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ...errors import LocalProtocolError, RemoteProtocolError, SecAggError
from ...http.base64url import from_base64url
from ...http.bodies import Bodies, Disconnected, Refusal
from ...http.bounds import Bounds
from ...http.semantics import parse_media_type
from ..messages import TASK_ID_SIZE, BatchMode, Interval
from ..task import Task, task_configuration
from ..vdafs import Vdaf, vdaf

PREFIX = "/internal/test"
TASK_INFO = b"task-info"
_BYTES_MAX = 1 << 20  # of a request
_DIGITS_MAX = 40  # of a number

Work = Callable[["Command"], Awaitable[dict[str, Any]]]


class Command:
    """A request's object. What it has beside the fields that are asked for says nothing.

    Args:
        fields: the object.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    @classmethod
    def parse(cls, body: bytes) -> "Command":
        """The object of a request.

        Args:
            body: the request's content.

        Raises:
            RemoteProtocolError: it is no JSON object.
        """
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise RemoteProtocolError("a JSON object expected")
        return cls(fields)

    def has(self, name: str) -> bool:
        """Whether there is such a field, and it is not null.

        Args:
            name: of the field.
        """
        return self._fields.get(name) is not None

    def text(self, name: str) -> str:
        """Text.

        Args:
            name: of the field.
        """
        value = self._fields.get(name)
        if not isinstance(value, str):
            raise RemoteProtocolError(f"{name} must be text")
        return value

    def data(self, name: str, size: int | None = None) -> bytes:
        """Bytes, in base64url.

        Args:
            name: of the field.
            size: how many; None for any number.
        """
        return from_base64url(self.text(name), size, name=name)

    def number(self, *names: str, default: int | None = None) -> int:
        """A number of JSON, under the first of the names that there is.

        Args:
            names: of the field.
            default: where there is none of them; None if there must be one.
        """
        value = next((self._fields[name] for name in names if self.has(name)), default)
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise RemoteProtocolError(f"{names[0]} must be a number")
        return value

    def decimal(self, name: str) -> int:
        """A number of VDAFs: in base 10, as text.

        Args:
            name: of the field.
        """
        return decimal(self._fields.get(name), name)

    def inner(self, name: str) -> "Command":
        """An object.

        Args:
            name: of the field.
        """
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise RemoteProtocolError(f"{name} must be an object")
        return Command(value)

    def measurement(self) -> Any:
        """A measurement: a number of a VDAF, or an array of such numbers."""
        value = self._fields.get("measurement")
        if isinstance(value, list):
            return [decimal(each, "measurement") for each in value]
        return decimal(value, "measurement")


def decimal(value: object, name: str) -> int:
    """A number in base 10.

    Args:
        value: text of digits.
        name: of the field, for the error.

    Raises:
        RemoteProtocolError: it is something else.
    """
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > _DIGITS_MAX:
        raise RemoteProtocolError(f"{name} must be a number in base 10, as text")
    return int(value)


def read_vdaf(command: Command) -> Vdaf:
    """The VDAF of an object (section 4.1.1).

    Args:
        command: the object.

    Raises:
        RemoteProtocolError: it is malformed.
        LocalProtocolError: there is no such VDAF here.
    """
    given = {name: command.decimal(name) for name in ("length", "chunk_length", "max_weight") if command.has(name)}
    if command.has("max_measurement"):
        given["max_measurement"] = command.decimal("max_measurement")
    elif command.has("bits"):
        bits = command.decimal("bits")
        if not 1 <= bits <= 64:
            raise RemoteProtocolError("bits must be 1 .. 64")
        given["max_measurement"] = (1 << bits) - 1
    return vdaf(command.text("type").removeprefix("Prio3"), **given)


def read_task(command: Command) -> Task:
    """The task of a request.

    Args:
        command: the request.

    Raises:
        RemoteProtocolError: the request is malformed.
        LocalProtocolError: the task asks for something that this package does not do.
    """
    mode = command.number("batch_mode", "query_type", default=int(BatchMode.TIME_INTERVAL))
    if mode not in {known.value for known in BatchMode}:
        raise RemoteProtocolError("batch_mode must be 1 or 2")
    precision = command.number("time_precision")
    configuration = task_configuration(
        task_info=TASK_INFO,
        leader_url=command.text("leader"),
        helper_url=command.text("helper"),
        time_precision=precision,
        min_batch_size=command.number("min_batch_size", default=1),
        batch_mode=BatchMode(mode),
        vdaf=read_vdaf(command.inner("vdaf")),
        interval=_interval(command, precision),
    )
    return Task(command.data("task_id", TASK_ID_SIZE), configuration)


def _interval(command: Command, precision: int) -> Interval | None:
    if not command.has("task_start") and not command.has("task_end"):
        return None
    start, end = command.number("task_start") // max(1, precision), command.number("task_end") // max(1, precision)
    if start >= end:
        raise RemoteProtocolError("task_end must be after task_start")
    return Interval(start, end - start)


def routes(works: Mapping[str, Work], bodies: Bodies | None = None) -> list[Route]:
    """Resources under PREFIX, which answer POST.

    Args:
        works: what each does with a command: it returns the fields of its answer, or raises.
        bodies: reads requests' contents.
    """
    reader = Bodies(Bounds()) if bodies is None else bodies
    return [Route(f"{PREFIX}/{name}", _answering(work, reader), methods=["POST"]) for name, work in works.items()]


async def ready(command: Command) -> dict[str, Any]:
    """`ready`: as soon as there is an answer.

    Args:
        command: an empty object.
    """
    return {}


def _answering(work: Work, bodies: Bodies) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        kind = parse_media_type(request.headers.get("content-type", ""))
        if kind is None or kind[0] != "application/json":  # a page in a browser cannot send it without asking first
            return _failed("Content-Type must be application/json", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        try:
            async with bodies.read(request.scope, request.receive, _BYTES_MAX) as body:
                command = Command.parse(body)
        except RemoteProtocolError as error:
            return _failed(str(error), HTTPStatus.BAD_REQUEST)
        except Refusal as refusal:
            return _failed(str(refusal), HTTPStatus(refusal.status))
        except Disconnected:
            return Response(status_code=499)
        try:
            return JSONResponse({"status": "success", **await work(command)})
        except (SecAggError, ValueError) as error:  # measurements out of range are ValueErrors
            return _failed(str(error), HTTPStatus.OK)

    return answer


def _failed(reason: str, status: HTTPStatus) -> JSONResponse:
    return JSONResponse({"status": "error", "error": reason}, status)


def require_loopback(host: str) -> None:
    """Refuse to offer the API to other machines.

    Args:
        host: where a server listens, as the system writes its address.

    Raises:
        LocalProtocolError: others could reach it.
    """
    if not (host == "::1" or host.startswith("127.")):
        raise LocalProtocolError(
            f"the interop test API is for loopback only, and would listen on {host}: anybody could add tasks and read"
            " results. Listen on 127.0.0.1"
        )
