"""The affordable policy: a table of probabilities whose expected use keeps every limit, and the prices behind it."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ConvergenceError, LimitError, ShapeError
from bandit import Beliefs, Outside, Scores, Use, mean_success
from engine.exploration import even_policy
from engine.oracle import ExpectedOracle, Latest
from engine.sampling import focused, stratified
from portfolio import Prices, Problem, Rows, compile_rows, expected_use, solve_prices
from portfolio.dual import row_sizes
from portfolio.prices import Sampler

Floats: TypeAlias = NDArray[np.float64]

SAMPLES = (5_000, 50_000)
"""Customers in the samples on which prices are found before everybody is asked."""

ROUGHLY = 1e-5
"""How closely each customer's probabilities are known while prices are still being found: enough for sums."""

PRICED_WITHIN = 1e-4
"""How near, relative to its bound, the expected use of a priced limit comes to it."""

_TYPICAL = 50_000  # customers at most whose mean best value is typical
_CERTAIN = "Raise exploration.temperature (choices are nearly certain), or set it to 0 for the optimum."


@dataclass(frozen=True, slots=True)
class Policy:
    """What is played.

    Args:
        probability: (n, k + 1) float32; the last column is no offer. This table, not the prices, is the policy.
        prices: what one more unit of each limit's room is worth; by the limit's name.
        bound: no plan within the limits, headroom or not, has a higher expected drawn value over no offer; objective's
            units.
        charges: (3, g, k) what the limits charge per contact, per unit of cost and per unit of value.
        price: (m,) prices of the linear rows, to start from again.
        residual: largest error that the quadrature's certificate admits.
        passes: how often every customer was asked.
        use: (3, g, k) expected use of the table.
    """

    probability: NDArray[np.float32]
    prices: dict[str, float]
    bound: float
    charges: Floats
    price: Floats
    residual: float
    passes: int
    use: Floats


@dataclass(frozen=True, slots=True)
class Setting:
    """How the policy is to be found: exploration share, the limits' headroom (m,), prices (m,) to start from.

    Raises:
        LimitError: the share is not in [0, 1), or a headroom is negative or not a number.
    """

    share: float = 0.01
    headroom: Floats | None = None
    start: Floats | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.share < 1.0:
            raise LimitError(
                f"the exploration share {self.share:g} is none.", where="share", remedy="Give 0 or a part below 1."
            )
        if self.headroom is not None and not (self.headroom >= 0.0).all():
            raise LimitError("a headroom is negative or not a number.", where="headroom", remedy="Give 0 or more.")


def affordable_policy(
    beliefs: Beliefs,
    value: NDArray[np.floating],
    problem: Problem,
    *,
    fee: NDArray[np.floating] | float = 0.0,
    outside: NDArray[np.floating] | float | Outside = 0.0,
    setting: Setting | None = None,
) -> Policy:
    """Find prices at which the random policy keeps every limit in expectation, headroom included.

    With exploration share e and its even policy U, the limits of the priced part P are lowered to
    (bound - headroom - e * use(U)) / (1 - e), so that (1 - e) P + e U keeps the limits.

    Args:
        beliefs: mean and sd (n, k) of the logit of success, as the draw sees them (temperature included).
        value: (k,) or (n, k) what a success earns, currency units; the draw scores value * sigmoid(.) - fee - prices.
        problem: value and cost of the same pairs in posterior means, with the limits; `most` must be 1.
        fee: (k,), (n, k) or a number: what a contact costs for certain.
        outside: worth of no offer, or its beliefs.
        setting: exploration share, headroom and starting prices.

    Raises:
        LimitError: several offers per customer, or limits that no policy can keep (with their names).
        ShapeError: arrays disagree, or a number that counts is not finite.
        ConvergenceError: prices did not settle: expected use would be farther from a limit than 1e-4 of its size, or
            not clear of it by half the headroom.
    """
    k = problem.value.shape[1]
    fees = np.broadcast_to(np.asarray(fee, np.float64), (k,)) if np.ndim(fee) < 2 else np.asarray(fee)
    scores = Scores(beliefs.mean, beliefs.sd, np.asarray(value, np.float64), fees, problem.eligible, outside)
    return policy_of(scores, problem, setting or Setting())


def policy_of(scores: Scores, problem: Problem, setting: Setting, rows: Rows | None = None) -> Policy:
    """`affordable_policy` of what the draw sees; what is eligible, the problem says.

    `rows` take the place of the problem's limits, where these are not all that is to be kept.

    Raises:
        LimitError, ConvergenceError: as `affordable_policy`.
    """
    if problem.most != 1 or problem.groups is not None:
        raise LimitError(
            "a random policy gives each customer at most one offer.",
            remedy="Ask for several offers with temperature 0, or set most = 1.",
        )
    if rows is None:
        rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    even, even_use = even_policy(problem, rows, setting.share) if setting.share > 0 else (None, 0.0)
    lowered = _lowered(rows, setting, even_use)
    n, k = problem.value.shape
    priced = np.flatnonzero(rows.coefficient.any((0, 2, 3)))
    use = Use(problem.cost, problem.value, problem.cell, problem.n_cells, int(priced.max(initial=0)) + 1)
    latest = Latest(np.empty((n, k + 1), np.float32))
    oracle = ExpectedOracle(replace(scores, eligible=problem.eligible), use, latest=latest)
    prices = _prices(oracle, lowered, setting, problem)
    charges = rows.charges(prices.price)
    probability, residual = oracle.policy(charges)
    if even is not None:
        probability = ((1.0 - setting.share) * probability + setting.share * even).astype(np.float32)
    policy = Policy(
        probability=probability,
        prices=by_limit(rows, prices.price),
        bound=prices.bound + _room(rows, prices.price) - _room(lowered, prices.price) - _given(scores.outside, n),
        charges=charges,
        price=prices.price,
        residual=residual,
        passes=prices.passes,
        use=expected_use(problem, probability),
    )
    _check_inside(rows, policy, setting)
    return policy


def by_limit(rows: Rows, price: Floats) -> dict[str, float]:
    """Prices by the limit's name; of a share with two bounds, the one that binds."""
    out: dict[str, float] = {}
    for name, value in zip(rows.names, price.tolist(), strict=True):
        if abs(value) >= abs(out.get(name, 0.0)):
            out[name] = value
    return out


def _room(rows: Rows, price: Floats) -> float:
    """What all the room inside the limits is worth at these prices: the part of the dual that is not customers'."""
    bounds = np.where(price > 0, rows.upper, np.where(price < 0, rows.lower, 0.0))
    return float(price @ bounds)


def _given(outside: NDArray[np.floating] | float | Outside, n: int) -> float:
    """What n customers are worth without any offer, as the draw sees it."""
    if isinstance(outside, Outside):
        chance = mean_success(outside.mean[:, None], outside.sd[:, None])[:, 0]
        return float((chance * outside.value).sum(dtype=np.float64))
    return float(np.broadcast_to(outside, n).sum(dtype=np.float64))


def _lowered(rows: Rows, setting: Setting, even_use: Floats | float) -> Rows:
    if setting.headroom is not None and setting.headroom.shape != rows.upper.shape:
        raise ShapeError(f"headroom has shape {setting.headroom.shape}, not {rows.upper.shape}.")
    width = np.zeros(len(rows.names)) if setting.headroom is None else setting.headroom
    taken = rows.consumption(setting.share * np.asarray(even_use)) if setting.share > 0 else 0.0
    lower = (rows.lower + width - taken) / (1.0 - setting.share)
    upper = (rows.upper - width - taken) / (1.0 - setting.share)
    return Rows(rows.names, rows.coefficient, lower, upper, rows.penalty)


def _prices(full: ExpectedOracle, rows: Rows, setting: Setting, problem: Problem) -> Prices:
    n = len(problem.value)
    rough = full.roughly(ROUGHLY)
    few, many = SAMPLES
    samples: list[Sampler] = []
    if 2 * few < n:
        samples.append(lambda _: rough.sample(*stratified(problem.cell, few)))
    if 2 * many < n:
        samples.append(lambda charges: rough.sample(*focused(full.use, problem.eligible, charges, rows, many)))
    prices = solve_prices(
        full,
        rows,
        rough=rough,
        samples=samples,
        scale=_scale(problem),
        tolerance=_tolerance(rows, setting),
        start=setting.start,
    )
    if prices.status == "infeasible":
        raise LimitError(
            "no policy can keep " + ", ".join(repr(name) for name in prices.infeasible) + ".",
            where="limits",
            remedy="Relax one of them, or widen the audience or its rules." + _less_exploration(setting),
        )
    if setting.headroom is None:  # else `_check_inside` weighs what is missing against the headroom
        _check_settled(rows, prices)
    return prices


def _check_settled(rows: Rows, prices: Prices) -> None:
    """Without headroom, expected use must keep every hard limit as closely as prices are found.

    Raises:
        ConvergenceError: prices did not settle well enough.
    """
    used = rows.consumption(prices.use)
    over = np.maximum(used - rows.upper, rows.lower - used) / row_sizes(rows, prices.use)
    over = np.where(np.isinf(rows.penalty), over, 0.0)
    if prices.status == "stalled" and over.max(initial=0.0) > PRICED_WITHIN:
        name = rows.names[int(over.argmax())]
        raise ConvergenceError(
            f"prices keep limit {name!r} only within {over.max():.1e} of its size.", where="limits", remedy=_CERTAIN
        )


def _less_exploration(setting: Setting) -> str:
    """Exploration serves no minimum, so it narrows the room for one."""
    return f" A lower exploration.share (now {setting.share:g}) leaves more room." if setting.share > 0 else ""


def _check_inside(rows: Rows, policy: Policy, setting: Setting) -> None:
    """Before a draw, expected use must keep most of the headroom: the draw's own deviations need it.

    Raises:
        ConvergenceError: prices did not settle well enough.
    """
    if setting.headroom is None:
        return
    used = rows.consumption(policy.use)
    over = np.maximum(used - rows.upper, rows.lower - used) + 0.5 * setting.headroom
    size = np.maximum(np.where(np.isfinite(rows.upper), np.abs(rows.upper), 0.0), 1.0)
    wrong = np.isinf(rows.penalty) & (setting.headroom > 0) & (over > PRICED_WITHIN * size)
    if wrong.any():
        name = rows.names[int(np.argmax(np.where(wrong, over, -np.inf)))]
        raise ConvergenceError(
            f"no prices were found that keep the policy clear of limit {name!r}.",
            where="limits",
            remedy=_CERTAIN,
        )


def _scale(problem: Problem) -> float:
    """A typical score: the mean over some customers of the best value, or of its size where all are losses."""
    if problem.value.size == 0:
        return 1.0
    some = slice(None, None, -(-len(problem.value) // _TYPICAL))
    value = np.where(problem.eligible[some], problem.value[some], 0.0)
    return float(max(value.max(1).mean(), 1e-3 * np.abs(problem.value[some]).mean(), 1e-12))


def _tolerance(rows: Rows, setting: Setting) -> float:
    """What prices may miss must stay well inside the headroom, or a draw would start outside its limits."""
    if setting.headroom is None or not len(rows.names):
        return PRICED_WITHIN
    size = np.maximum(np.where(np.isfinite(rows.upper), np.abs(rows.upper), 0.0), 1e-300)
    size = np.maximum(size, np.where(np.isfinite(rows.lower), np.abs(rows.lower), 0.0))
    kept = setting.headroom > 0  # rows without headroom can not be broken
    nearest = float(np.min(setting.headroom[kept] / size[kept], initial=np.inf))
    return float(np.clip(0.2 * nearest, 1e-8, PRICED_WITHIN))
