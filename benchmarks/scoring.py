"""How much faster than a row for every pair? `python -m benchmarks.scoring`.

One model of 100 trees with 31 leaves, 20 offers, 40 customer features; once without, once with four features of the
pair. The same pairs go to `Grid.logits` and, as expanded rows, to LightGBM's own prediction, in turns, one thread each.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api.console import say, table
from benchmarks.measure import timed

Floats = NDArray[np.float64]

OFFERS, CUSTOMER, OFFER, TREES, LEAVES = 20, 40, 6, 100, 31
AVX2 = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+64bit,+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,"
    "+fma,+bmi,+bmi2,+lzcnt,+f16c",
}


@dataclass(frozen=True, slots=True)
class Work:
    """A trained booster, its offers, and pairs to score."""

    booster: Any
    offers: Floats
    customers: Floats
    cross: Floats

    def expanded(self, customers: int) -> Floats:
        """One row per pair of the first customers."""
        shape = (customers, OFFERS, -1)
        who = np.broadcast_to(self.customers[:customers, None], (customers, OFFERS, CUSTOMER))
        offers = np.broadcast_to(self.offers, (customers, OFFERS, OFFER))
        return np.concatenate([who, offers, self.cross[:customers].reshape(shape)], 2).reshape(customers * OFFERS, -1)


def main() -> None:
    options = _options()
    if options.avx2:
        with tempfile.TemporaryDirectory(prefix="allot-bench-") as cache:
            words = [word for word in sys.argv[1:] if word != "--avx2"]
            command = [sys.executable, "-m", "benchmarks.scoring", *words]
            subprocess.run(command, check=True, env={**os.environ, **AVX2, "NUMBA_CACHE_DIR": cache})
        return
    from numba.core.registry import cpu_target

    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    form = "AVX-512" if "+avx512f" in features else "AVX2" if "+avx2" in features else "neither AVX2 nor AVX-512"
    say(
        f"{TREES} trees of {LEAVES} leaves, {OFFERS} offers, {CUSTOMER} customer and {OFFER} offer features; "
        f"{options.customers:,} customers here, {options.native:,} of them natively; one thread; kernels for {form}"
    )
    rows = [_compared(cross, options.customers, options.native, options.rounds) for cross in (0, 4)]
    columns = ("cross features", "native µs", "ours µs", "times faster", "largest difference", "compiling ms")
    table("CPU time per customer", columns, rows)
    rows = [_one(cross) for cross in (0, 4)]
    table("One customer with all offers", ("cross features", "p50 µs", "p99 µs"), rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--native", type=int, default=2_000, help="customers that LightGBM scores pair by pair")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; the fastest counts")
    parser.add_argument("--avx2", action="store_true", help="use no instructions beyond AVX2")
    return parser.parse_args()


def made(n_cross: int, customers: int, *, seed: int = 0) -> Work:
    """Train on a log in which every feature matters, some of them categories, some missing."""
    import lightgbm

    r = np.random.default_rng(seed)
    offers = np.column_stack([np.arange(OFFERS), r.normal(size=(OFFERS, OFFER - 1)).round(1)])
    rows = 60_000
    who, pairs, shown = _people(r, rows), r.normal(size=(rows, n_cross)), r.integers(0, OFFERS, rows)
    taste, match = 0.3 * r.normal(size=(OFFERS, CUSTOMER)), 0.5 * r.normal(size=(OFFERS, n_cross))
    logit = (np.nan_to_num(who) * taste[shown]).sum(1) + (pairs * match[shown]).sum(1) + offers[shown, 1] - 1
    outcome = (r.random(rows) < 1 / (1 + np.exp(-logit))).astype(float)
    options = {"objective": "binary", "num_leaves": LEAVES, "feature_fraction": 0.5, "num_threads": 1, "verbosity": -1}
    matrix = np.concatenate([who, offers[shown], pairs], 1)
    data = lightgbm.Dataset(matrix, outcome, categorical_feature=[0, 1, CUSTOMER], params=options)
    booster = lightgbm.train(options, data, TREES)
    return Work(booster, offers, _people(r, customers), r.normal(size=(customers, OFFERS, n_cross)))


def _people(r: np.random.Generator, rows: int) -> Floats:
    who = r.normal(size=(rows, CUSTOMER))
    who[:, :5] = r.integers(0, 8, (rows, 5))
    who[r.random(who.shape) < 0.05] = np.nan
    return who


def _compared(n_cross: int, customers: int, native: int, rounds: int) -> tuple[Any, ...]:
    from bandit import compile_grid

    work = made(n_cross, customers)
    grid, compiling = timed(lambda: compile_grid(work.booster, work.offers, CUSTOMER, n_cross))
    grid.logits(work.customers[:300], work.cross[:300])
    expanded = work.expanded(native)
    ours, theirs = np.inf, np.inf
    for _ in range(rounds):
        scores, seconds = timed(lambda: grid.logits(work.customers, work.cross))
        ours = min(ours, seconds / customers)
        expected, seconds = timed(lambda: work.booster.predict(expanded, raw_score=True, num_threads=1))
        theirs = min(theirs, seconds / native)
    error = np.abs(scores[:native] - expected.reshape(native, OFFERS)).max()
    figures = (round(theirs * 1e6, 1), round(ours * 1e6, 3), round(theirs / ours, 1), f"{error:.1e}")
    return (n_cross, *figures, round(compiling * 1e3))


def _one(n_cross: int) -> tuple[Any, ...]:
    from bandit import compile_grid

    work = made(n_cross, 1)
    grid = compile_grid(work.booster, work.offers, CUSTOMER, n_cross)
    took = np.sort([_wall(lambda: grid.logits(work.customers, work.cross)) for _ in range(3000)]) * 1e6
    return n_cross, round(took[1500], 1), round(took[2970], 1)


def _wall(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
