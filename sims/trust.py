"""May a policy be believed? What it said of itself in all its runs, against the truth."""

from itertools import pairwise
from typing import Any, Final

import numpy as np
from scipy.special import ndtri

from sims.claims import BELIEF_EDGES, CHANCE_EDGES
from sims.comparison import Compared, interval
from sims.judged import Judged
from sims.people import Floats
from sims.targets import ITSELF

Document = dict[str, Any]

BUDGET: Final = "budget"
"""The limit that the prices of all others are told apart from."""

EXPECTED: Final = 30
"""Options that should be drawn so often, and so often not, are enough to tell stated chances from wrong ones."""

_SURE: Final = 0.95


def trusted(compared: Compared) -> dict[str, Document]:
    """What every policy that says something of itself is worth believing; by its name."""
    found = {policy: trust(compared, policy) for policy in compared.policies}
    return {policy: x for policy, x in found.items() if any(part is not None for part in x.values())}


def trust(compared: Compared, policy: str) -> Document:
    """What is known of a policy's beliefs, chances, estimates of other policies, and prices; None where there is none.

    Args:
        compared: finished runs.
        policy: one of them.
    """
    claims = [run.claims for run in compared.runs[policy] if run.claims is not None]
    drawn = [one for one in claims if one.chances.any()]
    judged = [run.judged for run in compared.runs[policy] if run.judged]
    priced = any(day for run in compared.runs[policy] for day in run.prices)
    return {
        "beliefs": _beliefs([one.beliefs for one in claims], [one.inside for one in claims]) if claims else None,
        "chances": _chances(np.sum([one.chances for one in drawn], axis=0)) if drawn else None,
        "estimates": _estimates(judged) if judged else None,
        "prices": _prices(compared, policy) if priced else None,
    }


def _beliefs(sums: list[Floats], inside: list[Any]) -> Document:
    """Predicted chances of the offers that were chosen; `inside` also of all that could have been."""
    total = np.sum(sums, axis=0)
    count, stated, true = total.sum(0)
    held = np.array(inside, np.float64)
    shares = held[:, :, 1] / np.maximum(held[:, :, 0], 1.0)
    gaps = np.abs(total[:, 1] - total[:, 2]).sum()
    return {
        "choices": int(count),
        "stated": stated / max(count, 1.0),
        "true": true / max(count, 1.0),
        "error": float(gaps / max(count, 1.0)),
        "inside_chosen": interval(shares[:, 0]),
        "inside": interval(shares[:, 1]),
        "bins": [
            {"from": low, "to": high, "choices": int(n), "stated": said / n, "true": was / n}
            for (low, high), (n, said, was) in zip(pairwise(BELIEF_EDGES.tolist()), total.tolist(), strict=True)
            if n > 0
        ],
    }


def _chances(total: Floats) -> Document:
    """Options by their stated chance, and how often they were drawn.

    `z` is the largest gap in standard errors, of bins where `EXPECTED` and more options should have been drawn, and
    not; `reached_by_chance` is what right chances stay below in 95 of 100 comparisons.
    """
    bins = [
        {"from": low, "to": high, "options": int(n), "stated": p / n, "drawn": got / n, "std_error": np.sqrt(noise) / n}
        for (low, high), (n, p, got, noise) in zip(pairwise(CHANCE_EDGES.tolist()), total.tolist(), strict=True)
        if n > 0
    ]
    tested = [
        abs(x["drawn"] - x["stated"]) / x["std_error"]
        for x in bins
        if min(x["stated"], 1.0 - x["stated"]) * x["options"] >= EXPECTED
    ]
    reach = float(ndtri(1.0 - (1.0 - _SURE) / 2 / max(len(tested), 1)))
    return {
        "options": int(total[:, 0].sum()),
        "z": max(tested, default=0.0),
        "reached_by_chance": reach,
        "bins": bins,
    }


def _estimates(judged: list[tuple[Judged, ...]]) -> Document:
    """Off-policy estimates of what others would have earned, by seed; shares and errors are means over seeds.

    `error` is a mean of (estimate - truth) / truth over all estimates, whatever their verdict, for a verdict that likes
    lucky logs would hide a bias.
    """
    others = [[one for one in run if one.target != ITSELF] for run in judged]
    flat = [one for run in others for one in run]
    believed = [[one.low <= one.truth <= one.high for one in run if one.verdict == "supported"] for run in others]
    found = [[one.value - one.truth for one in run if np.isfinite(one.value)] for run in others]
    truth = float(np.mean([one.truth for one in flat]))
    held = np.array([np.mean(run) for run in believed if run])
    errors = np.array([np.mean(run) / truth for run in found if run])
    return {
        "count": len(flat),
        "targets": len({one.target for one in flat}),
        "supported": sum(map(len, believed)),
        "inside": interval(held) if len(held) else None,
        "error": interval(errors) if len(errors) else None,
    }


def supported(compared: Compared, policy: str) -> list[Judged]:
    """Every supported estimate of another policy in all runs."""
    judged = (one for run in compared.runs[policy] for one in run.judged)
    return [one for one in judged if one.verdict == "supported" and one.target != ITSELF]


def _prices(compared: Compared, policy: str) -> Document:
    """Mean price and day-to-day change of the budget, and of all caps together.

    A change is the sum of its sizes from each day to the next, as a share of the sum of the prices before.
    """
    runs = [run.prices for run in compared.runs[policy]]
    names = {name for run in runs for day in run for name in day}
    groups = {BUDGET: names & {BUDGET}, "caps": names - {BUDGET}}
    return {kind: _moves(runs, among) for kind, among in groups.items() if among}


def _moves(runs: list[tuple[dict[str, float], ...]], names: set[str]) -> Document:
    every = [day[name] for run in runs for day in run for name in sorted(names & day.keys())]
    steps = [
        (before[name], after[name])
        for run in runs
        for before, after in pairwise(run)
        for name in sorted(names & before.keys() & after.keys())
    ]
    moved, base = sum(abs(b - a) for a, b in steps), sum(abs(a) for a, _ in steps)
    return {"mean": float(np.mean(every)), "change": moved / base if base > 0 else None}


def daily_price(compared: Compared, policy: str, name: str = BUDGET) -> list[float | None]:
    """Mean over seeds of a limit's price on each day; None on days on which nobody has one."""
    days = zip(*(run.prices for run in compared.runs[policy]), strict=True)
    found = ([day[name] for day in some if name in day] for some in days)
    return [float(np.mean(some)) if some else None for some in found]
