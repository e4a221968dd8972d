"""Differential privacy: budgets, exact discrete noise, and the accuracy of each choice."""

from .accuracy import Error, posterior
from .audit import Audit, audit
from .budget import ApproxDp, Budget, Guarantee, PureDp, RenyiDp, ZCdp
from .calibrate import calibrate, classic_gaussian, discrete_gaussian, discrete_laplace
from .composition import Spent, keeps_budget, least_epsilon, releases_allowed
from .conversion import zcdp_delta, zcdp_epsilon
from .distributed import Skellam
from .known_noise import DiscreteGaussianDp, GaussianDp, LaplaceDp, SkellamDp, loss_of
from .ledger import BudgetExceeded, Ledger
from .mechanisms import DiscreteGaussian, DiscreteLaplace, Law
from .noise import Noise
from .plan import REPORT, Party, Place, Plan, Unit
from .polya import Polya
from .privacy_loss import PrivacyLoss
from .rounding import Rounding, round_vector, rounded_norm_squared
from .rounds import laws_of_run
from .sampling import Invited, Views, views
from .sensitivity import Neighbours, Sensitivity
from .tradeoff import Row, epsilon_for, plan_at, plot, tradeoff, write_csv

__all__ = [
    "REPORT",
    "ApproxDp",
    "Audit",
    "Budget",
    "BudgetExceeded",
    "DiscreteGaussian",
    "DiscreteGaussianDp",
    "DiscreteLaplace",
    "Error",
    "GaussianDp",
    "Guarantee",
    "Invited",
    "LaplaceDp",
    "Law",
    "Ledger",
    "Neighbours",
    "Noise",
    "Party",
    "Place",
    "Plan",
    "Polya",
    "PrivacyLoss",
    "PureDp",
    "RenyiDp",
    "Rounding",
    "Row",
    "Sensitivity",
    "Skellam",
    "SkellamDp",
    "Spent",
    "Unit",
    "Views",
    "ZCdp",
    "audit",
    "calibrate",
    "classic_gaussian",
    "discrete_gaussian",
    "discrete_laplace",
    "epsilon_for",
    "keeps_budget",
    "laws_of_run",
    "least_epsilon",
    "loss_of",
    "plan_at",
    "plot",
    "posterior",
    "releases_allowed",
    "round_vector",
    "rounded_norm_squared",
    "tradeoff",
    "views",
    "write_csv",
    "zcdp_delta",
    "zcdp_epsilon",
]
