"""Is the log what it says it is? Checks of the propensities and of the rows themselves, each with a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from offline_eval.log import Floats, Integers, Log, integers
from offline_eval.tables import Table, rows_of

FEWEST_PATTERNS = 14  # counts of so many different rows have a common divisor by chance in one log of 2^14
FEWEST = 30  # an action must occur so often, in as many customers, before its calibration is tested: normal errors
ALARM = 1e-4  # chance that right propensities are blamed, over all tests of one log
ROUNDING = 2e-3  # relative; probabilities are often stored with three digits
AGREEMENT = 1e-3  # relative; between a propensity and the logged row it is part of


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Do actions occur as often as their propensities say? Tables (s, actions): segments by actions.

    Args:
        expected: rows in which the action had a chance; with the whole logged rows known, the sum of its chances.
        found: sum of 1/propensity over the rows where it was taken; with whole rows, how often it was taken.
        z: (found - expected) / its standard error, rows of one customer being dependent; NaN where it is not tested.
        largest: the z that right propensities reach in one of 10,000 logs.
        both_sides: whether too few are an alarm, too. Without whole rows they are not: a chance that is tiny where it
            does not occur leaves no trace, and "every row" may be more than those where the action was allowed.
        segments: (s,) the segments' codes.
    """

    expected: Floats
    found: Floats
    z: Floats
    largest: float
    both_sides: bool
    segments: Integers

    @property
    def alarms(self) -> NDArray[np.bool_]:
        """(s, actions) where the propensities are wrong: beyond chance, and by more than rounding explains."""
        with np.errstate(invalid="ignore"):
            beyond = np.abs(self.z) if self.both_sides else self.z
            return (beyond > self.largest) & (np.abs(self.found - self.expected) > ROUNDING * self.expected)


def calibration(
    log: Log,
    *,
    actions: int,
    support: NDArray[np.bool_] | None = None,
    chances: Table | None = None,
    segment: Integers | None = None,
) -> Calibration:
    """Compare how often each action was taken with what the propensities say, by segment.

    Without whole rows the sum of 1{A = a} / p over a segment has the expectation "rows where a had a chance", because
    each such row enters with chance p and counts 1 / p. With them, 1{A = a} - chance has expectation 0: sharper.

    Args:
        log: n decisions.
        actions: number of actions.
        support: (n, actions) bool, what had a chance; without it and without `chances`, every action in every row.
        chances: (n, actions) the logging policy's whole rows, or None.
        segment: (n,) integers, or None for one segment.

    Raises:
        ShapeError: shapes disagree.
    """
    n = len(log.reward)
    codes = np.zeros(n, np.int64) if segment is None else integers("segment", segment, n, "Number the segments.")
    names, of = np.unique(codes, return_inverse=True)
    shape = (len(names), actions)
    expected, found, z = np.zeros(shape), np.zeros(shape), np.full(shape, np.nan)
    weight = np.ones(n) if chances is not None else 1 / log.propensity
    table = None if chances is None else rows_of("chances", chances, n)
    times = np.bincount(of * actions + log.action, minlength=expected.size).reshape(shape)
    guest, home = _guests(of, log.cluster)
    for a in range(actions):
        taken = np.where(log.action == a, weight, 0.0)
        if table is not None:
            due = table[:, a].astype(np.float64)
        else:
            due = np.ones(n) if support is None else support[:, a].astype(np.float64)
        expected[:, a], found[:, a] = (np.bincount(of, x, len(names)) for x in (due, taken))
        gap = np.bincount(guest, taken - due).astype(np.float64)
        noise = 0.0 if table is None else np.bincount(of, due * (1 - due), len(names)).astype(np.float64)
        enough = (times[:, a] if table is None else expected[:, a]) >= FEWEST
        z[:, a] = np.where(enough, _z(gap, home, np.bincount(of), noise), np.nan)
    tests = max(int(np.isfinite(z).sum()), 1)
    largest = -NormalDist().inv_cdf(ALARM / 2 / tests)
    return Calibration(expected, found, z, largest, table is not None, names)


def _guests(of: NDArray[np.int64], cluster: Integers | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each row's customer within its segment (n,), and each such customer's segment; without customers, the rows."""
    if cluster is None:
        return np.arange(len(of)), of
    width = int(cluster.max(initial=0)) + 1
    pairs, guest = np.unique(of * width + cluster, return_inverse=True)
    return guest, pairs // width


def _z(gap: Floats, home: NDArray[np.int64], rows: NDArray[np.int64], noise: Floats | float) -> Floats:
    """(s,) sum of the customers' gaps over its error; NaN where too few customers tell.

    The error is that between customers, or what independent rows would give (`noise`), if that is larger.
    """
    customers, total = np.bincount(home), np.bincount(home, gap)
    variance = np.maximum(np.bincount(home, np.square(gap)) - total**2 / customers, noise)
    surely = np.where(np.abs(total) < 1e-9 * rows, 0.0, np.copysign(np.inf, total))
    z = np.divide(total, np.sqrt(np.maximum(variance, 0.0)), out=surely, where=variance > 0)
    return np.where(customers >= FEWEST, z, np.nan)


def calibration_sentences(
    found: Calibration, actions: Sequence[str] | None = None, segments: Sequence[str] | None = None
) -> list[str]:
    """One sentence about the worst alarm, if there is any.

    Args:
        found: the calibration.
        actions: what the actions are called; None = their numbers.
        segments: what the segments with the codes 0.. are called; None = their codes.
    """
    alarms = found.alarms
    if not alarms.any():
        return []
    s, a = divmod(int(np.argmax(np.where(alarms, np.abs(found.z), 0))), alarms.shape[1])
    more = int(alarms.sum()) - 1
    where = f"Action {a}" if actions is None else actions[a]
    if len(found.segments) > 1:
        code = int(found.segments[s])
        where += f" in segment {code if segments is None else segments[code]}"
    return [
        f"{where} occurs {found.found[s, a] / found.expected[s, a]:.3g} times as often as its propensities say "
        f"({abs(found.z[s, a]):.1f} standard errors"
        + (f"; {more} more like it" if more else "")
        + "): they are not those of the policy that decided."
    ]


def certain_sentences(log: Log, weight: Floats) -> list[str]:
    """A sentence if every propensity is 1 and the target would not have done the same.

    Either the logging policy left nothing to chance, and the log holds no row about what it did not do; or the chances
    were not written down. Nothing tells which.
    """
    if (log.propensity < 1).any() or (weight == 1).all():
        return []
    return [
        "Every propensity is 1: such a log was written by a policy that leaves nothing to chance, or its chances were "
        "not kept. It says nothing about any other policy: allocate with some exploration, and log the chances."
    ]


def mismatch_sentences(log: Log, chances: Table | None) -> list[str]:
    """A sentence if propensities contradict the logged rows of probabilities they should be part of."""
    if chances is None:
        return []
    table = rows_of("chances", chances, len(log.reward))
    own = table[np.arange(len(table)), log.action]
    unlike = ~(np.abs(own - log.propensity) <= AGREEMENT * log.propensity)
    if not unlike.any():
        return []
    row = int(np.argmax(unlike))
    return [
        f"The propensity of {int(unlike.sum()):,} rows is not the logged chance of their action: "
        f"{log.propensity[row]:.3g} against {own[row]:.3g} in row {row}."
    ]


def copies(log: Log, *tables: Table) -> NDArray[np.bool_]:
    """(n,) bool: rows that repeat an earlier one in customer, action, propensity, reward and every table's row.

    Args:
        log: n decisions.
        tables: (n, ...) what else belongs to a row, e.g. the target and the weights.

    Raises:
        ShapeError: a table has another number of rows.
    """
    first = np.unique(_patterns(log, tables), return_index=True)[1]
    again = np.ones(len(log.reward), np.bool_)
    again[first] = False
    return again


def copies_sentences(log: Log, decision: Integers | None, weight: Floats) -> list[str]:
    """A sentence if decisions are in the log more than once.

    Rows that share a decision's number are copies. Without numbers only a log that was loaded twice or more can be
    told from one in which decisions happen to be alike: there every row's copies are a multiple of the same number.
    Where rows differ in a few ways only (an even log and a target that is the same for all), that may be chance, too.
    """
    n = len(log.reward)
    if decision is not None:
        found, first = np.unique(integers("decision", decision, n, "Number the decisions."), return_index=True)
        if len(found) == n:
            return []
        row = int(np.setdiff1d(np.arange(n), first)[0])
        return [f"{n - len(found):,} rows are copies of other rows' decisions, row {row} the first: drop them."]
    count = np.unique(_patterns(log, (weight,)), return_counts=True)[1]
    times = np.gcd.reduce(count)
    if times < 2 or len(count) < FEWEST_PATTERNS or n < FEWEST * times or log.cluster is not None:
        return []
    return [f"Every row is in the log {times} times, or a multiple of that: drop the copies, or name the customers."]


def _patterns(log: Log, tables: Sequence[Table]) -> NDArray[np.uint64]:
    """(n,) one number for all that a row says; rows alike have the same."""
    n = len(log.reward)
    columns = [log.action.astype(np.float64), log.propensity, log.reward]
    if log.cluster is not None:
        columns.append(log.cluster.astype(np.float64))
    for table in tables:
        if len(table) != n:
            raise ShapeError(f"a table has {len(table)} rows, the log {n}.", where="copies")
        columns.extend(np.asarray(table, np.float64).reshape(n, -1).T)
    key = np.zeros(n, np.uint64)
    for c in columns:
        key = (key ^ (c + 0.0).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)  # + 0.0: minus zero is zero
        key ^= key >> np.uint64(29)
    return key
