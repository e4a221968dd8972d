"""Secrets of a task at one Aggregator: tokens or their hashes, and the verification key."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from ..codec import Nested, Opaque, Struct, UInt
from ..errors import require
from .messages import HpkeConfig, Role

HASH_BYTES = 32  # of a token_hash


@dataclass(frozen=True, repr=False)
class TaskSecrets(Struct):
    """What one Aggregator holds of a task beside its configuration.

    Attributes:
        role: LEADER or HELPER.
        verify_key: the VDAF verification key, the same for both Aggregators and unknown to Clients.
        collector_config: to whom aggregate shares are sealed.
        peer_token: the Leader's, which it shows to the Helper; the Helper holds its SHA-256.
        collector_token: the SHA-256 of the Collector's; empty at the Helper.
        batch_size: reports in a batch that the Leader selects, min_batch_size at least.
    """

    role: Annotated[Role, UInt(1, Role)]
    verify_key: Annotated[bytes, Opaque(1, min_bytes=1)]
    collector_config: Annotated[HpkeConfig, Nested(HpkeConfig)]
    peer_token: Annotated[bytes, Opaque(2, min_bytes=1)]
    collector_token: Annotated[bytes, Opaque(1)] = b""
    batch_size: Annotated[int, UInt(8)] = 0


def token_hash(token: bytes) -> bytes:
    """What is stored of a token that only has to be recognised: its SHA-256.

    Args:
        token: the token itself.
    """
    return sha256(token).digest()


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
