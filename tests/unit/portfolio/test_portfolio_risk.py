"""What a plan's risk is, what is refused, and the edges of the search."""

from dataclasses import replace

import numpy as np
import pytest
from portfolio_risky import risky, sd_of

from allot import LimitError, ShapeError
from portfolio import Limit, Problem, Risk, solve, solve_with_risk
from portfolio.certificate import recount
from portfolio.limits import compile_rows
from portfolio.referee import whole_counts
from portfolio.risk.easing import eased, filled
from portfolio.risk.master import Column, best_mixture
from portfolio.risk.mixing import mixed_plans
from portfolio.risk.start import _tables
from portfolio.solver import Prepared


@pytest.mark.parametrize("pair", [False, True])
def test_sd_is_that_of_the_whole_covariance_of_the_pairs(pair):
    _problem, risk = risky(25, 3, 1, pair=pair)
    plan = np.random.default_rng(0).integers(-1, 3, 25)
    assert risk.deviation(risk.exposures(plan)) == pytest.approx(sd_of(risk, plan), rel=1e-9)


def test_sd_is_the_spread_of_the_total_over_the_weights():
    _problem, risk = risky(60, 3, 2, pair=True)
    plan = np.random.default_rng(0).integers(-1, 3, 60)
    rng = np.random.default_rng(3)
    draws, total = 20_000, 0.0
    for a in range(3):
        weights = rng.multivariate_normal(np.zeros(4), risk.covariance[a], draws)
        who = np.flatnonzero(plan == a)
        psi = np.column_stack([risk.features[who], risk.pair_feature[who, a]])
        total = total + (weights @ psi.T) @ risk.sensitivity[who, a]
    stated = risk.deviation(risk.exposures(plan))
    assert abs(total.std() / stated - 1) < 4 / np.sqrt(2 * draws)


def test_surcharges_of_a_plan_add_up_to_what_a_direction_sees_of_its_exposures():
    _problem, risk = risky(40, 4, 4, pair=True)
    plan = np.random.default_rng(1).integers(0, 4, 40)
    y = np.random.default_rng(2).standard_normal(risk.shape)
    charged = risk.surcharge(y)[np.arange(40), plan].sum()
    assert charged == pytest.approx(float((y * risk.rooted(risk.exposures(plan))).sum()), rel=1e-9)
    assert charged <= np.linalg.norm(y) * risk.deviation(risk.exposures(plan))


def test_a_pair_is_charged_the_same_to_the_bit_with_whomever_it_stands():
    rng = np.random.default_rng(3)
    n, k, f = 9_000, 5, 4
    features, own = rng.standard_normal((n, f)).astype(np.float32), rng.standard_normal((n, k)).astype(np.float32)
    risk = Risk(rng.random((n, k), np.float32), np.stack([np.eye(f + 1)] * k), features, own, price=1.0)
    y = rng.standard_normal(risk.shape)
    whole, who = risk.surcharge(y), rng.permutation(n)[:5_000]
    psi = np.concatenate([np.broadcast_to(features[:, None, :], (n, k, f)), own[:, :, None]], axis=2)
    assert whole == pytest.approx((psi.astype(np.float64) * y).sum(2) * risk.sensitivity, abs=1e-12)
    assert np.array_equal(risk.surcharge(y, who), whole[who])


def test_worth_is_value_less_the_priced_risk():
    _problem, risk = risky(4, 2, 5)
    assert replace(risk, price=0.5).worth(10.0, 4.0) == 8.0
    assert replace(risk, price=None, maximum_sd=1.0).worth(10.0, 4.0) == 10.0


def kept_limits(problem):
    rows = whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1]))
    return rows, lambda plan: recount(problem, rows, plan)


def test_changes_one_by_one_keep_the_limits_and_go_as_far_as_they_can():
    problem, risk = risky(30, 3, 14, pair=True)
    problem = replace(problem, limits=(*problem.limits, Limit("floor", "count", minimum=5.0)))
    rows, counted = kept_limits(problem)
    start, everybody = solve(problem, gap=1e-3).choice[:, None], np.arange(30)
    for share in (0.7, 0.3):
        cap = share * risk.deviation(risk.exposures(start))
        calm = eased(problem, rows, risk, start, everybody, cap)
        full = filled(problem, rows, risk, calm, everybody, cap)
        for plan in (calm, full):
            assert counted(plan)[1]
            assert risk.deviation(risk.exposures(plan)) <= cap * (1 + 1e-12)
        assert counted(full)[0] >= counted(calm)[0]
        for i, a in zip(*np.nonzero(problem.eligible), strict=True):
            more = full.copy()
            more[i, 0] = a
            if counted(more)[1] and counted(more)[0] > counted(full)[0] + 1e-9:
                assert risk.deviation(risk.exposures(more)) > cap * (1 - 1e-9)


@pytest.mark.parametrize("share", [0.05, 0.01])
def test_a_tight_risk_limit_is_used(share):
    problem, risk = risky(120, 4, 1)
    free = risk.deviation(risk.exposures(solve(problem, gap=1e-3).choice))
    found = solve_with_risk(problem, replace(risk, price=None, maximum_sd=share * free), gap=5e-3)
    assert found.sd <= share * free * (1 + 1e-9)
    assert found.solution.gap < 0.1


def test_a_mixture_becomes_a_whole_plan_inside_limits_and_cap():
    problem, risk = risky(3_000, 4, 15, pair=True)
    rows, counted = kept_limits(problem)
    choice = solve(problem, gap=1e-3).choice[:, None]
    full = Column(choice, counted(choice)[0], risk.exposures(choice), risk.deviation(risk.exposures(choice)))
    nobody = np.full((3_000, 1), -1)
    columns = [full, Column(nobody, 0.0, np.zeros(risk.shape), 0.0)]
    whole, *calmer = mixed_plans(problem, rows, risk, columns, np.array([0.6, 0.4]), 0.597 * full.sd)
    assert counted(whole)[1]
    assert counted(whole)[0] == pytest.approx(0.6 * full.value, rel=0.01)
    assert risk.deviation(risk.exposures(whole)) == pytest.approx(0.6 * full.sd, rel=0.01)
    assert risk.deviation(risk.exposures([whole, *calmer][-1])) <= 0.597 * full.sd


def test_sums_by_cell_are_those_of_each_cell():
    rng = np.random.default_rng(6)
    x, cell = rng.random((3, 50, 4)), np.sort(rng.choice([0, 2, 3], 50))
    found = _tables(x, cell, 5)
    for g in range(5):
        assert found[:, g] == pytest.approx(x[:, cell == g].sum(1), abs=1e-12)


@pytest.mark.soak
def test_a_crowd_of_many_features_comes_near_its_bound():
    problem, risk = risky(30_000, 8, 3, d=8, pair=True)
    found = solve_with_risk(problem, replace(risk, price=None, maximum_sd=60_000.0), gap=1e-3)
    assert found.solution.gap < 0.02


def test_nothing_to_offer_is_no_risk():
    none = np.zeros((3, 0))
    empty = Problem(none, none, none.astype(bool), np.zeros(3, np.int64), ())
    for bound in ({"maximum_sd": 1.0}, {"price": 1.0}):
        found = solve_with_risk(empty, Risk(none, np.ones(0), **bound))
        assert (found.solution.choice == -1).all()
        assert found.sd == found.solution.bound == 0.0


def test_one_variance_per_offer_is_a_constant_feature():
    _problem, risk = risky(12, 2, 5)
    bare = Risk(risk.sensitivity, np.array([0.04, 0.09]), maximum_sd=1.0)
    plan = np.array([0, 1] * 6)
    exposed = [risk.sensitivity[plan == a, a].sum() for a in (0, 1)]
    assert bare.deviation(bare.exposures(plan)) == pytest.approx(np.hypot(0.2 * exposed[0], 0.3 * exposed[1]))
    assert bare.surcharge(np.array([[1.0], [0.0]]))[:, 0] == pytest.approx(0.2 * risk.sensitivity[:, 0])


def test_what_is_no_risk_is_refused():
    problem, risk = risky(8, 2, 6)
    negative = risk.covariance - 2 * np.eye(3)
    for wrong, error in (
        ({"covariance": negative}, ShapeError),
        ({"covariance": risk.covariance[:, :2, :2]}, ShapeError),
        ({"covariance": risk.covariance + np.triu(np.ones((3, 3)), 1)}, ShapeError),
        ({"features": risk.features[:5]}, ShapeError),
        ({"features": np.full_like(risk.features, np.nan)}, ShapeError),
        ({"pair_feature": np.ones(8)}, ShapeError),
        ({"maximum_sd": 1.0}, LimitError),
        ({"price": None}, LimitError),
        ({"price": -1.0}, LimitError),
        ({"price": np.inf}, LimitError),
    ):
        with pytest.raises(error):
            replace(risk, **wrong)
    with pytest.raises(ShapeError):
        solve_with_risk(problem, replace(risk, sensitivity=risk.sensitivity[:5], features=risk.features[:5]))
    with pytest.raises(ShapeError):
        solve_with_risk(problem, replace(risk, sensitivity=np.where(problem.eligible, np.nan, 1.0)))


@pytest.mark.parametrize("n", [8, 700])
def test_values_and_gaps_that_are_no_numbers_are_refused_at_any_size(n):
    problem, risk = risky(n, 4, 6)
    allowed = replace(risk, price=None, maximum_sd=1.0)
    with pytest.raises(ShapeError, match="though the pair is eligible"):
        solve_with_risk(replace(problem, value=np.full_like(problem.value, np.nan)), allowed)
    for gap in (float("nan"), -1.0):
        with pytest.raises(LimitError, match="gap"):
            solve_with_risk(problem, allowed, gap=gap)


def test_a_plan_that_was_not_found_is_not_called_impossible(monkeypatch):
    problem, risk = risky(700, 4, 6)
    found = solve(problem)
    monkeypatch.setattr(Prepared, "solve", lambda *_, **__: replace(found, broken=("budget",), status="time_limit"))
    answer = solve_with_risk(problem, replace(risk, price=None, maximum_sd=1.0))
    assert (answer.solution.status, answer.bound) == ("time_limit", found.bound)
    assert "not proven" in answer.words


def test_values_of_any_size_are_eased_without_a_warning():
    problem, risk = risky(700, 4, 6)
    problem = replace(problem, value=1e12 * problem.value)
    risk = replace(risk, sensitivity=1e12 * risk.sensitivity, price=None, maximum_sd=350e12)
    with np.errstate(over="raise"):
        answer = solve_with_risk(problem, risk, gap=5e-3)
    assert answer.sd <= 350e12


def test_value_limits_of_a_large_problem_are_refused_in_words():
    problem, risk = risky(700, 4, 7, limits=False)
    problem = replace(problem, limits=(Limit("worth", "value", minimum=10.0),))
    with pytest.raises(LimitError, match=r"'worth'.*counts value.*2,000 pairs.*here are"):
        solve_with_risk(problem, replace(risk, price=None, maximum_sd=1.0))


def test_without_uncertainty_it_is_the_plain_problem():
    problem, risk = risky(60, 3, 8)
    sure = replace(risk, covariance=np.zeros_like(risk.covariance), price=None, maximum_sd=0.0)
    plain, found = solve(problem), solve_with_risk(problem, sure)
    assert found.solution.value == pytest.approx(plain.value, rel=1e-4)
    assert found.sd == 0.0
    assert found.loss == pytest.approx(0.0, abs=1e-9)
    priced = solve_with_risk(problem, replace(sure, maximum_sd=None, price=3.0))
    assert priced.solution.value == pytest.approx(plain.value, rel=1e-4)


def test_a_limit_that_nobody_reaches_changes_nothing():
    problem, risk = risky(60, 3, 9)
    plain = solve(problem)
    free = risk.deviation(risk.exposures(plain.choice))
    found = solve_with_risk(problem, replace(risk, price=None, maximum_sd=10 * free))
    assert found.solution.value == pytest.approx(plain.value, rel=1e-4)
    assert found.risk_price == 0.0


def test_no_risk_at_all_means_nobody():
    problem, risk = risky(30, 3, 10)
    found = solve_with_risk(problem, replace(risk, price=None, maximum_sd=0.0))
    assert (found.solution.choice == -1).all()
    assert found.sd == 0.0


def test_minimums_that_need_more_risk_than_allowed_are_infeasible_in_words():
    problem, risk = risky(30, 3, 11)
    problem = replace(problem, limits=(*problem.limits, Limit("floor", "count", minimum=15.0)))
    found = solve_with_risk(problem, replace(risk, price=None, maximum_sd=0.5))
    assert found.solution.status == "infeasible"
    assert "at least" in found.words
    assert "no more than 0.5 is allowed" in found.words


def test_limits_that_contradict_each_other_are_named():
    problem, risk = risky(10, 2, 12, limits=False)
    both = (Limit("most", "count", maximum=1.0), Limit("least", "count", minimum=5.0))
    found = solve_with_risk(replace(problem, limits=both), risk)
    assert found.solution.status == "infeasible"
    assert set(found.solution.conflict) == {"most", "least"}


def test_a_mixture_is_charged_in_the_direction_of_its_own_exposures():
    problem, risk = risky(40, 3, 13)
    risk = replace(risk, price=None, maximum_sd=1.0)
    rng = np.random.default_rng(5)
    columns = []
    for plan in (np.full(40, -1), *rng.integers(-1, 3, (3, 40))):
        e = risk.exposures(plan)
        worth = sum(problem.value[i, a] for i, a in enumerate(plan) if a >= 0)
        columns.append(Column(plan[:, None], worth, e, risk.deviation(e)))
    risk = replace(risk, maximum_sd=0.5 * min(c.sd for c in columns[1:]))
    mixture = best_mixture(columns, risk)
    mixed = risk.rooted(np.tensordot(mixture.share, np.stack([c.exposure for c in columns]), 1))
    assert mixture.sd == pytest.approx(risk.maximum_sd, rel=1e-5)
    angle = float((mixed * mixture.direction).sum()) / np.linalg.norm(mixed) / np.linalg.norm(mixture.direction)
    assert angle == pytest.approx(1.0, abs=1e-4)
    paid = [c.value - float((mixture.direction * risk.rooted(c.exposure)).sum()) for c in columns]
    assert max(paid) == pytest.approx(paid[int(mixture.share.argmax())], rel=1e-3)


def test_a_count_that_no_whole_number_meets_is_infeasible_and_named():
    r = np.random.default_rng(0)
    value, sensitivity = r.random((30, 3)), np.ones((30, 3))
    limits = (Limit("spare", "count", maximum=40.0), Limit("between", "count", minimum=7.2, maximum=7.8))
    problem = Problem(value, value, np.ones((30, 3), bool), np.zeros(30, int), limits)
    found = solve_with_risk(problem, Risk(sensitivity, np.ones((3, 1, 1)), price=0.1))
    assert found.solution.status == "infeasible"
    assert found.solution.conflict == ("between",)
