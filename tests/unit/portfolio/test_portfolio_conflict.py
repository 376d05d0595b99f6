"""Planted conflicts of every kind are named, with what each limit would have to give."""

from dataclasses import replace

import numpy as np
import pytest

import portfolio.conflicts.diagnose
from portfolio import Conflict, Limit, Problem, Selection, Share, diagnose


def audience(n=6_000, k=6, seed=0, cells=4, **more):
    rng = np.random.default_rng(seed)
    value, cost = rng.gamma(2, 10, (n, k)), rng.uniform(1, 5, (n, k))
    limits = (
        Limit("budget", "cost", maximum=1.0 * n),
        *(Limit(f"cap {a}", "count", maximum=0.3 * n, offers=(a,)) for a in range(k)),
        *(Limit(f"budget of cell {c}", "cost", maximum=0.5 * n, cells=(c,)) for c in range(cells)),
        Share("seen", "count", Selection((1,)), Selection(), minimum=0.02),
    )
    return Problem(value, cost, rng.random((n, k)) < 0.7, rng.integers(0, cells, n), limits, **more)


@pytest.fixture(params=[300, 6_000], ids=["exactly", "by duality"])
def problem(request):
    return audience(request.param)


def planted(problem, *limits):
    """The conflict found among the problem's own limits and some more."""
    found = diagnose(replace(problem, limits=(*problem.limits, *limits)))
    assert isinstance(found, Conflict)
    assert list(found.relaxation) == list(found.limits)
    return found


def test_limits_that_some_plan_keeps_have_no_conflict(problem):
    assert diagnose(problem) is None
    assert diagnose(replace(problem, limits=(Limit("exactly", "count", minimum=70.0, maximum=70.0),))) is None


def test_a_minimum_above_its_audience_is_alone_to_blame(problem):
    reach = int(problem.eligible[:, 2].sum())
    found = planted(
        replace(problem, limits=problem.limits[:1]), Limit("wish", "count", minimum=reach + 40, offers=(2,))
    )
    assert found.limits == ("wish",)
    assert found.relaxation == {"wish": 40.0}


def test_a_minimum_on_an_offer_for_which_nobody_is_eligible_must_go_altogether(problem):
    found = planted(problem, Limit("wish", "count", minimum=7.0, offers=(2,), cells=(9,)))
    assert (found.limits, found.relaxation) == (("wish",), {"wish": 7.0})


def test_a_minimum_and_a_maximum_of_nothing_on_the_same_offer(problem):
    never = Limit("never", "count", maximum=0.0, offers=(4, 5))
    found = planted(problem, Limit("wish", "count", minimum=25.0, offers=(5,)), never)
    assert (found.limits, found.relaxation) == (("wish", "never"), {"wish": 25.0, "never": 25.0})


def test_two_minimums_above_the_audience_of_a_cell(problem):
    inside = problem.cell == 1
    reach = int(problem.eligible[:, [2, 5]].any(1)[inside].sum())
    wanted = np.ceil(0.55 * reach)
    each = (Limit(f"floor {a}", "count", minimum=float(wanted), offers=(a,), cells=(1,)) for a in (2, 5))
    found = planted(problem, *each)
    assert found.limits == ("floor 2", "floor 5")
    assert found.relaxation == {"floor 2": 2 * wanted - reach, "floor 5": 2 * wanted - reach}


def test_a_minimum_that_the_budget_does_not_pay_for(problem):
    cheapest = np.sort(problem.cost[:, 3][problem.eligible[:, 3]])
    wanted = len(cheapest) // 3
    budget = 0.9 * float(cheapest[:wanted].sum())
    bare = replace(problem, limits=(problem.limits[1], *problem.limits[7:]))
    found = planted(
        bare,
        Limit("pot", "cost", maximum=budget, offers=(3,)),
        Limit("wish", "count", minimum=float(wanted), offers=(3,)),
    )
    assert found.limits == ("pot", "wish")
    affordable = int(np.searchsorted(np.cumsum(cheapest), budget))
    assert found.relaxation["wish"] == pytest.approx(wanted - affordable, abs=1)
    assert found.relaxation["pot"] == pytest.approx(budget / 0.9 - budget, rel=0.01)


def test_a_chain_of_three_limits_of_which_any_two_can_be_kept(problem):
    n = len(problem.value)
    chain = (
        Limit("all", "count", minimum=0.5 * n),
        Share("quota", "count", Selection((3,)), Selection(), minimum=0.2),
        Limit("cap of 3", "count", maximum=0.08 * n, offers=(3,)),
    )
    found = planted(replace(problem, limits=problem.limits[1:3]), *chain)
    assert found.limits == ("all", "quota", "cap of 3")
    assert found.relaxation["all"] == pytest.approx(0.1 * n, rel=0.01)
    assert found.relaxation["quota"] == pytest.approx(0.02 * n, rel=0.01)
    assert found.relaxation["cap of 3"] == pytest.approx(0.02 * n, rel=0.01)


def test_two_minimums_that_several_offers_per_customer_can_both_keep(monkeypatch):
    for exact in (2_000, 0):
        monkeypatch.setattr(portfolio.conflicts.diagnose, "EXACT_PAIRS", exact)
        one = audience(300)
        reach = one.eligible[:, [2, 5]].sum(0)
        floors = tuple(
            Limit(f"floor {a}", "count", minimum=float(r), offers=(a,)) for a, r in zip((2, 5), reach, strict=True)
        )
        one = replace(one, limits=floors)
        both = float((one.eligible[:, 2] & one.eligible[:, 5]).sum())
        found = diagnose(one)
        assert found is not None
        assert found.relaxation == pytest.approx({"floor 2": both, "floor 5": both})
        assert diagnose(replace(one, most=2)) is None
        together = diagnose(replace(one, most=2, groups=np.array([0, 1, 2, 0, 1, 2])))
        assert together is not None
        assert together.limits == ("floor 2", "floor 5")


def test_a_bound_between_whole_numbers_gives_only_what_it_must():
    problem = replace(audience(40), limits=(Limit("wish", "count", minimum=2.4, offers=(0,), cells=(0,)),))
    eligible = problem.eligible.copy()
    eligible[:, 0] = False
    eligible[np.flatnonzero(problem.cell == 0)[:2], 0] = True
    found = diagnose(replace(problem, eligible=eligible))
    assert found is not None
    assert found.relaxation == pytest.approx({"wish": 0.4})


def test_elastic_and_report_only_limits_are_never_to_blame(problem):
    soft = Limit("soft", "count", minimum=1e6, penalty=1.0)
    watched = Limit("watched", "count", minimum=1e6, report_only=True)
    assert diagnose(replace(problem, limits=(*problem.limits, soft, watched))) is None


def test_a_conflict_of_whole_numbers_alone_names_no_limit_too_many():
    problem = audience(12, k=2)
    problem = replace(problem, cost=np.full((12, 2), 2.0), eligible=np.ones((12, 2), bool))
    odd = Limit("odd", "cost", minimum=3.0, maximum=3.0)
    beside = (Limit("cap", "count", maximum=5.0), Limit("floor", "count", minimum=1.0, offers=(1,)))
    found = diagnose(replace(problem, limits=(beside[0], odd, beside[1])))
    assert found is not None
    assert found.limits == ("odd",)
    assert found.relaxation == pytest.approx({"odd": 1.0})


@pytest.mark.parametrize("seed", range(3))
def test_the_few_whom_a_sample_misses_count_when_a_proof_is_taken(seed):
    problem = audience(20_000, k=2, seed=seed)
    few = np.random.default_rng(seed).choice(20_000, 4, replace=False)
    eligible = problem.eligible.copy()
    eligible[:, 1] = False
    eligible[few, 1] = True
    floor = Limit("floor", "count", minimum=3.0, offers=(1,))
    problem = replace(problem, eligible=eligible, limits=(Limit("cap", "count", maximum=9e3, offers=(0,)), floor))
    assert diagnose(problem) is None
    found = diagnose(replace(problem, limits=(problem.limits[0], replace(floor, minimum=5.0))))
    assert found is not None
    assert (found.limits, found.relaxation) == (("floor",), {"floor": 1.0})


def test_a_minimum_of_value_is_cured_by_a_whole_plan_and_hardly_more_than_fractions_need():
    problem = audience(170)
    best = float(np.where(problem.eligible, problem.value, 0.0).max(1).sum())
    limits = (problem.limits[0], Limit("worth", "value", minimum=0.99 * best))
    found = diagnose(replace(problem, limits=limits))
    assert found is not None
    assert found.limits == ("budget", "worth")
    pot, wish = limits
    for cured in (
        (replace(pot, maximum=pot.maximum + found.relaxation["budget"] + 1e-6), wish),
        (pot, replace(wish, minimum=wish.minimum - found.relaxation["worth"] - 1e-6)),
    ):
        assert diagnose(replace(problem, limits=cured)) is None
    for less in (
        (replace(pot, maximum=pot.maximum + 0.99 * found.relaxation["budget"]), wish),
        (pot, replace(wish, minimum=wish.minimum - 0.99 * found.relaxation["worth"])),
    ):
        assert diagnose(replace(problem, limits=less)) is not None
