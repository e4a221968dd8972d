"""SIG and the PKI of the paper's sections 3.5 and 3.6: long-term identities, and the roster of who they belong to.

Both come from outside the session: each user makes its own identity, a trusted party gives everyone the same roster.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..codec import Ids
from ..errors import LocalProtocolError, require

VERIFICATION_KEY_BYTES = 32
SIGNATURE_BYTES = 64

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


class Identity:
    """One user's Ed25519 key pair (d_sk, d_pk), and the nonces that it has used.

    A nonce that is used twice would let a server replay a session, so `claim` takes each once; with a file, also across
    runs of the program.
    """

    def __init__(self, private: Ed25519PrivateKey, nonces: Path | None = None) -> None:
        self._private = private
        self._nonces = nonces
        self._used = set(nonces.read_text().split()) if nonces and nonces.exists() else set()

    @classmethod
    def generate(cls) -> Self:
        """A fresh identity, which remembers nonces in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """The identity saved in a file; the nonces it uses are remembered beside it, in `path` + ".nonces".

        Raises:
            LocalProtocolError: the file is not there, is no Ed25519 key in PEM, or others may read it.
        """
        try:
            require(not path.stat().st_mode & 0o077, f"{path} must be readable by its owner only: chmod 600 {path}")
            private = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise LocalProtocolError(f"cannot load an identity from {path}: {type(error).__name__}") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise LocalProtocolError(f"{path} does not hold an Ed25519 key")
        return cls(private, path.with_name(path.name + ".nonces"))

    def save(self, path: Path) -> None:
        """Write the private key to a new file with mode 600. Raises FileExistsError rather than overwrite a key."""
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)

    @property
    def verification_key(self) -> bytes:
        """d_pk, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """SIG.sign: 64 bytes."""
        return self._private.sign(message)

    def claim(self, nonce: bytes) -> None:
        """Use a session's nonce. Raises `LocalProtocolError` if it was used before."""
        require(nonce.hex() not in self._used, "this identity has taken part in a session with this nonce already")
        self._used.add(nonce.hex())
        if self._nonces is not None:
            with self._nonces.open("a") as file:
                file.write(nonce.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())


class Roster:
    """Who may take part: each user id's verification key, the same for every party.

    Args:
        keys: verification keys, 32 bytes each, by user id, 1 .. 2**32 - 1.

    Attributes:
        users: the ids, ascending.
        hash: SHA-256 over ids and keys in that order; every session id covers it.

    Raises:
        LocalProtocolError: an id is out of range, a key is malformed, or two users have the same key.
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        require(len(set(keys.values())) == len(keys), "two users of the roster have the same key")
        for u, key in keys.items():
            require(1 <= u < 1 << 32, f"user ids must be 1 .. 2**32 - 1, got {u}")
            require(_is_key(key), f"the roster's key of user {u} is malformed")
        self.users: Ids = np.array(sorted(keys), np.uint32)
        self._keys = {u: Ed25519PublicKey.from_public_bytes(key) for u, key in keys.items()}
        entries = b"".join(u.to_bytes(4, "big") + keys[u] for u in sorted(keys))
        self.hash = hashlib.sha256(b"secagg roster v1" + entries).digest()

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a text file of lines "id key", the key in hexadecimal; # begins a comment.

        Raises:
            LocalProtocolError: the file is not there, a line is something else, or an id comes twice.
        """
        try:
            lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
        except (OSError, ValueError) as error:
            raise LocalProtocolError(f"cannot read a roster from {path}: {type(error).__name__}") from None
        keys: dict[int, bytes] = {}
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            match = re.fullmatch(r"([0-9]{1,10})\s+([0-9a-fA-F]{64})", line)
            require(match is not None, f"{path}, line {number}: expected a user id and a key of 64 hexadecimal digits")
            assert match is not None
            u = int(match[1])
            require(u not in keys, f"{path}, line {number}: user {u} is listed twice")
            keys[u] = bytes.fromhex(match[2])
        return cls(keys)

    def write(self, path: Path) -> None:
        """The file that `read` takes."""
        path.write_text("".join(f"{u} {self._keys[u].public_bytes_raw().hex()}\n" for u in self.users.tolist()))

    def __contains__(self, u: int) -> bool:
        return u in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, u: int) -> bytes:
        """User u's verification key."""
        return self._keys[u].public_bytes_raw()

    def verify(self, u: int, signature: bytes, message: bytes) -> bool:
        """SIG.ver under user u's key; False for a user who is not in the roster."""
        try:
            self._keys[u].verify(signature, message)
        except (KeyError, InvalidSignature):
            return False
        return True


def _is_key(key: bytes) -> bool:
    """Whether these are 32 bytes that encode a point canonically (RFC 8032, section 5.1.3); OpenSSL takes any bytes."""
    y = int.from_bytes(key, "little") & ~(1 << 255)
    if len(key) != VERIFICATION_KEY_BYTES or y >= _P:
        return False
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return pow(x_squared, (_P - 1) // 2, _P) == 1
