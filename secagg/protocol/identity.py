"""SIG and the PKI of the paper's sections 3.5 and 3.6: users' long-term identities, and the roster of their keys.

Both come from outside the session: each user makes its own identity, and a trusted party gives everyone the same
roster.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..arguments import octets, whole
from ..codec import Ids
from ..durable import create, require_folder
from ..errors import LocalProtocolError, require
from ..signatures import KEY_BYTES, SIGNATURE_BYTES, are_keys, verify, verify_all
from ..text import read_text
from .nonces import Nonces

VERIFICATION_KEY_BYTES = KEY_BYTES
_KEY_FILE_BYTES_MAX = 1 << 16


class Identity:
    """One user's Ed25519 key pair (d_sk, d_pk), and the nonces of the sessions that it has joined.

    A nonce that is used twice would let a server replay a session, so `claim` takes each nonce once. For a key in a
    file this holds across runs of the program as well. Such a key must not be used on two machines, and not without
    its file of nonces.

    Args:
        private: the private key.
        nonces: the file of nonces that the key has used; None to remember them in memory only.
    """

    def __init__(self, private: Ed25519PrivateKey, nonces: Nonces | None = None) -> None:
        self._private = private
        self._nonces = nonces
        self._used: set[str] = set()

    @classmethod
    def generate(cls) -> Self:
        """A fresh identity that remembers nonces in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, *, state: Path | None = None) -> Self:
        """The identity in a file; the nonces that it uses are kept in a folder of state.

        Args:
            path: the key's file, an unencrypted Ed25519 key in PEM. It may be a symbolic link, as mounted secrets are.
            state: the folder of state, which must last as long as the key is used; it is made if it is missing. By
                default it is $XDG_STATE_HOME/secagg if that variable is set, otherwise the folder of the file that
                `path` leads to. Its file of nonces is named by the SHA-256 of the verification key: all who use one
                key must use one folder. Nonces that older versions wrote to `path` + ".nonces" count as well.

        Raises:
            LocalProtocolError: the file does not exist, is not an Ed25519 key in PEM, or others may read it.
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
        """Write the private key to a new file with mode 600.

        Args:
            path: the file, which must not exist.

        Raises:
            FileExistsError: the file exists; no key is overwritten.
        """
        create(path, self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def state(self) -> Path | None:
        """The folder of its file of nonces; None if nonces are in memory only."""
        return None if self._nonces is None else self._nonces.path.parent

    @property
    def verification_key(self) -> bytes:
        """d_pk, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """SIG.sign: the signature of a message, 64 bytes.

        Args:
            message: any bytes.
        """
        return self._private.sign(octets(message, "message"))

    def claim(self, nonce: bytes) -> None:
        """Use a session's nonce. For a key in a file, the nonce is on disk before this returns.

        Args:
            nonce: `Params.nonce`.

        Raises:
            LocalProtocolError: the nonce was used before, or it cannot be written to disk.
        """
        nonce = octets(nonce, "nonce")
        name = nonce.hex()
        fresh = name not in self._used and (self._nonces is None or self._nonces.claim(nonce))
        require(fresh, "this identity has taken part in a session with this nonce already")
        self._used.add(name)


class Roster:
    """Who may take part: each user id's verification key, the same for every party.

    Args:
        keys: by user id (1 .. 2**32 - 1), the verification key, 32 bytes.

    Attributes:
        users: the user ids, ascending, uint32[k].
        hash: SHA-256 of ids and keys in that order, 32 bytes; every session id covers it.

    Raises:
        LocalProtocolError: an id is out of range, a key is malformed or its point is not of the base point's order, or
            two users have the same key.
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        ordered = sorted((whole(u, "a user id"), octets(key, "a key")) for u, key in keys.items())
        for u, _ in ordered:
            require(1 <= u < 1 << 32, f"user ids must be 1 .. 2**32 - 1, got {u}")
        for u in _without_key(ordered):
            raise LocalProtocolError(f"the roster's key of user {u} is malformed, or its point is not of prime order")
        require(len({key for _, key in ordered}) == len(ordered), "two users of the roster have the same key")
        self.users: Ids = np.array([u for u, _ in ordered], np.uint32)
        self._keys = dict(ordered)
        entries = b"".join(u.to_bytes(4, "big") + key for u, key in ordered)
        self.hash = hashlib.sha256(b"secagg roster v1" + entries).digest()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The roster in a text file of lines "id key", the key in hexadecimal; # begins a comment.

        Args:
            path: the file.

        Raises:
            LocalProtocolError: the file does not exist or is not UTF-8, a line is something else, or an id comes twice.
        """
        try:
            text = read_text(path)
        except OSError as error:
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
        """Write the file that `read` takes.

        Args:
            path: the file; an existing one is overwritten.

        Raises:
            OSError: the file cannot be written, as where its folder does not exist.
        """
        require_folder(path)
        path.write_text("".join(f"{u} {self._keys[u].hex()}\n" for u in self.users.tolist()))

    def __contains__(self, u: int) -> bool:
        return u in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, u: int) -> bytes:
        """The verification key d_pk of a user, 32 bytes.

        Args:
            u: the user id, which must be in the roster.
        """
        return self._keys[whole(u, "u")]

    def verify(self, u: int, signature: bytes, message: bytes) -> bool:
        """SIG.ver: whether a signature is a user's signature of a message.

        Args:
            u: the user id; False is returned for a user who is not in the roster.
            signature: 64 bytes.
            message: any bytes.
        """
        key = self._keys.get(whole(u, "u"))
        signature, message = octets(signature, "signature"), octets(message, "message")
        return key is not None and verify(key, signature, message)

    def verify_all(self, users: Sequence[int], signatures: Sequence[bytes], messages: Sequence[bytes]) -> list[bool]:
        """`verify` of one signature of each of these users, several at a time.

        Args:
            users: user ids, as often as they have signed.
            signatures: one for each, 64 bytes.
            messages: one for each, any bytes.

        Raises:
            LocalProtocolError: there is not one signature and one message for each user.
        """
        keys = [self._keys.get(whole(u, "a user id")) for u in users]
        return verify_each(keys, signatures, messages)


def verify_each(keys: Sequence[bytes | None], signatures: Sequence[bytes], messages: Sequence[bytes]) -> list[bool]:
    """SIG.ver of each of these signatures, several at a time, of users of any rosters.

    Args:
        keys: the user's verification key in its roster, 32 bytes; None for a user who is in none, and so has signed
            nothing.
        signatures: one for each, 64 bytes.
        messages: one for each, any bytes.

    Raises:
        LocalProtocolError: there is not one signature and one message for each user.
    """
    signatures = [octets(each, "a signature") for each in signatures]
    require(len(keys) == len(signatures) == len(messages), "each user takes one signature and one message")
    valid = np.zeros(len(keys), bool)
    proper = [
        (i, octets(key, "a key"), signature)
        for i, (key, signature) in enumerate(zip(keys, signatures, strict=True))
        if key is not None and len(signature) == SIGNATURE_BYTES
    ]
    valid[[i for i, _, _ in proper]] = verify_all(
        np.frombuffer(b"".join(key for _, key, _ in proper), np.uint8).reshape(-1, KEY_BYTES),
        np.frombuffer(b"".join(signature for *_, signature in proper), np.uint8).reshape(-1, SIGNATURE_BYTES),
        [messages[i] for i, _, _ in proper],
    )
    return valid.tolist()


def _without_key(entries: list[tuple[int, bytes]]) -> list[int]:
    """The users whose key no private key belongs to."""
    short = [u for u, key in entries if len(key) != KEY_BYTES]
    if short or not entries:
        return short
    keys = np.frombuffer(b"".join(key for _, key in entries), np.uint8).reshape(-1, KEY_BYTES)
    return [u for (u, _), ok in zip(entries, are_keys(keys), strict=True) if not ok]
