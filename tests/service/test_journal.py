"""The file of a session: what is on disk when, and which files are refused."""

import os
import shutil
import stat
import threading
import time
import zlib
from pathlib import Path

import pytest

from secagg.durable import adopt
from secagg.errors import LocalProtocolError
from secagg.service import journal as journals
from secagg.service.journal import INLINE_BYTES, NAME, Journal, JournalFailed
from secagg.service.records import ALL_DURABLE, HEAD_BYTES, Body, Kind, frame
from secagg.service.storage import Disk, DiskFile

from ..support.forgetful import ForgetfulDisk, Memory, PowerCut

FOLDER = Path("/state/session")
Records = list[tuple[Kind, bytes]]


def opened(disk: ForgetfulDisk | Disk, folder: Path = FOLDER) -> tuple[Journal, Records]:
    """The journal, and what it had."""
    records: Records = []
    return Journal.open(disk, folder, lambda kind, body: records.append((kind, bytes(body)))), records


def filled(disk: ForgetfulDisk | Disk, folder: Path = FOLDER) -> Journal:
    """A journal with three records on disk."""
    disk.make_folder(folder)
    journal = Journal.create(disk, folder, [(Kind.SETUP, b"setup")])
    journal.append(Kind.JOINED, b"one")
    journal.append(Kind.JOINED, b"two" * 10)
    journal.sync()
    return journal


FILLED = [(Kind.SETUP, b"setup"), (Kind.JOINED, b"one"), (Kind.JOINED, b"two" * 10)]


def test_records_come_back_in_their_order(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    filled(disk, folder).close()
    journal, records = opened(disk, folder)
    assert records == FILLED
    journal.append(Kind.ENDED, b"")
    journal.sync()
    journal.close()
    assert opened(disk, folder)[1] == [*FILLED, (Kind.ENDED, b"")]


def test_only_the_owner_has_access(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    spool = journal.spool()
    spool.write(bytes(INLINE_BYTES + 1))
    journal.name(spool.seal())
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    journal.close()
    (folder / NAME).chmod(0o644)
    opened(disk, folder)
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    folder.chmod(0o770)
    with pytest.raises(LocalProtocolError, match="others may write"):
        opened(disk, folder)


def test_one_at_a_time(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    filled(disk, folder)
    with disk.lock(folder), pytest.raises(LocalProtocolError, match="another coordinator"), disk.lock(folder):
        pass
    with disk.lock(folder):
        pass


def test_a_copy_is_refused_until_it_is_adopted(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    filled(disk, folder).close()
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(LocalProtocolError, match="is a copy"):
        opened(disk, tmp_path / "copy")
    assert adopt(tmp_path / "copy" / NAME) == "session journal"
    assert opened(disk, tmp_path / "copy")[1] == FILLED


def test_what_is_no_journal(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    disk.make_folder(folder)
    with pytest.raises(LocalProtocolError, match="holds no session"):
        opened(disk, folder)
    (folder / NAME).write_bytes(b"something else\n")
    with pytest.raises(LocalProtocolError, match="no session journal"):
        opened(disk, folder)
    with pytest.raises(LocalProtocolError, match="already"):
        filled(disk, folder)
    (folder / NAME).unlink()
    (folder / NAME).symlink_to("/etc/passwd")
    with pytest.raises(LocalProtocolError, match="symbolic link"):
        opened(disk, folder)


ONE, TWO = len(frame(Kind.JOINED, b"one", 0)), len(frame(Kind.JOINED, b"two" * 10, 0))


@pytest.mark.parametrize("cut", range(1, ONE + TWO + 1))
def test_a_torn_record_is_cut_off(tmp_path: Path, cut: int) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    filled(disk, folder).close()
    size = (folder / NAME).stat().st_size
    os.truncate(folder / NAME, size - cut)
    journal, records = opened(disk, folder)
    assert records == FILLED[: 2 if cut <= TWO else 1]
    journal.append(Kind.ENDED, b"next")
    journal.sync()
    journal.close()
    assert opened(disk, folder)[1] == [*records, (Kind.ENDED, b"next")]


def test_zeros_behind_the_records_are_cut_off(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    filled(disk, folder).close()
    os.truncate(folder / NAME, (folder / NAME).stat().st_size + 4096)
    assert opened(disk, folder)[1] == FILLED
    assert (folder / NAME).stat().st_size < 4096


def decided(folder: Path) -> bytes:
    """The file of a journal with a decision between other records, each of which knows that those before it are on
    disk."""
    journal = filled(Disk(), folder)
    journal.append(Kind.ENDED, b"a decision")
    journal.sync()
    journal.append(Kind.JOINED, b"later")
    journal.sync()
    journal.close()
    return (folder / NAME).read_bytes()


def test_a_record_that_was_on_disk_and_is_damaged(tmp_path: Path) -> None:
    """Without it, the session would go on as if a message had not come, or a round had not ended."""
    folder = tmp_path / "state" / "session"
    data = decided(folder)
    first, later = data.index(b"setup") - HEAD_BYTES, data.index(b"later") - HEAD_BYTES
    for bit in range(8 * first, 8 * later):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / NAME).write_bytes(damaged)
        with pytest.raises(LocalProtocolError, match="damaged"):
            opened(Disk(), folder)
        assert (folder / NAME).read_bytes() == damaged


@pytest.mark.parametrize("size", [16, 512])
def test_zeros_where_records_were(tmp_path: Path, size: int) -> None:
    """As of a sector that was lost; the record at the end is whole."""
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    for number in range(40):
        journal.sync(journal.append(Kind.ENDED, os.urandom(30 + number)))
    journal.close()
    data = (folder / NAME).read_bytes()
    last = len(data) - len(frame(Kind.ENDED, bytes(69), 0))
    assert last > 2000
    for start in range(data.index(b"setup") - HEAD_BYTES, last - size, 16):
        (folder / NAME).write_bytes(data[:start] + bytes(size) + data[start + size :])
        with pytest.raises(LocalProtocolError, match="damaged"):
            opened(disk, folder)


def test_what_is_left_of_a_rewritten_journal(tmp_path: Path) -> None:
    """It was on disk before it had its name: a session that is over does not begin anew."""
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    journal.rewrite(lambda kind, _: kind is Kind.SETUP, [(Kind.OVER, b"how it went")])
    journal.close()
    data = (folder / NAME).read_bytes()
    for size in range(data.index(b"setup") - HEAD_BYTES, len(data)):
        (folder / NAME).write_bytes(data[:size])
        with pytest.raises(LocalProtocolError, match="damaged"):
            opened(disk, folder)


def test_a_sender_cannot_make_a_torn_record_look_like_damage(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    journal.sync(journal.append(Kind.MESSAGE, 3 * frame(Kind.ENDED, b"", ALL_DURABLE)))
    journal.close()
    os.truncate(folder / NAME, (folder / NAME).stat().st_size - 1)
    assert opened(disk, folder)[1] == FILLED


def test_records_that_were_written_at_once_may_be_torn_anywhere(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    journal.append(Kind.JOINED, b"three")
    journal.append(Kind.JOINED, b"four")
    journal.sync()
    journal.close()
    data = bytearray((folder / NAME).read_bytes())
    data[data.index(b"three")] ^= 1
    (folder / NAME).write_bytes(data)
    assert opened(disk, folder)[1] == FILLED


def test_an_unknown_kind_of_record_is_damage(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    filled(disk, folder).close()
    head = (0).to_bytes(4, "big") + b"\x63" + bytes(8)
    record = head + zlib.crc32(head).to_bytes(4, "big")
    with (folder / NAME).open("ab") as file:
        file.write(record + zlib.crc32(record).to_bytes(4, "big"))
    assert opened(disk, folder)[1] == FILLED


def test_a_rewritten_journal_keeps_what_it_is_told_to(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    journal.append(Kind.ENDED, b"waits")
    journal.rewrite(lambda kind, body: bytes(body) != b"one", [(Kind.OVER, b"new")])
    journal.append(Kind.JOINED, b"after")
    journal.sync()
    journal.close()
    expected = [FILLED[0], FILLED[2], (Kind.ENDED, b"waits"), (Kind.OVER, b"new"), (Kind.JOINED, b"after")]
    assert opened(disk, folder)[1] == expected


# One fsync for many.


def test_one_sync_serves_all_that_waited_for_the_one_before() -> None:
    disk = ForgetfulDisk()
    journal = filled(disk)
    before, count = disk.syncs, 40
    begin = threading.Barrier(count + 1)

    def write(number: int) -> None:
        begin.wait()
        journal.sync(journal.append(Kind.JOINED, b"%d" % number))

    real = journal._file.sync
    started, go_on = threading.Event(), threading.Event()

    def slow_sync() -> None:
        started.set()
        go_on.wait(60)
        real()

    journal._file.sync = slow_sync  # type: ignore[method-assign]
    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    begin.wait()
    started.wait(60)
    while journal._appended < count + 2:  # two of `filled`
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert disk.syncs - before == 2
    disk.cut()
    disk.restart(Memory.NOTHING)
    assert len(opened(disk)[1]) == 3 + count


def test_a_record_is_on_disk_once_sync_has_returned() -> None:
    disk = ForgetfulDisk()
    journal = filled(disk)
    place = journal.append(Kind.JOINED, b"three")
    journal.append(Kind.JOINED, b"four")
    journal.sync(place)
    disk.cut()
    with pytest.raises(PowerCut):
        journal.sync(journal.append(Kind.JOINED, b"five"))
    disk.restart(Memory.NOTHING)
    assert (Kind.JOINED, b"three") in opened(disk)[1]


def test_after_a_failure_nothing_more_is_promised() -> None:
    disk = ForgetfulDisk()
    journal = filled(disk)

    def fails(data: bytes | memoryview) -> None:
        raise OSError(28, "No space left on device")

    journal._file.write = fails  # type: ignore[method-assign]
    with pytest.raises(JournalFailed, match="No space left"):
        journal.sync(journal.append(Kind.JOINED, b"three"))
    del journal._file.write
    with pytest.raises(JournalFailed, match="No space left"):
        journal.append(Kind.JOINED, b"four")


def test_a_journal_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(ForgetfulDisk())
    monkeypatch.setattr(journals, "JOURNAL_BYTES", 300)
    with pytest.raises(JournalFailed, match="full"):
        journal.append(Kind.JOINED, bytes(300))
    journal.sync(journal.append(Kind.JOINED, bytes(3)))


# Bodies.


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 3 * INLINE_BYTES])
def test_bodies_in_their_record_or_in_a_file(tmp_path: Path, size: int) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    content = os.urandom(size)
    spool = journal.spool()
    for start in range(0, size, 1000):
        spool.write(content[start : start + 1000])
    body = spool.seal()
    assert spool.size == body.size == size
    assert (body.number > 0) == (size > INLINE_BYTES)
    journal.name(body)
    spool.discard()
    with journal.content(body) as view:
        assert view == content
        assert view.readonly
    assert len(list(folder.iterdir())) == 1 + (size > INLINE_BYTES)


def test_a_body_is_on_disk_before_its_record_is_made() -> None:
    disk = ForgetfulDisk()
    journal = filled(disk)
    spool = journal.spool()
    spool.write(bytes(INLINE_BYTES) + b"end")
    body = spool.seal()
    disk.cut()
    disk.restart(Memory.NOTHING)
    with opened(disk)[0].content(body) as view:
        assert bytes(view[-3:]) == b"end"


def test_a_body_that_is_another(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    spool = journal.spool()
    spool.write(bytes(INLINE_BYTES + 1))
    body = spool.seal()
    path = folder / f"body-{body.number:016x}"
    path.write_bytes(bytes(INLINE_BYTES) + b"\1")
    with pytest.raises(LocalProtocolError, match="damaged"), journal.content(body):
        pass
    path.write_bytes(bytes(INLINE_BYTES + 2))
    with pytest.raises(LocalProtocolError, match="damaged"), journal.content(body, check=False):
        pass
    path.unlink()
    with pytest.raises(LocalProtocolError, match="missing"), journal.content(body):
        pass


def test_a_body_that_no_record_names_is_removed() -> None:
    disk = ForgetfulDisk()
    journal = filled(disk)
    kept, given_up, left = (journal.spool() for _ in range(3))
    for spool in (kept, given_up, left):
        spool.write(bytes(INLINE_BYTES + 1))
    journal.name(kept.seal())
    given_up.discard()
    kept.discard()
    assert set(disk.sizes(FOLDER)) == {NAME, "body-0000000000000001", "body-0000000000000003"}
    left.seal()
    disk.restart(Memory.EVERYTHING)
    again, _ = opened(disk)
    again.name(Body(bytes(32), 0, 1, b""))
    again.clear()
    assert set(disk.sizes(FOLDER)) == {NAME, "body-0000000000000001"}
    spool = again.spool()
    spool.write(bytes(INLINE_BYTES + 1))
    assert spool.seal().number > 1


@pytest.mark.parametrize("end", ["failed", "closed"])
def test_a_journal_that_is_no_more_leaves_the_files_of_the_next(tmp_path: Path, end: str) -> None:
    """Another object goes on with the folder, and numbers its files alike."""
    disk, folder = Disk(), tmp_path / "state" / "session"
    old = filled(disk, folder)
    late, later = old.spool(), old.spool()
    late.write(bytes(INLINE_BYTES + 1))

    def fails() -> None:
        raise OSError(5, "Input/output error")

    if end == "failed":
        old._file.sync = fails  # type: ignore[method-assign]
        with pytest.raises(JournalFailed):
            old.sync(old.append(Kind.JOINED, b"three"))
    else:
        old.close()
    new, _ = opened(disk, folder)
    new.clear()
    spool = new.spool()
    spool.write(b"new" + bytes(INLINE_BYTES))
    body = spool.seal()
    assert body.number == 1
    late.discard()
    with pytest.raises(JournalFailed if end == "failed" else LocalProtocolError):
        later.write(bytes(INLINE_BYTES + 1))
    later.discard()
    with new.content(body) as view:
        assert bytes(view[:3]) == b"new"
    assert sorted(path.name for path in folder.iterdir()) == ["body-0000000000000001", NAME]


def test_a_closed_journal_is_not_rewritten(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    journal.close()
    before = (folder / NAME).read_bytes()
    with pytest.raises(LocalProtocolError, match="closed"):
        journal.rewrite(lambda kind, _: kind is Kind.SETUP, [(Kind.OVER, b"new")])
    assert (folder / NAME).read_bytes() == before


def test_a_file_is_closed_once(tmp_path: Path) -> None:
    """Its number may be another file's by the second time."""
    file = Disk().create(tmp_path / "file")
    number = file._descriptor
    file.close()
    other = os.open(tmp_path, os.O_RDONLY)
    try:
        os.dup2(other, number)
        file.close()
        os.fstat(number)
    finally:
        for each in {other, number}:
            os.close(each)


@pytest.mark.parametrize("step", ["write", "sync"])
def test_a_body_is_discarded_while_a_thread_works_with_it(tmp_path: Path, step: str) -> None:
    """As when a participant goes away: the descriptor may be another file's once it is closed."""
    disk, folder = Disk(), tmp_path / "state" / "session"
    journal = filled(disk, folder)
    spool = journal.spool()
    spool.write(bytes(INLINE_BYTES + 1))
    file = spool._file
    assert isinstance(file, DiskFile)
    real = getattr(file, step)

    def discarded_meanwhile(*arguments: bytes) -> None:
        spool.discard()
        assert len(list(folder.iterdir())) == 2
        real(*arguments)

    setattr(file, step, discarded_meanwhile)
    if step == "write":
        spool.write(b"more")
    else:
        assert spool.seal().size == INLINE_BYTES + 1
    assert [path.name for path in folder.iterdir()] == [NAME]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(file._descriptor)
    for act in (lambda: spool.write(b"more"), spool.seal):
        with pytest.raises(LocalProtocolError, match="discarded"):
            act()
    spool.discard()
