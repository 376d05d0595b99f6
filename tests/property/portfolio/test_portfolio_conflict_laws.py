"""Conflicts found by duality against linear programs over pairs: the same problems, no limit too many, just enough."""

from dataclasses import replace

import numpy as np
import pytest
from several_instances import crowd

import portfolio.conflicts.diagnose
from portfolio import Limit, Selection, Share, compile_rows, diagnose, solve
from portfolio.conflicts.diagnose import only
from portfolio.referee import Bounds, Effort, Pairs, solve_pairs, whole_counts


def contested(seed, n=150):
    """Limits at random: about half of these problems have a conflict, of one to four limits."""
    rng = np.random.default_rng(seed)
    problem, _ = crowd(seed, n, style="plain" if seed % 3 else "rounded")
    k = problem.value.shape[1]
    reach = problem.eligible.sum(0)
    limits = [Limit("budget", "cost", maximum=float(rng.uniform(0.4, 1.5) * n))]
    limits += [Limit(f"cap {a}", "count", maximum=float(rng.uniform(0.1, 1.0) * reach[a]), offers=(a,)) for a in (0, 1)]
    limits += [Limit("cell", "count", maximum=float(rng.uniform(0.2, 0.9) * n / 3), cells=(1,))]
    for j in range(3):
        offers = tuple(int(a) for a in rng.choice(k, int(rng.integers(1, 4)), replace=False))
        cells = None if rng.random() < 0.5 else (int(rng.integers(0, 3)),)
        inside = np.ones(n, bool) if cells is None else problem.cell == cells[0]
        can = float(problem.eligible[np.ix_(inside, offers)].any(1).sum())
        limits.append(Limit(f"floor {j}", "count", float(rng.uniform(0.05, 0.75) * can), None, offers, cells))
    limits.append(Share("quota", "count", Selection((2,)), Selection(), minimum=float(rng.uniform(0.02, 0.3))))
    return replace(problem, limits=tuple(limits))


def breach(problem, names, elastic=None):
    """By a linear program over pairs: how far one limit must be broken for the others to hold; infinite if never."""
    rows = only(whole_counts(compile_rows(problem.limits, problem.n_cells, problem.value.shape[1])), names)
    pairs = Pairs.of(problem, rows, problem.eligible)
    pairs = replace(pairs, value=np.zeros(len(pairs.value)))
    soft = np.array([name == elastic for name in rows.names], bool)
    bounds = Bounds(rows.lower, rows.upper, np.where(soft, 1.0, np.inf))
    answer = solve_pairs(pairs, bounds, Effort(integer=False), most=problem.most, groups=problem.groups)
    return np.inf if answer.status == "infeasible" else -answer.value


def loosened(problem, name, by):
    """The limit moved outwards."""
    out = []
    for limit in problem.limits:
        if limit.name == name:
            assert isinstance(limit, Limit)
            if limit.minimum is not None:
                limit = replace(limit, minimum=limit.minimum - by)
            if limit.maximum is not None:
                limit = replace(limit, maximum=limit.maximum + by)
        out.append(limit)
    return replace(problem, limits=tuple(out))


def assert_conflict_is_right(problem):
    """Returns how many limits conflict."""
    everything = tuple(limit.name for limit in problem.limits)
    found = diagnose(problem)
    if np.isfinite(breach(problem, everything)):
        assert found is None
        return 0
    assert found is not None
    assert not np.isfinite(breach(problem, found.limits))
    for name in found.limits:
        others = tuple(x for x in found.limits if x != name)
        assert not others or np.isfinite(breach(problem, others)), "without any one of them the others can be kept"
        least, given = breach(problem, found.limits, name), found.relaxation[name]
        limit = next(x for x in problem.limits if x.name == name)
        whole = isinstance(limit, Limit) and limit.measure == "count"
        assert least - (1.0 if whole else 0.0) <= given <= 1.01 * least + (1.0 if whole else 0.0)
        if isinstance(limit, Limit):
            assert np.isfinite(breach(loosened(problem, name, given + 1e-9), found.limits)), "just enough"
            less = min(0.99 * given, given - 1.0) if whole else 0.99 * given
            assert not np.isfinite(breach(loosened(problem, name, less), found.limits)), "and no less"
    return len(found.limits)


def test_conflicts_are_those_of_linear_programs_irreducible_and_cured_by_just_enough(monkeypatch):
    monkeypatch.setattr(portfolio.conflicts.diagnose, "EXACT_PAIRS", 0)
    sizes = [assert_conflict_is_right(contested(seed)) for seed in range(7)]
    assert {0, 2, 3} <= set(sizes)


@pytest.mark.parametrize("seed", [1452, 1515])
def test_relaxations_at_a_corner_of_the_dual_are_not_too_small(seed, monkeypatch):
    monkeypatch.setattr(portfolio.conflicts.diagnose, "EXACT_PAIRS", 0)
    assert assert_conflict_is_right(contested(seed, n=60 + seed % 200)) > 2


@pytest.mark.soak
@pytest.mark.parametrize("block", range(10))
def test_thousands_of_conflicts_are_those_of_linear_programs(block, monkeypatch):
    monkeypatch.setattr(portfolio.conflicts.diagnose, "EXACT_PAIRS", 0)
    for seed in range(1_000 + 100 * block, 1_100 + 100 * block):
        assert_conflict_is_right(contested(seed, n=60 + seed % 200))


@pytest.mark.parametrize("seed", range(4))
def test_a_small_problem_has_a_conflict_exactly_when_the_referee_finds_no_plan(seed):
    problem = contested(seed, n=25)
    found = diagnose(problem)
    assert (solve(problem, gap=0.1).status == "infeasible") == (found is not None)
    if found is None:
        return
    for name in found.limits:
        rest = tuple(x for x in problem.limits if x.name in found.limits and x.name != name)
        assert solve(replace(problem, limits=rest), gap=0.1).status != "infeasible"
        both = tuple(x for x in problem.limits if x.name in found.limits)
        assert solve(replace(problem, limits=both), gap=0.1).status == "infeasible"
        if not name.startswith("quota"):
            cured = loosened(replace(problem, limits=both), name, found.relaxation[name] + 1e-9)
            assert solve(cured, gap=0.1).status != "infeasible"


def test_thousands_of_pairs_under_planted_limits_agree_with_the_linear_program():
    problem, _ = crowd(2, 1_500, most=1)
    cheapest = np.sort(np.where(problem.eligible, problem.cost, np.inf).min(1))
    wanted = 900
    limits = (
        Limit("budget", "cost", maximum=0.9 * float(cheapest[:wanted].sum())),
        Limit("contacts", "count", minimum=float(wanted)),
        *(Limit(f"cap {a}", "count", maximum=600.0, offers=(a,)) for a in range(6)),
    )
    problem = replace(problem, limits=limits)
    found = diagnose(problem)
    assert found is not None
    assert found.limits == ("budget", "contacts")
    least = {name: breach(problem, found.limits, name) for name in found.limits}
    assert found.relaxation["budget"] == pytest.approx(least["budget"], rel=0.002)
    assert least["contacts"] <= found.relaxation["contacts"] <= 1.001 * least["contacts"] + 1.0  # whole contacts
