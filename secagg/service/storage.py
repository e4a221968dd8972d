"""The disk as a session's journal sees it: few operations, so that tests can put another store in its place.

Nothing is on disk because it was written: a file's bytes are once `File.sync` has returned, and that a name leads to a
file is once `Storage.sync_folder` has.
"""

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from ..durable import make_folder, open_own, write_all
from ..errors import LocalProtocolError, require


class File(Protocol):
    """A file that is open for writing at its end."""

    @property
    def place(self) -> tuple[int, int]:
        """Device and inode: what makes it this file and no copy."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""

    def sync(self) -> None:
        """Put all that was written on disk."""

    def truncate(self, size: int) -> None:
        """Leave the first bytes only."""

    def close(self) -> None:
        """Let go of the file; it may be called again."""


class Storage(Protocol):
    """What a journal needs of a disk."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder with mode 700; it is on disk when this returns. One that exists stays."""

    def lock(self, folder: Path) -> AbstractContextManager[None]:
        """Keep all others, in this process and elsewhere, from using a folder.

        Raises:
            LocalProtocolError: somebody uses it, or it is not private.
        """

    def names(self, folder: Path) -> list[str]:
        """The names of the files in a folder."""

    def create(self, path: Path) -> File:
        """Make a file with mode 600, which must not exist."""

    def append(self, path: Path) -> File:
        """Open a file of this user."""

    def read(self, path: Path, limit: int) -> AbstractContextManager[memoryview]:
        """A file's bytes, mapped into memory.

        Raises:
            LocalProtocolError: the file has more bytes than the limit.
            FileNotFoundError: there is no such file.
        """

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in place of a file that has it."""

    def remove(self, path: Path) -> None:
        """Remove a file."""

    def sync_folder(self, folder: Path) -> None:
        """Put a folder's names on disk."""

    def remove_folder(self, folder: Path) -> None:
        """Remove an empty folder."""


class DiskFile:
    """A file on disk."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._closed = False

    @property
    def place(self) -> tuple[int, int]:
        """Device and inode."""
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        write_all(self._descriptor, data)

    def sync(self) -> None:
        """Put them on disk: `fdatasync` leaves out times only."""
        os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        """Leave the first bytes only."""
        os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        """Let go of the file; once more does nothing, as its descriptor may be another file's by then."""
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)


class Disk:
    """The disk itself. Files are this user's with mode 600, folders with mode 700; see `secagg.durable`."""

    def make_folder(self, folder: Path) -> None:
        """See `Storage`."""
        make_folder(folder)

    @contextmanager
    def lock(self, folder: Path) -> Iterator[None]:
        """See `Storage`."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise LocalProtocolError(f"{folder} is used by another coordinator") from None
            yield
        finally:
            os.close(descriptor)

    def names(self, folder: Path) -> list[str]:
        """See `Storage`."""
        return sorted(os.listdir(folder))

    def create(self, path: Path) -> DiskFile:
        """See `Storage`."""
        return DiskFile(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))

    def append(self, path: Path) -> DiskFile:
        """See `Storage`."""
        return DiskFile(open_own(path, os.O_WRONLY | os.O_APPEND))

    @contextmanager
    def read(self, path: Path, limit: int) -> Iterator[memoryview]:
        """See `Storage`."""
        descriptor = open_own(path, os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            require(size <= limit, f"{path} has {size:,} bytes: {limit:,} at most are read")
            if size == 0:
                yield memoryview(b"")
                return
            mapped = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
            try:
                yield memoryview(mapped)
            finally:
                with suppress(BufferError):  # whoever still has a part of it keeps it mapped
                    mapped.close()
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """See `Storage`."""
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        """See `Storage`."""
        os.unlink(path)

    def sync_folder(self, folder: Path) -> None:
        """See `Storage`."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove_folder(self, folder: Path) -> None:
        """See `Storage`."""
        os.rmdir(folder)
