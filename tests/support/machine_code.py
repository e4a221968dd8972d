"""What compilers make of a source, for kernels that valgrind cannot run: code on secrets must have no gathers, no
divisions, nothing that takes a bit of a vector to where a branch could ask for it, and no jumps but those of loops.
"""

import re
import shutil
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

import pytest

from .folders import ROOT
from .processes import ran

# `rep stos` erases as many bytes as a constant says.
FORBIDDEN = re.compile(
    r"v?p?(gather|scatter)|[iv]?div|v?ptest|kortest|ktest|kmov[bwdq] +%k\d,%[re]|v?p?movmsk|rep(?! stos)|loop"
)
CONDITIONAL = re.compile(r"j(?!mp)[a-z]+ ")
SETS_FLAGS = re.compile(
    r"(cmp|test|add|sub|inc|dec|and|or|xor|neg|sh[lr]d?|sa[lr]|bt[cr]?|adc|sbb|i?mul|adox|adcx)[bwlq]? "
)
FRAME = re.compile(r"mov +%rsp,%rbp")  # %rbp is the stack's, too


def _counts(stack: str) -> re.Pattern[str]:
    """Compares an index, a bound or a constant, in a register or put by on the stack."""
    place = rf"(%\w+|-?(0x)?[0-9a-f]*\({stack}\))"
    return re.compile(rf"(cmp|add|sub|inc|dec|test)[lq]? +(\$-?0x[0-9a-f]+|{place})(,{place})?$")


COUNTS, COUNTS_IN_FRAME = _counts("%rsp"), _counts("%r[sb]p")

Instructions = list[str]
Loops = Mapping[str, tuple[int, int, str]]
"""How many conditional jumps a function may have by gcc 12 and by clang 14, which put some functions into others, and
what these count. Another compiler may need another number: look at what it jumps on first."""
COMPILERS = ("gcc", "clang")  # as `Loops` has them


def compiled(compiler: str, source: Path, folder: Path, *includes: Path) -> dict[str, Instructions]:
    """The instructions of each function, as setup.py's flags have them compiled; `includes` come first."""
    for program in (compiler, "objdump"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}")
    flags = ["--target=x86_64-linux-gnu"] if compiler == "clang" else []
    folders = [f"-I{path}" for path in (*includes, ROOT / "secagg/include", ROOT / "csrc", ROOT / "csrc/agreement")]
    built = ran(compiler, *flags, "-O2", "-g0", "-fPIC", *folders, "-c", source, "-o", folder / "code.o", text=True)
    if "target" in built.stderr:
        pytest.skip(f"{compiler} makes no code for x86-64")
    assert built.returncode == 0, built.stderr
    return dict(listed(ran("objdump", "-d", "--no-show-raw-insn", folder / "code.o", text=True).stdout))


def listed(printed: str) -> Iterator[tuple[str, Instructions]]:
    for block in printed.split("\n\n"):
        if named := re.search(r"^[0-9a-f]+ <([\w.]+)>:$", block, re.M):
            lines = re.findall(r"^ +[0-9a-f]+:\t(.+?) *$", block, re.M)
            yield re.sub(r"\..*", "", named[1]), [line.partition(" #")[0].partition(" <")[0].strip() for line in lines]


def faulty(
    functions: Mapping[str, Instructions], compiler: str, loops: Loops, public: Container[str]
) -> dict[str, list[str]]:
    """The faults of each function that sees secrets: of all but the public ones."""
    secret = {name: code for name, code in functions.items() if name not in public}
    found = {name: faults(code, _jumps(name, compiler, loops)) for name, code in secret.items()}
    return {name: lines for name, lines in found.items() if lines}


def _jumps(name: str, compiler: str, loops: Loops) -> int:
    by_gcc, by_clang, _ = loops.get(name, (0, 0, ""))
    return dict(zip(COMPILERS, (by_gcc, by_clang), strict=True))[compiler]


def faults(code: Instructions, loops: int) -> list[str]:
    """Instructions that code on secrets must not have; so many conditional jumps may count what loops do."""
    found = [line for line in code if FORBIDDEN.match(line)]
    counts = COUNTS_IN_FRAME if any(map(FRAME.match, code)) else COUNTS
    for at, line in enumerate(code):
        if CONDITIONAL.match(line + " "):
            setter = next((earlier for earlier in reversed(code[:at]) if SETS_FLAGS.match(earlier)), "nothing")
            if not counts.match(setter):
                found.append(f"{setter}; {line}")
    jumps = sum(bool(CONDITIONAL.match(line + " ")) for line in code)
    return found + [f"{jumps} conditional jumps"] * (jumps > loops)
