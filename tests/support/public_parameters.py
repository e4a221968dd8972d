"""What this package takes from its callers: every parameter of everything in every `__all__`, by its signature."""

import inspect
import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cache
from importlib import import_module
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import numpy as np

import secagg

_KINDS = {
    **dict.fromkeys((int, float, complex, Fraction, Decimal), "number"),
    **{bool: "flag", bytes: "octets", np.ndarray: "array"},
}
# What a command line takes has its own tests, and adapters need their framework, in an environment of its own.
_ELSEWHERE = ("secagg.cli", "secagg.__main__", "secagg.integrations.flower", "secagg.integrations.nvflare")
_CONTAINERS = (Union, UnionType, tuple, list, dict, Mapping, Sequence, Iterable, Collection)


@dataclass(frozen=True)
class Parameter:
    """One parameter of one public callable.

    Attributes:
        owner: module and qualified name of the callable, without `secagg.`; a class stands for its constructor.
        name: its own.
        kinds: what its annotation lets it be: "number", "flag", "octets", "array", or "any" for what says nothing.
    """

    owner: str
    name: str
    kinds: frozenset[str]

    def __str__(self) -> str:
        return f"{self.owner}({self.name})"


@cache
def public_callables() -> dict[str, Callable[..., Any]]:
    """Functions, classes and methods that some `__all__` names, each under the name where it is defined."""
    return dict(named for public in _public_objects() for named in _with_methods(public))


@cache
def public_parameters() -> list[Parameter]:
    """All that take a number, a truth value, bytes or an array, or that do not say what they take."""
    return [
        Parameter(owner, parameter.name, kinds)
        for owner, function in public_callables().items()
        for parameter in _signature(function)
        if parameter.name != "self" and (kinds := frozenset(_kinds(parameter.annotation)))
    ]


def _public_objects() -> Iterator[Any]:
    for name in ("secagg", *(module.name for module in pkgutil.walk_packages(secagg.__path__, "secagg."))):
        if not name.startswith(_ELSEWHERE):
            module = import_module(name)
            yield from (getattr(module, public) for public in getattr(module, "__all__", ()))


def _signature(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if inspect.isclass(function) and issubclass(function, Exception) and not inspect.isfunction(function.__init__):
        return []
    return list(inspect.signature(function, eval_str=True).parameters.values())


def _with_methods(public: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    if inspect.isfunction(public):
        yield _name(public), public
    if not inspect.isclass(public) or issubclass(public, Enum):
        return
    if public.__module__.startswith("secagg"):
        yield _name(public), public
    for name in dir(public):
        member = inspect.getattr_static(public, name)
        function = getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(function) and function.__module__.startswith("secagg"):
            bound = getattr(public, name)  # a class method without its class
            yield _name(function), bound


def _name(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}".removeprefix("secagg.")


def _kinds(annotation: Any) -> Iterator[str]:
    """Of everything that an annotation mentions, but for what a function takes that is passed."""
    if annotation is Any or annotation is inspect.Parameter.empty or isinstance(annotation, str):
        yield "any"
    elif annotation in _KINDS:
        yield _KINDS[annotation]
    elif isinstance(annotation, TypeVar):
        yield from (kind for constraint in annotation.__constraints__ for kind in _kinds(constraint))
    elif get_origin(annotation) is np.ndarray or any(
        "_SupportsArray" in str(member) for member in get_args(annotation)
    ):
        yield "array"  # ArrayLike is a union that mentions numbers and bytes, too
    elif get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) in _CONTAINERS:
        yield from (kind for member in get_args(annotation) for kind in _kinds(member))
