"""Names of a package that are imported when they are first used (PEP 562).

__getattr__, __dir__ = lazy_names(__name__, {"Client": "client", "Server": "server"})
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, home_of: Mapping[str, str], *, framework: str | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

    Args:
        package: its name.
        home_of: by name, the module below the package that defines it.
        framework: the module without which none of them can be imported, if there is one. The package's last name is
            the extra that installs it.
    """

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(f".{home_of[name]}", package), name)
        except ModuleNotFoundError as error:
            if framework is None or error.name != framework:
                raise
            raise ImportError(_missing(package, framework)) from None
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        have = vars(sys.modules[package])
        return sorted({*have, *have["__all__"]})

    return get, names


def _missing(package: str, framework: str) -> str:
    from .extras import install_command  # of no use before something is missing

    return f"{package} needs {framework}: {install_command(package.rpartition('.')[2])}"
