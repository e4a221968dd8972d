"""Private state on disk: where it is, who may touch it, and what is there whenever the machine stops."""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from secagg import durable
from secagg.durable import Document, Log
from secagg.errors import LocalProtocolError

from .support.commands import Command
from .support.processes import at_once, ran, started

KIND = "test state"
State = Callable[[Path], str]


def document(path: Path, **options: Any) -> Document:
    return Document(path, KIND, **options)


def change(path: Path) -> str:
    """What a document held; it is one longer then."""
    with document(path).turn() as contents:
        before = (contents.body or b"").decode()
        contents.replace(before.encode() + b"x\n")
    return before


def log(path: Path, records: list[str] | None = None, **options: Any) -> Log:
    return Log(path, KIND, (records if records is not None else []).append, **options)


def add(path: Path) -> str:
    """What a log held, as a document's text; it is one longer then."""
    records: list[str] = []
    with log(path, records).turn() as append:
        before = "".join(f"{record}\n" for record in records)
        append("x")
    return before


def records_of(path: Path) -> list[str]:
    records: list[str] = []
    with log(path, records).turn():
        pass
    return records


BOTH = pytest.mark.parametrize("use", [change, add], ids=["document", "log"])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


# --- the place --------------------------------------------------------------------------------------------------


@BOTH
def test_all_names_lead_to_one_file(use: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, path = tmp_path / "folder", tmp_path / "folder" / "state"
    folder.mkdir()
    (tmp_path / "to_folder").symlink_to(folder)
    (tmp_path / "to_file").symlink_to("to_folder/state")
    monkeypatch.chdir(tmp_path)
    names = [path, tmp_path / "to_file", Path("to_file"), Path("folder/state"), tmp_path / "to_folder/../folder/state"]
    assert [use(name) for name in names] == ["x\n" * turn for turn in range(len(names))]
    assert sorted(os.listdir(folder)) == ["state", "state.lock"]
    assert (tmp_path / "to_file").is_symlink()


def test_a_relative_path_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    one, other = document(Path("state")), log(Path("log"))
    monkeypatch.chdir("elsewhere")
    with one.turn() as contents, other.turn() as append:
        contents.replace(b"x")
        append("x")
    assert os.listdir(".") == []
    assert one.path == tmp_path / "state"


@BOTH
def test_a_link_that_comes_later_is_refused(use: State, path: Path) -> None:
    use(path)
    made = document(path)
    path.rename(path.with_name("other"))
    path.symlink_to("other")
    with pytest.raises(LocalProtocolError, match="has become a symbolic link"), made.turn():
        pass


@BOTH
def test_a_pipe_is_refused_and_not_waited_for(use: State, path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(LocalProtocolError, match="is no regular file"):
        use(path)


# --- whose it is ------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_made_for_their_owner_alone(use: State, path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        use(path)
    finally:
        os.umask(before)
    assert [mode(file) for file in path.parent.iterdir()] == [0o600, 0o600]


@BOTH
@pytest.mark.parametrize("wide", [0o644, 0o660, 0o604])
def test_files_that_others_may_read_are_tightened_when_they_are_opened(use: State, path: Path, wide: int) -> None:
    use(path)
    for file in path.parent.iterdir():
        file.chmod(wide)
    with document(path).turn() if use is change else log(path).turn():
        assert [mode(file) for file in path.parent.iterdir()] == [0o600, 0o600]


@BOTH
@pytest.mark.parametrize("wide", [0o1777, 0o777, 0o770, 0o702, 0o720])
def test_a_folder_that_others_may_write_to_is_refused(use: State, path: Path, wide: int) -> None:
    use(path)
    path.parent.chmod(wide)
    before = path.read_bytes()
    with pytest.raises(LocalProtocolError, match=r"others may write to the folder .*: chmod go-w"):
        use(path)
    with pytest.raises(LocalProtocolError, match="others may write"):
        durable.adopt(path)
    path.parent.chmod(0o755)
    assert path.read_bytes() == before
    use(path)


def given_away(path: Path, patch: pytest.MonkeyPatch) -> None:
    """The file or folder belongs to another user than the one who runs this."""
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        user = os.geteuid()
        patch.setattr(os, "geteuid", lambda: user + 1)


@BOTH
@pytest.mark.parametrize("what", [".", "state", "state.lock"])
def test_what_belongs_to_another_user_is_refused(
    use: State, path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(path)
    given_away(path.parent / what, monkeypatch)
    with pytest.raises(LocalProtocolError, match="belongs to another user"):
        use(path)


@BOTH
def test_a_second_name_is_refused(use: State, path: Path) -> None:
    use(path)
    path.with_name("second").hardlink_to(path)
    for name in (path, path.with_name("second")):
        with pytest.raises(LocalProtocolError, match="has 2 names"):
            use(name)
        with pytest.raises(LocalProtocolError, match="has 2 names"):
            durable.adopt(name)
    path.with_name("second").unlink()
    assert use(path) == "x\n"


# --- copies -----------------------------------------------------------------------------------------------------


@BOTH
def test_a_copy_is_refused_until_it_is_adopted_by_name(use: State, path: Path) -> None:
    use(path)
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    before = copy.read_bytes()
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=f"is a copy, .*: secagg adopt {copy}$"):
            use(copy)
    assert copy.read_bytes() == before
    assert Command().run("adopt", copy) == f"{copy}: this test state is used from now on\n"
    assert [use(copy), use(copy), use(path)] == ["x\n", "x\nx\n", "x\n"]
    assert mode(copy) == 0o600


@BOTH
def test_a_backup_that_takes_the_place_is_refused(use: State, path: Path) -> None:
    use(path)
    shutil.copy2(path, path.with_name("backup"))
    use(path)
    path.with_name("backup").replace(path)
    with pytest.raises(LocalProtocolError, match="is a copy"):
        use(path)


@BOTH
def test_a_file_that_is_renamed_is_still_itself(use: State, path: Path) -> None:
    use(path)
    path.rename(path.with_name("renamed"))
    assert use(path.with_name("renamed")) == "x\n"


@pytest.mark.parametrize("content", [b"", b"x\n", b"\x00" * 100])
def test_what_has_no_mark_is_not_adopted(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert Command().refused("adopt", path) == f"{path} is no file of private state"
    assert path.read_bytes() == content


def test_what_is_not_there_is_not_adopted(path: Path) -> None:
    assert Command().refused("adopt", path).endswith("state: No such file or directory")


@BOTH
def test_another_kind_of_state_is_refused(use: State, path: Path) -> None:
    with Document(path, "foreign state").turn() as contents:
        contents.replace(b"x\n")
    with pytest.raises(LocalProtocolError, match="is a foreign state and not a test state"):
        use(path)


@BOTH
@pytest.mark.parametrize(
    "damage",
    [lambda mark: mark.replace(b"version 1", b"version 2"), lambda mark: mark[:-1] + b" \n",
     lambda mark: mark[:-1], lambda mark: mark.replace(b"device ", b"device -"), lambda mark: mark[:10] + b"\n"],
)  # fmt: skip
def test_a_damaged_mark_is_refused(use: State, path: Path, damage: Callable[[bytes], bytes]) -> None:
    use(path)
    mark = path.read_bytes().partition(b"\n")[0] + b"\n"
    path.write_bytes(damage(mark))
    with pytest.raises(LocalProtocolError, match="is damaged, or of a newer program"):
        use(path)


@BOTH
@pytest.mark.parametrize("content", [b"", b"x\n", b"x"])
def test_a_file_without_mark_is_refused(use: State, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LocalProtocolError, match="is no test state"):
        use(path)
    assert path.read_bytes() == content


def test_an_old_document_says_so(path: Path) -> None:
    path.write_bytes(b"old")
    for marked in (False, True):
        with document(path, unmarked=True).turn() as contents:
            assert (contents.body, contents.marked) == (b"old", marked)
            contents.replace(b"old")
    with document(path).turn() as contents:
        assert contents.body == b"old"


def test_an_old_log_gets_its_mark_when_it_is_opened(path: Path) -> None:
    path.write_bytes(b"1\n2\ntorn")
    records: list[str] = []
    old = log(path, records, unmarked=True)
    for _ in range(2):
        with old.turn() as append:
            append("more")
    assert records == ["1", "2", "more", "more"] == records_of(path)


def test_what_is_no_old_log_is_left_alone(path: Path) -> None:
    path.write_bytes(b"no line at all")
    with pytest.raises(LocalProtocolError, match="is no test state"), log(path, unmarked=True).turn():
        pass
    assert path.read_bytes() == b"no line at all"


# --- while it is in use -----------------------------------------------------------------------------------------


def used_document(path: Path) -> Callable[[], None]:
    made = document(path)

    def use() -> None:
        with made.turn() as contents:
            contents.replace(b"x\n")

    return use


def used_log(path: Path) -> Callable[[], None]:
    made = log(path)

    def use() -> None:
        with made.turn() as append:
            append("x")

    return use


@pytest.mark.parametrize("made", [used_document, used_log])
@pytest.mark.parametrize("by", ["itself", "another"])
def test_a_file_that_is_removed_in_use_is_not_made_anew(
    made: Callable[[Path], Callable[[], None]], path: Path, by: str
) -> None:
    use = made(path)
    if by == "another":
        made(path)()
    use()
    path.unlink()
    with pytest.raises(LocalProtocolError, match="was removed or replaced while it was in use"):
        use()
    assert not path.exists()


def test_a_log_that_is_replaced_or_shortened_in_use_is_refused(path: Path) -> None:
    use = used_log(path)
    use()
    whole = path.read_bytes()
    os.truncate(path, len(whole) - 1)
    with pytest.raises(LocalProtocolError, match="shorter than it was"):
        use()
    path.write_bytes(whole)
    use()
    durable.adopt(path)
    with pytest.raises(LocalProtocolError, match="was removed or replaced"):
        use()


def test_a_document_is_removed_with_its_lock_and_what_a_crash_has_left(path: Path, events: list[str]) -> None:
    """The file first, the lock last; both are gone from the disk when it returns. It can be made anew."""
    change(path)
    path.with_name("state.new").write_bytes(b"x")
    events.clear()
    opened = document(path)
    with opened.turn() as contents:
        events.clear()
        contents.remove()
        assert events == ["folder"] * 3
        assert os.listdir(path.parent) == []
    with pytest.raises(LocalProtocolError, match="was removed or replaced"), opened.turn():
        pass
    assert change(path) == ""


def test_who_waits_for_a_document_that_is_removed_does_not_go_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock is of a file without a name, which excludes nobody."""
    change(path)
    opened, refused, flock = Event(), list[str](), fcntl.flock

    def noted(lock: int, operation: int) -> None:
        opened.set()
        flock(lock, operation)

    def wait() -> None:
        try:
            change(path)
        except LocalProtocolError as error:
            refused.append(str(error))

    thread = Thread(target=wait)
    with document(path).turn() as contents:
        monkeypatch.setattr(fcntl, "flock", noted)
        thread.start()
        opened.wait()  # it has the file of the lock open, and waits, or is about to
        contents.remove()
    thread.join()
    assert refused == [f"{path}.lock was removed meanwhile: start again"]
    assert change(path) == ""


# --- bounds -----------------------------------------------------------------------------------------------------


def test_a_document_beyond_its_limit_is_neither_read_nor_written(path: Path) -> None:
    with document(path).turn() as contents:
        contents.replace(bytes(1000))
    with pytest.raises(LocalProtocolError, match="a test state has 800 at most"), document(path, limit=800).turn():
        pass
    with (
        document(path, limit=1000).turn() as contents,
        pytest.raises(LocalProtocolError, match="is full: it has 1,000 bytes"),
    ):
        contents.replace(bytes(500), bytes(501))
    with document(path).turn() as contents:
        assert contents.body == bytes(1000)


def test_a_document_in_parts_is_read_as_one_in_its_turn_alone(path: Path) -> None:
    with document(path).turn() as contents:
        assert not contents.begins_with(b"")  # there is no file
        contents.replace(b"head", b"body")
    with document(path).turn() as contents:
        assert contents.begins_with(b"headb")
        assert not contents.begins_with(b"headB")
        assert not contents.begins_with(b"headbody and more")
        contents.replace(b"new")
        assert contents.body == b"headbody"
    with document(path).turn() as unread:
        pass
    with pytest.raises(ValueError, match="closed"):  # another file may have its descriptor by now
        _ = unread.body


def test_a_log_beyond_its_limit_is_neither_read_nor_written(path: Path) -> None:
    with log(path, limit=200).turn() as append:
        append("0123456789" * 10)
        with pytest.raises(LocalProtocolError, match="is full"):
            append("0123456789" * 10)
    assert len(records_of(path)) == 1
    with log(path).turn() as append:
        for _ in range(30):
            append("0123456789")
    with pytest.raises(LocalProtocolError, match="a test state has 200 at most"), log(path, limit=200).turn():
        pass


@pytest.mark.parametrize("record", ["", "a\nb", "a\rb", "\x00", "caf\u00e9", "a\u2028b", "\t"])
def test_a_record_is_a_line_of_printable_ascii(path: Path, record: str) -> None:
    with log(path).turn() as append, pytest.raises(LocalProtocolError, match="a record must be a line"):
        append(record)
    assert not path.exists()


@pytest.mark.parametrize("line", [b"caf\xc3\xa9\n", b"\xff\n", b"\n\n"])
def test_what_is_no_record_is_refused_each_time(path: Path, line: bytes) -> None:
    def take(record: str) -> None:
        if not record:
            raise ValueError(record)

    add(path)
    path.write_bytes(path.read_bytes() + line)
    before, opened = path.read_bytes(), Log(path, KIND, take)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="is no test state"), opened.turn():
            pass
    assert path.read_bytes() == before


def test_a_bounded_read_takes_regular_files_only(path: Path) -> None:
    assert durable.read(path, 3) is None
    path.write_bytes(b"abc")
    assert durable.read(path, 3) == b"abc"
    with pytest.raises(LocalProtocolError, match="has 3 bytes: 2 at most are read"):
        durable.read(path, 2)
    for name, make in (("folder", os.mkdir), ("pipe", os.mkfifo)):
        make(path.with_name(name))
        with pytest.raises(LocalProtocolError, match="no regular file"):
            durable.read(path.with_name(name), 2)


# --- crashes ----------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The machine stops."""


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and replaced from now on, in its order."""
    seen: list[str] = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(file: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    def logged_replace(*names: Any, **folders: Any) -> None:
        seen.append("replace")
        replace(*names, **folders)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    return seen


def test_a_document_is_on_disk_before_it_has_its_name_and_the_name_before_the_turn_ends(
    path: Path, events: list[str]
) -> None:
    opened = document(path)
    for _ in range(2):
        with opened.turn() as contents:
            contents.replace(b"x")
        assert events == ["file", "replace", "folder"]
        events.clear()


def test_a_record_is_on_disk_before_append_returns(path: Path, events: list[str]) -> None:
    opened = log(path)
    with opened.turn() as append:
        append("1")
        assert events == ["file", "replace", "folder", "file"]
    events.clear()
    with opened.turn() as append:
        assert events == []
        append("2")
        assert events == ["file"]


@BOTH
def test_what_another_has_written_is_on_disk_before_it_counts(use: State, path: Path, events: list[str]) -> None:
    """Whoever wrote it may have died before its own fsync: of a record, of the name of a file that it made."""
    use(path)
    events.clear()
    opened = document(path) if use is change else log(path)
    with opened.turn():
        assert events == (["folder"] if use is change else ["folder", "file"])
    events.clear()
    with opened.turn():
        assert events == []
    use(path)
    events.clear()
    with opened.turn():
        assert events == (["folder"] if use is change else ["file"])


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_document_is_the_old_or_the_new_one_whenever_the_machine_stops(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str, call: int
) -> None:
    change(path)
    real, calls = getattr(os, step), 0

    def stops(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Crash
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, stops)
        patch.setattr(os, "unlink", lambda *_, **__: None)  # a crash tidies nothing up
        with suppress(Crash):
            change(path)
    done = calls < call or (step == "fsync" and call == 3)  # else the name was not changed
    assert change(path) == ("x\nx\n" if done else "x\n")
    assert sorted(os.listdir(path.parent)) == ["state", "state.lock"]


@pytest.mark.parametrize("filled", [False, True], ids=["cut", "with zeros for the rest"])
def test_an_append_that_is_cut_at_any_byte_was_not_made(path: Path, filled: bool) -> None:
    """A file system may also have the new length on disk, and not what is in it."""
    first, second, third = "1" * 40, "2" * 40, "3" * 40
    with log(path).turn() as append:
        append(first)
        before = path.read_bytes()
        append(second)
    whole = path.read_bytes()
    for cut in range(len(before), len(whole)):
        torn = whole[:cut] + (bytes(len(whole) - cut) if filled else b"")
        with path.open("r+b") as file:  # the same file
            file.truncate()
            file.write(torn)
        seen: list[str] = []
        with log(path, seen).turn() as append:
            assert seen == [first]
            append(third)
        assert records_of(path) == [first, third]
        os.truncate(path, len(whole))


def test_a_line_whose_beginning_never_reached_the_disk_was_not_appended(path: Path) -> None:
    with log(path).turn() as append:
        append("1")
    before = path.read_bytes()
    path.write_bytes(before + b"\0\0\0\0 its end\n")
    assert records_of(path) == ["1"]
    assert path.read_bytes() == before
    path.write_bytes(before + b"\0\0\n2\n")  # nothing that a crash leaves
    with pytest.raises(LocalProtocolError, match="is no test state"):
        Log(path, KIND, int).turn().__enter__()


def test_a_record_that_the_disk_did_not_take_is_not_in_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[str] = []
    opened = log(path, records)
    with opened.turn() as append:
        append("1")
    before, write = path.read_bytes(), os.write

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    def takes_a_byte(file: int, data: bytes) -> None:
        write(file, data[:1])
        fails(file)

    for name, replacement in (("fsync", fails), ("write", takes_a_byte)):
        with monkeypatch.context() as patch, opened.turn() as append:
            patch.setattr(os, name, replacement)
            with pytest.raises(OSError, match="Input/output"):
                append("2")
        assert path.read_bytes() == before
    with opened.turn() as append:
        append("3")
    assert records == ["1", "3"] == records_of(path)


VICTIM = """
import sys
from secagg.durable import Document, Log
kind, path = sys.argv[1:]
log = Log(path, "test state", lambda record: None)
document = Document(path, "test state")
for number in range(1_000_000):
    if kind == "log":
        with log.turn() as append:
            append(str(number))
    else:
        with document.turn() as contents:
            contents.replace(b"%d" % number)
    print(number, flush=True)
"""


@pytest.mark.parametrize("kind", ["log", "document"])
@pytest.mark.parametrize("lines", [1, 7, 40])
def test_what_was_acknowledged_outlives_a_kill(path: Path, kind: str, lines: int) -> None:
    with started(sys.executable, "-c", VICTIM, kind, path, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        heard = [int(victim.stdout.readline()) for _ in range(lines)]
        victim.kill()
        heard += [int(line) for line in victim.stdout.read().splitlines()]
    if kind == "log":
        written = [int(record) for record in records_of(path)]
        assert written in (heard, [*heard, heard[-1] + 1])
        return
    with document(path).turn() as contents:
        assert contents.body is not None
        assert int(contents.body) in (heard[-1], heard[-1] + 1)


# --- at once ----------------------------------------------------------------------------------------------------


def _count_in_a_document(path: Path, start: Barrier) -> list[int]:
    made, numbers = document(path), []
    start.wait()
    for _ in range(40):
        with made.turn() as contents:
            numbers.append(int(contents.body or b"0"))
            contents.replace(b"%d" % (numbers[-1] + 1))
    return numbers


def _count_in_a_log(path: Path, start: Barrier) -> list[int]:
    seen: list[str] = []
    made, numbers = log(path, seen), []
    start.wait()
    for _ in range(40):
        with made.turn() as append:
            numbers.append(len(seen))
            append(str(len(seen)))
    return numbers


@pytest.mark.parametrize("count", [_count_in_a_document, _count_in_a_log])
def test_processes_take_turns_whatever_name_they_use(path: Path, count: Callable[[Path, Barrier], list[int]]) -> None:
    path.with_name("link").symlink_to(path)
    names = [path, path.with_name("link"), path.parent / "." / "state"]
    counted = at_once(count, names)
    assert sorted(number for numbers in counted for number in numbers) == list(range(120))


@BOTH
def test_a_turn_holds_the_lock_to_its_end(use: State, path: Path) -> None:
    use(path)
    with path.with_name("state.lock").open() as lock:
        with document(path).turn() if use is change else log(path).turn(), pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


FORKS = """
import os, signal, sys
from secagg.durable import Document
document = Document(sys.argv[1], "test state")
with document.turn() as contents:
    child = os.fork()
    if child == 0:
        os.close(1)
        os.close(2)
        signal.alarm(100)  # should nobody end it
        signal.pause()
    contents.replace(b"x")
with document.turn() as contents:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(contents.body)
"""


def test_a_child_that_is_forked_in_a_turn_does_not_keep_the_lock(path: Path) -> None:
    done = ran(sys.executable, "-c", FORKS, path)
    assert (done.stdout, done.stderr) == (b"b'x'\n", b"")


def test_a_turn_that_fails_lets_others_go_on(path: Path) -> None:
    for made in (document(path), log(path)):
        with pytest.raises(Crash), made.turn():
            raise Crash
    assert change(path) == ""


# --- new files and folders --------------------------------------------------------------------------------------


def test_a_new_file_is_on_disk_with_its_name(path: Path, events: list[str]) -> None:
    durable.create(path, b"abc")
    assert (path.read_bytes(), mode(path), events) == (b"abc", 0o600, ["file", "folder"])
    with pytest.raises(FileExistsError):
        durable.create(path, b"")


@pytest.mark.parametrize("step", ["_write", "os.fsync", "os.link"])
def test_a_new_file_is_whole_or_not_there(path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine stops before the step: the name is free, or leads to all of the content."""

    class Stop(BaseException):
        """Of the machine: nothing is tidied up."""

    def stop(*arguments: object) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(f"secagg.durable.{step}", stop)
        patch.setattr("secagg.durable.os.unlink", lambda path: None)
        with pytest.raises(Stop):
            durable.create(path, b"abc")
    assert not path.exists()
    durable.create(path, b"abc")
    assert path.read_bytes() == b"abc"
    assert path.stat().st_nlink == 1


def test_a_new_file_takes_the_place_of_no_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))
    with pytest.raises(FileExistsError):
        durable.create(path, b"abc")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_new_folders_are_their_owners_alone_and_on_disk(tmp_path: Path, events: list[str]) -> None:
    durable.make_folder(tmp_path / "a/b/c")
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert events == ["folder"] * 3
    durable.make_folder(tmp_path / "a/b/c")
    assert len(events) == 3
