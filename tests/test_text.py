"""Text files that people write, as their editors save them."""

import re
import tracemalloc
from pathlib import Path

import pytest

from secagg import Roster
from secagg.dap.store.vault import Vault
from secagg.durable import create, require_folder
from secagg.errors import LocalProtocolError
from secagg.protocol.identity import Identity
from secagg.text import decode_text, read_text

BOM = b"\xef\xbb\xbf"
NOT_UTF_8 = {
    "latin-1": "first\ngr\u00fcn\n".encode("latin-1"),
    "utf-16": "first\n".encode("utf-16"),
    "cut short": "first\ngr\u00fc".encode()[:-1],
    "surrogate": b"first\n\xed\xb2\x80",
}


@pytest.mark.parametrize("data", [b"a\nb\n", BOM + b"a\nb\n", b"a\r\nb\r\n", BOM + b"a\rb\r"])
def test_a_mark_and_ends_of_lines_are_no_text(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    assert read_text(tmp_path / "file") == decode_text(data, "stdin") == "a\nb\n"


def test_only_the_first_mark_is_none() -> None:
    assert decode_text(BOM + BOM + "gr\u00fcn".encode(), "stdin") == "\ufeffgr\u00fcn"


@pytest.mark.parametrize("name", NOT_UTF_8)
def test_what_is_not_utf_8_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    file, data = tmp_path / "file", NOT_UTF_8[name]
    file.write_bytes(data)
    line = 1 if name == "utf-16" else 2
    reason = f"{file} is not UTF-8 text, in line {line}: save it as UTF-8"
    with pytest.raises(LocalProtocolError, match=re.escape(reason)):
        read_text(file)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_text(tmp_path / "file", limit=5) == "12345"
    with pytest.raises(LocalProtocolError, match="file has more than 4 bytes"):
        read_text(tmp_path / "file", limit=4)


def test_a_roster_may_have_a_mark_and_must_be_utf_8(tmp_path: Path) -> None:
    roster, file = Roster({7: Identity.generate().verification_key}), tmp_path / "roster"
    roster.write(file)
    text = file.read_bytes().replace(b"\n", b"\r\n")
    file.write_bytes(BOM + text)
    assert Roster.read(file).hash == roster.hash
    file.write_bytes(text + b"# K\xf6nig\n")
    with pytest.raises(LocalProtocolError, match="roster is not UTF-8 text, in line 2: save it as UTF-8"):
        Roster.read(file)


def test_a_secret_may_have_a_mark_and_must_be_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    create(file, BOM + b"ab" * 32 + b"\r\n")
    assert Vault.load(file).secret == b"\xab" * 32
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(LocalProtocolError, match="secret is not UTF-8 text, in line 1: save it as UTF-8"):
        Vault.load(file)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "file"
    roster = Roster({7: Identity.generate().verification_key})
    for write in (require_folder, Identity.generate().save, roster.write, lambda path: create(path, b"")):
        with pytest.raises(FileNotFoundError, match="there is no such folder: make it first: ") as error:
            write(missing)
        assert error.value.filename == str(missing.parent)
    require_folder(tmp_path / "file")


def test_reading_takes_as_much_memory_as_the_file(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("x = 1\n")
    tracemalloc.start()
    try:
        read_text(tmp_path / "small")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfa\nb\n\xff", b"a\rb\r\xff", b"a\r\nb\r\n\xff"])
def test_the_line_is_that_of_an_editor(data: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="in line 3: "):
        decode_text(data, "it")
