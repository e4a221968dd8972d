"""Attacks on a client's state on disk: two processes at once, crashes, copies, backups.

Whoever has two different answers to one round may have both shares of one user, or y_u under two sets of masks. Where a
second state cannot be seen, an equal request must still give equal bytes, and no key may encrypt a second plaintext.
"""

import itertools
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg import Client, Identity, LocalProtocolError, Model, RemoteProtocolError
from secagg.primitives import seal
from secagg.protocol import ciphertexts, saved

from ..support.folders import ROOT
from ..support.processes import at_once, ran
from ..support.saved import KEY, KEYS, ROSTER, FileCounter, MemoryCounter, Recorded, put_back, recorded

both_models = pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
every_round = pytest.mark.parametrize(
    ("model", "answered"),
    [(model, answered) for model in Model for answered in range(1, recorded(model).rounds)],
    ids=lambda value: value.name.lower() if isinstance(value, Model) else str(value),
)
WENT_ON = "another process went on with this state: load it again"
ROLLBACK = r"is older than its counter: an earlier state was put back in its place \(rollback\)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "client"


# Two messages of one round at once.


def _answer_at_once(task: tuple[Path, Model, bool], start: Barrier) -> list[str]:
    """What one of the processes gets in each round: the answer, or the error."""
    folder, model, other = task
    session, got = recorded(model), []
    for answered in range(session.rounds):
        client = session.load(folder / str(answered))
        start.wait()
        try:
            request = (session.others if other else session.requests)[answered - 1]
            got.append((client.receive(request) if answered else client.start()).hex())
        except LocalProtocolError as error:
            assert client.finished
            got.append(str(error))
    return got


@both_models
def test_of_two_processes_with_two_messages_of_a_round_one_answers(model: Model, tmp_path: Path) -> None:
    session = recorded(model)
    for answered in range(session.rounds):
        session.at(tmp_path / str(answered), answered)
    by_process = at_once(_answer_at_once, [(tmp_path, model, False), (tmp_path, model, True), (tmp_path, model, False)])
    for answered, got in enumerate(zip(*by_process, strict=True)):
        answers = [bytes.fromhex(each) for each in got if WENT_ON not in each]
        assert len(answers) == 1
        client = session.load(tmp_path / str(answered))
        assert client.answer == answers[0]
        given = []
        for request in (session.requests[answered - 1], session.others[answered - 1]) if answered else ():
            with suppress(RemoteProtocolError):
                given.append(client.receive(request))
        assert given == (answers if answered else [])


@every_round
def test_a_client_that_was_loaded_twice_answers_once(model: Model, answered: int, path: Path) -> None:
    """The second object has ended; loaded again, it gives the first answer again, and no other."""
    session = recorded(model)
    session.at(path, answered)
    first, second = session.load(path), session.load(path)
    session.play(first, answered + 1)
    for request in (session.others[answered - 1], session.requests[answered - 1]):
        with pytest.raises(LocalProtocolError, match=WENT_ON if request in session.others else "has ended"):
            second.receive(request)
    again = session.load(path)
    with pytest.raises(RemoteProtocolError, match="has been answered"):
        again.receive(session.others[answered - 1])
    assert again.receive(session.requests[answered - 1]) == session.answers[answered]


def test_a_fork_of_equal_generation_is_noticed(path: Path) -> None:
    """The file was set back, and another process answered otherwise: its state has the generation of this one's."""
    session = recorded(Model.SEMI_HONEST)
    session.at(path, 1)
    before, mine = path.read_bytes(), session.load(path)
    session.play(mine, 2)
    put_back(path, before)
    session.load(path).receive(session.others[0])
    with pytest.raises(LocalProtocolError, match=WENT_ON):
        mine.receive(session.requests[1])


# Crashes between each pair of steps.


class Crash(BaseException):
    """The machine stops."""


def failing(step: str, number: int, error: type[BaseException]) -> Any:
    """A call to the system of which this one does not come to its end."""
    real, calls = getattr(os, step), itertools.count(1)

    def stops(*arguments: Any, **options: Any) -> Any:
        if next(calls) == number:
            raise error
        return real(*arguments, **options)

    return stops


@every_round
@pytest.mark.parametrize("error", [Crash, OSError], ids=["crash", "disk"])
def test_a_crash_at_any_call_leaves_the_round_answered_or_not(
    model: Model, answered: int, error: type[BaseException], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer left. If the state is on disk, the other request is refused; the true one gets the same bytes."""
    session = recorded(model)
    for step, number in (("write", 1), ("fsync", 1), ("replace", 1), ("fsync", 2)):
        at = path.with_name(f"client-{step}-{number}")
        session.at(at, answered)
        client = session.load(at)
        with monkeypatch.context() as patch:
            patch.setattr(os, step, failing(step, number, error))
            if error is Crash:
                patch.setattr(os, "unlink", lambda *_, **__: None)  # a crash tidies nothing up
            with pytest.raises(error):
                client.receive(session.requests[answered - 1])
        assert client.finished
        assert client.answer is None
        with pytest.raises(LocalProtocolError, match="has ended"):
            client.receive(session.requests[answered - 1])
        again = session.load(at)
        if (step, number) == ("fsync", 2):
            with pytest.raises(RemoteProtocolError, match="has been answered"):
                again.receive(session.others[answered - 1])
        assert again.receive(session.requests[answered - 1]) == session.answers[answered]
        session.play(again, session.rounds)


# write: of the file, one call. fsync: of the file, of the folder.
DEATHS = [("write", 1, "before"), ("fsync", 1, "before"), ("replace", 1, "before"), ("replace", 1, "after"),
          ("fsync", 2, "after"), ("advance", 1, "before"), ("advance", 1, "after"), ("print", 1, "before")]  # fmt: skip


def _died(folder: Path, model: Model, answered: int, call: str, number: int, when: str) -> None:
    done = ran(
        sys.executable, "-m", "tests.support.dying_client", folder, model.name, str(answered), call, str(number), when,
        cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (9, b""), done.stderr


@pytest.mark.parametrize(("call", "number", "when"), DEATHS)
def test_a_process_that_dies_has_answered_nothing_and_the_next_one_goes_on(
    call: str, number: int, when: str, tmp_path: Path
) -> None:
    """With a counter; the state on disk may be one ahead of it."""
    model, answered = Model.SEMI_HONEST, 2
    session, counter = recorded(model), FileCounter(tmp_path / "counter")
    session.at(tmp_path / "client", answered, counter=counter)
    _died(tmp_path, model, answered, call, number, when)
    written = call in ("advance", "print") or (call, when) in (("replace", "after"), ("fsync", "after"))
    assert counter.value() == answered + 1 + (call == "print" or (call, when) == ("advance", "after"))
    client = session.load(tmp_path / "client", counter=counter)
    assert client.answer == session.answers[answered - 1 + written]
    if written:
        with pytest.raises(RemoteProtocolError, match="has been answered"):
            client.receive(session.others[answered - 1])
    assert client.receive(session.requests[answered - 1]) == session.answers[answered]
    session.play(client, session.rounds)


@pytest.mark.parametrize(
    ("call", "number", "when", "claimed", "written"),
    [("write", 1, "before", False, False), ("fsync", 3, "after", True, False), ("replace", 2, "before", True, False),
     ("replace", 2, "after", True, True), ("advance", 1, "before", True, True)],
)  # fmt: skip
def test_a_process_that_dies_in_the_first_round_has_at_most_lost_the_session(
    call: str, number: int, when: str, claimed: bool, written: bool, tmp_path: Path
) -> None:
    """The nonce is claimed first: it is never used again, and between that and the write the session is lost."""
    session, counter = recorded(Model.ACTIVE), FileCounter(tmp_path / "counter")
    Identity(KEYS[1]).save(tmp_path / "user.key")
    session.saved(tmp_path / "client", counter=counter)
    _died(tmp_path, Model.ACTIVE, 0, call, number, when)
    identity = Identity.load(tmp_path / "user.key")
    client = session.load(tmp_path / "client", identity, counter=counter)
    assert client.answer == (session.answers[0] if written else None)
    if not written and claimed:
        with pytest.raises(LocalProtocolError, match="with this nonce already"):
            client.start()
        assert session.load(tmp_path / "client", identity, counter=counter).answer is None
        return
    session.play(client, session.rounds)
    with pytest.raises(LocalProtocolError, match="with this nonce already"):
        session.fresh(Identity.load(tmp_path / "user.key")).start()


# Copies.


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All that is encrypted meanwhile, for others and for the disk: no key and nonce meets a second plaintext."""
    seen: dict[bytes, set[bytes]] = defaultdict(set)

    def noted(key: bytes, plaintext: bytes) -> bytes:
        seen[key].add(plaintext)
        return seal(key, plaintext)

    class Disk:
        def __init__(self, key: bytes) -> None:
            self._real, self._key = AESGCM(key), key

        def encrypt(self, nonce: bytes, plaintext: bytes, clear: bytes) -> bytes:
            seen[self._key + nonce].add(plaintext + clear)
            return self._real.encrypt(nonce, plaintext, clear)

        def decrypt(self, nonce: bytes, sealed: bytes, clear: bytes) -> bytes:
            return self._real.decrypt(nonce, sealed, clear)

    with monkeypatch.context() as patch:
        patch.setattr(ciphertexts, "seal", noted)
        patch.setattr(saved, "AESGCM", Disk)
        yield
    assert seen
    assert {len(plaintexts) for plaintexts in seen.values()} == {1}


@every_round
def test_a_copy_answers_nothing_until_it_is_adopted(model: Model, answered: int, path: Path) -> None:
    session = recorded(model)
    session.at(path, answered)
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    with pytest.raises(LocalProtocolError, match=r"is a copy, .*secagg adopt"):
        session.load(copy)
    path.unlink()
    path.with_name("another file").write_bytes(b"")  # so that the old inode is not given out again
    copy.rename(path)
    with pytest.raises(LocalProtocolError, match="is a copy"):
        session.load(path)


@every_round
def test_a_copy_that_takes_the_place_while_a_client_uses_the_file_is_refused(
    model: Model, answered: int, path: Path
) -> None:
    session = recorded(model)
    session.at(path, answered)
    client, copy = session.load(path), path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)
    with pytest.raises(LocalProtocolError, match="is a copy"):
        client.receive(session.requests[answered - 1])
    assert client.finished


@both_models
def test_copies_of_every_round_give_equal_bytes_to_equal_requests(
    model: Model, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And to other requests what is unrelated: nothing is encrypted under a key that has served already."""
    session = recorded(model)
    copies: list[bytes] = []
    with watched(monkeypatch):
        client = session.saved(path)
        for answered in range(session.rounds):
            copies.append(path.read_bytes())
            session.play(client, answered + 1)
        for answered, copy in enumerate(copies):
            for request in (session.requests, session.others, session.requests):
                put_back(path, copy)
                client = session.load(path)
                got = client.receive(request[answered - 1]) if answered else client.start()
                if request is session.requests or not answered:
                    assert got == session.answers[answered]
                    session.play(client, session.rounds)
                elif not (model is Model.ACTIVE and answered == session.rounds - 1):
                    assert got != session.answers[answered]  # what SECURITY.md says about states that nobody can see


@both_models
def test_two_copies_that_share_keys_in_two_sessions_have_nothing_in_common(
    model: Model, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lists of keys are two sessions: other ciphertexts, other commitments, other shares."""
    session = recorded(model)
    session.at(path, 1)
    copy = path.read_bytes()
    messages, dealt = [], list[bytes]()

    def noted(key: bytes, plaintext: bytes) -> bytes:
        dealt.append(plaintext)
        return seal(key, plaintext)

    monkeypatch.setattr(ciphertexts, "seal", noted)
    for request in (session.requests[0], session.others[0]):
        put_back(path, copy)
        client = session.load(path)
        messages.append(client.receive(request))
    assert messages[0][34:66] != messages[1][34:66]
    assert len({plaintext[8:40] for plaintext in dealt}) == len({plaintext[40:] for plaintext in dealt}) == 4 + 3


# Backups that are put back where the file was.


@every_round
def test_a_backup_is_noticed_by_a_counter(model: Model, answered: int, path: Path) -> None:
    session, counter = recorded(model), MemoryCounter()
    client = session.saved(path, counter=counter)
    backups = []
    for done in range(answered + 1):
        session.play(client, done)
        backups.append(path.read_bytes())
    session.play(client, answered + 1)
    newest = path.read_bytes()
    for backup in backups:
        put_back(path, backup)
        with pytest.raises(LocalProtocolError, match=ROLLBACK):
            session.load(path, counter=counter)
    put_back(path, newest)
    session.play(session.load(path, counter=counter), session.rounds)


@every_round
def test_a_machine_that_was_set_back_is_noticed_by_a_counter(model: Model, answered: int, path: Path) -> None:
    """Memory and disk are those of an earlier moment, as of a snapshot; the counter is not."""
    session, counter = recorded(model), MemoryCounter()
    session.at(path, answered, counter=counter)
    snapshot, disk = session.load(path, counter=counter), path.read_bytes()
    session.play(session.load(path, counter=counter), answered + 1)
    put_back(path, disk)
    with pytest.raises(LocalProtocolError, match=ROLLBACK):
        snapshot.receive(session.others[answered - 1])
    assert snapshot.finished


def test_a_file_one_ahead_of_its_counter_makes_the_file_before_it_old(path: Path) -> None:
    """The crash came before the counter. Once the newer state has been loaded, its answer may have left."""
    session, counter = recorded(Model.SEMI_HONEST), MemoryCounter()
    session.at(path, 2, counter=counter)
    before, client = path.read_bytes(), session.load(path, counter=counter)

    def crash(to: int) -> None:
        raise Crash

    counter.advance = crash  # type: ignore[method-assign]
    with pytest.raises(Crash):
        client.receive(session.requests[1])
    assert client.answer is None
    del counter.advance
    assert session.load(path, counter=counter).answer == session.answers[2]
    put_back(path, before)
    with pytest.raises(LocalProtocolError, match=ROLLBACK):
        session.load(path, counter=counter)


def test_what_was_left_is_not_put_back(path: Path) -> None:
    session, counter = recorded(Model.SEMI_HONEST), MemoryCounter()
    client = session.saved(path, counter=counter)
    session.play(client, 2)
    backup = path.read_bytes()
    client.leave()
    put_back(path, backup)
    with pytest.raises(LocalProtocolError, match=ROLLBACK):
        session.load(path, counter=counter)


@every_round
def test_a_backup_without_a_counter_gives_equal_bytes_to_equal_requests(
    model: Model, answered: int, path: Path
) -> None:
    """It is not noticed. As for another request, such a user counts as corrupt: SECURITY.md."""
    session = recorded(model)
    session.at(path, answered)
    backup = path.read_bytes()
    for _ in range(2):
        session.play(session.load(path), session.rounds)
        put_back(path, backup)


def test_a_copy_cannot_be_given_another_input(path: Path) -> None:
    """y_u under the same masks twice would give the difference of two inputs."""
    session = recorded(Model.SEMI_HONEST)
    for answered in range(session.rounds):
        at = path.with_name(f"client-{answered}")
        session.at(at, answered)
        put_back(at, at.read_bytes())
        with pytest.raises(LocalProtocolError, match="cannot be set any more"):
            session.load(at).set_input([4, 5, 6])


def test_a_state_cannot_be_passed_off_as_another_users(path: Path) -> None:
    """User 2's file, by the same key: neither as it is, nor with user 1's header on it."""
    session = recorded(Model.ACTIVE)
    session.at(path, 2)
    mine = path.read_bytes().partition(b"\n")[2]
    other = Client(session.params, 2, [1, 2, 3], identity=Identity(KEYS[2]), roster=ROSTER)
    other.save(path.with_name("other"), key=KEY)
    theirs = path.with_name("other").read_bytes().partition(b"\n")[2]
    mark = path.read_bytes().partition(b"\n")[0] + b"\n"
    path.write_bytes(mark + theirs)
    with pytest.raises(LocalProtocolError, match="is of another user"):
        session.load(path)
    path.write_bytes(mark + mine[:133] + theirs[133:])
    with pytest.raises(LocalProtocolError, match="sealed under another key, or damaged"):
        session.load(path)


def test_equal_states_are_encrypted_differently(path: Path) -> None:
    """Else whoever sees two disks learns that two states are the same, and GCM's nonce came twice."""
    session: Recorded = recorded(Model.SEMI_HONEST)
    seen = set()
    for number in range(20):
        at = path.with_name(str(number))
        session.at(at, 1)
        seen.add(at.read_bytes().partition(b"\n")[2][69:])
    assert len(seen) == 20
