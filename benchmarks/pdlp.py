"""OR-tools' PDLP on a linear program in a file: `.venv-bench/bin/python benchmarks/pdlp.py PROGRAM.npz ANSWER.npz`.

Runs in an environment of its own and imports nothing of Allot: ortools and highspy cannot share a process. The program
is `maximise value·x, lower <= A x <= upper, 0 <= x <= 1`, A in compressed rows.
"""

import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from ortools.pdlp import solve_log_pb2, solvers_pb2
from ortools.pdlp.python import pdlp

TOLERANCE = 1e-5
SECONDS = 1_800.0


def main() -> None:
    program, answer = (Path(word) for word in sys.argv[1:3])
    with np.load(program) as file:
        matrix = sp.csr_array((file["data"], file["indices"], file["indptr"]), shape=tuple(file["shape"]))
        value, lower, upper = file["value"], file["lower"], file["upper"]
    solve(np.ones(2), sp.csr_array(np.ones((1, 2))), np.array([-np.inf]), np.ones(1))  # imports and set-up are not ours
    started = time.process_time()
    result = solve(value, matrix, lower, upper)
    seconds = time.process_time() - started
    reason = solve_log_pb2.TerminationReason.Name(result.solve_log.termination_reason)
    np.savez(answer, share=result.primal_solution, seconds=seconds, reason=reason)


def solve(value: np.ndarray, matrix: sp.csr_array, lower: np.ndarray, upper: np.ndarray) -> pdlp.SolverResult:
    program = pdlp.QuadraticProgram()
    program.resize_and_initialize(len(value), len(lower))
    program.objective_vector = -value
    program.constraint_matrix = matrix.tocsc()
    program.constraint_lower_bounds, program.constraint_upper_bounds = lower, upper
    program.variable_lower_bounds, program.variable_upper_bounds = np.zeros(len(value)), np.ones(len(value))
    asked = solvers_pb2.PrimalDualHybridGradientParams()
    asked.num_threads = 1
    asked.termination_criteria.time_sec_limit = SECONDS
    optimal = asked.termination_criteria.simple_optimality_criteria
    optimal.eps_optimal_relative = optimal.eps_optimal_absolute = TOLERANCE
    return pdlp.primal_dual_hybrid_gradient(program, asked)


if __name__ == "__main__":
    main()
