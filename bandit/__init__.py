"""What is this offer worth to this customer, and how sure are we?"""

from bandit.basis import Basis, fit_basis
from bandit.choice import choice_probabilities, mean_success
from bandit.consumption import (
    Consumption,
    PricedPolicy,
    Use,
    expected_consumption,
    priced_probabilities,
    settled,
    tallied,
)
from bandit.folds import holdout, time_folds
from bandit.grid import Grid, compile_grid
from bandit.posterior import Beliefs, Posterior, Rows
from bandit.posterior_start import ArrivalShare, arrival_share, start
from bandit.prior import WARM_ROWS, Columns, Log, Prior
from bandit.prior_fit import FittedPrior, PriorReport, fit_prior
from bandit.reward_model import cross_fitted_rewards
from bandit.scores import Outside, Scores
from bandit.tally import Extent, Tally, extent_of

__all__ = [
    "WARM_ROWS",
    "ArrivalShare",
    "Basis",
    "Beliefs",
    "Columns",
    "Consumption",
    "Extent",
    "FittedPrior",
    "Grid",
    "Log",
    "Outside",
    "Posterior",
    "PricedPolicy",
    "Prior",
    "PriorReport",
    "Rows",
    "Scores",
    "Tally",
    "Use",
    "arrival_share",
    "choice_probabilities",
    "compile_grid",
    "cross_fitted_rewards",
    "expected_consumption",
    "extent_of",
    "fit_basis",
    "fit_prior",
    "holdout",
    "mean_success",
    "priced_probabilities",
    "settled",
    "start",
    "tallied",
    "time_folds",
]
