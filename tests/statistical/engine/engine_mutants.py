"""Tables that were not played, and plans that were not drawn: what the calibration must find out."""

from dataclasses import replace

import numpy as np
from engine_calibration import Case, Choices, Floats, Table, normalised, of_no_offer

from bandit import Scores, Use, priced_probabilities
from engine.exploration import even_policy
from portfolio import Problem, solve, usage, use_of


def mixed(case: Case, table: Table) -> Floats:
    """With the campaign's exploration share."""
    even, _ = even_policy(case.problem, case.rows, case.share)
    return (1.0 - case.share) * table + case.share * even


def at_charges(case: Case, charges: Floats, scores: Scores | None = None) -> Floats:
    use = Use(case.problem.cost, case.problem.value, case.problem.cell, case.problem.n_cells)
    return mixed(case, priced_probabilities(scores or case.worth.scores, use, charges).probability)


def at_prices_of_one_draw(case: Case) -> Floats:
    """Values drawn once from the beliefs, and the prices that are right for them."""
    s = case.worth.scores
    z = np.random.default_rng(1).normal(size=s.mean.shape)
    value = (s.value / (1.0 + np.exp(-(s.mean + s.sd * z))) - s.fee).astype(np.float32)
    p = case.problem
    prices = solve(Problem(value, p.cost, p.eligible, p.cell, p.limits)).prices
    return at_charges(case, case.rows.charges(np.array([prices[name] for name in case.rows.names])))


def with_less_uncertainty(case: Case) -> Floats:
    s = case.worth.scores
    return at_charges(case, case.policy.charges, replace(s, sd=np.float32(0.8) * s.sd))


def at_no_prices(case: Case) -> Floats:
    return at_charges(case, 0.0 * case.policy.charges)


def with_one_offer_tilted(case: Case) -> Floats:
    """Five percent more of offer 5, at the expense of no offer."""
    table = normalised(case.policy.probability)
    more = np.minimum(0.05 * table[:, 5], 0.5 * table[:, -1])
    table[:, 5] += more
    table[:, -1] -= more
    return table


def drawn_alone(case: Case, plans: int) -> Choices:
    """(plans, n) every customer drawn from the table without regard to the others."""
    p, r = normalised(case.policy.probability), np.random.default_rng(4)
    return np.stack([(p.cumsum(1) < r.random((len(p), 1))).sum(1) for _ in range(plans)])


def mended(case: Case, plans: Choices) -> Choices:
    """The same plans, customers given up, those worth least first, until every maximum holds."""
    return np.stack([_mended(case, plan) for plan in plans])


def _mended(case: Case, plan: Choices) -> Choices:
    p, k = case.problem, case.problem.value.shape[1]
    choice = np.where(plan == k, -1, plan)
    worth = np.where(choice >= 0, p.value[np.arange(len(choice)), choice], np.inf)
    for i in np.argsort(worth):
        over = [x.name for x in usage(p.limits, use_of(p, choice)) if x.maximum is not None and x.slack < 0]
        if not over:
            break
        counted = case.rows.coefficient[[case.rows.names.index(name) for name in over]]
        if choice[i] >= 0 and (counted[:, :, p.cell[i], choice[i]] > 0).any():
            choice[i] = -1
    return of_no_offer(choice, k)
