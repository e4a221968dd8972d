"""`secagg dap`: a deployment of DAP with its Aggregators, tasks, Clients and Collector.

The commands are imported when one of them is called, so that the rest of `secagg` needs neither time nor packages for
them.
"""

from functools import cached_property
from typing import Any

from typer.core import TyperGroup
from typer.main import get_group

from ...extras import install_command
from ..console import App, CommandError, Group

EXTRA = ("httpx", "starlette", "uvicorn", "sqlalchemy", "psycopg", "prometheus_client")


class LaterGroup(Group):
    """Has the commands of `commands.py`, which are imported once one is called."""

    @cached_property
    def _loaded(self) -> TyperGroup:
        try:
            from . import commands
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in EXTRA:
                raise
            raise CommandError(
                f"`secagg dap` needs the package {error.name}, which is not installed: {install_command('dap')}"
            ) from None
        return get_group(commands.app)

    def list_commands(self, ctx: Any) -> list[str]:
        return self._loaded.list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._loaded.get_command(ctx, cmd_name)


app = App(
    cls=LaterGroup,
    help="""Run a DAP deployment: private measurements of many clients, added up by two servers that do not collude.

    An Aggregator begins with `init`, then runs `leader` or `helper`. Somebody makes a task with `task new`, and each
    Aggregator takes it with `task add`. Clients `upload`, and the Collector will `collect`.

    \b
    Examples:
      secagg dap init --role leader --dir leader
      secagg dap leader --config leader/leader.toml
      secagg dap task new --vdaf Histogram --length 16 --leader https://leader.example --helper https://helper.example
          --min-batch-size 100 --epsilon 1 --collections 10 --output task
      secagg dap task add --config leader/leader.toml task/leader.json
      secagg dap upload --task task/client.json 3
      secagg dap collect --task task/collector.json --interval 2026-01-31T12:00Z/1h
    """,
)


@app.callback()
def _dap() -> None:
    pass
