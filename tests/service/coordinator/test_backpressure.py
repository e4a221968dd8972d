"""More than a coordinator takes at once is refused with the time to come back, and harms nobody's message."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from secagg import Round
from secagg.http.bounds import Bounds
from secagg.service.authentication import bearer, content_digest
from secagg.service.coordinator import Limits
from secagg.service.resources import CONTENT_DIGEST, answer_path

from ...support.coordinators import PATIENCE, Kept, Party, kept, problem_type, seated, sum_of

FIRST = Round.ADVERTISE_KEYS


def begun(here: Kept, party: Party, current: Round, content: bytes, stack: ExitStack) -> socket.socket:
    """An answer of which the head is there, and half of the content."""
    head = (
        f"POST {answer_path(party.session, party.user, current)} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
        f"Authorization: {bearer(party.token or '')}\r\n"
        f"{CONTENT_DIGEST}: {content_digest(sha256(content).digest())}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    url = here.http.build_request("GET", here.url).url
    before = uploads(here)
    connection = stack.enter_context(socket.create_connection((url.host, url.port or 0), timeout=PATIENCE))
    connection.sendall(head.encode() + content[: len(content) // 2])
    wait_for(lambda: uploads(here) > before, "the answer is not taken")
    return connection


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wait_for(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.002)


def uploads(here: Kept) -> float:
    value = here.coordinator.metrics.registry.get_sample_value("secagg_service_uploads")
    assert value is not None
    return value


def test_one_message_of_a_user_at_a_time(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here, ExitStack() as stack:
        table = seated(here)
        party, answer = table.parties[0], table.start()[1]
        connection = begun(here, party, FIRST, answer, stack)
        second = party.answer(FIRST, answer)
        assert (second.status_code, problem_type(second)) == (429, "one-at-a-time")
        assert second.headers["retry-after"] == "1"
        connection.sendall(answer[len(answer) // 2 :])
        assert connection.recv(1 << 12).startswith(b"HTTP/1.1 204")
        assert party.answer(FIRST, answer).status_code == 204


def test_no_more_messages_at_once_than_there_may_be(tmp_path: Path) -> None:
    with kept(tmp_path / "state", limits=Limits(uploads=1)) as here, ExitStack() as stack:
        table = seated(here)
        answers = table.start()
        connection = begun(here, table.parties[0], FIRST, answers[1], stack)
        second = table.parties[1].answer(FIRST, answers[2])
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        connection.sendall(answers[1][len(answers[1]) // 2 :])
        assert connection.recv(1 << 12).startswith(b"HTTP/1.1 204")
        assert table.parties[1].answer(FIRST, answers[2]).status_code == 204


def test_who_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here, length=200_000)
        answers = table.play(Round.MASKED_INPUT_COLLECTION)
        folder = tmp_path / "state" / table.session
        before = files(folder)
        with ExitStack() as stack:
            begun(here, table.parties[0], Round.MASKED_INPUT_COLLECTION, answers[1], stack)
            wait_for(lambda: files(folder) != before, "nothing of it goes to disk")
        wait_for(lambda: files(folder) == before, "half of a message stays on disk")
        assert here.status(table.session)["answered"] == []


def test_contents_that_come_too_slowly(tmp_path: Path) -> None:
    bounds = Bounds(body_rate=1e6, body_window=0.2)
    with kept(tmp_path / "state", bounds=bounds) as here, ExitStack() as stack:
        table = seated(here)
        connection = begun(here, table.parties[0], FIRST, table.start()[1], stack)
        refused = connection.recv(1 << 12)
        assert refused.startswith(b"HTTP/1.1 408")
        assert b'problem:too-slow"' in refused


def test_long_contents_go_to_disk_and_count_as_such(tmp_path: Path) -> None:
    """With less memory for contents than one of them has."""
    bounds = Bounds(buffered_bytes=1 << 17)
    with kept(tmp_path / "state", bounds=bounds) as here:
        table = seated(here, length=200_000)  # 400,000 bytes
        table.play()
        assert table.parties[0].next(Round.UNMASKING).json() == {"status": "finished"}
        assert np.array_equal(sum_of(here, table.session), np.full(200_000, 10))


def test_the_same_bytes_again_are_not_read(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here)
        party, answer = table.parties[0], table.start()[1]
        assert party.answer(FIRST, answer).status_code == 204
        url = here.http.build_request("GET", here.url).url
        head = (
            f"POST {answer_path(party.session, party.user, FIRST)} HTTP/1.1\r\nHost: here\r\n"
            f"Authorization: {bearer(party.token or '')}\r\n"
            f"{CONTENT_DIGEST}: {content_digest(sha256(answer).digest())}\r\nContent-Length: {len(answer)}\r\n\r\n"
        )
        with socket.create_connection((url.host, url.port or 0), timeout=PATIENCE) as connection:
            connection.sendall(head.encode())
            assert connection.recv(1 << 12).startswith(b"HTTP/1.1 204")
        other = party.answer(FIRST, answer[:-1] + b"x")
        assert (other.status_code, problem_type(other)) == (409, "other-answer")
        assert replace(party).request(FIRST).status_code == 204
