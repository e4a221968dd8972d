"""The ping-pong topology (section 5.7.1): Prio3 between a Leader and a Helper, one request and one response.

Batches as in `prio3`: a failure rejects its report alone. The draft's states are rows here: Continued is a row of
verification states and one of outbound messages, Finished a row of output shares, Rejected an entry of `rejected`.
Prio3 has one round, so a message is one of two, each of a fixed size, and its type and length are a constant.
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
    INITIALIZE = 0
    CONTINUE = 1  # of VDAFs with more rounds
    FINISH = 2


class PingPong:
    """Both parties of the topology for one VDAF."""

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
        """The Leader's first step: its states, which it keeps, and its messages to the Helper.

        Arguments and errors are those of `Prio3.verify_init_batch`.
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
        """The Helper's only step: its output shares and its messages to the Leader."""
        prio3 = self.prio3
        received = _unframed(MessageType.INITIALIZE, inbound, prio3.VERIFIER_SHARE_SIZE)
        states, shares = prio3.verify_init_batch(verify_key, ctx, _HELPER, nonces, public_shares, input_shares)
        messages = prio3.verifier_shares_to_message_batch(ctx, [received, shares])
        out_shares = prio3.verify_next_batch(states, messages)
        return out_shares, _framed(MessageType.FINISH, messages.reject(out_shares.rejected))

    def leader_continued(self, states: VerifyStates | Rows | Sequence[bytes], inbound: Messages) -> Rows:
        """The Leader's last step: its output shares."""
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
    rows = rows.require((rows.data[:, :start] == header).all(axis=1), f"{name}: another type or length is written")
    return Rows(rows.data[:, start:].copy(), rows.rejected)
