"""What coordinator and participants agree on beside the protocol: paths, header fields, media types and JSON forms.

    POST /v1/sessions                                              make a session (operator)
    GET  /v1/sessions                                              all sessions (operator), or those that one may join
    GET  /v1/sessions/{session}                                    its status
    GET  /v1/sessions/{session}/roster                             everybody's verification keys (active model)
    POST /v1/sessions/{session}/join                               take part; the answer is the Announcement
    GET  /v1/sessions/{session}/users/{user}/request?after=&wait=  the next request, by long poll
    POST /v1/sessions/{session}/users/{user}/answers/{round}       the answer of a round
    POST /v1/sessions/{session}/users/{user}/leave                 this user sends nothing more
    GET  /v1/sessions/{session}/result                             about the sum
    GET  /v1/sessions/{session}/result/sum                         the sum, in NumPy's format
    POST /v1/sessions/{session}/abort                              end it without a sum (operator)

A reader of these forms refuses what is missing or of another type, and ignores members that it does not know.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..arguments import octets, optional, real, whole
from ..errors import LocalProtocolError, RemoteProtocolError
from ..http.base64url import base64url, from_base64url
from ..protocol.messages import Round
from ..protocol.params import Params
from .deadlines import Deadlines
from .names import Name, check_name

T = TypeVar("T")

SESSIONS = "/v1/sessions"
NONCE = "SecAgg-Nonce"
"""In every answer of the coordinator: the nonce for the next request of whoever signs."""

ROUND = "SecAgg-Round"
"""Beside a request: the round that it opens."""

CONTENT_DIGEST = "Content-Digest"
JSON = "application/json"
OCTETS = "application/octet-stream"

WAIT_SECONDS = 25.0
"""For which a long poll waits at most, whatever it asks for."""

SESSION_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

ROUND_NAMES = {current: current.name.lower().replace("_", "-") for current in Round}
"""Rounds in paths, headers and JSON."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ROUNDS = {name: current for current, name in ROUND_NAMES.items()}


# --- Paths, below the coordinator's URL -----------------------------------------------------------------------------


def session_path(session: str) -> str:
    """Of a session.

    Args:
        session: its name.
    """
    return f"{SESSIONS}/{session}"


def roster_path(session: str) -> str:
    """Its roster.

    Args:
        session: its name.
    """
    return f"{SESSIONS}/{session}/roster"


def join_path(session: str) -> str:
    """Where one joins.

    Args:
        session: its name.
    """
    return f"{SESSIONS}/{session}/join"


def answer_path(session: str, user: int, current: Round) -> str:
    """Where an answer is sent.

    Args:
        session: its name.
        user: who answers.
        current: the round.
    """
    return f"{SESSIONS}/{session}/users/{whole(user, 'user')}/answers/{ROUND_NAMES[Round(current)]}"


def request_path(session: str, user: int, after: Round | None, wait: float) -> str:
    """Where the next request comes from.

    Args:
        session: its name.
        user: who asks.
        after: the last round that the user has answered; None if it has answered none.
        wait: seconds that the coordinator may wait for it.
    """
    known = "" if after is None else f"after={ROUND_NAMES[Round(after)]}&"
    return f"{SESSIONS}/{session}/users/{whole(user, 'user')}/request?{known}wait={real(wait, 'wait'):g}"


def leave_path(session: str, user: int) -> str:
    """Where a participant says that it sends nothing more.

    Args:
        session: its name.
        user: who leaves.
    """
    return f"{SESSIONS}/{session}/users/{whole(user, 'user')}/leave"


def result_path(session: str) -> str:
    """What is known of the sum.

    Args:
        session: its name.
    """
    return f"{SESSIONS}/{session}/result"


def sum_path(session: str) -> str:
    """The sum itself.

    Args:
        session: its name.
    """
    return f"{SESSIONS}/{session}/result/sum"


def abort_path(session: str) -> str:
    """Where a session is aborted.

    Args:
        session: its name.
    """
    return f"{SESSIONS}/{session}/abort"


def parse_round(text: str) -> Round | None:
    """The round of this name; None if there is none.

    Args:
        text: such as "share-keys".
    """
    return _ROUNDS.get(text)


# --- JSON forms -----------------------------------------------------------------------------------------------------


class Fields:
    """The members of a JSON object, each taken as the type that it must have.

    Args:
        document: what was read.
        what: it is, for errors.

    Raises:
        RemoteProtocolError: it is no object.
    """

    def __init__(self, document: object, what: str) -> None:
        self._what = what
        if not isinstance(document, dict):
            raise RemoteProtocolError(f"{what} must be a JSON object")
        self._members: dict[str, Any] = document

    def names(self) -> set[str]:
        """Of all members that are not null."""
        return {name for name, value in self._members.items() if value is not None}

    def raw(self, name: str) -> Any:
        """What is there, of any type.

        Args:
            name: of the member.
        """
        return self._members.get(name)

    def text(self, name: str) -> str:
        """A text.

        Args:
            name: of the member.
        """
        return self._take(name, "text", _text)

    def whole(self, name: str) -> int:
        """A whole number.

        Args:
            name: of the member.
        """
        return self._take(name, "a whole number", lambda value: value if type(value) is int else None)

    def number(self, name: str) -> float:
        """A number.

        Args:
            name: of the member.
        """
        return self._take(name, "a number", _number)

    def truth(self, name: str) -> bool:
        """A truth value.

        Args:
            name: of the member.
        """
        return self._take(name, "true or false", lambda value: value if isinstance(value, bool) else None)

    def array(self, name: str) -> list[Any]:
        """An array.

        Args:
            name: of the member.
        """
        return self._take(name, "an array", lambda value: value if isinstance(value, list) else None)

    def participants(self, name: str) -> tuple[Name, ...]:
        """Participants: names as strings, and numbers as integers.

        Args:
            name: of the member.
        """
        return tuple(self._participant(name, each) for each in self.array(name))

    def _participant(self, name: str, value: Any) -> Name:
        try:
            if type(value) is int or _text(value) is not None:
                return check_name(value)
        except LocalProtocolError as error:
            raise RemoteProtocolError(f"{self._what}: {name}: {error}") from None
        raise RemoteProtocolError(f"{self._what}: {name} must be an array of names and whole numbers")

    def table(self, name: str) -> "Fields":
        """An object.

        Args:
            name: of the member.
        """
        return Fields(self._members.get(name), f"{self._what}: {name}")

    def mapping(self, name: str) -> dict[str, Any]:
        """An object, as it is.

        Args:
            name: of the member.
        """
        return self._take(name, "an object", lambda value: value if isinstance(value, dict) else None)

    def octets(self, name: str, size: int | None = None) -> bytes:
        """Bytes in base64url.

        Args:
            name: of the member.
            size: how many; None for any number.
        """
        return from_base64url(self.text(name), size, name=f"{self._what}: {name}")

    def round(self, name: str) -> Round:
        """A round.

        Args:
            name: of the member.
        """
        return self._take(name, "the name of a round", lambda value: _ROUNDS.get(_text(value) or ""))

    def optional(self, take: Callable[[str], T], name: str) -> T | None:
        """What one of these methods gives; None for a member that is missing or null.

        Args:
            take: the method.
            name: of the member.
        """
        return None if self._members.get(name) is None else take(name)

    def _take(self, name: str, words: str, check: Callable[[Any], T | None]) -> T:
        value = check(self._members.get(name))
        if value is None:
            raise RemoteProtocolError(f"{self._what}: {name} must be {words}")
        return value


def _number(value: object) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        return real(value, "number")  # type: ignore[arg-type]
    except LocalProtocolError:  # infinite, or no float
        return None


def _text(value: object) -> str | None:
    """Text that UTF-8 has: JSON can write halves of surrogate pairs."""
    return value if isinstance(value, str) and _SURROGATE.search(value) is None else None


@dataclass(frozen=True)
class Announcement:
    """What a participant is told when it joins.

    Attributes:
        session: its name.
        user: this participant's user id.
        params: of the session.
        roster_hash: of the session's roster; empty without one.
        deadlines: of the session.
        round: that is on now; None once the session is over.
        seconds_left: of this round; None if nothing is due.
        results: whether participants may read the sum.
    """

    session: str
    user: int
    params: Params
    roster_hash: bytes
    deadlines: Deadlines
    round: Round | None
    seconds_left: float | None
    results: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "user", whole(self.user, "user"))
        object.__setattr__(self, "roster_hash", octets(self.roster_hash, "roster_hash"))
        object.__setattr__(self, "seconds_left", optional(real)(self.seconds_left, "seconds_left"))

    def to_json(self) -> dict[str, Any]:
        """The form that travels."""
        return {
            "session": self.session,
            "user": self.user,
            "params": base64url(self.params.encode()),
            "roster_hash": base64url(self.roster_hash),
            "deadlines": deadlines_to_json(self.deadlines),
            "round": None if self.round is None else ROUND_NAMES[self.round],
            "seconds_left": self.seconds_left,
            "results": self.results,
        }

    @classmethod
    def from_json(cls, document: object) -> "Announcement":
        """The inverse of `to_json`.

        Args:
            document: what was read.

        Raises:
            RemoteProtocolError: it is no announcement.
        """
        fields = Fields(document, "an announcement")
        session, user = fields.text("session"), fields.whole("user")
        if SESSION_NAME.fullmatch(session) is None or not 1 <= user < 1 << 32:
            raise RemoteProtocolError("an announcement has a session or user that cannot be")
        return cls(
            session,
            user,
            Params.decode(fields.octets("params")),
            fields.octets("roster_hash"),
            deadlines_from_json(fields.mapping("deadlines")),
            fields.optional(fields.round, "round"),
            fields.optional(fields.number, "seconds_left"),
            fields.truth("results"),
        )


@dataclass(frozen=True)
class Listed:
    """A session in the list of sessions.

    Attributes:
        session: its name.
        status: "running", "finished" or "aborted".
        round: that is on now; None once the session is over.
        model: "semi-honest" or "active".
        n: how many are invited.
        length: of a vector.
        label: the operator's words.
    """

    session: str
    status: str
    round: Round | None
    model: str
    n: int
    length: int
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", whole(self.n, "n"))
        object.__setattr__(self, "length", whole(self.length, "length"))

    def to_json(self) -> dict[str, Any]:
        """The form that travels."""
        named = None if self.round is None else ROUND_NAMES[self.round]
        return {**vars(self), "round": named}

    @classmethod
    def from_json(cls, document: object) -> "Listed":
        """The inverse of `to_json`.

        Args:
            document: what was read.

        Raises:
            RemoteProtocolError: it is none.
        """
        fields = Fields(document, "a session")
        return cls(
            fields.text("session"),
            fields.text("status"),
            fields.optional(fields.round, "round"),
            fields.text("model"),
            fields.whole("n"),
            fields.whole("length"),
            fields.text("label"),
        )


@dataclass(frozen=True)
class ResultForm:
    """What is known of a sum before it is fetched.

    Attributes:
        session: its name.
        survivors: U3, the users whose inputs are in it.
        sha256: of the sum's entries as they lie in memory, little-endian, in hexadecimal.
        dtype: "uint32" or "uint64".
        length: how many entries.
        modulus: R.
        names: of the survivors, in their order: names and numbers; for the operator of a session without a roster,
            otherwise None.
    """

    session: str
    survivors: tuple[int, ...]
    sha256: str
    dtype: str
    length: int
    modulus: int
    names: tuple[Name, ...] | None = None

    def __post_init__(self) -> None:
        if self.names is not None:
            object.__setattr__(self, "names", tuple(map(check_name, self.names)))
        object.__setattr__(self, "length", whole(self.length, "length"))
        object.__setattr__(self, "modulus", whole(self.modulus, "modulus"))
        object.__setattr__(self, "survivors", tuple(whole(u, "a survivor") for u in self.survivors))

    def to_json(self) -> dict[str, Any]:
        """The form that travels."""
        told = {**vars(self), "survivors": list(self.survivors)}
        names = told.pop("names")
        return told if names is None else {**told, "names": list(names)}

    @classmethod
    def from_json(cls, document: object) -> "ResultForm":
        """The inverse of `to_json`.

        Args:
            document: what was read.

        Raises:
            RemoteProtocolError: it is none.
        """
        fields = Fields(document, "a result")
        survivors = fields.array("survivors")
        if not all(type(u) is int for u in survivors):
            raise RemoteProtocolError("a result: survivors must be whole numbers")
        names = fields.optional(fields.participants, "names")
        if names is not None and len(names) != len(survivors):
            raise RemoteProtocolError("a result: names must be as many as survivors")
        return cls(
            fields.text("session"),
            tuple(survivors),
            fields.text("sha256"),
            fields.text("dtype"),
            fields.whole("length"),
            fields.whole("modulus"),
            names,
        )


def deadlines_to_json(deadlines: Deadlines) -> dict[str, Any]:
    """The form that travels.

    Args:
        deadlines: of a session.
    """
    seconds = {ROUND_NAMES[current]: value for current, value in deadlines.seconds.items()}
    return {"goal": deadlines.goal, "seconds": seconds, "grace": deadlines.grace, "keep": deadlines.keep}


def deadlines_from_json(document: Mapping[str, Any]) -> Deadlines:
    """The inverse of `deadlines_to_json`; what is left out has its default.

    Args:
        document: what was read.

    Raises:
        RemoteProtocolError: it is none.
    """
    fields = Fields(document, "deadlines")
    given: dict[str, Any] = {
        "goal": fields.optional(fields.whole, "goal"),
        "grace": fields.optional(fields.number, "grace"),
        "keep": fields.optional(fields.number, "keep"),
    }
    rounds = fields.optional(fields.mapping, "seconds")
    if rounds is not None:
        times = Fields(rounds, "deadlines: seconds")
        unknown = sorted(set(rounds) - set(_ROUNDS))
        if unknown:
            raise RemoteProtocolError(f"deadlines: there is no round {unknown[0]!r}")
        given["seconds"] = {_ROUNDS[name]: times.number(name) for name in rounds}
    try:
        return Deadlines(**{name: value for name, value in given.items() if value is not None})
    except LocalProtocolError as error:
        raise RemoteProtocolError(f"deadlines: {error}") from None
