"""Opting into tasks that Clients or the Leader advertise (draft-ietf-ppm-dap-taskprov-04, sections 3.7 and 3.8).

Anybody may advertise a task to the Leader. So the numbers of tasks are bounded, a task is judged before anything of it
is stored, and judging them takes a small part of one processor at most.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...arguments import convert, whole
from ...errors import LocalProtocolError, RemoteProtocolError
from ...http.problems import NO_TYPE
from ..messages import Role
from ..problems import DapProblem
from ..secrets import TaskSecrets, token_matches
from ..store.engine import Store, Tx
from ..store.peers import PeerRecord, add_advertised, count_advertised, list_peers, lock_peer, was_deleted
from ..store.tasks import TaskRecord, find_task
from ..task import Task
from ..task_policy import OptedOut, TaskPolicy
from ..taskprov import decode_configuration, derive_task_id, derive_verify_key
from .directory import FRESH

SHARE = 0.1  # of one processor, for judging tasks
_TOKEN = "send the token of the tasks' Leader as 'Authorization: Bearer ...' or 'DAP-Auth-Token: ...'"


@dataclass(frozen=True)
class Quota:
    """How many advertised tasks an Aggregator has with one peer.

    Attributes:
        tasks: that have not ended.
        a_day: that are added within a day.
    """

    tasks: int = 100
    a_day: int = 20

    def __post_init__(self) -> None:
        convert(self, whole, "tasks", "a_day")


class OptIn:
    """Decides for an Aggregator, and stores the tasks that it opts into; several threads may ask.

    Args:
        store: of this Aggregator.
        role: LEADER or HELPER.
        policy: what it asks of a task.
        quota: how many tasks it takes.
        ticks: seconds, of a clock that nobody sets.
    """

    def __init__(
        self,
        store: Store,
        role: Role,
        policy: TaskPolicy,
        quota: Quota = Quota(),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._role = role
        self._policy = policy
        self._quota = quota
        self._ticks = ticks
        self._turn = threading.Lock()
        self._rests_until = self._peers_read = float("-inf")
        self._peers: list[PeerRecord] = []
        self._full: dict[int, float] = {}  # peers whose quota is used up, and until when that is not looked at again

    def opt_in(self, configuration: bytes, token: bytes | None, now: float) -> TaskRecord:
        """The task that a request advertises: it was not here, and now is.

        Args:
            configuration: the encoded TaskConfiguration.
            token: that the request shows; None if it shows none.
            now: POSIX seconds.

        Raises:
            DapProblem: invalidTask if this Aggregator opts out; or the Leader's token is not shown to the Helper; or
                too many tasks are advertised at once.
            StoreUnavailable: nothing was stored.
        """
        task_id = derive_task_id(configuration)
        try:
            # With whom? The Helper also asks the Leader for its token; Clients of the Leader may be anybody.
            peer = self._peer(configuration)
            if self._role is Role.HELPER and not token_matches(token, peer.secrets.peer_token):
                raise DapProblem(NO_TYPE, _TOKEN, status=401, task_id=task_id)
            self._check_full(peer)

            # Section 3.5: are the parameters sufficient, and has the task not ended?
            task = self._judge(configuration, now)

            # Store it as other tasks, with the verification key of section 3.4.
            with self._store.write() as tx:
                return self._add(tx, peer, task, now)
        except (OptedOut, LocalProtocolError, RemoteProtocolError) as error:
            raise DapProblem("invalidTask", str(error), task_id=task_id) from None

    def _peer(self, configuration: bytes) -> PeerRecord:
        """The peer with which this Aggregator would have the task."""
        decoded = decode_configuration(configuration)
        urls = decoded.leader_aggregator_endpoint, decoded.helper_aggregator_endpoint
        leader_url, helper_url = (url.decode("ascii", "replace") for url in urls)
        for peer in self._known_peers():
            if peer.has(leader_url, helper_url):
                return peer
        raise OptedOut("this Aggregator takes no advertised tasks of this Leader and this Helper together")

    def _known_peers(self) -> list[PeerRecord]:
        if not 0.0 <= self._ticks() - self._peers_read < FRESH:
            with self._store.read() as tx:
                self._peers = list_peers(tx)
            self._peers_read = self._ticks()
        return self._peers

    def _check_full(self, peer: PeerRecord) -> None:
        """Opt out where the quota is used up, most often without a look at the store."""
        if self._ticks() < self._full.get(peer.key, float("-inf")):
            raise OptedOut(_FULL)

    def _judge(self, configuration: bytes, now: float) -> Task:
        """The task, if the policy takes it. Only one is judged at a time, and then none for a while."""
        if not self._turn.acquire(blocking=False):
            raise _busy()
        try:
            started = self._ticks()
            if started < self._rests_until:
                raise _busy()
            try:
                return self._policy.opt_in(configuration, now)
            finally:
                ended = self._ticks()
                self._rests_until = ended + (ended - started) * (1 - SHARE) / SHARE
        finally:
            self._turn.release()

    def _add(self, tx: Tx, peer: PeerRecord, task: Task, now: float) -> TaskRecord:
        """Store a task, unless another request was faster or there are too many."""
        lock_peer(tx, peer)
        found = find_task(tx, task.id)
        if found is not None:
            return found
        if was_deleted(tx, task.id):
            raise OptedOut("this task was deleted here, and its ID is never used again")
        lasting, recent = count_advertised(tx, peer, now)
        if lasting >= self._quota.tasks or recent >= self._quota.a_day:
            self._full[peer.key] = self._ticks() + FRESH
            raise OptedOut(_FULL)
        return add_advertised(tx, peer, task, self._secrets(peer, task), now)

    def _secrets(self, peer: PeerRecord, task: Task) -> TaskSecrets:
        """What this Aggregator holds of a peer's task beside its configuration."""
        verify_key = derive_verify_key(peer.secrets.verify_key, task.id, task.prio3.VERIFY_KEY_SIZE)
        selects = self._role is Role.LEADER and not task.by_time
        return replace(peer.secrets, verify_key=verify_key, batch_size=task.min_batch_size if selects else 0)


_FULL = "this Aggregator has as many advertised tasks as its operator allows: ask again when one has ended, or tomorrow"


def _busy() -> DapProblem:
    return DapProblem(NO_TYPE, "too many tasks are advertised at once; try again later", status=503, retry_after=1.0)
