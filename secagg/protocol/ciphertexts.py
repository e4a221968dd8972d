"""The ciphertexts e_{u,v} of Fig. 4: a share of s_u^sk and one of b_u, from u to v, with both ids inside."""

import numpy as np
from numpy.typing import NDArray

from .. import shamir
from ..codec import Ids, Octets
from ..errors import RemoteProtocolError
from ..primitives import seal, unseal
from .client_state import Peer


def seal_shares(key: bytes, u: int, v: int, shares: Octets) -> Octets:
    """e_{u,v} = AE.enc(u || v || shares), under a key that serves this one message."""
    return np.frombuffer(seal(key, _route(u, v) + shares.tobytes()), np.uint8)


def open_shares(peers: dict[int, Peer], senders: Ids, u: int, ciphertexts: Octets) -> tuple[NDArray[np.bool_], Octets]:
    """Which of the e_{v,u} open, v over senders, and the shares [k, 2, 32] in those that do.

    A ciphertext that does not open is a missing share: aborting for it would let any user end the session.
    """
    if len(ciphertexts) != len(senders):
        raise RemoteProtocolError(f"{len(ciphertexts)} ciphertexts for {len(senders)} senders")
    shares = np.zeros((len(senders), 2, 32), np.uint8)
    opened = np.zeros(len(senders), np.bool_)
    for row, v in enumerate(senders.tolist()):
        plaintext = unseal(peers[v].unseal_key, ciphertexts[row].tobytes())
        if plaintext is not None and plaintext[:8] == _route(v, u):
            shares[row] = np.frombuffer(plaintext, np.uint8, offset=8).reshape(2, 32)
            opened[row] = shamir.in_field(shares[row])
    return opened, shares[opened]


def _route(sender: int, recipient: int) -> bytes:
    """u || v, the first eight bytes of Fig. 4's plaintext."""
    return sender.to_bytes(4, "big") + recipient.to_bytes(4, "big")
