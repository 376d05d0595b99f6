"""What the choices of many seeds say about the table that was logged for them, in standard errors."""

from typing import TypeAlias

import numpy as np
from engine_calibration import Choices, Floats, Table
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

Statistics: TypeAlias = dict[str, float]

FOUR = 4.0  # standard errors
EDGES = (1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.999)
"""Between these probabilities choices are counted together; rare and nearly certain ones apart."""

_WEIGHED = 0.002  # importance weights are averaged over pairs at least as likely: expected some hundred hits an offer
_ROUNDING = 1e-3  # contacts; the table is float32, and a total that never varies has no standard error
_OFTEN = 5.0  # Pearson's chi-square puts options together that are expected less often


def calibrated(table: Table, choices: Choices) -> list[str]:
    """Which statistics say that the choices were not made with these probabilities; none if they were."""
    return [name for name, z in statistics(table, choices).items() if abs(z) > FOUR]


def statistics(table: Table, choices: Choices) -> Statistics:
    """Every statistic of the calibration, in standard errors from what it is if the table was played.

    Draws of one plan depend on each other, so standard errors are taken across plans, which do not.

    Args:
        table: (n, k + 1) the logged probabilities.
        choices: (draws, n) offer numbers, k = no offer.
    """
    p = normalised(table)
    row = np.arange(len(p))
    out = {"impossible": 0.0 if (p[row, choices] > 0).all() else np.inf}
    ratio, freedom, error = overdispersion(p, choices)
    out["chi-square of customers"] = (ratio - 1.0) * freedom / error
    out["chi-square of pairs"] = chi_square(p, choices)
    centred = p - 1.0 / p.shape[1]
    slope = centred[row, choices].sum(1) / (centred**2).sum()
    out["slope"] = float(deviation(slope, 1.0))
    option = np.broadcast_to(np.arange(p.shape[1]), p.shape)
    out |= _totals("total of", p, option, choices)
    out |= _totals("probabilities from bin", p, np.digitize(p, EDGES), choices)
    likely = p >= _WEIGHED
    weight = np.where(likely, 1.0 / np.maximum(p, _WEIGHED), 0.0)[row, choices]
    for a in range(p.shape[1]):
        mean = np.where(choices == a, weight, 0.0).sum(1) / likely[:, a].sum()
        out[f"weights of {a}"] = float(deviation(mean, 1.0))
    return out


def _totals(what: str, p: Floats, group: NDArray[np.integer], choices: Choices) -> Statistics:
    """How many choices of each plan fall into each group of (customer, option) pairs (n, k + 1)."""
    size = int(group.max()) + 1
    row = np.arange(len(p))
    total = np.stack([np.bincount(group[row, c], minlength=size) for c in choices]).astype(np.float64)
    expected = np.bincount(group.ravel(), p.ravel(), size)
    off = deviation(total, expected, rounding=_ROUNDING)
    return {f"{what} {g}": float(off[g]) for g in range(size)}


def overdispersion(p: Floats, choices: Choices) -> tuple[float, int, float]:
    """Pearson's chi-square of every customer's choices, summed, per degree of freedom.

    Options that a customer is expected to get less than five times are put together with its likeliest one.

    Returns:
        the ratio, the degrees of freedom, and the standard error of the sum (Haldane 1937, exact for few draws).
    """
    n, draws = len(p), len(choices)
    seen = np.stack([(choices == a).sum(0) for a in range(p.shape[1])], 1).astype(np.float64)
    often = p * draws >= _OFTEN
    top = (np.arange(n), p.argmax(1))
    often[top] = True
    expected, found = np.where(often, p * draws, 0.0), np.where(often, seen, 0.0)
    expected[top] += np.where(often, 0.0, p * draws).sum(1)
    found[top] += np.where(often, 0.0, seen).sum(1)
    inverse = np.where(often, 1.0 / np.maximum(expected, 1e-12), 0.0)
    kinds = often.sum(1)
    variance = 2.0 * (kinds - 1) + inverse.sum(1) - (kinds**2 + 2.0 * kinds - 2.0) / draws
    freedom = int((kinds - 1).sum())
    total = float(((found - expected) ** 2 * inverse).sum())
    return total / freedom, freedom, float(np.sqrt(variance[kinds > 1].sum()))


def chi_square(p: Floats, choices: Choices) -> float:
    """Chi-square of every customer, summed over all options, however rare, in standard errors.

    The statistic is the sum over pairs of draws r, s of K(r, s) = sum over customers of [same choice] / p - 1. A draw
    paired with itself only adds noise that grows with 1 / p, so those pairs are left out. For the others K has mean 0
    given either draw; hence pairs are uncorrelated, however much the customers of one draw depend on each other.
    """
    inverse = 1.0 / np.maximum(p, 1e-12)
    pairs = -float(len(p)) * np.ones((len(choices), len(choices)))
    for a in range(p.shape[1]):
        chosen = (choices == a).astype(np.float64)
        pairs += (chosen * inverse[:, a]) @ chosen.T
    np.fill_diagonal(pairs, 0.0)
    return float(pairs.sum() / np.sqrt(2.0 * (pairs**2).sum()))


def deviation(seen: Floats, expected: Floats | float, *, rounding: float = 0.0) -> Floats:
    """Distance of the mean over draws (first axis) from its expectation, in standard errors across draws.

    Few draws know their own standard error badly: Student's t, as the normal deviate that is as rare.
    """
    error = seen.std(0, ddof=1) / np.sqrt(len(seen))
    t = (seen.mean(0) - expected) / (error + rounding / FOUR)
    out: Floats = np.copysign(norm.isf(np.maximum(student.sf(np.abs(t), len(seen) - 1), 1e-300)), t)
    return out


def normalised(table: Table) -> Floats:
    """Rows that sum to one in float64, as the draw reads them."""
    out = np.asarray(table, np.float64)
    return out / out.sum(1, keepdims=True)


def shown(found: Statistics, table: Table, choices: Choices) -> str:
    """A line of figures: the overdispersion, the statistic that is furthest off, and how many there are."""
    ratio, freedom, _ = overdispersion(normalised(table), choices)
    worst = max(found, key=lambda name: abs(found[name]))
    return (
        f"{len(choices)} plans of {choices.shape[1]:,} customers: chi-square {ratio:.4f} per degree of freedom "
        f"({freedom:,}), largest of {len(found)} statistics {worst} at {found[worst]:+.1f} standard errors"
    )
