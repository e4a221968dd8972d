"""All that is fixed when a session is created, as the operator says it and as bytes."""

import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any

from ..arguments import assign, flag, octets, real
from ..codec import Opaque, Real, Struct, Text, Truth, UInt, Vector, Version
from ..errors import ArgumentTypeError, LocalProtocolError, RemoteProtocolError, require
from ..protocol.authentication import Pki
from ..protocol.identity import VERIFICATION_KEY_BYTES, Roster
from ..protocol.messages import Round
from ..protocol.params import Params
from .deadlines import Deadlines
from .names import Name, check_name, name_text, parse_name

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
LABEL_CHARACTERS = 200
_VERSION = 1


@dataclass(frozen=True, eq=False, repr=False)
class _Member(Struct):
    user: Annotated[int, UInt(4)]
    key: Annotated[bytes, Opaque(1)]


@dataclass(frozen=True, eq=False, repr=False)
class _Invited(Struct):
    name: Annotated[str, Text(1)]


@dataclass(frozen=True, eq=False, repr=False)
class _Seconds(Struct):
    round: Annotated[Round, UInt(1, Round)]
    seconds: Annotated[float, Real()]


@dataclass(frozen=True, eq=False, repr=False)
class _Encoded(Struct):
    version: Annotated[int, Version(_VERSION)]
    name: Annotated[str, Text(1)]
    params: Annotated[bytes, Opaque(4)]
    has_roster: Annotated[bool, Truth()]
    roster: Annotated[tuple[_Member, ...], Vector(_Member, 4)]
    by_name: Annotated[bool, Truth()]
    invited: Annotated[tuple[_Invited, ...], Vector(_Invited, 4)]
    goal: Annotated[int, UInt(4)]  # 0 for none
    seconds: Annotated[tuple[_Seconds, ...], Vector(_Seconds, 1)]
    grace: Annotated[float, Real()]
    keep: Annotated[float, Real()]
    created: Annotated[float, Real()]
    results_for_participants: Annotated[bool, Truth()]
    label: Annotated[str, Text(2)]


@dataclass(frozen=True, eq=False)
class SessionSetup:
    """All that is fixed when a session is created.

    Attributes:
        name: the session's name in URLs: up to 64 of a-z, 0-9 and -, the first no -.
        params: the session's parameters.
        roster: everyone's verification keys; in the active model only.
        invited: names and numbers (0 .. 2^64 - 1) of the n users in the order of their ids, in the semi-honest model
            only; None for ids by the order of joining.
        deadlines: when rounds end.
        created: when the session was created, POSIX seconds.
        results_for_participants: whether participants may read the result.
        label: the operator's words for people, one line.

    Raises:
        LocalProtocolError: the parts do not belong together, or one is not allowed.
    """

    name: str
    params: Params
    roster: Roster | None
    invited: tuple[Name, ...] | None
    deadlines: Deadlines
    created: float
    results_for_participants: bool = True
    label: str = ""

    def __post_init__(self) -> None:
        assign(self, real, created=self.created)
        assign(self, flag, results_for_participants=self.results_for_participants)
        _require_text(self.name, "name")
        require(
            NAME.fullmatch(self.name) is not None,
            "a session's name must be 1 .. 64 of a-z, 0-9 and -, and must not begin with -",
        )
        Pki(self.params, self.roster)
        self.deadlines.check(self.params)
        require(self.created >= 0, f"created must not be negative, got {self.created}")
        _require_text(self.label, "label")
        require(
            len(self.label) <= LABEL_CHARACTERS and (self.label == "" or self.label.isprintable()),
            f"label must be a line of at most {LABEL_CHARACTERS} characters",
        )
        if self.invited is not None:
            object.__setattr__(self, "invited", tuple(map(check_name, self.invited)))
            self._check_invited(self.invited)

    @cached_property
    def params_digest(self) -> bytes:
        """SHA-256 of `Params.encode()`, which every request that is signed is bound to."""
        return sha256(self.params.encode()).digest()

    def _check_invited(self, invited: tuple[Name, ...]) -> None:
        require(self.roster is None, "a session with a roster invites the roster's users, and no names")
        require(len(invited) == self.params.n, f"{len(invited)} names are invited, but n = {self.params.n}")
        require(len(set(invited)) == len(invited), "a name is invited twice")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionSetup) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.encode())

    def encode(self) -> bytes:
        """The setup as bytes."""
        users = [] if self.roster is None else self.roster.users.tolist()
        return _Encoded(
            version=_VERSION,
            name=self.name,
            params=self.params.encode(),
            has_roster=self.roster is not None,
            roster=tuple(_Member(u, self.roster.key(u)) for u in users if self.roster is not None),
            by_name=self.invited is not None,
            invited=tuple(_Invited(name_text(name)) for name in self.invited or ()),
            goal=self.deadlines.goal or 0,
            seconds=tuple(_Seconds(*each) for each in sorted(self.deadlines.seconds.items())),
            grace=self.deadlines.grace,
            keep=self.deadlines.keep,
            created=self.created,
            results_for_participants=self.results_for_participants,
            label=self.label,
        ).encode()

    @classmethod
    def decode(cls, data: bytes | memoryview) -> "SessionSetup":
        """The setup that `encode` gave these bytes for.

        Args:
            data: the bytes.

        Raises:
            RemoteProtocolError: the bytes encode no setup, or encode it in another way than `encode` does.
        """
        data = octets(data, "data")
        try:
            setup = cls._of(_Encoded.decode(data))
        except ArgumentTypeError:
            raise
        except LocalProtocolError as error:
            raise RemoteProtocolError(str(error)) from None
        if setup.encode() != data:
            raise RemoteProtocolError("a session's setup is encoded in another way")
        return setup

    @classmethod
    def _of(cls, encoded: _Encoded) -> "SessionSetup":
        require(encoded.has_roster or not encoded.roster, "a roster where there is none")
        require(encoded.by_name or not encoded.invited, "names where there are none")
        require(all(len(each.key) == VERIFICATION_KEY_BYTES for each in encoded.roster), "a key is malformed")
        return cls(
            name=encoded.name,
            params=Params.decode(encoded.params),
            roster=Roster({each.user: each.key for each in encoded.roster}) if encoded.has_roster else None,
            invited=tuple(parse_name(each.name) for each in encoded.invited) if encoded.by_name else None,
            deadlines=Deadlines(
                goal=encoded.goal or None,
                seconds={each.round: each.seconds for each in encoded.seconds},
                grace=encoded.grace,
                keep=encoded.keep,
            ),
            created=encoded.created,
            results_for_participants=encoded.results_for_participants,
            label=encoded.label,
        )


def _require_text(value: Any, name: str) -> None:
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be a string, got {type(value).__name__}")
