"""Durations as people write them, such as 90s, 5m, 1h or 30d."""

import re

from .app import require

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(option: str, text: str) -> int:
    """The seconds of a duration such as 90, 90s, 5m, 1h or 30d."""
    match = re.fullmatch(r"(\d{1,12})([smhd]?)", text.strip(), re.ASCII)
    require(match is not None, f"{option} must be a duration such as 90s, 5m, 1h or 30d, got {text!r}")
    assert match is not None
    seconds = int(match[1]) * _UNITS[match[2] or "s"]
    require(seconds >= 1, f"{option} must be at least a second")
    return seconds


def duration_text(seconds: float) -> str:
    """A duration in the largest unit that it is a multiple of."""
    unit = max((unit for unit, size in _UNITS.items() if seconds % size == 0), key=_UNITS.__getitem__, default="s")
    return f"{int(seconds) // _UNITS[unit]} {unit}"
