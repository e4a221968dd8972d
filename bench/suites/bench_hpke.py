"""HPKE's openings and seals beside a bare X25519 exchange, which is their limit, and beside other libraries' HPKE.

Of those only pycryptodome comes with `bench`; `pip install pyhpke rfc9180 hybrid-pke` for the rest, which are skipped
where they are missing. They are why `secagg.dap.hpke` exists: results/dap.md says what each lacks.
"""

from collections.abc import Callable
from functools import partial

import pytest
from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from secagg.dap.hpke import PrivateKey, seal, seal_batch

from ..paired import Baseline, Paired, Target, Unit
from .conftest import Sizes, every_isa

KEY = PrivateKey.from_bytes(bytes(range(1, 33)))
PARSED = X25519PrivateKey.from_private_bytes(KEY.private_bytes)
INFO, AAD, PLAINTEXT = b"dap-19 input share\x01\x02", bytes(80), bytes(120)  # about a report's for 16 buckets
ENC, CIPHERTEXT = seal(KEY.public_bytes, INFO, AAD, PLAINTEXT)
AES128_GCM = HPKE.AEAD.AES128_GCM

Once = Callable[[], bytes]


def exchange() -> Once:
    return lambda: PARSED.exchange(X25519PublicKey.from_public_bytes(ENC))


def pycryptodome() -> Once:
    key = import_x25519_private_key(KEY.private_bytes)
    return lambda: HPKE.new(receiver_key=key, aead_id=AES128_GCM, enc=ENC, info=INFO).unseal(CIPHERTEXT, AAD)


def cryptography_without_aad() -> Once:
    hpke = pytest.importorskip("cryptography.hazmat.primitives.hpke")
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    enc, ciphertext = seal(KEY.public_bytes, INFO, b"", PLAINTEXT)
    return lambda: bytes(suite.decrypt(enc + ciphertext, PARSED, INFO))


def pyhpke() -> Once:
    library = pytest.importorskip("pyhpke")
    suite = library.CipherSuite.new(
        library.KEMId.DHKEM_X25519_HKDF_SHA256, library.KDFId.HKDF_SHA256, library.AEADId.AES128_GCM
    )
    key = library.KEMKey.from_pyca_cryptography_key(PARSED)
    return lambda: bytes(suite.create_recipient_context(ENC, key, INFO).open(CIPHERTEXT, AAD))


def rfc9180() -> Once:
    library = pytest.importorskip("rfc9180")
    suite = library.HPKE(library.KEMID.DHKEM_X25519_HKDF_SHA256, library.KDFID.HKDF_SHA256, library.AEADID.AES_128_GCM)
    key = suite.kem.deserialize_private_key(KEY.private_bytes)
    return lambda: bytes(suite.open_base(ENC, key, INFO, AAD, CIPHERTEXT))


def hybrid_pke() -> Once:
    library = pytest.importorskip("hybrid_pke")
    suite = library.default(
        mode=library.Mode.BASE,
        kem=library.Kem.DHKEM_X25519,
        kdf=library.Kdf.HKDF_SHA256,
        aead=library.Aead.AES_128_GCM,
    )
    return lambda: bytes(suite.open(ENC, KEY.private_bytes, INFO, AAD, CIPHERTEXT))


OPENINGS: dict[str, Callable[[], Once]] = {
    "a bare exchange": exchange,
    "pycryptodome": pycryptodome,
    "cryptography's HPKE, which takes no aad": cryptography_without_aad,
    "pyhpke": pyhpke,
    "rfc9180": rfc9180,
    "hybrid-pke": hybrid_pke,
}


def us_each(count: int) -> Unit:
    return Unit("us each", 1e6 / count)


def times(count: int, once: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            once()

    return run


@pytest.mark.parametrize("name", OPENINGS)
def bench_open(paired: Paired, sizes: Sizes, name: str) -> None:
    once = OPENINGS[name]()
    assert len(once()) == 32 if name == "a bare exchange" else once() == PLAINTEXT
    few = sizes.n // 10
    baseline = Baseline(name, times(few, once), us_each(few))
    run = times(few, lambda: KEY.open(ENC, INFO, AAD, CIPHERTEXT))
    target = Target("us each", 100) if name == "a bare exchange" else None
    paired("open", run, baseline, [us_each(few)], target)


def bench_open_batch(paired: Paired, sizes: Sizes) -> None:
    sealed = seal_batch(KEY.public_bytes, INFO, [AAD] * sizes.n, [PLAINTEXT] * sizes.n)
    encs, ciphertexts, aads = [enc for enc, _ in sealed], [ciphertext for _, ciphertext in sealed], [AAD] * sizes.n
    few = sizes.n // 10
    baseline = Baseline("a bare exchange", times(few, exchange()), us_each(few), parts=sizes.n / few)
    opened = paired(
        f"open_batch of {sizes.n}",
        lambda: KEY.open_batch(encs, INFO, aads, ciphertexts),
        baseline,
        [us_each(sizes.n)],
        Target("us each", 100),
    )
    assert opened == [PLAINTEXT] * sizes.n


@every_isa("agreement")
@pytest.mark.parametrize("count", [3, 100])
def bench_open_batch_beside_one_by_one(paired: Paired, sizes: Sizes, isa: str, count: int) -> None:
    """One at a time, OpenSSL makes all of it."""
    count = min(count, sizes.n)
    pairs = seal_batch(KEY.public_bytes, INFO, [AAD] * count, [PLAINTEXT] * count)
    encs, ciphertexts, aads = [enc for enc, _ in pairs], [ciphertext for _, ciphertext in pairs], [AAD] * count
    one = Baseline("open, one at a time", times(count, lambda: KEY.open(ENC, INFO, AAD, CIPHERTEXT)), us_each(count))
    target = Target("us each", 15) if isa == "vaes512" and count == 100 else None
    run = partial(KEY.open_batch, encs, INFO, aads, ciphertexts)
    paired(f"open_batch of {count}, {isa}", run, one, [us_each(count)], target)


@every_isa("agreement")
@pytest.mark.parametrize("count", [3, 100])
def bench_seal_batch(paired: Paired, sizes: Sizes, isa: str, count: int) -> None:
    """One at a time, OpenSSL makes all of it."""
    count = min(count, sizes.n)
    one = Baseline(
        "seal, one at a time", times(count, lambda: seal(KEY.public_bytes, INFO, AAD, PLAINTEXT)), us_each(count)
    )
    run = partial(seal_batch, KEY.public_bytes, INFO, [AAD] * count, [PLAINTEXT] * count)
    paired(f"seal_batch of {count}, {isa}", run, one, [us_each(count)])


def bench_seal(paired: Paired, sizes: Sizes) -> None:
    key = import_x25519_public_key(KEY.public_bytes)

    def once() -> tuple[bytes, bytes]:
        sender = HPKE.new(receiver_key=key, aead_id=AES128_GCM, info=INFO)
        return sender.seal(PLAINTEXT, AAD), sender.enc

    ciphertext, enc = once()
    assert KEY.open(enc, INFO, AAD, ciphertext) == PLAINTEXT
    few = sizes.n // 10
    baseline = Baseline("pycryptodome", times(few, once), us_each(few))
    paired("seal", times(few, lambda: seal(KEY.public_bytes, INFO, AAD, PLAINTEXT)), baseline, [us_each(few)])
