"""What the protocol adds to FLARE's tasks and replies."""

from typing import Any

from nvflare.apis.shareable import Shareable

MESSAGE = "secagg.message"  # in a task and in its reply: one message of the protocol, bytes
REFUSAL = "secagg.refusal"  # in a reply, or among a site's public properties: why it has left the round
ROUND_TASK = "secagg"  # the task of every exchange but the first, which is the job's own training task
SITE_COMPONENT = "secagg"  # the id of SecAggSite among a site's components

_REASON_MAX = 500  # characters


def message_of(shareable: Shareable) -> bytes | None:
    """The protocol's message in a task or a reply; None without one."""
    message = shareable.get(MESSAGE)
    return message if isinstance(message, bytes) else None


def reason_of(text: Any) -> str | None:
    """A site's reason as one line that can stand in the server's log; None if it gave none."""
    if not isinstance(text, str) or not text:
        return None
    return "".join(c if c.isprintable() else " " for c in text[:_REASON_MAX])
