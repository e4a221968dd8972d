"""Whole sessions, drawn step by step: users join, answer, leave, vanish, send twice, late or something else; the
coordinator stops, loses its power and comes back; time passes.

Beside it runs a model of a page that knows nothing but lists of users. Whatever happens, both are in the same state,
and either the sum is that of U3 or the session aborts with a reason. Nobody hears two requests in one round, and
whoever was told before the end of round 2 that its masked input counts is in the sum.
"""

import random
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from secagg import Model, Params, Round, rounds_of
from secagg.service import journal, running
from secagg.service.deadlines import Deadlines
from secagg.service.refusals import Kind, Refused
from secagg.service.session import STRAYS_MAX

from ..support.coordinated import START, Coordinated, digest, make_setup, post
from ..support.forgetful import ForgetfulDisk, Memory, PowerCut

SECONDS, GRACE = 100.0, 10.0


class Expected:
    """The model: who has answered, who may, and when the round ends."""

    def __init__(self, params: Params, goal: int | None, now: float) -> None:
        self.params, self.goal = params, goal
        self.rounds = list(rounds_of(params))
        self.status = "running"
        self.joined: set[int] = set()
        self.out: dict[int, Kind] = {}
        self.left: set[int] = set()
        self.u3: set[int] = set()
        self.begin(set(range(1, params.n + 1)), now)

    def begin(self, may_answer: set[int], now: float) -> None:
        self.may_answer, self.answered = may_answer, set[int]()
        self.began, self.patience = now, now
        self.goal_met: float | None = None

    @property
    def round(self) -> Round | None:
        return self.rounds[0] if self.rounds and self.status == "running" else None

    @property
    def minimum(self) -> int:
        return self.params.min_users if self.round is Round.MASKED_INPUT_COLLECTION else self.params.t

    def take(self, u: int, now: float) -> None:
        self.answered.add(u)
        if self.goal_met is None and len(self.answered) >= min(self.goal or 99, len(self.may_answer)):
            self.goal_met = now

    def refuse(self, u: int) -> None:
        self.may_answer.discard(u)
        self.out[u] = Kind.FAULTY

    def leave(self, u: int) -> None:
        self.left.add(u)
        self.out[u] = Kind.LEFT
        if u not in self.answered:
            self.may_answer.discard(u)

    def tick(self, now: float) -> None:
        if self.status != "running":
            return
        everybody = self.answered == self.may_answer or len(self.may_answer) < self.minimum
        enough = self.goal_met is not None and now >= self.goal_met + GRACE
        if everybody or enough or now >= max(self.began + SECONDS, self.patience):
            if len(self.answered) >= self.minimum:
                self.end_round(now)
            else:
                self.status = "aborted"

    def end_round(self, now: float) -> None:
        ended = self.rounds.pop(0)
        needed = self.goal is None or len(self.answered) < self.goal or ended >= Round.MASKED_INPUT_COLLECTION
        for u in self.joined - self.answered:
            self.out.setdefault(u, Kind.LATE if needed else Kind.NOT_NEEDED)
        if ended is Round.MASKED_INPUT_COLLECTION:
            self.u3 = set(self.answered)
        if not self.rounds:
            self.status = "finished"
        self.begin(self.answered - self.left, now)

    def state(self) -> tuple[Any, ...]:
        if self.status != "running":
            return self.status, self.out if self.status == "finished" else None
        return self.status, self.round, self.answered, self.may_answer, self.joined, self.out


class SessionMachine(RuleBasedStateMachine):
    """`withheld` are answers that are on their way."""

    MODEL = Model.SEMI_HONEST

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()

    @initialize(
        n=st.integers(3, 6),
        spare=st.integers(0, 3),
        seed=st.integers(0, 99),
        small=st.booleans(),
        rounds=st.integers(0, 4),
    )
    def begin(self, n: int, spare: int, seed: int, small: bool, rounds: int) -> None:
        """Some rounds pass without incident."""
        if small:
            self.patch.setattr(journal, "INLINE_BYTES", 100)
            self.patch.setattr(running, "CHECKPOINT_BYTES", 250)
            self.patch.setattr(running, "CHECKPOINT_INPUTS", 2)
        self.disk = ForgetfulDisk(seed)
        params = make_setup(self.MODEL, n, 3).params
        goal = None if spare == 0 else max(params.min_users, n - spare + 1)
        seconds = dict.fromkeys(Round, SECONDS)
        setup = make_setup(self.MODEL, n, 3, deadlines=Deadlines(goal=goal, seconds=seconds, grace=GRACE))
        self.world = Coordinated(setup, self.disk)
        self.world.open()
        self.expected = Expected(setup.params, goal, START)
        self.strays: Counter[tuple[int, Round]] = Counter()
        self.withheld: list[tuple[int, Round, bytes]] = []
        self.random = random.Random(seed)
        for u in self.world.users:
            self.join(u)
        for _ in range(rounds):
            self.everybody_answers()

    def teardown(self) -> None:
        try:
            if hasattr(self, "expected"):
                self.finish()
        finally:
            self.patch.undo()

    def finish(self) -> None:
        """Nothing more happens but time: the session ends, one way or the other."""
        self.disk.cut_at = None
        for _ in range(12):
            if self.over:
                break
            self.everybody_answers()
            self.pass_time(SECONDS)
        assert self.over
        event(f"{self.MODEL.name}: {self.expected.status}")
        if self.expected.status == "aborted":
            assert self.world.session.describe()["reason"]
            assert all(self.hears(u, Kind.ABORTED) for u in self.expected.joined)
            return
        self.world.check_result()
        assert set(self.world.session.result().survivors) == self.expected.u3

    def hears(self, u: int, kind: Kind) -> bool:
        with pytest.raises(Refused) as caught:
            self.world.session.opened(u, None)
        return caught.value.kind is kind

    @property
    def over(self) -> bool:
        return self.expected.status != "running"

    def attempt(self, act: Callable[[], object], effect: Callable[[Expected], None] | None) -> bool:
        """Do something that has this effect on the model; if the power goes, it has it or has not."""
        before = deepcopy(self.expected)
        try:
            act()
        except PowerCut:
            after = deepcopy(before)
            if effect is not None:
                effect(after)
            self.come_back([after, before])
            return False
        if effect is not None:
            effect(self.expected)
        return True

    def come_back(self, candidates: list[Expected]) -> None:
        """After a power cut the session is in one of these states."""
        self.disk.restart(self.random.choice(list(Memory)))
        self.world.open()
        if self.world.session.describe()["closing"]:
            self.world.session.tick()
        for candidate in candidates:
            candidate.patience = self.world.clock.now + GRACE
        states = [candidate.state() for candidate in candidates]
        assert self.state() in states
        self.expected = candidates[states.index(self.state())]

    def state(self) -> tuple[Any, ...]:
        """What the model's `state` has, as the coordinator says it."""
        told = self.world.session.describe()
        kinds = {Kind.LATE: "late", Kind.NOT_NEEDED: "not_needed", Kind.LEFT: "left", Kind.FAULTY: "faulty"}
        out = {u: kind for kind, name in kinds.items() for u in told[name]}
        if told["status"] != "running":
            return told["status"], out if told["status"] == "finished" else None
        answered = set(told["answered"])
        return (
            told["status"],
            self.world.session.round,
            answered,
            answered | set(told["waiting"]),
            set(told["joined"]),
            out,
        )

    @invariant()
    def both_agree(self) -> None:
        if hasattr(self, "expected"):
            assert self.state() == self.expected.state()

    # Users.

    def join(self, u: int) -> None:
        self.attempt(lambda: self.world.join(u), lambda model: model.joined.add(u))

    def everybody_answers(self) -> None:
        for u in self.world.users:
            self.answer(u)
        self.tick()

    def answer(self, u: int) -> None:
        """The user hears what there is, and sends what is not acknowledged."""
        user = self.world.users[u]
        if not user.joined:
            return
        if u not in self.expected.out and not self.over:
            self.world.fetch(u)
        for round in user.to_send():
            self.post(u, round, user.answers[round], user)

    def post(self, u: int, round: Round, body: bytes, user: Any = None) -> None:
        """The message comes, and counts or is refused as the model says; the sender may hear of it."""
        kind = self.refusal(u, round)
        if kind is None:
            now = self.world.clock.now
            new = u not in self.expected.answered or round is not self.expected.round
            effect = (lambda model: model.take(u, now)) if new and round is self.expected.round else None
            if self.attempt(lambda: post(self.world.session, u, round, body), effect) and user is not None:
                user.acknowledged.add(round)
            return
        self.refused(u, round, body, kind)

    def refused(
        self, u: int, round: Round, body: bytes, kind: Kind, effect: Callable[[Expected], None] | None = None
    ) -> None:
        """The message is refused for this reason."""

        def send() -> None:
            with pytest.raises(Refused) as caught:
                post(self.world.session, u, round, body)
            assert caught.value.kind is kind

        self.attempt(send, effect)

    def refusal(self, u: int, round: Round) -> Kind | None:
        """What the model says to the user's own answer of a round."""
        if self.has_taken(u, round):
            return None
        if self.expected.status == "aborted":
            return Kind.ABORTED
        if u in self.expected.out:
            return self.expected.out[u]
        return Kind.LATE if self.over else None

    def has_taken(self, u: int, round: Round) -> bool:
        try:
            return not self.world.session.admit(u, round, digest(self.world.users[u].answers[round]))
        except Refused:
            return False

    @rule(data=st.data())
    def some_user_answers(self, data: st.DataObject) -> None:
        self.answer(data.draw(st.sampled_from(sorted(self.world.users))))

    @rule(data=st.data())
    def the_acknowledgement_is_lost(self, data: st.DataObject) -> None:
        u = data.draw(st.sampled_from(sorted(self.world.users)))
        self.answer(u)
        if self.world.users[u].acknowledged:
            self.world.users[u].acknowledged.discard(max(self.world.users[u].acknowledged))

    @rule(data=st.data())
    def an_answer_is_delayed(self, data: st.DataObject) -> None:
        u = data.draw(st.sampled_from(sorted(self.world.users)))
        user = self.world.users[u]
        if user.joined and u not in self.expected.out and not self.over:
            self.world.fetch(u)
            self.withheld += [(u, round, user.answers[round]) for round in user.to_send()]

    @rule(data=st.data())
    @precondition(lambda self: self.withheld)
    def a_delayed_answer_arrives(self, data: st.DataObject) -> None:
        self.post(*self.withheld.pop(data.draw(st.integers(0, len(self.withheld) - 1))))

    @rule(data=st.data())
    def an_answer_comes_twice(self, data: st.DataObject) -> None:
        u = data.draw(st.sampled_from(sorted(self.world.users)))
        for round in sorted(self.world.users[u].answers):
            if self.has_taken(u, round):
                self.post(u, round, self.world.users[u].answers[round])

    @rule(data=st.data(), flip=st.integers(0, 1 << 20))
    def other_bytes_for_an_answered_round(self, data: st.DataObject, flip: int) -> None:
        u = data.draw(st.sampled_from(sorted(self.world.users)))
        for round in sorted(self.world.users[u].answers):
            if self.has_taken(u, round):
                self.refused(u, round, altered(self.world.users[u].answers[round], flip), Kind.OTHER_ANSWER)

    @rule(data=st.data())
    @precondition(lambda self: not self.over)
    def a_bad_message(self, data: st.DataObject) -> None:
        """It drops its sender; in the active model, in which it is not signed, it drops nobody."""
        u = data.draw(st.sampled_from(sorted(self.world.users)))
        current = self.expected.round
        if u not in self.expected.joined or u in self.expected.out or u in self.expected.answered or current is None:
            return
        bad = b"no message, and no signature" * 3
        if self.MODEL is Model.SEMI_HONEST:
            self.refused(u, current, bad, Kind.FAULTY, lambda model: model.refuse(u))
        elif self.strays[u, current] < STRAYS_MAX - 1:  # the power may go, and then we do not know whether it came
            self.strays[u, current] += 1
            self.refused(u, current, bad, Kind.STRAY)

    @rule(data=st.data())
    def a_user_leaves(self, data: st.DataObject) -> None:
        """No round waits for it any more; whoever is out stays what it is, and so does a session that is over."""
        u = data.draw(st.sampled_from(sorted(self.world.users)))
        if u in self.expected.joined:
            new = u not in self.expected.out and not self.over
            self.attempt(lambda: self.world.session.leave(u), (lambda model: model.leave(u)) if new else None)

    # Time, and the coordinator.

    @rule(seconds=st.sampled_from([1.0, GRACE, SECONDS / 2, SECONDS]))
    def pass_time(self, seconds: float) -> None:
        self.world.clock.now += seconds
        self.tick()

    @rule()
    def tick(self) -> None:
        now = self.world.clock.now
        self.attempt(lambda: self.world.session.tick(), lambda model: model.tick(now))

    @rule()
    def restart(self) -> None:
        self.attempt(self.world.reopen, None)
        self.expected.patience = self.world.clock.now + GRACE

    @rule(steps=st.integers(0, 30))
    def the_power_goes_soon(self, steps: int) -> None:
        self.disk.cut_at = self.disk.steps + steps


def altered(body: bytes, flip: int) -> bytes:
    """The same with another bit."""
    place = flip % (8 * len(body))
    return (int.from_bytes(body) ^ 1 << place).to_bytes(len(body))


class ActiveMachine(SessionMachine):
    MODEL = Model.ACTIVE


TestSemiHonestSession = SessionMachine.TestCase
TestActiveSession = ActiveMachine.TestCase
TestSemiHonestSession.settings = TestActiveSession.settings = settings(max_examples=50, stateful_step_count=25)
