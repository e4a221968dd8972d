"""One exchange of the protocol as FLARE's tasks: one for each site, because each gets another request."""

import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from .wire import REFUSAL, message_of, reason_of

_LOOK = 0.1  # seconds between looks at tasks that end without a reply


@dataclass(frozen=True)
class Reply:
    """What one site's task gave.

    Attributes:
        site: its name.
        message: the protocol's message; None where the site has left the round.
        reason: why it left.
    """

    site: str
    message: bytes | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """When an exchange ends although not all sites have answered.

    Attributes:
        seconds: since its begin; 0 for never.
        goal: how many answers are enough, once the round can go on with them; 0 for all.
        grace: seconds that others still have when there are enough.
    """

    seconds: float
    goal: int = 0
    grace: float = 0.0


class Exchange:
    """The tasks of one exchange, from their sending to the last reply that is waited for.

    FLARE calls back from its own threads; replies wait in a queue until `next` takes them in the controller's.

    Args:
        controller: whose tasks they are.
        tasks: by the site's name; not sent yet.
        patience: when to wait no longer.
        fl_ctx: FLARE's.
        abort_signal: of the job; ends the exchange.
    """

    def __init__(
        self,
        controller: Controller,
        tasks: Mapping[str, Task],
        patience: Patience,
        fl_ctx: FLContext,
        abort_signal: Signal | None,
    ) -> None:
        self._controller = controller
        self._tasks = tasks
        self._patience = patience
        self._fl_ctx = fl_ctx
        self._abort_signal = abort_signal
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._began = time.monotonic()
        self._enough: float | None = None  # when the goal was reached
        try:
            for site, task in tasks.items():
                task.result_received_cb = self._take
                controller.send(task, fl_ctx, targets=[site])
        except BaseException:
            self.close()  # or sites would train for a round that is over
            raise

    @property
    def aborted(self) -> bool:
        """Whether the job is to end."""
        return self._abort_signal is not None and bool(self._abort_signal.triggered)

    def next(self, answered: int, ready: bool) -> Reply | None:
        """The next reply, in the order of their coming; None when no more is waited for.

        Args:
            answered: how many sites' messages were accepted in this exchange.
            ready: whether they are enough for the round to go on.
        """
        while True:
            try:
                return self._replies.get(timeout=_LOOK)
            except queue.Empty:
                if self._is_over(answered, ready) and self._replies.empty():
                    return None

    def close(self) -> None:
        """End the tasks that nobody has answered: what comes later is dropped."""
        for task in self._tasks.values():
            if task.completion_status is None:
                self._controller.cancel_task(task, fl_ctx=self._fl_ctx)

    def _is_over(self, answered: int, ready: bool) -> bool:
        """Whether FLARE has ended all tasks or the job, or patience is at its end."""
        now = time.monotonic()
        if self.aborted or all(not task.is_standing for task in self._tasks.values()):
            return True
        if self._patience.seconds and now - self._began >= self._patience.seconds:
            return True
        if not self._patience.goal or answered < self._patience.goal or not ready:
            return False
        self._enough = self._enough or now
        return now - self._enough >= self._patience.grace

    def _take(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        """FLARE's callback: a result has come, whether good or bad."""
        result, client_task.result = client_task.result, None  # FLARE keeps the task; a message is large
        self._replies.put(_reply(client_task.client.name, result, fl_ctx))


def _reply(site: str, result: Any, fl_ctx: FLContext) -> Reply:
    """What a site's result says."""
    if not isinstance(result, Shareable):
        return Reply(site, None, f"sent a {type(result).__name__}")
    message, code = message_of(result), result.get_return_code()
    if code == ReturnCode.OK and message is not None:
        return Reply(site, message)
    peer = fl_ctx.get_peer_context()
    reason = reason_of(result.get(REFUSAL)) or reason_of(peer and peer.get_prop(REFUSAL))
    silent = "its reply has no message of the protocol" if code == ReturnCode.OK else f"FLARE's return code {code}"
    return Reply(site, None, reason or silent)
