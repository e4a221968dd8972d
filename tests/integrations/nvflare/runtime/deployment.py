"""A provisioned deployment on this machine, `nvflare poc`: `deployment.py FOLDER EXAMPLE`.

It listens on every interface, so it runs in a network namespace of its own, whose loopback this brings up. Five sites
have the example's files in their `local` folders; the fifth lets no job bring code. Two of the example's jobs are run:
the secure one, and the plain one.
"""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

SITES = 5
CLOSED = "site-5"
PATIENCE = 600.0  # seconds for one command
_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41


def bring_up_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


def command(*words: str | Path, ok: tuple[int, ...] = (0,)) -> None:
    """Run a command of this Python's environment to its end."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([*map(str, words)], env=environment, timeout=PATIENCE, check=False)
    print(f"{words}: {done.returncode}", flush=True)
    if done.returncode not in ok:
        raise SystemExit(f"{words} has failed")


def forbid_code(local: Path) -> None:
    """The site's own rule: nobody's job may bring code."""
    rules = json.loads((local / "authorization.json.default").read_text())
    for role, rights in rules["permissions"].items():
        given = dict.fromkeys(("submit_job", "manage_job", "view", "operate"), rights) if rights == "any" else rights
        rules["permissions"][role] = {**given, "byoc": "none"}
    (local / "authorization.json").write_text(json.dumps(rules))


def await_sites(kits: Path) -> None:
    """Until all sites are registered; whoever asks a server that is only starting may wait for its answer for ever."""
    logs = [kits / f"site-{u}" / "poc_console.log" for u in range(1, SITES + 1)]
    until = time.monotonic() + PATIENCE
    while not all(log.exists() and "Successfully registered client" in log.read_text() for log in logs):
        if time.monotonic() > until:
            raise SystemExit("the sites have not registered")
        time.sleep(0.5)


def main(folder: Path, example: Path) -> None:
    bring_up_loopback()
    command("nvflare", "poc", "prepare", "-n", str(SITES), "--force")
    (kits,) = (folder / "poc").glob("*/prod_00")
    for site in kits.glob("site-*"):
        for file in (example / "site").iterdir():
            shutil.copy(file, site / "local")
    forbid_code(kits / CLOSED / "local")
    command("nvflare", "poc", "start", "-ex", "admin@nvidia.com", "--no-wait")
    await_sites(kits)
    kit = kits / "admin@nvidia.com"
    for options in ((), ("--plain",)):
        job = (sys.executable, example / "digits_job.py", "--sites", "4", "--kit", kit, *options)
        command(*job, ok=(0, 1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
