"""The journal of releases, a file outside the database: it protects against a backup that is restored.

A restored database has forgotten which batches were collected since the backup. The same batch with the same reports
may be released again, as long as its noise is the same. Two other releases are refused: another batch that shares a
bucket with a released one, and the same batch with other noise, such as that of another version. Each would have noise
of its own, and together they would reveal more than was paid for.

The file has one line for each release, with the task ID, the batch and the digest of the share that left. One more line
has an ID of the journal's own, by which the database recognises it. The file grows by about 150 bytes with each
collection. It is not in the database's backups, and belongs to one machine: where several machines work on one
database, each journal knows only the releases of its machine.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from ...durable import Log
from ...errors import RemoteProtocolError
from ...http.base64url import base64url, from_base64url
from ..messages import BATCH_ID_SIZE, TASK_ID_SIZE, Interval

_INTERVAL_SIZE = 16
_DIGEST_SIZE = 32
_ID_SIZE = 16
_ID = "journal"  # the first word of the line with it
_LIMIT = 1 << 28  # bytes of the file: more than a million releases


@dataclass(frozen=True)
class Entry:
    """A release.

    Attributes:
        batch: the encoded Interval or the batch ID.
        digest: SHA-256 of the aggregate share as it left, noise included.
    """

    batch: bytes
    digest: bytes

    def conflicts(self, other: "Entry") -> bool:
        """Whether only one of two releases may happen.

        Args:
            other: of the same task.
        """
        if len(self.batch) == len(other.batch) == _INTERVAL_SIZE:
            own, others = Interval.decode(self.batch), Interval.decode(other.batch)
            shared = own.start < others.end and others.start < own.end
        else:
            shared = self.batch == other.batch
        return shared and self != other


class Journal:
    """The file of releases; processes and threads that share it take turns.

    Args:
        path: of the file, in a folder that exists and that others may not write to; the first release makes the file.

    Attributes:
        path: absolute, without symbolic links.

    Raises:
        LocalProtocolError: the file is no journal, or is a copy (`secagg adopt FILE` accepts one), or `secagg.durable`
            refuses it for another reason that it names. All methods raise it, too.
        OSError: the folder is not there, or the file cannot be read or written. All methods raise it, too.
    """

    def __init__(self, path: Path) -> None:
        self._id: bytes | None = None
        self._entries: dict[bytes, set[Entry]] = {}
        self._log = Log(path, "journal of releases", self._take, limit=_LIMIT, unmarked=True)
        self.path = self._log.path
        with self._log.turn():
            pass

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self._log.exists

    def find_id(self) -> bytes | None:
        """The ID that tells this journal from all others; None if it has none yet."""
        with self._log.turn():
            return self._id

    def add_id(self) -> bytes:
        """The journal's ID; it gets one if it has none, and the file is made if it is not there."""
        with self._log.turn() as append:
            if self._id is None:
                append(f"{_ID} {os.urandom(_ID_SIZE).hex()}")
            assert self._id is not None
            return self._id

    def allows(self, task_id: bytes, entry: Entry) -> bool:
        """Whether a release conflicts with no earlier one.

        Args:
            task_id: 32 bytes.
            entry: the release.
        """
        with self._log.turn():
            return not any(entry.conflicts(other) for other in self._entries.get(task_id, ()))

    def count(self, task_id: bytes) -> int:
        """How many of the task's batches were released.

        Args:
            task_id: 32 bytes.
        """
        with self._log.turn():
            return len(self._entries.get(task_id, ()))

    def add(self, task_id: bytes, entry: Entry) -> None:
        """Write a release down; once this returns, it is on disk. A release that is there already changes nothing.

        Args:
            task_id: 32 bytes.
            entry: the release.
        """
        with self._log.turn() as append:
            if entry not in self._entries.get(task_id, ()):
                append(" ".join(map(base64url, (task_id, entry.batch, entry.digest))))

    def _take(self, line: str) -> None:
        first, *rest = line.split(" ")
        if first == _ID:
            self._take_id(*rest)
            return
        try:
            batch, digest = rest
            size = _INTERVAL_SIZE if len(batch) < 40 else BATCH_ID_SIZE
            entry = Entry(from_base64url(batch, size), from_base64url(digest, _DIGEST_SIZE))
            task_id = from_base64url(first, TASK_ID_SIZE)
        except RemoteProtocolError as error:
            raise ValueError(error.reason) from None
        self._entries.setdefault(task_id, set()).add(entry)

    def _take_id(self, *words: str) -> None:
        (word,) = words
        journal_id = bytes.fromhex(word)
        if self._id is not None or len(journal_id) != _ID_SIZE:
            raise ValueError(word)
        self._id = journal_id
