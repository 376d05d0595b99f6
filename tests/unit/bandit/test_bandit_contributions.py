"""A belief taken apart adds up to itself."""

import numpy as np
import pytest

from allot import ShapeError
from bandit import Columns, Log, Rows, contributions, fit_basis, fit_prior, start


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
    state = start(
        Rows(basis(customers), fitted.shown, arm, outcome), fitted.as_cold, k + 1, centre=0.1, block=basis.blocks
    )
    assert not fitted.prior.constant and not fitted.prior.warm[3]
    return fitted.prior, state, basis, customers


def test_terms_add_up_to_the_posterior_mean_of_every_arm(learnt):
    prior, state, basis, customers = learnt
    some = customers[:40]
    beliefs = state.beliefs(basis(some), prior.logits(some))
    for arm in range(5):
        found = contributions(prior, state, some, basis(some), np.full(40, arm))
        assert np.abs(found.logit - beliefs.mean[:, arm]).max() < 2e-5
        assert np.ptp(found.level) < 1e-12


def test_the_column_that_matters_most_adds_most(learnt):
    prior, state, basis, customers = learnt
    found = contributions(prior, state, customers[:300], basis(customers[:300]), np.zeros(300, np.int64))
    size = np.abs(found.columns).mean(0)
    assert size[0] == size.max() > 0.3 > 2 * size[2]


def test_arms_and_shapes_are_checked(learnt):
    prior, state, basis, customers = learnt
    some = customers[:2]
    with pytest.raises(ShapeError, match=r"0\.\.4"):
        contributions(prior, state, some, basis(some), np.array([0, 5]))
    with pytest.raises(ShapeError, match="do not fit"):
        contributions(prior, state, some, basis(some), np.array([0]))
