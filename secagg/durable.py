"""Private state that must survive crashes: ledgers, journals, nonces. It belongs to a file, and not to a name.

A `Document` is replaced whole at each change, a `Log` grows by one record at a time. Both follow these rules:

- **The place** is fixed when the object is made: an absolute path without symbolic links. All links to a file, and a
  program that changes its directory, lead to the same state.
- **The lock** is a file beside the state, FILE.lock, which is never replaced, and is removed only with the state,
  by its owner. Processes and threads take turns: the owner of the lock reads, decides and writes, and what it wrote is
  on disk when its turn ends.
- **Only the owner has access.** Files are made with mode 600, and an existing file gets this mode when it is opened. A
  file of another user is refused. A second name (a hard link) is refused as well: a document that is replaced would
  change under one of its names only.
- **The folder** must belong to this user or to root, and neither its group nor others may write to it: they could put
  another file in place of this one. This refuses /tmp as well. There the sticky bit keeps others from removing our
  files, but not from making them before we do. The folders above are not checked.
- **A copy is refused.** The first line of a file is a mark: its kind, and the device and inode of the file itself. A
  file in another place was copied or restored, and may lack what was written to the original since. It is accepted only
  after `adopt`. A file that lost its name while an object uses it is not made anew.
- **Reading is bounded.** A file has at most `limit` bytes; its user must decode its contents strictly.

A program cannot notice three things: a whole disk that was set back, a file that was overwritten in place with an older
copy of itself with the same inode, and a file that was removed before the program started.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from os import PathLike
from pathlib import Path

from .errors import LocalProtocolError, require

BYTES_MAX = 1 << 30  # of any file
_MARK = re.compile(rb"secagg ([a-z ]{1,40}), version 1, device ([0-9]{1,20}), inode ([0-9]{1,20})")
_MARK_BYTES = 128  # at most, the line feed included
_CHUNK = 1 << 24


@dataclass(frozen=True)
class Contents:
    """A document's contents during a turn.

    Attributes:
        read: so many bytes of the contents without the mark, from the beginning, or all if there are fewer; None if
            there is no file. What was replaced meanwhile is still read as it was.
        marked: False for the file of an older program, which wrote no marks.
        replace: replaces the body, or makes the file; the new body, of one part or several, is on disk when it returns.
        remove: removes the file and its lock; both are gone from the disk when it returns.
    """

    read: Callable[[int], bytes] | None
    marked: bool
    replace: Callable[..., None]
    remove: Callable[[], None]

    @cached_property
    def body(self) -> bytes | None:
        """The contents without the mark; None if there is no file."""
        return None if self.read is None else self.read(BYTES_MAX)

    def begins_with(self, prefix: bytes) -> bool:
        """Whether there is a file whose contents begin with this; no more of them is read."""
        return self.read is not None and self.read(len(prefix)) == prefix


class _File:
    """The common part of documents and logs: place, lock, checks, and atomic replacement."""

    def __init__(self, path: str | PathLike[str], kind: str, *, limit: int = BYTES_MAX, unmarked: bool = False) -> None:
        self.path = Path(os.path.realpath(path))
        self.kind = kind
        self._limit = limit
        self._unmarked = unmarked

    @property
    def exists(self) -> bool:
        """Whether the file exists now."""
        return os.path.lexists(self.path)

    @contextmanager
    def _locked(self, wait: bool = True) -> Iterator[int]:
        """The folder's descriptor, while this thread has the lock."""
        require_folder(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _check_folder(folder, self.path.parent)
            lock = _open(folder, self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
                _check_names(lock, self.path.with_name(f"{self.path.name}.lock"))  # as it is after waiting
                yield folder
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)  # a child that was forked meanwhile has it open, too
                os.close(lock)
        finally:
            os.close(folder)

    def _opened(self, folder: int) -> int | None:
        """The file for reading and appending; None if there is none."""
        try:
            return _open(folder, self.path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None

    def _replace(self, folder: int, *body: bytes) -> os.stat_result:
        """Replace the file by a new one; whenever the machine stops, one of the two is there, whole.

        The mark names the new file: renaming does not change its inode.
        """
        require(sum(map(len, body)) <= self._limit, f"{self.path} is full: it has {self._limit:,} bytes at most")

        # The new file is whole on disk before it has the name, ...
        new = f"{self.path.name}.new"
        _remove(folder, new)  # what a crash has left
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        try:
            status = os.fstat(file)
            for part in (_mark(self.kind, status), *body):
                _write(file, part)
            os.fsync(file)
        except BaseException:
            _remove(folder, new)
            raise
        finally:
            os.close(file)

        # ... and the folder is on disk before anybody relies on it.
        os.replace(new, self.path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
        return status

    def _checked(self, file: int, data: bytes) -> tuple[bytes, bool]:
        """A file's body, and whether it has a mark, which is then of this file."""
        parsed = _parsed(data, self.path)
        if parsed is None:
            require(self._unmarked, f"{self.path} is no {self.kind}")
            return data, False
        kind, place, body = parsed
        require(kind == self.kind, f"{self.path} is a {kind} and not a {self.kind}")
        _require_original(place == _place(os.fstat(file)), self.path)
        return body, True

    def _size(self, file: int) -> int:
        size = os.fstat(file).st_size
        require(
            size <= self._limit + _MARK_BYTES,
            f"{self.path} has {size:,} bytes: a {self.kind} has {self._limit:,} at most",
        )
        return size

    def _lost(self) -> LocalProtocolError:
        return LocalProtocolError(
            f"{self.path} was removed or replaced while it was in use: put it back, and start again"
        )


class Document(_File):
    """A file whose contents are replaced whole.

    Args:
        path: the file, in a folder that exists. The first `replace` makes the file.
        kind: the kind of state in lower-case letters, such as "ledger"; a file of another kind is refused.
        limit: the largest number of bytes of the contents.
        unmarked: whether a file without a mark is accepted, as older programs wrote it.
    """

    def __init__(self, path: str | PathLike[str], kind: str, *, limit: int = BYTES_MAX, unmarked: bool = False) -> None:
        super().__init__(path, kind, limit=limit, unmarked=unmarked)
        self._place: tuple[int, int] | None = None  # of the file that was read or written last

    @contextmanager
    def turn(self, *, wait: bool = True) -> Iterator[Contents]:
        """The contents, while nobody else uses the file. A thread takes one turn at a time.

        Args:
            wait: whether to wait for others' turns to end.

        Raises:
            LocalProtocolError: the file or its folder is refused; see the module.
            BlockingIOError: it is another's turn, which is not waited for.
            OSError: the folder does not exist, or the system cannot read or write.
        """
        with self._locked(wait) as folder:
            descriptor = self._opened(folder)
            if descriptor is None:
                if self._place is not None:
                    raise self._lost()
                yield self._contents(folder, None, True)
                return
            with os.fdopen(descriptor, "rb", buffering=0) as file:  # closed, it can be read no more
                yield self._found(folder, file)

    def _found(self, folder: int, file: FileIO) -> Contents:
        """The contents of the file that is there, which is checked, and not read yet."""
        size, beginning = self._size(file.fileno()), _read(file.fileno(), 0, _MARK_BYTES)
        body, marked = self._checked(file.fileno(), beginning)
        start, place = len(beginning) - len(body), _place(os.fstat(file.fileno()))
        if self._place != place:
            os.fsync(folder)  # whoever put it there may have died before
        self._place = place
        return self._contents(folder, lambda wanted: _read(file.fileno(), start, min(wanted, size - start)), marked)

    def _contents(self, folder: int, read: Callable[[int], bytes] | None, marked: bool) -> Contents:
        return Contents(read, marked, lambda *new: self._put(folder, *new), lambda: self._remove(folder))

    def _put(self, folder: int, *body: bytes) -> None:
        self._place = _place(self._replace(folder, *body))

    def _remove(self, folder: int) -> None:
        """The file, what a crash has left of a new one, and then the lock: who waits for it finds that it was removed,
        and does not go on."""
        for name in (self.path.name, f"{self.path.name}.new", f"{self.path.name}.lock"):
            _remove(folder, name)
            os.fsync(folder)


class Log(_File):
    """A file that grows by one record, a line of printable ASCII, at a time.

    A record is in the file as a whole or not at all. What a crash has left of a line at the end was never acknowledged,
    and is cut off. Records that others append are taken at the beginning of each turn.

    Args:
        path: the file, in a folder that exists. The first record makes the file.
        kind: the kind of state in lower-case letters, such as "journal of releases"; a file of another kind is refused.
        take: is called with each record once, in order, also with those that this object appends; it raises ValueError
            for a malformed record.
        limit: the largest number of bytes of all records.
        unmarked: whether a file without a mark is accepted, as older programs wrote it; it gets a mark then.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        kind: str,
        take: Callable[[str], object],
        *,
        limit: int = BYTES_MAX,
        unmarked: bool = False,
    ) -> None:
        super().__init__(path, kind, limit=limit, unmarked=unmarked)
        self._take = take
        self._place: tuple[int, int] | None = None  # of the file that was read
        self._taken = 0  # its bytes

    @contextmanager
    def turn(self) -> Iterator[Callable[[str], None]]:
        """`append`, while nobody else uses the file; all its records were taken. A thread takes one turn at a time.

        When `append` returns, the record is on disk. If the disk cannot take it, `append` raises OSError and the file
        is as before.

        Raises:
            LocalProtocolError: the file or its folder is refused (see the module), or a record is malformed.
            OSError: the folder does not exist, or the system cannot read or write.
        """
        with self._locked() as folder:
            self._catch_up(folder)
            yield lambda record: self._append(folder, record)

    def _catch_up(self, folder: int) -> None:
        file = self._opened(folder)
        if file is None:
            if self._place is not None:
                raise self._lost()
            return

        # The whole file at first, and later what was appended since, if it is still the same file.
        try:
            if self._place is None:
                self._begin(folder, file)
            elif self._place != _place(os.fstat(file)):
                raise self._lost()
            else:
                size = self._size(file)
                require(size >= self._taken, f"{self.path} is shorter than it was: put back what was there")
                self._take_all(file, _read(file, self._taken, size - self._taken))
        finally:
            os.close(file)

    def _begin(self, folder: int, file: int) -> None:
        """Read the file for the first time; it gets a mark if it has none."""
        os.fsync(folder)  # whoever made it may have died before
        data = _read(file, 0, self._size(file))
        body, marked = self._checked(file, data)
        require(marked or not data or b"\n" in data, f"{self.path} is no {self.kind}")
        self._place = _place(os.fstat(file))
        self._taken = len(data) - len(body)
        self._take_all(file, body)
        if not marked:
            self._made(self._replace(folder, body[: self._taken]), self._taken)

    def _take_all(self, file: int, data: bytes) -> None:
        """Take all whole records, and cut off what a crash has left of a record behind them."""
        lines = data.split(b"\n")[:-1]
        if lines and b"\0" in lines[-1]:  # the file's length was on disk before its contents were
            lines.pop()
        for line in lines:
            try:
                self._take(line.decode("ascii"))
            except ValueError:
                raise LocalProtocolError(f"{self.path} is no {self.kind}") from None
            self._taken += len(line) + 1
        if lines:
            os.fsync(file)  # whoever wrote them may have died before
        if len(data) > sum(map(len, lines)) + len(lines):
            os.ftruncate(file, self._taken)

    def _append(self, folder: int, record: str) -> None:
        whole = bool(record) and record.isascii() and record.isprintable()
        require(whole, "a record must be a line of printable ASCII")

        # The first record makes the file.
        if self._place is None:
            self._made(self._replace(folder, b""), 0)

        # The line is on disk, or it is cut off again.
        line = record.encode() + b"\n"
        require(self._taken + len(line) <= self._limit, f"{self.path} is full: it has {self._limit:,} bytes at most")
        file = self._opened(folder)
        if file is None:
            raise self._lost()
        try:
            _write(file, line)
            os.fsync(file)
        except OSError:  # a full disk takes the beginning of a line without an error
            os.ftruncate(file, self._taken)
            raise
        finally:
            os.close(file)

        # Only then does the record count.
        self._taken += len(line)
        self._take(record)

    def _made(self, status: os.stat_result, body: int) -> None:
        """Continue in a file that this object made, with so many bytes behind the mark."""
        self._place = _place(status)
        self._taken = len(_mark(self.kind, status)) + body


def adopt(path: str | PathLike[str]) -> str:
    """Accept a file that was copied, restored or moved as the state itself.

    Only the owner can decide this. What was written to the original after the copy was made is forgotten. If the
    original is still in use, both files spend the same budget or use the same nonces.

    Args:
        path: the file.

    Returns:
        The kind of state.

    Raises:
        LocalProtocolError: the file has no mark, or it is refused for another reason than being a copy.
        OSError: the file does not exist, or the system cannot read or write.
    """
    state = _File(path, "file of private state")
    with state._locked() as folder:
        file = _open(folder, state.path, os.O_RDWR)
        try:
            parsed = _parsed(_read(file, 0, state._size(file)), state.path)
        finally:
            os.close(file)
        if parsed is None:
            raise LocalProtocolError(f"{state.path} is no {state.kind}")
        state.kind, _, body = parsed
        state._replace(folder, body)
    return state.kind


def create(path: str | PathLike[str], content: bytes) -> None:
    """Make a file with mode 600, such as a key's: whole or not at all, and on disk when this returns.

    Args:
        path: the file.
        content: its bytes.

    Raises:
        FileExistsError: there is such a file or link already; it stays as it is.
        OSError: the file cannot be written, and was not made.
    """
    require_folder(path)
    path = Path(path)
    new = path.with_name(f"{path.name}.{os.urandom(8).hex()}.new")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write(file, content)
        os.fsync(file)
        os.link(new, path)  # it takes the place of nothing
    finally:
        os.close(file)
        os.unlink(new)
    _sync_folder(path.parent)


def require_folder(path: str | PathLike[str]) -> None:
    """Check that there is a folder for a file: an error that names the file alone would not say what is missing.

    Args:
        path: the file, which may be made.

    Raises:
        FileNotFoundError: the folder does not exist; the error names it.
    """
    folder = Path(path).parent
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder: make it first", str(folder))


def make_folder(path: Path) -> None:
    """Make a folder with mode 700, and the missing folders above it; they are on disk when this returns."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(0o700, exist_ok=True)
    _sync_folder(path.parent)


def open_own(path: Path, flags: int) -> int:
    """Open a file of state that has another format than documents and logs; the same is checked as of theirs.

    Args:
        path: the file.
        flags: as for `os.open`; no link is followed.

    Returns:
        The descriptor.

    Raises:
        LocalProtocolError: it is no regular file of this user with one name, or others may write to its folder.
        OSError: the file does not exist, or the system cannot open it.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check_folder(folder, path.parent)
        return _open(folder, path, flags)
    finally:
        os.close(folder)


def write_all(file: int, data: bytes | memoryview) -> None:
    """Write all bytes to a descriptor."""
    _write(file, data)


def mark(kind: str, place: tuple[int, int]) -> bytes:
    """The first line of a file of state: `adopt` renews it.

    Args:
        kind: the kind of state in lower-case letters.
        place: device and inode of the file.
    """
    device, inode = place
    return f"secagg {kind}, version 1, device {device}, inode {inode}\n".encode()


def check_mark(data: bytes, path: Path, kind: str, place: tuple[int, int]) -> int:
    """Check the mark at the beginning of a file of state.

    Args:
        data: the file's first bytes, 128 or all.
        path: the file, for errors.
        kind: the kind that it must be.
        place: device and inode that it has.

    Returns:
        How many bytes the mark has.

    Raises:
        LocalProtocolError: the file is another kind of state, is damaged, or is a copy.
    """
    parsed = _parsed(data, path)
    require(parsed is not None and parsed[0] == kind, f"{path} is no {kind}")
    assert parsed is not None
    _require_original(parsed[1] == place, path)
    return len(data) - len(parsed[2])


def read(path: str | PathLike[str], limit: int) -> bytes | None:
    """A file's contents; None if it does not exist.

    Args:
        path: the file.
        limit: the largest number of bytes that are read.

    Raises:
        LocalProtocolError: the file is not a regular file, or is longer.
        OSError: the file cannot be read.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe nobody writes to, not to wait for ever
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(file)
        require(stat.S_ISREG(status.st_mode), f"{path} is no regular file")
        require(status.st_size <= limit, f"{path} has {status.st_size:,} bytes: {limit:,} at most are read")
        return _read(file, 0, status.st_size)
    finally:
        os.close(file)


def _check_folder(folder: int, path: Path) -> None:
    status = os.fstat(folder)
    require(
        status.st_uid in (0, os.geteuid()),
        f"the folder {path} belongs to another user, who may change what is in it: run as that user, or take a folder"
        " of your own",
    )
    require(
        not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH),
        f"others may write to the folder {path}: chmod go-w {path}, or take a folder of your own",
    )


def _open(folder: int, path: Path, flags: int) -> int:
    """Open a regular file of this user with one name; from now on nobody else may read it."""
    # No link is followed, and no pipe waited for.
    try:
        file = os.open(path.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise LocalProtocolError(f"{path} has become a symbolic link: put the file itself there") from None

    # What was opened is checked, and not what has the name by now.
    try:
        status = os.fstat(file)
        require(stat.S_ISREG(status.st_mode), f"{path} is no regular file")
        require(status.st_uid == os.geteuid(), f"{path} belongs to another user: run as that user")
        _check_names(file, path)
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(file, 0o600)
    except BaseException:
        os.close(file)
        raise
    return file


def _check_names(file: int, path: Path) -> None:
    links = os.fstat(file).st_nlink
    require(links != 0, f"{path} was removed meanwhile: start again")
    require(links == 1, f"{path} has {links} names (hard links): remove the others, or copy the file")


def _place(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _mark(kind: str, status: os.stat_result) -> bytes:
    return mark(kind, _place(status))


def _require_original(original: bool, path: Path) -> None:
    require(
        original,
        f"{path} is a copy, or was moved from another disk: it may lack what was written to the original since. If the"
        f" original is used no more and lacks nothing, say so: secagg adopt {path}",
    )


def _parsed(data: bytes, path: Path) -> tuple[str, tuple[int, int], bytes] | None:
    """The kind, the device and inode, and the body; None for a file without a mark."""
    if not data.startswith(b"secagg "):
        return None
    line, end, body = data.partition(b"\n")
    mark = _MARK.fullmatch(line) if end else None
    if mark is None:
        raise LocalProtocolError(f"{path} is damaged, or of a newer program")
    return mark[1].decode(), (int(mark[2]), int(mark[3])), body


def _read(file: int, start: int, size: int) -> bytes:
    chunks = []
    while size > 0 and (chunk := os.pread(file, min(size, _CHUNK), start)):
        chunks.append(chunk)
        start, size = start + len(chunk), size - len(chunk)
    return b"".join(chunks)


def _write(file: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _remove(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
