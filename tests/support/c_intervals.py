"""C whose vectors are intervals: runs functions of a kernel's own source, where a lane holds not a number but the least
and the largest that it may hold.

What is no vector, such as indices and constants, is a Python integer. An addition that may pass 64 bits, a difference
that may fall below 0, and a factor that is too wide for the instruction that multiplies raise `OutOfBounds`: in a run
that raises nothing, no lane of any number between the bounds does so.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pycparser import c_ast, c_parser

from .folders import ROOT
from .processes import ran

# What the sources include and pycparser does not read.
HEADERS = {
    "stdint.h": "typedef unsigned long uint64_t; typedef long int64_t; typedef unsigned uint32_t; typedef int int32_t;"
    "typedef unsigned char uint8_t; typedef signed char int8_t; typedef unsigned short uint16_t;",
    "stddef.h": "typedef unsigned long size_t;\n#define NULL 0\n",
    "string.h": "void *memset(void *, int, size_t); void *memcpy(void *, const void *, size_t);"
    "int memcmp(const void *, const void *, size_t);",
    "stdlib.h": "",
    "wipe.h": "void wipe(void *, size_t);",
    "immintrin.h": "typedef long __m256i; typedef long __m512i;",
}
EXTENSIONS = ("__attribute__(x)=", "__asm__(...)=", "_Pragma(x)=", "__extension__=", "__int128=long", "inline=")


class OutOfBounds(Exception):
    """A vector may hold what its lanes, or an instruction, have no room for."""


@dataclass(frozen=True)
class Interval:
    """All integers from `low` to `high`."""

    low: int
    high: int

    def holds(self, other: "Interval") -> bool:
        return self.low <= other.low and other.high <= self.high


class Struct(dict[str, Any]):
    """A struct's fields by name."""


class _Continue(Exception):
    """`continue`, the only jump that kernels have in their loops."""


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


Primitive = Callable[..., Any]


@cache
def parsed(source: str, old: str = "", new: str = "") -> c_ast.FileAST:
    """A C file, by its path in the repository, and all of its own that it includes; with `new` in place of `old`."""
    text = (ROOT / source).read_text()
    assert old in text
    with TemporaryDirectory() as folder:
        for name, declarations in HEADERS.items():
            Path(folder, name).write_text(declarations)
        Path(folder, "kernel.c").write_text(text.replace(old, new) if old else text)
        includes = [f"-I{path}" for path in (folder, ROOT / "csrc", ROOT / "secagg/include", (ROOT / source).parent)]
        defines = [f"-D{extension}" for extension in EXTENSIONS]
        done = ran("gcc", "-E", "-P", "-nostdinc", *includes, *defines, f"{folder}/kernel.c", text=True)
    assert done.returncode == 0, done.stderr
    return c_parser.CParser().parse(done.stdout)


class Kernel:
    """The functions of one source.

    Args:
        tree: the parsed source.
        lanes: what a vector's lane may hold.
        primitives: functions to run in place of the source's, by name; those that are instructions are given here.
    """

    def __init__(self, tree: c_ast.FileAST, lanes: Interval, primitives: dict[str, Primitive]) -> None:
        self.lanes, self.primitives = lanes, primitives
        self.functions = {node.decl.name: node for node in tree.ext if isinstance(node, c_ast.FuncDef)}
        self.types: dict[str, Any] = {}
        self.constants: dict[str, Any] = {}
        for node in tree.ext:
            if isinstance(node, c_ast.Typedef):
                self.types[node.name] = node.type
            elif isinstance(node, c_ast.Decl):
                self._declare_global(node)

    def call(self, name: str, *arguments: Any) -> Any:
        """What the function returns; arrays and structs that it writes to are the arguments themselves."""
        if name in self.primitives:
            return self.primitives[name](*arguments)
        function = self.functions[name]
        names = [parameter.name for parameter in function.decl.type.args.params]
        frame = dict(zip(names, arguments, strict=True))
        try:
            self._run(function.body, frame)
        except _Return as returned:
            return returned.value
        return None

    def fresh(self, type_name: str) -> Any:
        """A variable of a named type, not written yet."""
        return self._fresh(self.types[type_name], {})

    # --- Declarations

    def _declare_global(self, node: c_ast.Decl) -> None:
        if isinstance(node.type, c_ast.Struct):
            self.types["struct " + node.type.name] = node.type
        elif isinstance(node.type, c_ast.Enum):
            for i, member in enumerate(node.type.values.enumerators):
                self.constants[member.name] = i if member.value is None else self._value(member.value, {})
        elif node.init is not None:
            self.constants[node.name] = node.init  # until it is asked for

    def _fresh(self, kind: Any, frame: dict[str, Any]) -> Any:
        if isinstance(kind, c_ast.ArrayDecl):
            return [self._fresh(kind.type, frame) for _ in range(self._value(kind.dim, frame))]
        if isinstance(kind, c_ast.PtrDecl):
            return None
        if isinstance(kind, c_ast.TypeDecl):
            return self._fresh(kind.type, frame)
        if isinstance(kind, c_ast.Struct):
            members = kind.decls or self.types["struct " + kind.name].decls
            return Struct((member.name, self._fresh(member.type, frame)) for member in members)
        named = self.types.get(kind.names[0]) if kind.names[0] != "vec" else None
        return None if named is None else self._fresh(named, frame)

    def _initial(self, node: Any, frame: dict[str, Any]) -> Any:
        if not isinstance(node, c_ast.InitList):
            return self._value(node, frame)
        return [self._initial(item, frame) for item in node.exprs]

    def _declare(self, node: c_ast.Decl, frame: dict[str, Any]) -> None:
        frame[node.name] = self._fresh(node.type, frame)
        if node.init is not None:
            frame[node.name] = _copy(self._initial(node.init, frame), isinstance(node.type, c_ast.PtrDecl))

    # --- Statements

    def _run(self, node: Any, frame: dict[str, Any]) -> None:
        if isinstance(node, c_ast.Compound):
            for item in node.block_items or []:
                self._run(item, frame)
        elif isinstance(node, c_ast.Decl):
            self._declare(node, frame)
        elif isinstance(node, c_ast.For):
            self._loop(node, frame)
        elif isinstance(node, c_ast.While):
            while self._value(node.cond, frame):
                self._body(node.stmt, frame)
        elif isinstance(node, c_ast.If):
            branch = node.iftrue if self._value(node.cond, frame) else node.iffalse
            if branch is not None:
                self._run(branch, frame)
        elif isinstance(node, c_ast.Continue):
            raise _Continue
        elif isinstance(node, c_ast.Return):
            raise _Return(None if node.expr is None else _copy(self._value(node.expr, frame)))
        elif not isinstance(node, c_ast.EmptyStatement | c_ast.Pragma):
            self._value(node, frame)

    def _loop(self, node: c_ast.For, frame: dict[str, Any]) -> None:
        for declaration in node.init.decls:
            self._declare(declaration, frame)
        while self._value(node.cond, frame):
            self._body(node.stmt, frame)
            if node.next is not None:
                self._value(node.next, frame)

    def _body(self, node: Any, frame: dict[str, Any]) -> None:
        with suppress(_Continue):
            self._run(node, frame)

    # --- Expressions

    def _value(self, node: Any, frame: dict[str, Any]) -> Any:
        return getattr(self, "_of_" + type(node).__name__.lower())(node, frame)

    def _of_constant(self, node: c_ast.Constant, frame: dict[str, Any]) -> int:
        return int(node.value.rstrip("uUlL"), 0)

    def _of_id(self, node: c_ast.ID, frame: dict[str, Any]) -> Any:
        if node.name in frame:
            return frame[node.name]
        if node.name in self.functions:
            return node.name
        if isinstance(self.constants[node.name], c_ast.Node):
            self.constants[node.name] = self._initial(self.constants[node.name], {})
        return self.constants[node.name]

    def _of_arrayref(self, node: c_ast.ArrayRef, frame: dict[str, Any]) -> Any:
        return self._value(node.name, frame)[self._value(node.subscript, frame)]

    def _of_structref(self, node: c_ast.StructRef, frame: dict[str, Any]) -> Any:
        return self._value(node.name, frame)[node.field.name]

    def _of_cast(self, node: c_ast.Cast, frame: dict[str, Any]) -> Any:
        value = self._value(node.expr, frame)
        return value % (1 << 64) if isinstance(value, int) and _names(node) == ["uint64_t"] else value

    def _of_compoundliteral(self, node: c_ast.CompoundLiteral, frame: dict[str, Any]) -> Any:
        value = self._fresh(node.type.type, frame)
        return Struct(zip(value, self._initial(node.init, frame), strict=True))

    def _of_ternaryop(self, node: c_ast.TernaryOp, frame: dict[str, Any]) -> Any:
        return self._value(node.iftrue if self._value(node.cond, frame) else node.iffalse, frame)

    def _of_funccall(self, node: c_ast.FuncCall, frame: dict[str, Any]) -> Any:
        arguments = [self._value(argument, frame) for argument in (node.args.exprs if node.args else [])]
        callee = node.name.name if isinstance(node.name, c_ast.ID) else self._value(node.name, frame)
        return self.call(callee, *arguments)

    def _of_unaryop(self, node: c_ast.UnaryOp, frame: dict[str, Any]) -> Any:
        if node.op in ("&", "*"):  # a pointer to a struct is the struct
            return self._value(node.expr, frame)
        if node.op in ("++", "p++", "--", "p--"):
            before = self._value(node.expr, frame)
            after = before + (1 if "+" in node.op else -1)
            self._store(node.expr, after, frame)
            return before if node.op[0] == "p" else after
        if node.op == "sizeof":
            return 0  # of what is copied or compared, which are no vectors
        value = self._value(node.expr, frame)
        return -value if node.op == "-" else ~value if node.op == "~" else int(not value)

    def _of_binaryop(self, node: c_ast.BinaryOp, frame: dict[str, Any]) -> Any:
        left = self._value(node.left, frame)
        if node.op == "&&":
            return int(bool(left) and bool(self._value(node.right, frame)))
        if node.op == "||":
            return int(bool(left) or bool(self._value(node.right, frame)))
        return self._operate(node.op, left, self._value(node.right, frame))

    def _of_assignment(self, node: c_ast.Assignment, frame: dict[str, Any]) -> Any:
        value = self._value(node.rvalue, frame)
        if node.op != "=":
            value = self._operate(node.op[:-1], self._value(node.lvalue, frame), value)
        self._store(node.lvalue, value, frame)
        return value

    def _store(self, node: Any, value: Any, frame: dict[str, Any]) -> None:
        if isinstance(node, c_ast.ID):
            self._replace(frame, node.name, value)
        elif isinstance(node, c_ast.ArrayRef):
            self._replace(self._value(node.name, frame), self._value(node.subscript, frame), value)
        elif isinstance(node, c_ast.StructRef):
            self._replace(self._value(node.name, frame), node.field.name, value)
        else:  # *p = value
            fill(self._value(node.expr, frame), value)

    def _replace(self, container: Any, key: Any, value: Any) -> None:
        if isinstance(value, Struct) and isinstance(container[key], Struct):
            fill(container[key], value)
        else:
            container[key] = value

    def _operate(self, op: str, a: Any, b: Any) -> Any:
        if not isinstance(a, Interval) and not isinstance(b, Interval):
            return _WHOLE[op](a, b)
        result = _VECTORS[op](*(x if isinstance(x, Interval) else Interval(x, x) for x in (a, b)))
        if not self.lanes.holds(result):
            raise OutOfBounds(f"{a} {op} {b} may be {result}")
        return result


def _names(node: c_ast.Cast) -> list[str]:
    names: list[str] = getattr(node.to_type.type.type, "names", [])
    return names


def _copy(value: Any, is_pointer: bool = False) -> Any:
    if is_pointer:
        return value
    if isinstance(value, Struct):
        return Struct((name, _copy(field)) for name, field in value.items())
    return [_copy(item) for item in value] if isinstance(value, list) else value


def fill(target: Struct, value: Struct) -> None:
    """*target = value."""
    target.update(_copy(value))


def _masked(a: Interval, mask: Interval) -> Interval:
    """a & mask, of a constant 2^k - 1."""
    if mask.low != mask.high or mask.low & (mask.low + 1):
        raise OutOfBounds(f"{mask} is no mask of low bits")
    return a if Interval(0, mask.low).holds(a) else Interval(0, mask.low)


def _either(a: Interval, b: Interval) -> Interval:
    """a | b, of what is not negative."""
    return Interval(0, (1 << max(a.high.bit_length(), b.high.bit_length())) - 1)


_WHOLE: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "<": lambda a, b: int(a < b),
    ">": lambda a, b: int(a > b),
    "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b),
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
}
_VECTORS: dict[str, Callable[[Interval, Interval], Interval]] = {
    "+": lambda a, b: Interval(a.low + b.low, a.high + b.high),
    "-": lambda a, b: Interval(a.low - b.high, a.high - b.low),
    "<<": lambda a, b: Interval(a.low << b.low, a.high << b.high),
    ">>": lambda a, b: Interval(a.low >> b.low, a.high >> b.high),
    "&": _masked,
    "|": _either,
}
