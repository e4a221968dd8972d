"""Rosters between machines: as JSON, and in what two of them differ."""

import re
from collections.abc import Iterable
from typing import Any

from ..errors import LocalProtocolError, RemoteProtocolError
from ..protocol.identity import Roster
from .resources import Fields

IDS_SHOWN = 10
_ENTRY_BYTES = 96  # of a user id and a key in JSON, with what separates them
_FORM_BYTES = 1 << 12
_USER = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_KEY = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def roster_to_json(roster: Roster) -> dict[str, str]:
    """The form that travels: keys in hexadecimal by user id.

    Args:
        roster: of a session.
    """
    return {str(u): roster.key(u).hex() for u in roster.users.tolist()}


def roster_from_json(document: dict[str, Any]) -> Roster:
    """The inverse of `roster_to_json`.

    Args:
        document: what was read.

    Raises:
        RemoteProtocolError: it is none.
    """
    if not all(
        _USER.fullmatch(user) and isinstance(key, str) and _KEY.fullmatch(key) for user, key in document.items()
    ):
        raise RemoteProtocolError("roster must have a key of 64 hexadecimal digits by user id")
    try:
        return Roster({int(user): bytes.fromhex(key) for user, key in document.items()})
    except LocalProtocolError as error:
        raise RemoteProtocolError(str(error)) from None


def most_bytes(ours: Roster) -> int:
    """How long a roster may be that is compared with ours: one of twice as many users is another anyway.

    Args:
        ours: that we have.
    """
    return _FORM_BYTES + 2 * _ENTRY_BYTES * len(ours)


def read_roster(document: object, digest: bytes) -> Roster:
    """The roster of a session, as its coordinator shows it.

    Args:
        document: what was read.
        digest: the hash that was announced.

    Raises:
        RemoteProtocolError: it is none, or has another hash.
    """
    roster = roster_from_json(Fields(document, "a roster").mapping("roster"))
    if roster.hash != digest:
        raise RemoteProtocolError("the coordinator shows another roster than it has announced")
    return roster


def roster_difference(theirs: Roster, ours: Roster) -> str:
    """In what a session's roster differs from ours: numbers and ids.

    Args:
        theirs: the session's.
        ours: that we have.
    """
    them, us = set(theirs.users.tolist()), set(ours.users.tolist())
    others = {u for u in them & us if theirs.key(u) != ours.key(u)}
    parts = [
        f"{len(theirs)} users and not {len(ours)}" if len(theirs) != len(ours) else "",
        f"another key for {_users(others)}" if others else "",
        f"{_users(them - us)} besides" if them - us else "",
        f"not {_users(us - them)}" if us - them else "",
    ]
    return f"the session's has {', '.join(part for part in parts if part)}"


def _users(users: Iterable[int]) -> str:
    ordered = sorted(users)
    shown = ", ".join(map(str, ordered[:IDS_SHOWN]))
    more = f" and {len(ordered) - IDS_SHOWN} more" if len(ordered) > IDS_SHOWN else ""
    return f"user{'' if len(ordered) == 1 else 's'} {shown}{more}"
