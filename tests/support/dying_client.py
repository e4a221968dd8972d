"""A process that answers one round and dies at a chosen call to the system: python -m tests.support.dying_client.

Arguments: folder, model, rounds answered before, the name of a call (`fsync`, `replace`, `write`, `advance`, `print`),
and which of these calls is the last, not begun any more ("before") or ended ("after").
"""

import os
import sys
from pathlib import Path
from typing import Any

from secagg import Identity, Model

from .saved import KEY, FileCounter, recorded


def main(folder: Path, model: Model, answered: int, call: str, number: int, when: str) -> None:
    session, counter = recorded(model), FileCounter(folder / "counter")
    identity = Identity.load(folder / "user.key") if model is Model.ACTIVE else None
    client = session.load(folder / "client", identity, key=KEY, counter=counter)
    owner: Any = counter if call == "advance" else os
    if call != "print":
        setattr(owner, call, dying(getattr(owner, call), number, when))
    answer = client.receive(session.requests[answered - 1]) if answered else client.start()
    if call == "print" and when == "before":
        os._exit(9)
    print(answer.hex(), flush=True)


def dying(real: Any, number: int, when: str) -> Any:
    """The call, which ends the process without any tidying up, as a machine that stops does."""
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and when == "before":
            os._exit(9)
        result = real(*arguments, **options)
        if calls == number:
            os._exit(9)
        return result

    return call


if __name__ == "__main__":
    main(Path(sys.argv[1]), Model[sys.argv[2]], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), sys.argv[6])
