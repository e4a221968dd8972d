"""What puts a node out of a round, in words for the server and in others for the node's own log."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..dp import BudgetExceeded
from ..errors import LocalProtocolError, SecAggError
from ..service.policy import PolicyRefusal

__all__ = ["NodeRefusal", "refusals"]


class NodeRefusal(SecAggError):
    """This node takes no part in the round, or no longer.

    Attributes:
        reason: for the server; it tells nothing of the node's data.
        detail: for the node's own log.
    """

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason if detail is None else detail)
        self.reason = reason
        self.detail = reason if detail is None else detail

    def __reduce__(self) -> tuple[type["NodeRefusal"], tuple[str, str]]:
        return NodeRefusal, (self.reason, self.detail)


@contextmanager
def refusals() -> Iterator[None]:
    """Errors that this package raises on purpose, and those of the state's files, become a `NodeRefusal`."""
    try:
        yield
    except NodeRefusal:
        raise
    except SecAggError as error:
        raise _refusal(error) from None
    except OSError as error:
        raise NodeRefusal("this node cannot keep its state; its own log says why", f"state: {error}") from None


def _refusal(error: SecAggError) -> NodeRefusal:
    """What the server may read of an error: local ones can name this machine's files."""
    if isinstance(error, PolicyRefusal):
        return NodeRefusal(str(error))
    if isinstance(error, BudgetExceeded):
        return NodeRefusal("the ledger of this node does not pay for the round", str(error))
    if isinstance(error, LocalProtocolError):
        return NodeRefusal("this node cannot take part; its own log says why", str(error))
    return NodeRefusal(f"this node has left the session: {error}")
