"""The API of a Client (section 4.2)."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from ...errors import RemoteProtocolError
from ..client.upload import TIMEOUT, AsyncClient
from .commands import Command, read_task, ready, routes


def client_app() -> Starlette:
    """A Client that uploads what it is told to."""
    http = httpx.AsyncClient(timeout=TIMEOUT)

    async def upload(command: Command) -> dict[str, Any]:
        task, measurement = read_task(command), command.measurement()
        moment = float(command.number("time", default=int(time.time())))
        async with AsyncClient(task, http=http, clock=lambda: moment, allow_http=True) as client:
            result = await client.upload([measurement])
        if result.accepted != 1:
            reasons = [error.value for error in result.errors.values()]
            raise RemoteProtocolError(f"the report was not accepted: {', '.join(reasons) or 'its outcome is unknown'}")
        return {}

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with http:
            yield

    return Starlette(routes=routes({"ready": ready, "upload": upload}), lifespan=lifespan)
