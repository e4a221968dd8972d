"""A disk in memory that keeps only what it must: at a power cut it forgets what was not synced, or a part of it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path

from secagg.errors import LocalProtocolError


class PowerCut(BaseException):
    """The machine has stopped: nothing that runs sees anything any more."""


class Memory(Enum):
    """What a power cut leaves of what was not synced."""

    NOTHING = "nothing"
    ANYTHING = "anything"
    """Any part: names as they were at any moment since, the beginning of what was appended, zeros behind it."""
    EVERYTHING = "everything"


_NUMBERS = count(1)


@dataclass(eq=False)
class _Inode:
    data: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    number: int = field(default_factory=lambda: next(_NUMBERS))


@dataclass
class _Folder:
    names: dict[str, _Inode] = field(default_factory=dict)
    synced: dict[str, _Inode] = field(default_factory=dict)
    since: list[dict[str, _Inode]] = field(default_factory=list)  # as they were after each change since

    def changed(self) -> None:
        self.since.append(dict(self.names))


class ForgetfulFile:
    """A file of a `ForgetfulDisk`."""

    def __init__(self, disk: "ForgetfulDisk", inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    @property
    def place(self) -> tuple[int, int]:
        return 1, self._inode.number

    def write(self, data: bytes | memoryview) -> None:
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):  # so that a cut can come between
            self._disk.step()
            self._inode.data += part

    def sync(self) -> None:
        self._disk.step()
        self._inode.synced = bytes(self._inode.data)
        self._disk.syncs += 1

    def truncate(self, size: int) -> None:
        self._disk.step()
        del self._inode.data[size:]

    def close(self) -> None:
        pass


class ForgetfulDisk:
    """A `Storage` for tests.

    Attributes:
        cut_at: before which step the power is cut; None for never.
        steps: how many steps there were since the power came.
        syncs: how often a file was synced.
    """

    def __init__(self, seed: int = 0) -> None:
        self.cut_at: int | None = None
        self.steps = 0
        self.syncs = 0
        self._off = False
        self._folders: dict[Path, _Folder] = {}
        self._locked: set[Path] = set()
        self._random = random.Random(seed)

    def step(self) -> None:
        """Do something, unless the power goes before."""
        if self._off or self.steps == self.cut_at:
            self._off = True
            raise PowerCut
        self.steps += 1

    def cut(self) -> None:
        """Cut the power now."""
        self._off = True

    def restart(self, memory: Memory) -> None:
        """The power comes back; what was not synced is as `memory` says."""
        self._off, self.cut_at, self.steps = False, None, 0
        self._locked.clear()
        for folder in self._folders.values():
            self._restart(folder, memory)

    def _restart(self, folder: _Folder, memory: Memory) -> None:
        if memory is Memory.NOTHING:
            folder.names = dict(folder.synced)
        if memory is Memory.ANYTHING:
            folder.names = dict(self._random.choice([folder.synced, *folder.since]))
        folder.synced, folder.since = dict(folder.names), []
        for inode in folder.names.values():
            inode.data = bytearray(self._left_of(inode, memory))
            inode.synced = bytes(inode.data)

    def _left_of(self, inode: _Inode, memory: Memory) -> bytes:
        if memory is Memory.EVERYTHING:
            return bytes(inode.data)
        if memory is Memory.NOTHING or not inode.data.startswith(inode.synced):
            return inode.synced
        length = self._random.randint(len(inode.synced), len(inode.data))
        zeros = self._random.choice([0, self._random.randint(0, len(inode.data) - length)])
        return bytes(inode.data[:length]) + bytes(zeros)

    def make_folder(self, folder: Path) -> None:
        self.step()
        self._folders.setdefault(folder, _Folder())

    @contextmanager
    def lock(self, folder: Path) -> Iterator[None]:
        self._folder(folder)
        if folder in self._locked:
            raise LocalProtocolError(f"{folder} is used by another coordinator")
        self._locked.add(folder)
        try:
            yield
        finally:
            self._locked.discard(folder)

    def names(self, folder: Path) -> list[str]:
        return sorted(self._folder(folder).names)

    def create(self, path: Path) -> ForgetfulFile:
        self.step()
        folder = self._folder(path.parent)
        if path.name in folder.names:
            raise FileExistsError(path)
        folder.names[path.name] = _Inode()
        folder.changed()
        return ForgetfulFile(self, folder.names[path.name])

    def append(self, path: Path) -> ForgetfulFile:
        return ForgetfulFile(self, self._inode(path))

    @contextmanager
    def read(self, path: Path, limit: int) -> Iterator[memoryview]:
        data = bytes(self._inode(path).data)
        assert len(data) <= limit
        yield memoryview(data)

    def rename(self, old: Path, new: Path) -> None:
        self.step()
        folder = self._folder(old.parent)
        folder.names[new.name] = folder.names.pop(old.name)
        folder.changed()

    def remove(self, path: Path) -> None:
        self.step()
        self._inode(path)
        folder = self._folder(path.parent)
        del folder.names[path.name]
        folder.changed()

    def sync_folder(self, folder: Path) -> None:
        self.step()
        found = self._folder(folder)
        found.synced, found.since = dict(found.names), []

    def remove_folder(self, folder: Path) -> None:
        self.step()
        assert not self._folder(folder).names
        del self._folders[folder]

    def sizes(self, folder: Path) -> dict[str, int]:
        """The files in a folder, and their bytes."""
        return {name: len(inode.data) for name, inode in self._folder(folder).names.items()}

    def contains(self, data: bytes) -> bool:
        """Whether any file has these bytes."""
        return any(data in inode.data for folder in self._folders.values() for inode in folder.names.values())

    def _folder(self, folder: Path) -> _Folder:
        if folder not in self._folders:
            raise FileNotFoundError(folder)
        return self._folders[folder]

    def _inode(self, path: Path) -> _Inode:
        folder = self._folder(path.parent)
        if path.name not in folder.names:
            raise FileNotFoundError(path)
        return folder.names[path.name]
