"""The nonces that a key has signed for, on disk: each is used once, in all runs of all programs that use the key.

They cannot lie beside a mounted key: its folder is read-only, and is replaced at each rotation. So they lie in a folder
of state, in a file that is named by the verification key. A key has one file there, whichever path leads to the key.
"""

import hashlib
import os
from pathlib import Path

from ..durable import Log, make_folder, read
from ..errors import LocalProtocolError

_LIMIT = 1 << 26  # bytes of a file: two million nonces
_KIND = "file of nonces"


def state_folder(beside: Path, state: Path | None) -> Path:
    """Where nonces lie: in the folder that is asked for, else in $XDG_STATE_HOME/secagg, else beside the key's file.

    A relative XDG_STATE_HOME is ignored, as the XDG Base Directory Specification says.
    """
    if state is not None:
        return Path(os.path.realpath(state))
    home = os.environ.get("XDG_STATE_HOME", "")
    return Path(os.path.realpath(home)) / "secagg" if os.path.isabs(home) else beside


class Nonces:
    """The nonces that a key has used, as its files say.

    Args:
        path: the key's file; it may be a symbolic link.
        verification_key: the public key of the same pair, 32 bytes.
        state: the folder that nonces are written to, made with the first nonce; None for `state_folder`'s choice.
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
        """Use a nonce, which is on disk before this returns; False if it was used before.

        Raises:
            LocalProtocolError: an existing file cannot be read, or the nonce cannot be written.
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
    """The lines of a file that others write; a crash may have cut some of them short."""
    try:
        return set((read(path, _LIMIT) or b"").decode().splitlines())
    except (OSError, ValueError) as error:
        raise LocalProtocolError(f"cannot read which nonces were used from {path}: {type(error).__name__}") from None
