"""The files of saved clients in a participant's folder of state: one for each session and user."""

import re
from hashlib import sha256
from pathlib import Path

from ..protocol.client import MAX_AGE
from ..protocol.saved import remove_saved

_NAME = re.compile(r"[0-9a-f]{32}\.client")


def state_file(folder: Path, coordinator: str, session: str, owner: str) -> Path:
    """The file of one participant in one session.

    Args:
        folder: of states.
        coordinator: its name, which is its URL.
        session: its name.
        owner: who takes part there. Before a coordinator has answered this is known: the file of a session that is
            gone can be found.
    """
    who = f"{coordinator}\n{session}\n{owner}"
    return folder / f"{sha256(who.encode()).hexdigest()[:32]}.client"


def remove_old(folder: Path, now: float) -> None:
    """Remove what participations have left that nobody came back to; `Client.load` would refuse them.

    Args:
        folder: of states; other files in it stay.
        now: POSIX seconds.
    """
    for path in folder.glob("*.client"):
        if _NAME.fullmatch(path.name):
            remove_saved(path, before=now - MAX_AGE)
