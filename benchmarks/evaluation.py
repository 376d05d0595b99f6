"""How long does it take to judge a policy? `python -m benchmarks.evaluation`.

100,000 logged decisions over 20 offers and no offer, in memory; then ten million of them out of a Parquet file, block
by block, by every estimator that has a closed form. CPU seconds of all threads, the best of several runs.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import offline_eval as oe
from api.console import say, table
from benchmarks.measure import Row, peak, timed

ACTIONS, ROWS, BLOCK, RUNS = 21, 100_000, 100_000, 7
SECONDS, BYTES = 60.0, 2 * 2**30

Floats = NDArray[np.float32]

ESTIMATORS: dict[str, Callable[[oe.Log, Floats, Floats], oe.Estimate]] = {
    "ips": lambda log, t, _: oe.ips(log, t),
    "clipped_ips": lambda log, t, _: oe.clipped_ips(log, t, 10.0),
    "snips": lambda log, t, _: oe.snips(log, t),
    "subgaussian_ips": lambda log, t, _: oe.subgaussian_ips(log, t, 0.1),
    "dm": oe.dm,
    "dr": oe.dr,
    "sndr": oe.sndr,
    "switch_dr": lambda log, t, q: oe.switch_dr(log, t, q, 10.0),
    "dr_os": lambda log, t, q: oe.dr_os(log, t, q, 10.0),
    "subgaussian_dr": lambda log, t, q: oe.subgaussian_dr(log, t, q, 0.1),
}


def main() -> None:
    options = _options()
    say(f"{ROWS:,} rows, {ACTIONS - 1} offers and no offer, tables of float32 unless said; then a Parquet file")
    rows = [*in_memory(), from_parquet(options.rows)]
    lines = [[r.work, f"{1e3 * r.ours:,.2f}", r.floor, "yes" if r.kept else "NO", r.detail] for r in rows]
    table("CPU time", ("work", "ms", "floor", "kept", ""), lines)


def made(n: int, seed: int) -> tuple[oe.Log, Floats, Floats]:
    """A log of n customers, a target and a reward model, tables in the float32 in which policies are stored."""
    r = np.random.default_rng(seed)
    logging, target = (_policy(r, n) for _ in range(2))
    action = (logging.cumsum(1) < r.random((n, 1))).sum(1).clip(0, ACTIONS - 1)
    chance = 0.05 * r.random((n, ACTIONS), np.float32)
    rows = np.arange(n)
    reward = (r.random(n) < chance[rows, action]).astype(float)
    return oe.Log(reward, action, logging[rows, action].astype(float)), target, chance


def _policy(r: np.random.Generator, n: int) -> Floats:
    raw = r.random((n, ACTIONS), np.float32) ** 3 + 0.02
    return raw / raw.sum(1, keepdims=True)


def in_memory() -> list[Row]:
    """The figures of one table in memory."""
    log, target, q_hat = made(ROWS, 0)
    customers = oe.Log(log.reward, log.action, log.propensity, np.random.default_rng(1).integers(0, ROWS // 2, ROWS))
    double, double_q = target.astype(float), q_hat.astype(float)
    double /= double.sum(1, keepdims=True)
    found = oe.dr(log, target, q_hat)
    work: list[tuple[str, Callable[[], object], float | None]] = [
        ("ips with interval", lambda: oe.ips(log, target), 0.002),
        ("ips with interval, tables of float64", lambda: oe.ips(log, double), 0.002),
        ("ips with interval, rows by customer", lambda: oe.ips(customers, target), None),
        ("dr with interval", lambda: oe.dr(log, target, q_hat), 0.010),
        ("dr with interval, tables of float64", lambda: oe.dr(log, double, double_q), 0.010),
        ("bootstrap of dr, 1,000 replicates", lambda: oe.interval(found, oe.Bootstrap(seed=0)), 0.3),
        ("evaluate", lambda: oe.evaluate(log, target, q_hat), None),
        ("confidence sequence, 50 looks", lambda: oe.confidence_sequence(log, target), None),
    ]
    return [_best(*w) for w in work]


def _best(work: str, run: Callable[[], object], floor: float | None) -> Row:
    run()
    seconds = min(timed(run)[1] for _ in range(RUNS))
    if floor is None:
        return Row(work, seconds, kept=True)
    return Row(work, seconds, floor=f"{1e3 * floor:,.0f} ms", kept=seconds <= floor)


def from_parquet(n: int) -> Row:
    """Every estimator over a file that is never in memory as a whole."""
    with tempfile.TemporaryDirectory(prefix="allot-bench-") as directory:
        path = Path(directory) / "log.parquet"
        _write(path, n)
        (figures, seconds), grown = peak(lambda: timed(lambda: _judge(path)))
    kept = seconds <= SECONDS * n / 10_000_000 and grown <= BYTES
    floor = f"{SECONDS:.0f} s per 10M, 2 GB"
    detail = f"{len(figures)} estimators, {grown / 2**20:,.0f} MB above the start; dr {figures['dr'].value:.5f}"
    return Row(f"{n:,} rows from Parquet", seconds, floor=floor, kept=kept, detail=detail)


def _write(path: Path, n: int) -> None:
    log, target, q_hat = made(BLOCK, 2)
    lists = {name: pa.FixedSizeListArray.from_arrays(pa.array(t.ravel()), ACTIONS) for name, t in
             (("target", target), ("q_hat", q_hat))}  # fmt: skip
    block = pa.table({"reward": log.reward, "action": log.action, "propensity": log.propensity, **lists})
    with pq.ParquetWriter(path, block.schema, compression="snappy") as out:
        for _ in range(n // BLOCK):
            out.write_table(block)


def _blocks(path: Path) -> Iterator[tuple[oe.Log, Floats, Floats]]:
    for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(BLOCK, use_threads=False):
        column = {name: batch.column(name) for name in batch.schema.names}
        log = oe.Log(*(column[name].to_numpy() for name in ("reward", "action", "propensity")))
        tables = (column[name].flatten().to_numpy().reshape(-1, ACTIONS) for name in ("target", "q_hat"))
        yield log, *tables


def _judge(path: Path) -> dict[str, oe.Figures]:
    sums: dict[str, oe.Totals] = {}
    for block in _blocks(path):
        for name, estimator in ESTIMATORS.items():
            found = oe.totals(estimator(*block))
            sums[name] = sums[name] + found if name in sums else found
    return {name: oe.combined([total]) for name, total in sums.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the Parquet file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
