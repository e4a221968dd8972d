"""SIGHUP: the log file is opened again, as after a rotation, and nothing else happens."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

log = logging.getLogger(__name__)

_HANGUP = {signal.SIGHUP}


def act_on_hangup(act: Callable[[], object]) -> Callable[[], None]:
    """Act on each SIGHUP from now on; also on one that came while `held` was in force. Call this in the main thread.

    A thread of its own acts: the handler may run in the midst of anything, such as a line that is being logged.

    Args:
        act: what to do.

    Returns:
        A function that ends it.
    """
    hangups: SimpleQueue[bool] = SimpleQueue()  # whose `put` a handler may call
    thread = threading.Thread(target=_act, args=(act, hangups), name="SIGHUP", daemon=True)
    before = signal.signal(signal.SIGHUP, lambda number, frame: hangups.put(True))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANGUP)
    thread.start()

    def end() -> None:
        signal.signal(signal.SIGHUP, before)
        hangups.put(False)
        thread.join()

    return end


@contextmanager
def on_hangup(act: Callable[[], object]) -> Iterator[None]:
    """Act on each SIGHUP until the block is left; see `act_on_hangup`.

    Args:
        act: what to do.
    """
    end = act_on_hangup(act)
    try:
        yield
    finally:
        end()


@contextmanager
def held() -> Iterator[None]:
    """Let processes that are started in this block keep a SIGHUP until they can act on it; it would end them before.

    Here another thread must take the signal, as that of `on_hangup` does.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANGUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _act(act: Callable[[], object], hangups: "SimpleQueue[bool]") -> None:
    while hangups.get():
        try:
            act()
        except Exception:  # or the next SIGHUP would find nobody
            log.exception("a SIGHUP was not acted on")
