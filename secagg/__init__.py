"""Secure aggregation: a server learns the sum of many clients' private vectors and nothing else.

It implements the protocol of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning"
(CCS 2017): `Params`, `Client` and `Server` run it, and `masking`, `shamir` and `vector` are its fast kernels for other
uses. Prio3 is in `secagg.vdaf`, differential privacy in `secagg.dp`, a round with noise in `secagg.noisy`.

Names are imported when they are first used (PEP 562), so that `import secagg.masking` loads the kernels, but not the
protocol and not OpenSSL.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .lazy import lazy_names

if TYPE_CHECKING:
    from . import masking, primitives, shamir, vector
    from .errors import Abort, ArgumentTypeError, LocalProtocolError, RemoteProtocolError, ReportRejected, SecAggError
    from .protocol.client import Client
    from .protocol.deliveries import Stray
    from .protocol.graph import Sparse
    from .protocol.identity import Identity, Roster
    from .protocol.messages import Round, rounds_of
    from .protocol.params import Model, Params
    from .protocol.quantize import Aggregate, Quantizer
    from .protocol.server import Fault, Server
    from .protocol.simulate import Simulation, simulate
    from .protocol.thresholds import Threat

__all__ = [
    "Abort",
    "Aggregate",
    "ArgumentTypeError",
    "Client",
    "Fault",
    "Identity",
    "LocalProtocolError",
    "Model",
    "Params",
    "Quantizer",
    "RemoteProtocolError",
    "ReportRejected",
    "Roster",
    "Round",
    "SecAggError",
    "Server",
    "Simulation",
    "Sparse",
    "Stray",
    "Threat",
    "get_include",
    "get_library",
    "masking",
    "primitives",
    "rounds_of",
    "shamir",
    "simulate",
    "vector",
]
__version__ = "0.1.0"

_HOMES = {
    "errors": (
        "Abort",
        "ArgumentTypeError",
        "LocalProtocolError",
        "RemoteProtocolError",
        "ReportRejected",
        "SecAggError",
    ),
    "protocol.client": ("Client",),
    "protocol.deliveries": ("Stray",),
    "protocol.graph": ("Sparse",),
    "protocol.identity": ("Identity", "Roster"),
    "protocol.messages": ("Round", "rounds_of"),
    "protocol.params": ("Model", "Params"),
    "protocol.quantize": ("Aggregate", "Quantizer"),
    "protocol.server": ("Fault", "Server"),
    "protocol.simulate": ("Simulation", "simulate"),
    "protocol.thresholds": ("Threat",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("masking", "primitives", "shamir", "vector")
_named, __dir__ = lazy_names(__name__, _HOME_OF)


def __getattr__(name: str) -> Any:
    return import_module(f".{name}", __name__) if name in _MODULES else _named(name)


def get_include() -> str:
    """The folder of `secagg.h`, for C code that calls the kernels."""
    return str(Path(__file__).parent / "include")


def get_library() -> str:
    """The folder of `libsecagg.a` and of `secagg.pc`, which tells `pkg-config` how to compile and link with it."""
    return str(Path(__file__).parent / "lib")
