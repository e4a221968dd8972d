"""All mutants, by subject."""

from .coordinator import MUTANTS as COORDINATOR
from .dap import MUTANTS as DAP
from .dp import MUTANTS as DP
from .mutant import Mutant
from .noisy import MUTANTS as NOISY
from .page import MUTANTS as PAGE
from .protocol import MUTANTS as PROTOCOL
from .sessions import MUTANTS as SESSIONS

MUTANTS: tuple[Mutant, ...] = (*DP, *NOISY, *DAP, *PROTOCOL, *SESSIONS, *COORDINATOR, *PAGE)
