"""The messages of draft-ietf-ppm-dap-09, from its text alone: an oracle that shares no code with the package.

Each function writes or takes apart one struct of the draft. What is taken apart must end where the message does.
"""

from hashlib import sha256
from typing import NamedTuple

TIME_INTERVAL, FIXED_SIZE = 1, 2
BY_BATCH_ID, CURRENT_BATCH = 0, 1
CONTINUE, FINISHED, REJECT = 0, 1, 2
PREPARE_ERRORS = (
    "batch_collected",
    "report_replayed",
    "report_dropped",
    "hpke_unknown_config_id",
    "hpke_decrypt_error",
    "vdaf_prep_error",
    "batch_saturated",
    "task_expired",
    "invalid_message",
    "report_too_early",
)
"""Section 4.5.1.2, from number 0 on."""

Batch = tuple[int, int] | bytes
"""Start and duration in seconds, or a batch ID."""


class Ciphertext(NamedTuple):
    config_id: int
    enc: bytes
    payload: bytes


class Share(NamedTuple):
    """A ReportShare."""

    report_id: bytes
    time: int
    public_share: bytes
    ciphertext: Ciphertext


class Malformed(Exception):
    """Bytes that the draft does not allow."""


class Bytes:
    """What is left of a message."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if size > len(self.data):
            raise Malformed
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self, prefix: int) -> bytes:
        return self.take(self.number(prefix))

    def end(self) -> None:
        if self.data:
            raise Malformed


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def sized(value: bytes, prefix: int) -> bytes:
    return number(len(value), prefix) + value


def ciphertext(sealed: Ciphertext) -> bytes:
    return number(sealed.config_id, 1) + sized(sealed.enc, 2) + sized(sealed.payload, 4)


def take_ciphertext(data: Bytes) -> Ciphertext:
    sealed = Ciphertext(data.number(1), data.sized(2), data.sized(4))
    if not sealed.enc or not sealed.payload:
        raise Malformed
    return sealed


def share(one: Share) -> bytes:
    return one.report_id + number(one.time, 8) + sized(one.public_share, 4) + ciphertext(one.ciphertext)


def part_batch_selector(batch_id: bytes | None) -> bytes:
    return number(TIME_INTERVAL, 1) if batch_id is None else number(FIXED_SIZE, 1) + batch_id


def take_part_batch_selector(data: Bytes) -> bytes | None:
    kind = data.number(1)
    if kind not in (TIME_INTERVAL, FIXED_SIZE):
        raise Malformed
    return data.take(32) if kind == FIXED_SIZE else None


def batch_selector(batch: Batch) -> bytes:
    if isinstance(batch, bytes):
        return number(FIXED_SIZE, 1) + batch
    return number(TIME_INTERVAL, 1) + number(batch[0], 8) + number(batch[1], 8)


def job_init(batch_id: bytes | None, inits: list[tuple[Share, bytes]], agg_param: bytes = b"") -> bytes:
    """An AggregationJobInitReq: each report share with the Leader's first message."""
    prepare_inits = b"".join(share(one) + sized(payload, 4) for one, payload in inits)
    return sized(agg_param, 4) + part_batch_selector(batch_id) + sized(prepare_inits, 4)


def take_job_init(body: bytes) -> tuple[bytes, bytes | None, list[tuple[Share, bytes]]]:
    data = Bytes(body)
    agg_param, batch_id, inner = data.sized(4), take_part_batch_selector(data), Bytes(data.sized(4))
    data.end()
    inits = []
    while inner.data:
        one = Share(inner.take(16), inner.number(8), inner.sized(4), take_ciphertext(inner))
        inits.append((one, inner.sized(4)))
    if not inits:
        raise Malformed
    return agg_param, batch_id, inits


def job_resp(outcomes: list[tuple[bytes, bytes | int | None]]) -> bytes:
    """An AggregationJobResp: of each report ID a payload, a PrepareError, or None for finished."""
    resps = b""
    for report_id, outcome in outcomes:
        if outcome is None:
            resps += report_id + number(FINISHED, 1)
        elif isinstance(outcome, int):
            resps += report_id + number(REJECT, 1) + number(outcome, 1)
        else:
            resps += report_id + number(CONTINUE, 1) + sized(outcome, 4)
    return sized(resps, 4)


def take_job_resp(body: bytes) -> list[tuple[bytes, bytes | int | None]]:
    data = Bytes(body)
    inner = Bytes(data.sized(4))
    data.end()
    outcomes: list[tuple[bytes, bytes | int | None]] = []
    while inner.data:
        report_id, state = inner.take(16), inner.number(1)
        if state == CONTINUE:
            outcomes.append((report_id, inner.sized(4)))
        elif state == REJECT:
            outcomes.append((report_id, inner.number(1)))
        elif state == FINISHED:
            outcomes.append((report_id, None))
        else:
            raise Malformed
    if not outcomes:
        raise Malformed
    return outcomes


def job_continue(step: int, continues: list[tuple[bytes, bytes]]) -> bytes:
    inner = b"".join(report_id + sized(payload, 4) for report_id, payload in continues)
    return number(step, 2) + sized(inner, 4)


def collection_req(batch: Batch | None, agg_param: bytes = b"") -> bytes:
    """A CollectionReq for an interval, for a batch ID, or for the current batch."""
    if batch is None:
        query = number(FIXED_SIZE, 1) + number(CURRENT_BATCH, 1)
    elif isinstance(batch, bytes):
        query = number(FIXED_SIZE, 1) + number(BY_BATCH_ID, 1) + batch
    else:
        query = batch_selector(batch)
    return query + sized(agg_param, 4)


def collection(
    batch_id: bytes | None, report_count: int, interval: tuple[int, int], shares: tuple[Ciphertext, Ciphertext]
) -> bytes:
    """A Collection; the interval is start and duration in seconds."""
    counted = number(report_count, 8) + number(interval[0], 8) + number(interval[1], 8)
    return part_batch_selector(batch_id) + counted + ciphertext(shares[0]) + ciphertext(shares[1])


def take_collection(body: bytes) -> tuple[bytes | None, int, tuple[int, int], tuple[Ciphertext, Ciphertext]]:
    data = Bytes(body)
    batch_id, report_count = take_part_batch_selector(data), data.number(8)
    interval = data.number(8), data.number(8)
    shares = take_ciphertext(data), take_ciphertext(data)
    data.end()
    return batch_id, report_count, interval, shares


def share_req(batch: Batch, report_count: int, checksum: bytes, agg_param: bytes = b"") -> bytes:
    """An AggregateShareReq."""
    return batch_selector(batch) + sized(agg_param, 4) + number(report_count, 8) + checksum


def take_share_req(body: bytes) -> tuple[Batch, bytes, int, bytes]:
    data = Bytes(body)
    kind = data.number(1)
    if kind not in (TIME_INTERVAL, FIXED_SIZE):
        raise Malformed
    batch: Batch = data.take(32) if kind == FIXED_SIZE else (data.number(8), data.number(8))
    agg_param, report_count, checksum = data.sized(4), data.number(8), data.take(32)
    data.end()
    return batch, agg_param, report_count, checksum


def take_share(body: bytes) -> Ciphertext:
    """The ciphertext of an AggregateShare."""
    data = Bytes(body)
    sealed = take_ciphertext(data)
    data.end()
    return sealed


def agg_share_aad(task_id: bytes, batch: Batch, agg_param: bytes = b"") -> bytes:
    """An AggregateShareAad (section 4.6.4)."""
    return task_id + sized(agg_param, 4) + batch_selector(batch)


def checksum(report_ids: list[bytes]) -> bytes:
    """The XOR of the report IDs' SHA-256 hashes (section 4.6.2)."""
    total = bytes(32)
    for report_id in report_ids:
        total = bytes(a ^ b for a, b in zip(total, sha256(report_id).digest(), strict=True))
    return total
