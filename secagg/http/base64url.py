"""Bytes as text: URL-safe base64 without padding (RFC 4648, sections 5 and 3.2), in its one canonical form."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from ..arguments import octets, whole
from ..errors import RemoteProtocolError


def base64url(data: bytes) -> str:
    """The text of some bytes.

    Args:
        data: any number of bytes.

    Raises:
        ArgumentTypeError: `data` is not bytes.
    """
    return urlsafe_b64encode(octets(data, "data")).rstrip(b"=").decode("ascii")


def from_base64url(text: str, size: int | None = None, *, name: str = "") -> bytes:
    """The bytes of a text.

    Args:
        text: URL-safe base64 without padding.
        size: how many bytes there must be; None for any number.
        name: of the field, for the error.

    Raises:
        RemoteProtocolError: the text has another number of bytes, or is not the canonical form.
    """
    wanted = None if size is None else whole(size, "size")
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        data = None
    if data is None or base64url(data) != text or wanted not in (None, len(data)):
        form = "URL-safe base64 without padding" if wanted is None else f"URL-safe base64 of {wanted} bytes"
        raise RemoteProtocolError(f"{name} must be {form}" if name else f"{form} expected")
    return data
