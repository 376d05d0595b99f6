"""Passes count exactly, in any order; samples answer softly as a softmax does; a vertex moves no limit."""

from dataclasses import replace

import numpy as np
import pytest

from allot import ShapeError
from portfolio.curvature import Touch
from portfolio.large.passes import ArgmaxOracle
from portfolio.large.population import Population
from portfolio.large.softened import SoftSample
from portfolio.large.undecided import Undecided
from portfolio.large.vertex import split, to_vertex
from portfolio.limits import Limit, Problem, Selection, Share, compile_rows
from portfolio.prices import hessian_of
from portfolio.several.crowd import SeveralCrowd, Taste
from portfolio.several.shelf import Shelf

K, G = 5, 3


def problem_of(n=600, seed=0, kind=np.float32):
    rng = np.random.default_rng(seed)
    value = (rng.gamma(2.0, 10.0, (n, K)) - 4.0).astype(kind)
    cost = rng.uniform(0.5, 5.0, (n, K)).astype(kind)
    eligible = rng.random((n, K)) < 0.8
    value[~eligible] = np.nan
    cost[~eligible] = np.inf
    limits = (
        Limit("budget", "cost", maximum=300.0),
        Limit("cap", "count", maximum=50.0, offers=(0, 2), cells=(1,)),
        Limit("worth", "value", minimum=20.0, offers=(3,)),
        Share("mix", "count", Selection((1,)), Selection(), maximum=0.2),
    )
    return Problem(value, cost, eligible, rng.integers(0, G, n), limits)


def charges_of(seed=0, measures=3):
    rng = np.random.default_rng(seed)
    out = np.stack([rng.uniform(-2, 8, (G, K)), rng.uniform(0, 2, (G, K)), rng.uniform(-0.4, 1.6, (G, K))])
    out[measures:] = 0.0
    return out


def nets(problem, charges):
    cell = problem.cell
    value, cost = (np.where(problem.eligible, x, 0.0) for x in (problem.value, problem.cost))
    paid = charges[0][cell] + charges[1][cell] * cost + charges[2][cell] * value
    return np.where(problem.eligible, value - paid, -np.inf)


def taken_by(problem, charges):
    net = nets(problem, charges)
    best = np.maximum(net.max(1), 0.0)
    return np.where(best > 0, net.argmax(1), -1), best


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("measures", [1, 2, 3])
def test_a_pass_counts_what_everybody_takes(kind, measures):
    problem = problem_of(kind=kind)
    charges = charges_of(1, measures)
    choice, best = taken_by(problem, charges)
    answer = ArgmaxOracle((Population.of(problem),))(charges, curvature=False)
    use = np.zeros((3, G, K))
    for i in np.nonzero(choice >= 0)[0]:
        a = choice[i]
        use[:, problem.cell[i], a] += (1.0, problem.cost[i, a], problem.value[i, a])
    assert answer.use == pytest.approx(use, rel=1e-9)
    assert answer.value == pytest.approx(best.sum(dtype=float), rel=1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("offers", [1, 7, 20, 40])
def test_the_first_of_equal_offers_is_taken_and_nothing_that_is_worth_nothing(kind, offers):
    rng = np.random.default_rng(offers)
    value = rng.integers(-3, 4, (2_000, offers)).astype(kind)
    eligible = rng.random((2_000, offers)) < 0.5
    problem = Problem(value, np.ones_like(value), eligible, rng.integers(0, G, 2_000), ())
    problem = replace(problem, value=np.where(eligible, value, np.nan).astype(kind))
    charges = np.zeros((3, G, offers))
    charges[1] = 1.0
    net = np.where(eligible, value - 1.0, -np.inf)
    best = np.where(net.max(1) > 0, net.argmax(1), offers)
    stand = ArgmaxOracle((Population.of(problem),)).stand(charges, np.zeros_like(charges))
    assert (stand.choice == best).all()
    ordered = np.sort(np.c_[net, np.full(2_000, -np.inf), np.zeros(2_000)], 1)
    assert (stand.lead == ordered[:, -1] - ordered[:, -2]).all()
    assert stand.response.use[0].sum() == (best < offers).sum()


def test_order_parts_and_threads_change_no_bit():
    problem = problem_of(70_000)
    everybody = Population.of(problem)
    charges, width = charges_of(2), np.zeros((3, G, K))
    whole = ArgmaxOracle((everybody,), threads=1)(charges, curvature=False)
    order = np.random.default_rng(0).permutation(70_000)
    arrays = {name: getattr(problem, name)[order] for name in ("value", "cost", "eligible", "cell")}
    shuffled = Population.of(replace(problem, **arrays))
    parts = tuple(everybody.part(slice(a, b)) for a, b in ((0, 11), (11, 40_000), (40_000, 70_000)))
    for oracle in (
        ArgmaxOracle((everybody,), threads=2),
        ArgmaxOracle((everybody,), threads=3),
        ArgmaxOracle((shuffled,)),
        ArgmaxOracle(parts),
    ):
        answer = oracle(charges, curvature=False)
        assert answer.value == whole.value
        assert (answer.use == whole.use).all()
        assert (oracle.stand(charges, width).response.use == whole.use).all()
    both = [ArgmaxOracle(x).stand(charges, width) for x in ((everybody,), parts)]
    assert (both[0].choice == both[1].choice).all()
    assert (both[0].lead == both[1].lead).all()


def test_a_sample_is_the_same_customers_in_any_order_and_speaks_for_everybody():
    problem = problem_of(20_000)
    order = np.random.default_rng(1).permutation(20_000)
    arrays = {name: getattr(problem, name)[order] for name in ("value", "cost", "eligible", "cell")}
    one, other = Population.of(problem), Population.of(replace(problem, **arrays))
    (some, weight), (others, same) = one.sample(3_000), other.sample(3_000)
    assert (one.key[some] == other.key[others]).all()
    assert (weight == same).all()
    assert one.typical == other.typical
    assert np.bincount(one.cell[some]) * weight == pytest.approx(np.bincount(problem.cell))
    assert (one.value[some][one.eligible[some]] == other.value[others][other.eligible[others]]).all()


def test_a_sample_takes_some_of_many_equal_customers():
    problem = problem_of(40_000)
    same = replace(problem, **{x: np.repeat(getattr(problem, x)[:4], 10_000, 0) for x in ("value", "cost", "eligible")})
    some, _ = Population.of(replace(same, cell=np.zeros(40_000, int))).sample(2_000)
    kinds = np.unique(np.nan_to_num(same.value[some]), axis=0, return_counts=True)[1]
    assert len(kinds) == 4
    assert kinds.min() > 300


def test_leads_are_the_distance_to_the_next_best():
    problem = problem_of()
    charges = charges_of(3)
    choice, _ = taken_by(problem, charges)
    stand = ArgmaxOracle((Population.of(problem),)).stand(charges, np.zeros((3, G, K)))
    assert (np.where(stand.choice == K, -1, stand.choice) == choice).all()
    ordered = np.sort(np.c_[nets(problem, charges), np.zeros(len(choice))], 1)
    assert stand.lead == pytest.approx(ordered[:, -1] - ordered[:, -2], abs=1e-4)


def test_whoever_is_sure_keeps_the_choice_at_every_charge_within_the_width():
    problem = problem_of(seed=4, kind=np.float64)
    charges = charges_of(4)
    width = np.stack([np.full((G, K), 0.7), np.full((G, K), 0.2), np.full((G, K), 0.01)])
    population = Population.of(problem)
    stand = ArgmaxOracle((population,)).stand(charges, width)
    sure = stand.lead > 0
    assert 50 < sure.sum() < 550
    options = Undecided.of(population, charges, width, np.arange(600), 0.0)
    allowed = np.zeros((600, K + 1), bool)
    allowed[options.owner(), options.offer] = True
    rng = np.random.default_rng(5)
    for _ in range(50):
        choice, _ = taken_by(problem, charges + width * rng.choice([-1.0, 1.0], (3, G, K)))
        choice = np.where(choice < 0, K, choice)
        assert (choice == stand.choice)[sure].all()
        assert allowed[np.arange(600), choice].all()


def test_the_exact_maximum_has_no_curvature():
    with pytest.raises(ShapeError, match="curvature"):
        ArgmaxOracle((Population.of(problem_of(10)),))(charges_of(), curvature=True)
    with pytest.raises(ShapeError, match="temperature"):
        ArgmaxOracle((Population.of(problem_of(10)),), temperature=0.0)(charges_of(), curvature=True)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_at_a_temperature_the_curvature_is_that_of_the_softened_maximum(kind):
    problem, charges = problem_of(seed=8, kind=kind), charges_of(8)
    reference = (
        SeveralCrowd(Shelf.of(problem), Taste.of(problem), 2.0, 3).answer(charges, curvature=True).response.curvature
    )
    answer = ArgmaxOracle((Population.of(problem),), temperature=2.0)(charges, curvature=True)
    exact = ArgmaxOracle((Population.of(problem),))(charges, curvature=False)
    assert (answer.value, answer.use.tolist()) == (exact.value, exact.use.tolist())
    for found, expected in zip(answer.curvature, reference, strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5 * np.abs(expected).max())


def test_order_parts_and_threads_change_no_bit_of_the_curvature():
    problem, charges = problem_of(70_000), charges_of(9)
    everybody = Population.of(problem)
    order = np.random.default_rng(3).permutation(70_000)
    arrays = {name: getattr(problem, name)[order] for name in ("value", "cost", "eligible", "cell")}
    shuffled = Population.of(replace(problem, **arrays))
    parts = tuple(everybody.part(slice(a, b)) for a, b in ((0, 11), (11, 40_000), (40_000, 70_000)))
    whole = ArgmaxOracle((everybody,), threads=1, temperature=0.5)(charges, curvature=True).curvature
    assert (np.abs(whole).max((1, 2, 3)) > 0).all()
    for some, threads in (((everybody,), 2), ((shuffled,), 3), (parts, 2)):
        oracle = ArgmaxOracle(some, threads=threads, temperature=0.5)
        assert (oracle(charges, curvature=True).curvature == whole).all()


@pytest.mark.parametrize("measures", [1, 2, 3])
@pytest.mark.parametrize("heat", [5.0, 0.5, 0.05])
def test_samples_and_the_undecided_answer_as_a_softmax_does(heat, measures):
    problem = problem_of(1_500, seed=6)
    charges = charges_of(7, measures)
    reference = SeveralCrowd(Shelf.of(problem), Taste.of(problem), heat, 3).answer(charges, curvature=True)
    population = Population.of(problem)
    value, use, reaction = SoftSample.of(population, 1_500).answer(charges, heat, 3)
    rows = compile_rows(problem.limits, G, K)
    touch = Touch.of(rows)
    hessian = hessian_of(rows, reference.response.curvature)
    assert value == pytest.approx(reference.response.value, rel=1e-6)
    assert use == pytest.approx(reference.response.use, rel=1e-4, abs=1e-2)
    assert touch.hessian(reaction) == pytest.approx(hessian, rel=5e-3, abs=2e-4 * np.abs(hessian).max())
    everybody = Undecided.of(population, charges, np.zeros((3, G, K)), np.arange(1_500), np.inf)
    soft, reaction = everybody.soften(charges, heat, 3)
    assert soft.soft == pytest.approx(reference.response.value, rel=1e-12)
    assert soft.exact == pytest.approx(reference.exact, rel=1e-12)
    assert soft.reached == pytest.approx(reference.reached, rel=1e-12)
    assert soft.use == pytest.approx(reference.response.use, rel=1e-9, abs=1e-9)
    assert touch.hessian(reaction) == pytest.approx(hessian, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_pushing_to_a_vertex_moves_no_limit_and_loses_no_value(seed):
    problem = problem_of(900, seed=seed)
    if seed % 2:
        value, cost = np.round(problem.value / 8) * 8, np.full((900, K), 2.0, np.float32)
        problem = replace(problem, value=value, cost=cost)
    rows = compile_rows(problem.limits, G, K)
    population = Population.of(problem)
    charges = np.zeros((3, G, K))
    few = Undecided.of(population, charges, charges, np.arange(900), np.inf)
    soft, _ = few.soften(charges, 8.0)
    pushed = to_vertex(few, rows, soft.share, np.zeros(len(rows.names)))

    def use_of_shares(share):
        out = np.zeros((3, G, K))
        real = few.offer < K
        for t, amount in enumerate((np.ones(len(share)), few.cost, few.value)):
            np.add.at(out[t], (few.cell[few.owner()[real]], few.offer[real]), (amount * share)[real])
        return out

    before, after = use_of_shares(soft.share), use_of_shares(pushed)
    assert split(few, soft.share).sum() > 600
    assert split(few, pushed).sum() <= len(rows.names)
    assert np.add.reduceat(pushed, few.first[:-1]) == pytest.approx(np.ones(900), abs=1e-9)
    assert pushed.min() >= 0.0
    assert rows.consumption(after) == pytest.approx(rows.consumption(before), rel=1e-9, abs=1e-6)
    assert after[2].sum() >= before[2].sum() - 1e-6
