"""VDAFs in a task: their identifiers and configurations byte for byte (appendix B), and what is refused."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dap.vdafs import VDAFS, Count, Histogram, MultihotCountVec, Sum, SumVec, Vdaf, decode_vdaf, vdaf
from secagg.dp import Sensitivity
from secagg.errors import LocalProtocolError, RemoteProtocolError
from secagg.vdaf import DRAFT_08, DRAFT_20, Draft

CASES: list[tuple[Vdaf, int, str]] = [
    (Count(), 1, ""),
    (Sum(255), 2, "00000000000000ff"),
    (SumVec(10, 255, 9), 3, "0000000a 00000000000000ff 00000009"),
    (Histogram(16, 4), 4, "00000010 00000004"),
    (MultihotCountVec(10, 4, 3), 5, "0000000a 00000004 0000000000000003"),
]
MEASUREMENTS = {"Count": 1, "Sum": 7, "SumVec": [7] * 10, "Histogram": 15, "MultihotCountVec": [1, 0] * 3 + [0] * 4}


@pytest.mark.parametrize(("chosen", "number", "encoded"), CASES)
def test_identifier_and_configuration_are_the_drafts(chosen: Vdaf, number: int, encoded: str) -> None:
    assert (chosen.type, chosen.encode()) == (number, bytes.fromhex(encoded))
    assert decode_vdaf(number, bytes.fromhex(encoded)) == chosen


def test_every_vdaf_is_here() -> None:
    assert {type(chosen) for chosen, _, _ in CASES} == set(VDAFS.values())


@pytest.mark.parametrize(("chosen", "number", "encoded"), CASES)
def test_configuration_of_another_size_is_refused(chosen: Vdaf, number: int, encoded: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_vdaf(number, bytes.fromhex(encoded) + b"\0")
    if encoded:
        with pytest.raises(RemoteProtocolError):
            decode_vdaf(number, bytes.fromhex(encoded)[:-1])


@pytest.mark.parametrize("number", [0, 6, 0xFFFF0000])
def test_unsupported_vdaf_is_refused(number: int) -> None:
    with pytest.raises(LocalProtocolError, match="not supported; choose one of Count"):
        decode_vdaf(number, b"")


@pytest.mark.parametrize("draft", [DRAFT_08, DRAFT_20], ids=["draft 8", "draft 20"])
@pytest.mark.parametrize(("chosen", "number", "encoded"), CASES)
def test_prio3_takes_the_parameters(chosen: Vdaf, number: int, encoded: str, draft: Draft) -> None:
    prio3 = chosen.prio3(draft)
    assert prio3.draft is draft
    assert chosen.entries == prio3.flp.OUTPUT_LEN
    public, inputs = prio3.shard(b"", MEASUREMENTS[chosen.NAME], bytes(16))
    assert (len(public), len(inputs[0])) == (prio3.PUBLIC_SHARE_SIZE, prio3.LEADER_SHARE_SIZE)


def test_parameters_by_name() -> None:
    assert vdaf("Count") == Count()
    assert vdaf("Sum", max_measurement=255) == Sum(255)
    assert vdaf("Histogram", length=16, chunk_length=4) == Histogram(16, 4)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("SumVec", {"length": 100, "max_measurement": 255}),
        ("Histogram", {"length": 1000}),
        ("MultihotCountVec", {"length": 100, "max_weight": 5}),
    ],
)
def test_chunk_length_may_be_left_to_the_package(name: str, parameters: dict[str, int]) -> None:
    chosen = vdaf(name, **parameters)
    assert getattr(chosen, "chunk_length") >= 2  # noqa: B009
    assert decode_vdaf(chosen.type, chosen.encode()) == chosen
    assert chosen.prio3().LEADER_SHARE_SIZE < vdaf(name, **parameters, chunk_length=1).prio3().LEADER_SHARE_SIZE


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("Poplar1", {}, "unknown VDAF 'Poplar1'"),
        ("Count", {"length": 1}, "Count takes no parameters, got length"),
        ("Sum", {}, "Sum needs max_measurement"),
        ("Histogram", {"chunk_length": 1}, "Histogram needs length"),
        ("Histogram", {"length": 0}, "length must be"),
        ("Histogram", {"length": 4, "chunk_length": 0}, "chunk_length must be"),
        ("Sum", {"max_measurement": 0}, "at least 1"),
        ("Sum", {"max_measurement": 1 << 63}, "too large"),
        ("Sum", {"max_measurement": -1}, "at least 1"),
        ("MultihotCountVec", {"length": 4, "max_weight": 5}, "max_weight must be"),
    ],
)
def test_bad_parameters_are_refused(name: str, parameters: dict[str, int], says: str) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        vdaf(name, **parameters)


@pytest.mark.parametrize(
    ("chosen", "l1", "l2_squared"),
    [
        (Count(), 1, 1),
        (Sum(255), 255, 255**2),
        (SumVec(10, 3, 1), 30, 90),
        (Histogram(16, 4), 2, 2),
        (MultihotCountVec(10, 4, 3), 6, 6),
        (MultihotCountVec(10, 4, 8), 10, 10),
    ],
)
def test_sensitivities_where_one_report_is_replaced(chosen: Vdaf, l1: int, l2_squared: int) -> None:
    sensitivity = chosen.sensitivity()
    assert isinstance(sensitivity, Sensitivity)
    assert (sensitivity.l1, sensitivity.l2_squared) == (Fraction(l1), Fraction(l2_squared))


@given(st.integers(0, 7), st.binary(max_size=20))
def test_any_bytes_are_a_vdaf_or_refused(number: int, configuration: bytes) -> None:
    try:
        chosen = decode_vdaf(number, configuration)
    except (LocalProtocolError, RemoteProtocolError):
        return
    assert (chosen.type, chosen.encode()) == (number, configuration)
