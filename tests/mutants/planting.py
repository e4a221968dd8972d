"""Plants a mutant while its module is imported, in a process and in all Python processes that it starts.

`environment` names the mutant and puts `site` on the path, whose `sitecustomize` calls `install` before anything else
is imported.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from ..support.folders import ROOT
from .mutant import Mutant, StaleEdit, edited

VARIABLE = "SECAGG_MUTANT"
_SITE = Path(__file__).parent / "site"


def environment(mutant: Mutant | None, path: Path = ROOT) -> dict[str, str]:
    """The environment of a process in which a mutant is planted, or none.

    Args:
        mutant: as in the table.
        path: from where modules are imported.
    """
    kept: Mapping[str, str] = {name: value for name, value in os.environ.items() if name != VARIABLE}
    folders = [str(_SITE), str(path), str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(folders),
        **({VARIABLE: mutant.dumped()} if mutant is not None else {}),
    }


def install() -> None:
    """Plant the mutant that the environment names."""
    sys.meta_path.insert(0, _Finder(Mutant.loaded(os.environ[VARIABLE])))


def planted(mutant: Mutant, path: Sequence[str] | None = None) -> CodeType:
    """The compiled module with the mutant in it.

    Args:
        mutant: as in the table.
        path: where to look for the module; None for sys.path.

    Raises:
        StaleEdit: there is no such module, or the edit does not apply to it.
    """
    spec: ModuleSpec | None = None
    parts = mutant.module.split(".")
    for depth in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: depth + 1]), path)
        if spec is None:
            raise StaleEdit(f"{mutant.name}: there is no module {mutant.module}")
        path = spec.submodule_search_locations
    assert spec is not None
    assert spec.origin is not None
    return _Loader(mutant, spec.origin).get_code(mutant.module)


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The mutant's module with a loader that edits it; no other module."""
        if fullname != self._mutant.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(self._mutant, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Compiles the edited syntax tree; the cache of compiled files is neither read nor written."""

    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        """The module's code."""
        return compile(edited(self.get_data(self.path).decode(), self._mutant), self.path, "exec", dont_inherit=True)
