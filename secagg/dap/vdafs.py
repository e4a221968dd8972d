"""The VDAF of a task: identifiers and configurations as a task encodes them (appendix B), and sensitivities."""

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
    """A VDAF and its parameters: the base of the configurations below, which are encoded as the draft asks (appendix
    B).

    Attributes:
        NAME: the VDAF's name in the draft, without "Prio3".
    """

    NAME: str

    def __post_init__(self) -> None:
        convert(self, whole, *vars(self))

    @property
    def type(self) -> int:
        """The VdafType: the algorithm identifier of the VDAF (section 4.1.2)."""
        return DRAFT_20.ids[self.NAME]

    @property
    def entries(self) -> int:
        """The number of entries of the aggregate result."""
        return int(getattr(self, "length", 1))

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        """The VDAF itself.

        Args:
            draft: whose version of it.

        Raises:
            LocalProtocolError: the draft does not allow the parameters.
        """
        raise LocalProtocolError(f"{type(self).__name__} is no VDAF")

    def sensitivity(self) -> Sensitivity:
        """How far the aggregate result moves if one report is replaced by another."""
        raise LocalProtocolError(f"{type(self).__name__} is no VDAF")


@dataclass(frozen=True)
class Count(Vdaf):
    """The number of measurements that are 1; each is 0 or 1."""

    NAME = "Count"

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        """See `Vdaf.prio3`."""
        return Prio3Count(draft=draft)

    def sensitivity(self) -> Sensitivity:
        """See `Vdaf.sensitivity`."""
        return Sensitivity.sum(1, _REPLACE_ONE)


@dataclass(frozen=True)
class Sum(Vdaf):
    """The sum of measurements.

    Attributes:
        max_measurement: the largest measurement; the smallest is 0.
    """

    NAME = "Sum"
    max_measurement: Annotated[int, UInt(8)]

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        """See `Vdaf.prio3`."""
        return Prio3Sum(max_measurement=self.max_measurement, draft=draft)

    def sensitivity(self) -> Sensitivity:
        """See `Vdaf.sensitivity`."""
        return Sensitivity.sum(self.max_measurement, _REPLACE_ONE)


@dataclass(frozen=True)
class SumVec(Vdaf):
    """The sum of vectors.

    Attributes:
        length: the number of elements in a vector.
        max_measurement: the largest element; the smallest is 0.
        chunk_length: the length of the chunks that proofs are made of.
    """

    NAME = "SumVec"
    length: Annotated[int, UInt(4)]
    max_measurement: Annotated[int, UInt(8)]
    chunk_length: Annotated[int, UInt(4)]

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        """See `Vdaf.prio3`."""
        return Prio3SumVec(
            length=self.length, max_measurement=self.max_measurement, chunk_length=self.chunk_length, draft=draft
        )

    def sensitivity(self) -> Sensitivity:
        """See `Vdaf.sensitivity`."""
        return Sensitivity.vector_sum(self.length, self.max_measurement, _REPLACE_ONE)


@dataclass(frozen=True)
class Histogram(Vdaf):
    """The number of measurements in each bucket.

    Attributes:
        length: the number of buckets; a measurement is 0 .. length - 1.
        chunk_length: the length of the chunks that proofs are made of.
    """

    NAME = "Histogram"
    length: Annotated[int, UInt(4)]
    chunk_length: Annotated[int, UInt(4)]

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        """See `Vdaf.prio3`."""
        return Prio3Histogram(length=self.length, chunk_length=self.chunk_length, draft=draft)

    def sensitivity(self) -> Sensitivity:
        """See `Vdaf.sensitivity`."""
        return Sensitivity.histogram(_REPLACE_ONE)


@dataclass(frozen=True)
class MultihotCountVec(Vdaf):
    """The number of measurements that are true at each index; a measurement is a vector of truth values.

    Attributes:
        length: the number of truth values in a vector.
        chunk_length: the length of the chunks that proofs are made of.
        max_weight: how many of a vector's values may be true.
    """

    NAME = "MultihotCountVec"
    length: Annotated[int, UInt(4)]
    chunk_length: Annotated[int, UInt(4)]
    max_weight: Annotated[int, UInt(8)]

    def prio3(self, draft: Draft = DRAFT_20) -> Prio3:
        """See `Vdaf.prio3`."""
        return Prio3MultihotCountVec(
            length=self.length, max_weight=self.max_weight, chunk_length=self.chunk_length, draft=draft
        )

    def sensitivity(self) -> Sensitivity:
        """See `Vdaf.sensitivity`."""
        return Sensitivity.multihot(self.length, self.max_weight, _REPLACE_ONE)


VDAFS: dict[str, type[Vdaf]] = {kind.NAME: kind for kind in (Count, Sum, SumVec, Histogram, MultihotCountVec)}
"""The VDAFs of this package, by name."""


def decode_vdaf(vdaf_type: int, configuration: bytes) -> Vdaf:
    """The VDAF of a task (appendix B).

    Args:
        vdaf_type: the algorithm identifier.
        configuration: the encoded parameters.

    Raises:
        LocalProtocolError: this package does not have the VDAF.
        RemoteProtocolError: the configuration is malformed.
    """
    vdaf_type, configuration = whole(vdaf_type, "vdaf_type"), octets(configuration, "configuration")
    for kind in VDAFS.values():
        if DRAFT_20.ids[kind.NAME] == vdaf_type:
            return kind.decode(configuration)
    raise LocalProtocolError(f"VDAF {vdaf_type:#x} is not supported; choose one of {', '.join(VDAFS)}")


def vdaf(name: str, **parameters: int) -> Vdaf:
    """A VDAF by name, such as `vdaf("Histogram", length=16)`.

    Args:
        name: one of VDAFS.
        parameters: the fields of its class; `chunk_length` may be left out, and is chosen so that reports are short.

    Raises:
        LocalProtocolError: the name is unknown, or parameters are missing, unknown or out of range.
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
