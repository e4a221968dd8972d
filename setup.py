"""Builds the two extension modules, and the library of the same kernels that other projects link (docs/c-api.md);
everything else is declared in pyproject.toml."""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = sorted(glob("csrc/**/*.c", recursive=True))
VDAF = [source for source in SOURCES if source.startswith("csrc/vdaf/")]
KERNELS = [source for source in SOURCES if source not in VDAF]
HEADERS = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.inc", recursive=True))
FLAGS = ["-O2", "-g0", "-fvisibility=hidden"]

# What a shared library has linked of libsecagg.a stays its own: it is not exported in turn.
KEPT = "" if sys.platform == "darwin" else " -Wl,--exclude-libs,libsecagg.a"
PKG_CONFIG = """\
prefix=${pcfiledir}/..

Name: secagg
Description: The C kernels of secagg
Version: %s
Cflags: -I${prefix}/include
Libs: -L${prefix}/lib -lsecagg%s
"""

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


class BuildKernels(build_ext):
    """Builds the modules and the library; says in a sentence what is missing, where a compiler would take pages."""

    def run(self) -> None:
        # Python takes a module that was built for it alone before one for all Pythons, and so an old one before a new.
        own = sysconfig.get_config_var("EXT_SUFFIX")
        for folder in (Path("secagg"), Path(self.build_lib, "secagg")) if LIMITED else ():
            for module in ("_kernels", "_vdaf"):
                (folder / f"{module}{own}").unlink(missing_ok=True)
        super().run()
        library = Path("." if self.inplace else self.build_lib, "secagg", "lib")
        library.mkdir(exist_ok=True)
        (library / "libsecagg.a").unlink(missing_ok=True)
        objects = self.compiler.object_filenames(KERNELS, output_dir=self.build_temp)
        self.compiler.create_static_lib(objects, "secagg", output_dir=str(library))
        (library / "secagg.pc").write_text(PKG_CONFIG % (self.distribution.get_version(), KEPT))

    def build_extensions(self) -> None:
        command = [*self.compiler.compiler, *(f"-I{folder}" for folder in self.compiler.include_dirs)]
        with tempfile.TemporaryDirectory() as folder:
            for code, sentence in NEEDS:
                source = Path(folder, "need.c")
                source.write_text(f"{code}int needed;\n")
                if not _succeeds([*command, "-c", str(source), "-o", str(source.with_suffix(".o"))]):
                    sys.exit(sentence)
        self._compile_side_by_side()
        super().build_extensions()

    def _compile_side_by_side(self) -> None:
        """As many files at a time as there are processors, the largest first: setuptools takes one after the other."""
        one_by_one = self.compiler.compile

        def compile(sources: list[str], **options: Any) -> list[str]:
            largest_first = sorted(sources, key=os.path.getsize, reverse=True)
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                objects = pool.map(lambda source: one_by_one([source], **options), largest_first)
                by_source = dict(zip(largest_first, objects, strict=True))
            return [name for source in sources for name in by_source[source]]

        self.compiler.compile = compile

    def build_extension(self, ext: Extension) -> None:
        flags = " ".join([*self.compiler.compiler_so, *FLAGS])
        ext.define_macros.append(("SECAGG_FLAGS", json.dumps(flags)))
        super().build_extension(ext)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def extension(name: str, sources: list[str]) -> Extension:
    return Extension(
        f"secagg.{name}",
        sources=[f"secagg/{name}.pyx", *sources],
        depends=["secagg/__init__.pxd", "secagg/_kernels.pxd", "secagg/include/secagg.h", *HEADERS],
        include_dirs=["secagg/include", "csrc"],
        extra_compile_args=FLAGS,
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if LIMITED else [],
        py_limited_api=LIMITED,
    )


if sys.platform == "win32":
    sys.exit("secagg does not run on Windows yet: use the Windows Subsystem for Linux")

setup(
    ext_modules=cythonize([extension("_kernels", KERNELS), extension("_vdaf", VDAF)], build_dir="build"),
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
