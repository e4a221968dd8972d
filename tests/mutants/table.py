"""All mutants, by subject."""

from .coordinator import MUTANTS as COORDINATOR
from .dap import MUTANTS as DAP
from .dp import MUTANTS as DP
from .integrations import MUTANTS as INTEGRATIONS
from .mutant import Mutant
from .noisy import MUTANTS as NOISY
from .page import MUTANTS as PAGE
from .participants import MUTANTS as PARTICIPANTS
from .protocol import MUTANTS as PROTOCOL
from .saved import MUTANTS as SAVED
from .sessions import MUTANTS as SESSIONS
from .taskprov import MUTANTS as TASKPROV
from .tls import MUTANTS as TLS
from .tokens import MUTANTS as TOKENS

MUTANTS: tuple[Mutant, ...] = (
    *DP,
    *NOISY,
    *DAP,
    *TASKPROV,
    *PROTOCOL,
    *SAVED,
    *SESSIONS,
    *COORDINATOR,
    *PARTICIPANTS,
    *PAGE,
    *TLS,
    *TOKENS,
    *INTEGRATIONS,
)
