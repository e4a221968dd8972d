"""The programs of docs/c-api.md call the kernels of an installed wheel, and what the wheel exports is secagg.h's."""

import re
import shutil
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from ..support.folders import ROOT
from .conftest import made_once, run

PAGE = (ROOT / "docs" / "c-api.md").read_text()
HEADER = (ROOT / "secagg" / "include" / "secagg.h").read_text()
# FIPS 197's AES of zeros, cut into words of 24 bits.
PRINTED = "4be966 8aefd4 883b2c 59fa4c\n"
FUNCTIONS = set(re.findall(r"^\w[\w ]*[ *](secagg_\w+)\(", HEADER, re.MULTILINE))

pytestmark = pytest.mark.slow


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"there is no {program}")


def shell(commands: str, bin: Path, cwd: Path, **environment: str) -> str:
    """What the page's commands print where `python` is that of the installed wheel."""
    return run("bash", "-euc", f"PATH={bin}:$PATH\n{commands}", cwd=cwd, **environment)


def package(installed: Path) -> Path:
    (folder,) = installed.parent.glob("lib/python*/site-packages/secagg")
    return folder


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with what the programs need that the wheel's environment does not hold."""

    def install(target: Path) -> None:
        run(sys.executable, "-m", "pip", "install", "-q", "-t", target, "cython>=3.1", "setuptools", "cffi", cwd=target)

    return made_once(tmp_path_factory, "tools", install)


@needs("pkg-config")
@pytest.mark.parametrize("compiler", [pytest.param(name, marks=needs(name)) for name in ("gcc", "clang")])
def test_a_program_in_c_links_the_library(installed: Path, tmp_path: Path, compiler: str) -> None:
    (source,), commands = snippets("c"), snippets("sh")[0]
    (tmp_path / "mask.c").write_text(source)
    assert shell(commands.replace("cc -o", f"{compiler} -Wall -Wextra -Werror -o"), installed, tmp_path) == PRINTED


@needs("pkg-config")
def test_the_library_may_be_moved(installed: Path, tmp_path: Path) -> None:
    """As pkg-config finds header and library from secagg.pc's own place."""
    for folder in ("include", "lib"):
        shutil.copytree(package(installed) / folder, tmp_path / "moved" / folder)
    (tmp_path / "mask.c").write_text(snippets("c")[0])
    build = "gcc -o mask mask.c $(pkg-config --cflags --libs secagg) && ./mask && pkg-config --modversion secagg"
    printed = run("bash", "-euc", build, cwd=tmp_path, PKG_CONFIG_PATH=str(tmp_path / "moved" / "lib"))
    assert printed.startswith(PRINTED)
    version = run(installed / "python", "-c", "import secagg; print(secagg.__version__)", cwd=tmp_path)
    assert printed.removeprefix(PRINTED) == version


@needs("pkg-config")
def test_a_shared_library_keeps_what_it_links_to_itself(installed: Path, tmp_path: Path) -> None:
    """The code is position-independent, and nobody else in the process comes to use this copy by names."""
    (tmp_path / "mask.c").write_text(snippets("c")[0].replace("int main(void)", "int mask(void)"))
    flags = "$(PKG_CONFIG_PATH=" + str(package(installed) / "lib") + " pkg-config --cflags --libs secagg)"
    run("bash", "-euc", f"gcc -shared -fPIC -Wl,-z,text -o libmask.so mask.c {flags}", cwd=tmp_path)
    assert exported(tmp_path / "libmask.so") == {"mask"}


@needs("pkg-config")
def test_each_copy_chooses_for_itself(installed: Path, tmp_path: Path) -> None:
    """The header says so: a program's copy caps its instruction sets, and Python's own keeps all."""
    script = (
        "import ctypes, sys; from secagg import _kernels\n"
        "copy = ctypes.CDLL('./libcopy.so'); assert copy.only_portable() == 0\n"
        "assert _kernels.isa() == _kernels.isa_available()[-1], _kernels.isa()"
    )
    (tmp_path / "copy.c").write_text(
        '#include <secagg.h>\nint only_portable(void) { return secagg_isa_use("portable"); }'
    )
    flags = "$(PKG_CONFIG_PATH=" + str(package(installed) / "lib") + " pkg-config --cflags --libs secagg)"
    run("bash", "-euc", f"gcc -shared -fPIC -o libcopy.so copy.c {flags}", cwd=tmp_path)
    run(installed / "python", "-c", script, cwd=tmp_path)


def test_a_cython_module_finds_the_declarations(installed: Path, tools: Path, tmp_path: Path) -> None:
    (tmp_path / "mask.pyx").write_text(snippets("cython")[0])
    (tmp_path / "setup.py").write_text(snippets("py")[0])
    assert shell(snippets("sh")[1], installed, tmp_path, PYTHONPATH=str(tools)).endswith(PRINTED)


@pytest.mark.parametrize("way", ["cffi", "ctypes"])
def test_python_loads_the_module(installed: Path, tools: Path, tmp_path: Path, way: str) -> None:
    program = snippets("python")[["cffi", "ctypes"].index(way)]
    assert f"from {way} import" in program or "secagg.capi" in program
    assert run(installed / "python", "-c", program, cwd=tmp_path, PYTHONPATH=str(tools)) == PRINTED


@needs("rustc")
def test_a_program_in_rust_links_the_library(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "mask.rs").write_text(snippets("rust")[0])
    assert shell(snippets("sh")[2], installed, tmp_path) == PRINTED


# --- What is exported


def exported(library: Path) -> set[str]:
    lines = run("nm", "-D", "--defined-only", library, cwd=library.parent).splitlines()
    return {line.split()[-1].removeprefix("_") if sys.platform == "darwin" else line.split()[-1] for line in lines}


def test_the_modules_export_the_header_and_their_init(installed: Path) -> None:
    (kernels,), (vdaf,) = (list(package(installed).glob(f"{name}.*so")) for name in ("_kernels", "_vdaf"))
    assert len(FUNCTIONS) > 30
    assert exported(kernels) == FUNCTIONS | {"PyInit__kernels"}
    assert exported(vdaf) == {"PyInit__vdaf"}


def test_the_library_has_the_functions_of_the_header(installed: Path) -> None:
    library = package(installed) / "lib" / "libsecagg.a"
    defined = run("nm", "--defined-only", "--extern-only", "-P", library, cwd=library.parent)
    names = {line.split()[0] for line in defined.splitlines() if re.search(" [A-TV-Z] ", line)}
    assert names >= FUNCTIONS
    assert not [name for name in names if not name.startswith("secagg_")]  # a program has names of its own


def test_nothing_is_shipped_for_debuggers_only(installed: Path) -> None:
    for file in [*package(installed).glob("*.so"), package(installed) / "lib" / "libsecagg.a"]:
        assert ".debug_info" not in run("readelf", "--sections", "--wide", file, cwd=file.parent), file


def test_the_wheel_is_small(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert wheel.stat().st_size < 1_400_000  # with names and tables for debuggers, unlike those of ci/wheels
    assert len(ZipFile(wheel).namelist()) > 100


def test_cython_s_declarations_are_the_header_s() -> None:
    """The types are the compiler's to compare; it sees both when it compiles the module."""
    declared = (ROOT / "secagg" / "__init__.pxd").read_text()
    assert set(re.findall(r"\b(secagg_\w+)\(", declared)) == FUNCTIONS
    constants = set(re.findall(r"^#define (SECAGG_\w+) \d", HEADER, re.MULTILINE))
    assert set(re.findall(r"^        (SECAGG_(?:\w+_BYTES|API_VERSION))$", declared, re.MULTILINE)) == constants


# --- Subinterpreters


@pytest.mark.parametrize("module", ["_kernels", "_vdaf"])
@pytest.mark.parametrize("first", [False, True])
def test_a_subinterpreter_is_refused(installed: Path, tmp_path: Path, module: str, first: bool) -> None:
    """And the main interpreter can load the module all the same, before or afterwards."""
    script = f'''
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
{"" if first else f"import secagg.{module}"}
inside = """
try:
    import secagg.{module}
except ImportError as error:
    assert "subinterpreter" in str(error), error
else:
    raise SystemError("it was imported")
"""
failed = interpreters.run_string(interpreters.create(), inside)
assert failed is None, failed
import secagg.{module}
'''
    run(installed / "python", "-c", script, cwd=tmp_path)
