"""The ping-pong topology (section 5.7.1): Prio3 between a Leader and a Helper, one request and one response.

Batches are those of `prio3`: a failure rejects its report alone. The draft's states are rows here: Continued is a row
of verification states and one of outbound messages, Finished a row of output shares, Rejected an entry of `rejected`.
Prio3 has one round, so there are two messages of fixed sizes, and their type and length are constants.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from secagg.codec import Octets
from secagg.errors import require

from .prio3 import Prio3
from .rows import Messages, Rows, VerifyStates

_LEADER, _HELPER = 0, 1


class MessageType(IntEnum):
    """The first byte of a message (section 5.7.1)."""

    INITIALIZE = 0
    CONTINUE = 1  # of VDAFs with more rounds
    FINISH = 2


class PingPong:
    """Both parties of the topology for one VDAF.

    Args:
        prio3: for two Aggregators.

    Raises:
        LocalProtocolError: it is for more.
    """

    def __init__(self, prio3: Prio3) -> None:
        require(prio3.SHARES == 2, f"the ping-pong topology is for 2 Aggregators, got {prio3.SHARES}")
        self.prio3 = prio3

    def leader_init(
        self,
        verify_key: bytes,
        ctx: bytes,
        nonces: Octets | Sequence[bytes],
        public_shares: Messages,
        input_shares: Messages,
    ) -> tuple[VerifyStates, Rows]:
        """The Leader's first step (the draft's ping_pong_leader_init).

        Args:
            verify_key: VERIFY_KEY_SIZE bytes that the Aggregators share and no Client knows.
            ctx: the application's context; empty in draft 8.
            nonces: n of NONCE_SIZE bytes.
            public_shares: n of PUBLIC_SHARE_SIZE bytes.
            input_shares: n of LEADER_SHARE_SIZE bytes, as decrypted.

        Returns:
            Its states, which it keeps, and its messages to the Helper.

        Raises:
            LocalProtocolError: an argument of ours has the wrong size. A wrong share rejects its report instead.
        """
        states, shares = self.prio3.verify_init_batch(verify_key, ctx, _LEADER, nonces, public_shares, input_shares)
        return states, _framed(MessageType.INITIALIZE, shares)

    def helper_init(
        self,
        verify_key: bytes,
        ctx: bytes,
        nonces: Octets | Sequence[bytes],
        public_shares: Messages,
        input_shares: Messages,
        inbound: Messages,
    ) -> tuple[Rows, Rows]:
        """The Helper's only step (ping_pong_helper_init).

        Args:
            verify_key: VERIFY_KEY_SIZE bytes that the Aggregators share and no Client knows.
            ctx: the application's context; empty in draft 8.
            nonces: n of NONCE_SIZE bytes.
            public_shares: n of PUBLIC_SHARE_SIZE bytes.
            input_shares: n of HELPER_SHARE_SIZE bytes, as decrypted.
            inbound: n messages of the Leader.

        Returns:
            Its output shares, and its messages to the Leader.

        Raises:
            LocalProtocolError: an argument of ours has the wrong size. A wrong share or message rejects its report
                instead.
        """
        prio3 = self.prio3
        received = _unframed(MessageType.INITIALIZE, inbound, prio3.VERIFIER_SHARE_SIZE)
        states, shares = prio3.verify_init_batch(verify_key, ctx, _HELPER, nonces, public_shares, input_shares)
        messages = prio3.verifier_shares_to_message_batch(ctx, [received, shares])
        out_shares = prio3.verify_next_batch(states, messages)
        return out_shares, _framed(MessageType.FINISH, messages.reject(out_shares.rejected))

    def leader_continued(self, states: VerifyStates | Rows | Sequence[bytes], inbound: Messages) -> Rows:
        """The Leader's last step (ping_pong_leader_continued).

        Args:
            states: from `leader_init`, or as they were encoded.
            inbound: n messages of the Helper.

        Returns:
            Its output shares; a report whose message is wrong is rejected.
        """
        messages = _unframed(MessageType.FINISH, inbound, self.prio3.VERIFIER_MESSAGE_SIZE)
        return self.prio3.verify_next_batch(states, messages)


def _header(kind: MessageType, size: int) -> Octets:
    return np.frombuffer(bytes([kind]) + size.to_bytes(4, "big"), np.uint8)


def _framed(kind: MessageType, payloads: Rows) -> Rows:
    header = _header(kind, payloads.data.shape[1])
    headers = np.broadcast_to(header, (len(payloads), len(header)))
    return Rows(np.concatenate([headers, payloads.data], axis=1)).reject(payloads.rejected)


def _unframed(kind: MessageType, messages: Messages, size: int) -> Rows:
    header = _header(kind, size)
    name = f"ping-pong message {kind.name.lower()}"
    rows = Rows.of(messages, len(header) + size, name)
    start = len(header)
    rows = rows.require((rows.data[:, :start] == header).all(axis=1), f"{name}: it states another type or length")
    return Rows(rows.data[:, start:].copy(), rows.rejected)
