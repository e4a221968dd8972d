"""A session that runs: machine and journal together, for many threads.

A message is admitted, put on disk, given to the machine in the journal's order, and only then acknowledged. A decision
is on disk before anybody hears of it, and it is drawn up only when the machine has all that stands before it in the
journal, while nothing else can get in: `_lock` is held meanwhile. So a replay takes the same messages, and ends each
round with the same users.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import Abort, require
from ..protocol.messages import Round
from .journal import NAME, Journal, JournalFailed, Spool, is_ours
from .names import Name, name_text
from .records import (
    Body,
    CheckpointRecord,
    EndedRecord,
    JoinedRecord,
    Kind,
    LeftRecord,
    MessageRecord,
    OverRecord,
)
from .refusals import Kind as Refusal
from .refusals import Refused
from .replay import Replay
from .session import Aborted, Admitted, Decision, Opened, Session, Status
from .setup import SessionSetup
from .storage import Disk, Storage
from .sums import Result, little_endian

CHECKPOINT_BYTES, CHECKPOINT_INPUTS = 1 << 26, 8
"""After so many bytes and so many masked inputs a checkpoint takes their place: it is as long as one of them, and so
adds an eighth at most to what is written."""

TAKEN_TOGETHER = 16
"""Messages whose signatures are verified at once: more cost no less for each, and each may have a file open."""

Clock = Callable[[], float]
_NOTHING = Body(bytes(32), 0, 0, b"")


class Arrival(NamedTuple):
    """A message that is there as a whole.

    Attributes:
        user: the sender's id.
        round: the round that it answers.
        spool: its bytes.
    """

    user: int
    round: Round
    spool: Spool


class _Delivery:
    """A message on its way through the journal."""

    def __init__(self, record: MessageRecord, place: int) -> None:
        self.record = record
        self.place = place
        self.refused: Refused | None = None


class RunningSession:
    """A session on disk. Use `create` or `open`.

    All methods may be called from any thread, and block.

    Args:
        folder: the session's own folder.
        session: the machine.
        journal: what it has been fed with.
        clock: POSIX seconds.
        resources: what is let go of at the end, such as the folder's lock.
        storage: the disk.
    """

    def __init__(
        self, folder: Path, session: Session, journal: Journal, clock: Clock, resources: ExitStack, storage: Storage
    ) -> None:
        self.folder = folder
        self._session = session
        self._journal = journal
        self._clock = clock
        self._resources = resources
        self._storage = storage
        self._lock = threading.RLock()
        self._failure: Exception | None = None  # since then only the disk knows how the session stands
        self._closed = False
        self._entering: dict[tuple[int, Round], _Delivery] = {}
        self._line: deque[_Delivery] = deque()  # in the journal, and not yet in the machine
        self._inputs: list[Body] = []  # masked inputs that are in no checkpoint
        self._input_bytes = 0
        self._checkpoint: Body | None = None
        self._result: Body | None = None
        self._idle = threading.Condition(self._lock)  # no round is being worked out
        self._working = False
        self._told = session.status, session.round
        self._subscribers: list[Callable[[], None]] = []

    @classmethod
    def create(
        cls,
        folder: Path,
        setup: SessionSetup,
        *,
        clock: Clock = time.time,
        executor: Executor | None = None,
        storage: Storage | None = None,
    ) -> "RunningSession":
        """Begin a session, which is on disk when this returns.

        Args:
            folder: a folder for this session alone; it is made if it is missing.
            setup: all that is fixed.
            clock: POSIX seconds.
            executor: runs the removal of masks; see `Server`.
            storage: the disk.

        Raises:
            LocalProtocolError: the folder holds a session already, or is in use.
            OSError: the disk cannot take it.
        """
        disk = Disk() if storage is None else storage
        session = Session(setup, setup.created, executor)
        disk.make_folder(folder)
        with ExitStack() as stack:
            stack.enter_context(disk.lock(folder))
            journal = Journal.create(disk, folder, [(Kind.SETUP, setup.encode())])
            stack.callback(journal.close)
            return cls(folder, session, journal, clock, stack.pop_all(), disk)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        clock: Clock = time.time,
        executor: Executor | None = None,
        storage: Storage | None = None,
    ) -> "RunningSession":
        """Go on with a session from its journal.

        The deadline of the round that is due is a grace away at least: nobody could answer while the session was not
        open.

        Args:
            folder: the session's folder.
            clock: POSIX seconds.
            executor: runs the removal of masks; see `Server`.
            storage: the disk.

        Raises:
            Damaged: the folder holds no session, or its journal is damaged or a copy.
            LocalProtocolError: the folder is in use, or not ours alone.
            OSError: the disk cannot be read.
        """
        disk = Disk() if storage is None else storage
        with ExitStack() as stack:
            stack.enter_context(disk.lock(folder))
            replay = Replay(disk, folder, executor)
            journal = Journal.open(disk, folder, replay.take)
            stack.callback(journal.close)
            session = replay.finished(journal)
            running = cls(folder, session, journal, clock, stack.pop_all(), disk)
        running._go_on(replay)
        return running

    def _go_on(self, replay: "Replay") -> None:
        self._inputs, self._input_bytes = replay.inputs, sum(body.size for body in replay.inputs)
        self._checkpoint, self._result = replay.checkpoint, replay.result
        if self._session.status is Status.RUNNING:
            self._session.wait_at_least(self._clock() + self.setup.deadlines.grace)

    # What is fixed, and how far it is.

    @property
    def setup(self) -> SessionSetup:
        """All that is fixed."""
        return self._session.setup

    @property
    def status(self) -> str:
        """ "running", "finished" or "aborted", as it is on disk. Neither this nor `round` waits for anything."""
        return self._told[0]

    @property
    def round(self) -> Round | None:
        """The round that is due; None once the session is over."""
        return self._told[1]

    @property
    def expired(self) -> bool:
        """Whether the session is over and its result's age as well: `remove` is due."""
        ended = None if self._told[0] is Status.RUNNING else self._session.ended
        return ended is not None and self._clock() >= ended + self.setup.deadlines.keep

    def describe(self) -> dict[str, Any]:
        """How the session stands; see `Session.describe`.

        Raises:
            JournalFailed: the disk did not take what has happened.
        """
        with self._lock:
            self._check_failure()
            return self._session.describe()

    # Participants.

    def join(self, name_or_user: Name) -> int:
        """Let a participant in; it is on disk when this returns. See `Session.join`.

        Args:
            name_or_user: in the active model the user id; otherwise the name or number.

        Raises:
            Refused: the participant cannot join.
            JournalFailed: the disk did not take it.
        """
        with self._lock:
            self._check()
            new = not self._session.has(name_or_user)
            user = self._session.join(name_or_user)
            if new:
                name = "" if self.setup.roster is not None else name_text(name_or_user)
                with self._durably():
                    self._append(Kind.JOINED, JoinedRecord(self._clock(), user, name).encode())
        with self._durably():
            self._journal.sync()
        if new:
            self._tell()
        return user

    def leave(self, user: int) -> None:
        """Wait for a participant no more; it is on disk when this returns. See `Session.leave`.

        Args:
            user: the user id.

        Raises:
            Refused: the participant has not joined.
            JournalFailed: the disk did not take it.
        """
        with self._lock:
            self._check()
            if not self._session.can_leave(user):
                return
            with self._durably():
                self._settle()  # in the machine and in the journal it stands behind the same messages
                if self._session.can_leave(user):
                    self._append(Kind.LEFT, LeftRecord(self._clock(), user).encode())
                    self._journal.sync()
                    self._session.leave(user)
        self._tell()

    @property
    def names(self) -> dict[int, Name]:
        """Names and numbers by user id; see `Session.names`."""
        with self._lock:
            return self._session.names

    def user_of(self, name_or_user: Name) -> int:
        """The id of a participant who has joined. See `Session.user_of`."""
        with self._lock:
            return self._session.user_of(name_or_user)

    def admit(self, user: int, round: Round, digest: bytes) -> bool:
        """Whether a message is new and due; see `Session.admit`. Nothing changes.

        Args:
            user: the sender's id.
            round: the round that it answers.
            digest: the SHA-256 of its bytes.

        Raises:
            Refused: it would change nothing.
        """
        with self._lock:
            self._check()
            return self._session.admit(user, round, digest)

    def spool(self, user: int, round: Round) -> Spool:
        """A place for a message's bytes as they arrive; give it to `deliver`, or discard it.

        Args:
            user: the sender's id.
            round: the round that it answers.
        """
        self._check()
        return self._journal.spool()

    def deliver(self, user: int, round: Round, spool: Spool) -> None:
        """Take a message; when this returns, it is on disk and counts.

        Args:
            user: the sender's id.
            round: the round that it answers.
            spool: its bytes.

        Raises:
            Refused: it has changed nothing, or the protocol refused it.
            LocalProtocolError: the spool was discarded before, or the session is closed.
            JournalFailed: the disk did not take it: it may count or not once the session is opened again.
        """
        (refused,) = self.deliver_all([Arrival(user, round, spool)])
        if refused is not None:
            raise refused

    def deliver_all(self, arrivals: Sequence[Arrival]) -> list[Exception | None]:
        """Take messages in turn; one sync of the journal serves them all. See `deliver`.

        Args:
            arrivals: the messages.

        Returns:
            For each the error, which `deliver` raises; None for a message that is on disk and counts.

        Raises:
            LocalProtocolError: the session is closed.
            JournalFailed: the disk did not take them.
        """
        try:
            entered = [self._enter_arrival(arrival) for arrival in arrivals]
            deliveries = [each for each in entered if isinstance(each, _Delivery)]
            if deliveries:
                self._make_durable(max(delivery.place for delivery in deliveries))
            return [_again(each.refused) if isinstance(each, _Delivery) else each for each in entered]
        finally:
            for arrival in arrivals:
                arrival.spool.discard()

    def _enter_arrival(self, arrival: Arrival) -> _Delivery | Exception | None:
        try:
            with arrival.spool.in_use():  # until a record names its file
                if not self.admit(arrival.user, arrival.round, arrival.spool.digest()):
                    return None
                return self._enter(arrival.user, arrival.round, arrival.spool.seal())
        except Exception as error:  # whatever it is: the others' messages have entered, or will
            self._check()  # or it is the same for all
            return error

    def _enter(self, user: int, round: Round, body: Body) -> _Delivery | None:
        """Give the message its place in the journal, or the place of the same one; None if it was taken already."""
        with self._lock:
            self._check()
            if not self._session.admit(user, round, body.digest):
                return None
            known = self._entering.get((user, round))
            if known is not None:
                if known.record.body.digest == body.digest:
                    return known
                raise Refused(Refusal.BUSY, f"another answer of user {user} to {round} is being taken", retry_after=1.0)
            record = MessageRecord(self._clock(), user, round, body)
            with self._durably():
                delivery = _Delivery(record, self._append(Kind.MESSAGE, record.encode()))
            self._journal.name(body)
            self._entering[user, round] = delivery
            self._line.append(delivery)
            return delivery

    def _make_durable(self, place: int) -> None:
        """Put all that entered up to this place on disk, and give it to the machine."""
        with self._durably():
            self._journal.sync(place)
        with self._lock:
            self._check()
            self._take_durable()
        self._tell()

    def _take_durable(self) -> None:
        """Give the machine what is on disk, in the journal's order."""
        with self._durably():
            self._take_up_to(self._journal.synced)
            enough = self._input_bytes >= CHECKPOINT_BYTES and len(self._inputs) >= CHECKPOINT_INPUTS
            if enough and not self._session.closing:
                self._settle()
                self._make_checkpoint()

    def _take_up_to(self, synced: int) -> None:
        while batch := [each for each in islice(self._line, TAKEN_TOGETHER) if each.place <= synced]:
            for delivery in batch:
                self._line.popleft()
                del self._entering[delivery.record.user, delivery.record.round]
            self._take(batch)

    def _take(self, deliveries: list[_Delivery]) -> None:
        """All of one round: before it ends, the line is empty."""
        records = [delivery.record for delivery in deliveries]
        (current,) = {record.round for record in records}
        with ExitStack() as opened:
            contents = [opened.enter_context(self._journal.content(each.body, check=False)) for each in records]
            messages = [
                Admitted(each.user, each.body.digest, body, each.at)
                for each, body in zip(records, contents, strict=True)
            ]
            for delivery, refused in zip(deliveries, self._session.receive_all(current, messages), strict=True):
                delivery.refused = refused
        if current is Round.MASKED_INPUT_COLLECTION:
            self._inputs += [record.body for record in records]
            self._input_bytes += sum(record.body.size for record in records)

    def request(self, user: int, after: Round | None) -> bytes | None:
        """A participant's next request; see `Session.request`."""
        opened = self.opened(user, after)
        return None if opened is None else opened.body

    def opened(self, user: int, after: Round | None) -> Opened | None:
        """The same with the round that it opens.

        Args:
            user: the participant's id.
            after: the last round that it has answered; None if it has answered none.

        Raises:
            Refused: the participant is out, or the session was aborted, or its result is kept no longer.
        """
        with self._lock:
            self._check()
            if self.expired:
                raise Refused(Refusal.OVER, "the session is over, and its result is kept no longer")
            return self._session.opened(user, after)

    # Decisions.

    def tick(self) -> float | None:
        """Decide and carry out what is due; in Unmasking this takes long.

        Call it at the time that it returns, and whenever a subscriber is called.

        Returns:
            The next time to call it, POSIX seconds; None if only a message can change something.

        Raises:
            JournalFailed: the disk did not take the decision.
            LocalProtocolError: the session is closed.
            Exception: what the executor raises while the sum is worked out; call `tick` again.
        """
        with self._lock:
            self._check()
            decided = self._session.closing is not None or self._decide_what_is_due()
        if decided:
            self._work_out()
            self._tell()
        return self._next_time()

    def abort(self, reason: str) -> None:
        """End the session without a sum; everybody is told why.

        Args:
            reason: a sentence.

        Raises:
            LocalProtocolError: the session is over, or its sum is being worked out.
        """
        with self._idle:
            self._idle.wait_for(lambda: not self._working or self._session.is_last_round)
            self._check()
            require(self._session.status is Status.RUNNING, "the session is over")
            require(not self._working, "the sum is being worked out: abort is too late")
            with self._durably():
                self._settle()
                self._decide(Aborted(self._session.round, reason))
        self._tell()

    def _decide_what_is_due(self) -> bool:
        """Whether there was a decision; nothing can come between it and the messages that it counts."""
        if self._session.due(self._clock()) is None:
            return False
        with self._durably():
            self._settle()
            decision = self._session.due(self._clock())
            if decision is not None:
                self._decide(decision)
        return decision is not None

    def _settle(self) -> None:
        """Give the machine all that the journal has."""
        self._journal.sync()
        self._take_up_to(self._journal.synced)
        assert not self._line

    def _decide(self, decision: Decision) -> None:
        """Put a decision on disk, and let it count."""
        now = self._clock()
        if isinstance(decision, Aborted):
            self._session.abort(decision, now)
            self._archive(None)
            self._told = self._session.status, self._session.round
            return
        if decision.round is Round.MASKED_INPUT_COLLECTION:
            self._make_checkpoint()
        self._append(Kind.ENDED, EndedRecord(now, decision.round, np.array(decision.users, np.uint32)).encode())
        self._journal.sync()
        self._session.close(decision)
        self._decided_at = now

    def _work_out(self) -> None:
        """Carry out the decision that the session is closing with; one thread does, while others read."""
        with self._lock:
            if self._session.closing is None or self._working:
                return
            self._working = True
        try:
            self._open_next()
        finally:
            with self._idle:
                self._working = False
                self._idle.notify_all()

    def _open_next(self) -> None:
        assert self._session.round is not None
        last = self._session.is_last_round
        try:
            requests = self._session.work_out()
        except Abort as error:
            with self._lock, self._durably():
                self._decide(Aborted(self._session.round, str(error)))
            return
        except Exception as error:
            if last:  # of the executor: the step can be taken again
                raise
            raise self._failed(error) from error
        with self._lock, self._durably():
            self._session.open(requests, self._clock() if last else self._decided_at)
            if last:
                self._archive(self._session.result)
            self._told = self._session.status, self._session.round

    def _next_time(self) -> float | None:
        with self._lock:
            if self._session.ended is not None:
                return self._session.ended + self.setup.deadlines.keep
            return self._session.next_time()

    # What is kept.

    def _make_checkpoint(self) -> None:
        """Put the sum so far in place of the masked inputs; nothing is on its way meanwhile."""
        made = self._session.checkpoint()
        body = self._stored(made.parts)
        strays = np.array(list(made.strays.items()), np.uint32).reshape(-1, 2)
        record = CheckpointRecord(made.goal_met is not None, made.goal_met or 0.0, made.received_bytes, strays, body)
        self._journal.rewrite(_is_no_masked_input, [(Kind.CHECKPOINT, record.encode())])
        old = [*self._inputs, *([] if self._checkpoint is None else [self._checkpoint])]
        self._inputs, self._input_bytes, self._checkpoint = [], 0, body
        self._drop(old)

    def _archive(self, result: Result | None) -> None:
        """Drop all messages of a session that is over; what remains is on disk before anybody hears of it."""
        body = _NOTHING if result is None else self._stored([little_endian(result.sum)])
        record = OverRecord(self._session.remember(), result is not None, body)
        self._journal.rewrite(lambda kind, _: kind is Kind.SETUP, [(Kind.OVER, record.encode())])
        self._session.result, self._result = None, None if result is None else body
        self._inputs, self._input_bytes, self._checkpoint = [], 0, None
        self._journal.forget(self._journal.named - {body.number})

    def _stored(self, parts: Iterable[bytes | memoryview]) -> Body:
        """Bytes as a body, which is on disk once the record with it is."""
        spool = self._journal.spool()
        try:
            for part in parts:
                spool.write(part)
            body = spool.seal()
            self._journal.name(body)
        finally:
            spool.discard()
        return body

    def _drop(self, bodies: list[Body]) -> None:
        numbers = {body.number for body in bodies if body.number}
        self._journal.forget(numbers)

    def result(self) -> Result:
        """The sum of a session that has finished.

        Raises:
            Refused: the session was aborted, has not finished, or its result is kept no longer.
        """
        with self._lock:
            self._check()
            if self.expired:
                raise Refused(Refusal.OVER, "the session is over, and its result is kept no longer")
            if self._session.status is Status.ABORTED:
                raise Refused(Refusal.ABORTED, f"the session was aborted: {self._session.reason}")
            if self._result is None:
                raise Refused(Refusal.EARLY, "the session has not finished", retry_after=1.0)
            dtype = self.setup.params.dtype
            with self._journal.content(self._result) as content:
                total = np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)
            return Result(total, self._session.survivors, self._session.sha256)

    # Who listens, and the end.

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call a function after each change, from any thread.

        Args:
            callback: must not block, nor call this object.

        Returns:
            A function that ends it.
        """
        with self._lock:
            self._subscribers.append(callback)

        def end() -> None:
            with self._lock, suppress(ValueError):
                self._subscribers.remove(callback)

        return end

    def _tell(self) -> None:
        with self._lock:
            subscribers = list(self._subscribers)
        for subscriber in subscribers:
            subscriber()

    def close(self) -> None:
        """Let go of the folder; `open` goes on from there."""
        with self._lock:
            self._closed = True
            self._resources.close()

    def remove(self) -> None:
        """Close the session and remove its folder."""
        self.close()
        remove(self.folder, storage=self._storage)

    def _append(self, kind: Kind, body: bytes) -> int:
        return self._journal.append(kind, body)

    def _check(self) -> None:
        require(not self._closed, "the session is closed")
        self._check_failure()

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise JournalFailed(f"the session must be opened again: {self._failure}")

    def _failed(self, error: Exception) -> JournalFailed:
        """Nobody hears any more from this object: the machine may be ahead of the disk, or behind it."""
        with self._lock:
            require(not self._closed, "the session is closed")
            self._failure = self._failure or error
        return JournalFailed(f"the session must be opened again: {error}")

    @contextmanager
    def _durably(self) -> Iterator[None]:
        """What changes machine and disk: either both, or only what is on disk counts.

        Raises:
            JournalFailed: something went wrong, whatever it was.
            LocalProtocolError: the session is closed, or was closed meanwhile.
        """
        self._check()
        try:
            yield
        except Refused:
            raise
        except Exception as error:
            raise self._failed(error) from error


def _again(refused: Refused | None) -> Refused | None:
    """The same refusal for one of several who hear of it."""
    return None if refused is None else Refused(refused.kind, refused.detail, refused.retry_after)


def is_leftover(folder: Path) -> bool:
    """Whether a folder is what a crash has left of a session that was being made or removed: it has no journal, and
    nothing that is not a session's.

    Args:
        folder: that exists.
    """
    names = Disk().names(folder)
    return NAME not in names and all(map(is_ours, names))


def remove(folder: Path, *, storage: Storage | None = None) -> None:
    """Remove a session's folder, or what a crash has left of one that was being made or removed.

    Args:
        folder: the session's folder, which nobody uses.
        storage: the disk.

    Raises:
        LocalProtocolError: the folder is in use, or holds something else.
    """
    disk = Disk() if storage is None else storage
    with disk.lock(folder):
        # Without its journal the folder is no session any more, whatever is left of it.
        if NAME in disk.names(folder):
            disk.remove(folder / NAME)
            disk.sync_folder(folder)
        for name in disk.names(folder):
            require(is_ours(name), f"{folder / name} is no part of a session: remove it by hand")
            disk.remove(folder / name)
    disk.remove_folder(folder)


def _is_no_masked_input(kind: Kind, data: memoryview) -> bool:
    """Whether a record stays when a checkpoint is made: masked inputs and the checkpoint before do not."""
    if kind is Kind.CHECKPOINT:
        return False
    return kind is not Kind.MESSAGE or MessageRecord.decode(data).round is not Round.MASKED_INPUT_COLLECTION
