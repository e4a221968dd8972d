"""Names and numbers of participants in a line of text: each has one, and no two have the same."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secagg import LocalProtocolError
from secagg.errors import ArgumentTypeError
from secagg.service.names import Name, check_name, name_text, parse_name

NAMES = st.integers(0, (1 << 64) - 1) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.from_regex(
    r'[0-9"]{1,22}', fullmatch=True
)  # fmt: skip


@given(NAMES)
@example(0)
@example("0")
@example('"')
@example('"7"')
@example("٣")  # a digit, but none of ours
@example("9" * 253)
def test_a_name_is_read_as_it_was_written(name: Name) -> None:
    try:
        check_name(name)
    except LocalProtocolError:
        return
    text = name_text(name)
    assert (parse_name(text), type(parse_name(text))) == (name, type(name))
    assert len(text.encode()) <= 255
    assert "\n" not in text


def test_digits_alone_are_a_number_and_in_quotes_a_name() -> None:
    assert [parse_name(text) for text in ("7", '"7"', "ada", '"ada"', "7a")] == [7, "7", "ada", "ada", "7a"]
    assert [name_text(name) for name in (7, "7", "ada", '"', "7a")] == ["7", '"7"', "ada", '"""', "7a"]


@pytest.mark.parametrize("text", ["", "07", "00", "18446744073709551616", "9" * 5000, '"', '""', '"7', "a\nb"])
def test_text_that_is_nobody(text: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"a participant's n|a name that begins"):
        parse_name(text)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256, "ö" * 128, "9" * 254, "\ud800", -1, 1 << 64])
def test_what_is_no_name(name: Name) -> None:
    with pytest.raises(LocalProtocolError, match="a participant's n"):
        check_name(name)


@pytest.mark.parametrize("name", [None, 1.0, True, b"ada", ("ada",)])
def test_other_types(name: Name) -> None:
    with pytest.raises(ArgumentTypeError):
        check_name(name)
