"""Packs a wheel anew, as small as zip can: `python ci/pack_wheel.py WHEEL`. What builds wheels packs in haste."""

import sys
from pathlib import Path
from zipfile import ZipFile

import zopfli


def pack(wheel: Path) -> None:
    """Every file of the wheel keeps its place, its name and its mode."""
    smaller = wheel.with_suffix(".packed")
    with ZipFile(wheel) as old, zopfli.ZipFile(smaller, "w") as new:
        for info in old.infolist():
            new.writestr(info, old.read(info))
    smaller.replace(wheel)


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
