"""Folds follow time, and never tear one customer's rows of one moment apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allot import ShapeError
from bandit.folds import holdout, time_folds

logs = st.builds(
    lambda rows, moments, customers, seed: (
        np.random.default_rng(seed).integers(0, moments, rows).astype(float) / 3.0,
        np.random.default_rng(seed + 1).integers(0, customers, rows).astype(np.uint64),
    ),
    rows=st.integers(1, 400),
    moments=st.integers(1, 40),
    customers=st.integers(1, 200),
    seed=st.integers(0, 10_000),
)


def tied_groups_are_whole(at, key, label):
    groups: dict[tuple[float, int], int] = {}
    return all(groups.setdefault((t, int(c)), f) == f for t, c, f in zip(at, key, label, strict=True))


@settings(max_examples=50, deadline=None)
@given(logs)
def test_no_customer_is_split_among_tied_rows(log):
    at, key = log
    assert tied_groups_are_whole(at, key, time_folds(at, key))
    assert tied_groups_are_whole(at, key, holdout(at, key))


@settings(max_examples=50, deadline=None)
@given(logs, st.integers(0, 1000))
def test_the_order_of_rows_changes_nobodys_fold(log, seed):
    at, key = log
    order = np.random.default_rng(seed).permutation(len(at))
    assert np.array_equal(time_folds(at, key)[order], time_folds(at[order], key[order]))
    assert np.array_equal(holdout(at, key)[order], holdout(at[order], key[order]))


@settings(max_examples=50, deadline=None)
@given(logs)
def test_either_time_orders_the_folds_or_customers_make_them(log):
    at, key = log
    fold = time_folds(at, key)
    assert fold.min() >= 0 and fold.max() <= 4
    by_time = all(at[fold == f].max() <= at[fold == g].min() for f in set(fold) for g in set(fold) if f < g)
    by_customer = all(len(set(fold[key == c])) == 1 for c in set(key))
    assert by_time or by_customer


@settings(max_examples=30, deadline=None)
@given(st.integers(50, 500), st.integers(0, 1000))
def test_distinct_times_make_even_contiguous_folds_and_a_later_holdout(rows, seed):
    at = np.random.default_rng(seed).permutation(rows).astype(float)
    key = np.arange(rows, dtype=np.uint64) % np.uint64(7)
    fold, held = time_folds(at, key), holdout(at, key)
    assert np.array_equal(np.sort(fold), fold[np.argsort(at)])
    assert np.ptp(np.bincount(fold, minlength=5)) <= 1
    assert at[held].min() > at[~held].max()
    assert abs(held.sum() - 0.2 * rows) <= 1


def test_days_of_many_rows_are_split_by_customer_at_the_boundary():
    at = np.repeat(np.arange(12.0), 100)
    key = np.arange(1200, dtype=np.uint64)
    fold, held = time_folds(at, key), holdout(at, key)
    assert np.bincount(fold).tolist() == [240] * 5
    assert held.sum() == 240
    assert at[held].min() >= at[~held].max()


def test_a_single_mailing_is_cut_by_customer():
    at = np.full(1000, 7.5)
    key = np.repeat(np.arange(500, dtype=np.uint64), 2)
    fold, held = time_folds(at, key), holdout(at, key)
    assert all(len(set(fold[key == c])) == 1 for c in set(key))
    assert np.ptp(np.bincount(fold)) <= 4
    assert 190 <= held.sum() <= 204


def test_three_mailings_keep_a_customer_in_one_fold():
    at = np.repeat([1.0, 9.0, 30.0], 300)
    key = np.tile(np.arange(300, dtype=np.uint64), 3)
    fold = time_folds(at, key)
    assert all(len(set(fold[key == c])) == 1 for c in range(300))


def test_impossible_requests_are_refused():
    at, key = np.zeros(3), np.zeros(3, np.uint64)
    with pytest.raises(ShapeError):
        time_folds(at, key[:2])
    with pytest.raises(ShapeError):
        time_folds(np.array([0.0, np.nan, 1.0]), key)
    with pytest.raises(ShapeError):
        time_folds(at, key, folds=1)
    with pytest.raises(ShapeError):
        holdout(at, key, share=1.0)
    assert len(time_folds(at[:0], key[:0])) == 0
