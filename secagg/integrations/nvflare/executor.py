"""The executor of the protocol's own tasks, which a job must have because FLARE asks for one before it filters."""

from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal


class RoundExecutor(Executor):  # type: ignore[misc]
    """Answers a task of the protocol with an empty reply, in which the site's `ReplyFilter` puts its message.

    It never sees an input or a secret: a job brings it, and the site's filters do the work.
    """

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """An empty reply.

        Args:
            task_name: of the protocol's task.
            shareable: the task's data, from which `RequestFilter` has taken the message.
            fl_ctx: not used.
            abort_signal: not used.
        """
        return make_reply(ReturnCode.OK)
