"""Treated against holdout: lift with less noise, a check of the split at any time, and how many are enough."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from allot import DataError, ShapeError
from offline_eval.estimate import Estimate, effective_size, normal_interval, standard_error
from offline_eval.log import Floats, Integers, column, integers

PRIOR_CUSTOMERS = 100.0  # how many customers the expected split is worth in the sample ratio test
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Lift:
    """What treatment changed.

    Args:
        adjusted: the lift with variance reduction; the plain one where there are no covariates.
        plain: difference of the two means.
        variance_removed: share of the plain lift's variance that the covariates explain; may be below 0 in small data.
        treated, holdout: rows.
    """

    adjusted: Estimate
    plain: Estimate
    variance_removed: float
    treated: int
    holdout: int


def lift(
    outcome: Floats, treated: NDArray[np.bool_], before: Floats | None = None, *, cluster: Integers | None = None
) -> Lift:
    """Mean outcome of the treated less that of the holdout, adjusted by regression (Lin 2013; CUPED: Deng et al. 2013).

    Each group's outcome is regressed on covariates from before the start, and both are compared at the mean of all.
    Randomisation makes that right whether or not the regression is; it never widens the interval in large samples.

    Args:
        outcome: (n,) e.g. the reward within 30 days.
        treated: (n,) bool; the others are the holdout. Assigned at random, each customer as a whole.
        before: (n,) or (n, d) covariates known before the start, e.g. the same outcome of the months before; or None.
        cluster: (n,) integers, the customer of each row; None = one row each.

    Raises:
        ShapeError: arrays do not fit together.
        DataError: a group has too few rows for its regression, or a number is not finite.
    """
    y = column("outcome", outcome, len(outcome))
    n = len(y)
    group = np.asarray(treated)
    if group.shape != (n,) or group.dtype != np.bool_:
        raise ShapeError(f"treated must be ({n},) bool, not {group.shape} {group.dtype}.", where="lift")
    codes = (
        None if cluster is None else np.unique(integers("cluster", cluster, n, "Number them."), return_inverse=True)[1]
    )
    constant = np.ones((n, 1))
    plain = _contrast("lift", y, group, constant, codes)
    if before is None:
        return Lift(plain, plain, 0.0, int(group.sum()), int(n - group.sum()))
    x = np.asarray(before, np.float64).reshape(n, -1)
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    adjusted = _contrast("adjusted_lift", y, group, np.column_stack([constant, x]), codes)
    removed = 1 - (adjusted.std_error / plain.std_error) ** 2 if plain.std_error > 0 else 0.0
    return Lift(adjusted, plain, removed, int(group.sum()), int(n - group.sum()))


def _contrast(name: str, y: Floats, group: NDArray[np.bool_], x: Floats, cluster: Integers | None) -> Estimate:
    """Difference of the groups' regressions at the mean of x, whose columns are a constant and centred covariates."""
    n = len(y)
    if not np.isfinite(y).all() or not np.isfinite(x).all():
        raise DataError("an outcome or covariate is not a finite number.", where="lift", remedy="Leave the row out.")
    fitted: list[Floats] = []
    residual = np.zeros(n)
    for rows in (group, ~group):
        if rows.sum() <= x.shape[1]:
            raise DataError(
                f"{int(rows.sum())} rows in a group are too few.", where="lift", remedy="Wait, or use fewer covariates."
            )
        slope = np.linalg.lstsq(x[rows], y[rows], rcond=None)[0]
        fitted.append(x @ slope)
        # The regression's own use of freedom narrows its residuals (HC1).
        freedom = rows.sum() / (rows.sum() - x.shape[1])
        residual[rows] = (y[rows] - fitted[-1][rows]) * np.sqrt(freedom)
    share = group.mean()
    contributions = fitted[0] - fitted[1] + np.where(group, residual / share, -residual / (1 - share))
    value = float((fitted[0] - fitted[1]).mean())
    influence = contributions - value
    std_error = standard_error(influence, cluster)
    low, high = normal_interval(value, std_error, LEVEL)
    weight = np.where(group, 1 / share, 1 / (1 - share))
    return Estimate(
        estimator=name,
        value=value,
        std_error=std_error,
        low=low,
        high=high,
        ess=effective_size(weight, cluster),
        largest_weight=float(weight.max()),
        influence=influence,
        contributions=contributions,
        cluster=cluster,
    )


def sample_ratio(counts: Integers, shares: Floats) -> Floats:
    """Chance values of "the groups are filled as planned" that may be looked at after every arrival.

    The sequential multinomial test (Lindon and Malek 2022): a mixture of splits, Dirichlet around the planned one, bets
    against it.

    Args:
        counts: (looks, groups) customers so far in each group, looks in order; or (groups,) for one look.
        shares: (groups,) planned shares, above 0, summing to 1.

    Returns:
        (looks,) falling values; below .01, say, at any look, the assignment or its logging is broken. The chance that a
        right split ever gets below x is at most x.

    Raises:
        ShapeError: shapes disagree, counts fall, or shares are not a split.
    """
    from scipy.special import gammaln

    seen = np.atleast_2d(np.asarray(counts))
    plan = np.asarray(shares, np.float64)
    if seen.dtype.kind not in "iu" or seen.shape[1:] != plan.shape or (np.diff(seen, axis=0) < 0).any():
        raise ShapeError("counts must be (looks, groups) integers that never fall.", where="counts")
    if not ((plan > 0).all() and abs(plan.sum() - 1) < 1e-9) or seen.min() < 0:
        raise ShapeError("shares must be above 0 and sum to 1.", where="shares")
    prior = PRIOR_CUSTOMERS * plan
    stake = (
        gammaln(prior.sum())
        - gammaln(prior.sum() + seen.sum(axis=1))
        + (gammaln(prior + seen) - gammaln(prior) - seen * np.log(plan)).sum(axis=1)
    )
    return np.asarray(np.minimum.accumulate(np.exp(-np.maximum(stake, 0.0))), np.float64)


def detectable(
    treated: float, holdout: float, sd: float, *, explained: float = 0.0, level: float = LEVEL, power: float = 0.8
) -> float:
    """The smallest lift that an experiment of this size finds with chance `power`, in the unit of the outcome.

    Args:
        treated, holdout: customers in each group.
        sd: standard deviation of the outcome; for a success rate p, sqrt(p (1 - p)).
        explained: share of the variance that covariates from before the start explain (R squared).
        level: of the two-sided interval that must leave out 0.
        power: the chance.

    Raises:
        ShapeError: a size, spread or chance is out of its range.
    """
    in_range = treated > 0 and holdout > 0 and sd >= 0 and 0 <= explained < 1 and 0 < level < 1 and 0 < power < 1
    if not in_range:
        raise ShapeError("sizes must be above 0 and shares between 0 and 1.", where="detectable")
    normal = NormalDist()
    reach = normal.inv_cdf(0.5 + level / 2) + normal.inv_cdf(power)
    return float(reach * sd * np.sqrt((1 - explained) * (1 / treated + 1 / holdout)))


def customers_needed(
    effect: float,
    sd: float,
    *,
    share_treated: float = 0.5,
    explained: float = 0.0,
    level: float = LEVEL,
    power: float = 0.8,
) -> int:
    """How many customers, both groups together, find a lift of `effect` with chance `power`; see `detectable`.

    Raises:
        ShapeError: no effect, or a share, spread or chance is out of its range.
    """
    if effect == 0 or not 0 < share_treated < 1:
        raise ShapeError("the effect must not be 0 and both groups need customers.", where="customers_needed")
    of_one = detectable(share_treated, 1 - share_treated, sd, explained=explained, level=level, power=power)
    return int(np.ceil((of_one / effect) ** 2))
