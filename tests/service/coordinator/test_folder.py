"""Many sessions in one folder: opened again at the start, removed once they are old, and none harms another."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from secagg import LocalProtocolError, Params, Round
from secagg.service import running
from secagg.service.coordinator import Limits, registry, reopening
from secagg.service.coordinator.live import LiveSession
from secagg.service.coordinator.registry import Registry
from secagg.service.deadlines import Deadlines
from secagg.service.journal import JournalFailed
from secagg.service.problems import ServiceProblem
from secagg.service.resources import SESSIONS
from secagg.service.setup import SessionSetup
from secagg.service.storage import Disk

from ...support.coordinators import PATIENCE, Kept, kept, problem_type, seated, sum_of

FIRST, SECOND = Round.ADVERTISE_KEYS, Round.SHARE_KEYS
SMALL: dict[str, Any] = {"n": 4, "length": 3, "bits": 16}


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def names(here: Kept) -> list[str]:
    response = here.http.get(here.url + SESSIONS, headers=here.headers)
    return [each["session"] for each in response.json()["sessions"]]


def wait_for(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.01)


@pytest.mark.parametrize("active", [False, True], ids=["semi-honest", "active"])
def test_sessions_go_on_where_they_were(tmp_path: Path, active: bool) -> None:
    """The coordinator is started anew in the middle of a round; participants speak to the same URL."""
    with kept(tmp_path / "state") as here:
        table = seated(here, active=active)
        answers = table.start()
        for party in table.parties[:2]:
            assert party.answer(FIRST, answers[party.user]).status_code == 204
        port = int(here.url.rpartition(":")[2])
    with kept(tmp_path / "state", port=port) as again:
        for party in table.parties:
            party.kept, party.nonce = again, None
        assert again.status(table.session)["answered"] == [1, 2]
        assert table.parties[0].join().user == 1
        table.play()  # two of them send again what was taken before
        assert table.parties[0].next(Round.UNMASKING).json() == {"status": "finished"}
        assert sum_of(again, table.session).tolist() == [10] * 5


def test_a_session_whose_result_is_old_is_removed(tmp_path: Path) -> None:
    clock = Clock()
    with kept(tmp_path / "state", clock=clock) as here:
        table = seated(here, keep=1000)
        table.play()
        assert table.parties[0].next(Round.UNMASKING).status_code == 200
        clock.ahead = 999
        assert sum_of(here, table.session).tolist() == [10] * 5
        clock.ahead = 1001
        assert table.parties[1].request(None).status_code in (404, 410)  # the first if it is being removed
        here.create(**SMALL, name="another")
    with kept(tmp_path / "state", clock=clock) as here:
        wait_for(lambda: names(here) == ["another"], "it is not removed")
        assert not (tmp_path / "state" / table.session).exists()


def test_nobody_has_to_ask_for_a_session_to_be_removed(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here, keep=0.2)
        table.play()
        wait_for(lambda: names(here) == [], "it is not removed")
        wait_for(lambda: not (tmp_path / "state" / table.session).exists(), "its folder is not removed")
        gone = table.parties[0].request(Round.UNMASKING)
        assert (gone.status_code, problem_type(gone)) == (404, "no-session")


def test_a_folder_that_could_not_be_removed_is_removed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is kept for as long as was said, and not until the next start."""
    monkeypatch.setattr(reopening, "FIRST_SECONDS", 0.01)
    away, real = [True], running.remove

    def remove(folder: Path) -> None:
        if away:
            raise OSError(16, "Device or resource busy")
        real(folder)

    monkeypatch.setattr(registry, "remove", remove)
    with kept(tmp_path / "state") as here:
        table = seated(here, keep=0.2)
        table.play()
        wait_for(
            lambda: health(here)["unopened"].get(table.session, {}).get("attempts", 0) >= 3, "it is not tried again"
        )
        assert "cannot be removed" in health(here)["unopened"][table.session]["reason"]
        assert problem_type(table.parties[0].request(Round.UNMASKING)) == "no-session"
        away.clear()
        wait_for(lambda: not (tmp_path / "state" / table.session).exists(), "its folder is not removed")
        wait_for(lambda: health(here)["status"] == "ok", "it is still degraded")


def test_a_deadline_that_passes_ends_the_round_without_any_request(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here, seconds={"advertise-keys": 3})
        answers = table.start()
        for party in table.parties[:3]:
            assert party.answer(FIRST, answers[party.user]).status_code == 204
        assert table.parties[0].next(FIRST).headers["SecAgg-Round"] == "share-keys"
        late = table.parties[3].answer(FIRST, answers[4])
        assert (late.status_code, problem_type(late)) == (410, "late")


def test_the_goal_ends_the_round_once_its_grace_is_over(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here, goal=3, grace=0)
        answers = table.start()
        for party in table.parties[:3]:
            assert party.answer(FIRST, answers[party.user]).status_code == 204
        assert table.parties[0].next(FIRST).headers["SecAgg-Round"] == "share-keys"
        told = table.parties[3].answer(FIRST, answers[4])
        assert (told.status_code, problem_type(told)) == (410, "not-needed")


def test_too_few_by_the_deadline_end_the_session(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here, seconds={"advertise-keys": 3})
        table.parties[0].answer(FIRST, table.start()[1])
        told = table.parties[0].next(FIRST)
        assert (told.status_code, problem_type(told)) == (410, "aborted")
        assert "1 users answered by the deadline" in told.json()["detail"]


def test_a_session_that_cannot_be_opened_holds_up_no_other(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        here.create(**SMALL, name="good")
        here.create(**SMALL, name="bad")
    journal = next((tmp_path / "state" / "bad").glob("journal*"))
    journal.write_bytes(b"x" * 100)
    (tmp_path / "state" / "not a session").mkdir()
    with kept(tmp_path / "state") as here:
        assert names(here) == ["good"]
        detail = here.http.get(here.url + "/healthz/detail", headers=here.headers).json()
        assert detail["status"] == "degraded"
        assert list(detail["unopened"]) == ["bad"]
        response = here.http.post(here.url + SESSIONS, headers=here.headers, json={**SMALL, "name": "bad"})
        assert (response.status_code, problem_type(response)) == (409, "name-taken")


def test_names_and_places_are_taken_once(tmp_path: Path) -> None:
    with kept(tmp_path / "state", limits=Limits(sessions=2)) as here:
        here.create(**SMALL, name="one")
        again = here.http.post(here.url + SESSIONS, headers=here.headers, json={**SMALL, "name": "one"})
        assert (again.status_code, problem_type(again)) == (409, "name-taken")
        here.create(**SMALL)
        third = here.http.post(here.url + SESSIONS, headers=here.headers, json=SMALL)
        assert (third.status_code, problem_type(third)) == (503, "busy")
        assert len(names(here)) == 2


def test_a_session_whose_disk_failed_goes_on_from_what_is_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object that saw the failure says nothing any more; another one reads the journal."""
    with kept(tmp_path / "state") as here:
        table = seated(here)
        answers = table.start()
        assert table.parties[0].answer(FIRST, answers[1]).status_code == 204
        fail_once(monkeypatch)
        response = table.parties[1].answer(FIRST, answers[2])
        assert (response.status_code, problem_type(response)) == (503, "busy")
        wait_for(lambda: table.session in names(here), "it is not opened again")
        table.play()
        assert table.parties[0].next(Round.UNMASKING).json() == {"status": "finished"}
        assert failed(here) == 1


def test_a_full_disk_is_no_fault_of_the_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here)
        answers = table.start()

        def full(self: Any, *arguments: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(running.RunningSession, "deliver_all", full)
            response = table.parties[0].answer(FIRST, answers[1])
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        table.play()
        assert table.parties[0].next(Round.UNMASKING).status_code == 200


def busy(response: Any) -> bool:
    return (response.status_code, problem_type(response), "retry-after" in response.headers) == (503, "busy", True)


def failed(here: Kept) -> float | None:
    return here.coordinator.metrics.registry.get_sample_value("secagg_service_journal_failures_total")


def test_a_session_that_fails_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not opened all the time, and whoever asks meanwhile is told to come back, and not that there is none."""
    opened, real = [], running.RunningSession.open

    def again(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return real(*arguments, **options)

    def fails(self: Any) -> None:
        raise JournalFailed("the disk does not answer")

    monkeypatch.setattr(reopening, "FIRST_SECONDS", 3600.0)
    with kept(tmp_path / "state") as here:
        table = seated(here)
        answers = table.start()
        monkeypatch.setattr(running.RunningSession, "open", again)
        monkeypatch.setattr(running.RunningSession, "tick", fails)
        assert table.parties[0].answer(FIRST, answers[1]).status_code in (204, 503)
        wait_for(
            lambda: failed(here) == 2 and table.session in here.coordinator.sessions._reopening, "it does not fail"
        )
        assert busy(table.parties[3].answer(FIRST, answers[4]))
        assert busy(table.parties[3].request(None))
        taken = here.http.post(here.url + SESSIONS, headers=here.headers, json={**SMALL, "name": table.session})
        assert (taken.status_code, problem_type(taken)) == (409, "name-taken")
        assert len(opened) == 1


def test_a_session_that_could_not_be_opened_yet_is_no_lost_one(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here)
        table.start()
    journal = tmp_path / "state" / table.session / "journal"
    journal.rename(tmp_path / "kept")
    journal.write_bytes(b"x" * 100)
    port = int(here.url.rpartition(":")[2])
    with kept(tmp_path / "state", port=port) as again:
        for party in table.parties:
            party.kept, party.nonce = again, None
        assert busy(table.parties[0].request(None))


def health(here: Kept) -> Any:
    return here.http.get(here.url + "/healthz/detail", headers=here.headers).json()


def cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """No session can, as long as there is something in the list."""
    away, real = [True], running.RunningSession.open

    def opened(*arguments: Any, **options: Any) -> Any:
        if away:
            raise OSError(5, "Input/output error")
        return real(*arguments, **options)

    monkeypatch.setattr(running.RunningSession, "open", opened)
    return away


def test_a_session_that_could_not_be_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has to ask for it, and it goes on where it was."""
    monkeypatch.setattr(reopening, "FIRST_SECONDS", 0.01)
    with kept(tmp_path / "state") as here:
        table = seated(here)
        assert table.parties[0].answer(FIRST, table.start()[1]).status_code == 204
    away, port = cannot_be_opened(monkeypatch), int(here.url.rpartition(":")[2])
    with kept(tmp_path / "state", port=port) as again:
        assert names(again) == []
        detail = health(again)
        assert detail["status"] == "degraded"
        told = detail["unopened"][table.session]
        assert (told["reason"], told["damaged"]) == ("[Errno 5] Input/output error", False)
        assert "secagg_service_unopened_sessions 1.0" in again.coordinator.metrics.text().decode()
        wait_for(lambda: health(again)["unopened"][table.session]["attempts"] >= 3, "it is not tried again")
        away.clear()
        wait_for(lambda: names(again) == [table.session], "it is not opened")
        wait_for(lambda: health(again)["status"] == "ok", "it is still degraded")
        assert health(again)["unopened"] == {}
        assert "secagg_service_unopened_sessions 0.0" in again.coordinator.metrics.text().decode()
        for party in table.parties:
            party.kept, party.nonce = again, None
        table.play()
        assert table.parties[0].next(Round.UNMASKING).json() == {"status": "finished"}
        assert sum_of(again, table.session).tolist() == [10] * 5
    assert f"session {table.session}: the next attempt to open it is in" in caplog.text
    assert "in vain" not in caplog.text


def test_a_session_is_tried_again_as_soon_as_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By now the pauses are minutes, if nobody asks."""
    monkeypatch.setattr(reopening, "FIRST_SECONDS", 0.01)
    with kept(tmp_path / "state") as here:
        here.create(**SMALL, name="one")
    away = cannot_be_opened(monkeypatch)
    with kept(tmp_path / "state") as here:
        path = f"{here.url}{SESSIONS}/one"

        def asked_often() -> bool:
            assert busy(here.http.get(path))
            return bool(health(here)["unopened"]["one"]["attempts"] >= 16)

        wait_for(asked_often, "it is not tried again")
        away.clear()
        wait_for(lambda: here.http.get(path, headers=here.headers).status_code == 200, "it is not opened")


def test_a_damaged_session_is_tried_seldom_until_somebody_puts_it_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with kept(tmp_path / "state") as here:
        here.create(**SMALL, name="bad")
    journal = tmp_path / "state" / "bad" / "journal"
    journal.rename(tmp_path / "kept")
    journal.write_bytes(b"x" * 100)
    with kept(tmp_path / "state") as here:
        response = here.http.get(f"{here.url}{SESSIONS}/bad")
        assert busy(response)
        assert 50 <= int(response.headers["retry-after"]) <= 60
        told = health(here)["unopened"]["bad"]
        assert (told["damaged"], told["attempts"]) == (True, 1)
        assert "no session journal" in told["reason"]
        assert 50 < told["again_in"] <= 60
    assert "will be in vain until its folder is put right" in caplog.text
    monkeypatch.setattr(reopening, "DAMAGED_SECONDS", 0.01)
    with kept(tmp_path / "state") as here:
        journal.unlink()
        (tmp_path / "kept").rename(journal)
        wait_for(lambda: names(here) == ["bad"], "it is not opened")


def test_a_session_whose_folder_is_moved_away_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reopening, "DAMAGED_SECONDS", 0.01)
    with kept(tmp_path / "state") as here:
        here.create(**SMALL, name="bad")
    (tmp_path / "state" / "bad" / "journal").write_bytes(b"x" * 100)
    with kept(tmp_path / "state") as here:
        assert list(health(here)["unopened"]) == ["bad"]
        (tmp_path / "state" / "bad").rename(tmp_path / "bad")
        wait_for(lambda: health(here)["status"] == "ok", "it is still waited for")
        gone = here.http.get(f"{here.url}{SESSIONS}/bad", headers=here.headers)
        assert (gone.status_code, problem_type(gone)) == (404, "no-session")
        here.create(**SMALL, name="bad")


def fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails at the next messages."""
    real, failures = running.RunningSession.deliver_all, [1]

    def deliver_all(self: Any, arrivals: Any) -> Any:
        if failures:
            failures.pop()
            self._failure = OSError(5, "Input/output error")
            raise JournalFailed("the disk does not answer")
        return real(self, arrivals)

    monkeypatch.setattr(running.RunningSession, "deliver_all", deliver_all)


@contextmanager
def unreadable(session: Path) -> Iterator[None]:
    """The disk does not say whether there is the session's folder."""
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        if path in (session, session.name):
            raise OSError(5, "Input/output error")
        return real(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "stat", stat)
        yield


@contextmanager
def detached(session: Path) -> Iterator[None]:
    """The disk of all sessions is away, and its place is empty."""
    aside = session.parent.rename(session.parent.with_name("detached"))
    session.parent.mkdir(mode=0o700)
    yield
    session.parent.rmdir()
    aside.rename(session.parent)


@contextmanager
def moved(session: Path) -> Iterator[None]:
    """There is nothing in the place of all sessions."""
    aside = session.parent.rename(session.parent.with_name("moved"))
    yield
    aside.rename(session.parent)


@pytest.mark.parametrize("away", [unreadable, detached, moved])
def test_a_disk_that_is_away_for_a_moment_loses_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: Callable[[Path], AbstractContextManager[None]]
) -> None:
    """Whoever were told that there is no such session would wipe its state."""
    monkeypatch.setattr(reopening, "FIRST_SECONDS", 0.01)
    with kept(tmp_path / "state") as here:
        table = seated(here)
        answers = table.start()
        fail_once(monkeypatch)
        with away(tmp_path / "state" / table.session):
            assert busy(table.parties[0].answer(FIRST, answers[1]))
            wait_for(
                lambda: health(here)["unopened"].get(table.session, {}).get("attempts", 0) >= 3, "it is not tried again"
            )
            assert not health(here)["unopened"][table.session]["damaged"]
            assert busy(table.parties[1].request(None))
            taken = here.http.post(here.url + SESSIONS, headers=here.headers, json={**SMALL, "name": table.session})
            assert (taken.status_code, problem_type(taken)) == (409, "name-taken")
        wait_for(lambda: table.session in names(here), "it is not opened again")
        table.play()
        assert table.parties[0].next(Round.UNMASKING).json() == {"status": "finished"}


@pytest.mark.parametrize("where", ["close", "reopen"])
def test_whatever_goes_wrong_a_session_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(reopening, "FIRST_SECONDS", 0.01)
    owner: Any = {"close": running.RunningSession, "reopen": Registry}[where]
    errors, real = [OSError(5, "Input/output error"), RuntimeError("nobody thought of this")], getattr(owner, where)

    def fails(*arguments: Any) -> Any:
        if errors:
            raise errors.pop(0 if where == "close" else -1)
        return real(*arguments)

    with kept(tmp_path / "state") as here:
        table = seated(here)
        answers = table.start()
        fail_once(monkeypatch)
        with monkeypatch.context() as patch:
            patch.setattr(owner, where, fails)
            assert busy(table.parties[0].answer(FIRST, answers[1]))
            wait_for(lambda: table.session in names(here), "it is not opened again")
        table.play()
        assert table.parties[0].next(Round.UNMASKING).json() == {"status": "finished"}


def test_a_session_that_cannot_be_closed_keeps_no_other_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's lock is let go of as well."""
    registry = Registry(tmp_path / "state", most=9)
    registry.open_all()
    for name in ("one", "two", "three"):
        registry.create(setup(name))
    closed, real = [], running.RunningSession.close

    def close(self: Any) -> None:
        real(self)
        closed.append(self.setup.name)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(running.RunningSession, "close", close)
        with pytest.raises(OSError, match="Input/output error"):
            registry.close()
    assert sorted(closed) == ["one", "three", "two"]
    again = Registry(tmp_path / "state", most=9)
    again.open_all()
    assert len(again.sessions) == 3
    again.close()


def test_a_name_is_free_once_the_folder_of_its_old_session_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new session in a folder that is being removed would be removed with it."""
    registry = Registry(tmp_path / "state", most=9)
    registry.open_all()
    old, real = registry.create(setup("one")), Disk.remove_folder

    def remove_folder(self: Disk, folder: Path) -> None:
        with pytest.raises(ServiceProblem, match="there is a session one already"):
            registry.create(setup("one"))
        real(self, folder)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "remove_folder", remove_folder)
        with pytest.raises(OSError, match="Input/output error"):
            registry.remove(old)
    with pytest.raises(ServiceProblem, match="there is a session one already"):
        registry.create(setup("one"))
    registry.remove(old)
    new = registry.create(setup("one"))
    registry.remove(old)  # as a retry that comes too late
    assert registry.sessions == [new]
    assert new.status == "running"
    assert (tmp_path / "state" / "one").is_dir()
    registry.close()


@pytest.mark.parametrize("away", [detached, moved])
def test_a_session_is_not_removed_because_its_disk_is_away(
    tmp_path: Path, away: Callable[[Path], AbstractContextManager[None]]
) -> None:
    registry = Registry(tmp_path / "state", most=9)
    registry.open_all()
    old = registry.create(setup("one"))
    with away(tmp_path / "state" / "one"), pytest.raises((LocalProtocolError, OSError)):
        registry.remove(old)
    assert "one" in registry.unopened
    registry.remove(old)
    assert not (tmp_path / "state" / "one").exists()
    assert registry.unopened == {}
    registry.close()


def test_sessions_are_counted_while_others_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is asked for on another thread than the one on which sessions are made."""
    with kept(tmp_path / "state") as here:
        for name in ("one", "two"):
            here.create(**SMALL, name=name)
        sessions, real = here.coordinator.sessions, vars(running.RunningSession)["status"].fget
        coming = [lambda: here.create(**SMALL, name="three")]

        def status(self: Any) -> Any:
            if coming and threading.current_thread() is threading.main_thread():
                coming.pop()()
            return real(self)

        with monkeypatch.context() as patch:
            patch.setattr(running.RunningSession, "status", property(status))
            assert sessions.count() == {"running": 2, "finished": 0, "aborted": 0}
        assert sessions.count()["running"] == 3


def setup(name: str) -> SessionSetup:
    params = Params(n=4, m=3, modulus=1 << 16)
    return SessionSetup(name, params, None, ("a", "b", "c", "d"), Deadlines(), time.time())


def test_two_coordinators_cannot_have_one_folder(tmp_path: Path) -> None:
    """The second would go on with sessions that the first lets go of for a moment, under a URL that nobody knows."""
    with kept(tmp_path / "state") as here:
        second = Registry(tmp_path / "state", most=10)
        with pytest.raises(LocalProtocolError, match="is used by another coordinator"):
            second.open_all()
        here.create(**SMALL, name="one")
        assert second.sessions == []
    second.open_all()
    assert [each.setup.name for each in second.sessions] == ["one"]
    second.close()


def test_what_a_crash_has_left_is_removed_at_the_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    for name, files in {
        "empty": [],
        "made": ["journal.new"],
        "removed": ["body-0000000000000001", "body-0000000000000002"],
        "other": ["body-0000000000000001", "notes.txt"],
    }.items():
        (state / name).mkdir(mode=0o700)
        for file in files:
            (state / name / file).touch()
    with kept(state) as here:
        assert [path.name for path in state.iterdir()] == ["other"]
        assert list(here.http.get(here.url + "/healthz/detail", headers=here.headers).json()["unopened"]) == ["other"]
        here.create(**SMALL, name="made")
    assert sorted(path.name for path in (state / "other").iterdir()) == ["body-0000000000000001", "notes.txt"]


def test_a_coordinator_that_stops_waits_for_a_decision_that_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written to a session's folder once another coordinator may open it."""
    begun, closed, go_on = threading.Event(), threading.Event(), threading.Event()
    done: list[bool] = []
    real_tick, real_stop, real_close = running.RunningSession.tick, LiveSession.stop, running.RunningSession.close

    def tick(self: Any) -> Any:
        if not begun.is_set():
            begun.set()
            go_on.wait(PATIENCE)
            done.append(not closed.is_set())
        return real_tick(self)

    async def stop(self: Any) -> None:
        asyncio.get_running_loop().call_later(0.2, go_on.set)
        await real_stop(self)

    def close(self: Any) -> None:
        closed.set()
        real_close(self)

    monkeypatch.setattr(running.RunningSession, "tick", tick)
    monkeypatch.setattr(running.RunningSession, "close", close)
    monkeypatch.setattr(LiveSession, "stop", stop)
    with kept(tmp_path / "state") as here:
        here.create(**SMALL, name="one")
        assert begun.wait(PATIENCE)
    assert done == [True]
