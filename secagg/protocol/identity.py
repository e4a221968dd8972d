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
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..arguments import octets, whole
from ..codec import Ids
from ..durable import create
from ..errors import LocalProtocolError, require
from .nonces import Nonces

VERIFICATION_KEY_BYTES = 32
SIGNATURE_BYTES = 64
_KEY_FILE_BYTES_MAX = 1 << 16

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


class Identity:
    """One user's Ed25519 key pair (d_sk, d_pk), and the nonces that it has used.

    A nonce that is used twice would let a server replay a session, so `claim` takes each once; for a key of a file,
    also across runs of the program. Such a key must not be used on two machines, nor without its file of nonces.
    """

    def __init__(self, private: Ed25519PrivateKey, nonces: Nonces | None = None) -> None:
        self._private = private
        self._nonces = nonces
        self._used: set[str] = set()

    @classmethod
    def generate(cls) -> Self:
        """A fresh identity, which remembers nonces in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, *, state: Path | None = None) -> Self:
        """The identity saved in a file; the nonces that it uses are remembered in a folder of state.

        Args:
            path: of the key, Ed25519 in PEM, unencrypted. It may be a symbolic link, as mounted secrets are.
            state: the folder, which lasts longer than the key is used; it is made if it is missing. By default
                $XDG_STATE_HOME/secagg if that variable is set, else the folder of the file that `path` leads to. The
                nonces' file in it is named by the SHA-256 of the verification key: all who use one key must use one
                folder. What older versions have written, to `path` + ".nonces", is read as well.

        Raises:
            LocalProtocolError: the file is not there, is no Ed25519 key in PEM, or others may read it.
        """
        try:
            with path.open("rb") as file:
                others = os.fstat(file.fileno()).st_mode & 0o077
                require(not others, f"{path} must be readable by its owner only: chmod 600 {path}")
                private = load_pem_private_key(file.read(_KEY_FILE_BYTES_MAX), None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
            raise LocalProtocolError(f"cannot load an identity from {path}: {type(error).__name__}") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise LocalProtocolError(f"{path} does not hold an Ed25519 key")
        return cls(private, Nonces(path, private.public_key().public_bytes_raw(), state))

    def save(self, path: Path) -> None:
        """Write the private key to a new file with mode 600. Raises FileExistsError rather than overwrite a key."""
        create(path, self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def verification_key(self) -> bytes:
        """d_pk, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """SIG.sign: 64 bytes."""
        return self._private.sign(octets(message, "message"))

    def claim(self, nonce: bytes) -> None:
        """Use a session's nonce; for a key of a file, it stands on disk for good before this returns.

        Raises:
            LocalProtocolError: the nonce was used before, or cannot be written down.
        """
        nonce = octets(nonce, "nonce")
        name = nonce.hex()
        fresh = name not in self._used and (self._nonces is None or self._nonces.claim(nonce))
        require(fresh, "this identity has taken part in a session with this nonce already")
        self._used.add(name)


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
        ordered = sorted((whole(u, "a user id"), octets(key, "a key")) for u, key in keys.items())
        for u, key in ordered:
            require(1 <= u < 1 << 32, f"user ids must be 1 .. 2**32 - 1, got {u}")
            require(_is_key(key), f"the roster's key of user {u} is malformed")
        require(len({key for _, key in ordered}) == len(ordered), "two users of the roster have the same key")
        self.users: Ids = np.array([u for u, _ in ordered], np.uint32)
        self._keys = {u: Ed25519PublicKey.from_public_bytes(key) for u, key in ordered}
        entries = b"".join(u.to_bytes(4, "big") + key for u, key in ordered)
        self.hash = hashlib.sha256(b"secagg roster v1" + entries).digest()

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a text file of lines "id key", the key in hexadecimal; # begins a comment.

        Raises:
            LocalProtocolError: the file is not there, a line is something else, or an id comes twice.
        """
        try:
            text = path.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise LocalProtocolError(f"cannot read a roster from {path}: {type(error).__name__}") from None
        keys: dict[int, bytes] = {}
        for number, line in enumerate(text.split("\n"), 1):
            entry = line.partition("#")[0].strip(" \t")
            if not entry:
                continue
            match = re.fullmatch(r"(0|[1-9][0-9]{0,9})[ \t]+([0-9a-fA-F]{64})", entry)
            if match is None:
                raise LocalProtocolError(
                    f"{path}, line {number}: expected a user id and a key of 64 hexadecimal digits"
                )
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
        return self._keys[whole(u, "u")].public_bytes_raw()

    def verify(self, u: int, signature: bytes, message: bytes) -> bool:
        """SIG.ver under user u's key; False for a user who is not in the roster."""
        u, signature, message = whole(u, "u"), octets(signature, "signature"), octets(message, "message")
        try:
            self._keys[u].verify(signature, message)
        except (KeyError, InvalidSignature):
            return False
        return True


def _is_key(key: bytes) -> bool:
    """Whether these are 32 bytes that encode a point canonically (RFC 8032, section 5.1.3); OpenSSL takes any bytes.

    Points of small order are refused: a signature can be made under them without any private key.
    """
    y = int.from_bytes(key, "little") & ~(1 << 255)
    if len(key) != VERIFICATION_KEY_BYTES or y >= _P:
        return False
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return pow(x_squared, (_P - 1) // 2, _P) == 1 and y != 0 and (x_squared + y * y) % _P != 0
