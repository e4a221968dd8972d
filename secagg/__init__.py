"""Secure aggregation: a server learns the sum of many clients' private vectors and nothing else.

The protocol of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS 2017):
`Params`, `Client` and `Server` run it; `masking`, `shamir` and `vector` are its fast kernels for other uses.
Prio3 is in `secagg.vdaf`, differential privacy in `secagg.dp`, a round with noise in `secagg.noisy`.
"""

from pathlib import Path

from .errors import Abort, ArgumentTypeError, LocalProtocolError, RemoteProtocolError, ReportRejected, SecAggError
from .protocol.client import Client
from .protocol.deliveries import Stray
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
    "Stray",
    "Threat",
    "get_include",
    "rounds_of",
    "simulate",
]
__version__ = "0.1.0"


def get_include() -> str:
    """The folder of `secagg.h`, for C code that calls the kernels."""
    return str(Path(__file__).parent / "include")
