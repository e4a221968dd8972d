"""The steps of participants against a session in memory, on a simulated clock: losses, restarts, and what is left."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from secagg import Identity, LocalProtocolError, Model, Params, Quantizer, RemoteProtocolError, Roster, Round, rounds_of
from secagg.dp import BudgetExceeded, Ledger, ZCdp
from secagg.durable import Document
from secagg.errors import SecAggError
from secagg.http.steps import Failure, Reply, Request, Response, Unreachable
from secagg.noisy import NoisySum
from secagg.protocol.client import MAX_AGE
from secagg.service.authentication import Nonces
from secagg.service.calls import parse_coordinator_url
from secagg.service.contribution import Contribution
from secagg.service.counters import CounterFailed
from secagg.service.deadlines import Deadlines
from secagg.service.participant import Participant
from secagg.service.participation import ParticipationPending, Standing
from secagg.service.policy import Policy, PolicyRefusal
from secagg.service.refusals import Kind, Refused
from secagg.service.resources import ROUND, ROUND_NAMES, Announcement

from ..support.memory_coordinator import (
    SECONDS,
    URL,
    Coordinator,
    Crash,
    Player,
    as_json,
    identities,
    play,
    problem,
    step,
)
from ..support.saved import MemoryCounter

N, M = 4, 3
TOKENS = {f"site{u}": f"token-of-site-{u}-and-more" for u in range(1, N + 1)}
UNUSED = httpx.Client()  # a participant's own would read the system's certificates, for a tenth of each test's time


class World:
    """One coordinator, and participants with states of their own.

    Args:
        folder: for states.
        model: of the session.
        deadlines: of the session.
        changes: to `Params`.
    """

    def __init__(
        self,
        folder: Path,
        model: Model,
        deadlines: Deadlines | None = None,
        *,
        params: Params | None = None,
        results: bool = True,
        **changes: Any,
    ) -> None:
        settings = {"n": N, "m": M, "modulus": 1 << 16, "model": model, "n_corrupt": 1, "t": 3, **changes}
        self.params = params or Params(**settings)
        self.model = model
        self.folder = folder
        self.identities: dict[int, Identity] = {}
        self.roster: Roster | None = None
        if model is Model.ACTIVE:
            self.identities, self.roster = identities(N)
        self.coordinator = Coordinator(self.params, self.roster, TOKENS, deadlines, results=results)
        self.players: dict[int, Player] = {}

    def x(self, u: int) -> Any:
        return np.arange(M) + 10 * u

    def player(self, u: int, session: str | None = "trial", x: Any = None, **others: Any) -> Player:
        """User u, who goes on where it was if it was there before."""
        policy = others.pop("policy", Policy())
        who: dict[str, Any] = {"token": TOKENS[f"site{u}"]}
        if self.model is Model.ACTIVE:
            who = {"identity": self.identities[u], "roster": self.roster}
        how = {"policy": policy, "state": self.folder / str(u), "counter": others.pop("counter", None)}
        participant = Participant(URL, **who, **how, http=UNUSED, clock=self.coordinator.clock)
        arguments = {"weight": None, "quantizer": None, "noisy_sum": None, "ledger": None, "timeout": None, **others}
        part = participant._participation(session, self.x(u) if x is None else x, **arguments, read_timeout=None)
        participant.close()
        self.players[u] = Player(part.steps(), farewell=part.farewell)
        return self.players[u]

    def everybody(self) -> list[Player]:
        return [self.player(u) for u in range(1, N + 1)]

    def states(self, u: int) -> list[str]:
        """The saved clients of a user."""
        return [file.name for file in (self.folder / str(u)).glob("*.client")]

    def check(self, survivors: set[int]) -> None:
        """The sum is that of these users, and whoever has come to the end knows it."""
        wanted = sum((self.x(u) for u in survivors), np.zeros(M, int))
        result = self.coordinator.session.result
        assert result is not None
        assert set(result.survivors) == survivors
        assert result.sum.tolist() == wanted.tolist()
        for player in self.players.values():
            if isinstance(player.outcome, Contribution):
                assert player.outcome.sum is not None
                assert player.outcome.sum.tolist() == wanted.tolist()
                assert player.outcome.included is (player.outcome.user in survivors)


@pytest.fixture(params=list(Model), ids=lambda model: model.name.lower())
def model(request: pytest.FixtureRequest) -> Model:
    chosen: Model = request.param
    return chosen


@pytest.fixture
def world(tmp_path: Path, model: Model) -> World:
    return World(tmp_path, model)


def outcome(player: Player) -> Any:
    """What a player returned; what it raised is raised."""
    if isinstance(player.outcome, BaseException):
        raise player.outcome
    return player.outcome


def test_everybody_contributes_and_reads_the_sum(world: World) -> None:
    play(world.coordinator, world.everybody())
    world.check({1, 2, 3, 4})
    for u, player in world.players.items():
        contribution = outcome(player)
        assert contribution.included is True
        assert contribution.survivors == (1, 2, 3, 4)
        assert contribution.decoded is None
        assert world.states(u) == []
        reasons = [told.reason for told in player.told]
        assert reasons[0] == "joined"
        assert [told.round for told in player.told if told.reason == "answered"] == list(rounds_of(world.params))
        assert all(isinstance(told, Standing) and told.session == "trial" for told in player.told)


def test_results_may_be_kept_from_participants(tmp_path: Path, model: Model) -> None:
    world = World(tmp_path, model, results=False)
    play(world.coordinator, world.everybody())
    for player in world.players.values():
        contribution = outcome(player)
        assert (contribution.survivors, contribution.sum, contribution.included) == (None, None, None)


def test_a_session_is_found_in_the_list_once_there_is_one(world: World) -> None:
    coordinator, listed = world.coordinator, world.coordinator.listed
    coordinator.listed = lambda: as_json({"sessions": []})  # type: ignore[method-assign]
    players = [world.player(u, session=None) for u in range(1, N + 1)]
    play(coordinator, players, until=lambda: coordinator.clock() > 1_700_000_020)
    assert {told.reason for player in players for told in player.told} == {"waiting for a session"}
    coordinator.listed = listed  # type: ignore[method-assign]
    play(coordinator, players)
    world.check({1, 2, 3, 4})


def test_one_of_several_sessions_must_be_named(world: World) -> None:
    two = [{**world_listed(world), "session": name} for name in ("trial", "other")]
    world.coordinator.listed = lambda: as_json({"sessions": two})  # type: ignore[method-assign]
    player = world.player(1, session=None)
    play(world.coordinator, [player])
    with pytest.raises(LocalProtocolError, match="several sessions to join: name one of trial, other"):
        outcome(player)


def world_listed(world: World) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Coordinator.listed(world.coordinator).content)
    listed: dict[str, Any] = document["sessions"][0]
    return listed


# Losses.

ROUNDS = [(model, current) for model in Model for current in rounds_of(Params(n=4, m=1, modulus=64, model=model))]
each_round = pytest.mark.parametrize(("model", "current"), ROUNDS, ids=lambda value: value.name.lower())


def answers(request: Request, current: Round) -> bool:
    return request.url.endswith(f"/answers/{ROUND_NAMES[current]}")


@each_round
def test_whoever_dies_in_a_round_is_a_dropout(tmp_path: Path, model: Model, current: Round) -> None:
    world = World(tmp_path, model)
    players = world.everybody()

    def dying(request: Request) -> Reply:
        if answers(request, current):
            raise Crash  # before the answer leaves
        return world.coordinator(request)

    players[1].handler = dying
    play(world.coordinator, players)
    world.check({1, 3, 4} if current <= Round.MASKED_INPUT_COLLECTION else {1, 2, 3, 4})


@each_round
def test_whoever_is_slow_is_out_and_its_input_counts_once_it_was_sent(
    tmp_path: Path, model: Model, current: Round
) -> None:
    """It answers when the round has long ended."""
    world = World(tmp_path, model, Deadlines(goal=3, grace=5.0))
    players = world.everybody()
    failed: list[Request] = []

    def slow(request: Request) -> Reply:
        if answers(request, current) and not failed:
            failed.append(request)
            players[1].ready = world.coordinator.clock() + 10
            return Failure("ReadTimeout", "", arrived=False)
        return world.coordinator(request)

    players[1].handler = slow
    play(world.coordinator, players)
    if current > Round.MASKED_INPUT_COLLECTION:
        world.check({1, 2, 3, 4})
        assert outcome(players[1]).included is True
    else:
        world.check({1, 3, 4})
        with pytest.raises(Refused) as refused:
            outcome(players[1])
        early = current < Round.MASKED_INPUT_COLLECTION
        assert refused.value.kind is (Kind.NOT_NEEDED if early else Kind.LATE)
    assert world.states(2) == []


def exchanges(tmp_path: Path, model: Model) -> int:
    """How many requests user 1 sends in a session without losses."""
    world = World(tmp_path, model)
    players, mine = world.everybody(), []

    def counting(request: Request) -> Reply:
        mine.append(request)
        return world.coordinator(request)

    players[0].handler = counting
    play(world.coordinator, players)
    return len(mine)


@pytest.mark.parametrize("arrived", [True, False], ids=["answer lost", "request lost"])
def test_each_exchange_may_be_lost_once(tmp_path: Path, model: Model, arrived: bool) -> None:
    """Whether the request or the answer was lost, the same bytes go out again, and count once."""
    for lost in range(exchanges(tmp_path / "before", model)):
        world = World(tmp_path / str(lost), model)
        players, count = world.everybody(), iter(range(1000))

        def lossy(request: Request, world: World = world, count: Iterator[int] = count, lost: int = lost) -> Reply:
            if next(count) != lost:
                return world.coordinator(request)
            if arrived:
                world.coordinator(request)
            return Failure("ReadError", "", arrived=True)

        players[0].handler = lossy
        play(world.coordinator, players)
        world.check({1, 2, 3, 4})
        assert isinstance(outcome(players[0]), Contribution)


def test_each_request_may_be_the_one_that_a_restart_prevents(tmp_path: Path, model: Model) -> None:
    """The process is gone when the answer is on disk and has not left; another sends it."""
    for last in range(exchanges(tmp_path / "before", model)):
        world = World(tmp_path / str(last), model)
        players, count = world.everybody(), iter(range(1000))

        def dying(request: Request, world: World = world, count: Iterator[int] = count, last: int = last) -> Reply:
            if next(count) == last:
                raise Crash
            return world.coordinator(request)

        players[0].handler = dying
        play(world.coordinator, players, until=lambda players=players: players[0].over)  # type: ignore[misc]
        again = world.player(1)
        play(world.coordinator, world.players.values())
        world.check({1, 2, 3, 4})
        assert outcome(again).included is True


def test_each_step_may_be_the_last_before_a_restart(tmp_path: Path, model: Model) -> None:
    """The process is gone after any of its steps, and another goes on with the same state."""
    for last in range(200):
        world = World(tmp_path / str(last), model)
        players = world.everybody()
        for _ in range(last):
            step(world.coordinator, players)
            if players[0].over:
                break
        if players[0].over:
            break
        players[0].crash()
        again = world.player(1)
        play(world.coordinator, world.players.values())
        world.check({1, 2, 3, 4})
        assert outcome(again).included is True
        assert world.states(1) == []
    else:
        raise AssertionError("a session has no end")
    assert last > 12


def test_a_participant_never_gives_two_answers_in_a_round(tmp_path: Path, model: Model) -> None:
    """Restarted over and over, it sends the same bytes for each round."""
    world = World(tmp_path, model)
    world.everybody()
    sent: dict[str, set[bytes]] = {}

    def watching(request: Request) -> Reply:
        if "/answers/" in request.url and request.content and "/users/1/" in request.url:
            sent.setdefault(request.url, set()).add(request.content)
        return world.coordinator(request)

    for count in range(2000):
        for player in world.players.values():
            player.handler = watching
        if not step(world.coordinator, world.players.values()):
            break
        if count % 23 == 22 and not world.players[1].over:
            world.players[1].crash()
            world.player(1)
    world.check({1, 2, 3, 4})
    assert len(sent) == len(rounds_of(world.params))
    assert all(len(bodies) == 1 for bodies in sent.values())


def test_a_coordinator_that_is_restarted_knows_no_nonces(tmp_path: Path) -> None:
    """Every nonce is void at any moment; a fresh one is worth one more attempt."""
    world = World(tmp_path, Model.ACTIVE)
    players = world.everybody()

    def restarting(counts: Iterator[int]) -> Callable[[Request], Reply]:
        def restarted(request: Request) -> Reply:
            if next(counts) % 5 == 4:
                world.coordinator._nonces = Nonces(world.coordinator.clock)
            return world.coordinator(request)

        return restarted

    players[0].handler = restarting(iter(range(1000)))
    play(world.coordinator, players)
    world.check({1, 2, 3, 4})


def test_a_coordinator_that_is_away_is_asked_for_minutes_and_then_the_state_stays(world: World) -> None:
    players = world.everybody()
    play(world.coordinator, players, until=lambda: world.coordinator.session.round is Round.MASKED_INPUT_COLLECTION)
    gone = world.coordinator.clock()
    players[0].handler = lambda request: Failure("ConnectError", "refused", arrived=False)
    while not players[0].over:
        world.coordinator.clock.now = max(world.coordinator.clock.now, players[0].ready)
        players[0].advance(world.coordinator, world.coordinator.clock())
    with pytest.raises(Unreachable, match="does not answer: ConnectError"):
        outcome(players[0])
    assert 100 < world.coordinator.clock() - gone < 400
    assert len(world.states(1)) == 1


def test_a_coordinator_that_never_answered_is_given_up_soon(world: World) -> None:
    player, begun = world.player(1), world.coordinator.clock()
    player.handler = lambda request: Failure("ConnectError", "refused", arrived=False)
    play(world.coordinator, [player])
    with pytest.raises(Unreachable, match="check the URL"):
        outcome(player)
    assert world.coordinator.clock() - begun < 20


def test_a_certificate_that_is_not_trusted_is_not_tried_again(world: World) -> None:
    player, begun = world.player(1), world.coordinator.clock()
    detail = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)"
    player.handler = lambda request: Failure("ConnectError", detail, arrived=False)
    play(world.coordinator, [player])
    with pytest.raises(Unreachable, match=r"certificate of .* is not trusted: .*self-signed"):
        outcome(player)
    assert world.coordinator.clock() == begun


def test_a_busy_coordinator_is_asked_again_when_it_says(world: World) -> None:
    players, times = world.everybody(), []

    def busy(request: Request) -> Reply:
        times.append(world.coordinator.clock())
        return Response(503, {"retry-after": "7"}, b"") if len(times) == 1 else world.coordinator(request)

    players[0].handler = busy
    play(world.coordinator, players)
    world.check({1, 2, 3, 4})
    assert times[1] - times[0] >= 7


# Leaving.


@each_round
def test_whoever_leaves_before_u2_is_gone_and_later_may_come_back(tmp_path: Path, model: Model, current: Round) -> None:
    world = World(tmp_path, model)
    players = world.everybody()
    play(world.coordinator, players, until=lambda: has_answered(players[0], current))
    assert len(world.states(1)) == 1
    players[0].steps.close()
    assert len(world.states(1)) == (0 if current < Round.SHARE_KEYS else 1)
    players[0].outcome = "left"
    if current < Round.SHARE_KEYS:
        play(world.coordinator, players)
        world.check({2, 3, 4})
        again = world.player(1)
        play(world.coordinator, [again])
        with pytest.raises((LocalProtocolError, Refused), match=r"has begun without this user|not|over"):
            outcome(again)
    else:
        again = world.player(1)
        play(world.coordinator, world.players.values())
        world.check({1, 2, 3, 4})
        assert outcome(again).included is True


def has_answered(player: Player, current: Round) -> bool:
    return bool(player.told) and player.told[-1].round == current


def farewells(world: World) -> list[Request]:
    return [request for request in world.coordinator.heard if request.url.endswith("/leave")]


@each_round
def test_nobody_waits_for_whoever_has_left(tmp_path: Path, model: Model, current: Round) -> None:
    """The coordinator is told, once the state is gone. Whose state stays says nothing: the same call goes on."""
    world = World(tmp_path, model)
    players = world.everybody()
    play(world.coordinator, players, until=lambda: has_answered(players[0], current))
    begun, states = world.coordinator.clock(), []

    def watching(request: Request) -> Reply:
        states.append(world.states(1))
        return world.coordinator(request)

    players[0].handler = watching
    players[0].leave(world.coordinator)
    if current >= Round.SHARE_KEYS:
        assert (farewells(world), states, len(world.states(1))) == ([], [], 1)
        return
    assert farewells(world)
    assert not any(states)
    assert world.coordinator.session.describe()["left"] == [1]
    play(world.coordinator, players)
    world.check({2, 3, 4})
    assert world.coordinator.clock() - begun < SECONDS / 2


@pytest.mark.parametrize("current", [Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION, Round.UNMASKING])
def test_whoever_refuses_a_request_leaves(world: World, current: Round) -> None:
    """The client ends, its state goes, and then the coordinator hears that nothing more comes."""
    players = world.everybody()

    def lying(request: Request) -> Reply:
        reply = world.coordinator(request)
        if isinstance(reply, Response) and reply.headers.get(ROUND.lower()) == ROUND_NAMES[current]:
            return Response(reply.status, reply.headers, reply.content[:-1])
        return reply

    players[0].handler = lying
    play(world.coordinator, players)
    with pytest.raises(RemoteProtocolError):
        outcome(players[0])
    assert world.states(1) == []
    assert world.coordinator.session.describe()["left"] == [1]
    world.check({2, 3, 4} if current <= Round.MASKED_INPUT_COLLECTION else {1, 2, 3, 4})


def test_whoever_has_not_the_state_does_not_leave(world: World) -> None:
    """Another process has gone on with it, and may still send."""
    players = world.everybody()
    play(world.coordinator, players, until=lambda: has_answered(players[0], Round.ADVERTISE_KEYS))
    first = players[0]
    again = world.player(1)
    play(world.coordinator, [again, *players[1:]], until=lambda: has_answered(again, Round.SHARE_KEYS))
    first.leave(world.coordinator)
    assert farewells(world) == []
    play(world.coordinator, world.players.values())
    world.check({1, 2, 3, 4})


def test_a_session_that_a_site_refuses_is_not_left(world: World) -> None:
    """Nothing was sent: with another policy, or another input, the same user takes part."""
    player = world.player(1, policy=Policy(t=4))
    play(world.coordinator, [player])
    assert isinstance(player.outcome, PolicyRefusal)
    assert farewells(world) == []
    play(world.coordinator, world.everybody())
    world.check({1, 2, 3, 4})


@pytest.mark.parametrize(
    "reply",
    [Failure("ReadTimeout", "", arrived=True), Response(503, {"retry-after": "1"}, b""), Response(503, {}, b"") ,
     Response(500, {}, b""), RemoteProtocolError("too long"), Response(302, {}, b"")],
    ids=["no answer", "busy", "busier", "broken", "too long", "redirected"],
)  # fmt: skip
def test_a_farewell_that_nobody_hears_is_given_up_soon(world: World, reply: Reply) -> None:
    player = world.player(1)
    play(world.coordinator, [player], until=lambda: has_answered(player, Round.ADVERTISE_KEYS))
    sent: list[Request] = []

    def failing(request: Request) -> Reply:
        sent.append(request)
        return reply

    player.handler = failing
    player.leave(world.coordinator)
    assert player.outcome == "left"
    assert world.states(1) == []
    assert 1 <= len(sent) <= 2
    assert all(request.timeout is not None and request.timeout <= 5 for request in sent)


def test_an_interrupt_in_the_middle_of_a_step_leaves_as_well(world: World) -> None:
    player = world.player(1)
    play(world.coordinator, [player], until=lambda: has_answered(player, Round.ADVERTISE_KEYS))
    assert len(world.states(1)) == 1
    with pytest.raises(KeyboardInterrupt):
        player.steps.throw(KeyboardInterrupt())
    assert world.states(1) == []


def test_a_timeout_keeps_the_state_and_the_same_call_goes_on(world: World) -> None:
    player = world.player(1, timeout=30)
    play(world.coordinator, [player])
    with pytest.raises(ParticipationPending, match="waiting for others after AdvertiseKeys"):
        outcome(player)
    assert len(world.states(1)) == 1
    again = [world.player(u) for u in range(1, N + 1)]
    play(world.coordinator, again)
    world.check({1, 2, 3, 4})


def test_an_aborted_session_leaves_no_state_and_says_why(tmp_path: Path, model: Model) -> None:
    world = World(tmp_path, model)
    players = [world.player(u) for u in (1, 2)]
    play(world.coordinator, players)
    for u, player in enumerate(players, 1):
        with pytest.raises(Refused, match="2 users answered by the deadline, 3 are needed") as refused:
            outcome(player)
        assert refused.value.kind is Kind.ABORTED
        assert world.states(u) == []


def test_a_session_that_has_begun_takes_nobody_new(world: World) -> None:
    play(world.coordinator, [world.player(u) for u in (1, 2, 3)])
    late = world.player(4)
    play(world.coordinator, [late])
    with pytest.raises(Refused, match=r"has finished|has begun"):
        outcome(late)


# Once, and with which input.


def test_a_user_takes_part_in_a_session_once(world: World) -> None:
    play(world.coordinator, world.everybody())
    again = world.player(1)
    again.handler = as_if_new(world)
    play(world.coordinator, [again])
    with pytest.raises(LocalProtocolError, match=r"with this nonce already|has taken part in session trial already"):
        outcome(again)
    assert world.states(1) == []


def as_if_new(world: World) -> Callable[[Request], Reply]:
    """A coordinator that says that the session has just begun."""
    fresh = Coordinator(world.params, world.roster, TOKENS)
    fresh.clock = world.coordinator.clock
    return fresh


def test_a_participant_that_comes_back_keeps_its_first_input(world: World) -> None:
    players = world.everybody()
    play(world.coordinator, players, until=lambda: has_answered(players[0], Round.SHARE_KEYS))
    players[0].crash()
    world.player(1, x=np.zeros(M, int))
    play(world.coordinator, world.players.values())
    world.check({1, 2, 3, 4})


def test_a_saved_client_of_other_parameters_is_not_used(world: World) -> None:
    player = world.player(1)
    play(world.coordinator, [player], until=lambda: has_answered(player, Round.ADVERTISE_KEYS))
    player.crash()
    other = Params(n=N, m=M, modulus=1 << 16, model=world.model, n_corrupt=1, t=3)
    again = world.player(1)
    lying = Coordinator(other, world.roster, TOKENS)
    lying.clock = world.coordinator.clock
    again.handler = lying
    play(world.coordinator, [again])
    with pytest.raises(LocalProtocolError, match="Params"):
        outcome(again)
    assert len(world.states(1)) == 1


# The policy.


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy(min_users=4), "min_users is 3, and this site wants at least 4"),
        (Policy(n_corrupt=2), "n_corrupt is 1, and this site wants at least 2"),
        (Policy(t=4), "t is 3, and this site wants at least 4"),
        (Policy(context=b"ours"), "context is empty, and this site wants 'ours'"),
        (Policy(max_value=9), "max_value is 16383, and this site wants at most 9"),
        (Policy(noise=True), "noise is left out"),
    ],
)
def test_a_weaker_session_is_refused_before_anything_of_the_protocol_is_sent(
    world: World, policy: Policy, reason: str
) -> None:
    player = world.player(1, policy=policy)
    play(world.coordinator, [player])
    with pytest.raises(PolicyRefusal, match=reason):
        outcome(player)
    assert not any("/answers/" in request.url for request in world.coordinator.heard)
    assert world.states(1) == []


def test_the_models_go_with_the_credentials(tmp_path: Path) -> None:
    """A session without signatures, for one who has a key: it is refused, although everything else is right."""
    world = World(tmp_path, Model.ACTIVE)
    player = world.player(1)
    weak = Params(n=N, m=M, modulus=1 << 16, n_corrupt=1, t=3)
    told = world.coordinator.announcement

    def lying(user: int) -> Announcement:
        return replace(told(user), params=weak)

    world.coordinator.announcement = lying  # type: ignore[method-assign]
    play(world.coordinator, [player])
    with pytest.raises(PolicyRefusal, match="model is semi-honest, and this site wants active"):
        outcome(player)


def with_another_roster(tmp_path: Path, keys: dict[int, bytes | None]) -> tuple[World, str]:
    """User 1 has a roster with other keys, or without some; and how the refusal begins."""
    world = World(tmp_path, Model.ACTIVE)
    theirs = world.roster
    assert theirs is not None
    own = {u: theirs.key(u) for u in theirs.users.tolist()} | keys
    world.roster = Roster({u: key for u, key in own.items() if key is not None})
    return world, f"roster is {theirs.hash.hex()}, and this site wants {world.roster.hash.hex()}: "


def new_key() -> bytes:
    return Identity.generate().verification_key


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({4: new_key}, "the session's has another key for user 4"),
        ({3: new_key, 4: new_key}, "the session's has another key for users 3, 4"),
        ({5: new_key}, "the session's has 4 users and not 5, not user 5"),
        ({4: None}, "the session's has 4 users and not 3, user 4 besides"),
        ({2: None, 3: new_key, 9: new_key}, "the session's has another key for user 3, user 2 besides, not user 9"),
    ],
    ids=["a key", "two keys", "one more", "one less", "all of it"],
)
def test_a_roster_that_differs_is_refused_with_all_differences(
    tmp_path: Path, keys: dict[int, Callable[[], bytes] | None], words: str
) -> None:
    world, begins = with_another_roster(tmp_path, {u: None if make is None else make() for u, make in keys.items()})
    player = world.player(1)
    play(world.coordinator, [player])
    with pytest.raises(PolicyRefusal) as refused:
        outcome(player)
    assert f"{begins}{words}" in str(refused.value)
    assert not any("/answers/" in request.url for request in world.coordinator.heard)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Response(404, {}, b""), "is not known: the coordinator refuses a request"),
        (Response(200, {"content-type": "application/json"}, b'{"roster": {}}'), "shows another roster than it has"),
        (Response(200, {"content-type": "application/json"}, b'{"roster": {"1": 1}}'), "64 hexadecimal digits"),
        (Response(200, {"content-type": "application/json"}, b"[]"), "must be a JSON object"),
        (RemoteProtocolError("a server's answer has more than 9 bytes"), "is not known: a server's answer has more"),
    ],
    ids=["none", "another", "no keys", "no object", "too long"],
)
def test_a_coordinator_that_does_not_show_its_roster(tmp_path: Path, reply: Reply, words: str) -> None:
    """The refusal stands, and says what it can."""
    world, begins = with_another_roster(tmp_path, {4: new_key()})
    player = world.player(1)
    sizes = []

    def hiding(request: Request) -> Reply:
        if not request.url.endswith("/roster"):
            return world.coordinator(request)
        sizes.append(request.max_bytes)
        return reply

    player.handler = hiding
    play(world.coordinator, [player])
    with pytest.raises(PolicyRefusal) as refused:
        outcome(player)
    assert f"{begins}in what it differs is not known: " in str(refused.value)
    assert words in str(refused.value)
    assert max(sizes) < 10_000


def test_a_user_whose_own_key_differs_is_told_what_that_may_mean(tmp_path: Path) -> None:
    world = World(tmp_path, Model.ACTIVE)
    assert world.roster is not None
    keys = {u: world.roster.key(u) for u in (2, 3, 4)}
    world.identities[1] = Identity.generate()
    world.roster = Roster({1: world.identities[1].verification_key, **keys})
    player = world.player(1)
    play(world.coordinator, [player])
    with pytest.raises(RemoteProtocolError, match="the session's roster has another key for user 1, or no such user"):
        outcome(player)


def test_a_vector_of_another_length_is_refused(world: World) -> None:
    player = world.player(1, x=[1, 2])
    play(world.coordinator, [player])
    with pytest.raises(PolicyRefusal, match="m is 3, and this site wants 2"):
        outcome(player)


def test_an_element_beyond_the_range_is_refused(world: World) -> None:
    player = world.player(1, x=[1, 2, world.params.max_value + 1])
    play(world.coordinator, [player])
    with pytest.raises(LocalProtocolError, match=r"an element of 16384, and the session takes 0 .. 16383"):
        outcome(player)
    assert not any("/answers/" in request.url for request in world.coordinator.heard)


# Models, weights and noise.


def test_models_are_quantized_and_a_weighted_mean_comes_out(tmp_path: Path, model: Model) -> None:
    models = {u: {"w": np.full((2, 2), 0.1 * u), "b": np.array([-0.2])} for u in range(1, N + 1)}
    quantizer: Quantizer[Any] = Quantizer.like(models[1], clip=1.0, bits=16, max_weight=10)
    params = quantizer.params(N, model=model, n_corrupt=1, t=3, context=b"trial")
    world = World(tmp_path, model, params=params)
    policy = Policy(context=b"trial")
    play(
        world.coordinator,
        [world.player(u, x=models[u], weight=u, quantizer=quantizer, policy=policy) for u in models],
    )
    for player in world.players.values():
        contribution = outcome(player)
        assert contribution.included is True
        assert contribution.decoded.weight == 10
        np.testing.assert_allclose(contribution.mean["w"], np.full((2, 2), 0.3), atol=1e-4)
        np.testing.assert_allclose(contribution.mean["b"], [-0.2], atol=1e-4)


def test_a_session_of_another_quantizer_is_refused(tmp_path: Path, model: Model) -> None:
    update = np.zeros(4)
    quantizer: Quantizer[Any] = Quantizer.like(update, clip=1.0)
    params = quantizer.params(N, model=model, n_corrupt=1, t=3)
    world = World(tmp_path, model, params=params)
    other: Quantizer[Any] = Quantizer.like(update, clip=2.0)
    player = world.player(1, x=update, quantizer=other)
    play(world.coordinator, [player])
    with pytest.raises(LocalProtocolError, match="made for another clip"):
        outcome(player)


def noisy_world(tmp_path: Path, model: Model) -> tuple[World, NoisySum[Any]]:
    noisy: NoisySum[Any] = NoisySum.like(np.zeros(5), clip=1.0, budget=ZCdp(2), n=N, survivors=3, corrupt=1)
    return World(tmp_path, model, params=noisy.params(model=model, t=3)), noisy


def test_noise_is_paid_for_before_it_is_sent(tmp_path: Path, model: Model) -> None:
    world, noisy = noisy_world(tmp_path, model)
    ledgers = {u: Ledger(ZCdp(3)) for u in range(1, N + 1)}
    for u, ledger in ledgers.items():
        world.player(u, x=np.full(5, 0.1), noisy_sum=noisy, ledger=ledger)
    paid: list[int] = []

    def watching(request: Request) -> Reply:
        if answers(request, Round.MASKED_INPUT_COLLECTION) and request.content:
            user = int(request.url.split("/users/")[1].split("/")[0])
            paid.append(len(ledgers[user].spent))
        return world.coordinator(request)

    for player in world.players.values():
        player.handler = watching
    play(world.coordinator, world.players.values())
    assert paid == [1] * N
    for player in world.players.values():
        contribution = outcome(player)
        assert contribution.decoded.deviation > 0
        assert contribution.mean.shape == (5,)
    for ledger in ledgers.values():
        assert len(ledger.spent) == 1


def test_a_session_that_the_ledger_does_not_pay_for_is_not_begun(tmp_path: Path, model: Model) -> None:
    world, noisy = noisy_world(tmp_path, model)
    player = world.player(1, x=np.zeros(5), noisy_sum=noisy, ledger=Ledger(ZCdp(1)))
    play(world.coordinator, [player])
    with pytest.raises(BudgetExceeded):
        outcome(player)
    assert world.states(1) == []
    assert not any("/answers/" in request.url for request in world.coordinator.heard)


# What makes no sense.


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"x": [0.5, 1.0]}, "x must be integers, got float64: for floats give a quantizer"),
        ({"x": [[1, 2]]}, "x must be a vector"),
        ({"x": []}, "x must be"),
        ({"x": [-1, 2]}, "at least 0"),
        ({"weight": 3}, "only a quantizer or a noisy sum takes a weight"),
        ({"ledger": Ledger(ZCdp(1))}, "a noisy sum needs the user's own ledger"),
        ({"session": "Round"}, "a session's name has small letters"),
        ({"session": "../x"}, "a session's name has small letters"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_is_asked(
    tmp_path: Path, arguments: dict[str, Any], reason: str
) -> None:
    world = World(tmp_path, Model.SEMI_HONEST)
    with pytest.raises(LocalProtocolError, match=reason):
        world.player(1, **arguments)


def test_states_lie_with_the_nonces_of_the_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the rule of `state_folder`: the folder that is given, $XDG_STATE_HOME, beside the key."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    key = tmp_path / "keys" / "user.key"
    key.parent.mkdir()
    Identity.generate().save(key)

    def folder(identity: Identity | None) -> Path:
        if identity is None:
            return Participant(URL, token="token")._state
        return Participant(URL, identity=identity, roster=Roster({1: identity.verification_key}))._state

    home = tmp_path / "home" / ".local" / "state" / "secagg"
    assert folder(Identity.load(key)) == key.parent
    assert folder(Identity.load(key, state=tmp_path / "given")) == tmp_path / "given"
    assert folder(None) == folder(Identity.generate()) == home
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert folder(Identity.load(key)) == folder(None) == tmp_path / "xdg" / "secagg"
    assert folder(Identity.load(key, state=tmp_path / "given")) == tmp_path / "given"


def test_credentials_go_together() -> None:
    made, roster = identities(3)
    with pytest.raises(LocalProtocolError, match=r"give an identity .* or a token"):
        Participant(URL)
    with pytest.raises(LocalProtocolError, match="go together"):
        Participant(URL, identity=made[1])
    with pytest.raises(LocalProtocolError, match="the roster has no user with this identity's verification key"):
        Participant(URL, identity=Identity.generate(), roster=roster)
    with pytest.raises(LocalProtocolError, match="wants model = semi-honest, and here it is active"):
        Participant(URL, identity=made[1], roster=roster, policy=Policy(model=Model.SEMI_HONEST))
    with pytest.raises(LocalProtocolError, match="printable ASCII"):
        Participant(URL, token="with a blank")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://coordinator.example", "is plain HTTP to another machine"),
        ("coordinator.example", "write it like https://"),
        ("https://user:pass@coordinator.example", "must not hold a name or password"),
        ("https://coordinator.example/v1/sessions/Bad", "a session's name has small letters"),
    ],
)
def test_urls_that_make_no_sense_are_refused(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        Participant(url, token="token", state=tmp_path).contribute(None, [1])


def test_a_url_of_a_session_names_the_session(tmp_path: Path) -> None:
    url, session = parse_coordinator_url(f"{URL}/v1/sessions/trial/", allow_http=False)
    assert (url.base, url.path, session) == (URL, "/sum", "trial")
    url, session = parse_coordinator_url("http://127.0.0.1:80/v1/sessions/a", allow_http=False)
    assert (url.base, url.path, session) == ("http://127.0.0.1:80", "", "a")
    assert parse_coordinator_url(URL, allow_http=False)[1] is None


# Answers that are none.


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Response(200, {"content-type": "text/html"}, b"<html>"), "is not JSON: is the URL right"),
        (Response(200, {"content-type": "application/json"}, b"{"), "is not JSON"),
        (Response(200, {"content-type": "application/json"}, b"[" * 50_000), "is not JSON"),
        (Response(200, {"content-type": "application/json"}, b"{}"), "announcement"),
        (Response(302, {"location": "https://other.example"}, b""), "redirects us"),
        (RemoteProtocolError("a server's answer has more than 3 bytes"), "more than 3 bytes"),
    ],
)
def test_an_answer_that_is_none_is_refused(world: World, reply: Reply, reason: str) -> None:
    player = world.player(1)
    player.handler = lambda request: reply
    play(world.coordinator, [player])
    with pytest.raises(RemoteProtocolError, match=reason):
        outcome(player)


def test_nothing_but_a_refusal_that_is_known_puts_a_user_out(world: World) -> None:
    """A gateway's error page, in the middle: the state stays, and the same call goes on."""
    players = world.everybody()
    play(world.coordinator, players, until=lambda: has_answered(players[0], Round.SHARE_KEYS))
    players[0].handler = lambda request: Response(500, {}, b"oops")
    while not players[0].over:
        players[0].advance(world.coordinator, world.coordinator.clock())
    assert isinstance(players[0].outcome, Exception)
    assert len(world.states(1)) == 1
    again = world.player(1)
    play(world.coordinator, world.players.values())
    world.check({1, 2, 3, 4})
    assert outcome(again).included is True


@pytest.mark.parametrize(
    "kind", [Kind.ABORTED, Kind.NOT_NEEDED, Kind.FAULTY, Kind.OTHER_ANSWER, Kind.OVER, Kind.NO_SESSION]
)
def test_refusals_that_put_a_user_out_leave_no_state(world: World, kind: Kind) -> None:
    players = world.everybody()
    play(world.coordinator, players, until=lambda: has_answered(players[0], Round.MASKED_INPUT_COLLECTION))
    players[0].handler = lambda request: problem(Refused(kind, "because"))
    while not players[0].over:
        players[0].advance(world.coordinator, world.coordinator.clock())
    with pytest.raises(Refused, match="because"):
        outcome(players[0])
    assert world.states(1) == []


def alone(world: World, player: Player) -> None:
    """Play one user to its end, whatever the others do."""
    while not player.over:
        player.advance(world.coordinator, world.coordinator.clock())


@pytest.mark.parametrize("kind", [Kind.NO_SESSION, Kind.ABORTED, Kind.OVER])
def test_whoever_comes_back_to_a_session_that_is_gone_leaves_no_state(world: World, kind: Kind) -> None:
    players = world.everybody()
    play(world.coordinator, players, until=lambda: has_answered(players[0], Round.SHARE_KEYS))
    players[0].crash()
    assert len(world.states(1)) == 1
    again = world.player(1)
    again.handler = lambda request: problem(Refused(kind, "no more"))
    alone(world, again)
    with pytest.raises(Refused, match="no more") as refused:
        outcome(again)
    assert refused.value.kind is kind
    assert world.states(1) == []
    assert len(world.states(2)) == 1


@pytest.mark.parametrize("kind", [Kind.OVER, Kind.ABORTED, Kind.LATE, Kind.NO_SESSION])
@pytest.mark.parametrize("path", ["/result", "/result/sum"])
def test_whoever_is_refused_the_result_leaves_no_state(world: World, kind: Kind, path: str) -> None:
    players = world.everybody()

    def refusing(request: Request) -> Reply:
        if request.url.endswith(path):
            assert len(world.states(1)) == 1
            return problem(Refused(kind, "no more"))
        return world.coordinator(request)

    players[0].handler = refusing
    play(world.coordinator, players)
    with pytest.raises(Refused, match="no more"):
        outcome(players[0])
    assert world.states(1) == []


def test_a_session_s_name_may_be_used_again_with_counters(tmp_path: Path, model: Model) -> None:
    """The next session has a nonce of its own, and with it a counter of its own for each state."""
    world, counters = World(tmp_path, model), defaultdict[str, MemoryCounter](MemoryCounter)
    for _ in range(2):
        players = [world.player(u, counter=counters.__getitem__) for u in range(1, N + 1)]
        play(world.coordinator, players)
        world.check({1, 2, 3, 4})
        assert all(isinstance(player.outcome, Contribution) for player in players)
        world.params = replace(world.params, nonce=sha256(world.params.nonce).digest()[:16])
        world.coordinator = Coordinator(world.params, world.roster, TOKENS)
    assert len(counters) == 2 * N


class Failing(MemoryCounter):
    """A counter whose program fails while it is away."""

    away = False

    def advance(self, to: int) -> None:
        if self.away:
            raise CounterFailed("the counter 'tpm advance' ended with exit code 1")
        super().advance(to)


def ending(world: World, end: str, counter: Failing, over: list[str]) -> Callable[[Request], Reply]:
    """A coordinator that ends the session for user 1 in this way, and then the counter is away."""

    def handler(request: Request) -> Reply:
        reply = world.coordinator(request)
        assert isinstance(reply, Response)
        last = reply.headers.get(ROUND.lower()) == ROUND_NAMES[Round.UNMASKING]
        if not over and (request.url.endswith("/result/sum") if end == "finished" else last):
            counter.away = True
        if end == "refused" and last:
            return problem(Refused(Kind.ABORTED, "no more"))
        if end == "faulty" and last:
            return Response(reply.status, reply.headers, reply.content[:-1])
        return reply

    return handler


@pytest.mark.parametrize("end", ["finished", "refused", "faulty"])
def test_a_counter_that_fails_at_the_end_is_heard_and_the_same_call_ends(world: World, end: str) -> None:
    """Otherwise the last state would count for ever, and whoever puts it back would let it answer again."""
    counter, over = Failing(), list[str]()
    first = world.player(1, counter=lambda name: counter)
    first.handler = ending(world, end, counter, over)
    play(world.coordinator, [first, *(world.player(u) for u in (2, 3, 4))], until=lambda: first.over)
    with pytest.raises(CounterFailed, match="exit code 1") as failed:
        outcome(first)
    cause = {"finished": None, "refused": Refused, "faulty": RemoteProtocolError}[end]
    assert cause is None or (isinstance(failed.value.__cause__, cause) and str(failed.value.__cause__) in str(failed))
    assert (len(world.states(1)), farewells(world)) == (1, [])

    over.append("the counter is back")
    counter.away, reached = False, counter.value()
    again = world.player(1, counter=lambda name: counter)
    again.handler = first.handler
    play(world.coordinator, world.players.values())
    assert world.states(1) == []
    assert counter.value() == reached + (2 if end == "faulty" else 1)  # its last state was written, and not counted
    if end == "finished":
        assert outcome(again).included is True
    else:
        with pytest.raises(SecAggError, match="no more" if end == "refused" else "after an error"):
            outcome(again)
    assert len(farewells(world)) == (end == "faulty")


def test_a_counter_that_fails_keeps_the_state_of_a_session_that_is_gone(world: World) -> None:
    counter, players = Failing(), world.everybody()
    players[0] = world.player(1, counter=lambda name: counter)
    play(world.coordinator, players, until=lambda: has_answered(players[0], Round.SHARE_KEYS))
    players[0].crash()
    for counter.away in (True, False):
        again = world.player(1, counter=lambda name: counter)
        again.handler = lambda request: problem(Refused(Kind.OVER, "no more"))
        alone(world, again)
        with pytest.raises(CounterFailed if counter.away else Refused, match="no more"):
            outcome(again)
        assert len(world.states(1)) == counter.away


def test_whoever_cancels_while_the_counter_fails_goes_on_with_the_same_call(world: World) -> None:
    counter, players = Failing(), world.everybody()
    players[0] = world.player(1, counter=lambda name: counter)
    play(world.coordinator, players, until=lambda: has_answered(players[0], Round.ADVERTISE_KEYS))
    counter.away = True
    players[0].leave(world.coordinator)
    assert (len(world.states(1)), farewells(world)) == (1, [])
    counter.away = False
    world.player(1, counter=lambda name: counter)
    play(world.coordinator, world.players.values())
    world.check({1, 2, 3, 4})


def test_states_that_nobody_came_back_to_are_removed(world: World) -> None:
    """By the next contribution of any session; what is not ours, in use, young or a copy stays."""
    players = world.everybody()
    play(world.coordinator, players, until=lambda: has_answered(players[0], Round.SHARE_KEYS))
    players[0].crash()
    folder = world.folder / "1"
    (name,) = world.states(1)
    (folder / "notes.client").write_bytes((folder / name).read_bytes())
    (folder / f"{0:032x}.client").write_bytes((folder / name).read_bytes())  # a copy
    (folder / f"{1:032x}.client").write_bytes(b"")
    (folder / f"{2:032x}.client").mkdir()

    def goes() -> set[str]:
        """What goes when the user begins anew, while nobody answers."""
        before = set(world.states(1))
        player = world.player(1, session="another")
        player.handler = lambda request: Failure("ConnectError", "refused", arrived=False)
        while not player.over:
            player.advance(world.coordinator, max(world.coordinator.clock(), player.ready))
        return before - set(world.states(1))

    world.coordinator.clock.now += MAX_AGE - 1000
    assert goes() == set()
    world.coordinator.clock.now += 2000
    with Document(folder / name, "client state").turn():
        assert goes() == set()
    assert goes() == {name}
    assert not (folder / f"{name}.lock").exists()
