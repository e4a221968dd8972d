"""Builds the two extension modules; everything else is declared in pyproject.toml."""

from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = sorted(glob("csrc/**/*.c", recursive=True))
VDAF = [source for source in SOURCES if source.startswith("csrc/vdaf/")]
KERNELS = [source for source in SOURCES if source not in VDAF]
HEADERS = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.inc", recursive=True))


def extension(name: str, sources: list[str]) -> Extension:
    return Extension(
        f"secagg.{name}",
        sources=[f"secagg/{name}.pyx", *sources],
        depends=["secagg/_kernels.pxd", "secagg/include/secagg.h", *HEADERS],
        include_dirs=["secagg/include", "csrc"],
        extra_compile_args=["-O2"],
    )


setup(ext_modules=cythonize([extension("_kernels", KERNELS), extension("_vdaf", VDAF)], build_dir="build"))
