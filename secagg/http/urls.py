"""URLs of servers: what is one, which two are the same, and which lead to this machine.

A host is judged in the form in which it is connected to: an internationalised name as A-labels (RFC 5891), an address
in its one canonical spelling. Everything that some programs read as one host and others as another is refused: names
and passwords before an @, percent-encodings, steps up and down a path, and IPv4 addresses in other notations than four
decimal numbers.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

import idna

from ..errors import LocalProtocolError, require

_URL = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[^/\[\]:@%?#]+)(?::([0-9]{1,5}))?((?:/[!$&'()*+,\-./0-9:;=@_~a-z%]*)?)", re.A | re.I
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.A)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.A)
_PORTS = {"http": 80, "https": 443}
_NAME_CHARACTERS_MAX = 253


@dataclass(frozen=True)
class ServerUrl:
    """The URL of a server; two are equal if they lead to the same place.

    Attributes:
        scheme: "http" or "https".
        host: in lower case and ASCII, without brackets and without a dot at its end.
        port: stated or not.
        path: without the slashes at its end.
        text: the URL as it was written, but for a host in A-labels and without a dot at its end.
    """

    scheme: str
    host: str
    port: int
    path: str
    text: str = field(compare=False)

    @property
    def base(self) -> str:
        """What paths are put after: `text` without the slashes at its end."""
        return self.text.rstrip("/")

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine: `localhost`, an address of 127.0.0.0/8, or ::1."""
        if ":" in self.host:
            return self.host == "::1"
        return self.host == "localhost" or (_ends_in_number(self.host) and IPv4Address(self.host).is_loopback)


def parse_server_url(text: str) -> ServerUrl:
    """The parts of a server's URL.

    Args:
        text: as a person wrote it, such as https://dap.example.org/leader.

    Raises:
        LocalProtocolError: it is no such URL; the reason does not repeat it, as it may hold a password.
    """
    found = _URL.fullmatch(text)
    if found is None:
        require("@" not in text.partition("://")[2].partition("/")[0], "it must not hold a name or password")
        raise LocalProtocolError("write it like https://dap.example.org/path, without a query")
    scheme, written, port = found[1].lower(), found[2], found[3]
    require(port is None or 0 < int(port) < 1 << 16, "its port must be 1 .. 65535")
    path = found[4].rstrip("/")
    require("%" not in path and not {".", ".."} & set(path.split("/")), "its path must not have %, or . and .. alone")
    ascii_host = written if written.isascii() else _a_labels(written)
    host = _canonical(ascii_host)
    spelled = text[: found.start(2)] + ascii_host.removesuffix(".") + text[found.end(2) :]
    return ServerUrl(scheme, host, int(port or _PORTS[scheme]), path, spelled)


def _a_labels(name: str) -> str:
    """An internationalised name in ASCII, as programs for people map and encode it (UTS 46, RFC 5891)."""
    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode()
    except UnicodeError as error:
        raise LocalProtocolError(f"its host is no internationalised name: {error}") from None


def _canonical(host: str) -> str:
    """The one spelling of a host in ASCII."""
    try:
        if host.startswith("["):
            return IPv6Address(host[1:-1]).compressed
        if _ends_in_number(host):
            return str(IPv4Address(host))
    except ValueError:
        raise LocalProtocolError(
            "its address must be like 192.0.2.1, in four decimal numbers, or [2001:db8::1]"
        ) from None
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    require(
        len(name) <= _NAME_CHARACTERS_MAX and all(map(_LABEL.fullmatch, labels)),
        "its host must be a name of letters, digits and hyphens, or an address",
    )
    for label in labels:
        if label.startswith("xn--"):
            _require_a_label(label)
    return name


def _require_a_label(label: str) -> None:
    try:
        idna.ulabel(label)
    except UnicodeError as error:
        raise LocalProtocolError(f"its host is no internationalised name: {error}") from None


def _ends_in_number(host: str) -> bool:
    """Whether the system may take the host for an IPv4 address in some notation (as the URL standard decides it)."""
    return _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2].lower()) is not None
