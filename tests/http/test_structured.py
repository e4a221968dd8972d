"""Byte Sequences of structured fields (RFC 9651): what is one, what is none, and what is ignored."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.http.structured import parse_byte_sequence, write_byte_sequence

PRETEND = b"pretend this is binary content."
PRETEND_FIELD = ":cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:"  # the RFC's example, section 3.3.5


def test_the_rfcs_example() -> None:
    assert write_byte_sequence(PRETEND) == PRETEND_FIELD
    assert parse_byte_sequence(PRETEND_FIELD) == PRETEND


@given(st.binary(max_size=100))
def test_what_is_written_is_read(data: bytes) -> None:
    assert parse_byte_sequence(write_byte_sequence(data)) == data
    assert write_byte_sequence(data) == f":{b64encode(data).decode()}:"


@pytest.mark.parametrize(
    "parameters",
    [
        ";a",
        ";a=1",
        "; a=-1.5;b",
        ';*x="a \\" \\\\ b"',
        ";a-b_c.d*=tok/en:x",
        ";a=:AA==:",
        ";a=?0",
        ";a=@-1",
        ';a=%"%c3%a9 e"',
    ],
)
def test_parameters_are_ignored(parameters: str) -> None:
    """Of every type that there is (section 3.3)."""
    assert parse_byte_sequence(f"  {PRETEND_FIELD}{parameters}  ") == PRETEND


@pytest.mark.parametrize("field", [":aGVsbG8:", ":aGVsbG8=:", ":aGVsbG9=:"])
def test_padding_may_be_missing_and_need_not_be_zero(field: str) -> None:
    """As parsers should have it (section 4.2.7)."""
    assert parse_byte_sequence(field) == b"hello"


def test_no_bytes() -> None:
    assert parse_byte_sequence("::") == b""


@pytest.mark.parametrize(
    "field",
    [
        "", ":", "aGVsbG8=", ":aGVsbG8=", "aGVsbG8=:", ":aGVsb G8=:", ":aGVs-G8=:", ":aGVs_G8=:", ":aGVsbG8.:",
        ":aGVsb=8:", ":a:", ":aGVsbG8====:", ":aGVsbG8=: x", ":aGVsbG8=:, :aGVsbG8=:", ":aGVsbG8=:;", ":aGVsbG8=:;A",
        ":aGVsbG8=:;a=", ":aGVsbG8=: ;a", ":aGVsbG8=:;a=\"", ":aGVsbG8=:;a=?2", ":aGVsbG8=:;a=1.2345",
        ":aGVsbG8=:;a=1234567890123456",
        "\t:aGVsbG8=:", ":aGVsbG8=:\n", "\u00a0:aGVsbG8=:", "?1", "12", '"aGVsbG8="', "aGVsbG8", "(:aGVsbG8=:)",
    ],
)  # fmt: skip
def test_everything_else_is_none(field: str) -> None:
    assert parse_byte_sequence(field) is None
