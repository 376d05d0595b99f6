"""What a solver hands out: a whole plan, its proof, and every limit recounted from the choice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from portfolio.certificate import breaches, judge
from portfolio.limits import Floats, Problem, Rows, Usage, usage, use_of

Clock: TypeAlias = Callable[[], float]
Status: TypeAlias = Literal["optimal", "feasible", "infeasible", "time_limit"]


def _no_prices() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class Solution:
    """A whole plan and its proof.

    Args:
        choice: (n,) offer numbers, or (n, most) when several are allowed; -1 = no offer.
        value: worth of the chosen offers less penalties of broken elastic limits, in the objective's units.
        bound: no plan inside the limits has a higher value.
        gap: (bound - value) / |bound|; infinite when `choice` does not keep the limits.
        status: "optimal" (gap within what was asked), "feasible", "infeasible" (proven) or "time_limit" (the best plan
            found in time; see `broken`).
        prices: by limit, what one more unit of room would be worth; negative for minimums.
        usage: every limit recounted from the choice.
        seconds: by stage, when a clock was given.
        passes: passes over all customers.
        conflict: limits that cannot be kept together, when infeasible.
        row_prices: (m,) by linear row, to start the next solve from.
        broken: hard limits that `choice` does not keep: none, unless no plan was found at all.
    """

    choice: NDArray[np.int64]
    value: float
    bound: float
    gap: float
    status: Status
    prices: dict[str, float]
    usage: tuple[Usage, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    passes: int = 0
    conflict: tuple[str, ...] = ()
    row_prices: Floats = field(default_factory=_no_prices)
    broken: tuple[str, ...] = ()


class Watch:
    """Seconds per stage, from a clock that the caller owns, and whether the time given is over.

    Args:
        clock: seconds now; None measures nothing.
        seconds: time given; needs a clock.
    """

    def __init__(self, clock: Clock | None, seconds: float | None = None) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = {}
        self.start = self.last = clock() if clock else 0.0
        self.limit = seconds

    def stage(self, name: str) -> None:
        """The time since the last stage was spent on this one."""
        if self.clock:
            now = self.clock()
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
            self.last = now

    def left(self) -> float | None:
        """Seconds that remain; None without a limit or a clock."""
        if self.limit is None or self.clock is None:
            return None
        return max(self.limit - (self.clock() - self.start), 0.0)

    def over(self) -> bool:
        """Whether the time given is used up."""
        left = self.left()
        return left is not None and left <= 0.0


def by_name(rows: Rows, price: Floats) -> dict[str, float]:
    """Prices of the limits: the rows of one limit (the two sides of a `Share`) together."""
    out = dict.fromkeys(rows.names, 0.0)
    for name, p in zip(rows.names, price, strict=True):
        out[name] += float(p)
    return out


def assemble(
    problem: Problem, rows: Rows, choice: NDArray[np.int64], bound: float, price: Floats, gap: float, watch: Watch
) -> Solution:
    """The solution that a plan is, judged by recounting it.

    A plan that breaks hard limits is never handed out in silence: they stand in `broken`, the gap is infinite and the
    status "time_limit", because the effort allowed has found no plan that keeps them.

    Args:
        problem, rows: as solved, counts rounded inwards.
        choice: (n,) or (n, most), -1 = no offer.
        bound: proven at `price` (m,).
        gap: relative distance that counts as optimal.
        watch: with the seconds so far.
    """
    use = use_of(problem, choice)
    value, _ = judge(rows, use)
    bound = max(bound, value)
    distance = (bound - value) / max(abs(bound), 1e-300) if bound > value else 0.0
    over = np.flatnonzero((breaches(rows, use) > 0) & np.isinf(rows.penalty))
    broken = tuple(dict.fromkeys(rows.names[r] for r in over))
    status: Status = "optimal" if distance <= gap else "feasible"
    if broken:
        distance, status = float("inf"), "time_limit"
    prices = by_name(rows, price)
    counted = usage(problem.limits, use, prices)
    return Solution(
        choice, value, bound, distance, status, prices, counted, watch.seconds, row_prices=price, broken=broken
    )


def infeasible(problem: Problem, rows: Rows, watch: Watch, conflict: tuple[str, ...]) -> Solution:
    """No plan exists: nobody is chosen, and the limits that contradict each other are named."""
    n, k = problem.value.shape
    choice = np.full(n if problem.most == 1 else (n, problem.most), -1, np.int64)
    counted = usage(problem.limits, np.zeros((3, problem.n_cells, k)))
    zero = np.zeros(len(rows.names))
    return Solution(
        choice,
        0.0,
        -np.inf,
        float("inf"),
        "infeasible",
        by_name(rows, zero),
        counted,
        watch.seconds,
        conflict=conflict,
        row_prices=zero,
    )
