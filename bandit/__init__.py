"""What is this offer worth to this customer, and how sure are we?"""

from typing import TYPE_CHECKING

from allot.exports import lazily

if TYPE_CHECKING:
    from bandit.amounts import amount_scores
    from bandit.basis import Basis, fit_basis
    from bandit.beliefs import Beliefs
    from bandit.choice import choice_probabilities, mean_success
    from bandit.columns import Columns, Cross
    from bandit.comparison import Comparison, compare
    from bandit.consumption import (
        Consumption,
        PricedPolicy,
        Use,
        expected_consumption,
        priced_probabilities,
        settled,
        tallied,
    )
    from bandit.experts import Experts, start_experts
    from bandit.folds import holdout, time_folds
    from bandit.grid import Grid, compile_grid
    from bandit.kinds import AMOUNTS, SUCCESSES, Kind, kind_named
    from bandit.learnt import Learnt, learnt_from_arrays
    from bandit.margin import Margins, fit_margins
    from bandit.posterior import Posterior, Rows
    from bandit.posterior_start import ArrivalShare, arrival_share, start, start_amounts
    from bandit.prior import WARM_ROWS, Log, Prior
    from bandit.prior_fit import FittedPrior, fit_prior
    from bandit.propensity import effective, propensity_weights
    from bandit.reward_model import cross_fitted_rewards
    from bandit.score_parts import Contributions, contributions
    from bandit.scores import Outside, Scores
    from bandit.tally import Extent, Tally, extent_of
    from bandit.training_report import PriorReport
else:
    __getattr__ = lazily(
        __name__,
        {
            "amounts": "amount_scores",
            "basis": "Basis fit_basis",
            "beliefs": "Beliefs",
            "choice": "choice_probabilities mean_success",
            "columns": "Columns Cross",
            "comparison": "Comparison compare",
            "consumption": "Consumption PricedPolicy Use expected_consumption priced_probabilities settled tallied",
            "experts": "Experts start_experts",
            "folds": "holdout time_folds",
            "grid": "Grid compile_grid",
            "kinds": "AMOUNTS SUCCESSES Kind kind_named",
            "learnt": "Learnt learnt_from_arrays",
            "margin": "Margins fit_margins",
            "posterior": "Posterior Rows",
            "posterior_start": "ArrivalShare arrival_share start start_amounts",
            "prior": "Log Prior WARM_ROWS",
            "prior_fit": "FittedPrior fit_prior",
            "propensity": "effective propensity_weights",
            "reward_model": "cross_fitted_rewards",
            "score_parts": "Contributions contributions",
            "scores": "Outside Scores",
            "tally": "Extent Tally extent_of",
            "training_report": "PriorReport",
        },
    )

__all__ = [
    "AMOUNTS",
    "SUCCESSES",
    "WARM_ROWS",
    "ArrivalShare",
    "Basis",
    "Beliefs",
    "Columns",
    "Comparison",
    "Consumption",
    "Contributions",
    "Cross",
    "Experts",
    "Extent",
    "FittedPrior",
    "Grid",
    "Kind",
    "Learnt",
    "Log",
    "Margins",
    "Outside",
    "Posterior",
    "PricedPolicy",
    "Prior",
    "PriorReport",
    "Rows",
    "Scores",
    "Tally",
    "Use",
    "amount_scores",
    "arrival_share",
    "choice_probabilities",
    "compare",
    "compile_grid",
    "contributions",
    "cross_fitted_rewards",
    "effective",
    "expected_consumption",
    "extent_of",
    "fit_basis",
    "fit_margins",
    "fit_prior",
    "holdout",
    "kind_named",
    "learnt_from_arrays",
    "mean_success",
    "priced_probabilities",
    "propensity_weights",
    "settled",
    "start",
    "start_amounts",
    "start_experts",
    "tallied",
    "time_folds",
]
