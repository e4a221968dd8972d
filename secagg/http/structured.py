"""Structured fields of HTTP (RFC 9651), as far as they are Items whose value is a Byte Sequence."""

import re
from binascii import a2b_base64, b2a_base64

_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE_ITEM = "|".join(
    (
        r"-?[0-9]{1,12}\.[0-9]{1,3}",  # Decimal
        r"-?[0-9]{1,15}",  # Integer
        r'"(?:[ !#-\[\]-~]|\\["\\])*"',  # String
        r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*",  # Token
        r":[A-Za-z0-9+/=]*:",  # Byte Sequence
        r"\?[01]",  # Boolean
        r"@-?[0-9]{1,15}",  # Date
        r'%"(?:[ !#$&-~]|%[0-9a-f]{2})*"',  # Display String
    )
)
_PARAMETERS = rf"(?:; *{_KEY}(?:=(?:{_BARE_ITEM}))?)*"
_BYTE_SEQUENCE = re.compile(rf" *:([A-Za-z0-9+/]*)={{0,2}}:{_PARAMETERS} *")


def write_byte_sequence(data: bytes) -> str:
    """A field's value (section 4.1.8).

    Args:
        data: any number of bytes.
    """
    return f":{b2a_base64(data, newline=False).decode()}:"


def parse_byte_sequence(value: str) -> bytes | None:
    """The bytes of a field that is an Item (section 4.2.7); None if it is anything else. Parameters say nothing.

    As the RFC asks, padding may be left out, and bits that pad need not be zero.

    Args:
        value: of the field. A field of several lines is a list, and no Item.
    """
    found = _BYTE_SEQUENCE.fullmatch(value)
    if found is None or len(found[1]) % 4 == 1:
        return None
    return a2b_base64(found[1] + "=" * (-len(found[1]) % 4))
