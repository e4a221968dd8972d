"""The API of Leader and Helper (section 4.3)."""

import time
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from ...errors import RemoteProtocolError
from ...http.bodies import Bodies
from ..admission import check_endpoints
from ..messages import Role
from ..secrets import DAP_AUTH_TOKEN, TOKEN_FORM, TaskSecrets, is_token, token_hash
from ..store.engine import Store
from ..store.tasks import add_task
from ..task_file import config_from_text
from .commands import Command, read_task, ready, routes


class Aggregator:
    """What a test runner may ask of the Leader or the Helper.

    Args:
        store: of this Aggregator.
        role: LEADER or HELPER.
    """

    def __init__(self, store: Store, role: Role) -> None:
        self._store = store
        self._role = role

    def routes(self, bodies: Bodies) -> list[Route]:
        """The routes of all resources.

        Args:
            bodies: reads requests' contents.
        """
        works = {"ready": ready, "endpoint_for_task": self.endpoint_for_task, "add_task": self.add_task}
        return routes(works, bodies)

    async def endpoint_for_task(self, command: Command) -> dict[str, Any]:
        """Where this Aggregator has its tasks: at the root of this server.

        Args:
            command: names the role.
        """
        self._require_role(command)
        return {"endpoint": "/"}

    async def add_task(self, command: Command) -> dict[str, Any]:
        """Store a task with the secrets of the test runner.

        Args:
            command: of the task.
        """
        self._require_role(command)
        task = read_task(command)
        check_endpoints(task, allow_http=True)
        token = _token(command, "leader_authentication_token")
        leads = self._role is Role.LEADER
        secrets = TaskSecrets(
            self._role,
            command.data("vdaf_verify_key"),
            config_from_text(command.text("collector_hpke_config")),
            DAP_AUTH_TOKEN.encode() + token if leads else token_hash(token),
            token_hash(_token(command, "collector_authentication_token")) if leads else b"",
            task.min_batch_size if leads and not task.by_time else 0,
        )

        def store() -> None:
            with self._store.write() as tx:
                add_task(tx, task, secrets, time.time())

        await run_in_threadpool(store)
        return {}

    def _require_role(self, command: Command) -> None:
        own = self._role.name.lower()
        if command.text("role") != own:
            raise RemoteProtocolError(f"this is the {own}")


def _token(command: Command, name: str) -> bytes:
    token = command.text(name).encode()
    if not is_token(token):
        raise RemoteProtocolError(f"{name}: {TOKEN_FORM}")
    return token
