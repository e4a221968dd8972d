"""The sessions of a coordinator: a folder of state with a folder for each session."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from threading import Lock

from ...arguments import whole
from ...durable import make_folder
from ...errors import LocalProtocolError, SecAggError
from ..problems import NAME_TAKEN, ServiceProblem
from ..refusals import Kind
from ..resources import SESSION_NAME
from ..running import RunningSession, is_leftover, remove
from ..setup import SessionSetup

log = logging.getLogger(__name__)


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
        self.unopened: dict[str, str] = {}
        self._folder = folder
        self._most = whole(most, "most")
        self._clock = clock
        self._executor = executor
        self._lock = Lock()  # of the dictionary
        self._sessions: dict[str, RunningSession] = {}
        self._making: set[str] = set()
        self._old: set[str] = set()  # could not be removed

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
            LocalProtocolError: the folder is not one that only we can write to.
        """
        make_folder(self._folder)
        for path in sorted(self._folder.iterdir()):
            named = SESSION_NAME.fullmatch(path.name) is not None and path.is_dir()
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
            log.error("session %s cannot be opened: %s", name, error, exc_info=not _is_expected(error))
            self.unopened[name] = str(error)
            return None
        self.unopened.pop(name, None)
        with self._lock:
            self._sessions[name] = session
        return session

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
            if len(self._sessions) + len(self._making) >= self._most:
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
        """Close a session whose journal has failed, and go on from what is on disk; None if it cannot be opened.

        Args:
            name: of the session.
        """
        with self._lock:
            failed = self._sessions.pop(name, None)
            self._making.add(name)
        try:
            if failed is not None:
                failed.close()
            return self._open(name)
        finally:
            with self._lock:
                self._making.discard(name)

    def remove(self, name: str) -> None:
        """Remove a session with its folder.

        Args:
            name: of the session.

        Raises:
            LocalProtocolError: there is something else in the folder.
            OSError: the folder cannot be removed.
        """
        with self._lock:
            session = self._sessions.pop(name)
        session.close()
        try:
            remove(self._folder / name)
        except (LocalProtocolError, OSError) as error:
            self._old.add(name)
            self.unopened[name] = str(error)
            raise

    def close(self) -> None:
        """Let go of all sessions."""
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()


def _is_expected(error: Exception) -> bool:
    """Whether the words of an error say enough."""
    return isinstance(error, (SecAggError, OSError))
