"""Bytes as text: URL-safe base64 without padding (RFC 4648, section 5), canonically written."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from ..arguments import octets, whole
from ..errors import RemoteProtocolError


def base64url(data: bytes) -> str:
    """URL-safe base64 without padding (RFC 4648, sections 5 and 3.2)."""
    return urlsafe_b64encode(octets(data, "data")).rstrip(b"=").decode("ascii")


def from_base64url(text: str, size: int) -> bytes:
    """The bytes; raises RemoteProtocolError unless they are `size` many and canonically written."""
    size = whole(size, "size")
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        data = b""
    if len(data) != size or base64url(data) != text:
        raise RemoteProtocolError(f"URL-safe base64 of {size} bytes expected")
    return data
