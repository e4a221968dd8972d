"""The journal of one session: what came and what was decided, in the order in which the machine gets it.

A session has a folder of its own with one file of records that grows at its end. Bodies above 64 KiB are files beside
it: they are on disk before the record that names them is. One `fsync` serves all records that were appended while the
one before it was running. The file is replaced, whole, where it is to forget something: masked inputs that are in a
checkpoint, and all messages once the session is over.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from ..durable import check_mark, mark
from ..errors import LocalProtocolError, RemoteProtocolError, require
from .records import ALL_DURABLE, Body, Framed, Kind, frame, frames, is_torn
from .refusals import Refused
from .storage import File, Storage

KIND = "session journal"
NAME = "journal"
INLINE_BYTES = 1 << 16
"""The largest body that lies in its record."""

JOURNAL_BYTES = 1 << 30
BODY_BYTES = 1 << 33
_MARK_BYTES = 128
_NEW = "journal.new"
_BODY = re.compile(r"body-([0-9a-f]{16})")

Take = Callable[[Kind, memoryview], None]
Entry = tuple[Kind, bytes]


class JournalFailed(OSError):
    """The disk did not take a record. What it has of it is known only once the journal is opened again."""


class Damaged(LocalProtocolError):
    """A journal that cannot be gone on with, however often it is opened, until somebody puts its folder right."""


class Spool:
    """A body as it arrives. Threads must take turns, but any may discard it at any time: whoever works with it lets go
    of the file once the work is done.

    Attributes:
        size: how many bytes have come.
    """

    def __init__(self, journal: "Journal") -> None:
        self.size = 0
        self._journal = journal
        self._hash = hashlib.sha256()
        self._small: list[bytes] = []
        self._number = 0
        self._file: File | None = None
        self._sealed: Body | None = None
        self._lock = threading.Lock()  # of what follows; nobody waits while it is held
        self._users = 0
        self._discarded = False

    @property
    def has_file(self) -> bool:
        """Whether the body is too long to lie in its record."""
        return self._number != 0

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Until the block is left, a body that is discarded stays.

        Raises:
            LocalProtocolError: it was discarded already.
        """
        with self._lock:
            require(not self._discarded, "the body was discarded")
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                last = self._discarded and self._users == 0
            if last:
                self._dispose()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes; what is above 64 KiB goes to the disk.

        Args:
            data: the bytes.

        Raises:
            OSError: the disk cannot take them.
        """
        with self.in_use():
            require(self._sealed is None, "the body is complete")
            self._hash.update(data)
            self.size += len(data)
            if self._file is None and self.size <= INLINE_BYTES:
                self._small.append(bytes(data))
            else:
                self._write_to_file(data)

    def _write_to_file(self, data: bytes | memoryview) -> None:
        if self._file is None:
            self._number, self._file = self._journal.new_file()
            for part in self._small:
                self._file.write(part)
            self._small = []
        self._file.write(data)

    def digest(self) -> bytes:
        """The SHA-256 of what has come."""
        return self._hash.digest()

    def seal(self) -> Body:
        """The complete body, which is on disk if it is not to lie in its record."""
        with self.in_use():
            if self._sealed is None:
                if self._file is not None:
                    self._file.sync()
                    self._file.close()
                    self._file = None
                    self._journal.sync_names()
                self._sealed = Body(self.digest(), self.size, self._number, b"".join(self._small))
            return self._sealed

    def discard(self) -> None:
        """Forget the body, unless a record names it."""
        with self._lock:
            last = self._users == 0 and not self._discarded
            self._discarded = True
        if last:
            self._dispose()

    def _dispose(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._number:
            self._journal.discard(self._number)
        self._small = []


class Journal:
    """The journal of one session, open for appending. See `create` and `open`.

    Args:
        storage: the disk.
        folder: the session's folder, which the caller has locked.
        file: the file of records.
        size: its bytes, all of which are on disk.
    """

    def __init__(self, storage: Storage, folder: Path, file: File, size: int) -> None:
        self._storage = storage
        self._folder = folder
        self._file = file
        self._size = size  # of the file, once what waits is written
        self._durable = size
        self._waiting: list[bytes] = []
        self._appended = self._synced = 0  # records
        self._syncing = False
        self._failure: OSError | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._last_number = 0
        self._named: set[int] = set()

    @classmethod
    def create(cls, storage: Storage, folder: Path, entries: Iterable[Entry]) -> "Journal":
        """A new journal, on disk with its first records.

        Args:
            storage: the disk.
            folder: the session's folder.
            entries: the first records.

        Raises:
            LocalProtocolError: the folder has a journal.
        """
        require(NAME not in storage.names(folder), f"{folder} holds a session already")
        _clear(storage, folder, set())
        return cls(storage, folder, *_written(storage, folder, entries))

    @classmethod
    def open(cls, storage: Storage, folder: Path, take: Take) -> "Journal":
        """The journal in a folder.

        Args:
            storage: the disk.
            folder: the session's folder.
            take: is called with each record, in order.

        Raises:
            Damaged: there is no journal, or it is damaged, or a copy.
            LocalProtocolError: the file is not ours alone.
        """
        path = folder / NAME
        if NAME not in storage.names(folder):
            raise Damaged(f"{folder} holds no session")
        storage.sync_folder(folder)  # whoever put it there may have died before
        file = storage.append(path)
        try:
            with storage.read(path, JOURNAL_BYTES + _MARK_BYTES) as data:
                size = check_mark(bytes(data[:_MARK_BYTES]), path, KIND, file.place)
                whole = False
                for record in frames(data, size):
                    if record.kind is Kind.WHOLE:
                        whole = True
                    else:
                        _take(take, record, path)
                    size = record.end
                good = whole and is_torn(data, size)
                require(good, f"{path} is damaged: put back the disk's last good state of the folder")
                torn = size < len(data)
            if torn:
                file.truncate(size)
            file.sync()  # whoever wrote the last records may have died before
        except LocalProtocolError as error:
            file.close()
            raise Damaged(str(error)) from None
        except BaseException:
            file.close()
            raise
        return cls(storage, folder, file, size)

    def append(self, kind: Kind, body: bytes) -> int:
        """Give a record the next place. It is on disk once `sync` has returned.

        Args:
            kind: what it says.
            body: of the record.

        Returns:
            The place, for `sync`.

        Raises:
            JournalFailed: the disk has refused a record before, or the journal is full.
            LocalProtocolError: the journal is closed.
        """
        with self._changed:
            self._check()
            record = frame(kind, body, self._durable)
            if self._size + len(record) > JOURNAL_BYTES:
                raise JournalFailed(f"{self._folder / NAME} is full: it has {JOURNAL_BYTES:,} bytes at most")
            self._waiting.append(record)
            self._size += len(record)
            self._appended += 1
            return self._appended

    def sync(self, place: int | None = None) -> None:
        """Wait until a record is on disk, with all before it; by default all that were appended.

        Args:
            place: of the record.

        Raises:
            JournalFailed: the disk did not take it.
        """
        with self._changed:
            place = self._appended if place is None else place
            while self._synced < place:
                self._check()
                if self._syncing:
                    self._changed.wait()
                else:
                    self._sync_all()

    @property
    def synced(self) -> int:
        """The place of the last record that is on disk."""
        with self._changed:
            return self._synced

    def _sync_all(self) -> None:
        """Write and sync what waits; meanwhile others append, and wait for the next time."""
        records, self._waiting = self._waiting, []
        appended, size, self._syncing = self._appended, self._size, True
        self._changed.release()
        try:
            self._file.write(b"".join(records))
            self._file.sync()
        except OSError as error:
            self._failure = error
        finally:
            self._changed.acquire()
            self._syncing = False
            self._changed.notify_all()
        self._check()
        self._synced, self._durable = appended, size

    def _check(self) -> None:
        require(not self._closed, "the journal is closed")
        if self._failure is not None:
            raise JournalFailed(f"the disk did not take a record of {self._folder / NAME}: {self._failure}")

    def rewrite(self, keep: Callable[[Kind, memoryview], bool], entries: Iterable[Entry]) -> None:
        """Replace the journal: a crash leaves the old one or the new one.

        Nobody may append meanwhile.

        Args:
            keep: which of the old records stay.
            entries: the records that follow them.

        Raises:
            JournalFailed: the disk did not take it.
            LocalProtocolError: the journal is closed.
        """
        self.sync()
        with self._changed:
            self._check()
        path = self._folder / NAME
        try:
            with self._storage.read(path, JOURNAL_BYTES + _MARK_BYTES) as data:
                start = bytes(data[:_MARK_BYTES]).index(b"\n") + 1
                old = (each for each in frames(data, start) if each.kind is not Kind.WHOLE)
                kept = ((each.kind, bytes(each.body)) for each in old if keep(each.kind, each.body))
                file, size = _written(self._storage, self._folder, chain(kept, entries))
        except OSError as error:
            self._failure = error
            self._check()
        self._file.close()
        self._file, self._size, self._durable = file, size, size

    # Bodies.

    def spool(self) -> Spool:
        """A place for a body that arrives."""
        return Spool(self)

    def new_file(self) -> tuple[int, File]:
        """A file for a body, and its number.

        Raises:
            JournalFailed: the journal has failed. Another object may go on with the folder, and use the same numbers.
            LocalProtocolError: the journal is closed.
        """
        with self._changed:
            self._check()
            self._last_number += 1
            return self._last_number, self._storage.create(_path(self._folder, self._last_number))

    def sync_names(self) -> None:
        """Put the names of bodies' files on disk."""
        self._storage.sync_folder(self._folder)

    @contextmanager
    def content(self, body: Body, *, check: bool = True) -> Iterator[memoryview]:
        """A body's bytes; see the function `content`."""
        with content(self._storage, self._folder, body, check=check) as view:
            yield view

    def name(self, body: Body) -> None:
        """Keep a body's file: a record names it."""
        if body.number:
            with self._changed:
                self._named.add(body.number)
                self._last_number = max(self._last_number, body.number)

    @property
    def named(self) -> frozenset[int]:
        """The numbers of the files that records name."""
        with self._changed:
            return frozenset(self._named)

    def forget(self, numbers: Iterable[int]) -> None:
        """Remove the files of bodies that no record names any more; they are gone from the disk when this returns."""
        gone = list(numbers)
        for number in gone:
            with self._changed:
                self._named.discard(number)
            self.discard(number)
        if gone:
            self.sync_names()

    def discard(self, number: int) -> None:
        """Remove a body's file, unless a record names it, or the journal has failed or is closed: then the file of this
        number may be another one's. What is left is removed when the journal is opened."""
        with self._changed:
            if self._closed or self._failure is not None or number in self._named:
                return
            with suppress(FileNotFoundError):
                self._storage.remove(_path(self._folder, number))

    def clear(self) -> None:
        """Remove all files of bodies that no record names: what a crash has left."""
        _clear(self._storage, self._folder, self._named)

    def close(self) -> None:
        """Let go of the file; nothing can be appended any more."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._syncing)  # whose descriptor it is
        self._file.close()


@contextmanager
def content(storage: Storage, folder: Path, body: Body, *, check: bool = True) -> Iterator[memoryview]:
    """A body's bytes; those of a file are mapped into memory.

    Args:
        storage: the disk.
        folder: the session's folder.
        body: as a record has it.
        check: whether the hash is compared as well as the length.

    Raises:
        LocalProtocolError: the file is not there, or is another.
    """
    if not body.number:
        yield memoryview(body.content)
        return
    path = _path(folder, body.number)
    try:
        with storage.read(path, BODY_BYTES) as view:
            good = len(view) == body.size and (not check or hashlib.sha256(view).digest() == body.digest)
            require(good, f"{path} is damaged")
            yield view
    except FileNotFoundError:
        raise LocalProtocolError(f"{path} is missing") from None


def _path(folder: Path, number: int) -> Path:
    return folder / f"body-{number:016x}"


def _take(take: Take, record: Framed, path: Path) -> None:
    try:
        take(record.kind, record.body)
    except (RemoteProtocolError, Refused, ValueError, LookupError) as error:
        raise LocalProtocolError(f"{path} is damaged: a record {record.kind.name} cannot be: {error}") from None


def _written(storage: Storage, folder: Path, entries: Iterable[Entry]) -> tuple[File, int]:
    """A new file of records in place of the old one, and its bytes."""
    new = folder / _NEW
    if _NEW in storage.names(folder):
        storage.remove(new)
    file = storage.create(new)
    try:
        # The new file is whole on disk before it has the name, ...
        head = mark(KIND, file.place)
        file.write(head)
        size = len(head)
        for kind, body in chain(entries, [(Kind.WHOLE, b"")]):
            record = frame(kind, body, ALL_DURABLE)
            file.write(record)
            size += len(record)
        file.sync()

        # ... and the folder is on disk before anybody relies on it.
        storage.rename(new, folder / NAME)
        storage.sync_folder(folder)
    except BaseException:
        file.close()
        raise
    return file, size


def is_ours(name: str) -> bool:
    """Whether a file's name is one that a session's folder may have."""
    return name in (NAME, _NEW, f"{NAME}.lock") or _BODY.fullmatch(name) is not None


def _clear(storage: Storage, folder: Path, named: set[int]) -> None:
    for name in storage.names(folder):
        match = _BODY.fullmatch(name)
        if name == _NEW or (match is not None and int(match[1], 16) not in named):
            storage.remove(folder / name)
