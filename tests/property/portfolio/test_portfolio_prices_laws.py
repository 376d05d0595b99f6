"""Prices from the expected dual, against a population that answers by a logit choice with an exact Hessian."""

from dataclasses import dataclass

import numpy as np
import pytest

from allot import ShapeError
from portfolio.limits import Limit, Selection, Share, compile_rows
from portfolio.prices import Response, hessian_of, solve_prices

_PAIRS = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))


@dataclass
class LogitPopulation:
    """Customers choose with probability proportional to exp(score / noise); no offer scores 0."""

    score: np.ndarray
    cost: np.ndarray
    worth: np.ndarray
    eligible: np.ndarray
    cell: np.ndarray
    noise: float
    weight: np.ndarray
    calls: int = 0

    @property
    def cells(self):
        return int(self.cell.max()) + 1

    def probability(self, charges):
        measures = np.stack([np.ones_like(self.cost), self.cost, self.worth])
        net = self.score - np.einsum("tia,tia->ia", charges[:, self.cell, :], measures)
        net = np.where(self.eligible, net, -np.inf)
        top = np.maximum(net.max(1), 0.0)
        terms = np.exp((net - top[:, None]) / self.noise)
        total = terms.sum(1) + np.exp(-top / self.noise)
        return terms / total[:, None], top + self.noise * np.log(total)

    def __call__(self, charges, *, curvature):
        self.calls += 1
        p, best = self.probability(charges)
        k = p.shape[1]
        measures = np.stack([np.ones_like(self.cost), self.cost, self.worth])
        use = np.zeros((3, self.cells, k))
        for t in range(3):
            np.add.at(use[t], self.cell, self.weight[:, None] * p * measures[t])
        tables = None
        if curvature:
            tables = np.zeros((6, self.cells, k, k))
            pull = (np.einsum("ia,ab->iab", p, np.eye(k)) - p[:, :, None] * p[:, None, :]) / self.noise
            pull *= self.weight[:, None, None]
            for j, (s, t) in enumerate(_PAIRS):
                np.add.at(tables[j], self.cell, pull * measures[s][:, :, None] * measures[t][:, None, :])
        return Response(float(self.weight @ best), use, tables)

    def roughly(self, rows, most=3e-4):
        off = np.random.default_rng(len(rows.names)).uniform(1 - most, 1 + most, rows.coefficient.shape[1:])
        return RoughPopulation(self, off)

    def sample(self, n, rng):
        pick = np.sort(rng.choice(len(self.cell), n, replace=False))
        weight = np.full(n, len(self.cell) / n)
        return LogitPopulation(
            self.score[pick],
            self.cost[pick],
            self.worth[pick],
            self.eligible[pick],
            self.cell[pick],
            self.noise,
            weight,
        )


def instance(seed, *, n=1200, k=6, g=4):
    """A population and limits of every kind that some policy keeps, tight or loose as the seed says."""
    rng = np.random.default_rng(seed)
    margin = rng.uniform(20, 200, k)
    cell = np.r_[np.arange(g), rng.integers(0, g, n - g)]
    logit = rng.normal(-3, 0.7, k) + rng.normal(0, 0.5, (g, k))[cell] + rng.normal(0, 0.8, (n, k))
    worth = margin / (1 + np.exp(-logit))
    cost = rng.uniform(0.3, 8, k) * np.exp(rng.normal(0, 0.3, (n, k)))
    noise = float(np.abs(worth).mean() * (0.1, 1.0, 3.0)[seed % 3] * 0.3)
    people = LogitPopulation(worth, cost, worth, rng.random((n, k)) < 0.8, cell, noise, np.ones(n))
    scale = float(np.where(people.eligible, worth, 0).max(1).mean())
    tight = rng.uniform(0.3, 1.5)
    witness = rng.uniform(-0.5, tight, (3, g, k)) * scale / np.array([1.0, 4.0, scale]).reshape(3, 1, 1) / 3
    kept = people(witness, curvature=False).use  # what a policy uses that keeps every limit below

    def above(x):
        return float(x) * rng.uniform(1.0, 1.2)

    def below(x):
        return float(x) * rng.uniform(0.8, 1.0)

    limits = [Limit("budget", "cost", maximum=above(kept[1].sum()))]
    limits += [Limit(f"cap {a}", "count", maximum=above(kept[0, :, a].sum()), offers=(a,)) for a in range(3)]
    part = float(kept[0, :, 5].sum() / kept[0].sum())
    equal = float(kept[0, 2, 3])
    limits += [
        Limit("cell budget", "cost", maximum=above(kept[1, 1].sum()), cells=(1,)),
        Limit("floor", "count", minimum=below(kept[0, :, 4].sum()), offers=(4,)),
        Limit("worth", "value", minimum=below(kept[2, :, 5].sum()), offers=(5,)),
        Limit("equal", "count", minimum=equal, maximum=equal, offers=(3,), cells=(2,)),
        Share("mix", "count", Selection(offers=(5,)), Selection(), minimum=below(part), maximum=above(part)),
    ]
    return people, tuple(limits), compile_rows(limits, g, k), scale


def assert_prices_are_right(people, rows, found, tolerance=1e-4):
    use = people(rows.charges(found.price), curvature=False).use
    consumed = rows.consumption(use)
    gross = np.einsum("rtga,tga->r", np.abs(rows.coefficient), use)
    for r, name in enumerate(rows.names):
        bounds = [abs(b) for b in (rows.lower[r], rows.upper[r]) if np.isfinite(b)]
        size = max(bounds) if max(bounds) > 0 else gross[r]
        assert consumed[r] <= rows.upper[r] + tolerance * size, name
        assert consumed[r] >= rows.lower[r] - tolerance * size, name
        if found.price[r] > 0:
            assert consumed[r] == pytest.approx(rows.upper[r], abs=tolerance * size), name
        if found.price[r] < 0:
            assert consumed[r] == pytest.approx(rows.lower[r], abs=tolerance * size), name


@dataclass
class RoughPopulation:
    """Answers a little wrong, each offer in its own way: the use of everybody, off by up to some parts."""

    people: LogitPopulation
    off: np.ndarray

    def __call__(self, charges, *, curvature):
        answer = self.people(charges, curvature=curvature)
        return Response(answer.value, answer.use * self.off, answer.curvature)


@pytest.mark.parametrize("block", range(4))
def test_every_limit_is_met_within_a_ten_thousandth_with_and_without_samples(block):
    for seed in range(8 * block, 8 * block + 8):
        people, _, rows, scale = instance(seed)
        rng = np.random.default_rng(seed)
        alone = solve_prices(people, rows, scale=scale)
        samples = [lambda _, size=size, rng=rng, people=people: people.sample(size, rng) for size in (300, 1000)]
        helped = solve_prices(people, rows, samples=samples, scale=scale)
        hurried = solve_prices(people, rows, rough=people.roughly(rows), samples=samples, scale=scale)
        for found in (alone, helped, hurried):
            assert found.status == "converged", (seed, found)
            assert found.violation <= 1e-4
            assert_prices_are_right(people, rows, found)
            assert np.abs(found.price).max() < 100 * scale
        assert helped.bound == pytest.approx(alone.bound, rel=1e-6)
        assert max(helped.passes, hurried.passes) <= 40


def test_exact_answers_decide_and_are_asked_for_once_or_twice():
    """However wrong the rough answers are: what they miss is put right where the exact ones were given."""
    for seed, most in ((0, 0.0), (1, 1e-3), (2, 1e-3), (4, 1e-2)):
        people, _, rows, scale = instance(seed)
        exact = []

        def full(charges, *, curvature, people=people, exact=exact):
            exact.append(curvature)
            return people(charges, curvature=curvature)

        found = solve_prices(full, rows, rough=people.roughly(rows, most), scale=scale)
        assert_prices_are_right(people, rows, found)
        assert found.status == "converged"
        assert 1 <= len(exact) <= (3 if most else 1)
        assert not any(exact)  # a last step's curvature is of no use


def test_one_impossible_limit_is_named_and_the_others_are_still_kept():
    people, limits, _, scale = instance(1)
    eligible = float(people.eligible[:, 0].sum())
    rows = compile_rows((Limit("too much", "count", minimum=1.2 * eligible, offers=(0,)), limits[0], limits[4]), 4, 6)
    loose = compile_rows((Limit("too much", "count", minimum=1.2 * eligible, offers=(0,)),), 4, 6)
    found = solve_prices(people, loose, scale=scale)
    assert (found.status, found.infeasible) == ("infeasible", ("too much",))
    assert np.isfinite(found.price).all() and found.price[0] < 0
    both = solve_prices(people, rows, scale=scale)
    assert both.status == "infeasible" and "too much" in both.infeasible


def test_a_penalty_is_the_highest_price_and_its_limit_may_then_be_broken():
    people, _, _, scale = instance(1)
    free = people(np.zeros((3, 4, 6)), curvature=False).use[0].sum()
    for penalty, broken in ((0.01 * scale, True), (50 * scale, False)):
        rows = compile_rows((Limit("contacts", "count", maximum=0.3 * free, penalty=penalty),), 4, 6)
        found = solve_prices(people, rows, scale=scale)
        assert found.status == "converged"
        assert found.price[0] <= penalty * (1 + 1e-12)
        assert bool(rows.consumption(found.use)[0] > 0.3001 * free) == broken


def test_limits_that_do_not_bind_cost_nothing_and_no_limit_at_all_works():
    people, _, _, scale = instance(2)
    loose = compile_rows((Limit("contacts", "count", maximum=1e9), Limit("spend", "cost", minimum=0.0)), 4, 6)
    found = solve_prices(people, loose, scale=scale)
    assert found.status == "converged"
    assert not found.price.any()
    none = solve_prices(people, compile_rows((), 4, 6), scale=scale)
    assert none.price.shape == (0,)
    assert none.bound == pytest.approx(found.bound)


def test_money_in_cents_gives_the_same_policy():
    people, _, rows, scale = instance(3)
    cents = LogitPopulation(
        1000 * people.score,
        people.cost,
        1000 * people.worth,
        people.eligible,
        people.cell,
        1000 * people.noise,
        people.weight,
    )
    factor = 1.0 / np.where([name == "worth" for name in rows.names], 1000.0, 1.0)
    scaled = type(rows)(rows.names, rows.coefficient.copy(), rows.lower, rows.upper, rows.penalty)
    scaled.coefficient[:, 2] *= factor[:, None, None]
    one = solve_prices(people, rows, scale=scale)
    many = solve_prices(cents, scaled, scale=1000 * scale)
    assert many.status == "converged"
    assert many.bound == pytest.approx(1000 * one.bound, rel=1e-7)
    assert np.allclose(many.use[0], one.use[0], atol=1e-3 * one.use[0].sum())


def test_a_warm_start_at_the_answer_needs_one_step_and_a_bad_one_still_arrives():
    people, _, rows, scale = instance(4)
    found = solve_prices(people, rows, scale=scale)
    again = solve_prices(people, rows, scale=scale, start=found.price)
    assert again.passes < found.passes
    bad = solve_prices(people, rows, scale=scale, start=np.full(len(rows.names), 300.0 * scale))
    assert bad.status == "converged"
    assert bad.bound == pytest.approx(found.bound, rel=1e-6)


def test_the_hessian_is_the_derivative_of_consumption():
    people, _, rows, _ = instance(5)
    m = len(rows.names)
    price = np.random.default_rng(0).uniform(0, 0.1, m)
    hessian = hessian_of(rows, people(rows.charges(price), curvature=True).curvature)
    for r in range(m):
        step = 1e-5 * np.eye(m)[r]
        up, down = (rows.consumption(people(rows.charges(price + s), curvature=False).use) for s in (step, -step))
        assert np.allclose((down - up) / 2e-5, hessian[r], rtol=1e-4, atol=1e-4 * np.abs(hessian[r]).max())


def test_the_bound_holds_for_a_policy_inside_the_limits():
    """Weak duality: any policy that keeps the limits is worth no more, entropy of the logit choice included."""
    for seed in range(6):
        people, _, rows, scale = instance(seed)
        found = solve_prices(people, rows, scale=scale)
        _, best = people.probability(rows.charges(found.price))
        charged = np.einsum("tga,tga->", rows.charges(found.price), found.use)
        reached = float(best.sum()) + charged  # value with entropy, before charges
        assert reached <= found.bound + 1e-3 * abs(found.bound)
        assert found.bound == pytest.approx(reached, rel=1e-3)


def test_unusable_arguments_are_refused():
    people, _, rows, scale = instance(0)
    with pytest.raises(ShapeError):
        solve_prices(people, rows, scale=0.0)
    with pytest.raises(ShapeError):
        solve_prices(people, rows, scale=scale, start=np.zeros(2))
