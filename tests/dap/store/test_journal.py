"""The journal of releases: what it allows, what survives in its file, and that its store does not go on without it."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, update

from secagg.dap.messages import Interval
from secagg.dap.store import migrations, schema
from secagg.dap.store.engine import Store
from secagg.dap.store.journal import Entry, Journal
from secagg.dap.store.vault import Vault
from secagg.errors import LocalProtocolError

from ...support.postgres import postgres_schemas
from ...support.world import Urls

VAULT = Vault(bytes(32))
TASK, OTHER = bytes(32), bytes([1]) * 32


def entry(start: int, duration: int, digest: int = 0) -> Entry:
    return Entry(Interval(start, duration).encode(), bytes([digest]) * 32)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "releases")


def test_the_same_release_again_is_allowed_and_written_once(journal: Journal, tmp_path: Path) -> None:
    for _ in range(3):
        assert journal.allows(TASK, entry(10, 2))
        journal.add(TASK, entry(10, 2))
    assert (tmp_path / "releases").read_text().count("\n") == 2  # with the mark
    assert (journal.count(TASK), journal.count(OTHER)) == (1, 0)


@pytest.mark.parametrize("other", [entry(10, 2, 1), entry(11, 1), entry(9, 2), entry(0, 100), entry(11, 5)])
def test_other_reports_or_another_batch_that_shares_a_bucket_are_not_allowed(journal: Journal, other: Entry) -> None:
    journal.add(TASK, entry(10, 2))
    assert not journal.allows(TASK, other)
    assert journal.allows(OTHER, other)


@pytest.mark.parametrize("other", [entry(8, 2), entry(12, 1)])
def test_a_batch_beside_it_is_allowed(journal: Journal, other: Entry) -> None:
    journal.add(TASK, entry(10, 2))
    assert journal.allows(TASK, other)


def test_a_batch_id_is_for_the_same_share_only(journal: Journal) -> None:
    batch = bytes([7]) * 32
    journal.add(TASK, Entry(batch, bytes(32)))
    assert journal.allows(TASK, Entry(batch, bytes(32)))
    assert not journal.allows(TASK, Entry(batch, bytes([1]) * 32))
    assert journal.allows(TASK, Entry(bytes([8]) * 32, bytes(32)))


def test_other_processes_and_restarts_see_what_was_recorded(journal: Journal, tmp_path: Path) -> None:
    beside = Journal(tmp_path / "releases")
    journal.add(TASK, entry(10, 2))
    assert not beside.allows(TASK, entry(11, 1))
    beside.add(TASK, entry(20, 1))
    assert not journal.allows(TASK, entry(20, 1, 1))
    assert not Journal(tmp_path / "releases").allows(TASK, entry(11, 1))


def test_a_line_that_a_crash_cut_short_was_not_released(journal: Journal, tmp_path: Path) -> None:
    journal.add(TASK, entry(10, 2))
    path = tmp_path / "releases"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[-100:-50])
    again = Journal(path)
    again.add(TASK, entry(30, 1))
    assert len(path.read_text().splitlines()) == 3
    assert not Journal(path).allows(TASK, entry(30, 1, 1))


def test_another_file_is_refused_and_others_may_not_read_ours(journal: Journal, tmp_path: Path) -> None:
    journal.add(TASK, entry(10, 2))
    assert (tmp_path / "releases").stat().st_mode & 0o077 == 0
    (tmp_path / "letter").write_text("dear journal\n")
    with pytest.raises(LocalProtocolError, match="no journal"):
        Journal(tmp_path / "letter")


def test_a_release_is_whole_in_the_file_or_not_recorded(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full takes a part of what is written, and then nothing."""
    journal.add(TASK, entry(1, 1))
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
        journal.add(TASK, entry(10, 2))
    assert (tmp_path / "releases").read_bytes() == whole
    assert journal.count(TASK) == 1
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    journal.add(TASK, entry(10, 2))
    monkeypatch.undo()
    assert not Journal(tmp_path / "releases").allows(TASK, entry(10, 3))
    assert journal.count(TASK) == Journal(tmp_path / "releases").count(TASK) == 2


def test_a_journal_of_an_older_program_is_taken_and_marked(journal: Journal, tmp_path: Path) -> None:
    journal.add(TASK, entry(10, 2))
    journal.add(TASK, entry(20, 2))
    path = tmp_path / "old"
    path.write_bytes((tmp_path / "releases").read_bytes().partition(b"\n")[2] + b"cut short")
    path.chmod(0o644)
    old = Journal(path)
    assert (old.count(TASK), old.find_id()) == (2, None)
    old.add(TASK, entry(30, 2))
    assert Journal(path).count(TASK) == 3
    assert path.read_text().startswith("secagg journal of releases, version 1, device ")
    assert path.stat().st_mode & 0o077 == 0


def test_a_journal_has_one_id_for_good(journal: Journal, tmp_path: Path) -> None:
    assert (journal.find_id(), journal.exists) == (None, False)
    journal.add(TASK, entry(10, 2))
    journal_id = journal.add_id()
    assert len(journal_id) == 16
    again = Journal(tmp_path / "releases")
    assert [again.add_id(), again.find_id(), journal.add_id(), journal.find_id()] == [journal_id] * 4
    assert again.count(TASK) == 1
    assert Journal(tmp_path / "other").add_id() != journal_id


@pytest.mark.parametrize(
    "line", ["journal", "journal 00", "journal " + "0" * 64, "journal " + "x" * 32, "a b", "a b c d"]
)
def test_a_line_that_is_no_release_is_refused(journal: Journal, tmp_path: Path, line: str) -> None:
    journal.add_id()
    with (tmp_path / "releases").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(LocalProtocolError, match="is no journal of releases"):
        Journal(tmp_path / "releases")


def test_a_journal_with_two_ids_is_refused(journal: Journal, tmp_path: Path) -> None:
    journal.add_id()
    with (tmp_path / "releases").open("a") as file:
        file.write(f"journal {bytes(16).hex()}\n")
    with pytest.raises(LocalProtocolError, match="is no journal of releases"):
        Journal(tmp_path / "releases")


# The store's journal.


def start(url: str, path: Path | None, *, accept: bool = False, create: bool = False) -> None:
    """What a server does first."""
    journal = None if path is None else Journal(path)
    Store(url, VAULT, journal, create=create, accept_journal=accept).close()


@pytest.fixture
def begun(dap_urls: Urls, tmp_path: Path) -> Path:
    """The journal of the Leader's store, with a release."""
    path = tmp_path / "releases"
    start(dap_urls.leader, path, create=True)
    Journal(path).add(TASK, entry(10, 2))
    start(dap_urls.leader, path)
    return path


@pytest.mark.parametrize("create", [False, True], ids=["start", "upgrade"])
def test_a_store_whose_journal_is_gone_does_not_start(dap_urls: Urls, begun: Path, create: bool) -> None:
    kept = begun.rename(begun.with_name("kept"))
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=r"is gone: put it back.* `secagg dap store accept-.*--lost`"):
            start(dap_urls.leader, begun, create=create)
        assert not begun.exists()
    kept.rename(begun)
    start(dap_urls.leader, begun, create=create)
    assert not Journal(begun).allows(TASK, entry(11, 1))


def test_a_store_does_not_do_without_the_journal_that_it_had(dap_urls: Urls, begun: Path) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be opened without it"):
        start(dap_urls.leader, None)
    start(dap_urls.leader, begun)
    start(dap_urls.helper, None, create=True)
    start(dap_urls.helper, None)


@pytest.mark.parametrize("other", ["empty", "another store's", "without ID"])
def test_a_store_does_not_take_another_journal_for_its_own(dap_urls: Urls, begun: Path, other: str) -> None:
    begun.unlink()
    if other == "empty":
        begun.touch()
    elif other == "without ID":
        Journal(begun).add(TASK, entry(10, 2))
    else:
        start(dap_urls.helper, begun, create=True)
    with pytest.raises(LocalProtocolError, match=r"is not this store's journal .* `secagg dap store accept-journal"):
        start(dap_urls.leader, begun)
    start(dap_urls.leader, begun, accept=True)
    start(dap_urls.leader, begun)


def test_a_loss_that_is_accepted_begins_a_new_journal(dap_urls: Urls, begun: Path) -> None:
    begun.unlink()
    start(dap_urls.leader, begun, accept=True)
    assert Journal(begun).count(TASK) == 0
    start(dap_urls.leader, begun)
    begun.unlink()
    with pytest.raises(LocalProtocolError, match="is gone"):
        start(dap_urls.leader, begun)


def test_a_new_database_takes_the_journal_that_there_is(dap_urls: Urls, begun: Path) -> None:
    """As after the database is lost, and the journal is not; or is restored from before they met."""
    start(dap_urls.helper, begun, create=True)
    start(dap_urls.helper, begun)
    assert Journal(begun).count(TASK) == 1


def test_a_crash_between_journal_and_database_is_made_good_at_the_next_start(dap_urls: Urls, tmp_path: Path) -> None:
    Journal(tmp_path / "releases").add_id()
    for create in (True, False):
        start(dap_urls.leader, tmp_path / "releases", create=create)


def test_a_store_of_the_first_version_learns_of_its_journal(dap_urls: Urls, begun: Path) -> None:
    store = Store(dap_urls.leader, VAULT, Journal(begun))
    with store.write() as tx:
        schema.journals.drop(tx.connection)
        tx.execute(update(migrations._store).values(version=1))
    store.close()
    with pytest.raises(LocalProtocolError, match=r"version 1, .* upgrade it"):
        start(dap_urls.leader, begun)
    start(dap_urls.leader, begun, create=True)
    begun.unlink()
    with pytest.raises(LocalProtocolError, match="is gone"):
        start(dap_urls.leader, begun)


def known(url: str, path: Path) -> int:
    store = Store(url, VAULT, Journal(path))
    with store.read() as tx:
        count = len(tx.execute(select(schema.journals)).all())
    store.close()
    return count


def test_a_sqlite_store_has_one_journal_and_the_one_before_counts_no_more(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path}/leader.db", tmp_path / "releases"
    start(url, path, create=True)
    old = path.rename(path.with_name("old"))
    start(url, path, accept=True)
    assert known(url, path) == 1
    with pytest.raises(LocalProtocolError, match="is not this store's"):
        start(url, old)


def test_machines_that_share_a_database_have_a_journal_each(tmp_path: Path) -> None:
    with postgres_schemas(1) as (url,):
        one, two = tmp_path / "one", tmp_path / "two"
        start(url, one, create=True)
        with pytest.raises(LocalProtocolError, match="begins the journal of a further machine"):
            start(url, two)
        start(url, two, accept=True)
        for path in (one, two):
            start(url, path)
        assert known(url, one) == 2


def test_servers_that_start_together_begin_one_journal(dap_urls: Urls, tmp_path: Path) -> None:
    Store(dap_urls.leader, VAULT).close()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: start(dap_urls.leader, tmp_path / "releases"), range(6)))
    assert known(dap_urls.leader, tmp_path / "releases") == 1
