"""Secrets of a task at one Aggregator: tokens or their hashes, and the verification key."""

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from ..codec import Nested, Opaque, Struct, UInt
from ..errors import require
from .messages import HpkeConfig, Role

HASH_BYTES = 32  # of a token_hash
DAP_AUTH_TOKEN = "DAP-Auth-Token: "
"""Before a token that is shown in this header of DAP's older drafts, as deployed Aggregators ask for it of some tasks;
without it a token is shown as a bearer token. Files, stores and arguments have tokens so."""

_TOKEN_BYTES_MAX = 1024  # of one that somebody else chose
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
TOKEN_FORM = (
    f"a token must have 1 .. {_TOKEN_BYTES_MAX:,} letters, digits or characters of -._~+/, and then any =; before it"
    f" there may be {DAP_AUTH_TOKEN!r}, if it is to be shown in that header"
)


@dataclass(frozen=True, repr=False)
class TaskSecrets(Struct):
    """What one Aggregator holds of a task beside its configuration.

    Attributes:
        role: LEADER or HELPER.
        verify_key: the VDAF verification key, the same for both Aggregators and unknown to Clients.
        collector_config: to whom aggregate shares are sealed.
        peer_token: the Leader's, which it shows to the Helper, perhaps after DAP_AUTH_TOKEN; the Helper holds its
            `token_hash`.
        collector_token: the SHA-256 of the Collector's; empty at the Helper.
        batch_size: reports in a batch that the Leader selects, min_batch_size at least.
    """

    role: Annotated[Role, UInt(1, Role)]
    verify_key: Annotated[bytes, Opaque(1, min_bytes=1)]
    collector_config: Annotated[HpkeConfig, Nested(HpkeConfig)]
    peer_token: Annotated[bytes, Opaque(2, min_bytes=1)]
    collector_token: Annotated[bytes, Opaque(1)] = b""
    batch_size: Annotated[int, UInt(8)] = 0


def is_token(token: bytes) -> bool:
    """Whether it can travel in a header (RFC 9110, section 11.2).

    Args:
        token: any bytes.
    """
    bare = _bare(token)
    return len(bare) <= _TOKEN_BYTES_MAX and _TOKEN.fullmatch(bare) is not None


def token_header(token: str) -> dict[str, str]:
    """The header that shows a token (section 3.5).

    Args:
        token: as its Aggregator knows it, perhaps after DAP_AUTH_TOKEN.

    Raises:
        LocalProtocolError: it cannot be sent in a header.
    """
    bare = token.removeprefix(DAP_AUTH_TOKEN)
    sendable = bare.isascii() and bare.isprintable() and " " not in bare and bare != ""
    require(sendable, f"a token must be printable ASCII without spaces; before it there may be {DAP_AUTH_TOKEN!r}")
    return {"Authorization": f"Bearer {bare}"} if bare == token else {DAP_AUTH_TOKEN.partition(":")[0]: bare}


def token_hash(token: bytes) -> bytes:
    """What is stored of a token that only has to be recognised: its SHA-256, in whichever header it is shown.

    Args:
        token: the token itself, perhaps after DAP_AUTH_TOKEN.
    """
    return sha256(_bare(token)).digest()


def _bare(token: bytes) -> bytes:
    return token.removeprefix(DAP_AUTH_TOKEN.encode())


def require_hash(digest: bytes) -> None:
    """Check that something may be a `token_hash`.

    Args:
        digest: that somebody else has computed.

    Raises:
        LocalProtocolError: it has another length.
    """
    require(len(digest) == HASH_BYTES, f"a token's hash must have {HASH_BYTES} bytes, got {len(digest)}")


def token_matches(token: bytes | None, expected: bytes) -> bool:
    """Whether a token has this hash, in a time that does not depend on where they differ.

    Args:
        token: the token that was shown; None if none was.
        expected: the `token_hash` that was stored.
    """
    return hmac.compare_digest(token_hash(b"" if token is None else token), expected) and token is not None
