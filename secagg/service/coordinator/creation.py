"""A new session, as the operator's JSON describes it.

Either `params` has all of `Params`, encoded, or single members say what differs from the defaults:

    n, length                       how many users, and entries of a vector
    bits | modulus | max_value      R, or the largest input element, for which R is chosen
    model, threat                   "semi-honest" or "active"; "clients-only", "server-only" or "colluding"
    t, min_users, n_corrupt         thresholds
    context                         text that the session is bound to, or context_bytes in base64url

And in both cases: name, label, goal, grace, keep, seconds (by round), results, invited (names and numbers), roster
(keys by id).
"""

import secrets
from collections.abc import Callable
from typing import Any

from ...arguments import real
from ...errors import LocalProtocolError, RemoteProtocolError
from ...protocol.identity import Roster
from ...protocol.params import Model, Params
from ...protocol.thresholds import Threat, default_corrupt
from ..names import Name
from ..problems import MALFORMED, ServiceProblem
from ..resources import Fields, deadlines_from_json
from ..rosters import roster_from_json
from ..setup import SessionSetup

MODELS = {model.name.lower().replace("_", "-"): model for model in Model}
THREATS = {threat.name.lower().replace("_", "-"): threat for threat in Threat}
DEFAULT_BITS = 32

_PARAMS = {"n", "length", "bits", "modulus", "max_value", "model", "threat", "t", "min_users", "n_corrupt", "context",
           "context_bytes"}  # fmt: skip
_DEADLINES = {"goal", "grace", "keep", "seconds"}
_OTHERS = {"params", "name", "label", "results", "invited", "roster"}


def read_setup(document: object, now: float, random_name: Callable[[], str] | None = None) -> SessionSetup:
    """What is fixed of a new session.

    Args:
        document: the operator's.
        now: POSIX seconds.
        random_name: gives a name where the document has none; None for random letters and digits.

    Raises:
        ServiceProblem: the document is malformed, or its parts do not belong together.
    """
    try:
        fields = Fields(document, "a session")
        unknown = sorted(fields.names() - _PARAMS - _DEADLINES - _OTHERS)
        if unknown:
            raise RemoteProtocolError(f"a session has no member {unknown[0]!r}")
        return SessionSetup(
            name=fields.optional(fields.text, "name") or (random_name or _random_name)(),
            params=_params(fields),
            roster=_roster(fields),
            invited=_invited(fields),
            deadlines=deadlines_from_json({name: fields.raw(name) for name in _DEADLINES & fields.names()}),
            created=real(now, "now"),
            results_for_participants=fields.optional(fields.truth, "results") is not False,
            label=fields.optional(fields.text, "label") or "",
        )
    except (RemoteProtocolError, LocalProtocolError) as error:
        raise ServiceProblem(MALFORMED, str(error)) from None


def _random_name() -> str:
    return secrets.token_hex(5)


def _params(fields: Fields) -> Params:
    if "params" in fields.names():
        beside = sorted(fields.names() & _PARAMS)
        if beside:
            raise RemoteProtocolError(f"a session: params has all of them, so {beside[0]} must not stand beside it")
        return Params.decode(fields.octets("params"))
    others: dict[str, Any] = {
        "n": fields.whole("n"),
        "m": fields.whole("length"),
        "model": _choice(fields, "model", MODELS),
        "threat": _choice(fields, "threat", THREATS),
        "t": fields.optional(fields.whole, "t"),
        "min_users": fields.optional(fields.whole, "min_users"),
        "n_corrupt": fields.optional(fields.whole, "n_corrupt"),
        "context": _context(fields),
    }
    if others["n_corrupt"] is None and others["threat"] in (None, Threat.COLLUDING):
        others["n_corrupt"] = max(
            1, default_corrupt(others["n"], Threat.COLLUDING)
        )  # what participants want by default
    given = {name: value for name, value in others.items() if value is not None}
    sizes = fields.names() & {"bits", "modulus", "max_value"}
    if len(sizes) > 1:
        raise RemoteProtocolError("a session: give one of bits, modulus and max_value")
    if "max_value" in sizes:
        return Params.for_inputs(fields.whole("max_value"), **given)
    if "modulus" in sizes:
        return Params(modulus=fields.whole("modulus"), **given)
    bits = fields.whole("bits") if "bits" in sizes else DEFAULT_BITS
    if not 1 <= bits <= 64:
        raise RemoteProtocolError(f"a session: bits must be 1 .. 64, got {bits}")
    return Params(modulus=1 << bits, **given)


def _choice(fields: Fields, name: str, words: dict[str, Any]) -> Any:
    """One of some words."""
    word = fields.optional(fields.text, name)
    if word is not None and word not in words:
        raise RemoteProtocolError(f"a session: {name} must be one of {', '.join(words)}")
    return None if word is None else words[word]


def _context(fields: Fields) -> bytes | None:
    text = fields.optional(fields.text, "context")
    return fields.optional(fields.octets, "context_bytes") if text is None else text.encode()


def _roster(fields: Fields) -> Roster | None:
    """Keys in hexadecimal by user id."""
    given = fields.optional(fields.mapping, "roster")
    return None if given is None else roster_from_json(given)


def _invited(fields: Fields) -> tuple[Name, ...] | None:
    """Names are strings, and numbers are integers."""
    return fields.optional(fields.participants, "invited")
