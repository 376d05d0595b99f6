"""Where the posterior begins: the hierarchy and the arms' evidence from the log, and how late outcomes arrive."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.hierarchy import Group, fit_group, initial, site
from bandit.laplace import Batch
from bandit.posterior import Posterior, Rows, batches
from bandit.prior import WARM_ROWS

Floats: TypeAlias = NDArray[np.float64]

_FEWEST_WARM_OFFERS = 3  # below this, the log cannot say how a new offer differs from the known ones


def start(
    log_rows: Rows,
    as_cold: NDArray[Any],
    arms: int,
    *,
    centre: float,
    block: NDArray[Any] | tuple[int, ...],
    discount: float = 0.95,
    window: int | None = None,
) -> Posterior:
    """The posterior that the log alone gives.

    The warm group is learnt from the warm arms, each of which starts from its own evidence. The cold group is learnt
    from the warm offers as if each in turn were new: their prior logit is then the mean of the others'. With fewer
    than three warm offers it keeps the initial scales. Cold arms with a few rows start from those.

    Args:
        log_rows: the log; `logit` is cross-fitted (`FittedPrior.shown`), or the slope would trust the prior too much.
        as_cold: (r,) the logit that each row's arm would have had as a cold one (`FittedPrior.as_cold`).
        arms: K = k + 1; the last arm is no offer, which never counts as an offer.
        centre: mean logit over the log's rows (`Prior.mean_logit`).
        block: (d,) block of each column of ψ (`Basis.blocks`).
        discount: γ, what a day leaves of the evidence.
        window: day number of the log's end, from which the first window's discount counts; None: none is taken.

    Raises:
        ShapeError: the arrays do not fit together.
    """
    blocks = np.asarray(block, np.int64)
    if as_cold.shape != log_rows.logit.shape or log_rows.basis.shape[1] != len(blocks) - 1:
        raise ShapeError(f"Logits {as_cold.shape} or {len(blocks)} blocks do not fit a basis {log_rows.basis.shape}.")
    if len(log_rows.arm) and not 0 <= log_rows.arm.min() <= log_rows.arm.max() < arms:
        raise ShapeError(f"An arm is not in 0..{arms - 1}.", where="arm")
    support = np.bincount(log_rows.arm, minlength=arms)
    cold = support < WARM_ROWS
    known = dict(batches(log_rows, centre))
    warm = [arm for arm in known if not cold[arm]]
    warm_group, sites = fit_group([known[arm] for arm in warm], blocks, initial(blocks, cold=False))
    cold_group = _cold_group(log_rows, as_cold, [arm for arm in warm if arm < arms - 1], centre, blocks)
    precision, shift = np.zeros((arms, len(blocks), len(blocks))), np.zeros((arms, len(blocks)))
    precision[warm], shift[warm] = sites.precision, sites.shift
    for arm, batch in known.items():
        if cold[arm]:
            precision[arm], shift[arm], _ = site(batch, cold_group)
    mean, variance = (np.stack(pair) for pair in zip(_pair(warm_group), _pair(cold_group), strict=True))
    return Posterior(
        precision=precision,
        shift=shift,
        cold=cold,
        mean=mean,
        variance=variance,
        anchor_mean=mean,
        anchor_variance=variance,
        block=blocks,
        centre=float(centre),
        count=support.astype(np.float64),
        discount=float(discount),
        window=window,
    )


def _pair(group: Group) -> tuple[Floats, Floats]:
    return group.mean, group.variance


def _cold_group(rows: Rows, as_cold: NDArray[Any], offers: list[int], centre: float, block: NDArray[np.int64]) -> Group:
    """How a new offer differs from the mean of the known ones, from each known offer in turn."""
    begin = initial(block, cold=True)
    if len(offers) < _FEWEST_WARM_OFFERS:
        return begin
    chosen = np.isin(rows.arm, offers)
    weight = None if rows.weight is None else rows.weight[chosen]
    pretended = Rows(rows.basis[chosen], as_cold[chosen], rows.arm[chosen], rows.outcome[chosen], weight)
    as_new: list[Batch] = [batch for _, batch in batches(pretended, centre)]
    return fit_group(as_new, block, begin)[0]


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalShare:
    """F: the share of outcomes that have arrived by an age.

    `delay_days` (s,) ascending, of known successes; `horizon_days` the age from which every outcome has arrived.
    """

    delay_days: Floats
    horizon_days: float

    def __call__(self, age_days: NDArray[Any]) -> Floats:
        """F of some ages (r,) in days: 0 before the decision, 1 from the horizon on."""
        age = np.asarray(age_days, np.float64)
        arrived = np.searchsorted(self.delay_days, age, side="right")
        share = (arrived + age / self.horizon_days) / (len(self.delay_days) + 1.0)
        return np.where(age < 0, 0.0, np.where(age >= self.horizon_days, 1.0, share))


def arrival_share(delay_days: NDArray[Any], horizon_days: float) -> ArrivalShare:
    """Learn F from the delays of matured successes.

    One success spread evenly over the horizon is added, so that a short log promises nothing too firmly.

    Args:
        delay_days: (s,) days from the decision to its outcome; those beyond the horizon are left out.
        horizon_days: age at which a decision is mature.

    Raises:
        ShapeError: a delay is negative or not a number, or the horizon is not positive.
    """
    delay = np.asarray(delay_days, np.float64)
    if not horizon_days > 0:
        raise ShapeError(f"A horizon of {horizon_days} days leaves no time for outcomes.", where="horizon_days")
    if not (delay >= 0).all():
        raise ShapeError("A delay is negative or not a number.", where="delay_days")
    return ArrivalShare(np.sort(delay[delay <= horizon_days]), float(horizon_days))
