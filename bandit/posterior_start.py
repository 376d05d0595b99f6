"""Where the posterior begins: the hierarchy and the arms' evidence from the log, and how late outcomes arrive."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.gaussian import first_noise, noise_step, unit_of, with_noise
from bandit.hierarchy import Group, fit_group, initial, site
from bandit.laplace import Batch, Likelihood, mode
from bandit.posterior import Posterior, Rows, batches, check_rows
from bandit.prior import WARM_ROWS
from bandit.relatives import Relatives, learn_relatives, no_relatives

Floats: TypeAlias = NDArray[np.float64]

_NOISE_ROUNDS = 4  # the noise is known from thousands of rows, and settles in two
_FEWEST_WARM_OFFERS = 3  # below this, the log cannot say how a new offer differs from the known ones


def start(
    log_rows: Rows,
    as_cold: NDArray[Any],
    arms: int,
    *,
    centre: float,
    block: NDArray[Any] | tuple[int, ...],
    kin: NDArray[np.uint64] | None = None,
    discount: float = 0.95,
    window: int | None = None,
) -> Posterior:
    """The posterior that the log alone gives, where outcomes are 0 or 1.

    The warm group is learnt from the warm arms, each of which starts from its own evidence. The cold group is learnt
    from the warm offers as if each in turn were new: their prior logit is then the mean of the others'. With fewer
    than three warm offers it keeps the initial scales. Cold arms with a few rows start from those. What the warm
    offers so taken have in common with a cold one's relatives moves its start, as far as attributes have proved to
    tell (`bandit.relatives`).

    Args:
        log_rows: the log; `logit` is cross-fitted (`FittedPrior.shown`), or the slope would trust the prior too much.
        as_cold: (r,) the logit that each row's arm would have had as a cold one (`FittedPrior.as_cold`).
        arms: K = k + 1; the last arm is no offer, which never counts as an offer.
        centre: mean logit over the log's rows (`Prior.mean_logit`).
        block: (d,) block of each column of ψ (`Basis.blocks`).
        kin: (K, q) keys of each arm's level of each of q attributes; two arms are relatives where a key is the same, 0
            is nobody's relative, and no two attributes share a key. None: arms have no attributes.
        discount: γ, what a day leaves of the evidence.
        window: day number of the log's end, from which the first window's discount counts; None: none is taken.

    Raises:
        ShapeError: the arrays do not fit together.
    """
    log = _Log(log_rows, as_cold, arms, float(centre), np.asarray(block, np.int64), _known(kin, arms))
    return replace(_begun(log, None), discount=float(discount), window=window)


def start_amounts(
    log_rows: Rows,
    as_cold: NDArray[Any],
    arms: int,
    *,
    centre: float,
    block: NDArray[Any] | tuple[int, ...],
    kin: NDArray[np.uint64] | None = None,
    noise_variance: float | None = None,
    discount: float = 0.95,
    window: int | None = None,
) -> Posterior:
    """The posterior that the log alone gives, where outcomes are amounts.

    As `start`, with amounts in place of logits everywhere: `log_rows.logit`, `as_cold` and `centre` are in the unit of
    the outcomes, and so are beliefs. In another unit, everything comes out the same in that unit.

    Args:
        log_rows: the log; `logit` is the cross-fitted amount that the prior expected.
        as_cold: (r,) the amount that it would have expected of each row's arm as a cold one.
        arms: K = k + 1; the last arm is no offer.
        centre: mean expected amount over the log's rows.
        block: (d,) block of each column of ψ.
        kin: as for `start`.
        noise_variance: of an outcome around its mean; None: learnt from the warm arms by expectation–maximisation,
            and from then on known. It is the same for every arm and customer.
        discount: γ, what a day leaves of the evidence.
        window: day number of the log's end; None: the first window is not discounted.

    Raises:
        ShapeError: the arrays do not fit together, or the variance is not positive.
    """
    log = _Log(log_rows, as_cold, arms, float(centre), np.asarray(block, np.int64), _known(kin, arms), amounts=True)
    noise = _learnt_noise(log) if noise_variance is None else float(noise_variance)
    return replace(_begun(log, noise), discount=float(discount), window=window)


@dataclass(frozen=True, slots=True, eq=False)
class _Log:
    """What the two ways to start have in common: checked rows, and which arms are cold."""

    rows: Rows
    as_cold: NDArray[Any]
    arms: int
    centre: float
    block: NDArray[np.int64]
    kin: NDArray[np.uint64]
    amounts: bool = False

    def __post_init__(self) -> None:
        check_rows(self.rows, self.arms, len(self.block), amounts=self.amounts)
        if self.as_cold.shape != self.rows.logit.shape:
            raise ShapeError(f"{self.as_cold.shape} logits as cold are not one for each of {self.rows.logit.shape}.")
        if self.kin.ndim != 2 or len(self.kin) != self.arms:
            raise ShapeError(
                f"Keys of shape {self.kin.shape} are not one row for each of {self.arms} arms.", where="kin"
            )

    @property
    def support(self) -> NDArray[np.int64]:
        """(K,) rows of each arm."""
        return np.bincount(self.rows.arm, minlength=self.arms)

    @property
    def cold(self) -> NDArray[np.bool_]:
        """(K,) arms of which the log says little."""
        return self.support < WARM_ROWS

    @property
    def batches(self) -> tuple[dict[int, Batch], dict[int, Batch]]:
        """The rows of each warm arm, and of each cold one that has any."""
        known, cold = dict(batches(self.rows, self.centre)), self.cold
        return {a: b for a, b in known.items() if not cold[a]}, {a: b for a, b in known.items() if cold[a]}


def _begun(log: _Log, noise: float | None) -> Posterior:
    """The state of day one, not yet dated or discounted."""
    block, d = log.block, len(log.block)
    likelihood = mode if noise is None else with_noise(noise)
    warm, few = log.batches
    warm_group, sites = fit_group(list(warm.values()), block, _scales(log, noise, cold=False), likelihood=likelihood)
    cold_group, relatives = _cold_group(log, [arm for arm in warm if arm < log.arms - 1], noise, likelihood)
    lift, width = np.zeros((log.arms, d)), np.ones((log.arms, d))
    lift[log.cold], width[log.cold] = relatives.of(log.kin[log.cold])
    precision, shift = np.zeros((log.arms, d, d)), np.zeros((log.arms, d))
    precision[list(warm)], shift[list(warm)] = sites.precision, sites.shift
    for arm, batch in few.items():
        alone = Group(cold_group.mean + lift[arm], cold_group.variance * width[arm])
        precision[arm], shift[arm], _ = site(batch, alone, likelihood=likelihood)
    mean, variance = (np.stack(pair) for pair in zip(_pair(warm_group), _pair(cold_group), strict=True))
    return Posterior(
        precision=precision,
        shift=shift,
        cold=log.cold,
        mean=mean,
        variance=variance,
        anchor_mean=mean,
        anchor_variance=variance,
        lift=lift,
        width=width,
        relatives=relatives,
        block=block,
        centre=log.centre,
        count=log.support.astype(np.float64),
        discount=1.0,
        window=None,
        noise_variance=noise,
    )


def _pair(group: Group) -> tuple[Floats, Floats]:
    return group.mean, group.variance


def _scales(log: _Log, noise: float | None, *, cold: bool) -> Group:
    """The initial scales; of amounts they are what they are of logits."""
    return initial(log.block, cold=cold, unit=1.0 if noise is None else unit_of(noise))


def _known(kin: NDArray[np.uint64] | None, arms: int) -> NDArray[np.uint64]:
    return np.zeros((arms, 0), np.uint64) if kin is None else kin


def _cold_group(log: _Log, offers: list[int], noise: float | None, likelihood: Likelihood) -> tuple[Group, Relatives]:
    """How a new offer differs from the mean of the known ones, and like which of them, from each known one in turn."""
    begin = _scales(log, noise, cold=True)
    if len(offers) < _FEWEST_WARM_OFFERS:
        return begin, no_relatives(begin.variance)
    rows = log.rows
    chosen = np.isin(rows.arm, offers)
    weight = None if rows.weight is None else rows.weight[chosen]
    pretended = Rows(rows.basis[chosen], log.as_cold[chosen], rows.arm[chosen], rows.outcome[chosen], weight)
    as_new = [batch for _, batch in batches(pretended, log.centre)]
    group, sites = fit_group(as_new, log.block, begin, likelihood=likelihood)
    return group, learn_relatives(group, sites, log.kin[offers])


def _learnt_noise(log: _Log) -> float:
    """The noise of amounts, in turns with the hierarchy of the warm arms."""
    warm, few = log.batches
    noise = first_noise([*warm.values(), *few.values()])
    for _ in range(_NOISE_ROUNDS if warm else 0):
        known = list(warm.values())
        group, sites = fit_group(known, log.block, _scales(log, noise, cold=False), likelihood=with_noise(noise))
        noise = noise_step(noise, known, group, sites)
    return noise


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
