"""What a coordinator that lies gets of participants over HTTP; for the protocol by itself see test_malicious_server."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from secagg import Identity, LocalProtocolError, Model, Params, RemoteProtocolError, Round
from secagg.codec import Ids
from secagg.http.base64url import base64url
from secagg.http.steps import Retries, Unreachable
from secagg.protocol.messages import (
    ConsistencyCheckRequest,
    Request,
    UnmaskingRequest,
    decode,
    encode,
)
from secagg.service.authentication import LABEL
from secagg.service.participant import Contribution, Standing
from secagg.service.policy import Policy, PolicyRefusal
from secagg.service.resources import OCTETS, ROUND, ROUND_NAMES

from ...support.coordinators import Kept
from ...support.liar import Asked, Liar, Said, Send, lying, say
from ...support.sites import Sites, sum_over, vector


@pytest.fixture(params=list(Model), ids=lambda model: model.name.lower())
def model(request: pytest.FixtureRequest) -> Model:
    chosen: Model = request.param
    return chosen


@dataclass
class World:
    """A lying coordinator, and four honest sites."""

    kept: Kept
    liar: Liar
    sites: Sites

    def everybody(self, session: str, users: Any = None, **others: Any) -> dict[int, Contribution | Exception]:
        """What each of these users gets of the session."""

        def contribute(u: int) -> Contribution | Exception:
            try:
                with self.sites.participant(u, **others) as participant:
                    return participant.contribute(session, vector(u))
            except Exception as error:
                return error

        chosen = list(users or self.sites.users)
        with ThreadPoolExecutor(len(chosen)) as pool:
            return dict(zip(chosen, pool.map(contribute, chosen), strict=True))


@pytest.fixture
def world(tmp_path: Path, model: Model) -> Iterator[World]:
    with lying(tmp_path / "coordinator") as (running, liar):
        yield World(running, liar, Sites(running, tmp_path, model))


def is_request(asked: Asked, user: int, after: Round | None = None) -> bool:
    """Whether a user asks for its next request."""
    named = "" if after is None else f"after={ROUND_NAMES[after]}&"
    return f"/users/{user}/request?{named}" in asked.path


def raised(outcome: Contribution | Exception, kind: type[Exception], reason: str) -> None:
    assert isinstance(outcome, kind), outcome
    assert re.search(reason, str(outcome)), outcome


# A second U3.


def smaller(users: Ids) -> Ids:
    """U3 as if user 4 had dropped out."""
    left: Ids = users[users != 4]
    return left


def opening(request: Request, opened: Round, nonce: str) -> Said:
    headers = {"content-type": OCTETS, ROUND.lower(): ROUND_NAMES[opened], "secagg-nonce": nonce}
    return Said(200, headers, encode(request))


def test_a_participant_that_has_unmasked_is_shown_another_u3_in_vain(world: World) -> None:
    """The session is over for it, and it does not answer."""
    session, _ = world.sites.create()
    told: list[bytes] = []

    def lie(asked: Asked, said: Said) -> Said:
        if is_request(asked, 1) and said.headers.get(ROUND.lower()) == "unmasking":
            told.append(said.body)
        if is_request(asked, 1, Round.UNMASKING) and told:
            honest = decode(told[0], UnmaskingRequest)
            return opening(replace(honest, users=smaller(honest.users)), Round.UNMASKING, said.headers["secagg-nonce"])
        return said

    world.liar.lie = lie
    outcomes = world.everybody(session)
    raised(outcomes[1], RemoteProtocolError, "no request of the next round")
    assert len(set(world.liar.sent("/users/1/answers/unmasking"))) == 1


@pytest.mark.parametrize("opened", [Round.CONSISTENCY_CHECK, Round.UNMASKING], ids=lambda opened: ROUND_NAMES[opened])
def test_a_participant_that_is_restarted_is_told_another_u3_in_vain(world: World, opened: Round) -> None:
    """Its answer to one U3 is swallowed. It is restarted, and the coordinator tells it another U3 of the same round."""
    if world.sites.model is Model.SEMI_HONEST and opened is Round.CONSISTENCY_CHECK:
        opened = Round.UNMASKING
    session, _ = world.sites.create(seconds={"unmasking": 4.0})
    kind = {Round.CONSISTENCY_CHECK: ConsistencyCheckRequest, Round.UNMASKING: UnmaskingRequest}[opened]
    posted = f"/users/1/answers/{ROUND_NAMES[opened]}"
    told: list[bytes] = []

    def swallow(asked: Asked, said: Said) -> Said:
        if is_request(asked, 1) and said.headers.get(ROUND.lower()) == ROUND_NAMES[opened]:
            told.append(said.body)
        return said

    def busy(asked: Asked, said: Said) -> Said:
        if asked.path.endswith(posted):
            return Said(503, {"retry-after": "9999", "secagg-nonce": said.headers["secagg-nonce"]}, b"")
        return swallow(asked, said)

    world.liar.lie = busy
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(world.everybody, session, (2, 3, 4))
        raised(world.everybody(session, (1,))[1], Exception, "busy")
        assert len(world.sites.states(1)) == 1

        def another(asked: Asked, said: Said) -> Said:
            if is_request(asked, 1):
                honest: Any = decode(told[0], kind)
                lie = replace(honest, users=smaller(honest.users))
                return opening(lie, opened, said.headers["secagg-nonce"])
            return swallow(asked, said)

        world.liar.lie = another
        raised(world.everybody(session, (1,))[1], RemoteProtocolError, "no request of the next round|has been answered")
        world.liar.lie = swallow
        others.result()
    assert len(set(world.liar.sent(posted))) == 1


# Other sessions.


def test_requests_of_two_sessions_cannot_be_mixed(world: World) -> None:
    """Each of two sessions of the same users gets what the other's user 1 was to be told. It leaves, and the others
    have their sums without it."""
    sessions = [world.sites.create()[0] for _ in range(2)]
    seen: dict[str, Said] = {}

    def lie(asked: Asked, said: Said) -> Said:
        if is_request(asked, 1, Round.ADVERTISE_KEYS) and said.status == 200:
            session = asked.path.split("/")[3]
            seen.setdefault(session, Said(said.status, dict(said.headers), said.body))
            other = seen.get(next(name for name in sessions if name != session))
            if other is None:
                return Said(204, {"retry-after": "1", "secagg-nonce": said.headers["secagg-nonce"]}, b"")
            return Said(200, {**other.headers, "secagg-nonce": said.headers["secagg-nonce"]}, other.body)
        return said

    world.liar.lie = lie
    folders = [world.sites.folder / f"mixed{i}" for i in range(2)]

    def contribute(job: tuple[int, int]) -> Contribution | Exception:
        u, i = job
        try:
            with world.sites.participant(u, state=folders[i] / str(u)) as participant:
                return participant.contribute(sessions[i], vector(u), timeout=200)
        except Exception as error:
            return error

    jobs = [(u, i) for u in (1,) for i in range(2)]
    rest = [(u, i) for u in (2, 3, 4) for i in range(2)]
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(contribute, job) for job in rest]
        for outcome in pool.map(contribute, jobs):
            raised(outcome, RemoteProtocolError, "own keys")
        for each in waiting:
            contribution = each.result()
            assert isinstance(contribution, Contribution), contribution
            assert contribution.survivors == (2, 3, 4)
    assert world.liar.sent("/users/1/answers/share-keys") == []


def abort(world: World, session: str) -> None:
    url = f"{world.kept.url}/v1/sessions/{session}/abort"
    world.kept.http.post(url, headers=world.kept.headers, json={"reason": "enough of this"})


def test_a_session_cannot_be_played_again_with_its_nonce(world: World) -> None:
    """The same parameters under another name: whoever took part once gives no second answer."""
    first, params = world.sites.create()
    for outcome in world.everybody(first).values():
        assert isinstance(outcome, Contribution)
    again, _ = world.sites.create(params=params)
    for outcome in world.everybody(again).values():
        raised(outcome, LocalProtocolError, "with this nonce already|or in one with its nonce")
    assert world.liar.sent(f"{again}/users") == []


def test_parameters_that_differ_from_user_to_user_give_no_sum_of_both(world: World) -> None:
    """User 2 is told other parameters than the others: its keys are not taken, and its vector is never sent."""
    session, params = world.sites.create(seconds={"advertise-keys": 3.0, "share-keys": 3.0})

    def lie(asked: Asked, said: Said) -> Said:
        if asked.path.endswith("/join") and said.status == 200:
            document = json.loads(said.body)
            if document["user"] == 2:
                other = Params(**{**vars(params), "context": b"another model"})
                document["params"] = base64url(other.encode())
            return Said(200, said.headers, json.dumps(document).encode())
        return said

    world.liar.lie = lie
    outcomes = world.everybody(session)
    assert isinstance(outcomes[2], Exception)
    assert world.liar.sent("/users/2/answers/masked-input-collection") == []
    if world.sites.model is Model.ACTIVE:
        for u in (1, 3, 4):
            contribution = outcomes[u]
            assert isinstance(contribution, Contribution)
            assert contribution.sum is not None
            assert contribution.sum.tolist() == sum_over([1, 3, 4])


def test_weaker_parameters_for_one_user_are_refused_by_its_policy(world: World) -> None:
    session, params = world.sites.create()

    def lie(asked: Asked, said: Said) -> Said:
        if asked.path.endswith("/join") and said.status == 200:
            weaker = Params(**{**vars(params), "t": 2, "min_users": 2, "n_corrupt": 0, "model": Model.SEMI_HONEST})
            return Said(
                200, said.headers, json.dumps({**json.loads(said.body), "params": base64url(weaker.encode())}).encode()
            )
        return said

    world.liar.lie = lie
    outcome = world.everybody(session, (1,), policy=Policy(min_users=3))[1]
    raised(outcome, PolicyRefusal, "min_users is 2, and this site wants at least 3")
    assert world.liar.sent("/answers/") == []


def test_coordinator_picks_two_of_a_roster(tmp_path: Path) -> None:
    """A session of two out of eight, of whom one is the coordinator's own: the sum less its vector is the other's."""
    own = Policy(min_users=2, n_corrupt=0)
    with lying(tmp_path / "coordinator") as (running, liar):
        sites = Sites(running, tmp_path, Model.ACTIVE, n=8)
        world = World(running, liar, sites)
        session, _ = sites.create(params=Params(n=2, t=2, n_corrupt=0, m=5, modulus=1 << 20, model=Model.ACTIVE))
        outcome = world.everybody(session, (1,))[1]
        raised(
            outcome, PolicyRefusal, "n is 2, and this site wants all 8 users of the roster; to accept less, give min_"
        )
        raised(outcome, PolicyRefusal, "n_corrupt is 0, and this site wants at least 1; to accept less, give n_corrupt")
        assert liar.sent("/users/1/answers/") == []

        # A site whose own policy says so takes part, and loses its vector.
        outcome = world.everybody(session, (1, 8), policy=own)[8]
        assert isinstance(outcome, Contribution)
        assert outcome.sum is not None
        assert (outcome.sum - vector(8)).tolist() == vector(1).tolist()


@pytest.mark.parametrize(("n", "roster"), [(3, False), (4, False), (6, False), (3, True), (4, True)])
def test_sessions_as_the_operator_makes_them_are_accepted(tmp_path: Path, n: int, roster: bool) -> None:
    """Those that say nothing of thresholds, for participants without a policy."""
    with lying(tmp_path / "coordinator") as (running, liar):
        sites = Sites(running, tmp_path, Model.ACTIVE if roster else Model.SEMI_HONEST, n=n)
        members: dict[str, Any] = {"n": n, "length": 5}
        if sites.roster is not None:
            members["model"] = "active"
            members["roster"] = {str(u): sites.roster.key(u).hex() for u in sites.users}
        session = running.create(**members)["session"]
        for outcome in World(running, liar, sites).everybody(session).values():
            assert isinstance(outcome, Contribution), outcome
            assert outcome.included


def test_a_user_cannot_be_told_that_it_is_another(world: World) -> None:
    """In the active model the roster says who it is; in the semi-honest model the server is trusted with that."""
    session, _ = world.sites.create()

    def lie(asked: Asked, said: Said) -> Said:
        if asked.path.endswith("/join") and said.status == 200:
            return Said(200, said.headers, json.dumps({**json.loads(said.body), "user": 3}).encode())
        return said

    world.liar.lie = lie
    outcome = world.everybody(session, (1,))[1]
    reason = "another user" if world.sites.model is Model.ACTIVE else "user"
    raised(outcome, Exception, reason)


# Somebody else's coordinator.


def test_a_coordinator_cannot_join_another_in_a_users_name(tmp_path: Path) -> None:
    """It passes every request on to a second coordinator, where the user is in the roster as well, word for word."""
    with lying(tmp_path / "a") as (first, liar), lying(tmp_path / "b") as (second, _):
        sites = Sites(first, tmp_path, Model.ACTIVE)
        elsewhere = Sites(second, tmp_path, Model.ACTIVE, identities=sites.identities, roster=sites.roster)
        elsewhere.identities, elsewhere.roster = sites.identities, sites.roster
        session, _ = elsewhere.create(name="round-7")

        async def instead(asked: Asked, send: Send) -> bool:
            async with httpx.AsyncClient() as http:
                answer = await http.request(
                    asked.method, second.url + asked.path, headers={**asked.headers, "host": "b"}, content=b""
                )
            await say(send, Said(answer.status_code, dict(answer.headers), answer.content))
            return True

        liar.instead = instead
        with sites.participant(1) as participant, pytest.raises(RemoteProtocolError, match="HTTP 403"):
            participant.contribute(session, vector(1))
        assert second.status(session)["joined"] == []


def test_nothing_that_a_coordinator_sends_is_signed_bare(tmp_path: Path) -> None:
    """Whatever it gives as a nonce, a signature is over a label and the participant's own words."""
    signed: list[bytes] = []

    class Watched(Identity):
        def sign(self, message: bytes) -> bytes:
            signed.append(message)
            return super().sign(message)

    with lying(tmp_path / "coordinator") as (running, liar):
        sites = Sites(running, tmp_path, Model.ACTIVE)
        for u, identity in sites.identities.items():
            sites.identities[u] = Watched(identity._private)
        session, _ = sites.create()
        world = World(running, liar, sites)
        for outcome in world.everybody(session).values():
            assert isinstance(outcome, Contribution)
        honest = len(signed)

        # Nonces of the protocol's own form, and of other lengths.
        def lie(asked: Asked, said: Said) -> Said:
            said.headers["secagg-nonce"] = base64url((b"secagg answer v1" + bytes(40))[: len(liar.heard) % 60])
            return said

        liar.lie = lie
        other, _ = sites.create()
        assert all(
            isinstance(outcome, Exception) for outcome in world.everybody(other, retries=Retries(2, 1.0)).values()
        )
    assert honest >= 4 * 12
    assert all(message.startswith((LABEL, b"secagg answer v1")) for message in signed[:honest])
    assert all(message.startswith(LABEL) for message in signed[honest:])


# Answers that are too much, or never end.


async def endless(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(1000):  # 64 MiB; nobody reads so far
        await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
        await anyio.sleep(0)


@pytest.mark.parametrize("path", ["/join", "/request?", "/result", "/result/sum"])
def test_an_endless_answer_is_not_read_to_its_end(world: World, path: str) -> None:
    session, _ = world.sites.create()

    async def instead(asked: Asked, send: Send) -> bool:
        if "/users/1/" in asked.path or path in ("/join", "/result", "/result/sum"):
            found = path in asked.path if path == "/request?" else asked.path.endswith(path)
            if found and "authorization" in asked.headers:
                await endless(send, [(b"content-type", b"application/octet-stream")])
                return True
        return False

    world.liar.instead = instead
    users = (1,) if path == "/join" else tuple(world.sites.users)
    with ThreadPoolExecutor(1) as pool:
        everybody = pool.submit(world.everybody, session, users)
        if path == "/request?":
            until_gone(world)
            abort(world, session)
        outcomes = everybody.result()
    raised(outcomes[1], RemoteProtocolError, "more than it may have")


def until_gone(world: World) -> None:
    """Until user 1 has asked for its first request."""
    while not any(is_request(asked, 1) and "authorization" in asked.headers for asked in list(world.liar.heard)):
        pass


def test_a_redirection_is_not_followed(world: World) -> None:
    session, _ = world.sites.create()

    async def instead(asked: Asked, send: Send) -> bool:
        if not asked.path.startswith("/elsewhere"):
            await say(send, Said(307, {"location": f"{world.kept.url}/elsewhere{asked.path}"}, b""))
            return True
        return False

    world.liar.instead = instead
    raised(world.everybody(session, (1,))[1], RemoteProtocolError, "redirects us")
    assert not any(asked.path.startswith("/elsewhere") for asked in world.liar.heard)


def test_a_poll_that_is_never_answered_ends_with_the_patience_of_the_participant(world: World) -> None:
    session, _ = world.sites.create()
    told: list[Any] = []

    async def instead(asked: Asked, send: Send) -> bool:
        if is_request(asked, 1):
            await anyio.sleep(3)
        return False

    world.liar.instead = instead
    with (
        httpx.Client(timeout=0.5) as http,
        world.sites.participant(1, http=http, retries=Retries(2, 1.0)) as participant,
        pytest.raises(Unreachable, match="ReadTimeout"),
    ):
        participant.contribute(session, vector(1), progress=told.append)
    assert [each.reason for each in told if isinstance(each, Standing)] == ["joined", "answered"]
    assert len(world.sites.states(1)) == 1


# Results.


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda form: {**form, "survivors": [1]}, "list of survivors"),
        (lambda form: {**form, "survivors": [1, 2, 2]}, "list of survivors"),
        (lambda form: {**form, "survivors": [1, 2, 3, 4, 5]}, "list of survivors"),
        (lambda form: {**form, "length": 6}, "not one of this session"),
        (lambda form: {**form, "session": "another"}, "not one of this session"),
        (lambda form: {**form, "sha256": "0" * 64}, "the hash that it announced"),
        (lambda form: [form], "must be a JSON object"),
    ],
)
def test_a_result_that_is_none_is_refused(tmp_path: Path, change: Callable[[Any], Any], reason: str) -> None:
    with lying(tmp_path / "coordinator") as (running, liar):
        sites = Sites(running, tmp_path, Model.SEMI_HONEST)
        session, _ = sites.create()

        def lie(asked: Asked, said: Said) -> Said:
            if asked.path.endswith("/result") and said.status == 200:
                said.body = json.dumps(change(json.loads(said.body))).encode()
            return said

        liar.lie = lie
        for outcome in World(running, liar, sites).everybody(session).values():
            raised(outcome, RemoteProtocolError, reason)


def npy(array: Any) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


HUGE = npy(np.zeros(1, np.uint32)).replace(b"(1,), ", b"(1000000000000,), ".ljust(6))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not in NumPy's format"),
        (b"\x93NUMPY\x01\0\xff\xff", "not in NumPy's format"),
        (npy(np.zeros(4, np.uint32)), "is not uint32 of shape"),
        (npy(np.zeros(5, np.uint64)), "is not uint32 of shape"),
        (npy(np.zeros((5, 1), np.uint32)), "is not uint32 of shape"),
        (npy(np.zeros(5, np.dtype(">u4"))), "is not uint32 of shape"),
        (npy(np.zeros(5, np.uint32)), "the hash that it announced"),
        (npy(np.array([print] * 5, object)), "not in NumPy's format|is not uint32"),
        (HUGE, "not in NumPy's format|is not uint32"),
    ],
)
def test_a_sum_that_is_none_is_refused(tmp_path: Path, body: bytes, reason: str) -> None:
    with lying(tmp_path / "coordinator") as (running, liar):
        sites = Sites(running, tmp_path, Model.SEMI_HONEST)
        session, _ = sites.create()

        def lie(asked: Asked, said: Said) -> Said:
            if asked.path.endswith("/result/sum") and said.status == 200:
                said.body = body
            return said

        liar.lie = lie
        for outcome in World(running, liar, sites).everybody(session).values():
            raised(outcome, RemoteProtocolError, reason)


def test_an_operator_who_is_honest_is_still_heard(world: World) -> None:
    """The liar that tells the truth: everything above fails for its lie alone."""
    session, _ = world.sites.create()
    for outcome in world.everybody(session).values():
        assert isinstance(outcome, Contribution)
        assert outcome.sum is not None
        assert outcome.sum.tolist() == sum_over(world.sites.users)
