"""What one column says about outcomes: nothing by chance, all of it when it is the outcome, and when it fades."""

import numpy as np
import pyarrow as pa
import pytest

from engine.leaks import Seen, sentences, told

N = 4_000


def seen(seed, column, outcome=None, customer=None):
    r = np.random.default_rng(seed)
    y = (r.random(N) < 0.2).astype(float) if outcome is None else outcome
    who = np.arange(N, dtype=np.uint64) if customer is None else customer
    return Seen(pa.table({"customer.x": column(r, y)}), y, who)


def noise(r, y):
    return r.normal(size=N)


def labels(r, y):
    return pa.array([f"town {i}" for i in r.integers(0, 200, N)])


def outcome_itself(r, y):
    return y


def sometimes(r, y):
    """The outcome of one customer in eight, and nothing of the others."""
    return np.where(r.random(N) < 0.125, y, 0.0)


def helpful(r, y):
    return y + 1.5 * r.normal(size=N)


@pytest.mark.parametrize("column", [noise, labels])
def test_chance_says_nothing_and_what_it_says_of_its_own_rows_is_not_believed(column):
    found = told(seen(1, column), seen(2, column))[0]
    assert abs(found.before) < 0.02 and abs(found.after) < 0.02
    assert not found.implausible and not found.fades


def test_the_outcome_itself_explains_nearly_everything():
    found = told(seen(1, outcome_itself), seen(2, outcome_itself))[0]
    assert found.before > 0.9 and found.after > 0.9
    assert found.implausible and not found.fades
    proofs, doubts = sentences([found], "2026-03-01")
    assert "customer.x alone explains 9" in proofs[0] and "after 2026-03-01" in proofs[0]
    assert doubts == []


def test_an_honest_column_is_no_leak():
    found = told(seen(1, helpful), seen(2, helpful))[0]
    assert 0.02 < found.after < 0.15
    assert not found.implausible and not found.fades


def test_what_was_known_before_and_not_after_fades():
    found = told(seen(1, sometimes), seen(2, noise))[0]
    assert 0.05 < found.before < 0.25
    assert found.fades and not found.implausible
    assert "written with hindsight" in sentences([found], "then")[1][0]


def test_a_better_time_for_everybody_is_not_the_columns_fault():
    """The same column under twice the rate tells about as much."""
    r = np.random.default_rng(6)
    more = (r.random(N) < 0.4).astype(float)
    same, better = (told(seen(1, helpful), seen(2, helpful, y))[0] for y in (None, more))
    assert better.after > 0.7 * same.after


def test_what_was_all_known_before_is_named_at_once():
    found = told(seen(1, outcome_itself), seen(2, noise))[0]
    assert found.implausible
    assert "about outcomes before then" in sentences([found], "then")[0][0]


def test_one_customer_with_many_rows_counts_once():
    """Rows of one customer are on one side of the cut, and their errors go together."""
    r = np.random.default_rng(3)
    who = np.repeat(np.arange(N // 40, dtype=np.uint64), 40)
    y = np.repeat((r.random(N // 40) < 0.2).astype(float), 40)
    name = np.repeat(r.normal(size=N // 40), 40)
    found = told(seen(1, lambda *_: name, y, who), seen(2, noise))[0]
    alone = told(seen(1, lambda *_: name, y), seen(2, noise))[0]
    assert alone.before > 0.05  # with its own rows on both sides a customer's number gives its outcome away
    assert found.before < 0.05
    assert found.error > 2 * alone.error


def regulars(column, once=False, seed=5, differ=0.7):
    """1,000 customers of four rows each, who differ; `column` is made of their liking and of all their outcomes."""
    r = np.random.default_rng(seed)
    who, liking = np.repeat(np.arange(N // 4), 4), r.normal(size=N // 4)
    y = (r.random(N) < 1 / (1 + np.exp(1.4 - differ * liking))[who]).astype(float)
    if once:  # who has bought does not buy again
        later = np.cumsum(y.reshape(-1, 4), axis=1).ravel() > 1
        y[later] = 0.0
    x = pa.array(column(r, liking, np.bincount(who, y))[who])
    parts = np.array_split(r.permutation(N), 2)
    return told(
        *(Seen(pa.table({"customer.x": x.take(rows)}), y[rows], who[rows].astype(np.uint64)) for rows in parts)
    )[0]


def ever(r, liking, won):
    """Whether there was a success at all, for nine in ten customers; of the others, somebody else's."""
    return np.where(r.random(len(won)) < 0.9, won > 0, r.permutation(won > 0)).astype(float)


def how_often(r, liking, won):
    return np.where(r.random(len(won)) < 0.8, won, r.permutation(won))


def known_before(r, liking, won):
    return liking


@pytest.mark.parametrize("column", [ever, how_often])
def test_a_column_that_is_made_of_outcomes_is_named_although_it_explains_less_than_a_quarter(column):
    found = regulars(column)
    assert 0.05 < found.before < 0.25 and not found.implausible
    assert found.made_of_outcomes and found.given < -0.03 < 0 < found.together
    proofs, doubts = sentences([found], "then")
    assert "Given customer.x, two successes of one customer exclude each other" in proofs[0] and doubts == []


@pytest.mark.parametrize("seed", range(5))
def test_what_explains_why_a_customers_outcomes_are_alike_is_no_leak(seed):
    found = regulars(known_before, seed=seed)
    assert found.before > 0.03
    assert abs(found.given) < found.together and not found.made_of_outcomes


def test_where_one_success_rules_out_the_next_nothing_is_concluded():
    found = regulars(known_before, once=True, differ=2.0)
    assert found.before > 0.05 and found.given_z < -4  # it would be blamed, were outcomes alike without it
    assert not found.made_of_outcomes


def test_the_name_of_a_few_customers_is_no_leak():
    """Their own outcomes are left out of their group's rate, which would else make these exclude each other."""
    found = regulars(lambda r, liking, won: np.array([f"group {i}" for i in r.integers(0, 250, len(won))]))
    assert found.given > 0.7 * found.together


def test_a_column_that_changes_with_time_may_know_past_outcomes():
    r = np.random.default_rng(4)
    who = np.repeat(np.arange(N // 4, dtype=np.uint64), 4)
    found = told(seen(1, helpful, customer=who), seen(2, lambda *_: r.normal(size=N), customer=who))[0]
    assert np.isnan(found.given) and not found.made_of_outcomes


def test_without_successes_nothing_is_said():
    none = np.zeros(N)
    found = told(seen(1, noise, none), seen(2, noise, none))[0]
    assert (found.before, found.after) == (0.0, 0.0)
    assert not found.implausible and not found.fades
