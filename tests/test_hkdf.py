"""HKDF-SHA256 of many keys against RFC 5869, `cryptography` and a twin in Python, for every instruction set."""

import hmac
import random

import numpy as np
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secagg import _kernels
from secagg.codec import Octets

MAX_BYTES = 118  # of a key and of an info
COUNTS = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33]  # around the lanes of every vector

# The isa fixture sets a process-wide choice, which holds for all examples of a test.
property_test = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def twin(key: bytes, info: bytes, length: int, salt: bytes = bytes(32)) -> bytes:
    """RFC 5869, sections 2.2 and 2.3, as written."""
    prk = hmac.digest(salt, key, "sha256")
    return hmac.digest(prk, info + b"\1", "sha256")[:length]


def openssl(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, None, info).derive(key)


def derive(keys: Octets, infos: Octets, length: int) -> list[bytes]:
    out = np.full((len(keys), length), 0xAA, np.uint8)
    _kernels.hkdf_sha256(out, keys, infos)
    return [row.tobytes() for row in out]


def rows(n: int, size: int, seed: int) -> Octets:
    return np.frombuffer(random.Random(f"{n} {size} {seed}").randbytes(n * size), np.uint8).reshape(n, size)


@pytest.mark.parametrize("n", [1, 8, 9])
def test_rfc_5869_test_case_3(isa: str, n: int) -> None:
    """The one with SHA-256 and no salt, as far as one block of Expand goes."""
    okm = bytes.fromhex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d")
    keys, infos = np.full((n, 22), 0x0B, np.uint8), np.empty((n, 0), np.uint8)
    assert derive(keys, infos, 32) == [okm] * n


@pytest.mark.parametrize("n", COUNTS)
def test_every_row_is_derived_from_its_own_key_and_info(isa: str, n: int) -> None:
    keys, infos = rows(n, 32, 0), rows(n, 55, 1)
    expected = [openssl(key.tobytes(), info.tobytes(), 16) for key, info in zip(keys, infos, strict=True)]
    assert derive(keys, infos, 16) == expected
    assert len(set(expected)) == n


@pytest.mark.parametrize("key_bytes", [0, 1, 54, 55, 56, 63, 64, 65, MAX_BYTES])
@pytest.mark.parametrize("info_bytes", [0, 1, 53, 54, 55, 62, 63, 64, MAX_BYTES])
def test_sizes_around_each_block(isa: str, key_bytes: int, info_bytes: int) -> None:
    """Padding takes 9 bytes, an info's counter one."""
    key, info = rows(1, key_bytes, 2), rows(1, info_bytes, 3)
    assert derive(key, info, 32) == [twin(key.tobytes(), info.tobytes(), 32)]


@given(
    n=st.integers(0, 40),
    sizes=st.tuples(st.integers(0, MAX_BYTES), st.integers(0, MAX_BYTES)),
    length=st.integers(1, 32),
    seed=st.integers(0, 2**32),
)
@property_test
def test_any_shape(isa: str, n: int, sizes: tuple[int, int], length: int, seed: int) -> None:
    keys, infos = rows(n, sizes[0], seed), rows(n, sizes[1], ~seed)
    expected = [twin(key.tobytes(), info.tobytes(), length) for key, info in zip(keys, infos, strict=True)]
    assert derive(keys, infos, length) == expected


@pytest.mark.parametrize("n", COUNTS)
def test_every_row_has_its_own_salt(isa: str, n: int) -> None:
    keys, infos, salts = rows(n, 23, 4), rows(n, 87, 5), rows(n, 32, 6)
    out = np.empty((n, 28), np.uint8)
    _kernels.hkdf_sha256_salted(out, salts, keys, infos)
    each = zip(keys, infos, salts, strict=True)
    assert [bytes(row) for row in out] == [twin(bytes(key), bytes(info), 28, bytes(salt)) for key, info, salt in each]


@pytest.mark.parametrize("shape", [(2, 32), (3, 31), (3, 0)])
def test_salts_of_another_shape_are_refused(shape: tuple[int, int]) -> None:
    written = np.full((3, 16), 0xAA, np.uint8)
    salts, keys, infos = (np.zeros(each, np.uint8) for each in (shape, (3, 32), (3, 9)))
    with pytest.raises(ValueError, match=r"salts\[n, 32\]"):
        _kernels.hkdf_sha256_salted(written, salts, keys, infos)
    assert (written == 0xAA).all()


@given(key=st.binary(max_size=MAX_BYTES), info=st.binary(max_size=MAX_BYTES), length=st.integers(1, 32))
@settings(deadline=None)
def test_the_twin_is_openssl(key: bytes, info: bytes, length: int) -> None:
    assert twin(key, info, length) == openssl(key, info, length)


@pytest.mark.parametrize(
    ("out", "keys", "infos", "message"),
    [
        ((3, 16), (2, 32), (3, 55), "shapes must be"),
        ((3, 16), (3, 32), (4, 55), "shapes must be"),
        ((3, 0), (3, 32), (3, 55), "length must be 1 .. 32"),
        ((3, 33), (3, 32), (3, 55), "length must be 1 .. 32"),
        ((3, 16), (3, MAX_BYTES + 1), (3, 55), "at most 118 bytes"),
        ((3, 16), (3, 32), (3, MAX_BYTES + 1), "at most 118 bytes"),
        ((0, 33), (0, 32), (0, 55), "length must be 1 .. 32"),
    ],
)
def test_refusals(out: tuple[int, int], keys: tuple[int, int], infos: tuple[int, int], message: str) -> None:
    written = np.full(out, 0xAA, np.uint8)
    with pytest.raises(ValueError, match=message):
        _kernels.hkdf_sha256(written, np.zeros(keys, np.uint8), np.zeros(infos, np.uint8))
    assert (written == 0xAA).all()
