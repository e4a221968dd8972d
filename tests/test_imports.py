"""Imports run one way. Each case imports a package in a fresh interpreter and looks at what that has loaded."""

import json
import pkgutil
import sys

import pytest

import secagg

from .support.processes import ran

GROUND = {"errors", "arguments", "codec", "durable", "text", "settings"}
KERNELS = {"_kernels", "masking", "shamir", "vector"}
AGREEMENT = {"live_keys", "primitives"}

# Which top-level parts of secagg each part may load, itself included.
MAY_LOAD = {
    "errors": {"errors"},
    "extras": {"extras"},
    "lazy": {"lazy"},
    "arguments": {"arguments", "errors"},
    "codec": {"codec", "arguments", "errors"},
    "text": {"text", "errors"},
    "settings": {"settings", "text", "errors"},
    "durable": {"durable", "arguments", "errors"},
    "vector": {"_kernels", "vector", "arguments", "errors"},
    "masking": {"_kernels", "masking", "vector", "arguments", "errors"},
    "shamir": {"_kernels", "shamir", "arguments", "errors"},
    "rounding": {"_kernels", "rounding", "shamir", "arguments", "errors"},
    "reed_solomon": {"_kernels", "reed_solomon", "shamir", "arguments", "errors"},
    "selftest": {"_kernels", "_vdaf", "selftest"},
    "live_keys": {"_kernels", "live_keys"},
    "primitives": {*KERNELS, *GROUND, *AGREEMENT},
    "signatures": {"_kernels", "signatures", "codec", "arguments", "errors"},
    "x25519": {"_kernels", "live_keys", "x25519", "codec", "arguments", "errors"},
    "protocol": {*KERNELS, *GROUND, *AGREEMENT, "signatures", "reed_solomon", "rounding", "protocol"},
    "dp": {*KERNELS, *GROUND, "rounding", "dp"},
    "vdaf": {*KERNELS, *GROUND, "_vdaf", "vdaf"},
    "noisy": {*KERNELS, *GROUND, *AGREEMENT, "signatures", "reed_solomon", "rounding", "protocol", "dp", "noisy"},
    "http": {*GROUND, "http"},
    "service": {
        *KERNELS,
        *GROUND,
        *AGREEMENT,
        "signatures",
        "reed_solomon",
        "rounding",
        "protocol",
        "dp",
        "noisy",
        "http",
        "service",
    },
    # Whatever it loads of the service is what a site accepts (secagg.service.policy); see WITHOUT.
    "integrations": {
        *KERNELS,
        *GROUND,
        *AGREEMENT,
        "signatures",
        "reed_solomon",
        "rounding",
        "protocol",
        "dp",
        "noisy",
        "service",
        "extras",
        "integrations",
    },
    "dap": {*KERNELS, *GROUND, "_vdaf", "live_keys", "x25519", "vdaf", "rounding", "dp", "http", "dap"},
}

# Help is there before any work is.
COMMANDS_WITHOUT = [
    "secagg._kernels",
    "secagg.dap",
    "secagg.dp",
    "secagg.service",
    "secagg.protocol",
    "secagg.cli.console",
    "numpy",
    "rich",
]

# What must not be loaded with a module: other modules and packages, by the start of their names.
WITHOUT = {
    "secagg": ["secagg._kernels", "secagg.protocol", "numpy", "cryptography", "typer"],
    "secagg.masking": ["secagg.protocol", "cryptography", "cffi", "typer", "rich"],
    "secagg.selftest": ["cryptography", "typer", "rich", "cffi"],
    "secagg.dp": ["secagg.primitives", "secagg.protocol"],
    "secagg.dap.problems": ["secagg.vdaf", "secagg.dp", "secagg.http.steps", "httpx"],
    "secagg.dap.store.journal": ["secagg.vdaf", "secagg.dp", "sqlalchemy"],
    "secagg.dap.task_file": ["sqlalchemy", "starlette", "httpx"],
    "secagg.dap.client.upload": ["sqlalchemy", "starlette", "uvicorn"],
    "secagg.dap.client.collector": ["sqlalchemy", "starlette", "uvicorn"],
    "secagg.dap.server.config": ["starlette", "uvicorn", "httpx"],
    "secagg.dap.server.helper": ["secagg.dap.aggregator.leader", "secagg.dap.server.leader", "httpx", "uvicorn"],
    "secagg.service": ["secagg.protocol", "secagg.http", "starlette", "uvicorn", "httpx"],
    "secagg.service.authentication": ["starlette", "uvicorn", "httpx"],
    "secagg.service.resources": ["starlette", "uvicorn", "httpx"],
    "secagg.service.problems": ["starlette", "uvicorn", "httpx"],
    "secagg.service.coordinator.config": ["httpx", "sqlalchemy", "secagg.dp", "secagg.noisy"],
    "secagg.service.participant": ["secagg.service.coordinator", "secagg.service.journal", "starlette", "uvicorn"],
    "secagg.integrations": ["secagg.protocol", "secagg.noisy", "secagg.service", "numpy"],
    "secagg.integrations.site": ["secagg.http", "secagg.service.coordinator", "secagg.service.participant", "httpx"],
    "secagg.cli": COMMANDS_WITHOUT,
    "secagg.cli.dap": COMMANDS_WITHOUT,
    "secagg.cli.service": COMMANDS_WITHOUT,
}

_LOADED = """
import importlib, json, pkgutil, sys
module = importlib.import_module(sys.argv[1])
if sys.argv[2] == "all":
    for part in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
        if not part.name.startswith(("secagg.integrations.flower.", "secagg.integrations.nvflare.")):  # need these
            importlib.import_module(part.name)
print(json.dumps(sorted(sys.modules)))
"""


def loaded(module: str, *, everything_in_it: bool = False) -> list[str]:
    done = ran(sys.executable, "-c", _LOADED, module, "all" if everything_in_it else "only")
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return names


@pytest.mark.parametrize("part", MAY_LOAD)
def test_a_part_loads_only_what_lies_below_it(part: str) -> None:
    names = loaded(f"secagg.{part}", everything_in_it=True)
    parts = {name.split(".")[1] for name in names if name.startswith("secagg.")}
    assert parts <= {"lazy", *MAY_LOAD[part]}  # the package itself loads `lazy`


@pytest.mark.parametrize("module", WITHOUT)
def test_a_module_is_loaded_without(module: str) -> None:
    unwanted = tuple(WITHOUT[module])
    assert [name for name in loaded(module) if f"{name}.".startswith(tuple(f"{start}." for start in unwanted))] == []


@pytest.mark.parametrize("arguments", [["--help"], ["dap", "--help"], ["session", "--help"]])
def test_help_loads_no_pydantic(arguments: list[str]) -> None:
    """typer has it for values of options, and help has none; to load it takes longer than all of typer."""
    script = f"""
import sys
from secagg.cli import main
sys.argv = ["secagg", *{arguments}]
try:
    main()
finally:
    assert "typer" in sys.modules
    assert "pydantic" not in sys.modules
"""
    done = ran(sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr


def test_every_part_stands_in_the_table() -> None:
    parts = {part.name for part in pkgutil.iter_modules(secagg.__path__)}
    assert parts - set(MAY_LOAD) == {"_kernels", "_vdaf", "capi", "cli", "__main__"} & parts
