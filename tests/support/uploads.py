"""Masked inputs of 30 MB for a coordinator's session: a process that makes them, and one that takes them.

    python -m tests.support.uploads prepare FOLDER
    python -m tests.support.uploads take FOLDER UPLOADS BYTES

The second prints its largest memory in bytes: it takes the users' masked inputs, while so many uploads are under way at
once, of which the others have so many bytes and come to nothing.
"""

import os
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from secagg import Model, Params, Round
from secagg.service.deadlines import Deadlines
from secagg.service.journal import Spool
from secagg.service.running import RunningSession
from secagg.service.setup import SessionSetup

from .coordinated import START, Clock, User, post, roster_of

USERS, ENTRIES = 12, 3_870_000  # of 62 bits: 30 MB
_CHUNK = 1 << 16


def prepare(folder: Path) -> None:
    """Rounds 0 and 1, and a file with each user's masked input."""
    params = Params(n=USERS, m=ENTRIES, modulus=1 << 62, max_value=100, model=Model.ACTIVE)
    setup = SessionSetup("uploads", params, roster_of(params), None, Deadlines(), START)
    session = RunningSession.create(folder / "session", setup, clock=Clock())
    users = {u: User(setup, u) for u in range(1, USERS + 1)}
    for u, user in users.items():
        session.join(user.name)
        user.begin()
        post(session, u, Round.ADVERTISE_KEYS, user.answers[Round.ADVERTISE_KEYS])
    session.tick()
    for current in (Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION):
        for u, user in users.items():
            opened = session.opened(u, None)
            assert opened is not None
            user.hear(opened)
            body = user.answers.pop(current)
            if current is Round.SHARE_KEYS:
                post(session, u, current, body)
            else:
                (folder / str(u)).write_bytes(body)
                user.client.forget_answer()
        session.tick()


def take(folder: Path, uploads: int, size: int) -> None:
    """All at once, a piece of each at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * uploads)), hard))
    session = RunningSession.open(folder / "session", clock=Clock())
    spools = {u: session.spool(u, Round.MASKED_INPUT_COLLECTION) for u in range(1, uploads + 1)}
    _arrive(folder, spools, size)
    with ThreadPoolExecutor(40) as pool:
        deliver = pool.map(lambda u: session.deliver(u, Round.MASKED_INPUT_COLLECTION, spools[u]), range(1, USERS + 1))
        assert list(deliver) == [None] * USERS
    for spool in spools.values():
        spool.discard()
    session.tick()
    assert session.round is Round.CONSISTENCY_CHECK
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _arrive(folder: Path, spools: dict[int, Spool], size: int) -> None:
    """Each upload's bytes."""
    other = os.urandom(_CHUNK)
    descriptors = {u: os.open(folder / str(u), os.O_RDONLY) for u in range(1, USERS + 1)}
    waiting = set(spools)
    while waiting:
        for u in sorted(waiting):
            rest = other[: max(0, size - spools[u].size)]
            piece = os.read(descriptors[u], _CHUNK) if u in descriptors else rest
            if not piece:
                waiting.discard(u)
            spools[u].write(piece)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(Path(sys.argv[2]))
    else:
        take(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
