"""Cross columns are read where earlier rows bear them out, and nowhere else; the hold-out has no say in it."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from bandit import prior_columns
from bandit.calibration import sigmoid
from bandit.columns import Columns, Cross
from bandit.comparison import Comparison, compare
from bandit.folds import holdout
from bandit.prior import Log
from bandit.prior_fit import fit_prior

OFFERS, FAMILIES = 4, 3
TABLE = np.arange(OFFERS + 1.0)[:, None]
SOURCES = tuple(f"met_{f}_{a}" for f in range(FAMILIES) for a in range(OFFERS))
CROSS = tuple(Cross(f"own_{f}", tuple(2 + f * OFFERS + a for a in range(OFFERS))) for f in range(FAMILIES))
COLUMNS = Columns(("age", "income"), ("offer",), (2,), CROSS, SOURCES)
ROWS = 1500


def log_of(seed: int, *, pays: float = 0.0, rows: int = ROWS) -> Log:
    """Success rises with age and, by as much as it pays, with what there was with the very offer."""
    r = np.random.default_rng(seed)
    who, met = r.normal(size=(rows, 2)), r.normal(size=(rows, FAMILIES * OFFERS))
    arm = r.integers(0, OFFERS, rows)
    z = -1.0 + 0.8 * who[:, 0] + pays * met[np.arange(rows), arm]
    outcome = (r.random(rows) < sigmoid(z)).astype(float)
    keys = r.integers(0, 2**63, rows).astype(np.uint64)
    return Log(np.concatenate([who, met], axis=1), arm, outcome, np.arange(rows) / 50.0, keys)


def tried(log: Log) -> Comparison:
    return prior_columns.crossing(log, TABLE, COLUMNS, seed=3, threads=1, monotone={})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_they_say_nothing_the_model_is_to_the_bit_the_one_that_never_heard_of_them(seed):
    log = log_of(seed)
    fitted = fit_prior(log, TABLE, COLUMNS, seed=3, threads=1)
    without = fit_prior(log.read_by(COLUMNS.alone), TABLE, COLUMNS.alone, seed=3, threads=1)
    assert fitted.report.crossing is not None and not fitted.report.crossing.better
    assert fitted.prior.columns == COLUMNS.alone
    assert fitted.prior.to_files() == without.prior.to_files()
    assert fitted.shown.tobytes() == without.shown.tobytes()
    assert replace(fitted.report, crossing=None) == without.report


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_they_pay_they_are_read(seed):
    fitted = fit_prior(log_of(seed, pays=0.6), TABLE, COLUMNS, seed=3, threads=1)
    assert fitted.report.crossing is not None and fitted.report.crossing.better
    assert fitted.prior.columns == COLUMNS
    assert fitted.report.gain["own_0"] > 3 * fitted.report.gain["own_1"]


def test_the_rows_that_judge_the_model_do_not_choose_its_columns():
    """Whatever happens in them: what is reported of them would otherwise be of the luckier of two models."""
    log = log_of(4, pays=0.3)
    late = holdout(log.decided_at, log.customer_key)
    other = log_of(5)
    changed = replace(
        log,
        outcome=np.where(late, 1 - log.outcome, log.outcome),
        customers=np.where(late[:, None], other.customers, log.customers),
    )
    found = tried(log)
    assert found.rows == (~late).sum()
    assert tried(changed) == found
    early = np.flatnonzero(~late)[0]
    touched = log.outcome.copy()
    touched[early] = 1 - touched[early]
    assert tried(replace(log, outcome=touched)) != found


def test_both_are_judged_on_rows_that_their_trees_did_not_see():
    """A column that names each row could be learnt by heart; it brings nothing on other rows."""
    log = log_of(6)
    names = np.random.default_rng(7).permutation(ROWS).astype(float)
    known = replace(log, customers=log.customers.copy())
    known.customers[:, 2:] = names[:, None]
    found = tried(known)
    assert not found.better and found.difference > -found.std_error


def test_the_same_log_gives_the_same_choice_with_any_number_of_threads():
    one, two = (fit_prior(log_of(8, pays=0.6), TABLE, COLUMNS, seed=3, threads=t) for t in (1, 2))
    assert one.report == two.report and one.prior.to_files() == two.prior.to_files()


def test_of_a_large_log_rows_are_taken_evenly(monkeypatch):
    monkeypatch.setattr(prior_columns, "_MOST_ROWS", 500)
    found = tried(log_of(9, pays=0.6))
    assert found.rows == 400  # every third of 1,200


@pytest.mark.parametrize(("rows", "outcome"), [(0, None), (2, None), (40, None), (ROWS, 0.0), (ROWS, 1.0)])
def test_a_log_of_too_few_rows_or_one_kind_does_without(rows, outcome):
    log = log_of(10).some(np.arange(rows))
    if outcome is not None:
        log = replace(log, outcome=np.full(rows, outcome))
    fitted = fit_prior(log, TABLE, COLUMNS, seed=3, threads=1)
    assert fitted.prior.columns == COLUMNS.alone
    assert fitted.report.crossing is not None and not fitted.report.crossing.says_enough
    assert fitted.prior.constant


def test_a_direction_in_a_column_that_is_not_read_asks_nothing_and_a_wrong_one_is_refused():
    log = log_of(1)
    asked, free = (fit_prior(log, TABLE, COLUMNS, seed=3, threads=1, monotone=m) for m in ({"own_1": -1}, {}))
    assert asked.prior.columns == COLUMNS.alone and asked.prior.to_files() == free.prior.to_files()
    for wish in ({"own_1": 2}, {"met_0_1": 1}, {"own_9": 1}):
        with pytest.raises(ShapeError, match="cannot be held"):
            fit_prior(log, TABLE, COLUMNS, seed=3, threads=1, monotone=wish)


def test_equal_models_are_called_better_no_more_often_than_one_standard_error_allows():
    r = np.random.default_rng(6)
    better = []
    for _ in range(2000):
        z = r.normal(size=200)
        y = (r.random(200) < sigmoid(z)).astype(float)
        found = compare(z + 0.4, z - 0.4, y, np.arange(200), np.ones(200))
        better.append(found.better)
        assert not (found.better and found.difference >= 0)
    assert abs(np.mean(better) - 0.159) < 4 * np.sqrt(0.159 * 0.841 / 2000) + 0.01
    assert not Comparison(49, 0.1, 0.6, -0.5, 0.01).better
    assert not compare(z, z, y, np.arange(200), np.ones(200)).better
