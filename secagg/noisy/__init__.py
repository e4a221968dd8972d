"""A round of secure aggregation under noise that the clients add together: above both `protocol` and `dp`."""

from .client import NoisyClient
from .rotation import Rotation
from .sum import NoisySum, Release

__all__ = ["NoisyClient", "NoisySum", "Release", "Rotation"]
