"""Both Aggregators' disks are full while reports come in, and have room again later: `python -m bench.dap.full_disk`.

Each SQLite file lies on a small tmpfs of its own, which only root may mount. While the disks are full the Leader is
killed and started again. In the end both tasks' results must be right, as in `bench.dap.faults`.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from secagg.cli.demo.local import Local
from secagg.dap.messages import Role

from .deployment import AGGREGATORS, wait_for
from .faults import TABLES, Plan, Run, report
from .parties import progress

FULL = Plan(20_000, 0, 1.0, 0)
QUICK = Plan(3_000, 0, 0.5, 0)
SMALL, LARGE = "2m", "512m"  # of a disk; the empty store and its log take half of the small one
STUCK = 3.0  # seconds without progress


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def enlarge(path: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(path)], check=True)


def wait_until_stuck(run: Run) -> None:
    """No Client gets anything taken any more."""
    while True:
        before = [progress(each.spool) for each in run.tasks]
        time.sleep(STUCK)
        if not any(run.uploading(each) for each in run.tasks):
            raise SystemExit("everything was uploaded: the disk was never full")
        if before == [progress(each.spool) for each in run.tasks]:
            return


def run_full_disk(plan: Plan, seed: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="secagg-faults-")))
        disks = {role: folder / f"{role.name.lower()}-disk" for role in AGGREGATORS}
        for disk in disks.values():
            stack.enter_context(small_disk(disk))
        urls = {role: f"sqlite:///{disk}/store.db" for role, disk in disks.items()}
        local = stack.enter_context(Local(folder, urls, TABLES))
        started, run = time.monotonic(), Run(local, None, plan, seed)
        run.start_clients()
        wait_until_stuck(run)
        run.restart(Role.LEADER, 0, 0)
        wait_until_stuck(run)
        enlarge(disks[Role.LEADER])
        run.done["full disk of the Leader"] += 1
        wait_for(lambda: not any(run.uploading(each) for each in run.tasks), 600, "uploads")
        time.sleep(2 * STUCK)  # the Helper's disk is full meanwhile
        enlarge(disks[Role.HELPER])
        run.done["full disk of the Helper"] += 1
        run.collect()
        report("sqlite", seed, run, time.monotonic() - started, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few reports: checks that it works")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    run_full_disk(QUICK if options.quick else FULL, options.seed)


if __name__ == "__main__":
    main()
