"""The same job by other hands: the naive way, and generic linear programs over the same values, costs and limits."""

import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from portfolio import MEASURES, Limit, Problem, compile_rows, solve

ROOT = Path(__file__).resolve().parents[1]
BENCH_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
_WHOLE = 1e-3  # a first-order method's shares are only so exact


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solver found on one problem: its value, its upper bound and the CPU seconds it took.

    `whole` is the share of customers who get one whole offer or none; `broken` names limits that are not kept.
    """

    solver: str
    value: float
    bound: float
    whole: float
    cpu_seconds: float
    broken: str = ""


def warm() -> None:
    """Let every solver import and compile what it needs, so that no answer pays for it."""
    value = np.random.default_rng(0).random((2_000, 3))
    eligible, cell = np.ones(value.shape, bool), np.zeros(len(value), np.int64)
    problem = Problem(value, value, eligible, cell, (Limit("budget", "cost", maximum=100.0),))
    ours(problem)
    linear_program(problem)


def best_customer_first(problem: Problem) -> Answer:
    """The naive way: customers by their best value, each gets the best offer that still fits under every maximum."""
    started = time.process_time()
    k = problem.value.shape[1]
    rows = compile_rows(problem.limits, problem.n_cells, k)
    used = np.zeros(len(rows.names))
    worth = np.where(problem.eligible, problem.value, 0.0).astype(np.float64)
    choice = np.full(len(worth), -1, np.int64)
    for i in np.argsort(-worth.max(1), kind="stable"):
        for a in np.argsort(-worth[i], kind="stable"):
            if worth[i, a] <= 0:
                break
            amounts = np.array([1.0, problem.cost[i, a], problem.value[i, a]])
            after = used + rows.coefficient[:, :, problem.cell[i], a] @ amounts
            if (after <= np.maximum(rows.upper, used)).all():
                choice[i], used = a, after
                break
    seconds = time.process_time() - started
    below = [name for name, u, low in zip(rows.names, used, rows.lower, strict=True) if u < low]
    got = choice >= 0
    value = float(worth[got, choice[got]].sum())
    return Answer("best first", value, np.inf, 1.0, seconds, ", ".join(below))


def ours(problem: Problem) -> Answer:
    """The deterministic solver: whole numbers and a bound."""
    started = time.process_time()
    found = solve(problem)
    seconds = time.process_time() - started
    return Answer("allot", found.value, found.bound, 1.0, seconds)


def linear_program(problem: Problem) -> Answer:
    """The linear relaxation by cvxpy and HiGHS: one variable for every eligible pair, a row for every limit.

    CPU seconds include building and compiling the model; fractional customers are left as they are.
    """
    started = time.process_time()
    n, k = problem.value.shape
    customer, offer = np.nonzero(problem.eligible)
    pairs = len(customer)
    value = problem.value[customer, offer].astype(np.float64)
    measures = {"count": np.ones(pairs), "cost": problem.cost[customer, offer].astype(np.float64), "value": value}
    share = cp.Variable(pairs, nonneg=True)
    one_each = sp.csr_array((np.ones(pairs), (customer, np.arange(pairs))), shape=(n, pairs))
    constraints = [one_each @ share <= 1]
    rows = compile_rows(problem.limits, problem.n_cells, k)
    cell = problem.cell[customer]
    for r in range(len(rows.names)):
        used = sum(measures[name] * rows.coefficient[r, t, cell, offer] for t, name in enumerate(MEASURES))
        if np.isfinite(rows.upper[r]):
            constraints.append(used @ share <= rows.upper[r])
        if np.isfinite(rows.lower[r]):
            constraints.append(used @ share >= rows.lower[r])
    program = cp.Problem(cp.Maximize(value @ share), constraints)
    found = float(program.solve(solver=cp.HIGHS))
    seconds = time.process_time() - started
    split = np.bincount(customer, (share.value > 1e-6) & (share.value < 1 - 1e-6), n) > 0
    return Answer("HiGHS, LP", found, found, float(1 - split.mean()), seconds)


def first_order(problem: Problem) -> Answer:
    """The linear relaxation by OR-tools' PDLP, relative accuracy 1e-5, in its own environment and process.

    CPU seconds are those of loading the matrix into PDLP and solving; a customer is whole if one offer or none has all
    but a thousandth.

    Raises:
        FileNotFoundError: `make .venv-bench/.installed` has not been run.
        RuntimeError: PDLP stopped before it was done.
    """
    if not BENCH_PYTHON.exists():
        raise FileNotFoundError(f"{BENCH_PYTHON} is missing; run `make .venv-bench/.installed`.")
    n, k = problem.value.shape
    customer, offer = np.nonzero(problem.eligible)
    value = problem.value[customer, offer].astype(np.float64)
    measures = (np.ones(len(value)), problem.cost[customer, offer].astype(np.float64), value)
    rows = compile_rows(problem.limits, problem.n_cells, k)
    cell = problem.cell[customer]
    used = [sum(m * row[t][cell, offer] for t, m in enumerate(measures)) for row in rows.coefficient]
    one_each = sp.csr_array((np.ones(len(value)), (customer, np.arange(len(value)))), shape=(n, len(value)))
    matrix = sp.csr_array(sp.vstack([one_each, *(sp.csr_array(row[None, :]) for row in used)]))
    lower = np.concatenate([np.full(n, -np.inf), rows.lower])
    upper = np.concatenate([np.ones(n), rows.upper])
    with tempfile.TemporaryDirectory(prefix="allot-bench-") as folder:
        program, answer = Path(folder) / "program.npz", Path(folder) / "answer.npz"
        parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": matrix.shape}
        np.savez(program, value=value, lower=lower, upper=upper, **parts)
        command = [str(BENCH_PYTHON), str(ROOT / "benchmarks" / "pdlp.py"), str(program), str(answer)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with np.load(answer) as file:
            share, seconds, reason = file["share"], float(file["seconds"]), str(file["reason"])
    if reason != "TERMINATION_REASON_OPTIMAL":
        raise RuntimeError(f"PDLP stopped with {reason} after {seconds:.0f} CPU seconds.")
    largest, given = np.zeros(n), np.bincount(customer, share, n)
    np.maximum.at(largest, customer, share)
    split = np.maximum(largest, 1 - given) < 1 - _WHOLE
    reached = np.array([row @ share for row in used])
    size = np.maximum(np.maximum(np.nan_to_num(np.abs(rows.upper), posinf=0), np.abs(reached)), 1.0)
    over = np.maximum(reached - rows.upper, rows.lower - reached) > 1e-9 * size
    broken = ", ".join(dict.fromkeys(name for name, o in zip(rows.names, over, strict=True) if o))
    return Answer("PDLP, LP", float(value @ share), np.inf, float(1 - split.mean()), seconds, broken)


def vowpal_missing() -> str:
    """Why Vowpal Wabbit cannot be asked, in one line; empty if it can."""
    return missing("vowpalwabbit")


def missing(package: str) -> str:
    """Why a package of the benchmarks' own environment cannot be used, in one line; empty if it can."""
    if BENCH_PYTHON.exists():
        found = subprocess.run([str(BENCH_PYTHON), "-c", f"import {package}"], check=False, stderr=subprocess.DEVNULL)
        if not found.returncode:
            return ""
    return f"Left out: {BENCH_PYTHON.parents[1].name} has no {package}; run `make .venv-bench/.installed`."


def vowpal(verb: str, **job: Any) -> dict[str, NDArray[Any]]:
    """Vowpal Wabbit's answer to a job; see `benchmarks/vowpal.py`.

    Raises:
        CalledProcessError: it failed, or is not installed (`vowpal_missing`).
    """
    return elsewhere("vowpal.py", verb, **job)


def elsewhere(script: str, *verbs: str, **job: Any) -> dict[str, NDArray[Any]]:
    """The answer of a script in this folder to a job, in the benchmarks' own environment and a process of its own.

    Raises:
        CalledProcessError: it failed, or what it imports is not installed (`missing`).
    """
    with tempfile.TemporaryDirectory(prefix="allot-bench-") as folder:
        asked, answer = Path(folder) / "job.npz", Path(folder) / "answer.npz"
        np.savez(asked, **job)
        command = [str(BENCH_PYTHON), str(ROOT / "benchmarks" / script), *verbs, str(asked), str(answer)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with np.load(answer) as file:
            return dict(file)
