"""Tables that were not played, and plans that were not drawn: what the calibration must find out."""

from dataclasses import replace
from functools import cache

import numpy as np
from engine_calibration import Case, Choices, Floats, Table, of_no_offer
from engine_greedy import mended
from engine_statistics import normalised

from bandit import Scores, Use, priced_probabilities
from engine.exploration import even_policy
from portfolio import Problem, solve

_SAMPLES = 200
_GAP = 0.01  # of a plan that nobody needs; its prices are those of the optimum long before


def mixed(case: Case, table: Table, share: float | None = None) -> Floats:
    """With an exploration share; the campaign's, if none is given."""
    part = case.share if share is None else share
    even, _ = even_policy(case.problem, case.rows, part)
    return (1.0 - part) * table + part * even


def at_charges(case: Case, charges: Floats, scores: Scores | None = None) -> Floats:
    """The policy of other charges, or of other beliefs."""
    use = Use(case.problem.cost, case.problem.value, case.problem.cell, case.problem.n_cells)
    return mixed(case, priced_probabilities(scores or case.worth.scores, use, charges).probability)


def sampled(case: Case, seed: int) -> Floats:
    """(n, k) values of one draw from the beliefs, net of fees."""
    s = case.worth.scores
    z = np.random.default_rng(seed).normal(size=s.mean.shape)
    out: Floats = s.value / (1.0 + np.exp(-(s.mean + s.sd * z))) - s.fee
    return out


def charges_of(case: Case, value: Floats) -> Floats:
    """(3, g, k) what the limits charge when these values are known."""
    p = case.problem
    known = Problem(value.astype(np.float32), p.cost, p.eligible, p.cell, p.limits)
    prices = solve(known, gap=_GAP).prices
    return case.rows.charges(np.array([prices[name] for name in case.rows.names]))


def net_of_charges(case: Case, value: Floats, charges: Floats) -> Floats:
    """(n, k + 1) what each option brings after charges; no offer brings nothing."""
    p = case.problem
    per_contact, per_cost, per_worth = (table[p.cell] for table in charges)
    net = value - per_contact - per_cost * p.cost - per_worth * p.value
    return np.column_stack([np.where(p.eligible, net, -np.inf), np.zeros(len(net))])


@cache
def at_prices_of_one_draw(case: Case) -> Floats:
    """Values drawn once from the beliefs, and the prices that are right for them."""
    return at_charges(case, charges_of(case, sampled(case, 1)))


def with_less_uncertainty(case: Case) -> Floats:
    s = case.worth.scores
    return at_charges(case, case.policy.charges, replace(s, sd=np.float32(0.8) * s.sd))


def counted_in_two_hundred_samples(case: Case) -> Floats:
    """How often each option was the best in 200 draws from the beliefs, instead of how likely it is."""
    seen = np.zeros((len(case.problem.cell), case.problem.value.shape[1] + 1))
    for seed in range(_SAMPLES):
        best = net_of_charges(case, sampled(case, seed), case.policy.charges).argmax(1)
        seen[np.arange(len(best)), best] += 1.0 / _SAMPLES
    return mixed(case, seen)


def at_no_prices(case: Case) -> Floats:
    return at_charges(case, 0.0 * case.policy.charges)


def with_one_offer_tilted(case: Case) -> Floats:
    """Five percent more of offer 5, at the expense of no offer."""
    table = normalised(case.policy.probability)
    more = np.minimum(0.05 * table[:, 5], 0.5 * table[:, -1])
    table[:, 5] += more
    table[:, -1] -= more
    return table


def with_exploration_never_played(case: Case) -> Floats:
    """Three percent more exploration than there was."""
    return mixed(case, normalised(case.policy.probability), 0.03)


def drawn_alone(case: Case, plans: int) -> Choices:
    """(plans, n) every customer drawn from the table without regard to the others."""
    p, r = normalised(case.policy.probability), np.random.default_rng(4)
    return np.stack([(p.cumsum(1) < r.random((len(p), 1))).sum(1) for _ in range(plans)])


def drawn_alone_and_mended(case: Case, plans: int) -> Choices:
    """The same plans, customers moved, those who lose least first, until every limit holds."""
    net = net_of_charges(case, case.problem.value.astype(np.float64), case.policy.charges)
    alone = drawn_alone(case, plans)
    return np.stack([of_no_offer(mended(case.problem, case.rows, plan, net)) for plan in alone])
