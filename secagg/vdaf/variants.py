"""The variants of Prio3 (section 7.4). All arguments but `shares` are keywords."""

from .circuits import Count, Histogram, MultihotCountVec, Sum, SumVec
from .draft import DRAFT_20, Draft
from .field import Field, Field64, Field128
from .prio3 import Prio3

_PRIVATE = 0xFFFFFFFF  # the identifier of an algorithm that is not registered


class Prio3Count(Prio3):
    """How many measurements, each 0 or 1, are 1 (section 7.4.1).

    Args:
        shares: number of Aggregators, 2 .. 255.
        draft: what the Clients speak.
    """

    def __init__(self, shares: int = 2, *, draft: Draft = DRAFT_20) -> None:
        super().__init__(draft.ids["Count"], Count(Field64, draft), draft, shares)


class Prio3Sum(Prio3):
    """The sum of measurements from 0 to max_measurement (section 7.4.2).

    Args:
        shares: number of Aggregators, 2 .. 255.
        max_measurement: the largest measurement, from 1 on; in draft 8 it must be 2^k - 1.
        draft: what the Clients speak.
    """

    def __init__(self, shares: int = 2, *, max_measurement: int, draft: Draft = DRAFT_20) -> None:
        field = Field64 if draft.query_reduces else Field128  # which joint randomness needs (section 9.7)
        super().__init__(draft.ids["Sum"], Sum(field, draft, max_measurement), draft, shares)


class Prio3SumVec(Prio3):
    """The sum of vectors of `length` elements from 0 to max_measurement (section 7.4.3).

    Args:
        shares: number of Aggregators, 2 .. 255.
        length: elements of a measurement, from 1 on.
        max_measurement: the largest element, from 1 on; in draft 8 it must be 2^k - 1.
        chunk_length: how many bits a gadget call checks; by default what makes proofs shortest.
        draft: what the Clients speak.
    """

    def __init__(
        self,
        shares: int = 2,
        *,
        length: int,
        max_measurement: int,
        chunk_length: int | None = None,
        draft: Draft = DRAFT_20,
    ) -> None:
        valid = SumVec(Field128, draft, length, max_measurement, chunk_length)
        super().__init__(draft.ids["SumVec"], valid, draft, shares)


class Prio3SumVecWithMultiproof(Prio3):
    """Prio3SumVec with several proofs, so that Field64 is enough (section 7.1.2); its identifier is private.

    Args:
        shares: number of Aggregators, 2 .. 255.
        length: elements of a measurement, from 1 on.
        max_measurement: the largest element, from 1 on; in draft 8 it must be 2^k - 1.
        chunk_length: how many bits a gadget call checks; by default what makes proofs shortest.
        field: of the circuit.
        proofs: of each measurement; over Field64 from 3 on (draft 8: from 2 on).
        draft: what the Clients speak.
    """

    def __init__(
        self,
        shares: int = 2,
        *,
        length: int,
        max_measurement: int,
        chunk_length: int | None = None,
        field: Field = Field64,
        proofs: int = 3,
        draft: Draft = DRAFT_20,
    ) -> None:
        valid = SumVec(field, draft, length, max_measurement, chunk_length)
        super().__init__(_PRIVATE, valid, draft, shares, proofs)


class Prio3Histogram(Prio3):
    """How many measurements fall into each of `length` buckets (section 7.4.4).

    Args:
        shares: number of Aggregators, 2 .. 255.
        length: number of buckets, from 1 on; a measurement is 0 .. length - 1.
        chunk_length: how many bits a gadget call checks; by default what makes proofs shortest.
        draft: what the Clients speak.
    """

    def __init__(
        self, shares: int = 2, *, length: int, chunk_length: int | None = None, draft: Draft = DRAFT_20
    ) -> None:
        super().__init__(draft.ids["Histogram"], Histogram(Field128, draft, length, chunk_length), draft, shares)


class Prio3MultihotCountVec(Prio3):
    """How many measurements are true at each index; a measurement is `length` truth values (section 7.4.5).

    Args:
        shares: number of Aggregators, 2 .. 255.
        length: truth values of a measurement, from 1 on.
        max_weight: how many of them may be true, 1 .. length.
        chunk_length: how many bits a gadget call checks; by default what makes proofs shortest.
        draft: what the Clients speak.
    """

    def __init__(
        self,
        shares: int = 2,
        *,
        length: int,
        max_weight: int,
        chunk_length: int | None = None,
        draft: Draft = DRAFT_20,
    ) -> None:
        valid = MultihotCountVec(Field128, draft, length, max_weight, chunk_length)
        super().__init__(draft.ids["MultihotCountVec"], valid, draft, shares)
