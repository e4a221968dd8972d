"""HPKE against RFC 9180's vectors, with pycryptodome's implementation as the oracle in both directions."""

import hmac
import json
import os
from typing import Any

import pytest
from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import LocalProtocolError, SecAggError
from secagg.dap import hpke
from secagg.dap.hpke import HpkeError, PrivateKey, check_suite, seal, seal_batch

from ..support.folders import VECTORS

CASES = json.loads((VECTORS / "hpke.json").read_text())["cases"]
KEY = PrivateKey.from_bytes(bytes(range(1, 33)))
INFO, AAD, PLAINTEXT = b"info", b"associated data", b"a report's share"

# Points of small order, u-coordinates 0, 1, one of order 8, p - 1, and p, which is 0 again (RFC 7748, section 6.1).
P = 2**255 - 19
SMALL_ORDER = [
    u.to_bytes(32, "little")
    for u in (0, 1, 325606250916557431795983626356110631294008115727848805560023387167927233504, P - 1, P)
]


@pytest.fixture(params=CASES, ids=lambda case: case["enc"][:8])
def case(request: pytest.FixtureRequest) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in request.param.items()}


def test_the_vectors_are_rfc_9180s_appendix_a_1_1(case: dict[str, bytes]) -> None:
    assert len(CASES) == 1
    assert case["enc"].hex() == "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
    assert case["info"] == b"Ode on a Grecian Urn"


def test_seal_known_answer(case: dict[str, bytes]) -> None:
    asked: list[int] = []

    def rand(size: int) -> bytes:
        asked.append(size)
        return case["skEm"]

    assert seal(case["pkRm"], case["info"], case["aad"], case["pt"], rand=rand) == (case["enc"], case["ct"])
    assert asked == [32]


def test_open_known_answer(case: dict[str, bytes]) -> None:
    key = PrivateKey.from_bytes(case["skRm"])
    assert key.public_bytes == case["pkRm"]
    assert key.private_bytes == case["skRm"]
    assert key.open(case["enc"], case["info"], case["aad"], case["ct"]) == case["pt"]


def test_key_schedule_context_known_answer(case: dict[str, bytes]) -> None:
    assert hpke._context(case["info"]) == case["key_schedule_context"]


def test_the_vectors_ephemeral_key_is_derived_from_ikm(case: dict[str, bytes]) -> None:
    """DeriveKeyPair, RFC 9180, section 7.1.3: what `rand` gives in the known answer is the published skEm."""
    label = b"HPKE-v1KEM\x00\x20"
    prk = hmac.digest(b"", label + b"dkp_prk" + case["ikmE"], "sha256")
    assert hmac.digest(prk, b"\x00\x20" + label + b"sk\1", "sha256") == case["skEm"]


messages = st.tuples(st.binary(max_size=80), st.binary(max_size=200), st.binary(max_size=200))
keys = st.binary(min_size=32, max_size=32)


@given(private=keys, message=messages)
@settings(deadline=None)
def test_pycryptodome_opens_what_we_seal(private: bytes, message: tuple[bytes, bytes, bytes]) -> None:
    info, aad, plaintext = message
    enc, ciphertext = seal(PrivateKey.from_bytes(private).public_bytes, info, aad, plaintext)
    assert (len(enc), len(ciphertext)) == (hpke.KEY_BYTES, len(plaintext) + hpke.TAG_BYTES)
    recipient = HPKE.new(
        receiver_key=import_x25519_private_key(private), aead_id=HPKE.AEAD.AES128_GCM, enc=enc, info=info
    )
    assert recipient.unseal(ciphertext, aad) == plaintext


@given(private=keys, message=messages)
@settings(deadline=None)
def test_we_open_what_pycryptodome_seals(private: bytes, message: tuple[bytes, bytes, bytes]) -> None:
    info, aad, plaintext = message
    key = PrivateKey.from_bytes(private)
    sender = HPKE.new(receiver_key=import_x25519_public_key(key.public_bytes), aead_id=HPKE.AEAD.AES128_GCM, info=info)
    ciphertext = sender.seal(plaintext, aad)
    assert key.open(sender.enc, info, aad, ciphertext) == plaintext


@given(data=st.data(), which=st.sampled_from(["enc", "info", "aad", "ciphertext"]))
@settings(deadline=None)
def test_one_changed_bit_anywhere_is_refused(data: st.DataObject, which: str) -> None:
    enc, ciphertext = seal(KEY.public_bytes, INFO, AAD, PLAINTEXT)
    parts = {"enc": enc, "info": INFO, "aad": AAD, "ciphertext": ciphertext}
    assert KEY.open(**parts) == PLAINTEXT
    bit = data.draw(st.integers(0, 8 * len(parts[which]) - 1))
    changed = bytearray(parts[which])
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(HpkeError, match="does not open"):
        KEY.open(**parts | {which: bytes(changed)})


@pytest.mark.parametrize("which", ["enc", "info", "aad", "ciphertext"])
def test_wrong_lengths_are_refused(which: str) -> None:
    """Left out, cut short at either end, and one byte too long."""
    enc, ciphertext = seal(KEY.public_bytes, INFO, AAD, PLAINTEXT)
    parts = {"enc": enc, "info": INFO, "aad": AAD, "ciphertext": ciphertext}
    right = parts[which]
    for wrong in (b"", right[1:], right[:-1], right + b"\0"):
        with pytest.raises(HpkeError, match="does not open"):
            KEY.open(**parts | {which: wrong})


def test_another_key_is_refused() -> None:
    enc, ciphertext = seal(KEY.public_bytes, INFO, AAD, PLAINTEXT)
    with pytest.raises(HpkeError, match="does not open"):
        PrivateKey.generate().open(enc, INFO, AAD, ciphertext)


@pytest.mark.parametrize("point", SMALL_ORDER, ids=range(len(SMALL_ORDER)))
def test_points_of_small_order_are_refused(point: bytes) -> None:
    """A ciphertext that would open if the exchange's zeros were taken for a secret: anyone could have made it."""
    key = hpke._key_schedule(bytes(32), point + KEY.public_bytes, hpke._context(INFO))
    ciphertext = AESGCM(key[:16]).encrypt(key[16:], PLAINTEXT, AAD)
    with pytest.raises(HpkeError, match="does not open"):
        KEY.open(point, INFO, AAD, ciphertext)
    sealed = seal_batch(KEY.public_bytes, INFO, [AAD] * 4, [PLAINTEXT] * 4)
    encs, ciphertexts = [point, *(enc for enc, _ in sealed)], [ciphertext, *(each for _, each in sealed)]
    assert KEY.open_batch(encs, INFO, [AAD] * 5, ciphertexts) == [None, *[PLAINTEXT] * 4]
    for count in (1, 5):
        with pytest.raises(LocalProtocolError, match="small order"):
            seal_batch(point, INFO, [AAD] * count, [PLAINTEXT] * count)


def test_a_batch_opens_as_one_by_one_and_leaves_out_what_does_not() -> None:
    plaintexts, aads = [bytes([i]) * i for i in range(6)], [b"%d" % i for i in range(6)]
    sealed = seal_batch(KEY.public_bytes, INFO, aads, plaintexts)
    encs, ciphertexts = [enc for enc, _ in sealed], [ciphertext for _, ciphertext in sealed]
    assert len(set(encs)) == 6
    assert KEY.open_batch(encs, INFO, aads, ciphertexts) == plaintexts
    bad_encs = [encs[0], b"", SMALL_ORDER[0], *encs[3:]]
    bad_ciphertexts = [*ciphertexts[:3], b"", ciphertexts[3], ciphertexts[5]]
    expected: list[bytes | None] = [plaintexts[0], None, None, None, None, plaintexts[5]]
    assert KEY.open_batch(bad_encs, INFO, aads, bad_ciphertexts) == expected
    assert KEY.open_batch([], INFO, [], []) == []
    assert seal_batch(KEY.public_bytes, INFO, [], []) == []


def test_a_batch_of_unequal_lengths_is_refused() -> None:
    enc, ciphertext = seal(KEY.public_bytes, INFO, AAD, PLAINTEXT)
    for counts in ((1, 1, 2), (1, 2, 1), (2, 1, 1)):
        encs, aads, ciphertexts = ([x] * n for x, n in zip((enc, AAD, ciphertext), counts, strict=True))
        with pytest.raises(LocalProtocolError, match="must have the same length"):
            KEY.open_batch(encs, INFO, aads, ciphertexts)
    with pytest.raises(LocalProtocolError, match="must have the same length"):
        seal_batch(KEY.public_bytes, INFO, [AAD], [])


@pytest.mark.parametrize("size", [0, 31, 33, 65])
def test_keys_of_wrong_lengths_are_refused(size: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"private key must have 32 bytes, got {size}"):
        PrivateKey.from_bytes(bytes(size))
    with pytest.raises(LocalProtocolError, match=f"public key must have 32 bytes, got {size}"):
        seal(bytes(size), INFO, AAD, PLAINTEXT)
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        seal(KEY.public_bytes, INFO, AAD, PLAINTEXT, rand=lambda _: bytes(size))


def test_only_our_suite_is_taken() -> None:
    check_suite(hpke.KEM_X25519_HKDF_SHA256, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES_128_GCM)
    for other in ((0x0010, 1, 1), (0x0020, 3, 1), (0x0020, 1, 3)):  # P-256, HKDF-SHA512, ChaCha20-Poly1305
        with pytest.raises(HpkeError, match=f"KEM {other[0]:#06x}, KDF {other[1]:#06x}, AEAD {other[2]:#06x} is not"):
            check_suite(*other)


def test_every_key_is_another_and_compares_by_its_public_key() -> None:
    assert PrivateKey.generate() != PrivateKey.generate()
    assert PrivateKey.generate(lambda size: bytes(range(1, size + 1))) == KEY
    assert len({KEY, PrivateKey.from_bytes(KEY.private_bytes)}) == 1


def test_no_repr_and_no_error_shows_a_secret() -> None:
    key = PrivateKey.from_bytes(os.urandom(32))
    enc, ciphertext = seal(key.public_bytes, INFO, AAD, PLAINTEXT)
    with pytest.raises(SecAggError) as error:
        key.open(enc, INFO, AAD, ciphertext[:-1])
    shown: list[Any] = [key, {"key": key}, error.value, error.value.args]
    for text in (str(shown), repr(shown)):
        assert not any(secret in text for secret in (repr(key.private_bytes)[2:-1], key.private_bytes.hex(), "X25519P"))
        assert PLAINTEXT.decode() not in text
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
