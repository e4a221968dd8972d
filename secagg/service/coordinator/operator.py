"""The resources of the operator, and those that it shares with participants: sessions, their status and results."""

import json
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ...errors import LocalProtocolError, RemoteProtocolError
from ...http.base64url import base64url
from ...http.bodies import Bodies
from ...protocol.identity import Roster
from ...protocol.params import Model
from ..authentication import parse_content_digest
from ..names import Name
from ..problems import FORBIDDEN, MALFORMED, UNFINISHED, ServiceProblem
from ..refusals import Kind, Refused
from ..resources import (
    CONTENT_DIGEST,
    JSON,
    OCTETS,
    ROUND_NAMES,
    Fields,
    Listed,
    ResultForm,
    deadlines_to_json,
    session_path,
)
from ..rosters import roster_to_json
from .common import json_text, whole_content
from .creation import read_setup
from .gate import Gate
from .limits import Limits
from .live import LiveSession, Published
from .sessions import Sessions

ABORT_BYTES = 1 << 14
REASON_CHARACTERS = 500

_BY_WORD = {str(current): name for current, name in ROUND_NAMES.items()}


class OperatorsResources:
    """What the operator asks for, and in part participants as well.

    Args:
        sessions: all of them.
        gate: knows who may speak.
        bodies: reads requests' contents.
        limits: how much is accepted.
        url: the coordinator's.
    """

    def __init__(self, sessions: Sessions, gate: Gate, bodies: Bodies, limits: Limits, url: str) -> None:
        self._sessions = sessions
        self._gate = gate
        self._bodies = bodies
        self._limits = limits
        self._url = url

    # --- Sessions ---------------------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        """POST /v1/sessions.

        Args:
            request: with a JSON object; see `creation`.
        """
        self._gate.check_operator(request)
        document = await self._document(request, self._limits.request_bytes)
        setup = await self._sessions.work(lambda: read_setup(document, self._sessions.clock()))
        try:
            live = await self._sessions.create(setup)
        except LocalProtocolError as error:  # of a folder that is no session
            raise ServiceProblem(MALFORMED, str(error)) from None
        where = self._where(setup.name)
        status = await live.work(_status, live, where)
        return Response(status, HTTPStatus.CREATED, {"Location": where}, JSON)

    async def list(self, request: Request) -> Response:
        """GET /v1/sessions: all for the operator; for a participant those that it has a place in.

        Args:
            request: of anybody.
        """
        lives = self._sessions.all
        if not self._gate.is_operator(request):
            running = [live for live in lives if live.running.status == "running"]
            own = await self._gate.anybody(request, [live.running.setup for live in running])
            mine = {s.name for s in own}
            lives = [live for live in running if live.name in mine]
        return Response(await self._sessions.work(lambda: _list(lives)), media_type=JSON)

    async def status(self, request: Request) -> Response:
        """GET /v1/sessions/{session}.

        Args:
            request: with the path parameter `session`.
        """
        live = self._sessions.find(request)
        if self._gate.is_operator(request):
            return Response(await live.work(_status, live, self._where(live.name)), media_type=JSON)
        await self._check_participant(request, live)
        return Response(await live.work(_status, live), media_type=JSON)

    async def roster(self, request: Request) -> Response:
        """GET .../roster: in the active model everybody's verification keys, for whoever finds that they differ.

        Args:
            request: with the path parameter `session`.
        """
        live = self._sessions.find(request)
        if not self._gate.is_operator(request):
            await self._check_participant(request, live)
        roster = live.running.setup.roster
        if roster is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(await live.work(_roster, roster), media_type=JSON)

    async def abort(self, request: Request) -> Response:
        """POST .../abort.

        Args:
            request: with the path parameter `session`, and a JSON object with a reason.
        """
        self._gate.check_operator(request)
        live = self._sessions.find(request)
        document = await self._document(request, ABORT_BYTES)
        try:
            reason = Fields(document, "an abort").text("reason").strip()
        except RemoteProtocolError as error:
            raise ServiceProblem(MALFORMED, str(error)) from None
        if not reason.isprintable() or not 1 <= len(reason) <= REASON_CHARACTERS:
            raise ServiceProblem(MALFORMED, f"the reason must be a line of 1 .. {REASON_CHARACTERS} characters")
        if live.running.status != "running":
            described = await live.work(live.running.describe)
            if (described["status"], described["reason"]) == ("aborted", reason):  # the answer to the first was lost
                return Response(await live.work(_status, live, self._where(live.name)), media_type=JSON)
            raise ServiceProblem(str(Kind.OVER), "the session is over", status=HTTPStatus.CONFLICT)
        try:
            await live.deliver(live.running.abort, reason)
        except LocalProtocolError as error:  # it has ended meanwhile, or its sum is being worked out
            raise ServiceProblem(str(Kind.OVER), str(error), status=HTTPStatus.CONFLICT) from None
        return Response(await live.work(_status, live, self._where(live.name)), media_type=JSON)

    # --- Results ----------------------------------------------------------------------------------------------------

    async def result(self, request: Request) -> Response:
        """GET .../result: what is known of the sum.

        Args:
            request: with the path parameter `session`.
        """
        live, result = await self._result(request)
        return Response(await live.work(_form, live, result, self._gate.is_operator(request)), media_type=JSON)

    async def sum(self, request: Request) -> Response:
        """GET .../result/sum: the sum in NumPy's format.

        Args:
            request: with the path parameter `session`.
        """
        _, result = await self._result(request)
        return Response(result.npy, media_type=OCTETS)

    async def _result(self, request: Request) -> tuple[LiveSession, Published]:
        live = self._sessions.find(request)
        if not self._gate.is_operator(request):
            await self._check_participant(request, live)
            if not live.running.setup.results_for_participants:
                raise ServiceProblem(FORBIDDEN, "the result of this session is for its operator")
        try:
            return live, await live.published()
        except Refused as refused:
            if refused.kind is Kind.EARLY:
                raise ServiceProblem(UNFINISHED, refused.detail, retry_after=refused.retry_after) from None
            raise

    def _where(self, session: str) -> str:
        return f"{self._url}{session_path(session)}"

    async def _check_participant(self, request: Request, live: LiveSession) -> None:
        who = await self._gate.participant(request, live.running.setup)
        await live.work(live.user_of, who)

    async def _document(self, request: Request, max_bytes: int) -> Any:
        """The JSON of the operator, who need not state its digest."""
        stated = request.headers.get(CONTENT_DIGEST)
        digest = None if stated is None else parse_content_digest(stated)
        if stated is not None and digest is None:
            raise ServiceProblem(MALFORMED, f"{CONTENT_DIGEST} is malformed")
        content = await whole_content(self._bodies, request, max_bytes, digest)
        return await self._sessions.work(lambda: _read_json(content))


def _read_json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ServiceProblem(MALFORMED, "the content is not JSON") from None


def _list(lives: list[LiveSession]) -> str:
    return json_text({"sessions": [_listed(live).to_json() for live in lives]})


def _roster(roster: Roster) -> str:
    return json_text({"roster": roster_to_json(roster)})


def _form(live: LiveSession, result: Published, named: bool) -> str:
    """What is told of a sum, as JSON."""
    params = live.running.setup.params
    names = _names(live, result.survivors) if named else None
    form = ResultForm(live.name, result.survivors, result.sha256, str(params.dtype), params.m, params.modulus, names)
    return json_text(form.to_json())


def _listed(live: LiveSession) -> Listed:
    setup, running = live.running.setup, live.running
    model, params = _model(setup.params.model), setup.params
    return Listed(setup.name, str(running.status), running.round, model, params.n, params.m, setup.label)


def _status(live: LiveSession, url: str | None = None) -> str:
    """What is told of a session, as JSON: ids and numbers; with a URL, which is for the operator, names as well.

    It blocks, and is long where the session is large.
    """
    setup, described = live.running.setup, live.running.describe()
    params, current = setup.params, described["round"]
    told = {
        **described,
        "session": described["name"],
        "round": None if current is None else _BY_WORD[current],
        "rounds": {_BY_WORD[word]: users for word, users in described["rounds"].items()},
        "model": _model(params.model),
        "length": params.m,
        "modulus": params.modulus,
        "deadlines": deadlines_to_json(setup.deadlines),
        "results": setup.results_for_participants,
        **({} if url is None else {"url": url, "names": live.running.names, "params": base64url(params.encode())}),
    }
    return json_text(told)


def _names(live: LiveSession, users: tuple[int, ...]) -> tuple[Name, ...] | None:
    """Of users, in their order; None where there is a roster."""
    names = live.running.names
    return tuple(names[user] for user in users) if live.running.setup.roster is None else None


def _model(model: Model) -> str:
    return model.name.lower().replace("_", "-")
