"""Which offers can we afford, and at what prices?"""

from portfolio.limits import MEASURES, Limit, Measure, Problem, Rows, Selection, Share, Usage, compile_rows, usage

__all__ = ["MEASURES", "Limit", "Measure", "Problem", "Rows", "Selection", "Share", "Usage", "compile_rows", "usage"]
