"""Does a column know the future? What each column alone says about outcomes, before a moment and after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.features import Feature, FeatureSpec, learn_spec

Floats: TypeAlias = NDArray[np.float64]

IMPLAUSIBLE = 0.25
"""Share of all uncertainty about outcomes from which one column is taken for the outcome itself.

On the calls of Bank Marketing, cut at five moments, the length of the call, which is only known after it, explains .29
to .50; no other column explains more than .09, or .18 with all times mixed.
"""

FADES = 4.0
"""Standard errors by which a column must say less about later outcomes than about earlier ones."""

EXCLUDES = 0.03
"""Correlation below 0 of two outcomes of one customer, given a column, from which it seems to be made of them.

What is known of a customer before a decision explains why that customer's outcomes are alike; given it, they are alike
or independent. Given their number, or whether there ever was one, they exclude each other.
"""

_SURELY = 4.0  # standard errors by which they exclude each other, given the column
_ALIKE = 2.0  # standard errors by which they are alike without it: else one success may rule out the next
_NOTEWORTHY = 0.05  # of the uncertainty; what says less than that misleads nobody
_BINS = 16
_PRIOR_ROWS = 20.0  # of the base rate, added to every bin


@dataclass(frozen=True, slots=True)
class Told:
    """What one column says about outcomes: shares of their uncertainty (log loss of the base rate).

    Args:
        column: its name.
        before: on rows that were trained on, each judged by the other half of the customers.
        after: on later rows, judged by the rows that were trained on.
        error: standard error of `before - after`.
        together: correlation of two outcomes of one customer, and `given` the same given the column, with their z; NaN
            where the column is not the same in all rows of a customer, or no customer has two.
    """

    column: str
    before: float
    after: float
    error: float
    together: float = np.nan
    together_z: float = np.nan
    given: float = np.nan
    given_z: float = np.nan

    @property
    def made_of_outcomes(self) -> bool:
        """Given it, successes of one customer exclude each other, which they do not do by themselves."""
        much = max(self.before, self.after) >= _NOTEWORTHY
        return much and self.together_z > _ALIKE and self.given < -EXCLUDES and self.given_z < -_SURELY

    @property
    def implausible(self) -> bool:
        """It tells so much that it must have been written after the outcome."""
        return max(self.before, self.after) >= IMPLAUSIBLE

    @property
    def fades(self) -> bool:
        """It said much about what had happened and far less about what had not."""
        much = self.before >= _NOTEWORTHY and self.after < self.before / 2
        return much and self.before - self.after > FADES * self.error


@dataclass(frozen=True, slots=True)
class Seen:
    """r rows of a feature table with their outcomes (r,), 1 for a success and 0 else, and whose they are (r,) uint64.

    Where amounts are learnt, it counts as a success to bring more than half of the rows that were trained on.
    """

    table: pa.Table
    outcome: Floats
    customer: NDArray[np.uint64]


def told(before: Seen, after: Seen) -> list[Told]:
    """What every column alone says, of the rows before a moment and of those after it.

    Numbers are cut into at most 16 bins, categories are their own; each bin foretells its success rate, shrunk to the
    base rate.
    """
    spec, _ = learn_spec(before.table)
    half = (before.customer % np.uint64(2)).astype(bool)
    outcome = np.concatenate([before.outcome, after.outcome])
    who = np.unique(np.concatenate([before.customer, after.customer]), return_inverse=True)[1].reshape(-1)
    out = []
    for feature in spec.features:
        if feature.name not in after.table.column_names:
            continue
        early, late = _binned(feature, before.table, after.table)
        own = np.zeros(len(early))
        for fold in (half, ~half) if half.any() and not half.all() else ():
            own[fold] = _gain((early[~fold], before.outcome[~fold]), (early[fold], before.outcome[fold]))
        later = _gain((early, before.outcome), (late, after.outcome))
        first, second = (_share(g, seen) for g, seen in ((own, before), (later, after)))
        pairs = _pairs(np.concatenate([early, late]), outcome, who)
        out.append(Told(feature.name, first[0], second[0], float(np.hypot(first[1], second[1])), *pairs))
    return out


def _pairs(bins: NDArray[np.intp], outcome: Floats, who: NDArray[np.intp]) -> tuple[float, float, float, float]:
    """Correlation of two outcomes of one customer with its z, and the same given a column's bins.

    Args:
        bins: (r,) of the column; NaN is answered where a customer has several.
        outcome: (r,) 0 or 1.
        who: (r,) customers, numbered.
    """
    first = np.zeros(who.max() + 1, np.intp)
    first[who] = bins
    rate = outcome.mean()
    if (first[who] != bins).any() or len(first) == len(who) or not 0 < rate < 1:
        return np.nan, np.nan, np.nan, np.nan
    size = int(bins.max()) + 1
    won, rows = (np.bincount(bins, x, size)[bins] for x in (outcome, np.ones(len(bins))))
    # Each customer is left out of its own bin's rate, which would else make its outcomes exclude each other.
    own, times = np.bincount(who, outcome)[who], np.bincount(who)[who]
    told = (won - own + _PRIOR_ROWS * rate) / (rows - times + _PRIOR_ROWS)
    return *_alike(outcome - rate, who), *_alike(outcome - told, who)


def _alike(residual: Floats, who: NDArray[np.intp]) -> tuple[float, float]:
    """Correlation of two residuals of one customer over all pairs, and its z between customers."""
    rows, sums = np.bincount(who), np.bincount(who, residual)
    double = np.square(sums) - np.bincount(who, np.square(residual))  # twice the sum over a customer's pairs
    spread = float(np.square(residual).mean()) * float((rows * (rows - 1)).sum())
    error = float(np.sqrt(np.square(double).sum()))
    return float(double.sum()) / spread, float(double.sum()) / error if error > 0 else 0.0


def _binned(feature: Feature, before: pa.Table, after: pa.Table) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Bins 0.. of both tables' values, cut where the first one's lie; missing values are bin 0."""
    one = FeatureSpec((feature,))
    early, late = one.encode(before)[:, 0], one.encode(after)[:, 0]
    known = early[~np.isnan(early)]
    levels = np.unique(known)
    few = feature.kind == "category" or len(levels) <= _BINS
    cuts = levels if few else np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))

    def place(values: Floats) -> NDArray[np.intp]:
        return np.where(np.isnan(values), 0, 1 + np.searchsorted(cuts, values, side="right"))

    return place(early), place(late)


def _gain(known: tuple[NDArray[np.intp], Floats], asked: tuple[NDArray[np.intp], Floats]) -> Floats:
    """(r,) log loss of the asked rows' own rate less that of the bins' rates, on the asked rows.

    All bins' odds are moved alike until they foretell as many successes as there are: that times have become better or
    worse for everybody is not the column's fault.
    """
    (bins, outcome), (place, truth) = known, asked
    base = (outcome.sum() + 0.5) / (len(outcome) + 1.0)
    size = 1 + max(bins.max(initial=0), place.max(initial=0))
    won, rows = np.bincount(bins, outcome, size), np.bincount(bins, minlength=size)
    rate = (won + _PRIOR_ROWS * base) / (rows + _PRIOR_ROWS)
    count, own = np.bincount(place, minlength=size), float(np.clip(truth.mean(), 1e-9, 1 - 1e-9))
    odds, low, high = rate / (1 - rate), 1e-9, 1e9
    for _ in range(60):  # bisection of the common factor, on a scale of ratios
        factor = np.sqrt(low * high)
        short = (count * odds * factor / (1 + odds * factor)).sum() < own * len(truth)
        low, high = (factor, high) if short else (low, factor)
    told = (odds * factor / (1 + odds * factor))[place]
    better: Floats = np.where(truth > 0, np.log(told / own), np.log((1 - told) / (1 - own)))
    return better


def _share(gain: Floats, seen: Seen) -> tuple[float, float]:
    """Mean gain as a share of the outcomes' own uncertainty, and its standard error between customers."""
    rate = float(seen.outcome.mean())
    if not 0.0 < rate < 1.0:
        return 0.0, np.inf
    uncertainty = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    _, who = np.unique(seen.customer, return_inverse=True)
    sums = np.bincount(who.reshape(-1), gain - gain.mean())
    error = float(np.sqrt(np.square(sums).sum())) / len(gain)
    return float(gain.mean() / uncertainty), float(error / uncertainty)


def sentences(found: Sequence[Told], at: str) -> tuple[list[str], list[str]]:
    """Columns that know the future, and columns that may have been written with hindsight, in words.

    Args:
        found: of one moment.
        at: that moment, in words.
    """
    proofs = [
        f"{one.column} alone explains {max(one.before, one.after):.0%} of the uncertainty about outcomes "
        f"{'after' if one.after >= one.before else 'before'} {at}: it seems to hold what was only known later."
        for one in found
        if one.implausible
    ]
    proofs += [
        f"Given {one.column}, two successes of one customer exclude each other (correlation {one.given:.2f}, without "
        f"it {one.together:.2f}): it seems to be made of these outcomes."
        for one in found
        if one.made_of_outcomes and not one.implausible
    ]
    doubts = [
        f"{one.column} explains {one.before:.0%} of the uncertainty about outcomes before {at} and "
        f"{max(one.after, 0.0):.0%} after: it may have been written with hindsight, or only tell one time from another"
        for one in found
        if one.fades and not (one.implausible or one.made_of_outcomes)
    ]
    return proofs, doubts
