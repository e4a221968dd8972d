"""The drafts that this package speaks, and all their differences."""

from dataclasses import dataclass, field

from secagg.arguments import convert, flag, whole


@dataclass(frozen=True)
class Draft:
    """One draft's choices. Section numbers and default values are those of draft 20.

    Attributes:
        number: the draft's number in its name.
        version: the wire VERSION, first byte of every domain separation tag (section 6.2.3).
        seed_size: bytes of an XOF seed and of the verification key.
        dst_prefix: bytes that hold the length of the tag in an XOF's input (section 6.2.1).
        seed_prefix: bytes that hold the length of the seed there.
        context: whether the tags bind the application context.
        helper_seeds: seeds in a Helper's share: 1 for measurement and proofs, or 2, one for each (section 7.2.1).
        gadget_values: whether a gadget polynomial travels as values at roots of unity (section 7.3), not coefficients.
        rand_per_call: whether each gadget call has an element of joint randomness of its own (section 7.4.3).
        query_reduces: whether query randomness reduces a circuit's outputs (section 7.3.1.1), not joint randomness.
        any_maximum: whether a range may end at any number (section 7.4.2), not only at 2^k - 1.
        multiproof64: the least number of proofs over Field64 for circuits with joint randomness (section 9.7); draft 8
            itself sets none.
        ids: algorithm identifiers (section 10).
    """

    number: int
    version: int
    seed_size: int = 32
    dst_prefix: int = 2
    seed_prefix: int = 1
    context: bool = True
    helper_seeds: int = 1
    gadget_values: bool = True
    rand_per_call: bool = True
    query_reduces: bool = True
    any_maximum: bool = True
    multiproof64: int = 3
    ids: dict[str, int] = field(
        hash=False, default_factory=lambda: {"Count": 1, "Sum": 2, "SumVec": 3, "Histogram": 4, "MultihotCountVec": 5}
    )

    def __post_init__(self) -> None:
        convert(self, whole, "number", "version", "seed_size", "dst_prefix", "seed_prefix", "helper_seeds")
        convert(self, whole, "multiproof64")
        convert(self, flag, "context", "gadget_values", "rand_per_call", "query_reduces", "any_maximum")
        object.__setattr__(self, "ids", {name: whole(number, "ids") for name, number in self.ids.items()})


DRAFT_20 = Draft(number=20, version=18)
"""draft-irtf-cfrg-vdaf-20."""

DRAFT_08 = Draft(
    number=8,
    version=8,
    seed_size=16,
    dst_prefix=1,
    seed_prefix=0,
    context=False,
    helper_seeds=2,
    gadget_values=False,
    rand_per_call=False,
    query_reduces=False,
    any_maximum=False,
    multiproof64=2,
    ids={"Count": 0, "Sum": 1, "SumVec": 2, "Histogram": 3, "MultihotCountVec": 0xFFFFFFFF},
)
"""draft-irtf-cfrg-vdaf-08, which clients of DAP-09 speak."""
