"""Have all outcomes come? Where nobody wrote down when they came, the youngest decisions may tell."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from offline_eval.log import Floats, Integers, column, integers

YOUNGEST = (0.05, 0.1, 0.25, 0.5)  # of the rows: what is late shows in the part that is about as young as it is late
FEWEST = 20  # successes in the older rows of the action and of all others, before a ratio of theirs is believed
SUSPICION = 0.01  # chance that a log without late outcomes is suspected, over all its tests


@dataclass(frozen=True, slots=True)
class Late:
    """An action whose successes are missing among the youngest rows.

    Args:
        action: which.
        age: the oldest of those rows, in the unit of the ages.
        found: its rewards other than 0 among them.
        expected: as many as if it had changed since the older rows like all other actions together.
        z: how unlikely that is, in standard errors.
    """

    action: int
    age: float
    found: int
    expected: float
    z: float


def suspected_late(action: Integers, won: NDArray[np.bool_], age: Floats, *, actions: int) -> tuple[Late, ...]:
    """Actions that look as if some of their outcomes were still to come: a suspicion, not a proof.

    An action's success rate among the youngest rows is held against that among the older ones, and this ratio against
    that of all other actions: a season moves all of them, outcomes that are late for one action move that one alone.
    So does an action that goes out of fashion, or that is given to other customers than before. Where outcomes are late
    for all actions alike, comparisons of policies suffer little, and this finds nothing.

    Args:
        action: (n,) integers 0..actions-1, what was done.
        won: (n,) bool, whether it has earned something so far.
        age: (n,) how long ago it was done, in any unit.
        actions: number of actions.

    Returns:
        One for each suspected action, at the youngest rows where it shows most; empty where ages do not differ.

    Raises:
        ShapeError: shapes disagree.
    """
    ages = column("age", age, len(won))
    codes = integers("action", action, len(won), "Offers are 0..k-1 and no offer is k.")
    cuts = np.unique(np.quantile(ages, YOUNGEST, method="lower"))
    worst: dict[int, Late] = {}
    tests = 0
    for cut in cuts:
        young = ages <= cut
        parts = [np.bincount(codes[rows], minlength=actions) for rows in (young, ~young, young & won, ~young & won)]
        z, expected = _fall(*(part.astype(np.float64) for part in parts))
        tests += int(np.isfinite(z).sum())
        for a in np.flatnonzero(np.isfinite(z)):
            if int(a) not in worst or z[a] < worst[int(a)].z:
                worst[int(a)] = Late(int(a), float(cut), int(parts[2][a]), float(expected[a]), float(z[a]))
    beyond = NormalDist().inv_cdf(SUSPICION / max(tests, 1))
    return tuple(worst[a] for a in sorted(worst) if worst[a].z < beyond)


def _fall(young: Floats, old: Floats, won_young: Floats, won_old: Floats) -> tuple[Floats, Floats]:
    """z of each action's ratio of rates, young to old, against that of all others, and its expected young successes.

    A half is added to every count of successes (Haldane 1956), so that none at all is no infinity. NaN where there are
    too few rows or successes.
    """
    others = [part.sum() - part for part in (young, old, won_young, won_old)]
    enough = (won_old >= FEWEST) & (others[3] >= FEWEST) & (young > 0) & (others[0] > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = (others[2] + 0.5) / others[0] / ((others[3] + 0.5) / others[1])
        expected = moved * young * (won_old + 0.5) / old
        error = np.sqrt(sum(1 / (part + 0.5) for part in (won_young, won_old, others[2], others[3])))
        z = np.log((won_young + 0.5) / expected) / error
    return np.where(enough, z, np.nan), expected
