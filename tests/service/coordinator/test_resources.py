"""What the operator and participants are told: sessions, status, results, metrics, health and problems."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from secagg import Identity, Model, Params, Roster, Round
from secagg.http.base64url import base64url
from secagg.service.authentication import NO_PARAMS, bearer, content_digest, token_hash
from secagg.service.resources import (
    CONTENT_DIGEST,
    NONCE,
    SESSIONS,
    abort_path,
    join_path,
    leave_path,
    request_path,
    result_path,
    roster_path,
    session_path,
    sum_path,
)
from secagg.service.rosters import roster_to_json

from ...support.coordinators import NAMES, Kept, Party, Table, kept, problem_type, seated, sum_of

SMALL: dict[str, Any] = {"n": 4, "length": 3, "bits": 16}
FIRST = Round.ADVERTISE_KEYS
EMPTY = sha256(b"").digest()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with kept(tmp_path_factory.mktemp("coordinator") / "state") as coordinator:
        yield coordinator


# --- Making ---------------------------------------------------------------------------------------------------------


def test_a_session_is_made_of_single_members(here: Kept) -> None:
    created = here.create(
        n=10,
        length=7,
        max_value=100,
        model="semi-honest",
        threat="clients-only",
        n_corrupt=2,
        t=6,
        min_users=7,
        context="task 1",
        name="members",
        label="A label",
        goal=8,
        grace=1.5,
        keep=60,
        seconds={"share-keys": 30},
        results=False,
        invited=[f"user {u}" for u in range(10)],
    )
    assert created["url"] == f"{here.url}{SESSIONS}/members"
    setup = next(live.running.setup for live in here.coordinator.sessions.all if live.name == "members")
    params = setup.params
    assert (params.n, params.m, params.max_value, params.t, params.min_users) == (10, 7, 100, 6, 7)
    assert (params.modulus, params.n_corrupt, params.context) == (1024, 2, b"task 1")
    assert (setup.label, setup.results_for_participants, setup.invited) == (
        "A label",
        False,
        tuple(f"user {u}" for u in range(10)),
    )
    assert (setup.deadlines.goal, setup.deadlines.grace, setup.deadlines.keep) == (8, 1.5, 60.0)
    assert setup.deadlines.seconds[Round.SHARE_KEYS] == 30.0


def test_a_session_is_made_of_encoded_parameters(here: Kept) -> None:
    identities = {u: Identity.generate() for u in (3, 5, 9)}
    roster = Roster({u: each.verification_key for u, each in identities.items()})
    params = Params(n=3, m=4, modulus=1 << 20, model=Model.ACTIVE, n_corrupt=0)
    keys = {str(u): roster.key(u).hex() for u in roster.users.tolist()}
    here.create(name="encoded", params=base64url(params.encode()), roster=keys)
    party = Party(here, "encoded", 9, identities[9])
    announcement = party.join()
    assert announcement.params == params
    assert announcement.roster_hash == roster.hash
    assert (announcement.user, announcement.round, announcement.results) == (9, FIRST, True)
    assert announcement.seconds_left is not None
    assert 3500 < announcement.seconds_left <= 3600


@pytest.mark.parametrize(
    ("members", "reason"),
    [({}, "n must be a whole number"),
     ({**SMALL, "n": "4"}, "n must be a whole number"),
     ({**SMALL, "colour": "red"}, "no member 'colour'"),
     ({**SMALL, "bits": 65}, "bits must be 1 .. 64"),
     ({**SMALL, "max_value": 3}, "one of bits, modulus and max_value"),
     ({**SMALL, "model": "brave"}, "model must be one of semi-honest, active"),
     ({**SMALL, "model": "active"}, "the active model needs a roster"),
     ({**SMALL, "roster": {"1": "aa"}}, "roster must have a key of 64"),
     ({**SMALL, "roster": {"1": "00" * 32}}, "key of user 1 is malformed"),
     ({**SMALL, "roster": {"01": "aa" * 32}}, "roster must have a key of 64"),
     ({**SMALL, "roster": {"1": ["aa"]}}, "roster must have a key of 64"),
     ({**SMALL, "roster": {"x": "aa"}}, "roster must have a key of 64"),
     ({**SMALL, "invited": ["ada"]}, "1 names are invited, but n = 4"),
     ({**SMALL, "invited": [1, 2, 3, 4.0]}, "invited must be an array of names and whole numbers"),
     ({**SMALL, "invited": [1, 2, 3, True]}, "invited must be an array of names and whole numbers"),
     ({**SMALL, "invited": [1, 2, 3, -1]}, "number must be 0 .. 2^64 - 1, got -1"),
     ({**SMALL, "invited": [1, 2, 3, 1 << 64]}, "number must be 0 .. 2^64 - 1"),
     ({**SMALL, "invited": [1, 2, 1, 3]}, "a name is invited twice"),
     ({**SMALL, "invited": {"1": 1}}, "invited must be an array"),
     ({**SMALL, "goal": 1}, "goal must be min_users"),
     ({**SMALL, "t": 9}, "t "),
     ({**SMALL, "name": "Über"}, "a session's name must be"),
     ({**SMALL, "label": "a\nb"}, "label must be a line"),
     ({**SMALL, "params": "AAAA"}, "must not stand beside it"),
     ({"params": "AAAA"}, "message ends early"),
     ({"params": "not base64!"}, "must be URL-safe base64"),
     ([1], "must be a JSON object"),
     ("x", "must be a JSON object")],
)  # fmt: skip
def test_sessions_that_cannot_be(here: Kept, members: Any, reason: str) -> None:
    before = len(here.coordinator.sessions.all)
    response = here.http.post(here.url + SESSIONS, headers=here.headers, json=members)
    assert (response.status_code, problem_type(response)) == (400, "malformed")
    assert reason in response.json()["detail"]
    assert len(here.coordinator.sessions.all) == before


def test_what_is_no_json(here: Kept) -> None:
    for content in (b"", b"{", b"\xff", b"[" * 100_000):
        response = here.http.post(here.url + SESSIONS, headers=here.headers, content=content)
        assert (response.status_code, problem_type(response)) == (400, "malformed")


# --- Joining --------------------------------------------------------------------------------------------------------


def test_ids_are_given_by_order_of_joining_or_by_the_list(here: Kept) -> None:
    ordered = here.create(**SMALL, invited=list(NAMES[:4]))["session"]
    free = here.create(**SMALL)["session"]
    for name, listed, first_come in (("di", 4, 1), ("ada", 1, 2), ("di", 4, 1)):
        for session, expected in ((ordered, listed), (free, first_come)):
            assert Party(here, session, token=here.tokens[name]).join().user == expected
    refused = Party(here, ordered, token=here.tokens["eve"]).ask("POST", join_path(ordered))
    assert (refused.status_code, problem_type(refused)) == (403, "not-invited")


def test_names_and_64_bit_numbers_of_the_operator_s_choice_are_mapped_to_ids(tmp_path: Path) -> None:
    """Each with a token of its own; the operator is told them exactly, and participants are told ids alone."""
    with kept(tmp_path / "state") as here:
        check_names(here)


def check_names(here: Kept) -> None:
    invited: list[str | int] = [(1 << 64) - 1, "7", 7, "ada"]
    tokens: dict[str | int, str] = {who: f"the-token-of-{who!r}-alone" for who in invited}
    here.coordinator.set_participants({who: token_hash(token) for who, token in tokens.items()})
    session = here.create(**SMALL, n_corrupt=1, invited=invited)["session"]
    table = Table(session, Params(n=4, m=3, modulus=1 << 32), [])
    for u, who in enumerate(invited, 1):
        party = Party(here, session, token=tokens[who])
        assert party.join().user == u
        table.params = party.params or table.params
        table.parties.append(party)
    by_number = next(party for party in table.parties if party.user == 3)
    forged = by_number.ask("GET", request_path(session, 1, None, 0))
    assert (forged.status_code, problem_type(forged)) == (403, "forbidden")
    assert here.status(session)["names"] == {"1": (1 << 64) - 1, "2": "7", "3": 7, "4": "ada"}
    table.play()
    by_number.next(Round.UNMASKING)
    result = here.http.get(f"{here.url}{result_path(session)}", headers=here.headers).json()
    assert (result["survivors"], result["names"]) == ([1, 2, 3, 4], invited)
    assert "18446744073709551615" in here.http.get(f"{here.url}{result_path(session)}", headers=here.headers).text
    for path in (result_path(session), f"{SESSIONS}/{session}"):
        assert "names" not in by_number.ask("GET", path).json()


def test_more_than_there_are_places(here: Kept) -> None:
    session = seated(here).session
    refused = Party(here, session, token=here.tokens["eve"]).ask("POST", join_path(session))
    assert (refused.status_code, problem_type(refused)) == (410, "full")


def test_a_participant_is_told_where_it_may_go(here: Kept) -> None:
    active, other = seated(here, active=True), seated(here, active=True)
    mine = here.create(**SMALL, invited=["ada", "bo", "cy", "fay"])["session"]
    others = here.create(**SMALL, invited=["bo", "cy", "di", "eve"])["session"]
    listed = Party(here, "", token=here.tokens["ada"]).ask("GET", SESSIONS).json()["sessions"]
    assert mine in {each["session"] for each in listed}
    assert {each["session"] for each in listed} & {others, active.session, other.session} == set()
    stranger = replace(active.parties[0], session="", identity=Identity.generate())
    assert stranger.ask("GET", SESSIONS, params=NO_PARAMS).status_code == 403
    signed = replace(active.parties[0], session="").ask("GET", SESSIONS, params=NO_PARAMS)
    assert [each["session"] for each in signed.json()["sessions"]] == [active.session]
    everything = here.http.get(here.url + SESSIONS, headers=here.headers).json()["sessions"]
    assert {active.session, other.session, mine, others} <= {each["session"] for each in everything}
    assert here.http.get(here.url + SESSIONS).status_code == 401


# --- Rosters --------------------------------------------------------------------------------------------------------


def test_a_roster_is_for_its_users_and_the_operator(here: Kept) -> None:
    table = seated(here, active=True)
    assert table.roster is not None
    path, wanted = roster_path(table.session), {"roster": roster_to_json(table.roster)}
    assert table.parties[0].ask("GET", path).json() == wanted
    assert here.http.get(here.url + path, headers=here.headers).json() == wanted
    stranger = Party(here, table.session, 1, Identity.generate(), params=table.params)
    assert problem_type(stranger.ask("GET", path)) == "forbidden"
    assert here.http.get(here.url + path).status_code == 401


def test_a_session_of_tokens_has_no_roster(here: Kept) -> None:
    table = seated(here)
    assert table.parties[0].ask("GET", roster_path(table.session)).status_code == 404


# --- Leaving --------------------------------------------------------------------------------------------------------


def leaving(party: Party, user: int | None = None, **options: Any) -> httpx.Response:
    return party.ask("POST", leave_path(party.session, party.user if user is None else user), **options)


@pytest.mark.parametrize("active", [False, True], ids=["semi-honest", "active"])
def test_a_session_does_not_wait_for_whoever_has_left(here: Kept, active: bool) -> None:
    """Deadlines are far away."""
    table = seated(here, active=active)
    gone = table.parties[3]
    answers = table.start()
    del table.parties[3]
    assert gone.answer(FIRST, answers[4]).status_code == 204
    for _ in range(2):
        assert leaving(gone).status_code == 204
    assert problem_type(gone.answer(Round.SHARE_KEYS, b"x")) == "left"
    assert (gone.request(FIRST).status_code, problem_type(gone.request(FIRST))) == (410, "left")
    assert gone.answer(FIRST, answers[4]).status_code == 204  # what was taken stays taken
    told = here.status(table.session)
    assert (told["left"], told["waiting"]) == ([4], [1, 2, 3])
    table.play()
    table.parties[0].next(Round.UNMASKING)
    assert sum_of(here, table.session).tolist() == [6] * 5
    assert leaving(gone).status_code == 204  # the session is over, and nothing changes
    assert here.status(table.session)["left"] == [4]


@pytest.mark.parametrize("active", [False, True], ids=["semi-honest", "active"])
def test_nobody_but_the_user_itself_can_leave(here: Kept, active: bool) -> None:
    table = seated(here, active=active)
    first, second = table.parties[:2]
    responses = [leaving(first, second.user), leaving(first, 9)]
    if active:
        responses.append(leaving(first, 2, bend=lambda scope: replace(scope, user=2)))
        responses.append(leaving(second, 2, bend=lambda scope: replace(scope, path=leave_path(table.session, 1))))
        responses.append(leaving(second, 2, bend=lambda scope: replace(scope, session="another")))
    else:
        responses.append(leaving(Party(here, table.session, 2, token=here.operator), 2))
    assert [(each.status_code, problem_type(each)) for each in responses] == [(403, "forbidden")] * len(responses)
    stranger = here.http.post(here.url + leave_path(table.session, 2), headers={CONTENT_DIGEST: content_digest(EMPTY)})
    assert (stranger.status_code, problem_type(stranger)) == (401, "unauthenticated")
    assert here.status(table.session)["left"] == []


def test_a_leave_that_cannot_be_read_changes_nothing(here: Kept) -> None:
    table = seated(here)
    party = table.parties[0]
    assert leaving(party, headers={CONTENT_DIGEST: "sha-256=:AAAA:"}).status_code == 400
    path = leave_path(table.session, 1)
    too_long, other_method = party.ask("POST", path, b"x" * 2000), party.ask("GET", path)
    assert (too_long.status_code, problem_type(too_long)) == (413, "too-long")
    assert (other_method.status_code, problem_type(other_method)) == (405, "other-method")
    assert party.ask("POST", leave_path("nowhere", 1)).status_code == 404
    late = Party(here, table.session, 5, token=here.tokens["eve"])
    assert problem_type(leaving(late)) == "not-invited"
    assert here.status(table.session)["left"] == []


def test_whoever_has_left_is_gone_after_a_restart(tmp_path: Path) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here)
        session, tokens = table.session, here.tokens
        assert leaving(table.parties[0]).status_code == 204
    with kept(tmp_path / "state") as here:
        assert here.status(session)["left"] == [1]
        again = Party(here, session, token=tokens[NAMES[0]])
        assert again.join().user == 1
        assert problem_type(again.request(None)) == "left"


# --- Results --------------------------------------------------------------------------------------------------------


def test_a_result_before_there_is_one(here: Kept) -> None:
    table = seated(here)
    for path in (result_path(table.session), sum_path(table.session)):
        for response in (table.parties[0].ask("GET", path), here.http.get(here.url + path, headers=here.headers)):
            assert (response.status_code, problem_type(response)) == (404, "unfinished")


def test_a_result_that_is_the_operators_alone(here: Kept) -> None:
    table = seated(here, results=False)
    table.play()
    assert table.parties[0].next(Round.UNMASKING).status_code == 200
    for path in (result_path(table.session), sum_path(table.session)):
        response = table.parties[0].ask("GET", path)
        assert (response.status_code, problem_type(response)) == (403, "forbidden")
    total = sum_of(here, table.session)
    form = here.http.get(here.url + result_path(table.session), headers=here.headers).json()
    assert form["sha256"] == sha256(total.astype("<u4").tobytes()).hexdigest()


def test_an_aborted_session_tells_its_reason_once_and_for_all(here: Kept) -> None:
    table = seated(here, active=True)
    path = here.url + abort_path(table.session)
    malformed: list[Any] = [{}, {"reason": ""}, {"reason": "a\nb"}, {"reason": "x" * 501}, {"reason": 3}, []]
    for bad in malformed:
        assert here.http.post(path, headers=here.headers, json=bad).status_code == 400
    assert here.http.post(path, json={"reason": "ours"}).status_code == 401
    response = here.http.post(path, headers=here.headers, json={"reason": "wrong model"})
    assert (response.status_code, response.json()["status"], response.json()["reason"]) == (
        200,
        "aborted",
        "wrong model",
    )
    again = here.http.post(path, headers=here.headers, json={"reason": "another"})
    assert (again.status_code, problem_type(again)) == (409, "over")
    for told in (table.parties[0].request(None), table.parties[1].answer(FIRST, table.start()[2])):
        assert (told.status_code, problem_type(told)) == (410, "aborted")
        assert "wrong model" in told.json()["detail"]
    assert table.parties[0].ask("GET", result_path(table.session)).status_code == 410


# --- Everything else ------------------------------------------------------------------------------------------------


def test_sessions_that_do_not_exist(here: Kept) -> None:
    party = Party(here, "nowhere", 1, token=here.tokens["ada"])
    for response in (party.ask("POST", join_path("nowhere")), party.answer(FIRST, b"x"), party.request(None)):
        assert (response.status_code, problem_type(response)) == (404, "no-session")
    assert here.http.get(here.url + session_path("nowhere"), headers=here.headers).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1", 404), ("GET", "/v1/sessions/", 404), ("GET", "/v1/sessions/UPPER", 404),
     ("PUT", "/v1/sessions", 405), ("DELETE", "/v1/sessions/one", 405), ("GET", "/v1/sessions/one/join", 405),
     ("POST", "/v1/sessions/one/users/1/answers/round-1", 404), ("GET", "/v1/sessions/one/users/01/request", 404),
     ("GET", "/v1/sessions/one/users/4294967296/request", 404), ("GET", "/v1/sessions/one/users/x/request", 404)],
)  # fmt: skip
def test_what_is_no_resource_is_a_problem_document(here: Kept, method: str, path: str, status: int) -> None:
    here.http.post(here.url + SESSIONS, headers=here.headers, json={**SMALL, "name": "one"})
    response = here.http.request(method, here.url + path, headers=here.headers)
    assert response.status_code == status
    assert problem_type(response) == {404: "no-resource", 405: "other-method"}[status]
    assert len(response.headers[NONCE]) > 40
    if path == "/v1/sessions":
        assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_every_answer_has_a_nonce_of_its_own(here: Kept) -> None:
    answers = [here.http.get(here.url + path) for path in ("/healthz", "/v1/sessions", "/v1/x") for _ in range(3)]
    assert len({answer.headers[NONCE] for answer in answers}) == 9
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def test_contents_of_another_kind(here: Kept) -> None:
    table = seated(here)
    for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}):
        response = table.parties[0].answer(FIRST, table.start()[1], headers=headers)
        assert (response.status_code, problem_type(response)) == (415, "other-type")


def test_health_and_metrics(here: Kept) -> None:
    table = seated(here)
    table.play()
    assert table.parties[0].next(Round.UNMASKING).status_code == 200
    assert here.http.get(here.url + "/healthz").text == "ok\n"
    assert here.http.get(here.url + "/healthz/detail", headers=here.headers).json()["status"] == "ok"
    text = here.http.get(here.url + "/metrics", headers=here.headers).text
    documented = (Path(__file__).parents[3] / "docs" / "service.md").read_text()
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE secagg_")}
    shown = {name.removesuffix("_created").removesuffix("_total") for name in shown}
    assert len(shown) >= 10
    assert not [name for name in shown if f"`{name}" not in documented]
    for secret in (here.operator, *here.tokens.values(), table.session, "ada"):
        assert secret not in text


@pytest.mark.parametrize("path", ["/metrics", "/healthz/detail"])
def test_numbers_and_health_in_detail_are_for_the_operator(here: Kept, path: str) -> None:
    """Others could watch who takes part, and when."""
    ada = bearer(here.tokens["ada"])
    for headers, status, kind in (({}, 401, "unauthenticated"), ({"Authorization": ada}, 403, "forbidden")):
        refused = here.http.get(here.url + path, headers=headers)
        assert (refused.status_code, problem_type(refused)) == (status, kind)
        assert NONCE in refused.headers
    assert here.http.get(here.url + path, headers=here.headers).status_code == 200
    resource = path.strip("/").replace("/", "-")
    assert f'requests_total{{resource="{resource}",status="403"}} 1.0' in here.coordinator.metrics.text().decode()


def test_a_message_that_the_protocol_refuses_puts_its_sender_out(here: Kept) -> None:
    table = seated(here)
    refused = table.parties[0].answer(FIRST, b"no message")
    assert (refused.status_code, problem_type(refused)) == (410, "faulty")
    assert problem_type(table.parties[0].request(None)) == "faulty"
    early = table.parties[1].answer(Round.UNMASKING, b"x")
    assert (early.status_code, problem_type(early)) == (409, "early")
    status = here.status(table.session)
    assert (status["faulty"], status["waiting"], status["round"]) == ([1], [2, 3, 4], "advertise-keys")


@pytest.mark.parametrize("active", [False, True])
def test_a_message_of_another_session_puts_nobody_out(here: Kept, active: bool) -> None:
    """As a proxy may mix up two connections, or a participant its files."""
    one, other = seated(here, active=active), seated(here, active=active)
    answers = one.play(Round.SHARE_KEYS)
    other.play(Round.SHARE_KEYS)
    stray = other.parties[0].answer(Round.SHARE_KEYS, answers[1])
    assert (stray.status_code, problem_type(stray)) == (422, "stray")
    assert here.status(other.session)["faulty"] == []
