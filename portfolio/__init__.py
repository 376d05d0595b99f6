"""Which offers can we afford, and at what prices?"""

from portfolio.conflict import Conflict, diagnose
from portfolio.draw import Draw, balance
from portfolio.headroom import TOLERATED, Reach, Rehearsal, initial_headroom, reach, rehearse, too_narrow
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
from portfolio.solver import Solution, solve

__all__ = [
    "MEASURES",
    "TOLERATED",
    "Conflict",
    "Draw",
    "Limit",
    "Measure",
    "Oracle",
    "Prices",
    "Problem",
    "Reach",
    "Rehearsal",
    "Response",
    "Rows",
    "Selection",
    "Share",
    "Solution",
    "Usage",
    "balance",
    "compile_rows",
    "diagnose",
    "expected_use",
    "initial_headroom",
    "reach",
    "rehearse",
    "ruled_out",
    "solve",
    "solve_prices",
    "too_narrow",
    "usage",
    "use_of",
]
