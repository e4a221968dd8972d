"""How much memory Python takes while something is done."""

import tracemalloc
from collections.abc import Callable
from typing import Any


def peak_bytes(act: Callable[[], Any]) -> int:
    """The most that was allocated at one time, what remains included.

    Args:
        act: what is done.
    """
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
