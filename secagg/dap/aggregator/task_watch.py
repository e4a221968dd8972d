"""Tasks that were added are noticed: the log says so, and the Leader asks the Helper whether it has them, too."""

import logging
from dataclasses import replace

from ..store.engine import Store
from ..store.task_watch import Check, end_check, has_new_tasks, is_check_due, lease_check, notice_tasks
from ..store.tasks import KnownTasks, TaskRecord
from ..task import time_text
from .helper_check import HelperState, ask_helper, state_of
from .peer import Peer, PeerUnavailable
from .peer_health import PAUSES, PeerHealth

LEASE = 300.0  # seconds after which a check that a process has begun is taken for lost
_PASSING = {"busy", "wrong answer"}  # of a check: a Helper that knows no such request may still do its jobs
AGAIN = 86_400.0  # seconds after which a Helper that is ready is asked again: it may lose a task

log = logging.getLogger(__name__)


class TaskWatch:
    """Notices tasks; any number of processes may do so on one store.

    Args:
        store: of this Aggregator.
        peer: at the Leader, sends requests to Helpers; it is not watched itself. None at the Helper.
        health: at the Leader, of the Helpers.
    """

    def __init__(self, store: Store, peer: Peer | None = None, health: PeerHealth | None = None) -> None:
        self._store = store
        self._peer = peer
        self._health = health
        self._tasks = KnownTasks()

    def step(self, now: float) -> bool:
        """Notice new tasks, then ask one Helper if that is due.

        Args:
            now: POSIX seconds.

        Returns:
            Whether a Helper was asked.
        """
        # A transaction that writes is for what there is to write: on SQLite it keeps all others waiting.
        with self._store.read() as tx:
            new = has_new_tasks(tx)
        if new:
            self._notice(now)
        if self._peer is None or self._health is None:
            return False
        with self._store.read() as tx:
            resting = self._health.resting_tasks(tx, self._tasks)
            if not is_check_due(tx, now, resting):
                return False
        with self._store.write() as tx:
            check = lease_check(tx, now, LEASE, resting)
            record = None if check is None else self._tasks.find(tx, check.task)
        if check is None or record is None:
            return False
        self._ask(self._peer, self._health, record, check, now)
        return True

    def _notice(self, now: float) -> None:
        with self._store.write() as tx:
            noticed = [(self._tasks.find(tx, key), created) for key, created in notice_tasks(tx, now)]
        for record, created in noticed:
            if record is not None:
                log.info("%s", _added(record, created))

    def _ask(self, peer: Peer, health: PeerHealth, record: TaskRecord, check: Check, now: float) -> None:
        url = record.task.helper_url
        try:
            with health.call(url, _PASSING):
                state, reason = ask_helper(peer, record)
        except PeerUnavailable as error:
            if error.kind == "resting":  # since we looked: it was not asked
                with self._store.write() as tx:
                    end_check(tx, replace(check, due=now + PAUSES[0]))
                return
            state, reason = state_of(error), str(error)
        pause = AGAIN if state is HelperState.READY else min(PAUSES[1], PAUSES[0] * 2.0 ** min(check.attempts, 62))
        attempts = 0 if state is HelperState.READY else check.attempts + 1
        with self._store.write() as tx:
            end_check(tx, Check(check.task, state.value, reason, now, attempts, now + pause))
        if check.helper != state:
            level = logging.WARNING if state.fails else logging.INFO
            said = f" ({reason})" if reason and state is not HelperState.READY else ""
            log.log(level, "task %s: the Helper %s %s%s", record.task.text, url, state.advice, said)


def _added(record: TaskRecord, created: float) -> str:
    task, privacy = record.task, record.task.privacy
    mode = task.batch_mode.name.lower().replace("_", "-")
    noise = "exact results" if privacy is None else f"{privacy.mechanism}, {privacy.budget} a collection"
    return (
        f"task {task.text} was added at {time_text(created)}: {task.vdaf.NAME}, {task.min_batch_size:,} reports or"
        f" more, {mode}, {noise}, Leader {task.leader_url}, Helper {task.helper_url}"
    )
