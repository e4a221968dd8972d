"""The nonces that a key has signed for, on disk: each is used once, whatever runs of whatever programs use the key.

They cannot stand beside a key that is mounted: its folder is read-only, and is another one after each rotation. They
stand in a folder of state, in a file that is named by the verification key. So a key has one file there, whatever path
led to it.
"""

import hashlib
import os
from pathlib import Path

from ..durable import Log, make_folder, read
from ..errors import LocalProtocolError

_LIMIT = 1 << 26  # bytes of a file: two million nonces
_KIND = "file of nonces"


def state_folder(beside: Path, state: Path | None) -> Path:
    """Where nonces stand: in the folder that is asked for, else in $XDG_STATE_HOME/secagg, else beside a key's file.

    A relative XDG_STATE_HOME does not count, as the XDG Base Directory Specification says.
    """
    if state is not None:
        return Path(os.path.realpath(state))
    home = os.environ.get("XDG_STATE_HOME", "")
    return Path(os.path.realpath(home)) / "secagg" if os.path.isabs(home) else beside


class Nonces:
    """What a key has used, by what stands in its files.

    Args:
        path: of the key; it may be a symbolic link.
        verification_key: of the key.
        state: the folder that nonces are written to, made when the first one is; None for `state_folder`'s choice.
    """

    def __init__(self, path: Path, verification_key: bytes, state: Path | None = None) -> None:
        given, resolved = path.absolute(), Path(os.path.realpath(path))
        name = hashlib.sha256(verification_key).hexdigest() + ".nonces"
        self.path = state_folder(resolved.parent, state) / name
        elsewhere = {
            given.with_name(given.name + ".nonces"),  # where older versions wrote
            resolved.with_name(resolved.name + ".nonces"),
            resolved.parent / name,  # where we write without the argument, or without XDG_STATE_HOME
            state_folder(resolved.parent, None) / name,
        }
        self._elsewhere = sorted(elsewhere - {self.path})
        self._used: set[str] = set()
        self._log = Log(self.path, _KIND, self._take, limit=_LIMIT)

    def claim(self, nonce: bytes) -> bool:
        """Use a nonce, which stands on disk before this returns; False if it was used before.

        Raises:
            LocalProtocolError: a file that is there cannot be read, or the nonce cannot be written down.
        """
        name = nonce.hex()
        try:
            make_folder(self.path.parent)
            with self._log.turn() as append:
                if name in self._used or any(name in _lines(path) for path in self._elsewhere):
                    return False
                append(name)
        except OSError as error:
            raise LocalProtocolError(
                f"cannot note a nonce in {self.path}: {error.strerror}. Load the identity with a folder of state that"
                " can be written to, or set XDG_STATE_HOME to one"
            ) from None
        return True

    def _take(self, record: str) -> None:
        if bytes.fromhex(record).hex() != record:
            raise ValueError(record)
        self._used.add(record)


def _lines(path: Path) -> set[str]:
    """Of a file that others write: lines that a crash has cut short may be in it."""
    try:
        return set((read(path, _LIMIT) or b"").decode().splitlines())
    except (OSError, ValueError) as error:
        raise LocalProtocolError(f"cannot read which nonces were used from {path}: {type(error).__name__}") from None
