"""What each party refuses of a task: one server in both roles, http to other machines, reports that cannot arrive."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from secagg.dap.admission import UPLOAD_BYTES, check_endpoints, check_report_size
from secagg.dap.client.collector import AsyncCollector, Collector
from secagg.dap.client.upload import AsyncClient, Client
from secagg.dap.dialect import DAP_09
from secagg.dap.hpke import PrivateKey
from secagg.dap.reports import make_reports, report_size
from secagg.dap.server.limits import Limits
from secagg.dap.task import Task
from secagg.dap.task_file import CollectorKey, key_config, new_parties
from secagg.dap.vdafs import Vdaf, vdaf
from secagg.errors import ArgumentTypeError, LocalProtocolError

from ..support.tasks import NOW, make_task

LEADER, HELPER = "https://leader.example/dap/", "https://helper.example"
OTHERS = ("http://leader.internal", "http://127.0.0.1.evil.org", "http://[::ffff:127.0.0.1]:8080", "http://10.0.0.1")
KEY = CollectorKey.generate()


def _collector(kind: type[Any]) -> Callable[..., Any]:
    return lambda task, **options: kind(task, KEY.private_key, KEY.config, "token", **options)


PARTIES: dict[str, Callable[..., Any]] = {
    "client": Client,
    "asynchronous client": AsyncClient,
    "collector": _collector(Collector),
    "asynchronous collector": _collector(AsyncCollector),
    "who makes the task": lambda task, **options: new_parties(task.configuration, KEY, **options),
    "whoever else": check_endpoints,
}


@pytest.fixture(params=list(PARTIES.values()), ids=list(PARTIES))
def party(request: pytest.FixtureRequest) -> Callable[..., Any]:
    taking_part: Callable[..., Any] = request.param
    return taking_part


@pytest.mark.parametrize("url", OTHERS)
@pytest.mark.parametrize("whose", ["leader", "helper"])
def test_http_to_another_machine_must_be_allowed(party: Callable[..., Any], whose: str, url: str) -> None:
    task = make_task(**{f"{whose}_url": url})
    with pytest.raises(LocalProtocolError, match=rf"the {whose.title()}'s URL, {url.replace('[', '.')[:12]}.* is http"):
        party(task)
    party(task, allow_http=True)


@pytest.mark.parametrize("url", [b"http://127.1:8081", b"http://[fe80::1%25eth0]:8080", b"https://example.org:/x"])
def test_a_url_that_programs_read_differently_is_refused(party: Callable[..., Any], url: bytes) -> None:
    task = make_task()
    task = Task(task.id, replace(task.configuration, helper_aggregator_endpoint=url))
    with pytest.raises(LocalProtocolError, match=r"the Helper's URL is no URL of a server: (write|its address)"):
        party(task)


@pytest.mark.parametrize("url", ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080/dap"])
def test_http_within_this_machine_needs_no_leave(party: Callable[..., Any], url: str) -> None:
    party(make_task(leader_url=url))


def test_leave_is_given_by_a_truth_value(party: Callable[..., Any]) -> None:
    with pytest.raises(ArgumentTypeError, match="allow_http"):
        party(make_task(leader_url=OTHERS[0]), allow_http="no")


@pytest.mark.parametrize(
    "same", [LEADER, "https://leader.example/dap", "https://LEADER.example:443/dap//", "HTTPS://leader.example./dap"]
)
@pytest.mark.parametrize("allow", [False, True])
def test_one_server_cannot_have_both_roles(party: Callable[..., Any], same: str, allow: bool) -> None:
    with pytest.raises(LocalProtocolError, match=r"Leader and Helper are both at https://leader.example/dap: "):
        party(make_task(leader_url=LEADER, helper_url=same), allow_http=allow)


def test_two_spellings_of_an_internationalised_name_are_one_server(party: Callable[..., Any]) -> None:
    task = make_task(leader_url="https://b\u00fccher.example", helper_url="https://xn--bcher-kva.example/")
    with pytest.raises(LocalProtocolError, match=r"both at https://xn--bcher-kva.example: "):
        party(task)


@pytest.mark.parametrize("helper", ["https://leader.example:8443/dap", "https://leader.example/helper", HELPER])
def test_two_places_are_two_servers(party: Callable[..., Any], helper: str) -> None:
    party(make_task(leader_url=LEADER, helper_url=helper))


def test_a_task_has_its_internationalised_host_in_ascii() -> None:
    task = make_task(leader_url="https://B\u00fccher.example:8443/dap/")
    assert task.configuration.leader_aggregator_endpoint == b"https://xn--bcher-kva.example:8443/dap/"
    assert task.leader_url == "https://xn--bcher-kva.example:8443/dap"
    with pytest.raises(LocalProtocolError, match="helper_url is no URL of a server: its host is no internationalised"):
        make_task(helper_url="https://b\u00fccher..example")


# Reports that are too large.


def uploaded(task: Task) -> int:
    """Bytes of an upload of one report, as it is made."""
    config = key_config(0, PrivateKey.generate())
    (report,) = make_reports(task, config, config, [0], NOW)
    body = report.encode()
    return len(body) if task.dialect.public_extensions else len(body) - 2


@pytest.mark.parametrize("changes", [{}, {"dialect": DAP_09}], ids=["dap-19", "dap-09"])
def test_the_limit_is_exactly_one_report(changes: dict[str, Any]) -> None:
    task = make_task(**changes)
    size = uploaded(task)
    check_report_size(task, size)
    with pytest.raises(
        LocalProtocolError, match=rf"has {size:,} bytes, and its Leader takes uploads of {size - 1:,} at"
    ):
        check_report_size(task, size - 1)
    new_parties(task.configuration, KEY, dialect=task.dialect, upload_bytes=size)
    with pytest.raises(LocalProtocolError, match=r"raise upload_bytes in \[limits\]"):
        new_parties(task.configuration, KEY, dialect=task.dialect, upload_bytes=size - 1)


@pytest.mark.parametrize(
    ("chosen", "advice"),
    [
        (vdaf("Histogram", length=10_000_000), "fewer buckets"),
        (vdaf("SumVec", length=1_000_000, max_measurement=3), "shorter vectors"),
        (vdaf("MultihotCountVec", length=10_000_000, max_weight=2), "shorter vectors"),
    ],
    ids=lambda value: getattr(value, "NAME", ""),
)
def test_reports_that_no_leader_takes_by_default_are_refused_when_the_task_is_made(chosen: Vdaf, advice: str) -> None:
    task = make_task(vdaf=chosen)
    size = report_size(task)
    assert size > UPLOAD_BYTES
    with pytest.raises(LocalProtocolError, match=rf"{size:,} bytes, .* {UPLOAD_BYTES:,} at most: ask for {advice}, or"):
        new_parties(task.configuration, KEY)
    new_parties(task.configuration, KEY, upload_bytes=size)


def test_the_default_is_that_of_a_leader() -> None:
    assert Limits().upload_bytes == UPLOAD_BYTES
