"""Laws of the estimators that know more than one log: several loggers, kinds of offers, agreement, robust models."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import offline_eval as oe
from allot import DataError, ShapeError

laws = settings(max_examples=25, deadline=None)


@st.composite
def two_loggers(draw):
    """Rows of two logging policies over k actions, with the chances of both."""
    r = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(4, 60)), draw(st.integers(2, 5))
    policies = 0.7 * r.dirichlet(np.ones(k), (2, n)) + 0.3 / k
    logger = np.concatenate([[0, 1], r.integers(0, 2, n - 2)])
    own = policies[logger, np.arange(n)]
    action = np.array([r.choice(k, p=p / p.sum()) for p in own])
    chances = policies[:, np.arange(n), action].T
    log = oe.Log(r.normal(size=n), action, own[np.arange(n), action])
    return log, r.dirichlet(np.ones(k), n), chances, logger


@laws
@given(two_loggers())
def test_one_logger_is_plain_ips(problem):
    log, target, _, _ = problem
    alone = np.zeros(len(log.reward), int)
    plain = oe.ips(log, target)
    balanced = oe.balanced_ips(log, target, log.propensity[:, None], alone)
    assert balanced.value == pytest.approx(plain.value, rel=1e-12, abs=1e-12)
    weighted = oe.weighted_ips(log, target, alone)
    assert weighted.value == pytest.approx(plain.value, rel=1e-12, abs=1e-12)
    assert weighted.std_error == pytest.approx(plain.std_error, rel=1e-9)


@laws
@given(two_loggers())
def test_the_mixture_lies_between_the_loggers_and_bounds_the_weights(problem):
    log, target, chances, logger = problem
    mixed = oe.pooled(log, chances, logger)
    assert (mixed.propensity >= chances.min(1) * (1 - 1e-12)).all()
    assert (mixed.propensity <= chances.max(1) * (1 + 1e-12)).all()
    share = np.bincount(logger)[logger] / len(logger)
    assert (oe.weights(mixed, target) <= oe.weights(log, target) / share * (1 + 1e-12)).all()


def test_chances_that_contradict_the_propensities_are_refused_with_their_row():
    log = oe.Log(np.ones(3), np.zeros(3, int), np.full(3, 0.5))
    chances = np.array([[0.5, 0.1], [0.5, 0.1], [0.4, 0.1]])
    with pytest.raises(DataError, match="row 2"):
        oe.pooled(log, chances, np.zeros(3, int))
    with pytest.raises(DataError, match="logger 2 of 2"):
        oe.pooled(log, chances, np.array([0, 1, 2]))
    with pytest.raises(DataError, match="row 1"):
        oe.pooled(log, np.array([[0.5, 0.1], [0.5, 1.1], [0.5, 0.1]]), np.zeros(3, int))


LOGGERS = np.array([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [[0.1, 0.1, 0.8], [0.6, 0.3, 0.1]]])  # logger, context, action
TARGET = np.array([[0.2, 0.2, 0.6], [0.7, 0.3, 0.0]])
CHANCE = np.array([[0.9, 0.4, 0.2], [0.3, 0.6, 0.1]])
TRUTH = float((TARGET * CHANCE).sum(1).mean())


def every_log(reward):
    """All logs of one row by each of two loggers, with their chances; reward (context, action) is a success rate."""
    cells = list(product(range(2), range(3), (0, 1)))
    for rows in product(cells, repeat=2):
        chance = 1.0
        for logger, (x, a, r) in enumerate(rows):
            chance *= 0.5 * LOGGERS[logger, x, a] * (reward[x, a] if r else 1 - reward[x, a])
        x, a, r = (np.array(column) for column in zip(*rows, strict=True))
        yield chance, x, a, r.astype(float)


def test_balanced_ips_is_unbiased_over_every_possible_log_and_varies_less_than_plain_ips():
    both = np.arange(2)
    found = []
    for chance, x, a, r in every_log(CHANCE):
        log = oe.Log(r, a, LOGGERS[both, x, a])
        chances = LOGGERS[:, x, a].T
        found.append((chance, oe.balanced_ips(log, TARGET[x], chances, both).value, oe.ips(log, TARGET[x]).value))
    chance, balanced, plain = np.array(found).T
    assert chance @ balanced == pytest.approx(TRUTH, abs=1e-12)
    assert chance @ plain == pytest.approx(TRUTH, abs=1e-12)
    assert chance @ (balanced - TRUTH) ** 2 < 0.5 * (chance @ (plain - TRUTH) ** 2)


def test_marginal_weights_are_unbiased_over_every_possible_log_where_only_the_kind_matters():
    kind = np.array([0, 1, 1])
    reward = np.array([[0.9, 0.4, 0.4], [0.3, 0.6, 0.6]])  # actions 1 and 2 are alike
    truth = float((TARGET * reward).sum(1).mean())
    found = []
    for chance, x, a, r in every_log(reward):
        log = oe.Log(r, a, LOGGERS[np.arange(2), x, a])
        found.append((chance, oe.mips(log, TARGET[x], LOGGERS[np.arange(2), x], kind).value))
    chance, value = np.array(found).T
    assert chance @ value == pytest.approx(truth, abs=1e-12)


@laws
@given(two_loggers())
def test_kinds_of_one_action_each_are_ips_and_one_kind_for_all_is_the_mean_reward(problem):
    log, target, _, _ = problem
    n, k = target.shape
    chances = np.random.default_rng(n).dirichlet(np.ones(k), n)
    own = oe.Log(log.reward, log.action, chances[np.arange(n), log.action])
    assert oe.mips(own, target, chances, np.arange(k)).value == pytest.approx(oe.ips(own, target).value, rel=1e-10)
    assert oe.mips(own, target, chances, np.zeros(k, int)).value == pytest.approx(log.reward.mean(), abs=1e-12)
    shown = np.eye(k)[log.action]  # each action shows itself: a table of p(e | a) instead of groups
    assert oe.mips(own, target, chances, shown).value == pytest.approx(oe.ips(own, target).value, rel=1e-10)
    with pytest.raises(ShapeError):
        oe.mips(own, target, chances[:, :-1], np.arange(k))


@laws
@given(problem=two_loggers(), seed=st.integers(0, 99))
def test_replay_of_a_deterministic_policy_is_the_mean_of_the_rows_that_agree(problem, seed):
    log, target, _, _ = problem
    n, k = target.shape
    wants = np.random.default_rng(seed).integers(0, k, n)
    uniform = oe.Log(log.reward, log.action, np.full(n, 1 / k))
    agrees = wants == log.action
    found = oe.replay(uniform, np.eye(k)[wants])
    if agrees.any():
        assert found.value == pytest.approx(log.reward[agrees].mean(), abs=1e-12)
        same = oe.snips(uniform, np.eye(k)[wants])
        assert (found.value, found.std_error) == pytest.approx((same.value, same.std_error), rel=1e-10, abs=1e-12)
    else:
        assert np.isnan(found.value)


def test_replay_refuses_random_targets_and_logs_that_are_not_uniform():
    log = oe.Log(np.ones(4), np.array([0, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.4]))
    with pytest.raises(ShapeError, match="uniformly"):
        oe.replay(log, np.eye(2)[[0, 1, 1, 0]])
    with pytest.raises(ShapeError, match="deterministic"):
        oe.replay(oe.Log(np.ones(4), np.array([0, 1, 0, 1]), np.full(4, 0.5)), np.full((4, 2), 0.5))


def test_mrdr_weights_are_those_of_the_paper_for_a_deterministic_target():
    log = oe.Log(np.ones(3), np.array([0, 1, 1]), np.array([0.5, 0.2, 0.4]))
    target = np.eye(2)[[0, 1, 0]]
    assert oe.mrdr_weights(log, target) == pytest.approx([(1 - 0.5) / 0.25, (1 - 0.2) / 0.04, 0.0])


def confounded(n, seed):
    """Rewards that no line fits, a log that rarely goes where the target always goes, five rows per customer."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(n // 5, 1)).repeat(5, axis=0)
    rare = 1 / (1 + np.exp(2.5 + 1.5 * x[:, 0]))
    action = (r.random(n) < rare).astype(int)
    reward = np.where(action == 1, 3 * np.exp(-x[:, 0]), 0.0) + r.normal(size=n) * 0.3
    log = oe.Log(reward, action, np.where(action == 1, rare, 1 - rare), np.repeat(np.arange(n // 5), 5))
    return log, np.tile([0.0, 1.0], (n, 1)), x, float(3 * np.exp(0.5))


def test_mrdr_is_unbiased_and_varies_less_than_dr_with_a_model_fitted_without_weights():
    found = []
    for seed in range(60):
        log, target, x, truth = confounded(2000, seed)
        plain = np.empty(target.shape)
        design = np.column_stack([np.ones(len(x)), x])
        for fold in range(5):
            held = log.cluster % 5 == fold
            for a in range(2):
                rows = ~held & (log.action == a)
                plain[held, a] = design[held] @ np.linalg.lstsq(design[rows], log.reward[rows], rcond=None)[0]
        found.append((oe.mrdr(log, target, x).value - truth, oe.dr(log, target, plain).value - truth))
    error = np.array(found)
    assert abs(error[:, 0].mean()) < 4 * error[:, 0].std() / np.sqrt(60)
    assert np.square(error[:, 0]).mean() < 0.25 * np.square(error[:, 1]).mean()


def test_mrdr_predicts_no_customer_by_a_model_that_saw_it():
    """Changing one customer's rewards must not change what the model says of that customer."""
    log, target, x, _ = confounded(400, 3)
    mine = log.cluster == log.cluster[np.argmax(log.action == 1)]
    raised = oe.Log(log.reward + 100.0 * mine, log.action, log.propensity, log.cluster)
    base = oe.mrdr(log, target, x).terms.base
    other = oe.mrdr(raised, target, x).terms.base
    assert np.array_equal(base[mine], other[mine])
    assert not np.array_equal(base, other)


def test_mrdr_is_not_carried_away_by_a_customer_unlike_all_others():
    """One far out, and a column that two in four hundred have, in any unit: predictions stay within the rewards."""
    log, target, x, _ = confounded(2000, 1)
    far = np.where(log.cluster[:, None] == 0, 50.0, x)
    found = oe.mrdr(log, target, far)
    assert log.reward.min() <= found.terms.base.min()
    assert found.terms.base.max() <= log.reward.max()
    rare = np.where(log.cluster < 2, 1.0, 0.0)[:, None]
    for unit in (1.0, 1e-6, 1e6):
        found = oe.mrdr(log, target, np.hstack([x, 5.0 + unit * rare]))
        assert found.value == pytest.approx(oe.mrdr(log, target, x).value, abs=0.5 * found.std_error)
