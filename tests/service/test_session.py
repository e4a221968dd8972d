"""Who may take part and speak, when rounds end, and what everybody is told."""

from typing import Any

import pytest

from secagg import LocalProtocolError, Model, Round, rounds_of
from secagg.errors import ArgumentTypeError
from secagg.service.deadlines import Deadlines
from secagg.service.refusals import Kind, Refused
from secagg.service.session import STRAYS_MAX, Aborted, Admitted, Ended, Session, Status
from secagg.service.setup import SessionSetup

from ..support.allocated import peak_bytes
from ..support.coordinated import START, User, digest, make_setup, roster_of

MODELS = pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
SECONDS = dict.fromkeys(Round, 100.0)


class World:
    """A session and its users, all of whom have joined, on a clock that is an argument."""

    def __init__(self, setup: SessionSetup) -> None:
        self.session = Session(setup, START)
        self.users = {u: User(setup, u) for u in range(1, setup.params.n + 1)}
        for u, user in self.users.items():
            assert self.session.join(user.name) == u
            user.begin()

    def send(self, *users: int, at: float = 0.0) -> None:
        """These users answer the round that is due."""
        current = self.session.round
        assert current is not None
        for u in users:
            opened = self.session.opened(u, None)
            if opened is not None:
                self.users[u].hear(opened)
            body = self.users[u].answers[current]
            assert self.session.admit(u, current, digest(body))
            self.session.receive(u, current, digest(body), body, START + at)

    def end(self, at: float = 0.0) -> Any:
        """What is due is applied."""
        decision = self.session.due(START + at)
        assert decision is not None
        self.session.apply(decision, START + at)
        return decision

    def play(self, *rounds: Any) -> None:
        """In each round these users answer; it ends at its deadline at the latest."""
        for at, users in enumerate(rounds):
            self.send(*users, at=100.0 * at)
            self.end(at=100.0 * (at + 1))

    def kind(self, u: int) -> Kind:
        """Why the user gets no request."""
        return refused(lambda: self.session.opened(u, None)).kind


def refused(act: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


def world(model: Model = Model.SEMI_HONEST, n: int = 4, **deadlines: Any) -> World:
    return World(make_setup(model, n, deadlines=Deadlines(seconds=SECONDS, **deadlines)))


# When a round ends.


@MODELS
def test_a_round_ends_once_all_have_answered(model: Model) -> None:
    made = world(model)
    made.send(1, 2, 3)
    assert made.session.due(START + 99.9) is None
    assert made.session.next_time() == START + 100.0
    made.send(4)
    assert made.session.due(START) == Ended(Round.ADVERTISE_KEYS, (1, 2, 3, 4))


def test_a_round_ends_at_its_deadline_with_the_minimum() -> None:
    made = world()
    made.send(1, 2, 4)
    assert made.session.due(START + 99.9) is None
    assert made.session.due(START + 100.0) == Ended(Round.ADVERTISE_KEYS, (1, 2, 4))


def test_a_round_aborts_at_its_deadline_below_the_minimum() -> None:
    made = world()
    made.send(1, 2)
    assert made.session.due(START + 99.9) is None
    decision = made.end(at=100.0)
    assert decision == Aborted(Round.ADVERTISE_KEYS, "AdvertiseKeys: 2 users answered by the deadline, 3 are needed")
    assert made.session.status is Status.ABORTED
    for u in made.users:
        told = refused(lambda u=u: made.session.opened(u, None))
        assert (told.kind, decision.reason in told.detail) == (Kind.ABORTED, True)
        assert refused(lambda u=u: made.session.admit(u, Round.SHARE_KEYS, bytes(32))).kind is Kind.ABORTED
    assert made.session.next_time() is None
    assert made.session.due(START + 1e9) is None


def test_masked_inputs_need_min_users() -> None:
    setup = make_setup(n=6, min_users=6, deadlines=Deadlines(seconds=SECONDS))
    made = World(setup)
    made.play(range(1, 7), range(1, 7))
    assert made.session.minimum == 6
    made.send(1, 2, 3, 4, 5, at=200.0)
    assert isinstance(made.end(at=200.0 + 100.0), Aborted)


@MODELS
def test_a_goal_and_a_grace(model: Model) -> None:
    made = world(model, goal=3, grace=5.0)
    made.send(1, 2, at=1.0)
    made.send(3, at=7.0)
    assert made.session.next_time() == START + 12.0
    assert made.session.due(START + 11.9) is None
    assert made.session.due(START + 12.0) == Ended(Round.ADVERTISE_KEYS, (1, 2, 3))
    made.send(4, at=11.0)
    assert made.end(at=11.0) == Ended(Round.ADVERTISE_KEYS, (1, 2, 3, 4))


def test_the_grace_does_not_outlast_the_deadline() -> None:
    made = world(goal=3, grace=50.0)
    made.send(1, 2, 3, at=80.0)
    assert made.session.next_time() == START + 100.0


def test_where_fewer_may_answer_than_the_goal_all_of_these_are_enough() -> None:
    made = world(n=5, goal=5, grace=0.0)
    made.play((1, 2, 3, 4))
    made.send(1, 2, 3, at=100.0)
    assert made.session.due(START + 150.0) is None
    made.send(4, at=101.0)
    assert made.end(at=101.0) == Ended(Round.SHARE_KEYS, (1, 2, 3, 4))


def test_a_session_aborts_at_once_where_too_few_are_left() -> None:
    made = world(Model.SEMI_HONEST)
    for u in (1, 2):
        assert (
            refused(lambda u=u: made.session.receive(u, Round.ADVERTISE_KEYS, bytes(32), b"no message", START)).kind
            is Kind.FAULTY
        )
    decision = made.end()
    assert decision == Aborted(Round.ADVERTISE_KEYS, "AdvertiseKeys: only 2 users are left, 3 are needed")


def test_a_deadline_counts_from_the_beginning_of_its_round() -> None:
    made = world()
    made.send(1, 2, 3, 4, at=30.0)
    made.end(at=30.0)
    assert made.session.next_time() == START + 130.0
    made.session.wait_at_least(START + 500.0)
    assert made.session.due(START + 499.0) is None
    made.send(1, 2, 3, 4, at=40.0)
    made.end(at=40.0)
    assert made.session.next_time() == START + 140.0


@pytest.mark.parametrize("users", [(1, 2), (1, 2, 3, 4), (1, 2, 4)])
def test_a_round_ends_with_exactly_the_decisions_users(users: tuple[int, ...]) -> None:
    made = world()
    made.send(1, 2, 3)
    with pytest.raises(LocalProtocolError, match="have answered"):
        made.session.apply(Ended(Round.ADVERTISE_KEYS, users), START)
    assert made.session.round is Round.ADVERTISE_KEYS


def test_a_decision_about_another_round() -> None:
    made = world()
    made.send(1, 2, 3, 4)
    with pytest.raises(LocalProtocolError, match="not due"):
        made.session.apply(Ended(Round.SHARE_KEYS, (1, 2, 3, 4)), START)


def test_a_round_that_is_being_closed_takes_no_answers() -> None:
    made = world(goal=3, grace=0.0)
    made.send(1, 2, 3)
    decision = made.session.due(START)
    assert isinstance(decision, Ended)
    made.session.close(decision)
    body = made.users[4].answers[Round.ADVERTISE_KEYS]
    assert refused(lambda: made.session.admit(4, Round.ADVERTISE_KEYS, digest(body))).kind is Kind.LATE
    with pytest.raises(LocalProtocolError, match="not due"):
        made.session.receive(4, Round.ADVERTISE_KEYS, digest(body), body, START)
    assert made.session.due(START) is None
    assert made.session.describe()["answered"] == [1, 2, 3]


# What everybody is told.


@MODELS
@pytest.mark.parametrize("round", [Round.ADVERTISE_KEYS, Round.SHARE_KEYS])
def test_who_is_not_needed_is_told_before_it_is_in_u2(model: Model, round: Round) -> None:
    everyone = (1, 2, 3, 4)
    made = world(model, goal=3)
    made.play(*[everyone] * round, (1, 2, 3))
    told = refused(lambda: made.session.opened(4, None))
    assert told.kind is Kind.NOT_NEEDED
    assert "nothing of it is revealed" in told.detail
    assert made.session.describe()["not_needed"] == [4]
    assert refused(lambda: made.session.admit(4, round, bytes(32))).kind is Kind.NOT_NEEDED


@MODELS
@pytest.mark.parametrize("round", [Round.ADVERTISE_KEYS, Round.SHARE_KEYS])
def test_who_keeps_the_others_waiting_is_late(model: Model, round: Round) -> None:
    made = world(model)
    made.play(*[(1, 2, 3, 4)] * round, (1, 2, 3))
    told = refused(lambda: made.session.opened(4, None))
    assert told.kind is Kind.LATE
    assert "nothing of it is revealed" in told.detail
    assert made.session.describe()["late"] == [4]


@MODELS
def test_whose_keys_are_revealed_sends_nothing_more(model: Model) -> None:
    everyone = (1, 2, 3, 4)
    made = world(model, goal=3)
    made.play(everyone, everyone, (1, 2, 3))
    told = refused(lambda: made.session.opened(4, Round.SHARE_KEYS))
    assert told.kind is Kind.LATE
    assert "send nothing more, and wipe" in told.detail
    assert refused(lambda: made.session.admit(4, Round.MASKED_INPUT_COLLECTION, bytes(32))).kind is Kind.LATE


@MODELS
def test_whose_shares_come_too_late_is_in_the_sum(model: Model) -> None:
    everyone = (1, 2, 3, 4)
    made = world(model)
    rounds = [everyone] * 3 + [(1, 2, 3)] * (1 + (model is Model.ACTIVE))
    made.play(*rounds)
    assert made.session.status is Status.FINISHED
    assert made.session.result is not None
    assert made.session.result.survivors == everyone
    assert made.session.opened(4, None) is None
    assert made.session.next_time() is None


def test_a_faulty_user_is_out() -> None:
    made = world()
    assert "refused" in refused(lambda: made.session.receive(4, Round.ADVERTISE_KEYS, digest(b"?"), b"?", START)).detail
    assert made.kind(4) is Kind.FAULTY
    body = made.users[4].answers[Round.ADVERTISE_KEYS]
    assert refused(lambda: made.session.admit(4, Round.ADVERTISE_KEYS, digest(body))).kind is Kind.FAULTY
    made.send(1, 2, 3)
    made.end()
    assert made.kind(4) is Kind.FAULTY
    assert made.session.describe()["faulty"] == made.session.describe()["faults"] == [4]


@MODELS
def test_messages_that_are_taken_together_count_one_after_another(model: Model) -> None:
    """Each with the outcome that it has alone; and it is the message that meets the goal whose time counts."""
    setup = make_setup(model, 7, deadlines=Deadlines(seconds=SECONDS, goal=5, grace=10.0))
    single, together = World(setup), Session(setup, START)
    for user in single.users.values():
        together.join(user.name)
    bodies = {u: single.users[u].answers[Round.ADVERTISE_KEYS] for u in range(1, 7)} | {2: b"?" * 99}
    messages = [Admitted(u, digest(body), body, START + u) for u, body in bodies.items()]
    outcomes = together.receive_all(Round.ADVERTISE_KEYS, messages)
    for message, outcome in zip(messages, outcomes, strict=True):
        told = None
        try:
            single.session.receive(message.user, Round.ADVERTISE_KEYS, message.digest, message.body, message.at)
        except Refused as caught:
            told = caught.kind, caught.detail
        assert told == (None if outcome is None else (outcome.kind, outcome.detail))
    assert [u for u, outcome in enumerate(outcomes, 1) if outcome is not None] == [2]
    assert together.describe() == single.session.describe()
    assert together.next_time() == single.session.next_time() == START + 16.0  # with 6 the goal is met


def test_a_message_is_taken_without_a_set_of_all_users() -> None:
    """Which a session of many users would make for each of their messages."""
    setup, first = make_setup(n=5_000, deadlines=Deadlines(seconds=SECONDS)), Round.ADVERTISE_KEYS
    session = Session(setup, START)
    users = [User(setup, u) for u in (1, 2)]
    for u in range(1, setup.params.n + 1):
        session.join(u)
    bodies = []
    for user in users:
        user.begin()
        bodies.append(user.answers[first])

    def take(u: int) -> None:
        body = bodies[u - 1]
        assert session.admit(u, first, digest(body))
        session.receive(u, first, digest(body), body, START)
        assert session.next_time() == START + 100.0

    take(1)
    assert peak_bytes(lambda: take(2)) < 50_000
    assert session.describe()["answered"] == [1, 2]


def test_two_messages_of_one_user_are_not_taken_together() -> None:
    made = world()
    body = made.users[1].answers[Round.ADVERTISE_KEYS]
    with pytest.raises(LocalProtocolError, match="two messages of one user"):
        made.session.receive_all(Round.ADVERTISE_KEYS, [Admitted(1, digest(body), body, START)] * 2)
    assert made.session.describe()["answered"] == []


def test_a_stray_drops_nobody() -> None:
    made = world(Model.ACTIVE)
    for _ in range(STRAYS_MAX - 1):
        told = refused(lambda: made.session.receive(4, Round.ADVERTISE_KEYS, digest(b"?" * 99), b"?" * 99, START))
        assert told.kind is Kind.STRAY
    assert made.session.describe()["strays"] == [4]
    made.send(1, 2, 3, 4)
    made.end()
    assert made.session.opened(4, None) is not None


def test_strays_are_few() -> None:
    made = world(Model.ACTIVE)
    for _ in range(STRAYS_MAX):
        refused(lambda: made.session.receive(4, Round.ADVERTISE_KEYS, digest(b"?" * 99), b"?" * 99, START))
    assert refused(lambda: made.session.admit(4, Round.ADVERTISE_KEYS, bytes(32))).kind is Kind.STRAY
    made.send(1, 2, 3)


@MODELS
def test_the_same_bytes_again_and_others(model: Model) -> None:
    made = world(model)
    everyone = (1, 2, 3, 4)
    made.play(everyone, everyone)
    for u in everyone:
        for each in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS):
            before = made.session.describe()
            assert not made.session.admit(u, each, digest(made.users[u].answers[each]))
            assert refused(lambda u=u, each=each: made.session.admit(u, each, bytes(32))).kind is Kind.OTHER_ANSWER
            assert made.session.describe() == before


def test_the_same_bytes_again_after_the_end() -> None:
    made = world()
    made.play(*[(1, 2, 3, 4)] * 4)
    for each, body in made.users[1].answers.items():
        assert not made.session.admit(1, each, digest(body))
        assert refused(lambda each=each: made.session.admit(1, each, bytes(32))).kind is Kind.OTHER_ANSWER


def test_a_round_that_has_not_begun() -> None:
    made = world()
    for each in (Round.SHARE_KEYS, Round.UNMASKING, Round.CONSISTENCY_CHECK):
        told = refused(lambda each=each: made.session.admit(1, each, bytes(32)))
        assert told.kind is Kind.EARLY
        assert told.retry_after is not None


def test_a_request_is_for_who_has_not_answered_it() -> None:
    made = world()
    assert made.session.request(1, None) is None
    made.play((1, 2, 3, 4))
    for after in (None, Round.ADVERTISE_KEYS):
        opened = made.session.opened(1, after)
        assert opened is not None
        assert (opened.round, opened.body) == (Round.SHARE_KEYS, made.session.request(1, after))
    assert made.session.opened(1, Round.SHARE_KEYS) is None


def test_a_secret_that_cannot_be_recovered_aborts_the_session() -> None:
    """Too many shares are wrong to correct: everybody is told whose secret is missing."""
    made = world(n=4)
    made.play((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4))
    for u in (1, 2, 3, 4):
        opened = made.session.opened(u, None)
        assert opened is not None
        made.users[u].hear(opened)
        body = made.users[u].answers[Round.UNMASKING]
        body = body[:38] + bytes(31) + bytes([u * u * u]) + body[70:]  # the share of user 1's secret
        made.session.receive(u, Round.UNMASKING, digest(body), body, START + 300.0)
    made.end(at=300.0)
    assert made.session.status is Status.ABORTED
    assert "user 1's secret" in made.session.reason


# Whoever leaves.


@MODELS
@pytest.mark.parametrize("answered", [False, True], ids=["not answered", "answered"])
def test_no_round_waits_for_whoever_has_left(model: Model, answered: bool) -> None:
    """To the protocol it is a dropout: of U1 if it has answered AdvertiseKeys, and then not of U2."""
    made = world(model)
    made.send(1, 2, 3, *([4] if answered else []))
    assert made.session.can_leave(4)
    made.session.leave(4)
    assert not made.session.can_leave(4)
    made.session.leave(4)
    u1 = (1, 2, 3, 4) if answered else (1, 2, 3)
    assert made.end() == Ended(Round.ADVERTISE_KEYS, u1)
    assert made.kind(4) is Kind.LEFT
    assert refused(lambda: made.session.admit(4, Round.SHARE_KEYS, bytes(32))).kind is Kind.LEFT
    told = made.session.describe()
    assert (told["left"], told["waiting"], told["may_drop"]) == ([4], [1, 2, 3], 0)
    for _ in rounds_of(made.session.setup.params)[1:]:
        made.send(1, 2, 3)
        made.end()
    assert made.session.status is Status.FINISHED
    assert made.session.survivors == (1, 2, 3)
    assert made.kind(4) is Kind.LEFT


def test_an_answer_that_was_taken_counts_although_its_sender_leaves() -> None:
    made = world()
    made.play([1, 2, 3, 4], [1, 2, 3, 4])
    made.send(1, 2, 3, 4, at=200.0)
    made.session.leave(4)
    assert made.end(at=200.0) == Ended(Round.MASKED_INPUT_COLLECTION, (1, 2, 3, 4))
    made.send(1, 2, 3, at=201.0)
    made.end(at=201.0)
    assert made.session.survivors == (1, 2, 3, 4)
    assert made.session.opened(4, None) is None  # its input is in the sum, which it may read


def test_too_few_are_left_when_one_more_leaves() -> None:
    made = world()
    made.play([1, 2, 3, 4])
    made.session.leave(1)
    assert made.session.due(START + 100.0) is None
    made.session.leave(2)
    reason = "ShareKeys: only 2 users are left, 3 are needed"
    assert made.session.due(START + 100.0) == Aborted(Round.SHARE_KEYS, reason)


def test_whoever_is_out_already_does_not_leave() -> None:
    """A round that is being closed has decided: the same after a restart, when it is closed at once."""
    made = world(goal=3, grace=0.0)
    made.send(1, 2, 3)
    made.session.close(Ended(Round.ADVERTISE_KEYS, (1, 2, 3)))
    made.session.leave(4)
    made.session.leave(3)
    made.session.open(made.session.work_out(), START)
    assert (made.kind(4), made.kind(3)) == (Kind.NOT_NEEDED, Kind.LEFT)
    made.session.leave(4)
    assert made.kind(4) is Kind.NOT_NEEDED
    assert refused(lambda: made.session.leave(5)).kind is Kind.NOT_INVITED
    made.session.abort(Aborted(None, "enough"), START)
    made.session.leave(1)
    assert made.session.describe()["left"] == [3]
    again = Session.recall(made.session.setup, made.session.remember())
    assert again.describe()["left"] == [3]


# Who takes part.


def test_ids_by_the_order_of_joining() -> None:
    session = Session(make_setup(n=3), START)
    assert [session.join(name) for name in ("b", "a", 1 << 63, "b", "a")] == [1, 2, 3, 1, 2]
    assert session.user_of(1 << 63) == 3
    assert refused(lambda: session.join(str(1 << 63))).kind is Kind.FULL  # a name of digits is no number
    assert refused(lambda: session.join("c")).kind is Kind.FULL
    assert refused(lambda: session.user_of("c")).kind is Kind.NOT_INVITED
    assert session.has("a")
    assert not session.has("c")


def test_ids_by_the_list_of_those_who_are_invited() -> None:
    setup = make_setup(n=3)
    setup = SessionSetup("s", setup.params, None, ("a", "b", "c"), Deadlines(), START)
    session = Session(setup, START)
    assert [session.join(name) for name in ("c", "a", "c")] == [3, 1, 3]
    assert refused(lambda: session.join("d")).kind is Kind.NOT_INVITED
    assert refused(lambda: session.admit(2, Round.ADVERTISE_KEYS, bytes(32))).kind is Kind.NOT_INVITED
    assert refused(lambda: session.opened(2, None)).kind is Kind.NOT_INVITED


def test_names_and_numbers_are_kept_apart() -> None:
    setup = make_setup(n=3)
    setup = SessionSetup("s", setup.params, None, (7, "7", (1 << 64) - 1), Deadlines(), START)
    session = Session(setup, START)
    assert [session.join(name) for name in ("7", (1 << 64) - 1, 7)] == [2, 3, 1]
    assert session.names == {1: 7, 2: "7", 3: (1 << 64) - 1}
    session.abort(Aborted(None, "enough"), START)
    again = Session.recall(setup, session.remember())
    assert [again.user_of(name) for name in (7, "7", (1 << 64) - 1)] == [1, 2, 3]
    assert refused(lambda: session.user_of(8)).kind is Kind.NOT_INVITED
    with pytest.raises(ArgumentTypeError):
        session.user_of(True)


def test_ids_of_the_roster() -> None:
    setup = make_setup(Model.ACTIVE, n=4)
    roster = roster_of(make_setup(Model.ACTIVE, n=6).params)
    session = Session(SessionSetup("s", setup.params, roster, None, Deadlines(), START), START)
    assert [session.join(u) for u in (6, 2, 6, 5)] == [6, 2, 6, 5]
    assert refused(lambda: session.join(7)).kind is Kind.NOT_INVITED
    session.join(1)
    assert refused(lambda: session.join(3)).kind is Kind.FULL


def test_of_a_larger_roster_n_users_are_all() -> None:
    setup = make_setup(Model.ACTIVE, n=4)
    roster = roster_of(make_setup(Model.ACTIVE, n=6).params)
    setup = SessionSetup("s", setup.params, roster, None, Deadlines(), START)
    session = Session(setup, START)
    for u in (2, 3, 5, 6):
        session.join(u)
        user = User(setup, u)
        user.begin()
        body = user.answers[Round.ADVERTISE_KEYS]
        assert session.due(START) is None
        session.receive(u, Round.ADVERTISE_KEYS, digest(body), body, START)
    assert session.due(START) == Ended(Round.ADVERTISE_KEYS, (2, 3, 5, 6))


@pytest.mark.parametrize(("goal", "kind"), [(None, Kind.LATE), (3, Kind.NOT_NEEDED)])
def test_who_comes_after_the_beginning(goal: int | None, kind: Kind) -> None:
    setup = make_setup(n=4, deadlines=Deadlines(goal=goal, seconds=SECONDS))
    session = Session(setup, START)
    for u in (1, 2, 3):
        user = User(setup, u)
        session.join(user.name)
        user.begin()
        body = user.answers[Round.ADVERTISE_KEYS]
        session.receive(u, Round.ADVERTISE_KEYS, digest(body), body, START)
    decision = session.due(START + 100.0)
    assert decision is not None
    session.apply(decision, START + 100.0)
    assert refused(lambda: session.join("new")).kind is kind
    assert session.join("user 1") == 1


# What remains.


@MODELS
def test_a_session_that_is_over_is_recalled(model: Model) -> None:
    made = world(model, goal=3)
    everyone = (1, 2, 3, 4)
    made.play(everyone, everyone, *[(1, 2, 3)] * (2 + (model is Model.ACTIVE)))
    recalled = Session.recall(made.session.setup, made.session.remember())
    assert recalled.describe() == made.session.describe()
    assert recalled.survivors == made.session.survivors == (1, 2, 3)
    for u in everyone:
        assert recalled.join(made.users[u].name) == u
        for each, body in made.users[u].answers.items():
            if u != 4 or each < Round.MASKED_INPUT_COLLECTION:
                assert not recalled.admit(u, each, digest(body))
    assert refused(lambda: recalled.opened(4, None)).detail == refused(lambda: made.session.opened(4, None)).detail


def test_a_session_that_was_aborted_is_recalled() -> None:
    made = world()
    made.session.apply(Aborted(Round.ADVERTISE_KEYS, "the operator has changed its mind"), START + 3)
    recalled = Session.recall(made.session.setup, made.session.remember())
    assert recalled.describe() == made.session.describe()
    assert "changed its mind" in refused(lambda: recalled.opened(1, None)).detail


def test_a_session_that_runs_is_not_over() -> None:
    with pytest.raises(LocalProtocolError, match="runs"):
        world().session.remember()
    made = world()
    made.session.apply(Aborted(None, "no"), START)
    with pytest.raises(LocalProtocolError, match="over"):
        made.session.apply(Aborted(None, "no"), START)


def test_descriptions_have_ids_and_numbers_only() -> None:
    made = world(Model.ACTIVE)
    made.play((1, 2, 3, 4))
    made.send(1, 2)
    told = made.session.describe()
    assert (told["answered"], told["waiting"], told["may_drop"], told["minimum"]) == ([1, 2], [3, 4], 1, 3)
    text = repr(told)
    assert not any(body.hex() in text or repr(body)[2:-1] in text for body in made.users[1].answers.values())
