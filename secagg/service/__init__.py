"""SecAgg over HTTP: a coordinator that keeps sessions, and participants that contribute to them.

Names are imported when they are first used (PEP 562): a participant loads no server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contribution import Contribution
    from .coordinator import Coordinator
    from .deadlines import Deadlines
    from .participant import AsyncParticipant, Participant
    from .policy import Policy
    from .setup import SessionSetup

__all__ = [
    "AsyncParticipant",
    "Contribution",
    "Coordinator",
    "Deadlines",
    "Participant",
    "Policy",
    "SessionSetup",
]

_HOME_OF = {
    "AsyncParticipant": "participant",
    "Contribution": "contribution",
    "Coordinator": "coordinator",
    "Deadlines": "deadlines",
    "Participant": "participant",
    "Policy": "policy",
    "SessionSetup": "setup",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
