"""Batches of messages. All messages of a kind have one size, so a batch of them is one array."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secagg.arguments import array, convert, whole
from secagg.codec import Octets
from secagg.errors import ArgumentTypeError, ReportRejected, require

Messages: TypeAlias = "Rows | Octets | Sequence[bytes]"
"""One message of each report of a batch: as other steps returned them, as uint8[n, size], or as they arrived."""


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """One message of each report of a batch.

    Attributes:
        data: uint8[n, size]; row i is the message of report i, and has no meaning if the report is rejected.
        rejected: why a report is rejected, by its position in the batch.
    """

    data: Octets
    rejected: Mapping[int, ReportRejected] = field(default_factory=dict)

    def __post_init__(self) -> None:
        convert(self, array, "data")

    @classmethod
    def of(cls, messages: Messages, size: int, name: str) -> Self:
        """Messages as rows of `size` bytes; those of another size reject their reports.

        Args:
            messages: one of each report.
            size: bytes of a message.
            name: of the messages, for errors.

        Raises:
            LocalProtocolError: an array's rows have another size.
            ArgumentTypeError: a single message in place of a sequence.
        """
        size = whole(size, "size")
        if isinstance(messages, Rows):
            return cls.of(messages.data, size, name).reject(messages.rejected)
        if isinstance(messages, np.ndarray):
            messages = array(messages, name)
            shape = ("n", size)
            require(messages.shape[1:] == (size,) and messages.dtype == np.uint8, f"{name}: uint8{shape} expected")
            row_stride, byte_stride = messages.strides
            aligned = byte_stride == 1 and row_stride >= 0 and not row_stride % 8 and not messages.ctypes.data % 8
            return cls(messages if aligned else messages.copy())
        if isinstance(messages, str | bytes | bytearray):
            raise ArgumentTypeError(f"{name}: expected a sequence, one for each report; got a single one")
        rejected = {
            i: ReportRejected(f"{name}: {size} bytes expected, got {len(message)}", i)
            for i, message in enumerate(messages)
            if len(message) != size
        }
        if rejected:
            messages = [bytes(size) if i in rejected else message for i, message in enumerate(messages)]
        return cls(np.frombuffer(b"".join(messages), np.uint8).reshape(len(messages), size), rejected)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, report: int) -> bytes:
        """The report's message; raises its `ReportRejected` if it is rejected, as iteration does at the first such."""
        report = range(len(self))[report]
        if report in self.rejected:
            raise self.rejected[report]
        message: bytes = self.data[report].tobytes()
        return message

    def __iter__(self) -> Iterator[bytes]:
        flat, size = self.data.reshape(-1).data, self.data.shape[1]
        for i in range(len(self)):
            if i in self.rejected:
                raise self.rejected[i]
            yield bytes(flat[i * size : (i + 1) * size])

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """bool[n]: which reports are not rejected."""
        accepted = np.ones(len(self), bool)
        accepted[list(self.rejected)] = False
        return accepted

    def reject(self, rejected: Mapping[int, ReportRejected]) -> Self:
        """The same with these reports rejected, too; a report that is rejected already keeps its reason."""
        return type(self)(self.data, {**rejected, **self.rejected}) if rejected else self

    def require(self, passed: NDArray[np.bool_], reason: str) -> Self:
        """The same with the reports rejected that did not pass a check.

        Args:
            passed: bool[n].
            reason: why the others are rejected.
        """
        passed = array(passed, "passed")
        return self.reject({int(i): ReportRejected(reason, int(i)) for i in np.flatnonzero(~passed)})


@dataclass(frozen=True, eq=False, repr=False)
class VerifyStates:
    """What an Aggregator keeps of each report of a batch until it learns the verifier messages.

    Attributes:
        out_shares: uint8[n, OUT_SHARE_SIZE]; may be a view of the input shares.
        joint_rand_seeds: uint8[n, seed_size], from which the Aggregator derived the joint randomness.
        rejected: why a report is rejected, by its position in the batch.
    """

    out_shares: Octets
    joint_rand_seeds: Octets
    rejected: Mapping[int, ReportRejected] = field(default_factory=dict)

    def __post_init__(self) -> None:
        convert(self, array, "out_shares", "joint_rand_seeds")

    def __len__(self) -> int:
        return len(self.out_shares)

    def encode(self) -> Rows:
        """The states as rows of VERIFY_STATE_SIZE bytes, to be stored; `Prio3.verify_next_batch` takes them."""
        return Rows(np.concatenate([self.out_shares, self.joint_rand_seeds], axis=1), self.rejected)


def require_rows(messages: Octets | Sequence[bytes], n: int, size: int, name: str) -> Octets:
    """What our own caller gives for each report: uint8[n, size].

    Raises:
        LocalProtocolError: another number of messages, or one of another size.
    """
    rows = Rows.of(messages, size, name)
    require(len(rows) == n and not rows.rejected, f"{name}: {n} of {size} bytes expected")
    return rows.data


def one_row(message: bytes) -> Octets:
    """One message as a batch."""
    return np.frombuffer(message, np.uint8)[None]
