"""What the page shows of a session: ids and numbers."""

from collections.abc import Iterable
from typing import Any

from ....protocol.graph import Sparse
from ....protocol.messages import Round, rounds_of
from ....protocol.params import Params
from ...setup import SessionSetup

RANGES_MAX = 200


def view(setup: SessionSetup, described: dict[str, Any]) -> dict[str, Any]:
    """A session in the form that page.js reads.

    Args:
        setup: of the session.
        described: how it stands, by `Session.describe`.
    """
    params, rounds = setup.params, described["rounds"]
    survivors = rounds.get(str(Round.MASKED_INPUT_COLLECTION))
    same = ("name", "label", "status", "reason", "round", "closing", "began", "ends", "ended", "n", "minimum")
    return {
        **{key: described[key] for key in (*same, "may_drop", "received_bytes", "sha256")},
        "created": setup.created,
        "t": described["threshold"],
        "min_users": params.min_users,
        "neighbourhood": neighbourhood(params),
        "goal": setup.deadlines.goal,
        "rounds": [_round(str(current), rounds) for current in rounds_of(params)],
        "users": {state: {"count": len(ids), "ids": ranges(ids)} for state, ids in users(described).items()},
        "survivors": None if survivors is None else len(survivors),
    }


def neighbourhood(params: Params) -> dict[str, int] | None:
    """What holds of the neighbours of one user; None in the complete graph, where everybody is one.

    Args:
        params: of the session.
    """
    if not isinstance(params.graph, Sparse):
        return None
    return {"degree": params.graph.degree, "holders": params.holders, "min_holders": params.min_holders}


def users(described: dict[str, Any]) -> dict[str, list[int]]:
    """Ids by what has become of them. Who left, by a word or after an answer, is gone; who gave none in time is late.

    Args:
        described: how the session stands.
    """
    before = {user for answered in described["rounds"].values() for user in answered}
    late, not_needed, left, faulty = (set(described[key]) for key in ("late", "not_needed", "left", "faulty"))
    states = {
        "in": set(described["joined"]) - late - not_needed - left - faulty,
        "answered": set(described["answered"]),
        "waiting": set(described["waiting"]),
        "late": late - before,
        "not_needed": not_needed,
        "gone": late & before | left,
        "faulty": faulty,
    }
    return {state: sorted(ids) for state, ids in states.items()}


def ranges(ids: Iterable[int]) -> str:
    """Ids in the form "1-5, 7", and no more than a page can show.

    Args:
        ids: ascending.
    """
    found: list[list[int]] = []
    for user in ids:
        if found and user == found[-1][1] + 1:
            found[-1][1] = user
        else:
            found.append([user, user])
    texts = [f"{first}" if first == last else f"{first}-{last}" for first, last in found[:RANGES_MAX]]
    return ", ".join(texts) + (", and more" if len(found) > RANGES_MAX else "")


def _round(name: str, ended: dict[str, list[int]]) -> dict[str, Any]:
    return {"name": name, "users": len(ended[name]) if name in ended else None}
