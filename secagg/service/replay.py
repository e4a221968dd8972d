"""The machine as the records of a journal make it: what was taken and decided is taken and decided again."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, suppress
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from ..codec import Ids
from ..errors import RemoteProtocolError
from ..protocol.messages import Round
from .journal import Damaged, Journal, content
from .names import parse_name
from .records import Body, CheckpointRecord, EndedRecord, JoinedRecord, Kind, LeftRecord, MessageRecord, OverRecord
from .refusals import Refused
from .session import Ended, Session
from .setup import SessionSetup
from .storage import Storage


class Replay:
    """A journal on its way into a machine.

    Args:
        storage: the disk.
        folder: the session's folder.
        executor: of the machine.

    Attributes:
        inputs: the bodies of masked inputs that are in no checkpoint.
        checkpoint: the last one.
        result: the sum of a session that has finished.
        archived: whether the session is over, and its messages are gone.
    """

    def __init__(self, storage: Storage, folder: Path, executor: Executor | None) -> None:
        self.inputs: list[Body] = []
        self.checkpoint: Body | None = None
        self.result: Body | None = None
        self.archived = False
        self._numbers: set[int] = set()
        self._storage = storage
        self._folder = folder
        self._executor = executor
        self._session: Session | None = None

    def take(self, kind: Kind, data: memoryview) -> None:
        """Take the next record."""
        if (self._session is None) != (kind is Kind.SETUP) or self.archived:
            raise RemoteProtocolError(f"a record {kind.name} is out of place")
        self._TAKE[kind](self, bytes(data))

    def finished(self, journal: Journal) -> Session:
        """The machine; the journal knows the files that it names."""
        if self._session is None:
            raise Damaged("the journal has no setup")
        for number in self._numbers:
            journal.name(Body(bytes(32), 0, number, b""))
        journal.clear()
        return self._session

    @property
    def _machine(self) -> Session:
        assert self._session is not None
        return self._session

    def _content(self, body: Body) -> AbstractContextManager[memoryview]:
        if body.number:
            self._numbers.add(body.number)
        return content(self._storage, self._folder, body)

    def _take_setup(self, data: bytes) -> None:
        setup = SessionSetup.decode(data)
        self._session = Session(setup, setup.created, self._executor)

    def _take_joined(self, data: bytes) -> None:
        record = JoinedRecord.decode(data)
        user = self._machine.join(parse_name(record.name) if self._machine.setup.roster is None else record.user)
        if user != record.user:
            raise RemoteProtocolError("a participant has another id")

    def _take_message(self, data: bytes) -> None:
        record = MessageRecord.decode(data)
        with self._content(record.body) as view, suppress(Refused):  # as it was refused when it came
            self._machine.receive(record.user, record.round, record.body.digest, view, record.at)
        if record.round is Round.MASKED_INPUT_COLLECTION:
            self.inputs.append(record.body)

    def _take_left(self, data: bytes) -> None:
        self._machine.leave(LeftRecord.decode(data).user)

    def _take_ended(self, data: bytes) -> None:
        record = EndedRecord.decode(data)
        session = self._machine
        session.close(Ended(record.round, tuple(record.users.tolist())))
        if not session.is_last_round:  # the sum takes long, and is worked out once the session is open
            session.open(session.work_out(), record.at)

    def _take_checkpoint(self, data: bytes) -> None:
        record = CheckpointRecord.decode(data)
        self.checkpoint = record.body
        with self._content(record.body) as view:
            goal_met = record.goal_met if record.has_goal else None
            self._machine.resume(view, goal_met, record.received_bytes, _counts(record.strays))

    def _take_over(self, data: bytes) -> None:
        record = OverRecord.decode(data)
        self._session, self.archived = Session.recall(self._machine.setup, record.memory), True
        if record.has_result:
            self.result = record.result
            if record.result.number:
                self._numbers.add(record.result.number)

    _TAKE: ClassVar[dict[Kind, Callable[["Replay", bytes], None]]] = {
        Kind.SETUP: _take_setup,
        Kind.JOINED: _take_joined,
        Kind.MESSAGE: _take_message,
        Kind.ENDED: _take_ended,
        Kind.CHECKPOINT: _take_checkpoint,
        Kind.OVER: _take_over,
        Kind.LEFT: _take_left,
    }


def _counts(pairs: Ids) -> dict[int, int]:
    """Counts by user.

    Raises:
        RemoteProtocolError: the users are not ascending.
    """
    users = pairs[:, 0].tolist()
    if any(before >= user for before, user in pairwise(users)):
        raise RemoteProtocolError("strays by user are not in order")
    return dict(zip(users, pairs[:, 1].tolist(), strict=True))
