"""A coordinator's session in a process that is there to be killed: a command a line, an answer a line.

python -m tests.support.coordinator_child FOLDER
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from secagg import Round
from secagg.service import journal, running
from secagg.service.refusals import Refused
from secagg.service.running import RunningSession

from .coordinated import Clock, post


def main(folder: Path) -> None:
    """Go on with the session in this folder until somebody kills this process."""
    journal.INLINE_BYTES, running.CHECKPOINT_BYTES, running.CHECKPOINT_INPUTS = 200, 1000, 2
    session = RunningSession.open(folder, clock=Clock())
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = _COMMANDS[name](session, *arguments)
        except Refused as refused:
            answer = {"refused": refused.kind}
        print(json.dumps(answer), flush=True)


def _join(session: RunningSession, name: str | int) -> int:
    return session.join(name)


def _post(session: RunningSession, user: int, round: int, body: str) -> None:
    post(session, user, Round(round), bytes.fromhex(body), chunk=100)


def _opened(session: RunningSession, user: int, after: int | None) -> Any:
    opened = session.opened(user, None if after is None else Round(after))
    return None if opened is None else [opened.round, opened.body.hex()]


def _tick(session: RunningSession) -> list[str | None]:
    session.tick()
    return [session.status, None if session.round is None else str(session.round)]


def _sum(session: RunningSession) -> list[list[int]]:
    result = session.result()
    return [list(result.survivors), result.sum.tolist()]


_COMMANDS: dict[str, Callable[..., Any]] = {
    "join": _join,
    "post": _post,
    "opened": _opened,
    "tick": _tick,
    "sum": _sum,
}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
