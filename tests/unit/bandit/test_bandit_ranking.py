"""Ranking figures against their definitions, order by order."""

from itertools import permutations

import numpy as np
import pytest

from allot import ShapeError
from bandit.ranking import RankedAt, ranked


def by_hand(score: np.ndarray, taken: set[int], k: int) -> tuple[float, float]:
    """Recall@k and NDCG@k of one occasion, the mean over all orders that the scores allow."""
    orders = [o for o in permutations(range(len(score))) if all(np.diff(score[list(o)]) <= 0)]
    recall = np.mean([len(taken & set(o[:k])) / len(taken) for o in orders])
    best = sum(1 / np.log2(2 + i) for i in range(min(k, len(taken))))
    ndcg = np.mean([sum(1 / np.log2(2 + i) for i, a in enumerate(o[:k]) if a in taken) / best for o in orders])
    return float(recall), float(ndcg)


def test_they_are_means_over_customers_of_what_the_definitions_say():
    r = np.random.default_rng(1)
    occasions = [(0, {0, 2}), (0, {4}), (1, {1}), (2, {0, 3, 4}), (2, {2}), (2, {1})]
    scores = r.integers(0, 3, (len(occasions), 5)).astype(float)  # with many ties
    rows = [(i, a, who) for i, (who, taken) in enumerate(occasions) for a in sorted(taken)]
    occasion, taken, customer = (np.array(column) for column in zip(*rows, strict=True))
    shuffled = r.permutation(len(rows))
    found = ranked(*(x[shuffled] for x in (scores[occasion], taken, occasion, customer)), (1, 2, 4))
    for at in found:
        each = [by_hand(scores[i], own, at.k) for i, (_, own) in enumerate(occasions)]
        people = [np.mean([each[i] for i, (c, _) in enumerate(occasions) if c == who], axis=0) for who in range(3)]
        np.testing.assert_allclose((at.recall, at.ndcg), np.mean(people, axis=0), atol=1e-12)


def test_a_constant_score_is_worth_what_chance_is():
    rows = np.arange(9)
    found = ranked(np.zeros((9, 6)), rows % 6, rows, rows, (2, 6))
    assert [at.recall for at in found] == pytest.approx([2 / 6, 1.0])


def test_the_best_order_is_worth_one_even_where_a_row_is_repeated():
    score = np.tile([[3.0, 2.0, 1.0]], (3, 1))
    taken, one = np.array([0, 1, 1]), np.zeros(3, int)
    assert ranked(score, taken, one, one, (2,)) == (RankedAt(2, 1.0, 1.0),)


def test_without_successes_there_is_nothing_to_say():
    none = np.zeros(0, int)
    assert ranked(np.zeros((0, 3)), none, none, none, (1,)) == ()
    with pytest.raises(ShapeError, match="one row each"):
        ranked(np.zeros((2, 3)), none, none, none, (1,))
