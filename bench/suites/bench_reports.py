"""DAP reports as a Client makes them, shard and seal, beside the X25519 exchanges that they cannot do without: for each
of the two Aggregators one for the ephemeral key and one for the secret."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import BatchMode, HpkeConfig
from secagg.dap.reports import encode_upload, make_reports, report_size
from secagg.dap.task import Task, task_configuration
from secagg.dap.vdafs import vdaf

from ..paired import Baseline, Paired, Unit
from .conftest import Sizes

KEY = PrivateKey.from_bytes(bytes(range(1, 33)))
CONFIG = HpkeConfig(1, 0x20, 1, 1, KEY.public_bytes)
SECRETS = [bytes([i]) * 32 for i in (1, 2)]


def histogram(length: int) -> Task:
    configuration = task_configuration(
        task_info=b"bench",
        leader_url="https://leader.example/",
        helper_url="https://helper.example/",
        time_precision=300,
        min_batch_size=100,
        batch_mode=BatchMode.TIME_INTERVAL,
        vdaf=vdaf("Histogram", length=length),
    )
    return Task(bytes(32), configuration)


def exchanges(count: int) -> None:
    """The exchanges of so many reports."""
    public = X25519PublicKey.from_public_bytes(KEY.public_bytes)
    for _ in range(count):
        for secret in SECRETS:
            ephemeral = X25519PrivateKey.from_private_bytes(secret)
            ephemeral.public_key().public_bytes_raw()
            ephemeral.exchange(public)


@pytest.mark.parametrize("length", [16, 1000])
def bench_make_reports(paired: Paired, sizes: Sizes, length: int) -> None:
    task, few = histogram(length), max(1, sizes.n // 10)
    measurements = np.arange(sizes.n) % length
    made = paired(
        f"reports of {length:,} buckets, {report_size(task):,} bytes each",
        lambda: make_reports(task, CONFIG, CONFIG, measurements, 1.7e9),
        Baseline("bare exchanges", lambda: exchanges(few), Unit("reports/s", few, rate=True), parts=sizes.n / few),
        [Unit("reports/s", sizes.n, rate=True), Unit("us each", 1e6 / sizes.n)],
    )
    assert len(encode_upload(task, made)) == sizes.n * report_size(task)
