"""HPKE by the kernels: a batch is what one at a time is; an opening that fails is tried with OpenSSL first."""

import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from secagg import LocalProtocolError, _kernels, live_keys
from secagg.dap import hpke
from secagg.dap.hpke import PrivateKey, seal, seal_batch
from secagg.x25519 import LIVE

INFO = b"info"
KEY = PrivateKey.from_bytes(bytes(range(1, 33)))
COUNTS = [3, 4, 5, 8, 9, 20]
N = 9
AADS, PLAINTEXTS = [b"aad %d" % i for i in range(N)], [bytes([i]) * (20 + i) for i in range(N)]


@pytest.fixture(params=_kernels.isa_with("agreement"))
def live(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kernel in use, which nobody has found to be wrong."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    monkeypatch.setattr(LIVE, "_disagreements", 0)
    if not LIVE.in_use:
        _kernels.isa_use(before)
        pytest.skip(f"keys are agreed on by {LIVE}")
    yield
    _kernels.isa_use(before)


def replayed() -> Callable[[int], bytes]:
    return random.Random(7).randbytes


def sealed() -> tuple[list[bytes], list[bytes]]:
    pairs = [seal(KEY.public_bytes, INFO, *each) for each in zip(AADS, PLAINTEXTS, strict=True)]
    return [enc for enc, _ in pairs], [ciphertext for _, ciphertext in pairs]


def wrong_in(row: int, name: str) -> Callable[..., None]:
    """The kernel, but one bit of what it makes in this row is wrong."""
    kernel = getattr(_kernels, name)

    def computes(out: Any, *rest: Any) -> None:
        kernel(out, *rest)
        out[row, 0] ^= 1

    return computes


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("count", COUNTS)
def test_a_batch_is_sealed_as_one_by_one(count: int) -> None:
    rand = replayed()
    expected = [seal(KEY.public_bytes, INFO, b"%d" % i, bytes(i), rand=rand) for i in range(count)]
    aads, plaintexts = [b"%d" % i for i in range(count)], [bytes(i) for i in range(count)]
    assert seal_batch(KEY.public_bytes, INFO, aads, plaintexts, rand=replayed()) == expected


@pytest.mark.usefixtures("live")
def test_the_kernels_make_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every other test would pass by OpenSSL's."""
    encs, ciphertexts = sealed()
    monkeypatch.setattr(hpke, "_key_schedule", None)
    assert KEY.open_batch(encs, INFO, AADS, ciphertexts) == PLAINTEXTS
    seal_batch(KEY.public_bytes, INFO, AADS, PLAINTEXTS)


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_batch_draws_private_keys_of_32_bytes(size: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"private key must have 32 bytes, got {size}"):
        seal_batch(KEY.public_bytes, INFO, AADS, PLAINTEXTS, rand=lambda _: bytes(size))


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("kernel", ["x25519_exchange", "hkdf_sha256", "hkdf_sha256_salted"])
@pytest.mark.parametrize("row", [0, N - 1])
def test_a_kernel_that_computes_wrongly_costs_no_report(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kernel: str, row: int
) -> None:
    encs, ciphertexts = sealed()
    monkeypatch.setattr(_kernels, kernel, wrong_in(row, kernel))
    with caplog.at_level(logging.ERROR, live_keys.__name__):
        assert KEY.open_batch(encs, INFO, AADS, ciphertexts) == PLAINTEXTS
    assert (LIVE.disagreements, LIVE.in_use) == (1, False)
    assert "the X25519 kernel" in caplog.text
    monkeypatch.setattr(_kernels, kernel, None)  # and is not called again
    assert KEY.open_batch(encs, INFO, AADS, ciphertexts) == PLAINTEXTS


@pytest.mark.usefixtures("live")
def test_a_kernel_that_refuses_a_good_key_costs_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    encs, ciphertexts = sealed()
    kernel = _kernels.x25519_exchange

    def refuses(agreed: Any, valid: Any, *rest: Any) -> None:
        kernel(agreed, valid, *rest)
        agreed[4], valid[4] = 0, 0

    monkeypatch.setattr(_kernels, "x25519_exchange", refuses)
    assert KEY.open_batch(encs, INFO, AADS, ciphertexts) == PLAINTEXTS
    assert LIVE.disagreements == 1


@pytest.mark.usefixtures("live")
def test_a_wrong_key_is_noticed_although_the_ciphertext_is_wrong_too(monkeypatch: pytest.MonkeyPatch) -> None:
    encs, ciphertexts = sealed()
    ciphertexts[3] = bytes(40)
    monkeypatch.setattr(_kernels, "x25519_exchange", wrong_in(3, "x25519_exchange"))
    assert KEY.open_batch(encs, INFO, AADS, ciphertexts) == [*PLAINTEXTS[:3], None, *PLAINTEXTS[4:]]
    assert LIVE.disagreements == 1


@pytest.mark.usefixtures("live")
def test_what_was_altered_is_tried_once_and_blames_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ciphertext, an aad, a key of small order, and one of 31 bytes."""
    encs, ciphertexts = sealed()
    aads = list(AADS)
    ciphertexts[1], aads[3], encs[5], encs[7] = ciphertexts[2], b"", bytes(32), encs[7][:31]
    tries: list[bytes] = []
    schedule = PrivateKey._message_key

    def counted(key: PrivateKey, enc: bytes, context: bytes) -> bytes | None:
        tries.append(enc)
        return schedule(key, enc, context)

    monkeypatch.setattr(PrivateKey, "_message_key", counted)
    expected = [plaintext if i not in (1, 3, 5, 7) else None for i, plaintext in enumerate(PLAINTEXTS)]
    assert KEY.open_batch(encs, INFO, aads, ciphertexts) == expected
    assert tries == [encs[1], encs[3], encs[5], encs[7]]
    assert (LIVE.disagreements, LIVE.in_use) == (0, True)


@pytest.mark.parametrize("name", _kernels.isa_with("agreement"))
def test_every_instruction_set_makes_the_same(name: str) -> None:
    before = _kernels.isa()
    _kernels.isa_use(name)
    batch = seal_batch(KEY.public_bytes, INFO, AADS, PLAINTEXTS, rand=replayed())
    opened = KEY.open_batch([enc for enc, _ in batch], INFO, AADS, [ciphertext for _, ciphertext in batch])
    _kernels.isa_use(before)
    rand = replayed()
    assert batch == [seal(KEY.public_bytes, INFO, *each, rand=rand) for each in zip(AADS, PLAINTEXTS, strict=True)]
    assert opened == PLAINTEXTS
