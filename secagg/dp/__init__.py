"""Differential privacy: budgets, exact discrete noise, and the accuracy of each choice."""

from .accuracy import Error, posterior
from .audit import Audit, audit
from .budget import ApproxDp, Budget, Guarantee, PureDp, RenyiDp, ZCdp
from .calibrate import calibrate, classic_gaussian, discrete_gaussian, discrete_laplace
from .conversion import zcdp_delta, zcdp_epsilon
from .distributed import Skellam
from .ledger import BudgetExceeded, Ledger
from .mechanisms import DiscreteGaussian, DiscreteLaplace, Law
from .noise import Noise
from .plan import REPORT, Party, Place, Plan, Unit
from .polya import Polya
from .rounding import Rounding, round_vector, rounded_norm_squared
from .sensitivity import Neighbours, Sensitivity
from .tradeoff import Row, epsilon_for, plan_at, plot, tradeoff, write_csv

__all__ = [
    "REPORT",
    "ApproxDp",
    "Audit",
    "Budget",
    "BudgetExceeded",
    "DiscreteGaussian",
    "DiscreteLaplace",
    "Error",
    "Guarantee",
    "Law",
    "Ledger",
    "Neighbours",
    "Noise",
    "Party",
    "Place",
    "Plan",
    "Polya",
    "PureDp",
    "RenyiDp",
    "Rounding",
    "Row",
    "Sensitivity",
    "Skellam",
    "Unit",
    "ZCdp",
    "audit",
    "calibrate",
    "classic_gaussian",
    "discrete_gaussian",
    "discrete_laplace",
    "epsilon_for",
    "plan_at",
    "plot",
    "posterior",
    "round_vector",
    "rounded_norm_squared",
    "tradeoff",
    "write_csv",
    "zcdp_delta",
    "zcdp_epsilon",
]
