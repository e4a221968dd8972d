"""A component of a site's `local/privacy.json` that ends the site's process in the middle of a round."""

import os

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext


class Dying(FLComponent):  # type: ignore[misc]
    """Ends the process of a site when it has got a task of a certain number, before the task is looked at.

    Args:
        at: by the site's name, which of its tasks; 0 is the first.
    """

    def __init__(self, at: dict[str, int]) -> None:
        super().__init__()
        self.at = at
        self.tasks = 0

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Counts the tasks.

        Args:
            event_type: FLARE's.
            fl_ctx: FLARE's.
        """
        if event_type != EventType.BEFORE_TASK_DATA_FILTER:
            return
        if self.at.get(fl_ctx.get_identity_name()) == self.tasks:
            os._exit(9)
        self.tasks += 1
