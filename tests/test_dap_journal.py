"""The journal of releases: what it allows, and what survives in its file."""

import errno
import os
from pathlib import Path

import pytest

from secagg.dap.journal import Entry, Journal
from secagg.dap.messages import Interval
from secagg.errors import LocalProtocolError

TASK, OTHER = bytes(32), bytes([1]) * 32


def entry(start: int, duration: int, digest: int = 0) -> Entry:
    return Entry(Interval(start, duration).encode(), bytes([digest]) * 32)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "releases")


def test_the_same_release_again_is_allowed_and_written_once(journal: Journal, tmp_path: Path) -> None:
    for _ in range(3):
        assert journal.allows(TASK, entry(10, 2))
        journal.record(TASK, entry(10, 2))
    assert (tmp_path / "releases").read_text().count("\n") == 1
    assert (journal.count(TASK), journal.count(OTHER)) == (1, 0)


@pytest.mark.parametrize("other", [entry(10, 2, 1), entry(11, 1), entry(9, 2), entry(0, 100), entry(11, 5)])
def test_other_reports_or_another_batch_that_shares_a_bucket_are_not_allowed(journal: Journal, other: Entry) -> None:
    journal.record(TASK, entry(10, 2))
    assert not journal.allows(TASK, other)
    assert journal.allows(OTHER, other)


@pytest.mark.parametrize("other", [entry(8, 2), entry(12, 1)])
def test_a_batch_beside_it_is_allowed(journal: Journal, other: Entry) -> None:
    journal.record(TASK, entry(10, 2))
    assert journal.allows(TASK, other)


def test_a_batch_id_is_for_the_same_share_only(journal: Journal) -> None:
    batch = bytes([7]) * 32
    journal.record(TASK, Entry(batch, bytes(32)))
    assert journal.allows(TASK, Entry(batch, bytes(32)))
    assert not journal.allows(TASK, Entry(batch, bytes([1]) * 32))
    assert journal.allows(TASK, Entry(bytes([8]) * 32, bytes(32)))


def test_other_processes_and_restarts_see_what_was_recorded(journal: Journal, tmp_path: Path) -> None:
    beside = Journal(tmp_path / "releases")
    journal.record(TASK, entry(10, 2))
    assert not beside.allows(TASK, entry(11, 1))
    beside.record(TASK, entry(20, 1))
    assert not journal.allows(TASK, entry(20, 1, 1))
    assert not Journal(tmp_path / "releases").allows(TASK, entry(11, 1))


def test_a_line_that_a_crash_cut_short_was_not_released(journal: Journal, tmp_path: Path) -> None:
    journal.record(TASK, entry(10, 2))
    path = tmp_path / "releases"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    again = Journal(path)
    again.record(TASK, entry(30, 1))
    assert len(path.read_text().splitlines()) == 2
    assert not Journal(path).allows(TASK, entry(30, 1, 1))


def test_another_file_is_refused_and_others_may_not_read_ours(journal: Journal, tmp_path: Path) -> None:
    journal.record(TASK, entry(10, 2))
    assert (tmp_path / "releases").stat().st_mode & 0o077 == 0
    (tmp_path / "letter").write_text("dear journal\n")
    with pytest.raises(LocalProtocolError, match="no journal"):
        Journal(tmp_path / "letter")


def test_a_release_is_whole_in_the_file_or_not_recorded(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full takes a part of what is written, and then nothing."""
    journal.record(TASK, entry(1, 1))
    whole, room, write = (tmp_path / "releases").read_bytes(), 10, os.write

    def full(file: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(file, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        journal.record(TASK, entry(10, 2))
    assert (tmp_path / "releases").read_bytes() == whole
    assert journal.count(TASK) == 1
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    journal.record(TASK, entry(10, 2))
    monkeypatch.undo()
    assert not Journal(tmp_path / "releases").allows(TASK, entry(10, 3))
    assert journal.count(TASK) == Journal(tmp_path / "releases").count(TASK) == 2
