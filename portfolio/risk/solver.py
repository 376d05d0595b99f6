"""The best whole plan whose estimates, taken together, are sure enough; with a proof of how good it is.

For any direction y (k, d): no plan inside the limits with sd at most R is worth more than the best plan at values less
each pair's share of y'V^(1/2)E, plus R |y|, because y'V^(1/2)E <= |y| sd. So each solve at modified values proves a
bound and finds a plan; the master mixes the plans and names the next direction; small integer programs around the
best plan so far use the rest of the room.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from allot import LimitError, ShapeError
from portfolio.certificate import bound_of, recount
from portfolio.conflicts.diagnose import diagnose
from portfolio.limits import Limit, Problem, Rows, compile_rows
from portfolio.referee import impossible_counts, whole_counts
from portfolio.risk.master import Column, Mixture, best_mixture
from portfolio.risk.oracle import Oracle, oracle_of
from portfolio.risk.rounding import Target, whole_plan
from portfolio.risk.start import first_direction
from portfolio.risk.terms import Floats, Risk, RiskSolution
from portfolio.solution import Status, Watch, assemble, infeasible

_ITERATIONS = 60
_INNER = 1.0  # the plans at modified values are solved to this share of the gap
_CLOSE = 5.0  # share of the gap at which the mixture is good enough to be made whole
_DRAWN = 0.3  # how far a direction is drawn to the best one so far (Wentges 1997)
_STALLED = 4  # so many solves that improve nothing are enough
_NOT_FOUND = "No plan was found that keeps the limits and the risk limit; it is not proven that there is none."
_SAFE = 0.999  # the search for a plan that is safe enough ends at this share of the limit


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """The problem, its rows with counts rounded inwards, the risk and the gap asked for."""

    problem: Problem
    rows: Rows
    risk: Risk
    gap: float
    iterations: int

    def column(self, choice: NDArray[np.int64]) -> Column:
        """A plan (n, most) inside the limits, recounted."""
        value, _ = recount(self.problem, self.rows, choice)
        exposure = self.risk.exposures(choice)
        return Column(choice, value, exposure, self.risk.deviation(exposure))

    def charged(self, direction: Floats, *, worth: bool = True) -> Floats:
        """(n, k) values, or nothing, less the charge on exposures; 0 where not eligible."""
        out = self.risk.surcharge(direction)
        if worth:
            np.subtract(self.problem.value, out, out=out)
        else:
            np.negative(out, out=out)
        out[~self.problem.eligible] = 0.0
        return out


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Columns and their mixture, the best bound with its direction and the prices (m,) there, and solves so far."""

    columns: list[Column]
    mixture: Mixture
    bound: float
    direction: Floats
    price: Floats
    iterations: int


def solve_with_risk(
    problem: Problem, risk: Risk, *, gap: float = 1e-4, most_iterations: int = _ITERATIONS
) -> RiskSolution:
    """Maximise value, or value less price * sd, under the limits and the risk limit, in whole numbers.

    Args:
        problem: as for `solve`. Limits on "value" count the original value; they need at most 2,000 eligible pairs.
        risk: sensitivities and covariances of the same customers and offers.
        gap: relative distance of what is maximised to its bound that is good enough.
        most_iterations: solves at modified values, each about as long as `solve`.

    Returns:
        RiskSolution; status "infeasible", in words, where even the least risky plan within the limits is too risky.

    Raises:
        ShapeError: the problem and the risk are of different customers or offers, or a value, cost or sensitivity of
            an eligible pair is not finite.
        LimitError: value limits at a size that only the large path reaches, or a gap that is negative or no number.
    """
    _check(problem, risk, gap)
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    job = _Job(problem, rows, risk, gap, most_iterations)
    if impossible := impossible_counts(rows):
        words = "No whole number of contacts lies between the bounds of a limit."
        return _no_plan(job, words, -np.inf, conflict=impossible[:1])
    ask = oracle_of(problem, rows, gap=_INNER * gap)
    free = ask(None, None)
    if free.choice is None:
        proven = bool(np.isneginf(free.bound))
        conflict = diagnose(problem) if proven else None
        words = "No plan keeps the limits, whatever its risk." if proven else _NOT_FOUND
        return _no_plan(job, words, free.bound, conflict=() if conflict is None else conflict.limits)
    first = job.column(free.choice)
    columns: list[Column] | None = [first]
    nobody = np.full_like(free.choice, -1)
    if recount(problem, rows, nobody)[1]:
        columns = [first, job.column(nobody)]
    elif not risk.within(first.sd):
        columns, least = _calm(job, first)
        if not risk.within(least):
            words = f"The plan of least risk within the limits has a standard deviation of at least {least:,.6g}; "
            return _no_plan(job, f"{words}no more than {risk.maximum_sd:,.6g} is allowed.", -np.inf, free=first)
    if columns is None:
        return _no_plan(job, _NOT_FOUND, free.bound, free=first)
    search = _climb(job, ask, columns, _Search([], _nothing(risk), free.bound, np.zeros(risk.shape), free.price, 0))
    return _finished(job, search, first)


def _check(problem: Problem, risk: Risk, gap: float) -> None:
    if not 0.0 <= gap < np.inf:
        raise LimitError(f"the gap {gap:g} is not a share.", where="gap", remedy="Give 0 or a small positive number.")
    if risk.sensitivity.shape != problem.value.shape:
        raise ShapeError(f"sensitivity has shape {risk.sensitivity.shape}, not {problem.value.shape}.", where="risk")
    bad = problem.eligible & ~np.isfinite(risk.sensitivity)
    if bad.any():
        i, a = (int(x[0]) for x in np.nonzero(bad))
        raise ShapeError(f"the sensitivity of customer {i} and offer {a} is {risk.sensitivity[i, a]!r}.", where="risk")


def _nothing(risk: Risk) -> Mixture:
    return Mixture(np.zeros(0), -np.inf, 0.0, np.zeros(risk.shape))


def _climb(job: _Job, ask: Oracle, columns: list[Column], search: _Search) -> _Search:
    """Column after column, until the mixture is as good as the bound."""
    risk, columns = job.risk, list(columns)
    search, ahead = _guessed(job, search, columns[0])
    best, at, price = search.bound, search.direction, search.price
    reached, stalled, drawn, start = -np.inf, 0, 0.0, price
    turn = 0
    while True:
        mixture = best_mixture(columns, risk)
        distance = best - mixture.value
        if distance <= _CLOSE * job.gap * abs(best) or stalled >= _STALLED or turn >= job.iterations:
            return _Search(columns, mixture, best, at, price, turn)
        moved = mixture.value > reached + 1e-3 * max(distance, 0.0)
        reached = max(reached, mixture.value)
        direction = ahead.pop(0) if ahead else (1.0 - drawn) * mixture.direction + drawn * at
        direction = _allowed(direction, risk)
        reply = ask(job.charged(direction), start)
        turn += 1
        start = reply.price
        bound = reply.bound + (risk.maximum_sd or 0.0) * _length(direction)
        lower = bound < best - 1e-3 * max(distance, 0.0)
        if bound < best:
            best, at, price = bound, direction, reply.price
        drawn = _DRAWN if moved or lower else 0.0
        stalled = 0 if moved or lower else stalled + 1
        if reply.choice is not None:
            columns.append(job.column(reply.choice))


def _guessed(job: _Job, search: _Search, free: Column) -> tuple[_Search, list[Floats]]:
    """A first bound, and directions to begin with: the first guess, and beside it, to see what more risk is worth."""
    problem, rows, risk = job.problem, job.rows, job.risk
    idle = risk.within(free.sd) and not risk.price
    if problem.most > 1 or problem.groups is not None or idle or not free.sd > 0:
        return search, []
    guess, price = first_direction(problem, rows, risk, free.exposure)
    guess = _allowed(guess, risk)
    if not np.any(rows.coefficient[:, 2]):  # else the charged values would be counted
        bound = bound_of(replace(problem, value=job.charged(guess)), rows, price)
        bound += (risk.maximum_sd or 0.0) * _length(guess)
        if bound < search.bound:
            search = replace(search, bound=bound, direction=guess, price=price)
    return search, [guess] if risk.price is not None else [guess, 1.1 * guess, 0.9 * guess]


def _allowed(direction: Floats, risk: Risk) -> Floats:
    """A direction no longer than the price of risk, where there is one: else it proves nothing."""
    if risk.price is None:
        return direction
    length = _length(direction)
    return direction * (risk.price / length) if length > risk.price else direction


def _length(direction: Floats) -> float:
    return float(np.linalg.norm(direction))


def _calm(job: _Job, first: Column) -> tuple[list[Column] | None, float]:
    """Columns of which a mixture keeps the risk limit, None where none was found; and what no plan's sd is below.

    The same search for the least risk: nothing is worth anything, elastic limits do not count.
    """
    limit = job.risk.maximum_sd or 0.0
    hard = tuple(x for x in job.problem.limits if x.penalty is None and not (isinstance(x, Limit) and x.report_only))
    problem = replace(job.problem, limits=hard)
    rows = whole_counts(compile_rows(hard, problem.n_cells, problem.value.shape[1]))
    ask = oracle_of(problem, rows, gap=_INNER * job.gap)
    priced = replace(job.risk, maximum_sd=None, price=1.0)
    columns, start, least = [first], np.zeros(len(rows.names)), 0.0
    for _ in range(job.iterations):
        mixture = best_mixture([replace(c, value=0.0) for c in columns], priced)
        if mixture.sd <= _SAFE * limit or (mixture.sd <= limit and mixture.sd - least <= 1e-6 * limit):
            return columns, least
        direction = _allowed(mixture.direction, priced)
        reply = ask(job.charged(direction, worth=False), start)
        start = reply.price
        least = max(least, -reply.bound / max(_length(direction), 1e-300))
        if not job.risk.within(least) or reply.choice is None:
            break
        columns.append(job.column(reply.choice))
    return None, least


def _finished(job: _Job, search: _Search, free: Column) -> RiskSolution:
    """The best whole plan near the mixture, and its certificate."""
    problem, rows, risk = job.problem, job.rows, job.risk
    at = search.direction
    cap = search.mixture.sd if risk.maximum_sd is None else risk.maximum_sd
    target = Target(problem, rows, risk, cap, at, job.charged(at), rows.charges(search.price), job.gap)
    found = whole_plan(target, search.columns, search.mixture.share, search.bound)
    if found.best is None:
        return _no_plan(job, _NOT_FOUND, found.bound, free=free, iterations=search.iterations)
    best = found.best
    choice = best.choice[:, 0] if problem.most == 1 else best.choice
    plain = assemble(problem, rows, choice, np.inf, search.price, job.gap, Watch(None))
    reached = risk.worth(plain.value, best.sd)
    bound = max(reached, found.bound)
    distance = (bound - reached) / max(abs(bound), 1e-300) if bound > reached else 0.0
    status: Status = "optimal" if distance <= job.gap else "feasible"
    solution = replace(plain, bound=bound, gap=distance, status=status, passes=search.iterations)
    paid = _length(search.direction) if risk.price is None else risk.price
    return RiskSolution(solution, reached, best.sd, best.exposure, paid, search.iterations, free.value, free.sd)


def _no_plan(
    job: _Job,
    words: str,
    bound: float,
    *,
    free: Column | None = None,
    iterations: int = 0,
    conflict: tuple[str, ...] = (),
) -> RiskSolution:
    """Nobody is chosen, and the words say why; a bound of -inf proves that there is no plan."""
    base = infeasible(job.problem, job.rows, Watch(None), conflict)
    if not np.isneginf(bound):
        base = replace(base, status="time_limit", bound=bound, broken=("risk",))
    value, sd = (free.value, free.sd) if free else (0.0, 0.0)
    return RiskSolution(base, base.value, 0.0, np.zeros(job.risk.shape), 0.0, iterations, value, sd, words)
