"""Offers that came after training: cold arms that change nobody else by a bit."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from bandit import Columns, Log, Rows, contributions, fit_basis, fit_prior, start
from bandit.prior import Prior

OFFERS = 4  # arms 0..2 are warm, 3 has few rows, 4 is no offer


@pytest.fixture(scope="module")
def learnt():
    r = np.random.default_rng(5)
    n = 3_000
    customers = np.column_stack([r.normal(size=n), r.integers(0, 3, n), r.normal(size=n)])
    arm = r.choice(OFFERS + 1, n, p=[0.3, 0.3, 0.2, 0.02, 0.18])
    logit = -0.5 + customers[:, 0] * np.array([1.0, -1.0, 0.3, 0.0, 0.5])[arm]
    outcome = (r.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    offers = np.column_stack([np.arange(OFFERS + 1.0), [5.0, 1.0, 2.0, 3.0, np.nan]])
    columns = Columns(("age", "segment", "spend"), ("code", "margin"), (1, 3))
    log = Log(customers, arm, outcome, np.arange(n) / 100.0, np.arange(n, dtype=np.uint64))
    fitted = fit_prior(log, offers, columns, seed=1, threads=1)
    basis = fit_basis(customers, columns, levels={"segment": 3})
    rows = Rows(basis(customers), fitted.shown, arm, outcome)
    state = start(rows, fitted.as_cold, OFFERS + 1, centre=0.1, block=basis.blocks)
    assert not fitted.prior.constant and not fitted.prior.warm[3]
    return fitted.prior, state, basis, customers[:500]


def test_nobody_elses_logit_changes_and_a_newcomer_has_the_mean_of_the_warm_offers(learnt):
    prior, _, _, customers = learnt
    plain, wide = prior.logits(customers), prior.widened(1).widened(1).logits(customers)
    assert np.array_equal(wide[:, [0, 1, 2, 3, 6]], plain)
    assert np.array_equal(wide[:, 4], plain[:, 3]) and np.array_equal(wide[:, 5], plain[:, 3])
    assert np.abs(wide[:, 4] - plain[:, :3].mean(1)).max() < 1e-5


@pytest.mark.parametrize(
    "change", [{"warm": np.array([0, 0, 0, 0, 1], bool)}, {"slope": 0.0}], ids=["cold", "constant"]
)
def test_the_same_where_no_offer_is_warm_and_where_the_trees_are_not_used(learnt, change):
    prior, customers = replace(learnt[0], **change), learnt[3]
    plain, wide = prior.logits(customers), prior.widened(2).logits(customers)
    assert np.array_equal(wide[:, [0, 1, 2, 3, 6]], plain)
    assert np.array_equal(wide[:, 4], plain[:, 0]) and np.array_equal(wide[:, 5], plain[:, 0])


def test_nobody_elses_beliefs_change_and_a_newcomer_is_believed_like_its_group(learnt):
    prior, state, basis, customers = learnt
    wide = state.widened(2)
    plain = state.beliefs(basis(customers), prior.logits(customers), threads=1)
    found = wide.beliefs(basis(customers), prior.widened(2).logits(customers), threads=1)
    for one, other in ((plain.mean, found.mean), (plain.sd, found.sd)):
        assert np.array_equal(other[:, [0, 1, 2, 3, 6]], one)
    mean, covariance = wide.weights()
    assert np.allclose(mean[4:6], state.mean[1]) and np.allclose(covariance[5], np.diag(state.variance[1]))
    assert np.array_equal(wide.temperature()[4:6], [0.7, 0.7])


def test_a_fold_is_the_same_whenever_a_newcomer_without_rows_appeared(learnt):
    prior, state, basis, customers = learnt
    logit, outcome = prior.logits(customers), (customers[:, 0] > 0).astype(float)
    rows = Rows(basis(customers), logit[:, 0], np.arange(500) % 3, outcome)
    before, after = state.widened(1).update(rows, window=3), state.update(rows, window=3).widened(1)
    for name, array in before.to_arrays().items():
        assert np.array_equal(array, after.to_arrays()[name]), name


def test_a_newcomers_mean_is_taken_apart_like_any(learnt):
    prior, state, basis, customers = learnt
    wide, evidence, some = prior.widened(1), state.widened(1), customers[:20]
    beliefs = evidence.beliefs(basis(some), wide.logits(some), threads=1)
    found = contributions(wide, evidence, some, basis(some), np.full(20, OFFERS))
    assert np.abs(found.logit - beliefs.mean[:, OFFERS]).max() < 2e-5


def test_files_hold_what_was_trained(learnt):
    prior = learnt[0]
    assert prior.widened(3).to_files() == prior.to_files()
    assert Prior.from_files(prior.widened(3).to_files()).newcomers == 0


def test_a_newcomer_is_a_cold_offer(learnt):
    wide = learnt[0].widened(1)
    with pytest.raises(ShapeError, match="newcomers"):
        replace(wide, warm=np.ones(len(wide.warm), bool))
    with pytest.raises(ShapeError, match="newcomers"):
        replace(wide, newcomers=len(wide.offers))
