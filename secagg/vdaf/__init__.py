"""Prio3, which aggregates secret-shared measurements and verifies them: draft-irtf-cfrg-vdaf-20, and draft 8 for
deployed clients.

Modules are named after the draft's sections. Poplar1 is not implemented.
"""

from .draft import DRAFT_08, DRAFT_20, Draft
from .field import Field, Field64, Field128
from .pingpong import PingPong
from .prio3 import Prio3
from .rows import Rows, VerifyStates
from .variants import (
    Prio3Count,
    Prio3Histogram,
    Prio3MultihotCountVec,
    Prio3Sum,
    Prio3SumVec,
    Prio3SumVecWithMultiproof,
)

__all__ = [
    "DRAFT_08",
    "DRAFT_20",
    "Draft",
    "Field",
    "Field64",
    "Field128",
    "PingPong",
    "Prio3",
    "Prio3Count",
    "Prio3Histogram",
    "Prio3MultihotCountVec",
    "Prio3Sum",
    "Prio3SumVec",
    "Prio3SumVecWithMultiproof",
    "Rows",
    "VerifyStates",
]
