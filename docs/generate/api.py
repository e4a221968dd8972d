"""The API reference: a page for each public module, from its docstrings."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import secagg

WITHOUT = ("secagg.cli",)  # its commands have a reference of their own
PACKAGES = (
    "secagg.protocol",
    "secagg.vdaf",
    "secagg.dp",
    "secagg.noisy",
    "secagg.http",
    "secagg.dap",
    "secagg.integrations",
)


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
        + "\n".join(f"- [`{name}`]{target}" for name, target in elsewhere.items())
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


def _elsewhere(module: ModuleType) -> dict[str, str]:
    """Of the names in a package's `__all__`, those that other modules define, and where a link to each leads."""
    targets = {name: _target(module, name) for name in getattr(module, "__all__", ())}
    return {name: target for name, target in targets.items() if target}


def _target(module: ModuleType, name: str) -> str | None:
    """Of a link to what another module defines; None for what this one does."""
    try:
        value = getattr(module, name)
    except ImportError:  # of a framework that is not here; the package says by itself where its names are
        return f"[{module.__name__}.{module._HOME_OF[name]}.{name}]"
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    if not home or not home.startswith("secagg") or home == module.__name__ or not hasattr(value, "__name__"):
        return None
    return f"({home}.md)" if isinstance(value, ModuleType) else f"[{home}.{value.__name__}]"


def _fail(name: str) -> None:
    raise ImportError(f"cannot import {name}: the API reference takes the extra `docs`")
