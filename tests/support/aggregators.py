"""Leader and Helper as processes of their own, as an operator starts them."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import PATIENCE, started


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A process of an Aggregator, and what its first line says; it must end gracefully, and say no secret."""
    command = (sys.executable, "-m", "secagg", "dap", *arguments)
    with started(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().rstrip("\n"), process
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "127.0.0.1" not in re.sub("https?://127.0.0.1", "", errors)  # an Aggregator's URL, and no client's address


def change(path: Path, **values: object) -> None:
    """Set keys of a configuration that are in it."""
    content = path.read_text()
    for key, value in values.items():
        content, count = re.subn(rf"^{key} = .*$", f"{key} = {json.dumps(value)}", content, flags=re.M)
        assert count == 1
    path.write_text(content)
