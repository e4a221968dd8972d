"""Builds the two extension modules; everything else is declared in pyproject.toml."""

import subprocess
import sys
import sysconfig
import tempfile
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = sorted(glob("csrc/**/*.c", recursive=True))
VDAF = [source for source in SOURCES if source.startswith("csrc/vdaf/")]
KERNELS = [source for source in SOURCES if source not in VDAF]
HEADERS = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.inc", recursive=True))

# One wheel serves this Python and all later ones; free-threaded Pythons have no limited API.
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")

# What is tried before anything is compiled, in this order, and what to do where it fails.
NEEDS = (
    ("", "secagg needs a C compiler: install gcc or clang (Debian: apt install gcc), or name yours in CC"),
    (
        "#include <stdint.h>\n#include <string.h>\n",
        "secagg needs the C library's headers: install them (Debian: libc6-dev; macOS: xcode-select --install)",
    ),
    (
        "#if !defined(__clang__) && __GNUC__ < 9 || defined(__clang__) && __clang_major__ < 9\n#error\n#endif\n",
        "secagg needs gcc 9, clang 9 or later: install one, or name it in CC",
    ),
    (
        "#include <Python.h>\n",
        "secagg needs the headers of this Python: install them (Debian: python3-dev; Fedora: python3-devel)",
    ),
)


class BuildExtensions(build_ext):
    """Says in a sentence what is missing, where a compiler would say it in pages."""

    def build_extensions(self) -> None:
        command = [*self.compiler.compiler, *(f"-I{folder}" for folder in self.compiler.include_dirs)]
        with tempfile.TemporaryDirectory() as folder:
            for code, sentence in NEEDS:
                source = Path(folder, "need.c")
                source.write_text(f"{code}int needed;\n")
                if not _succeeds([*command, "-c", str(source), "-o", str(source.with_suffix(".o"))]):
                    sys.exit(sentence)
        super().build_extensions()


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def extension(name: str, sources: list[str]) -> Extension:
    return Extension(
        f"secagg.{name}",
        sources=[f"secagg/{name}.pyx", *sources],
        depends=["secagg/_kernels.pxd", "secagg/include/secagg.h", *HEADERS],
        include_dirs=["secagg/include", "csrc"],
        extra_compile_args=["-O2"],
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED else [],
        py_limited_api=LIMITED,
    )


if sys.platform == "win32":
    sys.exit("secagg does not run on Windows yet: use the Windows Subsystem for Linux")

setup(
    ext_modules=cythonize([extension("_kernels", KERNELS), extension("_vdaf", VDAF)], build_dir="build"),
    cmdclass={"build_ext": BuildExtensions},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
