"""The files of saved clients in a participant's folder of state: one for each session and user."""

import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ..protocol.client import MAX_AGE
from ..protocol.saved import Counter, remove_saved, saved_params
from .counters import Counters

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


def counter_name(file: Path, params: bytes) -> str:
    """The name of a state's counter, which serves one session for ever. `Params` have the session's nonce: the next
    session of the same name has another counter.

    Args:
        file: of the state; see `state_file`.
        params: SHA-256 of `Params.encode()`.
    """
    return sha256(f"{file.stem}\n{params.hex()}".encode()).hexdigest()[:32]


def saved_counter(file: Path, counters: Counters | None) -> Counter | None:
    """The counter of the state that is in a file; None where there is none.

    Args:
        file: of the state.
        counters: of states, by name; None for none.
    """
    params = None if counters is None else saved_params(file)
    return None if counters is None or params is None else counters(counter_name(file, params))


def remove_old(folder: Path, now: float, counters: Counters | None = None) -> None:
    """Remove what participations have left that nobody came back to; `Client.load` would refuse them.

    Args:
        folder: of states; other files in it stay.
        now: POSIX seconds.
        counters: of states by name; without it those that have one stay.
    """
    for path in folder.glob("*.client"):
        if _NAME.fullmatch(path.name):
            with suppress(OSError):  # a counter that fails keeps its state, and no other session
                remove_saved(path, before=now - MAX_AGE, counter=saved_counter(path, counters))
