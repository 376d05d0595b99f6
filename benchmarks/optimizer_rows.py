"""One row, or a few, of the optimizer's figures: `python -m benchmarks.optimizer_rows NAME` prints them as JSON.

Each name runs in a process of its own: nothing is shared, and memory is measured from a clean start. Every plan is
recounted apart from the product before its time is printed.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from api.console import plain
from benchmarks import recount
from benchmarks.instances import make_problem
from benchmarks.measure import MILLION, WARM, Row, peak, timed
from benchmarks.optimizer_draws import deviations, policy, policy_explored, policy_many_limits
from portfolio import Limit, Problem, Solution, compile_rows, diagnose, frontier, solve

_REPEATS: Final = 5


@dataclass(frozen=True, slots=True)
class _Solved:
    solution: Solution
    seconds: float
    gap: float
    wrong: str
    memory: float  # peak of solve, the inputs included, in sizes of value and cost


def _solve(problem: Problem) -> _Solved:
    """Solve, measure, recount."""
    (solution, seconds), extra = peak(lambda: timed(lambda: solve(problem)))
    arrays = problem.value.nbytes + problem.cost.nbytes
    best, value = recount.bound(problem, solution.prices), recount.worth(problem, solution.choice)
    wrong = [f"breaks {name}" for name in recount.broken(problem, solution.choice)]
    if abs(value - solution.value) > 1e-9 * abs(value):
        wrong.append(f"claims a value of {solution.value:.2f} for {value:.2f}")
    gap = (best - value) / abs(best)
    return _Solved(solution, seconds, gap, ", ".join(wrong), 1 + extra / arrays)


def _row(work: str, solved: _Solved, peer: float | None = None) -> Row:
    return Row(work, solved.seconds, peer, solved.gap, solved.solution.status, solved.wrong)


def _warm() -> None:
    solve(make_problem(WARM))


def linear_program() -> list[Row]:
    """10,000 customers, against the linear relaxation by cvxpy and HiGHS."""
    from benchmarks import peers

    _warm()
    peers.warm()
    problem = make_problem(10_000)
    program = peers.linear_program(problem)
    ours = _solve(problem)
    row = _row("solve, 10k x 20; peer: cvxpy + HiGHS, LP", ours, program.cpu_seconds)
    kept = program.cpu_seconds >= 30 * ours.seconds and ours.gap <= 5e-5
    detail = f"the LP leaves {1 - program.whole:.2%} of the customers split"
    return [replace(row, floor=">= 30 x, gap <= 5e-5", kept=kept, detail=detail)]


def first_order() -> list[Row]:
    """100,000 customers, against the linear relaxation by OR-tools' PDLP."""
    from benchmarks import peers

    _warm()
    problem = make_problem(100_000)
    ours = _solve(problem)
    program = peers.first_order(problem)
    row = _row("solve, 100k x 20; peer: PDLP 1e-5, LP", ours, program.cpu_seconds)
    kept = program.cpu_seconds >= 80 * ours.seconds and ours.gap <= 1e-5
    detail = f"PDLP leaves {round((1 - program.whole) * 100_000):,} customers split"
    return [replace(row, floor=">= 80 x, gap <= 1e-5", kept=kept, detail=detail)]


def million() -> list[Row]:
    """A million customers."""
    _warm()
    solved = _solve(make_problem(MILLION))
    row = _row("solve, 1M x 20", solved)
    kept = solved.seconds <= 2 and solved.gap <= 1e-6 and solved.memory <= 3
    floor = "<= 2 s, gap <= 1e-6, memory <= 3 x the arrays"
    return [replace(row, floor=floor, kept=kept, detail=_memory(solved))]


def many_limits() -> list[Row]:
    """A million customers under 200 limits."""
    solve(make_problem(WARM, limits=200))
    solved = _solve(make_problem(MILLION, limits=200))
    row = _row("solve, 1M x 20, 200 limits", solved)
    return [replace(row, floor="<= 3 s", kept=solved.seconds <= 3, detail=_memory(solved))]


def ten_million() -> list[Row]:
    """Ten million customers, against ten times the seconds of a million."""
    _warm()
    tenth = _solve(make_problem(MILLION))
    solved = _solve(make_problem(10 * MILLION))
    row = _row("solve, 10M x 20; peer: ten times 1M x 20", solved, 10 * tenth.seconds)
    kept = solved.seconds <= min(15, 10 * tenth.seconds)
    return [replace(row, floor="<= 15 s, linear in n", kept=kept, detail=_memory(solved))]


def _memory(solved: _Solved) -> str:
    return f"peak memory {solved.memory:.2f} x the arrays, these included"


def one_pass() -> list[Row]:
    """One exact pass over a million customers at the prices of a few, against reading the same bytes; one thread."""
    from portfolio.large.passes import ArgmaxOracle
    from portfolio.large.population import Population

    small = make_problem(WARM)
    price = solve(small).row_prices
    problem = make_problem(MILLION)
    charges = compile_rows(small.limits, small.n_cells, small.value.shape[1]).charges(price)
    crowd = Population.of(problem)
    oracle = ArgmaxOracle((crowd,), threads=1)
    arrays = [x.reshape(-1).view(np.int64) for x in (crowd.value, crowd.cost, crowd.eligible, crowd.cell)]
    passing = min(timed(lambda: oracle(charges, curvature=False))[1] for _ in range(_REPEATS))
    reading = min(timed(lambda: sum(int(x.sum()) for x in arrays))[1] for _ in range(_REPEATS))
    size = sum(x.nbytes for x in arrays)
    row = Row(f"one exact pass, 1M x 20; peer: adding up the same {size / 1e6:,.0f} MB", passing, reading)
    return [replace(row, floor="<= 4 x the read", kept=passing <= 4 * reading)]


def budgets() -> list[Row]:
    """Ten budgets for a million customers."""
    maxima = [0.5 + 0.1 * i for i in range(10)]
    small = make_problem(WARM)
    frontier(small, "budget", [_budget(small) * 0.8, _budget(small)])
    problem = make_problem(MILLION)
    own = _budget(problem)
    curve, seconds = timed(lambda: frontier(problem, "budget", [own * f for f in maxima]))
    wrong, gaps = [], []
    for factor, point in zip(maxima, curve, strict=True):
        there = replace(problem, limits=(replace(problem.limits[0], maximum=own * factor), *problem.limits[1:]))
        wrong += [f"{factor:.1f}: breaks {name}" for name in recount.broken(there, point.choice)]
        gaps.append(point.gap)
    slopes = np.diff([point.value for point in curve]) / (0.1 * own)
    if (np.diff(slopes) > 1e-3 * slopes[0]).any():
        wrong.append("not concave")
    status = ", ".join(sorted({point.status for point in curve}))
    row = Row("frontier of 10 budgets, 1M x 20", seconds, None, max(gaps), status, ", ".join(wrong))
    return [replace(row, floor="<= 4 s", kept=seconds <= 4, detail="gap: the largest, as stated")]


def _budget(problem: Problem) -> float:
    first = problem.limits[0]
    if not isinstance(first, Limit) or first.name != "budget" or first.maximum is None:
        raise ValueError("the first limit of a made-up problem is its budget.")
    return first.maximum


def conflicts() -> list[Row]:
    """100,000 customers whose limits can be kept, and 100,000 whose limits cannot."""
    small = make_problem(WARM)
    diagnose(small)
    diagnose(_impossible(small))
    problem = make_problem(100_000)
    nothing, seconds = timed(lambda: diagnose(problem))
    wrong = "" if nothing is None else "a conflict where there is none"
    feasible = Row("diagnose, 100k x 20, limits that can be kept", seconds, None, wrong=wrong)
    hopeless = _impossible(problem)
    found, planted = timed(lambda: diagnose(hopeless))
    names = () if found is None else found.limits
    wrong = "" if set(names) == {"both", "offer 0", "offer 6"} else "not the planted conflict"
    detail = "" if found is None else ", ".join(f"{x} by {y:,.1f}" for x, y in found.relaxation.items())
    conflict = Row("diagnose, 100k x 20, a conflict of three", planted, None, wrong=wrong, detail=detail)
    return [replace(row, floor="<= 1 s", kept=row.ours <= 1) for row in (feasible, conflict)]


def _impossible(problem: Problem) -> Problem:
    """Two offers together are to be seen 100 times more often than their caps allow."""
    caps = [x.maximum or 0.0 for x in problem.limits if isinstance(x, Limit) and x.name in ("offer 0", "offer 6")]
    both = Limit("both", "count", minimum=sum(caps) + 100, offers=(0, 6))
    return replace(problem, limits=(*problem.limits, both))


ROWS: Final[dict[str, Callable[[], list[Row]]]] = {
    "lp": linear_program,
    "pdlp": first_order,
    "1m": million,
    "200-limits": many_limits,
    "10m": ten_million,
    "pass": one_pass,
    "frontier": budgets,
    "diagnose": conflicts,
    "policy": policy,
    "policy-200": policy_many_limits,
    "policy-explored": policy_explored,
    "deviations": deviations,
}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(plain([asdict(row) for row in ROWS[sys.argv[1]]()])))
