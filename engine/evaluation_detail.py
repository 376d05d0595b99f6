"""What stands behind an evaluation: how even its weights are, whether chances were right, how offers were ranked."""

from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.logs import LoggedRows
from engine.slices import Segments
from offline_eval import Calibration, Log, Report, calibration

Floats: TypeAlias = NDArray[np.float64]

WEIGHTS: Final = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0)
DEPTHS: Final = (1, 3, 5)
_BINS: Final = 10
RATE_ROWS: Final = 10.0  # rows of the mean rate that every offer's own rate starts with
FEWEST: Final = 50


def detail(report: Report, rows: LoggedRows, success: Floats | None, segments: Segments | None) -> dict[str, Any]:
    """The parts of an evaluation's document that say why it may be believed.

    Args:
        report: the evaluation.
        rows: the r decisions.
        success: (r, k + 1) chances of success that the policy believed, or None.
        segments: in which propensities were checked, or None.

    Returns:
        `weights`: shares of rows and of weight by weight; `propensities`: one line for each offer and no offer, with
        the segment in which its frequency is furthest from its chances;
        `ranking` of the offers by the beliefs and their `calibration_error`, None without beliefs or enough successes.
    """
    terms = report.estimates[0].terms
    return {
        "weights": [] if terms is None else weight_bins(terms.weight),
        "propensities": propensity_lines(report, rows, segments),
        "ranking": None if success is None else ranking(rows, success),
        "calibration_error": None if success is None else calibration_error(rows, success),
    }


def weight_bins(weight: Floats) -> list[dict[str, Any]]:
    """Shares of the rows and of all weight in bins (from, to]; the first holds weight 0, the last has no end."""
    edges = (-np.inf, *WEIGHTS, np.inf)
    total = float(weight.sum())
    out = []
    for low, high in pairwise(edges):
        inside = (weight > low) & (weight <= high)
        share = float(weight[inside].sum()) / total if total > 0 else 0.0
        ends = {"from": max(low, 0.0), "to": None if np.isinf(high) else high}
        out.append({**ends, "rows": float(inside.mean()), "weight": share})
    return out


def propensity_lines(report: Report, rows: LoggedRows, segments: Segments | None) -> list[dict[str, Any]]:
    """Each offer's frequency against its logged chances, over all rows, and where it is furthest from them."""
    arms = (*rows.offer_ids, None)
    log = Log(rows.reward, rows.arm, rows.propensity, rows.cluster)
    found = calibration(log, actions=len(arms), support=rows.support, chances=rows.probability)
    taken = np.bincount(rows.arm, minlength=len(arms))
    return [
        {
            "offer_id": arm,
            "taken": int(taken[a]),
            "expected": float(found.expected[0, a]),
            "found": float(found.found[0, a]),
            "z": float(found.z[0, a]) if np.isfinite(found.z[0, a]) else None,
            "alarm": bool(report.calibration.alarms[:, a].any()),
            "worst_segment": None if segments is None else _worst(report.calibration, a, segments),
        }
        for a, arm in enumerate(arms)
    ]


def _worst(found: Calibration, arm: int, segments: Segments) -> dict[str, Any] | None:
    """The segment in which an arm's frequency is furthest from its chances; None where none is large enough to tell."""
    z = np.abs(found.z[:, arm])
    if np.isnan(z).all():
        return None
    s = int(np.nanargmax(z))
    return {
        "column": segments.column,
        "segment": segments.names[found.segments[s]],
        "expected": float(found.expected[s, arm]),
        "found": float(found.found[s, arm]),
        "z": float(found.z[s, arm]) if np.isfinite(z[s]) else None,
        "alarm": bool(found.alarms[s, arm]),
    }


def ranking(rows: LoggedRows, success: Floats) -> dict[str, Any] | None:
    """How high the beliefs rank the offers that customers take, beside the offers' rates alone.

    Only what was shown can be taken, and what was shown is what was believed in. So each success counts one over its
    propensity: as if every possible offer had been shown to everybody as often. Offers that a customer could not get
    stand last; equal scores share their places (McSherry and Najork 2008). Each success is of one offer, so that its
    average precision is one over its rank.

    Returns:
        None where the successes are worth fewer than 50 equally weighted ones.
    """
    k = len(rows.offer_ids)
    took = np.flatnonzero((rows.outcome > 0) & (rows.arm < k) & success.any(1))
    weight = 1 / rows.propensity[took]
    effective = float(weight.sum() ** 2 / np.square(weight).sum()) if len(took) else 0.0
    if k < 2 or effective < FEWEST:
        return None
    open_to = np.ones((len(took), k), np.bool_) if rows.support is None else rows.support[took, :k]
    rate = np.broadcast_to(_rates(rows, k), (len(took), k))
    place = np.arange(1, k + 1)
    out: dict[str, Any] = {"successes": len(took), "effective": effective, "at": []}
    depths = [d for d in DEPTHS if d < k] or [1]
    lines: list[dict[str, Any]] = [{"k": d} for d in depths]
    for name, score in (("", success[took, :k]), ("rate_", rate)):
        chance = _places(np.where(open_to, score, -1.0), rows.arm[took])
        share = weight @ chance / weight.sum()
        out[f"{name}map"] = float((share / place).sum())
        for line in lines:
            first = place <= line["k"]
            line[f"{name}recall"] = float(share[first].sum())
            line[f"{name}ndcg"] = float((share / np.log2(1 + place))[first].sum())
    return {**out, "at": lines}


def _places(score: Floats, taken: NDArray[np.int64]) -> Floats:
    """(r, k) the chance that the offer taken stands at each place, over all orders of equal scores."""
    own = score[np.arange(len(taken)), taken][:, None]
    above, tied = (score > own).sum(1)[:, None], (score == own).sum(1)[:, None]
    place = np.arange(score.shape[1])
    return np.where((place >= above) & (place < above + tied), 1.0 / tied, 0.0)


def _rates(rows: LoggedRows, k: int) -> Floats:
    """(k,) successes of each offer by how often it was shown, drawn towards the mean rate."""
    offered = rows.arm < k
    shown = np.bincount(rows.arm[offered], minlength=k)
    won = np.bincount(rows.arm[offered], rows.outcome[offered], k)
    rate: Floats = (won + RATE_ROWS * won.sum() / shown.sum()) / (shown + RATE_ROWS)
    return rate


def calibration_error(rows: LoggedRows, success: Floats) -> float | None:
    """Mean distance of believed chance and observed share in ten bins of equally many rows (Naeini et al. 2015)."""
    offered = np.flatnonzero((rows.arm < len(rows.offer_ids)) & success.any(1))
    if len(offered) < FEWEST:
        return None
    chance = success[offered, rows.arm[offered]]
    gap = (chance - rows.outcome[offered])[np.argsort(chance, kind="stable")]
    return sum(abs(float(part.sum())) for part in np.array_split(gap, _BINS)) / len(gap)
