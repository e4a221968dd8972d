"""URLs of servers in every spelling: which is this machine, which are the same, and which are none."""

from ipaddress import IPv6Address

import httpx
import pytest

from secagg.errors import LocalProtocolError
from secagg.http.urls import parse_server_url

THIS_MACHINE = [
    "http://localhost",
    "http://LocalHost:8080",
    "http://localhost.",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://127.255.255.254/dap",
    "HTTP://127.1.2.3:65535/",
    "http://[::1]",
    "http://[0:0:0:0:0:0:0:1]:8080/",
    "http://[0000::0001]",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",  # full-width letters
    "http://\u2460\u2461\u2466.0.0.1",  # digits in circles
]

OTHER_MACHINES = [
    "http://127.0.0.1.evil.org",
    "http://localhost.evil.org",
    "http://localhost-evil.org",
    "http://evil.org/localhost",
    "http://evil.org:127/",
    "http://l\u00f6calhost",
    "http://128.0.0.1",
    "http://126.255.255.255",
    "http://0.0.0.0",
    "http://10.0.0.1",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
    "http://[::127.0.0.1]",
    "http://[::]",
    "http://[::2]",
    "http://[fe80::1]",
    "http://[64:ff9b::127.0.0.1]",
    "http://127-0-0-1.evil.org",
    "http://1.0.0.127.in-addr.arpa",
]

NONE = [
    # Names and passwords, and what some programs take for them.
    ("http://localhost@evil.org", "name or password"),
    ("http://localhost:80@evil.org", "name or password"),
    ("http://a:b@localhost", "name or password"),
    ("http://evil.org\\@localhost", "name or password"),
    ("http://@localhost", "name or password"),
    # IPv4 in other notations.
    ("http://127.1", "four decimal numbers"),
    ("http://0177.0.0.1", "four decimal numbers"),
    ("http://0x7f.0.0.1", "four decimal numbers"),
    ("http://0x7f000001", "four decimal numbers"),
    ("http://2130706433", "four decimal numbers"),
    ("http://017700000001", "four decimal numbers"),
    ("http://127.0.0.01", "four decimal numbers"),
    ("http://127.0.0.1.", "four decimal numbers"),
    ("http://127.0.0.256", "four decimal numbers"),
    ("http://127.0.0.1.1", "four decimal numbers"),
    ("http://evil.org.0x", "four decimal numbers"),
    # IPv6 that is none.
    ("http://[::1", "write it like"),
    ("http://[::1]evil.org", "write it like"),
    ("http://[::1%25lo]", "write it like"),
    ("http://[localhost]", "write it like"),
    ("http://[:::1]", "2001:db8::1"),
    ("http://[127.0.0.1]", "2001:db8::1"),
    ("http://::1", "write it like"),
    # Hosts that are none.
    ("http://", "write it like"),
    ("http:///localhost", "write it like"),
    ("http://:80", "write it like"),
    ("http://127.0.0.1%2eevil.org", "write it like"),
    ("http://local%68ost", "write it like"),
    ("http://localhost\\evil.org", "letters, digits and hyphens"),
    ("http://a..b", "letters, digits and hyphens"),
    ("https://a.example/x/../y", "must not have"),
    ("https://a.example/./y", "must not have"),
    ("https://a.example/%79", "must not have"),
    ("http://.localhost", "letters, digits and hyphens"),
    ("http://localhost..", "letters, digits and hyphens"),
    ("http://-a.example", "letters, digits and hyphens"),
    ("http://a-.example", "letters, digits and hyphens"),
    ("http://a b.example", "letters, digits and hyphens"),
    ("http://a\tb.example", "letters, digits and hyphens"),
    ("http://a.example\n", "letters, digits and hyphens"),
    ("http://a.example\r\nx: y", "write it like"),
    ("http://" + "a" * 64 + ".example", "letters, digits and hyphens"),
    ("http://" + "a." * 130 + "example", "letters, digits and hyphens"),
    # Internationalised names that are none.
    ("http://b\u00fccher..example", "internationalised name"),
    ("http://" + "\u00fc" * 60 + ".example", "internationalised name"),
    ("http://\u2603.example", "internationalised name"),
    ("http://b\u00fc cher.example", "internationalised name"),
    ("http://b\udcfccher.example", "internationalised name"),
    ("http://b\u00fccher\u200b\u0301.example/\u00fc", "write it like"),
    ("http://xn--a.example", "internationalised name"),
    ("http://xn--.example", "letters, digits and hyphens"),
    ("http://\u0627a.example", "internationalised name"),  # both directions in one label
    # Everything else.
    ("localhost", "write it like"),
    ("localhost:80", "write it like"),
    ("//localhost", "write it like"),
    ("/localhost", "write it like"),
    ("ftp://localhost", "write it like"),
    ("http\u017f://localhost", "write it like"),  # a long s
    ("http:/localhost", "write it like"),
    (" http://localhost", "write it like"),
    ("http://localhost ", "letters, digits and hyphens"),
    ("http://localhost:x", "write it like"),
    ("http://localhost:0", "port must be"),
    ("http://localhost:65536", "port must be"),
    ("http://localhost:\u0661", "write it like"),
    ("http://localhost:", "write it like"),
    ("http://localhost/?q", "without a query"),
    ("http://localhost?q", "without a query"),
    ("http://localhost/#f", "without a query"),
    ("http://localhost/a b", "write it like"),
    ("http://localhost/\u00fc", "write it like"),
    ("http://localhost/\\", "write it like"),
    ("", "write it like"),
]


@pytest.mark.parametrize("text", THIS_MACHINE)
def test_this_machine_in_every_spelling(text: str) -> None:
    assert parse_server_url(text).loopback


@pytest.mark.parametrize("text", OTHER_MACHINES)
def test_what_only_looks_like_this_machine(text: str) -> None:
    assert not parse_server_url(text).loopback


@pytest.mark.parametrize(("text", "reason"), NONE)
def test_what_is_no_url_of_a_server_has_a_reason_without_secrets(text: str, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason) as refused:
        parse_server_url(text)
    assert "a:b" not in str(refused.value)


@pytest.mark.parametrize("text", [*THIS_MACHINE, *OTHER_MACHINES, "https://b\u00fccher.example:8443/dap"])
def test_the_http_client_connects_to_the_host_that_was_judged(text: str) -> None:
    """In its own parsing of the URL that is kept."""
    url = parse_server_url(text)
    theirs = httpx.URL(url.text)
    host = theirs.raw_host.decode().lower()
    assert (IPv6Address(host).compressed if ":" in host else host.removesuffix(".")) == url.host
    assert (theirs.scheme, theirs.port or {"http": 80, "https": 443}[theirs.scheme]) == (url.scheme, url.port)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("https://leader.example", "https://leader.example/"),
        ("https://leader.example", "https://leader.example///"),
        ("https://leader.example", "HTTPS://LEADER.Example"),
        ("https://leader.example", "https://leader.example:443"),
        ("https://leader.example", "https://leader.example:00443"),
        ("http://leader.example", "http://leader.example:80/"),
        ("https://leader.example", "https://leader.example."),
        ("https://leader.example/dap", "https://leader.example:443/dap/"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("https://b\u00fccher.example", "https://B\u00dcCHER.example"),
        ("https://b\u00fccher.example", "https://bu\u0308cher.example"),
        ("https://b\u00fccher.example", "https://b\u00fccher\u3002example"),
        ("https://b\u00fccher.example", "https://XN--BCHER-KVA.Example"),
        ("https://[::1]", "https://[0:0::1]:443/"),
        ("https://[2001:DB8::1]", "https://[2001:db8:0::1]"),
    ],
)
def test_two_spellings_of_one_place(first: str, second: str) -> None:
    assert parse_server_url(first) == parse_server_url(second)


@pytest.mark.parametrize(
    "other",
    [
        "http://leader.example",
        "https://leader.example:8443",
        "https://leader.example/dap",
        "https://leader.example/Dap",
        "https://helper.example",
        "https://leader.example.org",
    ],
)
def test_other_places(other: str) -> None:
    assert parse_server_url(other) != parse_server_url("https://leader.example")
    assert parse_server_url(other) == parse_server_url(other)


@pytest.mark.parametrize(
    ("written", "kept", "base"),
    [
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        (
            "https://B\u00fccher.example:443/A//",
            "https://xn--bcher-kva.example:443/A//",
            "https://xn--bcher-kva.example:443/A",
        ),
        ("HTTPS://Leader.Example/~x", "HTTPS://Leader.Example/~x", "HTTPS://Leader.Example/~x"),
        ("https://[::1]:8443/a/", "https://[::1]:8443/a/", "https://[::1]:8443/a"),
        ("https://leader_1:8443", "https://leader_1:8443", "https://leader_1:8443"),
    ],
)
def test_a_url_is_kept_as_it_was_written_but_for_a_labels(written: str, kept: str, base: str) -> None:
    url = parse_server_url(written)
    assert (url.text, url.base) == (kept, base)
    assert parse_server_url(kept) == url


def test_a_dot_at_the_end_of_a_host_is_not_connected_to() -> None:
    """It would make another name of `localhost`, which whoever answers names may lead elsewhere."""
    url = parse_server_url("http://localhost.:8080/x")
    assert (url.text, url.loopback) == ("http://localhost:8080/x", True)
