"""Advertised tasks by HTTP, at both Aggregators: opting in, opting out, and what is ignored."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

import httpx
import pytest

from secagg.dap.aggregator.helper_check import HelperState, ask_helper
from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.opt_in import Quota
from secagg.dap.aggregator.peer import HttpPeer
from secagg.dap.messages import AggregationJobInitReq, BatchMode, Role
from secagg.dap.problems import DapProblem
from secagg.dap.secrets import token_hash
from secagg.dap.store import schema
from secagg.dap.store.tasks import TaskRecord, delete_task, find_task
from secagg.dap.task import Task
from secagg.dap.task_policy import TaskPolicy
from secagg.dap.taskprov import HEADER, derive_verify_key
from secagg.http.structured import write_byte_sequence

from ...support.advertised import EXACT, URN, Deployment, Side, advertising, deployed
from ...support.world import Urls

LARGER = TaskPolicy(min_batch_size=4, time_precision=60)


class Deploy(Protocol):
    def __call__(self, **options: Any) -> AbstractContextManager[Deployment]: ...


@pytest.fixture
def deploy(dap_urls: Urls) -> Deploy:
    def make(**options: Any) -> AbstractContextManager[Deployment]:
        return deployed(dap_urls, **options)

    return make


@pytest.fixture
def parties(deploy: Deploy) -> Iterator[Deployment]:
    with deploy() as made:
        yield made


def problem(response: httpx.Response, status: int, kind: str = "") -> str:
    """The detail of a problem document, which the response must be."""
    assert response.status_code == status, response.text
    document = response.json()
    if kind:
        assert document["type"] == URN + kind
    return str(document["detail"])


def record_of(side: Side, task: Task) -> TaskRecord:
    with side.store.read() as tx:
        found = find_task(tx, task.id)
    assert found is not None
    return found


# All four roles.


@pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
def test_four_parties_need_to_be_told_of_a_task_by_its_configuration_alone(
    parties: Deployment, mode: BatchMode
) -> None:
    task = parties.task(batch_mode=mode)
    with parties.client_of(task) as client, parties.collector_of(task) as collector, parties.working():
        assert client.upload([0, 3, 3]).accepted == 3
        batch = None if mode is BatchMode.LEADER_SELECTED else ((int(parties.clock.now) // 3600 - 1) * 3600, 3 * 3600)
        collection = collector.collect(batch, timeout=300)
    assert (collection.report_count, collection.result) == (3, [1, 0, 0, 2])
    assert parties.leader.outcomes() == parties.helper.outcomes() == {"opted_in": 1}


def test_a_task_is_stored_as_others_with_what_its_parties_hold(parties: Deployment) -> None:
    task = parties.task()
    assert parties.upload(task).status_code == 200
    problem(parties.ask_helper(task), 400, "invalidMessage")  # the job is none, but the task is there
    leader, helper = record_of(parties.leader, task), record_of(parties.helper, task)
    secrets = parties.peers["leader"].secrets  # type: ignore[union-attr]
    key = derive_verify_key(secrets.verify_key, task.id, 32)
    assert leader.task == helper.task == task
    assert leader.secrets == replace(secrets, verify_key=key)
    assert helper.secrets.verify_key == key
    assert helper.secrets.peer_token == token_hash(leader.secrets.peer_token)
    assert leader.secrets.collector_token == token_hash(parties.collector.token.encode())


def test_every_request_of_the_leader_advertises_the_task(parties: Deployment) -> None:
    """Jobs and shares: their creation, polls and deletion (sections 3.7.2 and 3.7.3)."""
    task, seen = parties.task(), []
    assert parties.upload(task).status_code == 200

    def helper(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.headers.get(HEADER)))
        return httpx.Response(200, headers={"Location": "/somewhere"})

    with httpx.Client(transport=httpx.MockTransport(helper)) as http:
        peer, record = HttpPeer(http), record_of(parties.leader, task)
        url = peer.create_job(record, b"job", bytes(16)).location
        peer.poll_job(record, url)
        peer.delete_job(record, url)
        peer.poll_share(record, peer.create_share(record, b"share").location)
    advertised = write_byte_sequence(task.encoded)
    assert seen == [(method, advertised) for method in ("POST", "GET", "DELETE", "POST", "GET")]


def test_clients_and_collectors_of_other_tasks_advertise_nothing(parties: Deployment) -> None:
    task = Task(bytes(32), parties.task().configuration)
    with parties.client_of(task) as client, pytest.raises(DapProblem, match="unrecognizedTask"):
        client.upload([1])
    assert parties.leader.stored() == 0


# The Leader.


def test_a_client_that_does_not_advertise_a_new_task_is_told_to(parties: Deployment) -> None:
    task = parties.task()
    problem(parties.upload(task, {}), 404, "unrecognizedTask")
    assert parties.upload(task).status_code == 200
    assert parties.upload(task, {}).status_code == 200


@pytest.mark.parametrize("known", [False, True])
def test_a_request_that_advertises_another_task_is_of_no_task(parties: Deployment, known: bool) -> None:
    task, other = parties.task(), parties.task(task_info=b"other")
    if known:
        assert parties.upload(task).status_code == 200
        problem(parties.ask_helper(task), 400, "invalidMessage")
    before = parties.leader.stored()
    wrong = advertising(other.encoded)
    assert "advertises another" in problem(parties.upload(task, wrong), 404, "unrecognizedTask")
    assert "advertises another" in problem(parties.ask_helper(task, wrong), 404, "unrecognizedTask")
    assert parties.leader.stored() == before


@pytest.mark.parametrize("value", ["?1", '"text"', ":AAAA:", "::", "12", ":BHRl", "a, b"])
def test_what_must_be_ignored_is_ignored(parties: Deployment, value: str) -> None:
    task = parties.task()
    problem(parties.upload(task, {HEADER: value}), 404, "unrecognizedTask")
    assert parties.upload(task).status_code == 200
    assert parties.upload(task, {HEADER: value}).status_code == 200


def test_aggregators_without_taskprov_ignore_the_header(deploy: Deploy) -> None:
    with deploy(taskprov=False) as parties:
        task = parties.task()
        problem(parties.upload(task), 404, "unrecognizedTask")
        problem(parties.ask_helper(task), 404, "unrecognizedTask")
        assert parties.leader.stored() == parties.helper.stored() == 0


def test_a_collector_begins_no_task(parties: Deployment) -> None:
    """Section 3.7.3: it is told that there is none, and tries again."""
    task = parties.task()
    with parties.collector_of(task) as collector:
        with pytest.raises(DapProblem, match="unrecognizedTask"):
            collector.collect((0, 3600), timeout=1)
        assert parties.leader.stored() == 0
        assert parties.upload(task).status_code == 200
        with pytest.raises(DapProblem, match="invalidBatchSize"), parties.working():
            collector.collect((0, 3600), timeout=300)


@pytest.mark.parametrize("side", ["leader", "helper"])
def test_opting_out_is_said_and_stores_nothing(deploy: Deploy, side: str) -> None:
    with deploy(policy=LARGER) as parties:
        task = parties.task()
        response = parties.upload(task) if side == "leader" else parties.ask_helper(task)
        assert "min_batch_size must be at least 4" in problem(response, 400, "invalidTask")
        assert response.json()["taskid"] == task.text
        aggregator = getattr(parties, side)
        assert (aggregator.stored(), aggregator.outcomes()) == (0, {"opted_out": 1})


def test_a_task_of_other_aggregators_is_none_of_ours(parties: Deployment) -> None:
    for changes in ({"leader_url": "https://leader.example"}, {"helper_url": "https://helper.example"}):
        task = parties.task(**changes)
        said = "takes no advertised tasks of this Leader and this Helper together"
        assert said in problem(parties.upload(task), 400, "invalidTask")
        assert said in problem(parties.ask_helper(task), 400, "invalidTask")


def test_urls_may_be_spelled_in_other_ways(parties: Deployment) -> None:
    assert parties.upload(parties.task(leader_url=parties.leader.url + "/")).status_code == 200


def test_a_deleted_task_does_not_come_again(parties: Deployment) -> None:
    task = parties.task()
    assert parties.upload(task).status_code == 200
    with parties.leader.store.write() as tx:
        delete_task(tx, task.id)
    parties.leader.context.directory._tasks.clear()  # as some seconds later
    assert "was deleted here" in problem(parties.upload(task), 400, "invalidTask")


def test_another_process_may_be_faster(parties: Deployment) -> None:
    task = parties.task()
    first = parties.leader.opt_in.opt_in(task.encoded, None, parties.clock.now)
    again = parties.leader.opt_in.opt_in(task.encoded, None, parties.clock.now)
    assert again.key == first.key
    assert parties.leader.stored(schema.advertised) == 1


# The Helper.


@pytest.mark.parametrize("token", ["", "another", "collector"])
def test_the_helper_takes_tasks_of_its_leader_alone(parties: Deployment, token: str) -> None:
    task = parties.task()
    shown = parties.collector.token if token == "collector" else token
    problem(parties.ask_helper(task, token=shown), 401)
    assert (parties.helper.stored(), parties.helper.outcomes()) == (0, {"unauthorized": 1})


def test_reports_wait_for_a_helper_that_opts_out(deploy: Deploy) -> None:
    """In the job that they are in: its operator may change the policy."""
    with deploy(helper_policy=LARGER) as parties:
        task = parties.task()
        assert parties.upload(task, reports=3).status_code == 200
        leader = parties.roles[0]
        assert isinstance(leader, Leader)
        leader.create_jobs(parties.clock.now)
        for step in range(10):
            done = leader.work_job(parties.leader.context.directory.private_keys(), parties.clock.now + 100 * step)
            assert done is not None
            assert isinstance(done.problem, DapProblem)
            assert (done.problem.type, done.errors) == ("invalidTask", {})
        assert parties.leader.stored(schema.jobs) == 1
        parties.helper.opt_in._policy = EXACT
        with parties.leader.store.write() as tx:
            tx.execute(schema.jobs.update().values(due=0.0))
        with parties.working(), parties.collector_of(task) as collector:
            hour = int(parties.clock.now) // 3600
            assert collector.collect(((hour - 1) * 3600, 3 * 3600), timeout=300).result == [0, 3, 0, 0]


def test_the_leader_says_that_the_helper_opts_out(deploy: Deploy) -> None:
    with deploy(helper_policy=LARGER) as parties:
        task = parties.task()
        assert parties.upload(task).status_code == 200
        peer = HttpPeer(parties.http, parties.clock)
        state, words = ask_helper(peer, record_of(parties.leader, task))
        assert state is HelperState.OPTS_OUT
        assert state.fails
        assert "opts out" in state.advice
        assert "min_batch_size must be at least 4" in words
        parties.helper.opt_in._policy = EXACT
        assert ask_helper(peer, record_of(parties.leader, task))[0] is HelperState.READY


# How many.


def test_a_quota_of_tasks_that_have_not_ended(deploy: Deploy) -> None:
    with deploy(quota=Quota(tasks=2, a_day=100)) as parties:
        for info in (b"1", b"2"):
            assert parties.upload(parties.task(task_info=info)).status_code == 200
        assert "as many advertised tasks" in problem(parties.upload(parties.task()), 400, "invalidTask")
        assert parties.leader.stored() == 2
        assert parties.upload(parties.task(task_info=b"1")).status_code == 200

        with parties.leader.store.write() as tx:  # one ends
            tx.execute(schema.advertised.update().where(schema.advertised.c.task == 1).values(ends=1.0))
        parties.leader.opt_in._full.clear()
        assert parties.upload(parties.task()).status_code == 200


def test_a_quota_of_tasks_in_a_day(deploy: Deploy) -> None:
    with deploy(quota=Quota(tasks=100, a_day=1)) as parties:
        assert parties.upload(parties.task(task_info=b"1")).status_code == 200
        assert "or tomorrow" in problem(parties.upload(parties.task()), 400, "invalidTask")
        with parties.leader.store.write() as tx:
            tx.execute(schema.advertised.update().values(created=parties.clock.now - 86_401))
        parties.leader.opt_in._full.clear()
        assert parties.upload(parties.task()).status_code == 200


def test_browsers_may_advertise(parties: Deployment) -> None:
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type, dap-taskprov"}  # fmt: skip
    response = parties.http.options(f"{parties.leader.url}/tasks/x/reports", headers=asked)
    assert response.status_code == 200
    assert "dap-taskprov" in response.headers["access-control-allow-headers"].lower()


def test_a_job_that_is_whole_is_done_in_a_new_task(parties: Deployment) -> None:
    """The Helper opts in with the first job, and not only when it is asked whether it has the task."""
    task = parties.task()
    body = AggregationJobInitReq(0, b"", (), ()).encode()
    headers = {"Authorization": f"Bearer {parties.leader_token}", **advertising(task.encoded)}
    headers["Content-Type"] = "application/ppm-dap;message=aggregation-job-init-req"
    url = f"{parties.helper.url}/tasks/{task.text}/aggregation_jobs"
    assert "at least one report" in problem(parties.http.post(url, content=body, headers=headers), 400)
    assert record_of(parties.helper, task).secrets.role is Role.HELPER
