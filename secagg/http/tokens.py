"""An operator's token in a file of its own."""

import re
from pathlib import Path

from ..errors import LocalProtocolError
from ..settings import ConfigError
from ..text import read_text

TOKEN_FILE_BYTES = 1000

_TOKEN = re.compile(r"[!-~]{20,200}")


def read_token(path: Path) -> str:
    """The token in a file.

    Args:
        path: of the file, which only its owner may read.

    Raises:
        ConfigError: there is no such file, others may read it, or it holds no token.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} must be readable by its owner only: chmod 600 {path}")
        text = read_text(path, limit=TOKEN_FILE_BYTES).strip()
    except OSError as error:
        raise ConfigError(f"cannot read a token from {path}: {error.strerror}") from None
    except LocalProtocolError:
        text = ""
    if _TOKEN.fullmatch(text) is None:
        raise ConfigError(f"{path} holds no token")
    return text
