"""Attacks that fork a party's private state, or have it forget: a budget spent twice, a nonce or a release used twice.

Nobody needs to lie for these: a link, a change of directory, a mounted key or a restored file is enough. What a DAP
store does without its journal is in `test_dap_journal`.
"""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Barrier

import pytest

from secagg import Identity, LocalProtocolError
from secagg.dap.messages import Interval
from secagg.dap.store.journal import Entry, Journal
from secagg.dp import BudgetExceeded, Ledger, PureDp

from ..support.commands import Command
from ..support.processes import at_once

COST = PureDp("0.8")
NONCE, OTHER = bytes(16), bytes([1]) * 16
TASK = bytes(32)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# A budget spent twice.


def spend(path: Path, batch: str) -> bool:
    """Spend 0.8 of a total of 1."""
    try:
        Ledger(PureDp(1), path).spend(COST, batch)
    except BudgetExceeded:
        return False
    return True


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.json"


@pytest.mark.parametrize("there", [False, True], ids=["a new file", "a file"])
def test_a_ledger_behind_a_symlink_spends_once(ledger: Path, there: bool) -> None:
    link, link_to_link = ledger.with_name("link"), ledger.with_name("link2")
    link.symlink_to("ledger.json")
    link_to_link.symlink_to(link)
    if there:
        Ledger(PureDp(1), ledger).spend(PureDp("0.1"), "before")
    assert [spend(path, str(path)) for path in (link, ledger, link_to_link)] == [True, False, False]
    assert link.is_symlink()
    assert link_to_link.is_symlink()
    assert Ledger(PureDp(1), link).path == ledger


def test_a_ledger_in_a_folder_behind_a_symlink_spends_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert [spend(tmp_path / name / "ledger", name) for name in ("link", "real")] == [True, False]


def test_a_ledger_of_a_relative_path_spends_once_whatever_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(PureDp(1), Path("ledger.json"))
    ledger.spend(PureDp("0.6"), "a")
    monkeypatch.chdir("elsewhere")
    with pytest.raises(BudgetExceeded):
        ledger.spend(PureDp("0.6"), "b")
    assert os.listdir(".") == []
    assert list(ledger.spent) == ["a"]


def test_a_copy_of_a_ledger_spends_nothing_until_it_is_adopted(ledger: Path) -> None:
    spend(ledger, "a")
    copy = ledger.with_name("copy")
    shutil.copy(ledger, copy)
    with pytest.raises(LocalProtocolError, match=r"copy is a copy, .*secagg adopt"):
        spend(copy, "b")
    Command().run("adopt", copy)
    assert not spend(copy, "b")


def test_a_ledger_restored_from_a_backup_spends_nothing(ledger: Path, tmp_path: Path) -> None:
    spend(ledger, "a")
    shutil.copy(ledger, tmp_path / "backup")
    ledger.unlink()
    shutil.copy(tmp_path / "backup", tmp_path / "other")  # so that the old inode is not given out again
    (tmp_path / "backup").rename(ledger)
    with pytest.raises(LocalProtocolError, match="is a copy"):
        spend(ledger, "b")


def test_a_ledger_with_a_hard_link_spends_nothing(ledger: Path) -> None:
    spend(ledger, "a")
    ledger.with_name("second").hardlink_to(ledger)
    for name in (ledger, ledger.with_name("second")):
        with pytest.raises(LocalProtocolError, match="has 2 names"):
            spend(name, "b")


def test_a_ledger_that_is_removed_in_use_is_not_begun_anew(ledger: Path) -> None:
    mine = Ledger(PureDp(1), ledger)
    mine.spend(COST, "a")
    ledger.unlink()
    with pytest.raises(LocalProtocolError, match="was removed or replaced while it was in use"):
        mine.spend(COST, "b")


def test_a_ledger_is_its_owners_alone(ledger: Path) -> None:
    before = os.umask(0)
    try:
        spend(ledger, "a")
        assert {mode(file) for file in ledger.parent.iterdir()} == {0o600}
        ledger.chmod(0o644)
        Ledger(PureDp(1), ledger)
    finally:
        os.umask(before)
    assert mode(ledger) == 0o600
    ledger.parent.chmod(0o1777)
    with pytest.raises(LocalProtocolError, match="others may write to the folder"):
        spend(ledger, "b")


def _race(task: tuple[Path, int], start: Barrier) -> int:
    path, first = task
    total, taken = PureDp(1), 0
    start.wait()
    for batch in range(first, first + 10):
        try:
            Ledger(total, path).spend(PureDp("0.1"), str(batch))
            taken += 1
        except BudgetExceeded:
            pass
    return taken


def test_processes_that_know_a_ledger_by_other_names_keep_to_one_total(ledger: Path) -> None:
    link = ledger.with_name("link")
    link.symlink_to("ledger.json")
    taken = at_once(_race, [(ledger, 0), (link, 10), (ledger.parent / "." / "link", 20)])
    assert sum(taken) == len(Ledger(PureDp(1), ledger).spent) == 10


# A nonce used twice.


def claims(path: Path, state: Path | None = None, nonce: bytes = NONCE) -> bool:
    identity = Identity.load(path) if state is None else Identity.load(path, state=state)
    try:
        identity.claim(nonce)
    except LocalProtocolError as error:
        if "with this nonce already" not in str(error):
            raise
        return False
    return True


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "user.key"
    path.parent.mkdir()
    Identity.generate().save(path)
    return path


def test_a_key_behind_a_symlink_claims_a_nonce_once(key: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(key)
    assert [claims(path) for path in (link, key)] == [True, False]
    assert [claims(path, nonce=OTHER) for path in (key, link)] == [True, False]


def test_a_key_of_a_relative_path_claims_a_nonce_once_whatever_the_directory(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(key.parent)
    identity = Identity.load(Path("user.key"))
    identity.claim(NONCE)
    monkeypatch.chdir(tmp_path)
    identity.claim(OTHER)
    monkeypatch.chdir(key.parent)
    assert [claims(Path("user.key"), nonce=nonce) for nonce in (NONCE, OTHER)] == [False, False]


def mounted(folder: Path, version: str, pem: bytes) -> Path:
    """A secret as orchestrators mount it: a link to a link into a folder of this version, which goes at rotation."""
    (folder / version).mkdir(parents=True)
    (folder / version / "user.key").write_bytes(pem)
    (folder / version / "user.key").chmod(0o400)
    (folder / "..new").symlink_to(version)
    (folder / "..new").replace(folder / "..data")
    if not (folder / "user.key").is_symlink():
        (folder / "user.key").symlink_to("..data/user.key")
    return folder / "user.key"


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_a_mounted_key_claims_a_nonce_once_across_rotations(
    key: Path, tmp_path: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, pem = tmp_path / "made" / "for" / "it", key.read_bytes()
    if by == "variable":
        monkeypatch.setenv("XDG_STATE_HOME", str(state))
    path = mounted(tmp_path / "mount", "..1", pem)
    given = state if by == "argument" else None
    opened = Identity.load(path, state=given)
    opened.claim(NONCE)
    mounted(tmp_path / "mount", "..2", pem)
    shutil.rmtree(tmp_path / "mount" / "..1")
    opened.claim(OTHER)
    assert [claims(path, given, nonce) for nonce in (NONCE, OTHER)] == [False, False]
    assert sorted(os.listdir(tmp_path / "mount" / "..2")) == ["user.key"]
    folder = state if by == "argument" else state / "secagg"
    assert {mode(file) for file in folder.iterdir()} == {0o600}
    assert mode(folder) == mode(state) == 0o700


def test_copies_of_a_key_share_their_nonces_in_a_state_folder(key: Path, tmp_path: Path) -> None:
    shutil.copy(key, tmp_path / "copy")
    assert [claims(path, tmp_path / "state") for path in (key, tmp_path / "copy")] == [True, False]
    Identity.generate().save(tmp_path / "other")
    assert claims(tmp_path / "other", tmp_path / "state")


def test_a_relative_state_home_does_not_count(key: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for home in ("state", ""):
        monkeypatch.setenv("XDG_STATE_HOME", home)
        claims(key)
    assert os.listdir(tmp_path) == ["keys"]


def test_nonces_of_older_versions_are_not_claimed_again(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand beside the name that was given, or beside the file that it leads to."""
    link = tmp_path / "link.key"
    link.symlink_to(key)
    key.with_name("user.key.nonces").write_text(NONCE.hex() + "\n")
    link.with_name("link.key.nonces").write_text(OTHER.hex() + "\n")
    monkeypatch.chdir(tmp_path)
    for state in (None, tmp_path / "state"):
        assert not claims(key, state)
        assert [claims(path, state, nonce) for path in (link, Path("link.key")) for nonce in (NONCE, OTHER)] == [
            False
        ] * 4
    assert claims(link, nonce=bytes([2]) * 16)


def test_nonces_are_not_claimed_again_where_the_state_folder_was_chosen_later(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert claims(key)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    assert [claims(key), claims(key, nonce=OTHER)] == [False, True]
    assert [claims(key, tmp_path / "state", nonce) for nonce in (NONCE, OTHER)] == [False, False]


@pytest.mark.parametrize("why", ["a file in its place", "others may write", "read-only"])
def test_a_key_whose_nonces_cannot_be_written_down_joins_nothing(
    key: Path, tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    if why == "a file in its place":
        state.write_text("")
    else:
        state.mkdir()
        state.chmod(0o777)
    if why == "read-only":
        state.chmod(0o500)
        opened = os.open

        def read_only(path: str, flags: int, *arguments: int, **folder: int) -> int:
            if flags & os.O_CREAT:
                raise OSError(30, "Read-only file system")
            return opened(path, flags, *arguments, **folder)

        monkeypatch.setattr(os, "open", read_only)
    identity = Identity.load(key, state=state)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=r"cannot note a nonce .*set XDG_STATE_HOME|others may write"):
            identity.claim(NONCE)


def test_a_copy_of_the_nonces_claims_nothing_until_it_is_adopted(key: Path, tmp_path: Path) -> None:
    assert claims(key, tmp_path / "state")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    with pytest.raises(LocalProtocolError, match="is a copy"):
        claims(key, tmp_path / "copy", OTHER)
    (file,) = (tmp_path / "copy").glob("*.nonces")
    Command().run("adopt", file)
    assert [claims(key, tmp_path / "copy", nonce) for nonce in (NONCE, OTHER)] == [False, True]


def _claims_once(task: tuple[Path, Path], start: Barrier) -> int:
    path, state = task
    start.wait()
    return sum(claims(path, state, bytes([number]) * 16) for number in range(20))


def test_processes_that_know_a_key_by_other_names_claim_each_nonce_once(key: Path, tmp_path: Path) -> None:
    link, state = tmp_path / "link", tmp_path / "state"
    link.symlink_to(key)
    shutil.copy(key, tmp_path / "copy")
    claimed = at_once(_claims_once, [(path, state) for path in (key, link, tmp_path / "copy")])
    assert sum(claimed) == 20


# A release made twice.


def entry(start: int, digest: int = 0) -> Entry:
    return Entry(Interval(start, 2).encode(), bytes([digest]) * 32)


@pytest.mark.parametrize(
    "lost", [Path.unlink, lambda path: path.replace(path.with_name("elsewhere"))], ids=["removed", "moved away"]
)
def test_a_journal_that_is_removed_in_use_allows_nothing(tmp_path: Path, lost: Callable[[Path], object]) -> None:
    journal = Journal(tmp_path / "journal")
    journal.add(TASK, entry(10))
    lost(tmp_path / "journal")
    for act in (lambda: journal.allows(TASK, entry(10, 1)), lambda: journal.add(TASK, entry(10, 1))):
        with pytest.raises(LocalProtocolError, match="was removed or replaced"):
            act()
    assert not (tmp_path / "journal").exists()


def test_a_journal_behind_a_symlink_or_a_relative_path_allows_a_release_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to("journal")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    relative = Journal(Path("journal"))
    monkeypatch.chdir("elsewhere")
    relative.add(TASK, entry(10))
    for path in (tmp_path / "journal", tmp_path / "link"):
        assert not Journal(path).allows(TASK, entry(11))
    assert os.listdir(".") == []


def test_a_copy_of_a_journal_allows_nothing_until_it_is_adopted(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").add(TASK, entry(10))
    shutil.copy(tmp_path / "journal", tmp_path / "copy")
    with pytest.raises(LocalProtocolError, match="is a copy"):
        Journal(tmp_path / "copy")
    Command().run("adopt", tmp_path / "copy")
    assert not Journal(tmp_path / "copy").allows(TASK, entry(11))
