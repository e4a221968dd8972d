"""Many sessions in one folder: opened again at the start, removed once they are old, and none harms another."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secagg import Round
from secagg.service import running
from secagg.service.coordinator import Limits, sessions
from secagg.service.coordinator.live import LiveSession
from secagg.service.journal import JournalFailed
from secagg.service.resources import SESSIONS

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
        table = seated(here, seconds={"advertise-keys": 0.2})
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
        detail = here.http.get(here.url + "/healthz/detail").json()
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
        real, failures = running.RunningSession.deliver, [1]

        def deliver(self: Any, *arguments: Any) -> None:
            if failures:
                failures.pop()
                self._failure = OSError(5, "Input/output error")
                raise JournalFailed("the disk does not answer")
            real(self, *arguments)

        monkeypatch.setattr(running.RunningSession, "deliver", deliver)
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
            patch.setattr(running.RunningSession, "deliver", full)
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

    monkeypatch.setattr(sessions, "REOPEN_SECONDS", 3600.0)
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
        assert list(here.http.get(here.url + "/healthz/detail").json()["unopened"]) == ["other"]
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
