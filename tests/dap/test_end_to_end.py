"""All four roles over real sockets: Client, Leader, Helper and Collector as anybody would run them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from secagg import dp
from secagg.dap.aggregator.directory import Directory
from secagg.dap.aggregator.helper import Helper
from secagg.dap.aggregator.leader import Leader
from secagg.dap.aggregator.peer import HttpPeer
from secagg.dap.aggregator.schedule import Settings
from secagg.dap.aggregator.worker import Workers
from secagg.dap.client.collector import Collector
from secagg.dap.client.upload import Client
from secagg.dap.dialect import DAP_09, DAP_09_CLIENTS, DAP_18
from secagg.dap.messages import BatchMode, Role
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.server.app import helper_app, leader_app
from secagg.dap.server.common import Context

from ..support.world import BUCKETS, COLLECTOR_TOKEN, CONFIG_ID, Urls, WallClock, World, bound, serving, url_of

HOUR = 3600
NOISY = Privacy(Mechanism.DISCRETE_LAPLACE, dp.PureDp("1"), dp.PureDp("2"))
CASES: dict[str, dict[str, Any]] = {
    "by time": {},
    "by time, the Helper answers later, with noise": {"later": True, "privacy": NOISY},
    "the Leader selects, in draft 18": {
        "batch_mode": BatchMode.LEADER_SELECTED,
        "min_batch_size": 40,
        "dialect": DAP_18,
    },
    "Clients of DAP-09": {"dialect": DAP_09_CLIENTS},
    "by time, in DAP-09, with noise": {"dialect": DAP_09, "privacy": NOISY},
    "the Leader selects, in DAP-09": {
        "batch_mode": BatchMode.LEADER_SELECTED,
        "min_batch_size": 40,
        "dialect": DAP_09,
    },
}


@contextmanager
def deployed(urls: Urls, *, later: bool = False, **parameters: Any) -> Iterator[World]:
    """Leader and Helper, served, each with two workers."""
    with ExitStack() as stack:
        sockets = stack.enter_context(bound(2))
        clock, http = WallClock(), stack.enter_context(httpx.Client())
        parameters |= {"leader_url": url_of(sockets[0]), "helper_url": url_of(sockets[1])}
        world = World(
            urls,
            clock=clock,
            peer=HttpPeer(http, clock),
            settings=Settings(job_size=15),
            time_precision=HOUR,
            **parameters,
        )
        stack.callback(world.close)
        contexts = [
            Context(Directory(store, clock), clock=clock, helper_later=later)
            for store in (world.leader_store, world.helper_store)
        ]
        roles: list[Leader | Helper] = [world.leader, world.helper]
        for aggregator, context in zip(roles, contexts, strict=True):
            workers = Workers(aggregator, context.directory, context.metrics, threads=2)
            workers.start()
            stack.callback(workers.stop)
        apps = leader_app(world.leader, contexts[0]), helper_app(world.helper, contexts[1])
        stack.enter_context(serving(*apps, sockets=sockets))
        yield world


def collector_of(world: World) -> Collector:
    key = world._keys[Role.COLLECTOR]
    assert world.configs[Role.COLLECTOR].id == CONFIG_ID[Role.COLLECTOR]
    return Collector(world.task, key, world.configs[Role.COLLECTOR], COLLECTOR_TOKEN.decode())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_clients_upload_is_what_the_collector_gets(dap_urls: Urls, case: dict[str, Any]) -> None:
    measurements = [i % BUCKETS for i in range(40)]
    with deployed(dap_urls, **case) as world, Client(world.task) as client, collector_of(world) as collector:
        client.upload(measurements)
        batch = ((int(world.clock.now) // HOUR - 1) * HOUR, 3 * HOUR) if world.task.by_time else None
        first = collector.collect(batch, timeout=30)
        assert first.report_count == 40
        if world.task.privacy is None:
            assert first.result == [10] * BUCKETS
        else:
            assert all(abs(value - 10) < 200 for value in first.result)
            assert first.result == collector.collect(batch, timeout=30).result
            assert world.spent("leader") == world.spent("helper") == 1
