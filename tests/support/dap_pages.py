"""The operator's page of a Leader or a Helper, served on loopback, and tasks to look at."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from secagg.dap.aggregator.directory import Directory
from secagg.dap.messages import Role
from secagg.dap.secrets import TaskSecrets, token_hash
from secagg.dap.server.common import Context
from secagg.dap.server.page.app import Page, page_served
from secagg.dap.store.engine import Store
from secagg.dap.store.tasks import add_task
from secagg.dap.task import Task

from .onlooker import Looker
from .world import World

OPERATOR = "token-of-the-operator-of-the-tests"


@dataclass
class Shown:
    """A page that is served.

    Attributes:
        url: of the page.
        page: itself.
        world: whose Aggregator it shows.
    """

    url: str
    page: Page
    world: World

    def looker(self, **options: Any) -> Looker:
        """A browser, to be entered."""
        return Looker(self.url, OPERATOR, **options)


@contextmanager
def shown(world: World, role: Role = Role.LEADER, *, url: str | None = None, **options: Any) -> Iterator[Shown]:
    """The page of one of a world's Aggregators."""
    store = world.leader_store if role is Role.LEADER else world.helper_store
    context = Context(Directory(store, world.clock), clock=world.clock)
    made: list[Page] = []
    found: list[str] = []

    def make(here: str) -> Page:
        made.append(Page(context, store, role, url or here, token_hash(OPERATOR.encode()), **options))
        return made[0]

    with page_served("the tests", "127.0.0.1:0", make, found.append):
        yield Shown(found[0], made[0], world)


def add_tasks(world: World, store: Store, count: int, **seconds: float) -> list[Task]:
    """More tasks at the Leader, as the world's own but for their IDs."""
    added = [Task(os.urandom(32), world.task.configuration, world.task.dialect) for _ in range(count)]
    old = world.leader_task.secrets
    secrets = TaskSecrets(old.role, old.verify_key, old.collector_config, old.peer_token, old.collector_token)
    with store.write() as tx:
        for number, task in enumerate(added):
            add_task(tx, task, secrets, world.clock.now + number)
    return added
