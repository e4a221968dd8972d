"""Header fields as RFC 9110 has them, beside what the standard library makes of them."""

from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.http.semantics import parse_media_type, same_origin

TOKEN = st.text("abcXYZ019!#$&'*+-.^_`|~", min_size=1, max_size=8)
QUOTED = st.text('abc XYZ;=,\\"\t/', max_size=8)
SPACE = st.sampled_from(["", " ", "\t", " \t "])


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("text/plain", ("text/plain", {})),
        (" Text/PLAIN ", ("text/plain", {})),
        ("a/b;c=d", ("a/b", {"c": "d"})),
        ("a/b ;\tC=D ; e=f;", ("a/b", {"c": "d", "e": "f"})),
        (r'a/b;c="d;\"e\\"', ("a/b", {"c": 'd;"e\\'})),
        ("a/b;;c=d", ("a/b", {"c": "d"})),
        ("", None),
        ("a", None),
        ("a/", None),
        ("a/b c=d", None),
        ("a/b;c", None),
        ("a/b;c =d", None),
        ('a/b;c="d', None),
        ("a/b;c=d;c=d", None),
        ("a/b, c/d", None),
    ],
)
def test_media_types(text: str, parsed: object) -> None:
    assert parse_media_type(text) == parsed


@given(TOKEN, TOKEN, st.dictionaries(TOKEN.map(str.lower), st.tuples(QUOTED, SPACE, SPACE), max_size=3))
def test_any_spelling_is_read_as_the_standard_library_reads_it(
    kind: str, subtype: str, parameters: dict[str, tuple[str, str, str]]
) -> None:
    text = f"{kind}/{subtype}"
    for name, (value, before, after) in parameters.items():
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        text += f'{before};{after}{name}="{quoted}"'
    values = {name: value.lower() for name, (value, _, _) in parameters.items()}
    assert parse_media_type(text) == (f"{kind}/{subtype}".lower(), values)
    message = Message()
    message["Content-Type"] = text
    assert message.get_content_type() == f"{kind}/{subtype}".lower()


@given(st.text(max_size=60))
def test_any_text_is_a_media_type_or_none(text: str) -> None:
    parsed = parse_media_type(text)
    assert parsed is None or "/" in parsed[0]


def test_a_long_text_takes_no_long_time() -> None:
    assert parse_media_type("a/b" + ";" * 100_000 + "x") is None


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("HTTPS://A.Example:443/c?d", True),
        ("https://a.example", True),
        ("https://a.example:8443/b", False),
        ("http://a.example/b", False),
        ("http://a.example:443/b", False),
        ("https://b.example/b", False),
        ("https://u@a.example/b", False),
        ("https://u:p@a.example/b", False),
        ("/b", False),
        ("", False),
    ],
)
def test_an_origin_is_the_same_however_it_is_spelled(other: str, same: bool) -> None:
    assert same_origin("https://a.example/b", other) is same
    assert same_origin(other, "https://a.example/b") is same
