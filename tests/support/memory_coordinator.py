"""A coordinator in memory, which answers the requests of participants' steps: honest, and ready to be overruled.

It has the real session and the real checks of signatures and tokens, and no HTTP. All participants share its clock,
which goes on when everybody waits. What HTTP adds is tested on real sockets.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from secagg import Identity, Params, Roster, Round
from secagg.errors import SecAggError
from secagg.http.problems import MEDIA_TYPE
from secagg.http.steps import Reply, Request, Response, Steps, Wait
from secagg.service.authentication import (
    NO_PARAMS,
    Nonces,
    RequestScope,
    Tokens,
    parse_content_digest,
    parse_signed,
    token_hash,
    verify,
)
from secagg.service.deadlines import Deadlines
from secagg.service.problems import of_refusal, to_document
from secagg.service.refusals import Refused
from secagg.service.resources import CONTENT_DIGEST, JSON, NONCE, OCTETS, ROUND, ROUND_NAMES, Announcement, parse_round
from secagg.service.rosters import roster_to_json
from secagg.service.session import Session, Status
from secagg.service.setup import SessionSetup

URL = "https://coordinator.example/sum"
NAME = "https://coordinator.example:443/sum"
SECONDS = 40.0  # of a round


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Coordinator:
    """One session.

    Args:
        params: of the session.
        roster: in the active model.
        tokens: by name; in the semi-honest model.
        deadlines: of the session.

    Attributes:
        session: the machine.
        clock: the time.
        heard: all requests, as they came.
    """

    name = "trial"

    def __init__(
        self,
        params: Params,
        roster: Roster | None = None,
        tokens: dict[str, str] | None = None,
        deadlines: Deadlines | None = None,
        *,
        results: bool = True,
    ) -> None:
        self.clock = Clock()
        setup = SessionSetup(
            self.name,
            params,
            roster,
            None,
            deadlines or Deadlines(grace=0.0, seconds=dict.fromkeys(Round, SECONDS)),
            self.clock(),
            results_for_participants=results,
        )
        self.session = Session(setup, self.clock())
        self.heard: list[Request] = []
        self.joins = 0
        self._tokens = Tokens({name: token_hash(token) for name, token in (tokens or {}).items()})
        self._nonces = Nonces(self.clock)
        self._digest = sha256(params.encode()).digest()

    # HTTP.

    def __call__(self, request: Request) -> Reply:
        """The answer to a request; also what could be one of a lying coordinator or of a broken network."""
        self.heard.append(request)
        self.tick()
        try:
            response = self.answer(request)
        except Refused as refused:
            response = problem(refused)
        headers = {NONCE.lower(): self._nonces.issue(), **response.headers}
        return Response(response.status, headers, response.content)

    def answer(self, request: Request) -> Response:
        """The same without the nonce."""
        parts = urlsplit(request.url)
        path = (parts.path + (f"?{parts.query}" if parts.query else "")).removeprefix("/sum")
        who = self.authenticated(request, path)
        if isinstance(who, Response):
            return who
        words = parts.path.removeprefix("/sum/v1/sessions").split("/")[1:]
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match words:
            case []:
                return self.listed()
            case [_, "roster"]:
                assert self.session.setup.roster is not None
                return as_json({"roster": roster_to_json(self.session.setup.roster)})
            case [_, "join"]:
                return self.join(who)
            case [_, "users", user, "answers", current]:
                return self.take(int(user), parse_round(current), request)
            case [_, "users", user, "request"]:
                return self.request(int(user), parse_round(query.get("after", "")))
            case [_, "users", user, "leave"]:
                self.session.leave(int(user))
                return Response(204, {}, b"")
            case [_, "result"]:
                return self.result()
            case [_, "result", "sum"]:
                return self.sum()
        return Response(404, {}, b"")

    def authenticated(self, request: Request, path: str) -> str | int | Response:
        """Who has sent a request; or an answer that refuses it."""
        header, digest = request.headers.get("Authorization"), sha256(request.content).digest()
        if request.method == "POST" and parse_content_digest(request.headers.get(CONTENT_DIGEST)) != digest:
            return Response(400, {}, b"")
        if self.session.setup.roster is None:
            return self._tokens.check(header) or Response(403, {}, b"")
        signed = parse_signed(header)
        if signed is None or not self._nonces.spend(signed.nonce, signed.user.to_bytes(4, "big")):
            return Response(401, {}, b"")
        words = path.partition("?")[0].split("/")[3:]
        joins = words[1:] == ["join"] or not words
        scope = RequestScope(
            NAME,
            NO_PARAMS if joins else self._digest,
            words[0] if words else "",
            signed.user,
            request.method,
            path,
            parse_round(words[-1]) if "answers" in words else None,
            digest,
        )
        return signed.user if verify(self.session.setup.roster, scope, signed) else Response(403, {}, b"")

    # Resources.

    def listed(self) -> Response:
        round = self.session.round
        listed = {
            "session": self.name,
            "status": str(self.session.status),
            "round": None if round is None else ROUND_NAMES[round],
            "model": "active",
            "n": self.session.setup.params.n,
            "length": self.session.setup.params.m,
            "label": "",
        }
        return as_json({"sessions": [listed]})

    def join(self, who: str | int) -> Response:
        self.joins += 1
        return as_json(self.announcement(self.session.join(who)).to_json())

    def announcement(self, user: int) -> Announcement:
        setup = self.session.setup
        hash = b"" if setup.roster is None else setup.roster.hash
        return Announcement(
            self.name,
            user,
            setup.params,
            hash,
            setup.deadlines,
            self.session.round,
            None,
            setup.results_for_participants,
        )

    def take(self, user: int, current: Round | None, request: Request) -> Response:
        assert current is not None
        digest = sha256(request.content).digest()
        if self.session.admit(user, current, digest):
            self.session.receive(user, current, digest, request.content, self.clock())
        return Response(204, {}, b"")

    def request(self, user: int, after: Round | None) -> Response:
        opened = self.session.opened(user, after)
        if opened is not None:
            return Response(200, {"content-type": OCTETS, ROUND.lower(): ROUND_NAMES[opened.round]}, opened.body)
        if self.session.status is Status.FINISHED:
            return as_json({"status": "finished"})
        return Response(204, {"retry-after": "3"}, b"")

    def result(self) -> Response:
        result, params = self.session.result, self.session.setup.params
        assert result is not None
        return as_json(
            {
                "session": self.name,
                "survivors": list(result.survivors),
                "sha256": result.sha256,
                "dtype": str(params.dtype),
                "length": params.m,
                "modulus": params.modulus,
            }
        )

    def sum(self) -> Response:
        assert self.session.result is not None
        file = BytesIO()
        np.save(file, self.session.result.sum)
        return Response(200, {"content-type": OCTETS}, file.getvalue())

    # Time.

    def tick(self) -> None:
        """Carry out what is due."""
        while (decision := self.session.due(self.clock())) is not None:
            self.session.apply(decision, self.clock())


def as_json(document: Any, status: int = 200) -> Response:
    return Response(status, {"content-type": JSON}, json.dumps(document).encode())


def problem(refused: Refused) -> Response:
    stated = of_refusal(refused)
    return Response(stated.status, {"content-type": MEDIA_TYPE}, to_document(stated))


# Participants.


Handler = Callable[[Request], Reply]


class Crash(BaseException):
    """The process of a participant ends without a word."""


@dataclass
class Player:
    """One participant's steps, as far as they are.

    Attributes:
        steps: what it does.
        reply: to its last step.
        ready: when it goes on.
        outcome: what it returned or raised.
        told: its progress.
        handler: answers its requests in place of the coordinator; it may raise `Crash`.
        farewell: what it does once its steps have ended; None for nothing.
    """

    steps: Steps[Any]
    reply: Reply = None
    ready: float = 0.0
    outcome: Any = None
    told: list[Any] = field(default_factory=list)
    handler: Handler | None = None
    farewell: Callable[[], Steps[None]] | None = None

    @property
    def over(self) -> bool:
        return self.outcome is not None

    def advance(self, coordinator: Handler, now: float) -> None:
        """One step."""
        try:
            step = self.steps.send(self.reply)
        except StopIteration as end:
            self.outcome = end.value
            return
        except BaseException as error:
            self.outcome = error
            self.say_farewell(coordinator)
            return
        self.reply = None
        if isinstance(step, Request):
            try:
                self.reply = (self.handler or coordinator)(step)
            except Crash:
                self.crash()
        elif isinstance(step, Wait):
            self.ready = now + step.seconds
        else:
            self.told.append(step)

    def leave(self, coordinator: Handler) -> None:
        """Whoever called it has cancelled."""
        self.steps.close()
        self.outcome = "left"
        self.say_farewell(coordinator)

    def say_farewell(self, coordinator: Handler) -> None:
        """All of it at once, as far as it comes."""
        steps, reply = (self.farewell or no_steps)(), None
        with suppress(StopIteration, SecAggError):
            while True:
                step = steps.send(reply)
                reply = (self.handler or coordinator)(step) if isinstance(step, Request) else None

    def crash(self) -> None:
        """Where it stands now, without a chance to do anything more."""
        try:
            self.steps.throw(Crash())
        except Crash as crash:
            self.outcome = crash


def no_steps() -> Steps[None]:
    """Nothing to do."""
    yield from ()


def play(coordinator: Coordinator, players: Iterable[Player], *, until: Callable[[], bool] = lambda: False) -> None:
    """Let everybody go on, a step each in turn, until all are through. Time passes when all wait."""
    everybody = list(players)
    for _ in range(100_000):
        if until() or not step(coordinator, everybody, until):
            return
    raise AssertionError("participants do not come to an end")


def step(coordinator: Coordinator, players: Iterable[Player], until: Callable[[], bool] = lambda: False) -> bool:
    """One step of everybody who can go on; False once all are through."""
    left, now = [player for player in players if not player.over], coordinator.clock()
    ready = [player for player in left if player.ready <= now]
    for player in ready:
        if not until():
            player.advance(coordinator, now)
    if left and not ready:
        coordinator.clock.now = min(player.ready for player in left)
    return bool(left)


def identities(n: int) -> tuple[dict[int, Identity], Roster]:
    made = {u: Identity.generate() for u in range(1, n + 1)}
    return made, Roster({u: identity.verification_key for u, identity in made.items()})
