"""Checks a wheel before anybody installs it: `python ci/check_wheel.py PLATFORM WHEEL`, in the tools of ci/wheels."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from elftools.elf.elffile import ELFFile

MOST_BYTES = 1_300_000
MODULES = {"secagg/_kernels.abi3.so", "secagg/_vdaf.abi3.so"}
NEEDED = {
    *MODULES,
    "secagg/py.typed",
    "secagg/_kernels.pyi",
    "secagg/__init__.pxd",
    "secagg/include/secagg.h",
    "secagg/lib/libsecagg.a",
    "secagg/lib/secagg.pc",
    "secagg/http/page/shell.html",
    "secagg/http/page/shell.css",
    "secagg/http/page/shell.js",
    "secagg/dap/server/page/content.html",
    "secagg/dap/server/page/page.css",
    "secagg/dap/server/page/page.js",
    "secagg/service/coordinator/page/content.html",
    "secagg/service/coordinator/page/page.css",
    "secagg/service/coordinator/page/page.js",
}
SOURCES = (".c", ".inc", ".pyx", ".pxi", ".o")
# What it takes from the system: musl's loader takes the plain name for itself.
LIBRARIES = {"manylinux": {"libc.so.6", "libpthread.so.0", "ld-linux-aarch64.so.1"}, "musllinux": {"libc.so"}}
# The oldest systems: glibc 2.28 is of 2018, musl 1.2 of 2020.
OLDEST = {"manylinux": (2, 28), "musllinux": (1, 2)}


def faults(platform: str, wheel: Path) -> list[str]:
    """What is wrong with a wheel for a platform such as "manylinux-x86_64"."""
    found = [*_tag_faults(platform, wheel), *_abi_faults(wheel)]
    if wheel.stat().st_size > MOST_BYTES:
        found.append(f"it has {wheel.stat().st_size:,} bytes of {MOST_BYTES:,}")
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        found += [f"{name} is missing" for name in sorted(NEEDED - names)]
        found += [f"{name} has no place in it" for name in sorted(names) if name.endswith(SOURCES)]
        for name in sorted(MODULES & names):
            found += _module_faults(name, ELFFile(io.BytesIO(archive.read(name))), LIBRARIES[platform.split("-")[0]])
    return found


def _module_faults(name: str, module: Any, libraries: set[str]) -> list[str]:
    found = [f"{name} is not stripped"] if module.get_section_by_name(".symtab") is not None else []
    needed = {tag.needed for tag in module.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")}
    return [*found, *(f"{name} needs {library}" for library in sorted(needed - libraries))]


def _tag_faults(platform: str, wheel: Path) -> list[str]:
    system, machine = platform.split("-")
    python, abi, tags = wheel.stem.split("-")[2:]
    found = [] if (python, abi) == ("cp311", "abi3") else [f"it is for {python}-{abi}, not for cp311-abi3"]
    for tag in tags.split("."):
        name, *version, rest = tag.split("_", 3)
        if name.startswith(system) and rest == machine and tuple(map(int, version)) <= OLDEST[system]:
            return found
    return [*found, f"{tags} has no {system} of at most {OLDEST[system]} for {machine}"]


def _abi_faults(wheel: Path) -> list[str]:
    """Uses of Python beyond the limited API of 3.11."""
    command = [sys.executable, "-m", "abi3audit", "--strict", "--assume-minimum-abi3", "3.11", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"it uses more than the limited API: {done.stdout}{done.stderr}"]


def main() -> None:
    platform, wheel = sys.argv[1], Path(sys.argv[2])
    found = faults(platform, wheel)
    if found:
        sys.exit("\n".join(f"{wheel.name}: {fault}" for fault in found))
    print(f"{wheel.name}: {wheel.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
