"""Customers tossed as coins: one option against the others, again and again, and no chance is changed."""

import numpy as np
import pytest

from allot.uniforms import stream
from portfolio import Limit, Problem, balance, compile_rows
from portfolio.draw.basis import compile_coefficients
from portfolio.draw.basis_flight import Arrivals
from portfolio.draw.coins import no_coins, toss, undecided

ROW = np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.02])
K = len(ROW) - 1
FOUR = 4.0  # standard errors


def alike(n, *limits):
    """Customers with the same chances but for their order, each with costs of its own."""
    r = np.random.default_rng(0)
    turn = np.stack([r.permutation(K + 1) for _ in range(n)])
    chance = ROW[turn].astype(np.float32)
    cost = r.lognormal(0, 0.5, (n, K))
    return chance, turn, Problem(cost * 3, cost, cost > 0, r.integers(0, 2, n), limits)


def tossed(chance, problem, seed=0, parts=1):
    """Coins of one cell (all limits at once), their choices and who is still in the air."""
    rows = compile_rows(problem.limits, problem.n_cells, K)
    coins, coefficients = no_coins(len(rows.names), K), compile_coefficients(rows.coefficient)
    choice = np.full(len(chance), -1)
    for who in np.array_split(np.arange(len(chance)), parts):
        some = Arrivals(
            who,
            who.astype(np.uint64),
            problem.cell[who],
            chance[who].astype(np.float64),
            problem.cost[who],
            problem.value[who],
        )
        toss(coins, coefficients, some, stream(seed, "test"), choice)
    return choice, undecided(coins), rows


LIMITS = (Limit("cap", "count", maximum=60.0, offers=(0,)), Limit("budget", "cost", maximum=500.0))


def test_nobody_but_as_many_as_there_are_rows_is_left_in_the_air():
    chance, _, problem = alike(300, *LIMITS)
    choice, left, rows = tossed(chance, problem)
    assert len(left.customer) == len(rows.names)
    assert set(left.customer) == set(np.flatnonzero(choice < 0))
    assert np.allclose(left.chance.sum(1), 1.0) and (left.chance >= 0).all()
    assert (left.chance[chance[left.customer] == 0] == 0).all()


def test_the_blocks_in_which_customers_arrive_do_not_matter():
    chance, _, problem = alike(300, *LIMITS)
    whole = tossed(chance, problem)
    for parts in (2, 37):
        again = tossed(chance, problem, parts=parts)
        assert np.array_equal(again[0], whole[0])
        assert np.array_equal(again[1].chance, whole[1].chance)


def test_rows_stand_still_while_customers_are_decided():
    chance, _, problem = alike(300, *LIMITS)
    for seed in range(5):
        choice, left, rows = tossed(chance, problem, seed)
        share = np.zeros((300, K + 1))
        done = choice >= 0
        share[done, choice[done]] = 1.0
        share[left.customer] = left.chance
        before, after = (
            [x[:, 0].sum(), (x[:, :K] * problem.cost).sum()] for x in (chance / chance.sum(1, keepdims=True), share)
        )
        assert after == pytest.approx(before, rel=1e-7), rows.names


def test_options_keep_their_chances_however_often_a_customer_is_tossed():
    """The likeliest is decided at the first toss, the rarest at the fifth; with limits that hold the draws together."""
    draws, n = 150, 300
    chance, turn, problem = alike(n, *LIMITS)
    seen = np.zeros(K + 1)
    for seed in range(draws):
        choice, left, _ = tossed(chance, problem, seed)
        done = choice >= 0
        seen += np.bincount(turn[done, choice[done]], minlength=K + 1)
        np.add.at(seen, turn[left.customer], left.chance)
    expected = ROW * n * draws
    assert (np.abs(seen - expected) < FOUR * np.sqrt(expected * (1 - ROW))).all(), seen / (n * draws)


def test_every_customer_keeps_its_own_chances_in_the_plan():
    draws, n = 400, 60
    chance, turn, problem = alike(
        n, Limit("cap", "count", maximum=25.0, offers=(0,)), Limit("all", "count", maximum=57)
    )
    seen = np.zeros((n, K + 1))
    for seed in range(draws):
        choice = balance(chance, problem, seed=seed).choice
        seen[np.arange(n), turn[np.arange(n), np.where(choice < 0, K, choice)]] += 1
    often = ROW * draws >= 5
    terms = (seen - ROW * draws)[:, often] ** 2 / (ROW * draws)[often]
    freedom = n * (len(ROW) - 1)
    assert abs(terms.sum() - freedom) < FOUR * np.sqrt(2 * freedom)


def test_a_certain_customer_is_never_tossed_and_one_without_rows_is_tossed_alone():
    chance = np.eye(K + 1, dtype=np.float32)[[2, K, 0]]
    _, _, problem = alike(3)
    choice, left, _ = tossed(chance, problem)
    assert choice.tolist() == [2, K, 0] and len(left.customer) == 0
    chance, _, problem = alike(300)
    one, two = (tossed(chance, problem, seed)[0] for seed in (0, 1))
    assert (one >= 0).all() and (one != two).any()
