"""A belief taken apart adds up to itself."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from bandit import Columns, Log, Rows, contributions, fit_basis, fit_prior, start, start_experts


@pytest.fixture(scope="module")
def learnt():
    """Four offers, the last of them with too few rows to be warm; no offer is arm 4."""
    rng = np.random.default_rng(5)
    rows, k = 3_000, 4
    customers = np.column_stack([rng.normal(size=rows), rng.integers(0, 3, rows), rng.normal(size=rows)])
    arm = rng.choice([0, 1, 2, 3, 4], rows, p=[0.3, 0.3, 0.2, 0.02, 0.18])
    logit = -0.5 + customers[:, 0] * np.array([1.0, -1.0, 0.3, 0.0, 0.5])[arm] + 0.4 * (customers[:, 1] == 2)
    outcome = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(float)
    offers = np.column_stack([np.arange(k + 1.0), [5.0, 1.0, 2.0, 3.0, np.nan]])
    columns = Columns(("age", "segment", "spend"), ("code", "margin"), (1, 3))
    log = Log(customers, arm, outcome, np.arange(rows) / 100.0, np.arange(rows, dtype=np.uint64))
    fitted = fit_prior(log, offers, columns, seed=1)
    basis = fit_basis(customers, columns, levels={"segment": 3})
    seen = Rows(basis(customers), fitted.shown, arm, outcome)
    state = start(seen, fitted.as_cold, k + 1, centre=0.1, block=basis.blocks)
    assert not fitted.prior.constant and not fitted.prior.warm[3]
    return fitted.prior, state, basis, customers, (seen, fitted.as_cold)


@pytest.fixture(scope="module", params=["posterior", "experts", "without waves"])
def any_state(request, learnt):
    """One posterior; three, of which some rows have told apart who foresees them; of these the first two."""
    _, state, basis, _, (seen, as_cold) = learnt
    if request.param == "posterior":
        return state
    made = start_experts(seen, as_cold, 5, centre=0.1, block=basis.blocks, seed=2)
    made = made.update(replace(seen, outcome=np.roll(seen.outcome, 7)), window=3)
    counted = np.array([0.1, 0.0, 0.2 if request.param == "experts" else -np.inf])
    return replace(made, score=counted)


def test_terms_add_up_to_the_posterior_mean_of_every_arm(learnt, any_state):
    prior, _, basis, customers, _ = learnt
    state = any_state
    some = customers[:40]
    beliefs = state.beliefs(basis(some), prior.logits(some))
    for arm in range(5):
        found = contributions(prior, state, some, basis(some), np.full(40, arm))
        assert np.abs(found.logit - beliefs.mean[:, arm]).max() < 2e-5
        assert np.ptp(found.level) < 1e-12
        assert found.voices.shape == (40, len(state.shares))
        assert np.abs(found.voices.sum(1) - found.residual.sum(1)).max() < 1e-12


def test_of_experts_each_says_his_share_of_what_he_believes(learnt):
    prior, state, basis, customers, (seen, as_cold) = learnt
    three = start_experts(seen, as_cold, 5, centre=0.1, block=basis.blocks, seed=2)
    some, arm = customers[:20], np.arange(20) % 5
    found = contributions(prior, three, some, basis(some), arm)
    alone = contributions(prior, state, some, basis(some), arm)
    assert np.abs(3 * found.voices[:, 0] - alone.residual.sum(1)).max() < 1e-12
    assert np.array_equal(found.columns, alone.columns)
    assert np.abs(found.voices[:, 0] - found.voices[:, 2]).max() > 1e-3


def test_the_column_that_matters_most_adds_most(learnt):
    prior, state, basis, customers, _ = learnt
    found = contributions(prior, state, customers[:300], basis(customers[:300]), np.zeros(300, np.int64))
    size = np.abs(found.columns).mean(0)
    assert size[0] == size.max() > 0.3 > 2 * size[2]


def test_arms_and_shapes_are_checked(learnt):
    prior, state, basis, customers, _ = learnt
    some = customers[:2]
    with pytest.raises(ShapeError, match=r"0\.\.4"):
        contributions(prior, state, some, basis(some), np.array([0, 5]))
    with pytest.raises(ShapeError, match="do not fit"):
        contributions(prior, state, some, basis(some), np.array([0]))
