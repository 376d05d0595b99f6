"""Off-policy estimates held against the truth: what the log of a run says that other policies would have earned."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

import numpy as np

from offline_eval import Log, evaluate
from sims.allocations import Drawn
from sims.people import Floats, Ints
from sims.targets import Target

WINDOW_DAYS: Final = 7
"""Days whose decisions are one log."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One estimate; money per decision.

    Args:
        target: whose it is.
        rows: decisions in the log.
        verdict: of the evaluation.
        value, std_error, low, high: the chosen estimate and its 95 % interval; NaN where it is invalid.
        truth: what the target truly earns on the same customers on the same days.
    """

    target: str
    rows: int
    verdict: str
    value: float
    std_error: float
    low: float
    high: float
    truth: float


@dataclass(frozen=True, slots=True)
class _Rows:
    """Decisions and what became of them; tables (n, k + 1). `value` is what was believed beforehand, per option."""

    reward: Floats
    action: Ints
    chances: Floats
    value: Floats
    truth: Floats


@dataclass(slots=True)
class Judge:
    """Gathers drawn days of a run, until they are judged and forgotten; `targets` by name."""

    targets: Mapping[str, Target]
    _rows: list[_Rows] = field(default_factory=list)
    _tables: dict[str, list[Floats]] = field(default_factory=dict)

    def add(self, day: Drawn, reward: Floats) -> None:
        """Take a day; `reward` (n,) is what each decision has earned."""
        value = np.where(day.batch.eligible, day.worth.value.astype(np.float64), 0.0)
        nothing = np.zeros((len(value), 1))
        option = day.plan.choice % (value.shape[1] + 1)
        truth = np.column_stack([day.batch.value, nothing])
        self._rows.append(_Rows(reward, option, day.table, np.column_stack([value, nothing]), truth))
        for name, target in self.targets.items():
            self._tables.setdefault(name, []).append(target(day))

    def judged(self) -> tuple[Judged, ...]:
        """What the days so far say, one estimate for each target; then they are forgotten."""
        if not self._rows:
            return ()
        columns = ([getattr(rows, f.name) for rows in self._rows] for f in fields(_Rows))
        log = _Rows(*(np.concatenate(column) for column in columns))
        out = tuple(_judged(name, log, np.concatenate(tables)) for name, tables in self._tables.items())
        self._rows, self._tables = [], {}
        return out


def _judged(name: str, log: _Rows, target: Floats) -> Judged:
    n = len(log.reward)
    shown = Log(log.reward, log.action, log.chances[np.arange(n), log.action])
    found = evaluate(
        shown,
        target,
        log.value,
        support=log.chances > 0,
        chances=log.chances,
        decision=np.arange(n),
    )
    truth = float((target * log.truth).sum() / n)
    out = Judged(name, n, found.verdict, np.nan, np.nan, np.nan, np.nan, truth)
    e = found.estimate
    return out if e is None else replace(out, value=e.value, std_error=e.std_error, low=e.low, high=e.high)
