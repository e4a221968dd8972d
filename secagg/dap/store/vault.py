"""One secret of an Aggregator, in the environment or in a file outside its database, and what follows from it.

The database alone reveals no private key, token or share, and not what noise a batch got.
"""

import os
from dataclasses import dataclass
from hmac import digest
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ...errors import LocalProtocolError, require
from ...shamir import RandomBytes
from ...text import read_text

SECRET_SIZE = 32
_SALT = 32
_NONCE = bytes(12)  # of a key that seals once


@dataclass(frozen=True, repr=False)
class Vault:
    """Seals what lies in the database.

    Attributes:
        secret: 32 random bytes, the same for all processes of one Aggregator, and never in its database or its backups.
    """

    secret: bytes

    def __post_init__(self) -> None:
        require(
            len(self.secret) == SECRET_SIZE, f"the store's secret must have {SECRET_SIZE} bytes, got {len(self.secret)}"
        )

    @classmethod
    def load(cls, path: Path) -> "Vault":
        """The vault of a secret in a file of 64 hexadecimal digits that nobody else may read.

        Args:
            path: of the file.

        Raises:
            LocalProtocolError: others may read the file, or it holds something else.
            OSError: the file cannot be read.
        """
        require(not path.stat().st_mode & 0o077, f"others may read {path}: chmod 600 {path}")
        return cls.from_text(read_text(path), str(path))

    @classmethod
    def from_text(cls, text: str, source: str) -> "Vault":
        """The vault of a secret in 64 hexadecimal digits.

        Args:
            text: the digits; white space around them does not matter.
            source: where they stand, for the error.

        Raises:
            LocalProtocolError: the text is something else.
        """
        try:
            return cls(bytes.fromhex(text.strip()))
        except (ValueError, LocalProtocolError):
            raise LocalProtocolError(f"{source} must hold {2 * SECRET_SIZE} hexadecimal digits") from None

    @property
    def noise_key(self) -> bytes:
        """The PRF key that fixes each batch's noise."""
        return self._derive(b"noise key")

    def seal(self, value: bytes, place: bytes, *, rand: RandomBytes = os.urandom) -> bytes:
        """Encrypt a value under a key of its own, bound to the place in the database that it is for.

        Args:
            value: any bytes.
            place: what tells this place from all others.
            rand: cryptographic randomness.
        """
        salt = rand(_SALT)
        return salt + AESGCM(self._derive(b"seal" + salt)).encrypt(_NONCE, value, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The value that `seal` was given.

        Args:
            sealed: what `seal` returned.
            place: the same as then.

        Raises:
            LocalProtocolError: the secret is another one, or the value was changed or moved.
        """
        salt, ciphertext = sealed[:_SALT], sealed[_SALT:]
        try:
            return AESGCM(self._derive(b"seal" + salt)).decrypt(_NONCE, ciphertext, place)
        except InvalidTag:
            raise LocalProtocolError(
                "the database was written under another secret, or was changed: use the secret that belongs to it"
            ) from None

    def _derive(self, label: bytes) -> bytes:
        return digest(self.secret, b"secagg dap store 1 " + label, "sha256")
