"""Which offers can we afford, and at what prices?"""

from typing import TYPE_CHECKING

from allot.exports import lazily

if TYPE_CHECKING:
    from portfolio.conflicts.diagnose import Conflict, diagnose
    from portfolio.draw.balance import Draw, balance
    from portfolio.draw.headroom import TOLERATED, Reach, Rehearsal, initial_headroom, reach, rehearse, too_narrow
    from portfolio.limits import (
        Limit,
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
    from portfolio.maxima import PriceRange, frontier, price_range
    from portfolio.measures import MEASURES, Measure
    from portfolio.prices import Oracle, Prices, Response, solve_prices
    from portfolio.risk.solver import solve_with_risk
    from portfolio.risk.terms import Risk, RiskSolution
    from portfolio.scenarios import Change, Totals, compare
    from portfolio.solution import Solution
    from portfolio.solver import solve
else:
    __getattr__ = lazily(
        __name__,
        {
            "conflicts.diagnose": "Conflict diagnose",
            "draw.balance": "Draw balance",
            "draw.headroom": "Reach Rehearsal TOLERATED initial_headroom reach rehearse too_narrow",
            "limits": ("Limit Problem Rows Selection Share Usage compile_rows expected_use ruled_out usage use_of"),
            "maxima": "PriceRange frontier price_range",
            "measures": "MEASURES Measure",
            "prices": "Oracle Prices Response solve_prices",
            "risk.solver": "solve_with_risk",
            "risk.terms": "Risk RiskSolution",
            "scenarios": "Change Totals compare",
            "solution": "Solution",
            "solver": "solve",
        },
    )

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
