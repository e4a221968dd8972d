"""SecAgg over HTTP: a coordinator that keeps sessions, and participants that contribute to them.

Names are imported when they are first used (PEP 562): a participant loads no server.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

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


__getattr__, __dir__ = lazy_names(__name__, _HOME_OF)
