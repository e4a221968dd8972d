"""The resources of participants: join, the next request by long poll, and the answer of a round."""

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ...http.bodies import Bodies, check_declared
from ...http.capacity import Capacity
from ...http.semantics import parse_media_type
from ...http.signals import Signal, first_of
from ...protocol.messages import Round
from ..journal import INLINE_BYTES, Spool
from ..names import Name
from ..problems import FORBIDDEN, MALFORMED, OTHER_TYPE, ServiceProblem
from ..refusals import Kind, Refused
from ..resources import OCTETS, ROUND, ROUND_NAMES, Announcement, parse_round
from ..sizes import answer_bytes
from .common import json_response, other_content, whole_content
from .gate import Gate, stated_digest
from .limits import Limits
from .live import LiveSession
from .metrics import Metrics
from .sessions import Sessions

EMPTY_BYTES = 1024  # of a request to join or to leave, which has nothing to say
DISK_SECONDS = 5.0  # before another try where the disk takes nothing
NOT_NOW = 1.0  # before another try of a request that was not let wait

_USER = re.compile(r"[1-9][0-9]{0,9}")
_WAIT = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")

log = logging.getLogger(__name__)


class ParticipantsResources:
    """What participants ask for.

    Args:
        sessions: all of them.
        gate: knows who may speak.
        bodies: reads requests' contents.
        limits: how much is accepted.
        metrics: counts what is done.
        stopping: set once nobody may wait any more.
    """

    def __init__(
        self,
        sessions: Sessions,
        gate: Gate,
        bodies: Bodies,
        limits: Limits,
        metrics: Metrics,
        stopping: Signal,
    ) -> None:
        self._sessions = sessions
        self._gate = gate
        self._bodies = bodies
        self._limits = limits
        self._metrics = metrics
        self._uploads = Capacity(limits.uploads)
        self._stopping = stopping

    # --- Joining ----------------------------------------------------------------------------------------------------

    async def join(self, request: Request) -> Response:
        """POST .../join: who has joined is told the same again.

        Args:
            request: with the path parameter `session`.
        """
        live = self._sessions.find(request)
        digest = stated_digest(request)
        who = await self._gate.participant(request, live.running.setup, joined=False)
        with live.sending(who):
            await whole_content(self._bodies, request, EMPTY_BYTES, digest)
            user = await live.deliver(live.running.join, who)
            described = await live.work(live.running.describe)
        return json_response(self._announcement(live, user, described["ends"]).to_json())

    def _announcement(self, live: LiveSession, user: int, ends: float | None) -> Announcement:
        setup = live.running.setup
        return Announcement(
            session=setup.name,
            user=user,
            params=setup.params,
            roster_hash=b"" if setup.roster is None else setup.roster.hash,
            deadlines=setup.deadlines,
            round=live.running.round,
            seconds_left=None if ends is None else max(0.0, ends - self._sessions.clock()),
            results=setup.results_for_participants,
        )

    async def leave(self, request: Request) -> Response:
        """POST .../leave: the participant sends nothing more; whoever has left, or is out, is told the same again.

        Args:
            request: with the path parameters `session` and `user`.
        """
        live, user = self._sessions.find(request), _user(request)
        digest = stated_digest(request)
        who = await self._gate.participant(request, live.running.setup)
        with live.sending(who):
            await whole_content(self._bodies, request, EMPTY_BYTES, digest)
            await _check_sender(live, who, user)
            await live.deliver(live.running.leave, user)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    # --- Answers ----------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        """POST .../answers/{round}: 204 once the message is on disk and counts, and for the same bytes again.

        Args:
            request: with the path parameters `session`, `user` and `round`.
        """
        # Who speaks is known from the head alone, and so is how long the message may be.
        live, user, current = self._sessions.find(request), _user(request), _round(request.path_params["round"])
        digest = stated_digest(request)
        who = await self._gate.participant(request, live.running.setup, current=current)
        check_declared(request.scope, answer_bytes(live.running.setup.params, current))
        _check_content_type(request)

        # One message of a participant at a time, and not more in all than there may be.
        with live.sending(who), self._uploads.reserve(), self._metrics.uploads.track_inprogress():
            try:
                outcome = await self._take(request, live, who, user, current, digest)
            except Refused as refused:
                self._metrics.answers.labels(str(current), str(refused.kind)).inc()
                raise
            self._metrics.answers.labels(str(current), outcome).inc()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _take(
        self, request: Request, live: LiveSession, who: Name, user: int, current: Round, digest: bytes
    ) -> str:
        running = live.running

        def admitted() -> Spool | None:
            return running.spool(user, current) if running.admit(user, current, digest) else None

        await _check_sender(live, who, user)

        # What the session has already, or would refuse whatever it is, is not read.
        spool = await live.work(admitted)
        if spool is None:
            return "again"

        # The content goes to disk as it comes; the session sees it once it is whole, and the one that was stated.
        async def write(part: bytes) -> None:
            if spool.size + len(part) <= INLINE_BYTES:
                spool.write(part)
            else:
                await live.write(spool.write, part)

        largest = answer_bytes(running.setup.params, current)
        with _disk_errors(live.name):
            try:
                async with self._bodies.spool(request.scope, request.receive, largest, write, INLINE_BYTES):
                    if not compare_digest(spool.digest(), digest):
                        raise other_content()
                    await live.take(user, current, spool)
            finally:
                spool.discard()
        self._metrics.answer_bytes.labels(str(current)).inc(spool.size)
        return "taken"

    # --- Requests ---------------------------------------------------------------------------------------------------

    async def next_request(self, request: Request) -> Response:
        """GET .../request: the participant's next request, or that there is none yet, or that the session has finished.

        Args:
            request: with the path parameters `session` and `user`, and a query.
        """
        live, user = self._sessions.find(request), _user(request)
        after, wait = _after(request), _wait(request)
        who = await self._gate.participant(request, live.running.setup)
        await _check_sender(live, who, user)
        changed = live.changed  # before the look: what comes meanwhile ends the wait
        if (answer := await self._answer_now(live, user, after)) is not None:
            return answer
        if not wait:
            return _nothing(NOT_NOW)
        loop = asyncio.get_running_loop()
        until = loop.time() + min(wait, self._limits.poll_seconds)
        with live.polling(user) as replaced, _left(request) as left:
            while not (self._stopping.is_set() or replaced.is_set() or left.is_set()):
                if loop.time() >= until:
                    return _nothing(0.0)
                await first_of(until - loop.time(), changed, replaced, left, self._stopping)
                changed = live.changed
                if (answer := await self._answer_now(live, user, after)) is not None:
                    return answer
        return _nothing(NOT_NOW)

    async def _answer_now(self, live: LiveSession, user: int, after: Round | None) -> Response | None:
        opened = await live.work(live.running.opened, user, after)
        if opened is not None:
            return Response(opened.body, headers={ROUND: ROUND_NAMES[opened.round]}, media_type=OCTETS)
        if live.running.status == "finished":
            return json_response({"status": "finished"})
        return None


def _check_user(live: LiveSession, who: Name, user: int) -> None:
    """Refuse a participant that speaks for another. It blocks."""
    own = live.user_of(who) if live.running.setup.roster is None else who
    if own != user:
        raise ServiceProblem(FORBIDDEN, f"you are not user {user} of this session")


async def _check_sender(live: LiveSession, who: Name, user: int) -> None:
    """The same without a thread, where it blocks nobody."""
    if live.knows(who):
        _check_user(live, who, user)
    else:
        await live.work(_check_user, live, who, user)


def _user(request: Request) -> int:
    text: str = request.path_params["user"]
    if _USER.fullmatch(text) is None or int(text) >= 1 << 32:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return int(text)


def _round(text: str) -> Round:
    current = parse_round(text)
    if current is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return current


def _after(request: Request) -> Round | None:
    text = request.query_params.get("after")
    current = None if text is None else parse_round(text)
    if text is not None and current is None:
        raise ServiceProblem(MALFORMED, "after must be the name of a round")
    return current


def _wait(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    if _WAIT.fullmatch(text) is None:
        raise ServiceProblem(MALFORMED, "wait must be a number of seconds")
    return float(text)


def _check_content_type(request: Request) -> None:
    parsed = parse_media_type(request.headers.get("content-type", OCTETS))
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if parsed is None or parsed[0] != OCTETS or encoding != "identity":
        raise ServiceProblem(OTHER_TYPE, f"Content-Type must be {OCTETS}, not compressed")


def _nothing(retry_after: float) -> Response:
    """There is no request yet."""
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Retry-After": f"{retry_after:.0f}"})


@contextmanager
def _disk_errors(session: str) -> Iterator[None]:
    """A disk that takes nothing more may do so later; the message has not been taken."""
    try:
        yield
    except OSError as error:
        log.error("session %s: an answer was not taken: %s", session, error)
        raise ServiceProblem(str(Kind.BUSY), "the disk takes nothing now", retry_after=DISK_SECONDS) from None


@contextmanager
def _left(request: Request) -> Iterator[Signal]:
    """A signal that is set once the peer has gone away."""
    left = Signal()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left.set()

    watching = asyncio.create_task(watch())
    try:
        yield left
    finally:
        watching.cancel()  # it ends by itself, and nobody needs to wait for that
