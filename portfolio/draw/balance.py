"""From a policy of probabilities to one integer plan that keeps every limit: the balanced draw."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from portfolio.draw.flight import Flight, take_off
from portfolio.draw.landing import Landing, broken, land, landing_stream, require_inside
from portfolio.limits import Problem, Rows, compile_rows, use_of

REFUSED_BELOW = 0.70  # acceptance under which the choice of accepted landings would bias the plan
_PROBE = 10  # landings that settle the matter when all are accepted


@dataclass(frozen=True, slots=True)
class Draw:
    """One integer plan.

    Args:
        choice: (n,) int64 offers, -1 = no offer; all -1 unless released.
        attempts: number of the landing that was released, counted from 1; else how many were tried.
        status: "released", or "headroom_too_small": too few landings kept every limit.
        breached: names of the limits that rejected landings broke, most often broken first; empty when released.
        rejection_rate: share of the landings tried that broke a limit.
        fractional: customers whom the landing had to decide.
    """

    choice: NDArray[np.int64]
    attempts: int
    status: Literal["released", "headroom_too_small"]
    breached: tuple[str, ...]
    rejection_rate: float
    fractional: int


def balance(
    probability: NDArray[np.floating],
    problem: Problem,
    *,
    seed: int,
    keys: NDArray[np.uint64] | None = None,
    attempts: int = 50,
) -> Draw:
    """One integer plan: each customer's choice follows its own probabilities exactly, and every hard limit holds.

    The cube method (Deville and Tillé, Biometrika 91, 2004) with an incremental basis. The plan depends on seed, keys,
    probabilities and limits only, not on the order of customers or limits. Report-only limits are ignored; elastic ones
    are balanced but reject nothing. Ten landings are tried, or `attempts` if any of these breaks a limit; the first
    that keeps all of them is released, unless fewer than 70 % do.

    Args:
        probability: (n, k + 1), the last column no offer; used as float32. 0 and 1 are kept as they are.
        problem: n customers, k offers, one offer per customer.
        seed: of the run.
        keys: (n,) uint64, all different; default 0, 1, 2, …
        attempts: landings tried at most.

    Raises:
        ShapeError: arrays disagree, a row is not a distribution, an ineligible offer has a chance, keys repeat.
        LimitError: the policy's expected use breaks a limit (name and distance), or more than one offer per customer.
    """
    n, k = problem.value.shape
    rows = compile_rows(sorted(problem.limits, key=lambda limit: limit.name), problem.n_cells, k)
    names = np.arange(n, dtype=np.uint64) if keys is None else keys
    flight = take_off(probability, problem, rows, seed=seed, keys=names, purpose="draw")
    require_inside(rows, flight.expected)
    tried: list[Landing] = []
    while len(tried) < attempts:
        tried.append(land(flight, problem, rows, of=landing_stream(seed, "draw"), attempt=len(tried)))
        if len(tried) == _PROBE and all(landing.accepted for landing in tried):
            break
    return _settle(tried, flight, problem, rows)


def _settle(tried: list[Landing], flight: Flight, problem: Problem, rows: Rows) -> Draw:
    n, k = problem.value.shape
    accepted = [landing.accepted for landing in tried]
    rejection_rate = 1.0 - sum(accepted) / max(1, len(tried))
    fractional = len(flight.left.customer)
    if any(accepted) and rejection_rate <= 1.0 - REFUSED_BELOW:
        first = accepted.index(True)
        choice = flight.choice.copy()
        choice[flight.left.customer] = tried[first].choice
        choice[choice == k] = -1
        if not broken(rows, use_of(problem, choice)).any():
            return Draw(choice, first + 1, "released", (), rejection_rate, fractional)
    count = Counter(rows.names[r] for landing in tried for r in np.flatnonzero(landing.broken))
    breached = tuple(name for name, _ in count.most_common())
    return Draw(np.full(n, -1), len(tried), "headroom_too_small", breached, rejection_rate, fractional)
