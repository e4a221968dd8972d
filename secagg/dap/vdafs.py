"""Which VDAF a task uses: identifiers and configurations as encoded in a task (appendix B), and their sensitivities."""

from dataclasses import dataclass, fields
from typing import Annotated

from ..arguments import convert, octets, whole
from ..codec import Struct, UInt
from ..dp import Neighbours, Sensitivity
from ..errors import LocalProtocolError, require
from ..vdaf import DRAFT_20, Draft, Prio3, Prio3Count, Prio3Histogram, Prio3MultihotCountVec, Prio3Sum, Prio3SumVec
from ..vdaf.circuits import Bits

__all__ = ["VDAFS", "Count", "Histogram", "MultihotCountVec", "Sum", "SumVec", "Vdaf", "decode_vdaf", "vdaf"]

_REPLACE_ONE = Neighbours.REPLACE_ONE


class Vdaf(Struct):
    """A VDAF and its parameters: base of the configurations below, each of which is encoded as the draft has it."""

    NAME: str

    def __post_init__(self) -> None:
        convert(self, whole, *vars(self))

    @property
    def type(self) -> int:
        """The VdafType: its algorithm identifier."""
        return DRAFT_20.ids[self.NAME]

    @property
    def entries(self) -> int:
        """Entries of the aggregate result."""
        return int(getattr(self, "length", 1))

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        """Raises LocalProtocolError for parameters that the draft does not allow."""
        raise LocalProtocolError(f"{type(self).__name__} is no VDAF")

    def sensitivity(self) -> Sensitivity:
        """Of the aggregate result, where one report is replaced by another."""
        raise LocalProtocolError(f"{type(self).__name__} is no VDAF")


@dataclass(frozen=True)
class Count(Vdaf):
    """How many measurements, each 0 or 1, are 1."""

    NAME = "Count"

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        return Prio3Count(draft=draft)

    def sensitivity(self) -> Sensitivity:
        return Sensitivity.sum(1, _REPLACE_ONE)


@dataclass(frozen=True)
class Sum(Vdaf):
    """The sum of measurements from 0 to max_measurement."""

    NAME = "Sum"
    max_measurement: Annotated[int, UInt(8)]

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        return Prio3Sum(max_measurement=self.max_measurement, draft=draft)

    def sensitivity(self) -> Sensitivity:
        return Sensitivity.sum(self.max_measurement, _REPLACE_ONE)


@dataclass(frozen=True)
class SumVec(Vdaf):
    """The sum of vectors of `length` elements from 0 to max_measurement."""

    NAME = "SumVec"
    length: Annotated[int, UInt(4)]
    max_measurement: Annotated[int, UInt(8)]
    chunk_length: Annotated[int, UInt(4)]

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        return Prio3SumVec(
            length=self.length, max_measurement=self.max_measurement, chunk_length=self.chunk_length, draft=draft
        )

    def sensitivity(self) -> Sensitivity:
        return Sensitivity.vector_sum(self.length, self.max_measurement, _REPLACE_ONE)


@dataclass(frozen=True)
class Histogram(Vdaf):
    """How many measurements fall into each of `length` buckets."""

    NAME = "Histogram"
    length: Annotated[int, UInt(4)]
    chunk_length: Annotated[int, UInt(4)]

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        return Prio3Histogram(length=self.length, chunk_length=self.chunk_length, draft=draft)

    def sensitivity(self) -> Sensitivity:
        return Sensitivity.histogram(_REPLACE_ONE)


@dataclass(frozen=True)
class MultihotCountVec(Vdaf):
    """How many measurements, each of `length` truth values of which at most max_weight are true, are true at each
    index."""

    NAME = "MultihotCountVec"
    length: Annotated[int, UInt(4)]
    chunk_length: Annotated[int, UInt(4)]
    max_weight: Annotated[int, UInt(8)]

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        return Prio3MultihotCountVec(
            length=self.length, max_weight=self.max_weight, chunk_length=self.chunk_length, draft=draft
        )

    def sensitivity(self) -> Sensitivity:
        return Sensitivity.multihot(self.length, self.max_weight, _REPLACE_ONE)


VDAFS: dict[str, type[Vdaf]] = {kind.NAME: kind for kind in (Count, Sum, SumVec, Histogram, MultihotCountVec)}


def decode_vdaf(vdaf_type: int, configuration: bytes) -> Vdaf:
    """The VDAF of a task.

    Raises:
        LocalProtocolError: this package does not have it.
        RemoteProtocolError: it does, and the configuration is malformed.
    """
    vdaf_type, configuration = whole(vdaf_type, "vdaf_type"), octets(configuration, "configuration")
    for kind in VDAFS.values():
        if DRAFT_20.ids[kind.NAME] == vdaf_type:
            return kind.decode(configuration)
    raise LocalProtocolError(f"VDAF {vdaf_type:#x} is not supported; choose one of {', '.join(VDAFS)}")


def vdaf(name: str, **parameters: int) -> Vdaf:
    """A VDAF by name, such as `vdaf("Histogram", length=16)`; chunk_length may be left to the package.

    Raises:
        LocalProtocolError: an unknown name, or missing, unknown or bad parameters.
    """
    require(name in VDAFS, f"unknown VDAF {name!r}; choose one of {', '.join(VDAFS)}")
    kind = VDAFS[name]
    wanted = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # each of them is a dataclass
    require(set(parameters) <= wanted, f"{name} takes {_listed(wanted)}, got {_listed(set(parameters) - wanted)}")
    missing = wanted - set(parameters)
    require(missing <= {"chunk_length"}, f"{name} needs {_listed(missing - {'chunk_length'})}")
    if not missing:
        chosen = kind(**parameters)
        chosen.prio3()
        return chosen
    circuit = {"SumVec": Prio3SumVec, "Histogram": Prio3Histogram, "MultihotCountVec": Prio3MultihotCountVec}[name]
    valid = circuit(**parameters).flp.valid
    assert isinstance(valid, Bits)
    return kind(**parameters | {"chunk_length": valid.chunk_length})


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no parameters"
