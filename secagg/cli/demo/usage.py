"""The CPU time and memory that a process has taken, as Linux counts them."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What a process has taken so far.

    Attributes:
        pid: of the process.
        cpu_seconds: user and system time.
        ended_children_seconds: user and system time of its children that have ended.
        peak_bytes: the largest resident memory.
    """

    pid: int
    cpu_seconds: float
    ended_children_seconds: float
    peak_bytes: int


def usage(pid: int) -> Usage | None:
    """What a process has taken; None if it has just ended, or if the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        peak = int(status["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        return None
    user, system, children_user, children_system = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15])
    return Usage(pid, user + system, children_user + children_system, peak)
