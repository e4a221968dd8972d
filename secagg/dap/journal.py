"""What was released, written down outside the database: against a backup that is restored.

A restored database has forgotten which batches were collected since. The same batch with the same reports may be
released again, as its noise is the same; another batch that shares a bucket with one that was released may not: each
has noise of its own, and together they would say more than was paid for.

The file has one line a release, of the task ID, the batch and the digest of the share without noise. It grows by about
150 bytes a collection. It is not in the database's backups, and belongs to one machine: where several work on one
database, each knows of its own releases only.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ..errors import LocalProtocolError, RemoteProtocolError
from .messages import BATCH_ID_SIZE, TASK_ID_SIZE, Interval
from .task import base64url, from_base64url

_INTERVAL_SIZE = 16
_DIGEST_SIZE = 32


@dataclass(frozen=True)
class Entry:
    """A release.

    Attributes:
        batch: the encoded Interval or the batch ID.
        digest: SHA-256 of the aggregate share without noise.
    """

    batch: bytes
    digest: bytes

    def conflicts(self, other: "Entry") -> bool:
        """Whether both may not be released."""
        if len(self.batch) == len(other.batch) == _INTERVAL_SIZE:
            mine, its = Interval.decode(self.batch), Interval.decode(other.batch)
            shared = mine.start < its.end and its.start < mine.end
        else:
            shared = self.batch == other.batch
        return shared and self != other


class Journal:
    """The file; processes and threads that share it take turns.

    Args:
        path: of the file, in a folder that exists; it is made if it is not there.

    Raises:
        LocalProtocolError: the file is no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = Lock()
        self._read = 0  # bytes
        self._entries: dict[bytes, set[Entry]] = {}
        with self._opened():
            pass

    def allows(self, task_id: bytes, entry: Entry) -> bool:
        """Whether nothing that was released before stands against this release."""
        with self._opened():
            return not any(entry.conflicts(other) for other in self._entries.get(task_id, ()))

    def count(self, task_id: bytes) -> int:
        """How many of the task's batches were released."""
        with self._opened():
            return len(self._entries.get(task_id, ()))

    def record(self, task_id: bytes, entry: Entry) -> None:
        """Write a release down; once this returns it is on disk. Again it does nothing."""
        with self._opened() as file:
            if entry in self._entries.get(task_id, ()):
                return
            line = " ".join(map(base64url, (task_id, entry.batch, entry.digest))) + "\n"
            self._append(file, line.encode())
            self._read += len(line)
            self._entries.setdefault(task_id, set()).add(entry)

    def _append(self, file: int, line: bytes) -> None:
        """All of it, on disk, or nothing: a full disk takes the beginning of a line without an error."""
        try:
            rest = line
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError:
            os.ftruncate(file, self._read)
            raise

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The file, alone, after what others have written is read."""
        with self._turn:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._catch_up(file)
                yield file
            finally:
                os.close(file)

    def _catch_up(self, file: int) -> None:
        size = os.fstat(file).st_size
        data = os.pread(file, size - self._read, self._read)
        complete = data.rfind(b"\n") + 1
        for line in data[:complete].decode("ascii", "replace").splitlines():
            task_id, entry = self._parse(line)
            self._entries.setdefault(task_id, set()).add(entry)
        self._read += complete
        if complete:
            os.fsync(file)  # whoever wrote it may have died before
        if complete < len(data):  # a crash cut the last line short: nothing of it was released
            os.ftruncate(file, self._read)

    def _parse(self, line: str) -> tuple[bytes, Entry]:
        try:
            task, batch, digest = line.split(" ")
            size = _INTERVAL_SIZE if len(batch) < 40 else BATCH_ID_SIZE
            entry = Entry(from_base64url(batch, size), from_base64url(digest, _DIGEST_SIZE))
            return from_base64url(task, TASK_ID_SIZE), entry
        except (ValueError, RemoteProtocolError):
            raise LocalProtocolError(f"{self._path} is no journal of releases") from None
