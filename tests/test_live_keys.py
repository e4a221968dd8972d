"""Whether a kernel or OpenSSL agrees with live keys: known answer, environment, and what a disagreement does."""

import json
import logging
import os
import sys
from hashlib import sha256

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from secagg import _kernels, live_keys, primitives
from secagg.live_keys import LiveKernel
from secagg.primitives import LIVE, KeyPair, load_public_keys

from .support.processes import ran
from .test_agreement import random_publics
from .test_exchange import exchanged


def kernel() -> LiveKernel:
    return LiveKernel("P-256", lambda: True)


def test_the_known_answer_is_openssls() -> None:
    private = ec.derive_private_key(int.from_bytes(bytes(range(1, 33)), "big"), ec.SECP256R1())
    xs = (0, 5, 6, 8, 9, 12, 13, 17, 23, 24, 25, 26, 29, 31, 34, 35, 37)
    points = load_public_keys(np.frombuffer(b"".join(x.to_bytes(32, "big") for x in xs), np.uint8).reshape(-1, 32))
    agreed = b"".join(private.exchange(ec.ECDH(), point) for point in points if point)
    assert sha256(agreed).hexdigest() == primitives._ANSWER
    assert len(agreed) == 17 * 32


def test_every_kernel_knows_its_answer(isa: str) -> None:
    assert primitives._knows_its_answer()


def test_a_kernel_is_used_but_not_the_portable_one(isa: str) -> None:
    of_subject = _kernels.isa_of("agreement")
    live = kernel()
    assert live.in_use == (of_subject != "portable")
    assert str(live) == (f"kernel ({of_subject})" if live.in_use else "OpenSSL (no kernel for this CPU)")


def test_a_kernel_that_fails_its_known_answer_is_not_used(isa: str, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []
    live = LiveKernel("P-256", lambda: bool(asked.append(isa)))  # type: ignore[func-returns-value]
    with caplog.at_level(logging.ERROR, live_keys.__name__):
        assert not live.in_use
        assert not live.in_use
    if _kernels.isa_of("agreement") != "portable":
        assert asked == [isa]
        assert str(live) == "OpenSSL (the kernel fails its known answer)"
        assert [record.getMessage() for record in caplog.records] == [
            f"the P-256 kernel ({_kernels.isa_of('agreement')}) fails its known answer: OpenSSL makes all keys"
        ]


def test_a_disagreement_is_counted_logged_and_turns_the_kernel_off(
    isa: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIVE, "_disagreements", 0)
    publics, pair = random_publics(9), KeyPair.from_secret(b"\7" * 32)
    before = pair.agree_with(publics).tobytes()
    with caplog.at_level(logging.ERROR, live_keys.__name__):
        LIVE.disagreed()
    assert (LIVE.disagreements, LIVE.in_use, str(LIVE)) == (1, False, "OpenSSL (the kernel computed wrongly)")
    assert "disagree about a key" in caplog.text
    monkeypatch.setattr(_kernels, "p256_exchange", None)  # and is not called again
    assert pair.agree_with(publics).tobytes() == before


@pytest.mark.parametrize(("value", "openssl"), [("openssl", True), ("OpenSSL", True), ("", False)])
def test_the_environment_leaves_live_keys_to_openssl(value: str, openssl: bool) -> None:
    """And `secagg info` says so."""
    done = ran(
        sys.executable, "-m", "secagg", "info", "--json", env=os.environ | {"SECAGG_AGREEMENT": value}, text=True
    )
    isa = _kernels.isa_of("agreement")
    chosen = f"kernel ({isa})" if isa != "portable" else "OpenSSL (no kernel for this CPU)"
    by = f"by {'OpenSSL (SECAGG_AGREEMENT)' if openssl else chosen}"
    assert json.loads(done.stdout)["live_keys"] == {"P-256": by, "X25519": by}


def test_the_kernel_is_what_agrees_where_it_is_in_use(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every other test would pass by OpenSSL's answers."""
    if not LIVE.in_use:
        pytest.skip("the portable kernel is not used")
    publics, pair = random_publics(9), KeyPair.from_secret(b"\7" * 32)
    monkeypatch.setattr(KeyPair, "agree", None)
    assert [bytes(x).hex() for x in pair.agree_with(publics)] == exchanged(int.from_bytes(b"\7" * 32, "big"), publics)
