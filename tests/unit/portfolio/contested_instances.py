"""Problems with limits of every kind that a plan keeps, or that contradict each other, and what plans must obey."""

from dataclasses import replace

import numpy as np
import pytest
from several_instances import limited

import portfolio.solver
from portfolio import Limit, Problem, Selection, Share, compile_rows, solve, use_of
from portfolio.certificate import bound_of
from portfolio.referee import whole_counts


def random_problem(seed, *, n=60, k=4, g=3, style="plain"):
    """Limits of every kind around a random plan, so that it exists; some of them fractional, some tight."""
    rng = np.random.default_rng(seed)
    value = rng.gamma(2.0, 10.0, (n, k)) - 5.0
    cost = rng.uniform(0.5, 5.0, (n, k))
    if style == "quantum":
        value = np.maximum(np.round(value / 5), 1) * 5.0
        cost = np.broadcast_to(np.round(rng.uniform(0.5, 5.0, k), 1), (n, k)).copy()
    if style == "copies":
        value, cost = np.repeat(value[: n // 10], 10, 0), np.repeat(cost[: n // 10], 10, 0)
    if style == "equal":
        value, cost = np.full((n, k), 7.0), np.full((n, k), 2.0)
    eligible = rng.random((n, k)) < 0.8
    cell = np.r_[np.arange(g), rng.integers(0, g, n - g)]
    plan = np.where(rng.random(n) < 0.6, rng.integers(0, k, n), -1)
    plan = np.where((plan >= 0) & eligible[np.arange(n), plan], plan, -1)
    bare = Problem(value, cost, eligible, cell)
    watched = Limit("watched", "cost", maximum=0.0, report_only=True)
    limits = limited((replace(bare, n_cells=g), plan), seed).limits
    return replace(bare, limits=(*limits, watched))


def contested(seed):
    """Limits of every kind around a plan, many of them equalities, some moved so that they may contradict others."""
    rng = np.random.default_rng(seed)
    style = ("plain", "quantum", "copies", "equal")[seed % 4]
    n, k, g = 10 * int(rng.integers(2, 6)), 4, 3
    problem = random_problem(seed, n=n, k=k, g=g, style=style)
    plan = np.where(rng.random(n) < 0.5, rng.integers(0, k, n), -1)
    plan = np.where((plan >= 0) & problem.eligible[np.arange(n), plan], plan, -1)
    stated = []
    for limit in problem.limits:
        if isinstance(limit, Limit):
            sides = [(x, y) for x, y in (("maximum", limit.maximum), ("minimum", limit.minimum)) if y is not None]
            side, bound = sides[0]
            limit = replace(limit, **{side: bound + rng.choice([0.0, 0.0, 1.0, -1.0]) * rng.integers(0, 12)})
        stated.append(limit)
    for name, limit in (("exactly", drawn_equality(rng, problem, plan)), ("share", drawn_share(rng, problem, plan))):
        penalty = float(rng.choice([0.5, 5.0, 500.0])) if rng.random() < 0.25 else None
        stated.append(replace(limit, name=name, penalty=penalty))
    return replace(problem, limits=tuple(x for x in stated if rng.random() < 0.7))


def drawn_equality(rng, problem, plan):
    """So many contacts, some of the time one that no plan can have."""
    offers = tuple(int(a) for a in rng.choice(problem.value.shape[1], int(rng.integers(1, 3)), replace=False))
    cells = None if rng.random() < 0.5 else (int(rng.integers(0, 3)),)
    count = amount(problem, plan[:, None], "count", Selection(offers, cells))[0] + float(rng.choice([0, 0, 1, 3, 25]))
    return Limit("", "count", minimum=count, maximum=count, offers=offers, cells=cells)


def drawn_share(rng, problem, plan):
    """A share of contacts, cost or value, between two bounds or on one side of one, around the plan's own or beside."""
    measure = ("count", "cost", "value")[int(rng.integers(0, 3))]
    part = Selection((int(rng.integers(0, problem.value.shape[1])),))
    whole = Selection(cells=None if rng.random() < 0.5 else (int(rng.integers(0, 3)),))
    part = replace(part, cells=whole.cells)
    have, of = (amount(problem, plan[:, None], measure, x)[0] for x in (part, whole))
    share = float(np.clip(have / of if of else 0.3, 0.0, 1.0))
    low, high = max(share - rng.uniform(0.02, 0.2), 0.0), min(share + rng.uniform(0.02, 0.2), 1.0)
    if rng.random() < 0.3:
        low, high = high, 1.0
    kind = int(rng.integers(0, 3))
    return Share("", measure, part, whole, minimum=None if kind == 0 else low, maximum=None if kind == 1 else high)


def planned(problem):
    """On the path for many customers, however few they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portfolio.solver, "EXACT_PAIRS", 0)
        return solve(problem)


def amount(problem, picked, measure, selection):
    """What the chosen pairs (n, most) of a selection count, without the product's own tables; and their gross."""
    measures = {"count": np.ones_like(problem.value), "cost": problem.cost, "value": problem.value}[measure]
    total = gross = 0.0
    for i, row in enumerate(picked):
        for a in row[row >= 0]:
            inside = selection.offers is None or a in selection.offers
            if inside and (selection.cells is None or problem.cell[i] in selection.cells):
                total, gross = total + float(measures[i, a]), gross + abs(float(measures[i, a]))
    return total, gross


def assert_kept(problem, choice):
    """Counted without the product's own tables."""
    picked = choice.reshape(len(problem.value), -1)
    for limit in problem.limits:
        if limit.penalty is not None or (isinstance(limit, Limit) and limit.report_only):
            continue
        if isinstance(limit, Share):
            (total, one), (whole, other) = (
                amount(problem, picked, limit.measure, s) for s in (limit.part, limit.whole)
            )
            room = 1e-9 * (one + other)
        else:
            (total, room), whole = amount(problem, picked, limit.measure, limit.selection), 1.0
            room = 1e-9 * room if limit.measure != "count" else 0.0
        assert limit.maximum is None or total <= limit.maximum * whole + room, limit.name
        assert limit.minimum is None or total >= limit.minimum * whole - room, limit.name
    rows = np.nonzero(picked >= 0)
    assert problem.eligible[rows[0], picked[rows]].all()


def assert_prices_pay_for_what_binds(problem, found):
    """Prices have the sign of their bound, prove the bound handed out, and where there is room they are worth nothing.

    What a price pays for room that is not used, or leaves of a penalty that is paid, is a part of the gap.
    """
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    price, count = found.row_prices, rows.consumption(use_of(problem, found.choice))
    rounding = 1e-9 * (abs(found.bound) + abs(found.value))
    assert not ((price > 0) & np.isinf(rows.upper)).any() and not ((price < 0) & np.isinf(rows.lower)).any()
    assert (np.abs(price) <= rows.penalty * (1 + 1e-12)).all()
    assert max(bound_of(problem, rows, price), found.value) == pytest.approx(found.bound, abs=rounding)
    room = np.where(price > 0, rows.upper - count, np.where(price < 0, count - rows.lower, 0.0))
    breach = np.maximum(np.maximum(count - rows.upper, rows.lower - count), 0.0)
    left = np.where(breach > 0, np.where(np.isfinite(rows.penalty), rows.penalty, 0.0) - np.abs(price), 0.0)
    lost = np.abs(price) * np.maximum(room, 0.0) + np.where(np.isfinite(rows.penalty), left * breach, 0.0)
    assert lost.sum() <= found.bound - found.value + rounding


def one_customer(problem):
    """What a customer can bring, and what the breaches of one can cost."""
    each = {"count": 1.0, "cost": problem.cost.max(), "value": np.abs(problem.value).max()}
    return problem.value.max() + sum(x.penalty * each[x.measure] for x in problem.limits if x.penalty is not None)
