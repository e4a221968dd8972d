"""A round of secure aggregation with noise that the clients add together; it stands above `protocol` and `dp`."""

from .bound import Ball, Counts, InputBound
from .client import NoisyClient
from .rotation import Rotation
from .sum import NoisySum, PaddingWarning, Release

__all__ = ["Ball", "Counts", "InputBound", "NoisyClient", "NoisySum", "PaddingWarning", "Release", "Rotation"]
