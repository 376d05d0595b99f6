"""Prices from the expected dual on random problems: found every time, in few passes, and right for every limit."""

from dataclasses import replace

import numpy as np
import pytest

from bandit import Beliefs, Scores, Use
from engine.oracle import ExpectedOracle
from engine.policy import ROUGHLY, Setting, affordable_policy
from engine.sampling import stratified
from portfolio import Limit, Problem, Selection, Share, compile_rows, initial_headroom, solve_prices

TOLERANCE = 1e-4
SPREADS = (1.0, 0.1, 3.0)


def market(seed, n=None):
    """Customers with beliefs of a spread that the seed says, and no limits yet."""
    r = np.random.default_rng((seed, 3))
    n, k, cells = n or int(r.integers(250, 900)), int(r.integers(3, 9)), int(r.integers(1, 6))
    cell = r.integers(0, cells, n)
    mean = r.normal(-2, 0.7, k) + r.normal(0, 0.5, (cells, k))[cell] + r.normal(0, 0.8, (n, k))
    sd = SPREADS[seed % 3] * np.exp(r.normal(-1.0, 0.5, (n, k)))
    margin = r.uniform(20, 200, k)
    cost = r.uniform(0.3, 8, k) * np.exp(r.normal(0, 0.3, (n, k)))
    worth = margin / (1 + np.exp(-mean))
    eligible = r.random((n, k)) < 0.8
    scores = Scores(mean, sd, margin, np.zeros(k), eligible, 0.0)
    return ExpectedOracle(scores, Use(cost, worth, cell, cells)), r


def bounded(oracle, r):
    """Limits of every kind that some policy keeps: one at random charges, between a third and 1.5 times those usual."""
    k, cells = oracle.scores.mean.shape[1], oracle.use.n_cells
    free = oracle(np.zeros((3, cells, k)), curvature=False)
    scale = free.value / len(oracle.use.cell)
    tight = r.uniform(0.3, 1.5)
    witness = r.uniform(-0.3, tight, (3, cells, k)) * scale / np.array([1.0, 4.0, scale]).reshape(3, 1, 1) / 3
    kept = oracle(witness, curvature=False).use
    most = np.maximum(kept, 0.02 * free.use)  # no maximum next to nothing
    at_most, at_least = 1 + r.uniform(0, 0.2, 8), 1 - r.uniform(0, 0.2, 8)
    part = kept[0, :, 0].sum() / kept[0].sum()
    same = float(kept[0, :, k - 1].sum())
    limits = [
        Limit("budget", "cost", maximum=at_most[0] * most[1].sum()),
        *(Limit(f"cap {a}", "count", maximum=at_most[1 + a] * most[0, :, a].sum(), offers=(a,)) for a in range(2)),
        Limit("cell budget", "cost", maximum=at_most[3] * most[1, 0].sum(), cells=(0,)),
        Limit("channel", "count", at_least[0] * kept[0, :, 1:].sum(), at_most[4] * most[0, :, 1:].sum(), range(1, k)),
        Limit("floor", "count", minimum=at_least[1] * kept[0, :, k - 1].sum(), offers=(k - 1,)),
        Limit("worth", "value", minimum=at_least[2] * kept[2, :, 2].sum(), offers=(2,)),
        Limit("exactly", "count", minimum=same, maximum=same, offers=(k - 1,)),
        Share("mix", "count", Selection((0,)), Selection(), minimum=at_least[3] * part, maximum=at_most[5] * part),
        Limit("cap 0 again", "count", maximum=at_most[1] * most[0, :, 0].sum(), offers=(0,)),
    ]
    some = [limits[i] for i in sorted(r.choice(len(limits), int(r.integers(3, len(limits) + 1)), replace=False))]
    return tuple(some), scale


def assert_right(oracle, rows, found, sample):
    """Every limit within a ten thousandth of its size where it has a price, else not broken; counted anew.

    Its size is its bound. A share has none: a tenth of what would flow through it without prices, as the sample sees
    it; and no bound counts as smaller than a thousandth of that.
    """
    level = rows.consumption(oracle(rows.charges(found.price), curvature=False).use)
    free = sample(np.zeros(rows.coefficient.shape[1:]), curvature=False).use
    through = np.einsum("rtga,tga->r", np.abs(rows.coefficient), free)
    for r, name in enumerate(rows.names):
        bounds = [abs(b) for b in (rows.lower[r], rows.upper[r]) if np.isfinite(b)]
        near = TOLERANCE * (max(*bounds, (0.1 if name == "mix" else 0.001) * through[r]) or 1.0)
        assert rows.lower[r] - near <= level[r] <= rows.upper[r] + near, name
        if found.price[r] > 0:
            assert level[r] == pytest.approx(rows.upper[r], abs=near), name
        if found.price[r] < 0:
            assert level[r] == pytest.approx(rows.lower[r], abs=near), name


def check(seeds):
    priced = 0
    for seed in seeds:
        oracle, r = market(seed)
        limits, scale = bounded(oracle, r)
        rows = compile_rows(limits, oracle.use.n_cells, oracle.scores.mean.shape[1])
        sample = oracle.sample(*stratified(oracle.use.cell, len(oracle.use.cell) // 3)) if seed % 2 else None
        seen = []
        found = solve_prices(
            oracle,
            rows,
            rough=replace(oracle, tolerance=ROUGHLY) if seed % 4 < 2 else None,
            samples=[lambda _, sample=sample: sample] if sample else [],
            scale=scale,
            progress=lambda _, worst, seen=seen: seen.append(worst),
        )
        assert found.status == "converged", (seed, found)
        assert_right(oracle, rows, found, sample or oracle)
        assert len(seen) <= (12 if sample else 20), (seed, seen)
        assert np.isfinite(found.price).all()
        assert (np.abs(found.price * np.abs(rows.coefficient).max((1, 2, 3))) < 1e3 * scale).all()
        assert found.bound >= found.use[2].sum() * (1 - 1e-6) - 1e-6
        priced += np.count_nonzero(found.price)
    assert priced > len(seeds)


@pytest.mark.parametrize("block", range(3))
def test_prices_are_found_and_right_for_every_limit(block):
    check(range(9 * block, 9 * block + 9))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(10))
def test_prices_are_found_and_right_for_every_limit_at_length(block):
    check(range(100 + 15 * block, 115 + 15 * block))


def limited(seed, n):
    """A policy's arguments: n customers under a budget, caps and a minimum, at a part of what they would use freely."""
    oracle, _ = market(seed, n)
    s, u = oracle.scores, oracle.use
    use = oracle(np.zeros((3, u.n_cells, u.cost.shape[1])), curvature=False).use
    limits = (
        Limit("budget", "cost", maximum=0.4 * use[1].sum()),
        Limit("cap", "count", maximum=float(np.ceil(0.5 * use[0, :, 0].sum())), offers=(0,)),
        Limit("floor", "count", minimum=float(np.ceil(2 * use[0, :, 1].sum())), offers=(1,)),
    )
    return Beliefs(s.mean, s.sd), s.value, Problem(u.worth, u.cost, s.eligible, u.cell, limits)


def test_a_raised_headroom_starts_from_the_old_prices_and_needs_few_passes():
    """Samples are not asked again, and a step or two are enough."""
    beliefs, margin, problem = limited(0, 12_000)
    rows = compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])
    headroom = initial_headroom(rows, problem)
    first = affordable_policy(beliefs, margin, problem, setting=Setting(0.0, headroom))
    assert first.passes <= 6
    raised = affordable_policy(beliefs, margin, problem, setting=Setting(0.0, 2 * headroom, first.price))
    assert raised.passes <= 3
    anew = affordable_policy(beliefs, margin, problem, setting=Setting(0.0, 2 * headroom))
    assert raised.price == pytest.approx(anew.price, rel=1e-3)
    level = rows.consumption(raised.use)
    assert level[0] == pytest.approx(rows.upper[0] - 2 * headroom[0], rel=1e-4)
    assert level[2] == pytest.approx(rows.lower[2] + 2 * headroom[2], rel=1e-4)


class Counted:
    """An oracle that remembers what it was asked."""

    def __init__(self, oracle):
        self.oracle, self.asked = oracle, []

    def __call__(self, charges, *, curvature):
        self.asked.append((charges.tobytes(), curvature))
        return self.oracle(charges, curvature=curvature)


def test_nobody_is_asked_twice_and_near_the_answer_no_sample_is_asked():
    oracle, r = market(3, 900)
    limits, scale = bounded(oracle, r)
    rows = compile_rows(limits, oracle.use.n_cells, oracle.scores.mean.shape[1])

    def asked(start):
        full, sample = Counted(oracle), Counted(oracle.sample(*stratified(oracle.use.cell, 300)))
        found = solve_prices(full, rows, samples=[lambda _: sample], scale=scale, start=start)
        assert len(set(full.asked)) == len(full.asked) == found.passes
        return found, sum(curvature for _, curvature in sample.asked)

    found, steps = asked(None)
    assert steps > 1 and found.passes > 1
    again, steps = asked(found.price * 1.001)
    assert steps == 0 and again.passes <= 3
    assert again.price == pytest.approx(found.price, rel=1e-2, abs=1e-3 * scale)
    _, steps = asked(found.price + 100 * scale * np.sign(found.price))
    assert steps > 0


def test_a_start_from_afar_costs_a_few_passes_more_and_arrives():
    beliefs, margin, problem = limited(1, 12_000)
    one = affordable_policy(beliefs, margin, problem, setting=Setting(0.0))
    far = affordable_policy(beliefs, margin, problem, setting=Setting(0.0, start=np.array([500.0, 500.0, -500.0])))
    assert far.price == pytest.approx(one.price, rel=1e-3)
    assert far.passes <= one.passes + 3


def test_the_order_of_customers_changes_no_bit_of_the_prices():
    """While everybody is asked: samples are taken in the order of the rows."""
    beliefs, margin, problem = limited(2, 2_000)
    order = np.random.default_rng(0).permutation(2_000)
    p = problem
    turned = replace(p, value=p.value[order], cost=p.cost[order], eligible=p.eligible[order], cell=p.cell[order])
    setting = Setting(0.0, np.array([10.0, 2.0, 2.0]))
    one = affordable_policy(beliefs, margin, problem, setting=setting)
    other = affordable_policy(Beliefs(beliefs.mean[order], beliefs.sd[order]), margin, turned, setting=setting)
    assert np.array_equal(other.price, one.price)
    assert np.array_equal(other.probability, one.probability[order])
