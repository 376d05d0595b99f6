"""Compile every kernel once, so that the first command is as quick as the second. Run at installation."""

import sys

import numpy as np

from bandit import Rows, Use, start_amounts, start_experts
from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from engine.sampling import focused
from offline_eval import Bootstrap, Log, confidence_sequence, dr, interval
from portfolio import Limit, Problem, compile_rows, diagnose, solve


def main() -> None:
    """Play a tiny world through the whole engine; compiled kernels stay in the cache beside the sources."""
    from sims.allocations import batch_of, in_turn
    from sims.rounds import play
    from sims.world import nbo

    sys.stderr.write("compiling kernels, once\n")
    world = nbo(1, customers=600, history=3_000)
    play(world, rounds=1)
    everybody = np.arange(len(world.customers))
    batch = batch_of(world, 0, everybody, world.eligible, 0 * everybody)
    in_turn(batch, batch.value)
    learn()
    optimize()
    judge()


def learn() -> None:
    """Experts and amounts, which are learnt on request only."""
    rng = np.random.default_rng(0)
    basis = np.column_stack([np.ones(900), rng.normal(size=(900, 2))]).astype(np.float32)
    logit, arm = rng.normal(size=900), rng.integers(0, 3, 900)
    rows = Rows(basis, logit, arm, (rng.random(900) < 0.3).astype(np.float64))
    block = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)
    experts = start_experts(rows, logit, 3, centre=0.0, block=block, seed=0)
    experts.update(rows, window=0).beliefs(basis, rng.normal(size=(900, 3)).astype(np.float32))
    start_amounts(rows, logit, 3, centre=0.0, block=block)


def optimize() -> None:
    """Solve for one and for two offers per customer, and look for a conflict, above the size that is solved exactly."""
    rng = np.random.default_rng(0)
    n, k = 600, 5
    value, cost = rng.gamma(2.0, 10.0, (n, k)), rng.uniform(1.0, 5.0, (n, k))
    limits = (Limit("budget", "cost", maximum=1.0 * n), Limit("worth", "value", minimum=0.5 * n))
    cell = rng.integers(0, 3, n)
    one = Problem(value, cost, np.ones((n, k), bool), cell, limits)
    two = Problem(value, cost, np.ones((n, k), bool), cell, limits, most=2, groups=np.array([0, 0, 1, 1, 2]))
    hopeless = (*limits, Limit("wish", "count", minimum=0.9 * n))
    single = Problem(value.astype(np.float32), cost.astype(np.float32), one.eligible, cell, limits)
    for problem in (one, single, two):
        solve(problem, gap=1e-3)
        diagnose(Problem(value, cost, one.eligible, cell, hopeless, most=problem.most, groups=problem.groups))
    rows = compile_rows(limits, one.n_cells, k)
    for problem in (one, single):  # the sample of a large audience
        use = Use(problem.cost, problem.value, problem.cell, problem.n_cells)
        focused(use, problem.eligible, np.zeros(rows.coefficient.shape[1:]), rows, n // 2)


def judge() -> None:
    """Estimates from tables of either width, a bootstrap and a confidence sequence."""
    log = Log(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 0]), np.full(3, 0.5))
    double = np.full((3, 2), 0.5)
    single = double.astype(np.float32)
    for target, q_hat in ((double, double), (double, single), (single, double), (single, single)):
        interval(dr(log, target, q_hat), Bootstrap(seed=0))
    confidence_sequence(log, double)


if __name__ == "__main__":
    main()
