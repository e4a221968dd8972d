"""Builds the one extension module; everything else is declared in pyproject.toml."""

from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

kernels = Extension(
    "secagg._kernels",
    sources=["secagg/_kernels.pyx", *sorted(glob("csrc/*.c"))],
    depends=["secagg/include/secagg.h", *sorted(glob("csrc/*.h") + glob("csrc/*.inc"))],
    include_dirs=["secagg/include", "csrc"],
    extra_compile_args=["-O2"],
)

setup(ext_modules=cythonize([kernels], build_dir="build"))
