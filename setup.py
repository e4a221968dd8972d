"""Builds the two extension modules; everything else is declared in pyproject.toml."""

from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

VDAF = sorted(glob("csrc/field*.c") + glob("csrc/turboshake*.c"))
KERNELS = sorted(set(glob("csrc/*.c")) - set(VDAF))


def extension(name: str, sources: list[str]) -> Extension:
    return Extension(
        f"secagg.{name}",
        sources=[f"secagg/{name}.pyx", *sources],
        depends=["secagg/include/secagg.h", *sorted(glob("csrc/*.h") + glob("csrc/*.inc"))],
        include_dirs=["secagg/include", "csrc"],
        extra_compile_args=["-O2"],
    )


setup(ext_modules=cythonize([extension("_kernels", KERNELS), extension("_vdaf", VDAF)], build_dir="build"))
