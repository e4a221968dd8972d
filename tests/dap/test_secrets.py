"""Tokens: their form, their hash and the header that shows them."""

from hashlib import sha256

import pytest

from secagg.dap.secrets import is_token, token_hash, token_header, token_matches
from secagg.errors import LocalProtocolError


def test_a_token_is_shown_as_a_bearer_token_unless_it_names_the_other_header() -> None:
    assert token_header("abc") == {"Authorization": "Bearer abc"}
    assert token_header("DAP-Auth-Token: abc") == {"DAP-Auth-Token": "abc"}


@pytest.mark.parametrize("token", ["", "two words", "t\u00f6ken", "line\r\nOther: header", "Bearer abc"])
def test_what_would_write_other_headers_is_shown_in_none(token: str) -> None:
    for each in (token, f"DAP-Auth-Token: {token}"):
        with pytest.raises(LocalProtocolError, match="printable ASCII without spaces") as refused:
            token_header(each)
        assert not token or token not in str(refused.value)


def test_the_hash_is_of_the_token_alone() -> None:
    assert token_hash(b"abc") == token_hash(b"DAP-Auth-Token: abc") == sha256(b"abc").digest()
    assert token_matches(b"abc", token_hash(b"DAP-Auth-Token: abc"))


def test_forms() -> None:
    good = [b"a", b"-._~+/09Zz==", b"a" * 1024]
    bad = [b"", b"=", b"a=b", b"a b", b"a\n", b"a:b", b"a" * 1025, b"dap-auth-token: a"]
    for named in (b"", b"DAP-Auth-Token: "):
        assert all(is_token(named + token) for token in good)
        assert not any(is_token(named + token) for token in bad)
    assert not is_token(b"DAP-Auth-Token: DAP-Auth-Token: a")
