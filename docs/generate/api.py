"""The API reference: a page for each public module, from its docstrings."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import secagg

WITHOUT = ("secagg.cli",)  # its commands have a reference of their own
PACKAGES = ("secagg.protocol", "secagg.vdaf", "secagg.dp", "secagg.noisy", "secagg.http", "secagg.dap")


def modules() -> list[str]:
    """All public modules, packages before what is in them."""
    return sorted(_found())


@cache
def _found() -> dict[str, bool]:
    """The names of all public modules, and whether they are packages."""
    found = pkgutil.walk_packages(secagg.__path__, "secagg.", onerror=_fail)
    public = (module for module in found if "._" not in module.name and not module.name.startswith(WITHOUT))
    return {"secagg": True, **{module.name: module.ispkg for module in public}}


def page_of(module: str) -> str:
    """The page of a module."""
    return f"api/{module}.md"


def page(name: str) -> str:
    """A module's page: what mkdocstrings makes of it, and for a package's names from its modules, where those are.

    mkdocstrings reads sources, so that only packages are imported.
    """
    module = importlib.import_module(name) if _found()[name] else None
    elsewhere = _elsewhere(module) if module else {}
    if not module or not elsewhere:
        return f"# {name}\n\n::: {name}\n"
    here = [each for each in module.__all__ if each not in elsewhere]
    return (
        f"# {name}\n\n::: {name}\n    options:\n      members: {here or 'false'}\n\n## From its modules\n\n"
        + "\n".join(
            f"- [`{name}`]({value.__name__}.md)"
            if isinstance(value, ModuleType)
            else f"- [`{name}`][{_home(value)}.{value.__name__}]"
            for name, value in elsewhere.items()
        )
    )


def nav() -> list[dict[str, Any]]:
    """The entries of the site's navigation: modules at the top, then each package with what is in it."""
    return [*_entries("secagg", [name for name in modules() if not name.startswith(PACKAGES)])] + [
        {package: [*_entries(package, [name for name in modules() if f"{name}.".startswith(f"{package}.")])]}
        for package in PACKAGES
    ]


def _entries(package: str, names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        yield {name.removeprefix(f"{package}."): page_of(name)}


def _elsewhere(module: ModuleType) -> dict[str, Any]:
    """Of the names in a package's `__all__`, those that other modules define."""
    values = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return {name: value for name, value in values.items() if _home(value) not in (None, module.__name__)}


def _home(value: Any) -> str | None:
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return home if home and home.startswith("secagg") and hasattr(value, "__name__") else None


def _fail(name: str) -> None:
    raise ImportError(f"cannot import {name}: the API reference takes the extra `docs`")
