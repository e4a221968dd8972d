"""Tasks and keys, read from the store once in a while rather than for every request."""

import threading
import time
from collections.abc import Callable, Mapping

from ..hpke import PrivateKey
from ..messages import HpkeConfigList
from ..store.engine import Store
from ..store.keys import KeyPair, list_keys
from ..store.tasks import TaskRecord, find_task, with_vdaf

FRESH = 5.0  # seconds for which what was read counts as current
SETTLED = 2 * FRESH  # seconds after which every process has a new key, so that Clients may be told of it
_MAX_REMEMBERED = 10_000  # IDs that are remembered, besides those of all tasks that there are


class Directory:
    """A cache of tasks and keys over one store; several threads may use it.

    Args:
        store: of one Aggregator.
        clock: POSIX seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._turn = threading.Lock()
        self._tasks: dict[bytes, tuple[float, TaskRecord | None]] = {}
        self._keys: tuple[float, list[KeyPair]] = (float("-inf"), [])

    def task(self, task_id: bytes) -> TaskRecord | None:
        """The task with this ID; None if there is none. A new task is seen within FRESH seconds.

        Args:
            task_id: 32 bytes.
        """
        now = self._clock()
        with self._turn:
            read_at, record = self._tasks.get(task_id, (float("-inf"), None))
        if _fresh(read_at, now):
            return record
        with self._store.read() as tx:
            latest = find_task(tx, task_id)
        if record is not None and latest is not None:
            latest = with_vdaf(latest, record)  # which is made already; only the tokens may be others
        with self._turn:
            if len(self._tasks) >= _MAX_REMEMBERED:  # requests for unknown IDs must not push our tasks out
                self._tasks = {key: entry for key, entry in self._tasks.items() if entry[1] is not None}
            self._tasks[task_id] = (now, latest)
        return latest

    def remembered(self, task_id: bytes) -> TaskRecord | None:
        """The task with this ID if it is cached and fresh, without a look at the store; otherwise None.

        Args:
            task_id: 32 bytes.
        """
        with self._turn:
            read_at, record = self._tasks.get(task_id, (float("-inf"), None))
        return record if _fresh(read_at, self._clock()) else None

    def remember(self, record: TaskRecord) -> None:
        """Know at once a task that was stored just now.

        Args:
            record: as the store has it.
        """
        with self._turn:
            self._tasks[record.task.id] = (self._clock(), record)

    @property
    def keys_remembered(self) -> bool:
        """Whether the keys are cached and fresh, so that asking for them does not look at the store."""
        return _fresh(self._keys[0], self._clock())

    def key_pairs(self) -> list[KeyPair]:
        """All key pairs; the newest comes first."""
        now = self._clock()
        with self._turn:
            read_at, pairs = self._keys
        if not _fresh(read_at, now):
            with self._store.read() as tx:
                pairs = list_keys(tx)
            with self._turn:
                self._keys = (now, pairs)
        return pairs

    def private_keys(self) -> Mapping[int, PrivateKey]:
        """All private keys by number: a report that was accepted in time is opened, however late."""
        return {pair.config.id: pair.private_key for pair in self.key_pairs()}

    def accepted(self) -> set[int]:
        """The numbers of the configurations that new reports may use."""
        now = self._clock()
        return {pair.config.id for pair in self.key_pairs() if pair.accepted(now)}

    def advertised(self) -> HpkeConfigList:
        """What Clients are told, the newest first (section 4.4.1).

        A key that not every process can open with yet is left out, unless there is no other.
        """
        now = self._clock()
        current = [pair for pair in self.key_pairs() if pair.advertised(now)]
        settled = [pair for pair in current if pair.created <= now - SETTLED]
        return HpkeConfigList(tuple(pair.config for pair in settled or current))


def _fresh(read_at: float, now: float) -> bool:
    """Whether something that was read at this time is current; it is not if the clock was set back since."""
    return 0.0 <= now - read_at < FRESH
