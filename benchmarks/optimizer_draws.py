"""Rows of the optimizer's figures: the affordable policy and its balanced draw."""

from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks import recount
from benchmarks.instances import Expected, make_beliefs
from benchmarks.measure import MILLION, WARM, Row, peak, timed
from engine.policy import Policy, Setting, affordable_policy
from portfolio import Draw, Problem, balance, compile_rows, initial_headroom, rehearse
from portfolio.draw.headroom import WANTED

_DRAWS: Final = 20


def policy() -> list[Row]:
    """A million customers: prices and probabilities, then the draw, under 31 limits."""
    return _policy_and_draw(31, "<= 40 s", 40, "<= 4 s", 4)


def policy_many_limits() -> list[Row]:
    """The same under 200 limits."""
    return _policy_and_draw(200, "", np.inf, "<= 5 s", 5)


def policy_explored() -> list[Row]:
    """The same with 1 % exploration: every eligible offer has a chance, so the draw has five times the work."""
    return _policy_and_draw(31, "", np.inf, "", np.inf, share=0.01)


def _policy_and_draw(
    limits: int, floor: str, most: float, draw_floor: str, draw_most: float, share: float = 0.0
) -> list[Row]:
    small = make_beliefs(WARM, limits=limits)
    balance(_priced(small, share).probability, small.problem, seed=1)
    expected = make_beliefs(MILLION, limits=limits)
    found, seconds = timed(lambda: _priced(expected, share))
    problem = expected.problem
    what = f"1M x 20, {limits} limits" + (f", {share:.0%} exploration" if share else "")
    live = float((found.probability[:, :-1] > 0).sum() / len(found.probability))
    detail = f"{found.passes} passes, {live:.1f} offers with a chance per customer"
    prices = Row(f"prices and probabilities, {what}", seconds, None, floor=floor, detail=detail)
    (drawn, drawing), extra = peak(lambda: timed(lambda: balance(found.probability, problem, seed=1)))
    wrong = ", ".join(_breaks(problem, drawn))
    detail = f"peak memory beyond the inputs {extra / 2**20:,.0f} MB"
    row = Row(f"balanced draw, {what}", drawing, None, None, drawn.status, wrong, draw_floor, detail=detail)
    return [
        replace(prices, kept=seconds <= most if floor else None),
        replace(row, kept=drawing <= draw_most and drawn.status == "released" if draw_floor else None),
    ]


def _breaks(problem: Problem, drawn: Draw) -> list[str]:
    """What is wrong with a published plan; a draw that was refused publishes none."""
    return [f"breaks {name}" for name in recount.broken(problem, drawn.choice)] if drawn.status == "released" else []


def _priced(expected: Expected, share: float) -> Policy:
    problem = expected.problem
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    setting = Setting(share=share, headroom=initial_headroom(rows, problem))
    return affordable_policy(expected.beliefs, expected.margin, problem, setting=setting)


def _rehearsed(expected: Expected) -> Policy:
    """The policy with the headroom that a rehearsal asks for, as an allocation does it."""
    problem, keys = expected.problem, np.arange(len(expected.problem.value), dtype=np.uint64)
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    headroom, start = initial_headroom(rows, problem), None
    while True:
        setting = Setting(share=0.0, headroom=headroom, start=start)
        found = affordable_policy(expected.beliefs, expected.margin, problem, setting=setting)
        seen = rehearse(found.probability, problem, rows, seed=0, keys=keys)
        raised = np.maximum(headroom, np.where(seen.failures > 0, seen.suggested, 0.0))
        if seen.acceptance >= WANTED or np.array_equal(raised, headroom):
            return found
        headroom, start = raised, found.price


def deviations() -> list[Row]:
    """100,000 customers drawn many times: how far a plan strays from what was expected, and whether limits are kept."""
    expected = make_beliefs(100_000)
    problem = expected.problem
    found = _rehearsed(expected)
    balance(found.probability, problem, seed=0)
    priced = np.array([abs(found.prices[limit.name]) > 0 for limit in problem.limits])
    seconds, strayed, wrong, released = 0.0, np.zeros(len(priced)), [], 0
    for seed in range(_DRAWS):
        drawn, took = timed(lambda seed=seed: balance(found.probability, problem, seed=seed))  # type: ignore[misc]
        seconds += took
        wrong += _breaks(problem, drawn)
        if drawn.status == "released":
            released += 1
            away = np.abs(recount.deviations(problem, found.probability, drawn.choice))
            strayed = np.maximum(strayed, away)
    most, slack = strayed[priced].max(initial=0.0), strayed[~priced].max(initial=0.0)
    name = f"balanced draw, 100k x 20 x 31, mean of {_DRAWS}"
    detail = (
        f"largest deviation {most:.2f} coefficients in limits with a price, {slack:.2f} in those with room to spare"
    )
    row = Row(name, seconds / _DRAWS, None, None, f"{released} of {_DRAWS} released", ", ".join(wrong))
    return [replace(row, floor="deviations <= 3 coefficients", kept=bool(most <= 3), detail=detail)]
