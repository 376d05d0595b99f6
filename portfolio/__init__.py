"""Which offers can we afford, and at what prices?"""

from portfolio.conflicts.diagnose import Conflict, diagnose
from portfolio.draw.balance import Draw, balance
from portfolio.draw.headroom import TOLERATED, Reach, Rehearsal, initial_headroom, reach, rehearse, too_narrow
from portfolio.frontier import PriceRange, frontier, price_range
from portfolio.limits import (
    MEASURES,
    Limit,
    Measure,
    Problem,
    Rows,
    Selection,
    Share,
    Usage,
    compile_rows,
    expected_use,
    ruled_out,
    usage,
    use_of,
)
from portfolio.prices import Oracle, Prices, Response, solve_prices
from portfolio.risk.solver import solve_with_risk
from portfolio.risk.terms import Risk, RiskSolution
from portfolio.scenarios import Change, Totals, compare
from portfolio.solution import Solution
from portfolio.solver import solve

__all__ = [
    "MEASURES",
    "TOLERATED",
    "Change",
    "Conflict",
    "Draw",
    "Limit",
    "Measure",
    "Oracle",
    "PriceRange",
    "Prices",
    "Problem",
    "Reach",
    "Rehearsal",
    "Response",
    "Risk",
    "RiskSolution",
    "Rows",
    "Selection",
    "Share",
    "Solution",
    "Totals",
    "Usage",
    "balance",
    "compare",
    "compile_rows",
    "diagnose",
    "expected_use",
    "frontier",
    "initial_headroom",
    "price_range",
    "reach",
    "rehearse",
    "ruled_out",
    "solve",
    "solve_prices",
    "solve_with_risk",
    "too_narrow",
    "usage",
    "use_of",
]
