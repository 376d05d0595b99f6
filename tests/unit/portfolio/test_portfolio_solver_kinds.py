"""Customers who are alike are counted, programs over them are those over customers, and hostile instances end well."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

import portfolio.solver as solver
from benchmarks import recount
from benchmarks.instances import make_problem
from portfolio import Limit, Problem, compile_rows, solve
from portfolio.large.linear import Columns, Room, kinds_of, solve_linear
from portfolio.large.population import Population
from portfolio.large.undecided import Undecided
from portfolio.large.vertex import split, to_vertex
from portfolio.referee import Answer, Bounds, Effort, Pairs
from tests.statistical.portfolio.solver_soak import examine

N, K, G = 240, 4, 2


def tied(seed: int) -> tuple[Problem, Undecided]:
    """Few scores, equal costs, two cells: everybody undecided, few kinds."""
    r = np.random.default_rng(seed)
    value = r.choice([5.0, 10.0], (N, K))
    cost = np.broadcast_to(np.array([1.0, 2.0, 1.0, 3.0]), (N, K)).copy()
    limits = (
        Limit("budget", "cost", maximum=160.5),
        Limit("cap", "count", maximum=25, offers=(0,)),
        Limit("floor", "count", minimum=31, offers=(3,), cells=(1,)),
    )
    problem = Problem(value, cost, r.random((N, K)) < 0.95, r.integers(0, G, N), limits)
    free = np.zeros((3, G, K))
    return problem, Undecided.of(Population.of(problem), free, free, np.arange(N), np.inf)


def test_customers_of_one_kind_have_one_cell_and_the_same_options() -> None:
    problem, few = tied(0)
    alike = kinds_of(few)
    assert alike.count < N / 2
    assert alike.many.sum() == N
    seen: dict[int, set[bytes]] = {}
    for i in range(N):
        e = problem.eligible[i]
        told = np.concatenate((problem.cell[i : i + 1], e, np.where(e, problem.value[i], 0.0)))
        seen.setdefault(int(alike.kind[i]), set()).add(told.tobytes())
    assert all(len(x) == 1 for x in seen.values())
    assert len(set().union(*seen.values())) == alike.count


@pytest.mark.parametrize("seed", range(4))
def test_the_program_over_kinds_is_worth_what_the_program_over_customers_is(seed: int) -> None:
    problem, few = tied(seed)
    rows = compile_rows(problem.limits, G, K)
    box = np.full(3, 1e6)
    nothing = np.zeros((3, G, K))
    found = solve_linear(few, kinds_of(few), rows, box, nothing)
    assert found is not None
    share, price = found
    effect = np.stack(
        [few.cost * (few.offer < K), 1.0 * (few.offer == 0), (few.offer == 3) & (few.cell[few.owner()] == 1)]
    )
    whose = sparse.csr_matrix((np.ones(len(few.offer)), (few.owner(), np.arange(len(few.offer)))))
    sides = np.array([1.0, 1.0, -1.0])
    wanted = linprog(
        -few.value,
        A_ub=sides[:, None] * effect,
        b_ub=sides * np.array([160.5, 25, 31]),
        A_eq=whose,
        b_eq=np.ones(N),
    )
    assert few.value @ share == pytest.approx(-wanted.fun, rel=1e-9)
    assert (sides * (effect @ share) <= sides * np.array([160.5, 25, 31]) + 1e-7).all()
    assert np.add.reduceat(share, few.first[:-1]) == pytest.approx(np.ones(N), abs=1e-9)
    assert split(few, share).sum() <= len(rows.names)
    assert price[0] >= 0 and price[1] >= 0 and price[2] <= 0


@pytest.mark.parametrize("whole", [True, False])
def test_what_kinds_take_is_handed_out_in_full_and_few_are_split(whole: bool) -> None:
    problem, few = tied(7)
    alike = kinds_of(few)
    columns = Columns.of(few, alike, compile_rows(problem.limits, G, K))
    r = np.random.default_rng(3)
    part = [r.dirichlet(np.ones(b - a)) for a, b in zip(columns.start[:-1], columns.start[1:], strict=True)]
    if whole:
        taken = np.concatenate([r.multinomial(n, p) for n, p in zip(alike.many, part, strict=True)]).astype(float)
    else:
        taken = np.concatenate([n * p for n, p in zip(alike.many, part, strict=True)])
    share = columns.handed_out(few, alike, taken)
    assert np.add.reduceat(share, few.first[:-1]) == pytest.approx(np.ones(N), abs=1e-9)
    per_option = np.zeros(len(taken))
    for i in range(N):
        mine = slice(few.first[i], few.first[i + 1])
        start = columns.start[alike.kind[i]]
        per_option[start : start + few.first[i + 1] - few.first[i]] += share[mine]
    assert per_option == pytest.approx(taken, abs=1e-9)
    assert split(few, share).sum() <= (0 if whole else len(taken) - alike.count)


def test_room_is_what_the_others_leave() -> None:
    problem, _ = tied(1)
    rows = compile_rows(problem.limits, G, K)
    fixed = np.zeros((3, G, K))
    fixed[0, 0, 0], fixed[1, 1, 2] = 5, 7.5
    room = Room.of(rows, rows.penalty, fixed)
    assert room.upper[:2].tolist() == [153.0, 20.0]
    assert room.lower[2] == 31.0


@pytest.mark.parametrize("spread", [1e-9, 1e-8, 1e-6])
def test_limits_that_nearly_repeat_each_other_are_not_moved_by_a_vertex(spread: float) -> None:
    problem = make_problem(1_500, 6, 12, seed=2)
    r = np.random.default_rng(0)
    cost = (1.0 + spread * r.standard_normal(problem.cost.shape)).astype(np.float64)
    again = (Limit("contacts", "count", maximum=900), Limit("nearly contacts", "cost", maximum=900))
    problem = replace(problem, cost=cost, value=problem.value.astype(np.float64), limits=again)
    rows = compile_rows(problem.limits, problem.n_cells, 6)
    free = np.zeros(rows.coefficient.shape[1:])
    few = Undecided.of(Population.of(problem), free, free, np.arange(1_500), np.inf)
    soft, _ = few.soften(free, 20.0)
    pushed = to_vertex(few, rows, soft.share, np.zeros(2))
    before, after = rows.consumption(few.use_of(soft.share)), rows.consumption(few.use_of(pushed))
    assert np.abs(after - before).max() <= 1e-6
    assert split(few, pushed).sum() <= 2


@pytest.mark.parametrize(
    ("seed", "gap"),
    [(145, 1e-5), (53, 1e-5), (57, 1e-4), (15, 1e-4), (111, 1e-4)],
    ids=["samples contradict limits", "tiny pivots", "elastic budget in a narrow band", "twins", "30 limits on twins"],
)
def test_instances_that_misled_the_search_end_near_their_bound(seed: int, gap: float) -> None:
    """Each of them is built around a plan that keeps all its limits; found among random problems."""
    solved = examine(seed, 20_000, 200_000)
    assert solved.wrong == ()
    assert solved.gap <= gap


def test_an_exact_search_that_is_stopped_hands_out_a_plan_with_its_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "_NODES", 1)
    problem = make_problem(130, limits=31, seed=5)
    assert np.count_nonzero(problem.eligible) <= 2_000
    found = solve(problem, gap=1e-9)
    assert found.status in ("optimal", "feasible")
    assert recount.broken(problem, found.choice) == []
    assert found.bound >= found.value
    assert found.gap == pytest.approx((found.bound - found.value) / abs(found.bound), abs=1e-12)


@pytest.mark.parametrize(
    ("gap", "far", "searched"),
    [(1e-4, np.inf, [1]), (1e-4, 0.0, [1, 50]), (1e-5, np.inf, [50])],
    ids=["a coarse gap, near enough", "a coarse gap, too far", "a fine gap"],
)
def test_few_nodes_are_enough_only_where_a_coarse_gap_is_asked_for_and_the_bound_is_near(
    monkeypatch: pytest.MonkeyPatch, gap: float, far: float, searched: list[int]
) -> None:
    nodes, answers, search = [], [], solver.solve_pairs

    def watched(pairs: Pairs, bounds: Bounds, effort: Effort, **more: Any) -> Answer:
        answer = search(pairs, bounds, effort, **more)
        if effort.integer:
            nodes.append(effort.nodes)
            answers.append(answer)
        return answer

    for name, value in (("_FEW_NODES", 1), ("_NODES", 50), ("_FAR", far), ("solve_pairs", watched)):
        monkeypatch.setattr(solver, name, value)
    found = solve(make_problem(130, limits=31, seed=5), gap=gap)
    assert nodes == searched
    assert (answers[0].status == "stopped") == (nodes[0] == 1)
    assert found.value == pytest.approx(answers[-1].value)
