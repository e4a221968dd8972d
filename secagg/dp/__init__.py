"""Differential privacy: budgets, exact discrete noise, and the accuracy that each choice buys."""

from .budget import ApproxDp, Budget, PureDp, ZCdp
from .calibrate import calibrate, classic_gaussian, discrete_gaussian, discrete_laplace
from .conversion import zcdp_delta, zcdp_epsilon
from .mechanisms import DiscreteGaussian, DiscreteLaplace, Law
from .rounding import Rounding, round_vector, rounded_norm_squared
from .sensitivity import Neighbours, Sensitivity

__all__ = [
    "ApproxDp",
    "Budget",
    "DiscreteGaussian",
    "DiscreteLaplace",
    "Law",
    "Neighbours",
    "PureDp",
    "Rounding",
    "Sensitivity",
    "ZCdp",
    "calibrate",
    "classic_gaussian",
    "discrete_gaussian",
    "discrete_laplace",
    "round_vector",
    "rounded_norm_squared",
    "zcdp_delta",
    "zcdp_epsilon",
]
