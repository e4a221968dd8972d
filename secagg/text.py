"""Text files that people write: UTF-8, with or without the byte order mark that some editors put first."""

from codecs import BOM_UTF8
from pathlib import Path

from .errors import LocalProtocolError, require

FILE_BYTES_MAX = 1 << 30
_CHUNK = 1 << 20


def read_text(path: Path, *, limit: int = FILE_BYTES_MAX) -> str:
    """A file's text, with line feeds alone at the ends of lines.

    Args:
        path: of the file.
        limit: the largest number of bytes that are read.

    Raises:
        LocalProtocolError: the file is longer, or is not UTF-8.
        OSError: the file cannot be read.
    """
    data = bytearray()
    with path.open("rb") as file:
        while chunk := file.read(min(_CHUNK, limit + 1 - len(data))):  # as large as it is, and not as it may be
            data += chunk
    require(len(data) <= limit, f"{path} has more than {limit:,} bytes")
    return decode_text(bytes(data), str(path))


def decode_text(data: bytes, source: str) -> str:
    """The text of bytes, with line feeds alone at the ends of lines.

    Args:
        data: the bytes.
        source: where they come from, for the error.

    Raises:
        LocalProtocolError: they are not UTF-8.
    """
    lines = data.removeprefix(BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        return lines.decode()
    except UnicodeDecodeError as error:
        line = lines.count(b"\n", 0, error.start) + 1
        raise LocalProtocolError(f"{source} is not UTF-8 text, in line {line}: save it as UTF-8") from None
