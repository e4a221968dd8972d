"""What a site accepts of a session: it decides by itself, whatever the coordinator says that it holds.

A session that asks for less protection, or for other inputs, is refused before anything is sent, and the refusal names
each field with what is asked and what is wanted. The two models are not ordered: a site names its own.

What a policy leaves open is the coordinator's to choose, but for two things: a coordinator that invites two users of a
roster, of whom one is its own, or says that nobody is corrupt, would have a user's input.
"""

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, Self, TypeVar

from ..arguments import convert, flag, octets, optional, whole
from ..errors import ArgumentTypeError, LocalProtocolError, SecAggError, require
from ..protocol.graph import Sparse
from ..protocol.params import Model, Params
from ..protocol.thresholds import Threat, default_corrupt
from ..text import read_text

__all__ = ["Difference", "Policy", "PolicyRefusal"]

_FILE_BYTES_MAX = 1 << 20
_AT_LEAST = {"n_min": "n", "min_users": "min_users", "n_corrupt": "n_corrupt", "t": "t", "min_inputs": "min_inputs"}
_AT_MOST = {"n_max": "n", "max_value": "max_value", "room": "room"}
_NUMBERS = (*_AT_LEAST, *_AT_MOST, "m", "degree")
_HASH_BYTES = 32
_SAY = "to accept less, give {} in {}"
_WHERE = "a policy (--policy)"

Member = TypeVar("Member", bound=IntEnum)


@dataclass(frozen=True)
class Difference:
    """One thing in which a session is not what a site wants.

    Attributes:
        field: of `Params`, or "roster", "graph", "min_inputs" or "noise".
        asked: what the session has.
        wanted: what the site wants.
    """

    field: str
    asked: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.field} is {self.asked}, and this site wants {self.wanted}"


class PolicyRefusal(SecAggError):
    """A session is not what this site accepts; nothing was sent.

    Attributes:
        differences: all that differs.
    """

    def __init__(self, differences: tuple[Difference, ...]) -> None:
        super().__init__(f"the session is refused by this site's policy: {'; '.join(map(str, differences))}")
        self.differences = differences

    def explained(self, field: str, words: str) -> "PolicyRefusal":
        """The same with more words about one field.

        Args:
            field: that differs.
            words: which follow what the site wants.
        """
        return PolicyRefusal(
            tuple(
                replace(each, wanted=f"{each.wanted}: {words}") if each.field == field else each
                for each in self.differences
            )
        )

    def __reduce__(self) -> tuple[type["PolicyRefusal"], tuple[tuple[Difference, ...]]]:
        return PolicyRefusal, (self.differences,)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a site accepts. None accepts anything, where nothing else is said.

    Where a roster is known, all its users must be invited, unless the policy gives `n_min` or `min_users`.

    Attributes:
        model: the model; None for the one that the credentials go with: active with an identity, semi-honest with a
            token.
        threat: against whom inputs must be protected; by default clients and server together.
        n_min: the fewest users that may be invited.
        n_max: the most users that may be invited.
        min_users: a sum must contain at least so many users' inputs.
        n_corrupt: at least so many corrupt users must be tolerated; None for as many as `Params` chooses for this size
            and threat, and for one at least where users and server may collude.
        t: at least so many shares must reveal a secret.
        min_inputs: a sum must contain at least so many honest users' inputs, `Params.min_inputs`.
        m: the length of vectors, exactly; None for that of the input.
        max_value: the largest input element, at most. It bounds what one user can add to the sum.
        room: the room for noise, at most.
        noise: True for sessions to which this site's inputs go with noise only; False for sessions without noise.
        context: what the session must be bound to, exactly: the application's part of `Params.context`, without what a
            `Quantizer` or a `NoisySum` puts before it. An encoding that is given checks its own part.
        roster: the hash of the roster, 32 bytes; None for that of the roster that is given.
        complete_graph: whether everyone must share with everyone.
        degree: where the graph may be sparse, everyone must have at least so many neighbours.
        allow_http: whether plain HTTP may lead to other machines than this one, in a network where nobody listens.

    Raises:
        LocalProtocolError: a value is out of range, or no session can keep to two of them.
    """

    model: Model | None = None
    threat: Threat | None = Threat.COLLUDING
    n_min: int | None = None
    n_max: int | None = None
    min_users: int | None = None
    n_corrupt: int | None = None
    t: int | None = None
    min_inputs: int = 2
    m: int | None = None
    max_value: int | None = None
    room: int | None = None
    noise: bool | None = None
    context: bytes | None = None
    roster: bytes | None = None
    complete_graph: bool = True
    degree: int | None = None
    allow_http: bool = False

    def __post_init__(self) -> None:
        convert(self, whole, *_NUMBERS)
        convert(self, flag, "noise", "complete_graph", "allow_http")
        convert(self, octets, "context", "roster")
        convert(self, _member(Model), "model")
        convert(self, _member(Threat), "threat")
        for name in _NUMBERS:
            value = getattr(self, name)
            require(value is None or value >= 0, f"{name} must not be negative, got {value}")
        for low, high in (("n_min", "n_max"), ("min_users", "n_max"), ("t", "n_max"), ("n_corrupt", "n_max")):
            least, most = getattr(self, low), getattr(self, high)
            require(least is None or most is None or least <= most, f"no session has {low} = {least}, {high} = {most}")
        require(
            self.degree is None or not self.complete_graph,
            f"a policy with degree = {self.degree} accepts sparse graphs: it needs complete_graph = false",
        )
        require(self.roster is None or len(self.roster) == _HASH_BYTES, "roster must be a hash of 32 bytes")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The policy in a TOML file.

        Its keys are the attributes. `model` is "active" or "semi-honest"; `threat` is "colluding", "clients-only",
        "server-only" or "any"; `roster` is in hexadecimal; `context` is text, or `context_hex` is hexadecimal.

        Args:
            path: the file.

        Raises:
            LocalProtocolError: the file is not UTF-8 or not TOML, or a key or a value is not allowed.
            OSError: the file cannot be read.
        """
        try:
            given = tomllib.loads(read_text(path, limit=_FILE_BYTES_MAX))
        except tomllib.TOMLDecodeError as error:
            raise LocalProtocolError(f"{path} is not TOML: {error}") from None
        try:
            return cls(**_read(given, {field.name for field in fields(cls)}))
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{path}: {error}") from None

    def filled(self, **known: Any) -> Self:
        """The same policy, where what it leaves open is what the participant knows by itself.

        Args:
            known: by attribute.

        Raises:
            LocalProtocolError: the policy has another value.
        """
        opened = {name: value for name, value in known.items() if getattr(self, name) is None}
        for name, value in known.items():
            require(name in opened or getattr(self, name) == value, _contradiction(name, getattr(self, name), value))
        return replace(self, **opened)

    def differences(
        self,
        params: Params,
        roster_hash: bytes = b"",
        *,
        noisy: bool = False,
        users: int | None = None,
        where: str = _WHERE,
    ) -> tuple[Difference, ...]:
        """In what a session is not what this site accepts.

        Args:
            params: the session's parameters.
            roster_hash: of the session's roster; empty without one.
            noisy: whether the input gets noise.
            users: how many the site's roster has; None without one.
            where: a site may say that it accepts less, in words for its operator.
        """
        roster_hash, noisy, users = (
            octets(roster_hash, "roster_hash"),
            flag(noisy, "noisy"),
            optional(whole)(users, "users"),
        )
        return (
            *self._different(params),
            *self._left_open(params, users, where),
            *self._others(params, roster_hash, noisy),
        )

    def check(
        self,
        params: Params,
        roster_hash: bytes = b"",
        *,
        noisy: bool = False,
        users: int | None = None,
        where: str = _WHERE,
    ) -> None:
        """Check that this site accepts a session.

        Args:
            params: the session's parameters.
            roster_hash: of the session's roster; empty without one.
            noisy: whether the input gets noise.
            users: how many the site's roster has; None without one.
            where: a site may say that it accepts less, in words for its operator.

        Raises:
            PolicyRefusal: it does not; the error names each field with what is asked and what is wanted.
        """
        if differences := self.differences(params, roster_hash, noisy=noisy, users=users, where=where):
            raise PolicyRefusal(differences)

    def _different(self, params: Params) -> Iterator[Difference]:
        """The fields of Params."""
        if self.model is not None and params.model is not self.model:
            yield Difference("model", _word(params.model), _word(self.model))
        if self.threat is not None and params.threat is not self.threat:
            yield Difference("threat", _word(params.threat), _word(self.threat))
        if self.m is not None and params.m != self.m:
            yield Difference("m", f"{params.m}", f"{self.m}")
        for rule, name in _AT_LEAST.items():
            asked, wanted = getattr(params, name), getattr(self, rule)
            if wanted is not None and asked < wanted:
                yield Difference(name, f"{asked}", f"at least {wanted}")
        for rule, name in _AT_MOST.items():
            asked, wanted = getattr(params, name), getattr(self, rule)
            if wanted is not None and asked > wanted:
                yield Difference(name, f"{asked}", f"at most {wanted}")
        if self.context is not None and params.context != self.context:
            yield Difference("context", _bytes(params.context), _bytes(self.context))

    def _left_open(self, params: Params, users: int | None, where: str) -> Iterator[Difference]:
        """Who else is in the sum, where the policy does not say: this must not be left to the coordinator."""
        counted = self.n_min is not None or self.min_users is not None
        if users is not None and not counted and params.n < users:
            yield Difference("n", f"{params.n}", f"all {users} users of the roster; {_SAY.format('min_users', where)}")
        least = _default_corrupt(params)
        if self.n_corrupt is None and params.n_corrupt < least:
            yield Difference("n_corrupt", f"{params.n_corrupt}", f"at least {least}; {_SAY.format('n_corrupt', where)}")

    def _others(self, params: Params, roster_hash: bytes, noisy: bool) -> Iterator[Difference]:
        """What no field of Params says."""
        if self.roster is not None and roster_hash != self.roster:
            yield Difference("roster", _hash(roster_hash), _hash(self.roster))
        if isinstance(params.graph, Sparse) and (self.complete_graph or params.graph.degree < (self.degree or 0)):
            wanted = "the complete graph" if self.complete_graph else f"at least {self.degree} neighbours"
            yield Difference("graph", f"sparse, with {params.graph.degree} neighbours", wanted)
        if self.noise is True and not noisy:
            yield Difference("noise", "left out", "noise on every input: contribute with a NoisySum")
        if self.noise is False and (noisy or params.room):
            yield Difference("noise", "asked for" if noisy else f"given room for, {params.room}", "none")


def _default_corrupt(params: Params) -> int:
    """How many corrupt users a session must tolerate where a site does not say."""
    return max(default_corrupt(params.n, params.threat), 1 if params.threat is Threat.COLLUDING else 0)


def _member(kind: type[Member]) -> Callable[[Any, str], Member]:
    def check(value: Any, name: str) -> Member:
        try:
            return kind(whole(value, name))
        except ArgumentTypeError:
            raise
        except ValueError:
            raise LocalProtocolError(f"{name} must be one of {', '.join(map(_word, kind))}") from None

    return check


def _read(given: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """The attributes of a file's keys."""
    unknown = sorted(given.keys() - known - {"context_hex"})
    require(not unknown, f"a policy has no {unknown[0] if unknown else ''}: keys are {', '.join(sorted(known))}")
    require(not {"context", "context_hex"} <= given.keys(), "context and context_hex are both given")
    read = dict(given)
    if "context_hex" in read:
        read["context"] = _from_hex(read.pop("context_hex"), "context_hex")
    elif "context" in read:
        require(isinstance(read["context"], str), "context must be text")
        read["context"] = read["context"].encode()
    if "roster" in read:
        read["roster"] = _from_hex(read["roster"], "roster")
    if "model" in read:
        read["model"] = _from_word(Model, read["model"], "model")
    if "threat" in read:
        read["threat"] = None if read["threat"] == "any" else _from_word(Threat, read["threat"], "threat")
    return read


def _from_hex(text: object, name: str) -> bytes:
    try:
        return bytes.fromhex(text)  # type: ignore[arg-type]  # a TypeError for what is no text
    except (TypeError, ValueError):
        raise LocalProtocolError(f"{name} must be hexadecimal digits in quotes") from None


def _from_word(kind: type[Member], text: object, name: str) -> Member:
    for member in kind:
        if text == _word(member):
            return member
    raise LocalProtocolError(f"{name} must be one of {', '.join(map(_word, kind))}")


def _word(member: IntEnum) -> str:
    return member.name.lower().replace("_", "-")


def _bytes(value: bytes) -> str:
    """Bytes in words: as text where they are a short one, else by length and beginning."""
    if not value:
        return "empty"
    if len(value) <= 64 and value.isascii() and value.decode().isprintable():
        return repr(value.decode())
    return f"{len(value)} bytes, {value[:8].hex()}..." if len(value) > 8 else value.hex()


def _hash(value: bytes) -> str:
    return value.hex() if value else "none"


def _contradiction(name: str, wanted: object, known: object) -> str:
    shown = [_hash(value) if isinstance(value, bytes) else _word(value) if isinstance(value, IntEnum) else str(value)
             for value in (wanted, known)]  # fmt: skip
    return f"this site's policy wants {name} = {shown[0]}, and here it is {shown[1]}"
