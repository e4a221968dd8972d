"""What the tests of Prio3 share: an instance of every variant, and batches of reports on their way through it."""

from itertools import chain
from typing import Any

import numpy as np

from secagg.errors import ReportRejected
from secagg.vdaf import (
    DRAFT_08,
    DRAFT_20,
    Draft,
    Prio3,
    Prio3Count,
    Prio3Histogram,
    Prio3MultihotCountVec,
    Prio3Sum,
    Prio3SumVec,
    Prio3SumVecWithMultiproof,
    Rows,
    VerifyStates,
)
from secagg.vdaf.field import Elements

CONTEXT = {DRAFT_20: b"browsers", DRAFT_08: b""}
DRAFTS = [DRAFT_20, DRAFT_08]
rng = np.random.default_rng(1)


def drawn(*shape: int) -> Any:
    return rng.integers(0, 256, shape, np.uint8)


def instances(draft: Draft, shares: int = 2) -> list[tuple[Prio3, list[Any], Any]]:
    """A VDAF of each kind, some measurements, and their aggregate."""
    return [
        (Prio3Count(shares, draft=draft), [0, 1, 1], 2),
        (Prio3Sum(shares, max_measurement=7, draft=draft), [0, 7, 5], 12),
        (Prio3SumVec(shares, length=3, max_measurement=3, draft=draft), [[0, 1, 2], [3, 3, 3]], [3, 4, 5]),
        (Prio3Histogram(shares, length=5, draft=draft), [0, 4, 4, 2], [1, 0, 1, 0, 2]),
        (
            Prio3MultihotCountVec(shares, length=4, max_weight=2, draft=draft),
            [[True, False, True, False], [False] * 4, [False, False, True, False]],
            [1, 0, 2, 0],
        ),
        (
            Prio3SumVecWithMultiproof(shares, length=2, max_measurement=1, draft=draft),
            [[0, 1], [1, 1]],
            [1, 2],
        ),
    ]


ALL = list(chain(instances(DRAFT_20), instances(DRAFT_08)))
IDS = [f"{type(prio3).__name__}-{prio3.draft.number}" for prio3, _, _ in ALL]


class Reports:
    """A batch of honest reports, and its way through all Aggregators."""

    def __init__(self, prio3: Prio3, measurements: Any) -> None:
        self.prio3 = prio3
        self.ctx = CONTEXT[prio3.draft]
        self.key = drawn(prio3.VERIFY_KEY_SIZE).tobytes()
        n = len(measurements)
        self.nonces, self.rand = drawn(n, prio3.NONCE_SIZE), drawn(n, prio3.RAND_SIZE)
        public, inputs = prio3.shard_batch(self.ctx, measurements, self.nonces, self.rand)
        self.public = list(public)
        self.inputs = [list(rows) for rows in inputs]

    def verify_init(self, agg_id: int) -> tuple[VerifyStates, Rows]:
        return self.prio3.verify_init_batch(self.key, self.ctx, agg_id, self.nonces, self.public, self.inputs[agg_id])

    def out_shares(self) -> list[Rows]:
        states, shares = zip(*(self.verify_init(j) for j in range(self.prio3.SHARES)), strict=True)
        messages = self.prio3.verifier_shares_to_message_batch(self.ctx, shares)
        return [self.prio3.verify_next_batch(state, messages) for state in states]

    def aggregate(self) -> Any:
        agg_shares = [self.prio3.agg_init() for _ in range(self.prio3.SHARES)]
        batches = self.out_shares()
        for agg_share, out_shares in zip(agg_shares, batches, strict=True):
            self.prio3.agg_update(agg_share, out_shares)
        return self.prio3.unshard(agg_shares, int(batches[0].accepted.sum()))

    def rejections(self) -> list[dict[int, ReportRejected]]:
        return [dict(rows.rejected) for rows in self.out_shares()]


def forged(prio3: Prio3, encoded: Elements) -> Reports:
    """Reports whose encoded measurements are anything, F[n, MEAS_LEN], with proofs as an honest Client would make."""
    reports = Reports.__new__(Reports)
    n = len(encoded)
    reports.prio3, reports.ctx, reports.key = prio3, CONTEXT[prio3.draft], bytes(prio3.VERIFY_KEY_SIZE)
    reports.nonces, rand = drawn(n, 16), drawn(n, prio3.RAND_SIZE)
    public = np.empty((n, prio3.PUBLIC_SHARE_SIZE), np.uint8)
    inputs = [np.empty((n, prio3.input_share_size(j)), np.uint8) for j in range(prio3.SHARES)]
    prio3._shard(prio3._auxiliary(reports.ctx), public, inputs, encoded, reports.nonces, rand)
    reports.public, reports.inputs = list(Rows(public)), [list(Rows(rows)) for rows in inputs]
    return reports
