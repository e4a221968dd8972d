"""A saved client under anything that can happen to its file and its processes, drawn step by step.

The model is short. A state is the list of requests that were answered to reach it. The file is in one state; an object
in memory answers only if its state is the file's. Of one list of requests there is one answer, whoever gives it.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from secagg import Client, LocalProtocolError, Model, RemoteProtocolError, SecAggError
from secagg.primitives import seal
from secagg.protocol import ciphertexts
from secagg.protocol.saved import Counter

from ..support.saved import MemoryCounter, Recorded, put_back, recorded

State = tuple[bytes, ...]  # the requests that were answered; of round 0, no bytes


class Crash(BaseException):
    """The process is no more."""


@contextmanager
def dying_at(call: str | None) -> Iterator[None]:
    """The process dies in a call to the system; what it would have tidied up stays."""
    dead, unlink = False, os.unlink

    def dies(*_: Any, **__: Any) -> None:
        nonlocal dead
        dead = True
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        if call:
            patch.setattr(os, call, dies)
            patch.setattr(os, "unlink", lambda *names, **folder: None if dead else unlink(*names, **folder))
        yield


class SavedClient(RuleBasedStateMachine):
    """The file is `path`, in state `disk`; None once its client has ended for good. `given` are the answers that left,
    by the state that they led to."""

    MODEL = Model.ACTIVE
    COUNTER: ClassVar[Callable[[], Counter | None]] = staticmethod(lambda: None)
    objects: Any = Bundle("objects")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name, "client")
        self.path.with_name("beside").touch(0o600)  # and stays, so that its inode is never one of the client's files'
        self.session: Recorded = recorded(self.MODEL)
        self.counter = type(self).COUNTER()
        self.session.saved(self.path, counter=self.counter)
        self.disk: State | None = ()
        self.writes = 0
        self.states: dict[Client, tuple[State, int]] = {}  # and the number of the write that it follows
        self.given: dict[State, set[bytes]] = defaultdict(set)
        self.copies: list[tuple[bytes, State | None, int]] = []
        self.sealed: dict[bytes, set[bytes]] = defaultdict(set)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(ciphertexts, "seal", self.watched_seal)

    def watched_seal(self, key: bytes, plaintext: bytes) -> bytes:
        self.sealed[key].add(plaintext)
        return seal(key, plaintext)

    def teardown(self) -> None:
        self.patch.undo()
        self.folder.cleanup()

    @rule(target=objects)
    def load(self) -> Client:
        """Another process takes the file."""
        client = self.session.load(self.path, counter=self.counter)
        self.states[client] = (self.disk or (), self.writes)
        if self.disk is None:
            assert client.finished
            assert client.answer is None
        elif self.disk:
            assert client.answer is not None
            self.left(self.disk, client.answer)
        return client

    @rule(client=objects, other=st.booleans(), crash=st.none() | st.sampled_from(["write", "fsync", "replace"]))
    def answer(self, client: Client, other: bool, crash: str | None) -> None:
        """A process hears the request of the round that it is in, and may die on the way."""
        if client not in self.states:
            return
        state, write = self.states[client]
        if client.finished or len(state) >= self.session.rounds:
            last = self.session.others[-1]
            if state and state[-1] == last:  # which gets its answer again: see `repeat`
                last = self.session.requests[-1]
            with pytest.raises((LocalProtocolError, RemoteProtocolError)):
                client.receive(last)
            return
        request = (self.session.others if other else self.session.requests)[len(state) - 1] if state else b""
        mine = self.disk == state and self.writes == write
        after = (*state, request)
        try:
            with dying_at(crash):
                got = client.receive(request) if state else client.start()
        except Crash:  # before the new state was in its place, so nothing has changed
            event(f"crash: {crash}")
        except LocalProtocolError:  # another process went on
            assert not mine
        except SecAggError:  # after another request before, the recorded one may be wrong
            assert mine
            assert not crash
            self.disk, self.writes = None, self.writes + 1
        else:
            assert mine
            self.disk, self.writes = after, self.writes + 1
            self.states[client] = after, self.writes
            self.left(after, got)
            event(f"answered {len(after)}")
            return
        assert client.finished
        assert client.answer is None

    @rule(client=objects)
    def repeat(self, client: Client) -> None:
        """The last request comes again, and an earlier one, to an object that may be old."""
        if client not in self.states:
            return
        state, _ = self.states[client]
        if client.answer is not None and len(state) > 1:
            self.left(state, client.receive(state[-1]))
        for earlier in state[1:-1]:
            with pytest.raises((LocalProtocolError, RemoteProtocolError), match=r"has been answered|has ended"):
                client.receive(earlier)

    @rule()
    def copy(self) -> None:
        self.copies.append((self.path.read_bytes(), self.disk, self.writes))

    @rule(data=st.data())
    @precondition(lambda self: self.copies)
    def put_a_copy_beside(self, data: st.DataObject) -> None:
        """A copy is another file: nobody goes on with it."""
        beside = self.path.with_name("beside")
        beside.write_bytes(data.draw(st.sampled_from(self.copies))[0])
        with pytest.raises(LocalProtocolError, match="is a copy"):
            self.session.load(beside, counter=self.counter)

    @invariant()
    def no_key_meets_a_second_plaintext(self) -> None:
        assert all(len(plaintexts) == 1 for plaintexts in self.sealed.values())

    @invariant()
    def one_answer_in_each_round(self) -> None:
        rounds: dict[int, set[bytes]] = defaultdict(set)
        for state, answers in self.given.items():
            rounds[len(state)] |= answers
        assert all(len(answers) == 1 for answers in rounds.values())

    def left(self, state: State, answer: bytes) -> None:
        """An answer may be sent now: it is the only one for this state."""
        self.given[state].add(answer)
        assert len(self.given[state]) == 1
        if all(request == true for request, true in zip(state[1:], self.session.requests, strict=False)):
            assert answer == self.session.answers[len(state) - 1]


class Counted(SavedClient):
    """Older files are put back as well, and are refused."""

    COUNTER = MemoryCounter

    @rule(data=st.data())
    @precondition(lambda self: self.copies)
    def put_back_unseen(self, data: st.DataObject) -> None:
        newest = self.path.read_bytes()
        copy, _, writes = data.draw(st.sampled_from(self.copies))
        put_back(self.path, copy)
        if writes < self.writes:
            with pytest.raises(LocalProtocolError, match="is older than its counter"):
                self.session.load(self.path, counter=self.counter)
        put_back(self.path, newest)


class Restored(SavedClient):
    """Older files are put back, and nobody can see it: the same requests get the same bytes all the same."""

    @rule(data=st.data())
    @precondition(lambda self: self.copies)
    def put_back_unseen(self, data: st.DataObject) -> None:
        copy, self.disk, self.writes = data.draw(st.sampled_from(self.copies))
        put_back(self.path, copy)
        self.states.clear()  # the processes are gone with the disk that they had
        event("put back")

    @invariant()
    def one_answer_in_each_round(self) -> None:
        """Not if another request came to the same state."""


class SemiHonestSavedClient(SavedClient):
    MODEL = Model.SEMI_HONEST


class SemiHonestRestored(Restored):
    MODEL = Model.SEMI_HONEST


_SETTINGS = settings(SavedClient.TestCase.settings, max_examples=60, stateful_step_count=20)
TestSavedClient, TestCounted, TestRestored = SavedClient.TestCase, Counted.TestCase, Restored.TestCase
TestSemiHonestSavedClient, TestSemiHonestRestored = SemiHonestSavedClient.TestCase, SemiHonestRestored.TestCase
for case in (TestSavedClient, TestCounted, TestRestored, TestSemiHonestSavedClient, TestSemiHonestRestored):
    case.settings = _SETTINGS
