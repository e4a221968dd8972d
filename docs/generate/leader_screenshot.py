"""The picture of a Leader's page: `python -m docs.generate.leader_screenshot` writes it to docs/assets/.

It shows a Leader in this process with real reports, and counts that follow a made-up day. Time stands still there.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import cos, pi
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from secagg.dap.messages import BatchMode
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.secrets import TaskSecrets
from secagg.dap.store.leader_jobs import lease_job, postpone_job
from secagg.dap.store.outcomes import HOUR, add_outcomes
from secagg.dap.store.tasks import add_task
from secagg.dap.tally import Stage
from secagg.dap.task import Task, task_configuration
from secagg.dap.vdafs import vdaf
from secagg.dp import PureDp
from tests.support.dap_pages import OPERATOR, shown
from tests.support.world import Clock, Urls, World

from .browser import chromium

FILE = Path(__file__).parents[1] / "assets" / "leader.png"
WIDTH, HEIGHT = 1280, 1000
NOW = 1_800_000_000.0
HOURS = 47
NOISE = Privacy(Mechanism.DISCRETE_LAPLACE, PureDp("1/2"), PureDp("15"))


@contextmanager
def _world(folder: Path) -> Iterator[World]:
    """A Leader with a task by the hour, of which some is collected and some waits, and a task whose batches it
    selects."""
    urls = Urls(f"sqlite:///{folder}/leader.db", f"sqlite:///{folder}/helper.db")
    clock = Clock(NOW - 6 * 86_400)
    with closing(World(urls, clock=clock, time_precision=HOUR, min_batch_size=20, privacy=NOISE)) as world:
        # Three hours are collected, and three more are aggregated.
        for ago in (30, 20, 10, 3, 2, 1):
            clock.now = NOW - ago * HOUR
            world.upload_many(20 + 3 * ago % 7 if ago > 3 else 14 + 5 * ago)
            world.aggregate_all()
            if ago > 3:
                assert world.collect(world.request(int(clock.now) // HOUR)).finished
        clock.now = NOW - HOUR
        _count(world, world.task, 4200, {"report_too_early": 30, "report_replayed": 11})

        # Reports that the Helper cannot take now, and a collection that waits for them.
        clock.now = NOW
        world.upload_many(9)
        world.leader.create_jobs(clock.now)
        with world.leader_store.write() as tx:
            job = lease_job(tx, clock.now, 60.0)
            assert job is not None
            postpone_job(tx, job, NOW + 42, "the Helper is busy (HTTP 503): too many requests at once; try again later")
        world.collect(world.request(int(NOW) // HOUR - 1), steps=1)
        clock.now = NOW + 30

        selected = _add(world, batch_mode=BatchMode.LEADER_SELECTED, vdaf=vdaf("Sum", max_measurement=255))
        _count(world, selected, 900, {"hpke_unknown_config_id": 4})
        yield world


def _add(world: World, **changes: Any) -> Task:
    parts: dict[str, Any] = {
        "task_info": b"picture",
        "leader_url": world.task.leader_url,
        "helper_url": world.task.helper_url,
        "time_precision": HOUR,
        "min_batch_size": 1000,
    }
    task, old = Task(os.urandom(32), task_configuration(**parts | changes)), world.leader_task.secrets
    with world.leader_store.write() as tx:
        add_task(
            tx,
            task,
            TaskSecrets(
                old.role, old.verify_key, old.collector_config, old.peer_token, old.collector_token, batch_size=2000
            ),
            NOW - 2 * 86_400,
        )
    return task


def _count(world: World, task: Task, most: int, refused: dict[str, int]) -> None:
    """Two days of uploads: few by night, many by day, and one hour in which many are refused."""
    with world.leader_store.write() as tx:
        for ago in range(HOURS):
            wave = (1.2 - cos(2 * pi * ((NOW / HOUR - ago) % 24) / 24)) / 2.2
            accepted = int(most * wave)
            counts = {
                (task.id, Stage.UPLOAD, "accepted"): accepted,
                (task.id, Stage.AGGREGATION, "aggregated"): accepted,
            }
            for name, count in refused.items():
                counts[task.id, Stage.UPLOAD, name] = count * (40 if ago == 17 else 1)
            add_outcomes(tx, counts, NOW - ago * HOUR)


def main() -> None:
    """Write the picture."""
    with TemporaryDirectory() as folder, _world(Path(folder)) as world, shown(world) as served, chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(f"{served.url}/")
        page.locator("#token").fill(OPERATOR)
        page.locator("#sign-in button").click()
        page.locator(f"#task-{world.task.text} .stages figure").first.wait_for()
        page.screenshot(path=FILE)
        page.locator("#sign-out").click()
        page.locator("#token").wait_for()


if __name__ == "__main__":
    main()
