"""No limb of P-256's field elements can overflow, and none can borrow: csrc/agreement's own formulas, run on intervals.

All begin with *tight* elements (csrc/agreement/p256_elements.inc) of the largest and the least limbs that such an
element may have, and must leave tight elements, within the same bounds: by induction, everything that a kernel ever
computes stays within them.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from .support.c_intervals import Interval, Kernel, OutOfBounds, Struct, fill, parsed

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc, which preprocesses the source, is not there")

P = 2**256 - 2**224 + 2**192 + 2**96 - 1


@dataclass(frozen=True)
class Field:
    """One representation of field elements.

    Attributes:
        source: the C file.
        bits: of a limb.
        limbs: how many there are.
        top: the most that the highest limb of a tight element may be.
        lanes: what 64 bits may hold, signed or not.
        primitives: its instructions.
    """

    source: str
    bits: int
    limbs: int
    top: int
    lanes: Interval
    primitives: dict[str, Callable[..., Any]]

    def tight(self) -> Struct:
        return Struct(limb=[Interval(0, (1 << self.bits) - 1)] * (self.limbs - 1) + [Interval(0, self.top)])

    def is_tight(self, element: Struct) -> bool:
        return all(limit.holds(limb) for limit, limb in zip(self.tight()["limb"], element["limb"], strict=True))


def product(a: Interval, b: Interval) -> Interval:
    """vpmuludq, of the low 32 bits of each lane."""
    for factor in (a, b):
        if not Interval(0, 2**32 - 1).holds(factor):
            raise OutOfBounds(f"a factor may be {factor}")
    return Interval(a.low * b.low, a.high * b.high)


LOW52 = Interval(0, 2**52 - 1)


def add_low(total: Interval, a: Interval, b: Interval) -> Interval:
    return Interval(total.low, total.high + (min(a.high * b.high, LOW52.high) if LOW52.holds(a) else LOW52.high))


def add_high(total: Interval, a: Interval, b: Interval) -> Interval:
    return Interval(total.low, total.high + ((a.high if LOW52.holds(a) else LOW52.high) * b.high >> 52))


def signed(value: int) -> Interval:
    value = (value + 2**63) % 2**64 - 2**63
    return Interval(value, value)


AVX2 = Field(
    "csrc/agreement/p256_avx2.c",
    bits=29,
    limbs=9,
    top=(2 * P >> 29 * 8) - 1,
    lanes=Interval(0, 2**64 - 1),
    primitives={"product": product, "broadcast": lambda a: Interval(a, a), "hidden": lambda a: a},
)
IFMA = Field(
    "csrc/agreement/p256_ifma.c",
    bits=52,
    limbs=5,
    top=(2 * P >> 52 * 4) - 1,
    lanes=Interval(-(2**63), 2**63 - 1),
    primitives={"add_low": add_low, "add_high": add_high, "broadcast": signed, "hidden": lambda a: a},
)


FIELDS = {"avx2": AVX2, "ifma": IFMA}
OPERATIONS = (
    "multiply",
    "multiply_minus",
    "multiply_triple",
    "square",
    "square_minus",
    "subtract",
    "plus",
    "minus",
)  # of which the first argument is the result, and the others are elements


class FieldKernel(Kernel):
    """A source's functions on tight elements; an operation on elements of known bounds is run once."""

    def __init__(self, field: Field, *planted: str) -> None:
        self.field = field
        self.known: dict[tuple[Any, ...], Struct] = {}
        self.taken: list[Struct] = []
        tight = ("spread", "everywhere", "constant", "enter", "leave", "scan")
        others: dict[str, Any] = dict.fromkeys(tight, self.fill_tight)
        super().__init__(
            parsed(field.source, *planted),
            field.lanes,
            {**field.primitives, **others}
            | {
                "choose": self.choose,
                "collect": lambda lanes, element: self.taken.append(element),
                "enter_points": self.enter_points,
                "mask_of_zeros": self.mask_of_zeros,
                "lane_of": lambda vector, lane: 0,
                "memcmp": lambda *arguments: 0,
            },
        )

    def call(self, name: str, *arguments: Any) -> Any:
        if name == "columns" and isinstance(arguments[0], list):
            self.check_limbs_of_52_bits(arguments[1:])
        if name not in OPERATIONS:
            return super().call(name, *arguments)
        out, *elements = arguments
        key = (name, *(limb for element in elements for limb in element["limb"]))
        if key not in self.known:
            self.known[key] = self.element()
            super().call(name, self.known[key], *elements)
        return fill(out, self.known[key])

    def check_limbs_of_52_bits(self, factors: Iterable[Struct]) -> None:
        for limb in (limb for factor in factors for limb in factor["limb"]):
            if not LOW52.holds(limb):
                raise OutOfBounds(f"a limb that is multiplied may be {limb}")

    def fill_tight(self, element: Struct, *arguments: Any) -> None:
        fill(element, self.field.tight())

    def enter_points(self, point: Struct, points: Any) -> None:
        self.fill_tight(point["x"])
        self.fill_tight(point["y"])

    def mask_of_zeros(self, element: Struct) -> Interval:
        self.taken.append(element)
        return Interval(0, 0)

    def choose(self, out: Struct, other: Struct, mask: Any) -> None:
        """Either of both: the bounds hold both."""
        pairs = zip(out["limb"], other["limb"], strict=True)
        fill(out, Struct(limb=[Interval(min(a.low, b.low), max(a.high, b.high)) for a, b in pairs]))

    def element(self) -> Struct:
        made: Struct = self.fresh("element_t")
        return made

    def tight(self, type_name: str) -> Struct:
        """A struct of tight elements."""
        made: Struct = self.fresh(type_name)
        for name in made:
            self.fill_tight(made[name])
        return made

    def of(self, operation: str, *elements: Struct) -> Struct:
        out = self.element()
        self.call(operation, out, *elements)
        return out

    def are_tight(self, *structs: Struct) -> bool:
        return all(self.field.is_tight(element) for struct in structs for element in struct.values())


@pytest.fixture(params=FIELDS)
def kernel(request: pytest.FixtureRequest) -> FieldKernel:
    return FieldKernel(FIELDS[request.param])


def test_a_live_key_s_multiples_stay_within_bounds(kernel: FieldKernel) -> None:
    """All of `exchange`, whatever the digits are: they choose between entries, and no step depends on them."""
    work = kernel.fresh("struct exchange")
    digits = [Struct(index=0, negative=0)] * 51
    kernel.call("exchange", 0, {}, digits, 0, 2, work)
    assert len(kernel.taken) == 2 * 3  # both inversions look for zeros, and then the x leave
    assert all(map(kernel.field.is_tight, kernel.taken))
    assert kernel.are_tight(work["sum"][0], work["sum"][1])
    assert len(kernel.known) > 20


def test_lifted_points_stay_within_bounds(kernel: FieldKernel) -> None:
    lanes = [0] * 8
    kernel.call("lift", lanes[:], lanes[:], lanes)
    assert len(kernel.taken) == 3
    assert all(map(kernel.field.is_tight, kernel.taken))


@pytest.mark.parametrize("step", [1, 5])
def test_revealed_keys_doublings_stay_within_bounds(kernel: FieldKernel, step: int) -> None:
    points, zs = ([kernel.fresh(name) for _ in range(4)] for name in ("point_t", "element_t"))
    kernel.call("double_repeatedly", points, zs, 0, len(points), step, kernel.field.tight())
    assert kernel.are_tight(*points, *(Struct(z=z) for z in zs))
    kernel.call("divide_by_z", points[1], kernel.field.tight())
    assert kernel.are_tight(points[1])


@pytest.mark.parametrize("negative", [0, 1])
@pytest.mark.parametrize("equal", [False, True])
def test_revealed_keys_additions_stay_within_bounds(kernel: FieldKernel, negative: int, equal: bool) -> None:
    tight, a, b, out = kernel.field.tight(), *(kernel.tight("point_t") for _ in range(3))
    b["other"] = not equal  # points are one point here if all they hold is equal
    a["other"] = False
    kernel.call("run", divisor := kernel.element(), a, b)
    assert kernel.field.is_tight(kernel.of("multiply", tight, divisor))
    kernel.call("add_points", out, a, b, negative, tight, tight)
    assert kernel.are_tight(out)


def test_what_the_rules_allow_stays_within_bounds(kernel: FieldKernel) -> None:
    """Those of csrc/agreement/p256_elements.inc."""
    tight = kernel.field.tight()
    two, difference = kernel.of("plus", tight, tight), kernel.of("minus", tight, tight)
    four, three = kernel.of("plus", two, two), kernel.of("plus", two, tight)
    factors = [(tight, tight), (tight, two), (tight, difference), (two, two), (difference, two), (four, tight)]
    made = [kernel.of("subtract", tight, tight), kernel.of("square", tight), kernel.of("square", two)]
    for a, b in factors:
        made += [kernel.of("multiply", a, b), kernel.of("multiply", b, a)]
        made += [kernel.of("multiply_minus", a, b, c) for c in (tight, two, three)]
        made.append(kernel.of("multiply_triple", a, b))
    made += [kernel.of("square_minus", a, c) for a in (tight, two) for c in (tight, two, three)]
    assert all(map(kernel.field.is_tight, made))


# --- So that the tests above can fail


def test_a_sum_of_four_must_not_be_subtracted(kernel: FieldKernel) -> None:
    tight = kernel.field.tight()
    two = kernel.of("plus", tight, tight)
    with pytest.raises(OutOfBounds, match="may be"):
        kernel.of("multiply", kernel.of("minus", tight, kernel.of("plus", two, two)), tight)


def test_two_differences_are_too_much_for_29_bits() -> None:
    kernel = FieldKernel(AVX2)
    difference = kernel.of("minus", AVX2.tight(), AVX2.tight())
    with pytest.raises(OutOfBounds, match="may be"):
        kernel.of("multiply", difference, difference)


def test_sums_of_four_are_too_much_for_52_bits() -> None:
    kernel = FieldKernel(IFMA)
    two = kernel.of("plus", IFMA.tight(), IFMA.tight())
    four = kernel.of("plus", two, two)
    assert not IFMA.is_tight(kernel.of("multiply", four, four))


def stays(kernel: FieldKernel, operation: str, *elements: Struct) -> bool:
    try:
        return kernel.field.is_tight(kernel.of(operation, *elements))
    except OutOfBounds:
        return False


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("broadcast(2 * P4[i]) - c->limb[i]", "broadcast(P4[i]) - c->limb[i]"),
        ("t.limb[i] += t.limb[i] + t.limb[i] + broadcast(P4[i])", "t.limb[i] += t.limb[i] + t.limb[i]"),
        ("element_t t = carried(product_columns(a, b));", "element_t t = product_columns(a, b);"),
        ("t.limb[7] = (t.limb[7] & broadcast(MASK)) + (h << 21);", "t.limb[7] += h << 21;"),
        ("    return carried(t);", "    return t;"),
    ],
    ids=["4p for 8p", "nothing for 4p", "no carries", "carries left", "no last carries"],
)
def test_a_fault_that_is_planted_is_noticed(old: str, new: str) -> None:
    kernel = FieldKernel(AVX2, old, new)
    tight = AVX2.tight()
    two = kernel.of("plus", tight, tight)
    three = kernel.of("plus", two, tight)
    calls: list[tuple[Any, ...]] = [
        ("multiply_triple", kernel.of("minus", tight, tight), two),
        ("multiply_minus", tight, tight, three),
        ("subtract", tight, tight),
    ]
    assert not all(stays(kernel, *call) for call in calls)
