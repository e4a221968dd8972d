"""The sessions of a coordinator: a folder of state with a folder for each session."""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from ...arguments import whole
from ...durable import make_folder
from ...errors import LocalProtocolError, SecAggError, require
from ..journal import Damaged
from ..problems import NAME_TAKEN, ServiceProblem
from ..refusals import Kind
from ..resources import SESSION_NAME
from ..running import RunningSession, is_leftover, remove
from ..setup import SessionSetup
from ..storage import Disk

log = logging.getLogger(__name__)


class Unopened(NamedTuple):
    """Why a session could not be opened, or not be removed.

    Attributes:
        reason: a sentence.
        damaged: whether that stays so until somebody puts the session's folder right.
    """

    reason: str
    damaged: bool


class Registry:
    """All sessions by name. Methods block, and may be called from any thread.

    Args:
        folder: of state; it is made if it is missing.
        most: sessions that it may hold.
        clock: POSIX seconds.
        executor: runs the removal of masks; see `Server`.

    Attributes:
        unopened: the sessions whose folder could not be opened or removed, and why.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most: int,
        clock: Callable[[], float] = time.time,
        executor: Executor | None = None,
    ) -> None:
        self.unopened: dict[str, Unopened] = {}
        self._folder = folder
        self._most = whole(most, "most")
        self._clock = clock
        self._executor = executor
        self._lock = Lock()  # of the dictionary
        self._sessions: dict[str, RunningSession] = {}
        self._making: set[str] = set()
        self._old: set[str] = set()  # could not be removed
        self._held = ExitStack()  # the folder's lock
        self._place: tuple[int, int] | None = None  # device and inode of the folder that is locked

    def is_unopened(self, name: str) -> bool:
        """Whether there is a session of this name that could not be opened yet.

        Args:
            name: of the session.
        """
        return name in self.unopened and name not in self._old

    def open_all(self) -> None:
        """Go on with all sessions in the folder. One that cannot be opened is logged, and holds up no other.

        Raises:
            OSError: the folder cannot be made or read.
            LocalProtocolError: the folder is not one that only we can write to, or another coordinator uses it.
        """
        make_folder(self._folder)
        with ExitStack() as held:  # or the other one would go on with sessions that we let go of for a moment
            held.enter_context(Disk().lock(self._folder))
            self._place = _place(os.stat(self._folder))
            self._open_all()
            self._held = held.pop_all()

    def _open_all(self) -> None:
        for path in sorted(self._folder.iterdir()):
            named = SESSION_NAME.fullmatch(path.name) is not None and _may_be_folder(path)
            if named and not self._removed_leftovers(path):
                self._open(path.name)

    def _removed_leftovers(self, folder: Path) -> bool:
        """Whether this was what a crash has left of a session that was being made or removed, of which nobody knows."""
        try:
            if not is_leftover(folder):
                return False
            remove(folder)
        except (LocalProtocolError, OSError) as error:
            log.error("session %s: what is left of it cannot be removed: %s", folder.name, error)
            return False
        log.info("session %s: removed what a crash had left of it", folder.name)
        return True

    def _open(self, name: str) -> RunningSession | None:
        try:
            session = RunningSession.open(self._folder / name, clock=self._clock, executor=self._executor)
        except Exception as error:
            self._note_unopened(name, error)
            return None
        self.unopened.pop(name, None)
        with self._lock:
            self._sessions[name] = session
        return session

    def _note_unopened(self, name: str, error: Exception) -> None:
        log.error("session %s cannot be opened: %s", name, error, exc_info=not _is_expected(error))
        self.unopened[name] = Unopened(str(error), isinstance(error, Damaged))

    @property
    def sessions(self) -> list[RunningSession]:
        """All that are open."""
        with self._lock:
            return list(self._sessions.values())

    def create(self, setup: SessionSetup) -> RunningSession:
        """A new session, which is on disk when this returns.

        Args:
            setup: all that is fixed.

        Raises:
            ServiceProblem: there is a session of this name, or there are as many as there may be.
            LocalProtocolError: what is in the folder of this name is no session.
            OSError: the disk cannot take it.
        """
        name = setup.name
        with self._lock:
            if name in self._sessions or name in self._making or name in self.unopened:
                raise ServiceProblem(NAME_TAKEN, f"there is a session {name} already")
            if len(self._sessions.keys() | self._making) >= self._most:
                raise ServiceProblem(str(Kind.BUSY), f"there are {self._most} sessions already", retry_after=60)
            self._making.add(name)
        try:
            session = RunningSession.create(self._folder / name, setup, clock=self._clock, executor=self._executor)
            with self._lock:
                self._sessions[name] = session
        finally:
            with self._lock:
                self._making.discard(name)
        return session

    def reopen(self, name: str) -> RunningSession | None:
        """Close a session whose journal has failed, and go on from what is on disk.

        Args:
            name: of the session.

        Returns:
            The session; None if it cannot be opened, or if its folder is gone, and the name with it. Only in the
            latter case it is not in `unopened`.
        """
        with self._lock:
            self._making.add(name)
        try:
            self._let_go(name)
            if self._is_gone(name):
                self.unopened.pop(name, None)
                return None
            return self._open(name)
        except Exception as error:  # a disk that says nothing now says nothing of what is on it
            self._note_unopened(name, error)
            return None
        finally:
            with self._lock:
                self._making.discard(name)

    def _let_go(self, name: str) -> None:
        """Close a session; one that cannot be closed is known still, for the next attempt."""
        session = self._sessions.get(name)
        if session is not None:
            session.close()
        with self._lock:
            self._sessions.pop(name, None)

    def _is_gone(self, name: str) -> bool:
        """Whether somebody has taken a session's folder away, and not the disk that it is on.

        Raises:
            LocalProtocolError: the coordinator's own folder is another one, as where a disk is detached.
            OSError: the disk does not say.
        """
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            same = _place(os.fstat(folder)) == self._place
            require(same, f"{self._folder} is another folder than it was: put back what was there, or start again")
            return True
        finally:
            os.close(folder)
        return False

    def remove(self, session: RunningSession) -> None:
        """Remove a session with its folder; it may be tried again. Its name is free once this has returned.

        Args:
            session: that was opened or made here.

        Raises:
            LocalProtocolError: there is something else in the folder.
            OSError: the folder cannot be removed.
        """
        name = session.folder.name
        with self._lock:
            if self._sessions.get(name, session) is not session:
                return  # the name is another session's, so this one's folder is gone
            self._making.add(name)  # until its folder is gone, nobody makes another in it
        try:
            self._let_go(name)
            if not self._is_gone(name):
                remove(session.folder)
            self._old.discard(name)
            self.unopened.pop(name, None)
        except Exception as error:
            self._old.add(name)
            self.unopened[name] = Unopened(f"it cannot be removed: {error}", damaged=False)
            raise
        finally:
            with self._lock:
                self._making.discard(name)

    def close(self) -> None:
        """Let go of all sessions."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        with ExitStack() as closing:  # one that cannot be closed holds up no other
            closing.callback(self._held.close)
            for session in sessions.values():
                closing.callback(session.close)


def _place(status: os.stat_result) -> tuple[int, int]:
    """Device and inode: what makes a folder this one."""
    return status.st_dev, status.st_ino


def _may_be_folder(path: Path) -> bool:
    """Whether it is one; if the disk does not say, the attempt to open it does."""
    try:
        return path.is_dir()
    except OSError:
        return True


def _is_expected(error: Exception) -> bool:
    """Whether the words of an error say enough."""
    return isinstance(error, (SecAggError, OSError))
