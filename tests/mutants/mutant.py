"""What a mutant is, and how a syntax tree is edited."""

import ast
import json
from dataclasses import asdict, dataclass
from typing import Any


class StaleEdit(Exception):
    """An edit does not apply any more: the message says why."""


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        name: in the table, and on the command line.
        place: the module that is edited, a colon, and the qualified name of the function or class; nothing follows the
            colon where the module itself is meant.
        old: source of the expression or statement that is replaced.
        new: source of what stands there instead.
        breaks: what goes wrong, in a sentence.
        tests: one or two test files that must fail; or tests of a file that takes long, as file::test.
        which: of several places with the same syntax tree, the one that is replaced, from 1 on; None if there is one.
    """

    name: str
    place: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]
    which: int | None = None

    @property
    def module(self) -> str:
        """The module that is edited."""
        return self.place.partition(":")[0]

    @property
    def scope(self) -> str:
        """The function or class in it; empty for the module."""
        return self.place.partition(":")[2]

    def dumped(self) -> str:
        """The mutant as text, for the environment of a process."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> "Mutant":
        """The mutant that `dumped` gave this text for."""
        fields = json.loads(text)
        return cls(**{**fields, "tests": tuple(fields["tests"])})


def edited(source: str, mutant: Mutant) -> ast.Module:
    """The syntax tree of a module with the mutant in it.

    Args:
        source: of the module.
        mutant: of that module.

    Raises:
        StaleEdit: function or expression is not there, or the expression is there several times and the mutant does
            not say which is meant.
    """
    tree = ast.parse(source)
    old, new = _node(mutant.old), _node(mutant.new)
    if ast.dump(old) == ast.dump(new):
        raise StaleEdit(f"{mutant.name} changes nothing")
    edit = _Edit(old, new, mutant.which)
    edit.visit(_scope(tree, mutant))
    if edit.found < 1 or (mutant.which is None and edit.found > 1) or edit.found < (mutant.which or 1):
        raise StaleEdit(f"{mutant.name}: {mutant.place} has {mutant.old!r} {edit.found} times")
    return ast.fix_missing_locations(tree)


def _node(source: str) -> ast.AST:
    """The expression, or else the statement, that this is the source of."""
    (statement,) = ast.parse(source).body
    return statement.value if isinstance(statement, ast.Expr) else statement


def _scope(tree: ast.Module, mutant: Mutant) -> ast.AST:
    scope: Any = tree
    for name in filter(None, mutant.scope.split(".")):
        named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        inner = [node for node in scope.body if isinstance(node, named) and node.name == name]
        if not inner:
            raise StaleEdit(f"{mutant.name}: {mutant.module} has no {mutant.scope}")
        scope = inner[-1]  # what stands before it are overloads
    found: ast.AST = scope
    return found


class _Edit(ast.NodeTransformer):
    """Replaces the nodes that are equal to one, or the one of them that is meant."""

    def __init__(self, old: ast.AST, new: ast.AST, which: int | None) -> None:
        self.found = 0
        self._kind, self._old, self._new, self._which = type(old), ast.dump(old), new, which

    def visit(self, node: ast.AST) -> Any:
        if type(node) is not self._kind or ast.dump(node) != self._old:
            return self.generic_visit(node)
        self.found += 1
        return ast.copy_location(self._new, node) if self._which in (None, self.found) else node
