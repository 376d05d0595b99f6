"""How policies compare: each run and each policy in figures, with intervals over seeds."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from allot import CampaignError
from sims.people import Floats
from sims.policies import ORACLE
from sims.run_files import Run

REFERENCE: Final = "allot"
"""Whom the others are compared with, where it plays; else the first."""

PHASES: Final = 4
"""Equal parts of a run whose regret is told apart."""

_SURE: Final = 0.975


class Compared:
    """Finished runs of some policies over the same seeds and days.

    Args:
        runs: by policy, then seed, the oracle among them; see `sims.runs.played`.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs: dict[str, list[Run]] = {}
        for run in runs:
            self.runs.setdefault(run.policy, []).append(run)
        self.policies = tuple(self.runs)
        self.seeds = tuple(run.seed for run in self.runs[ORACLE])
        self.offers = self.runs[ORACLE][0].offers
        self.reference = REFERENCE if REFERENCE in self.runs else self.policies[0]

    def daily(self, policy: str, name: str) -> Floats:
        """(seeds, days) of a policy: `reward`, `spend`, `budget`, `fullest`, `decisions` or `seconds`."""
        return np.array([getattr(run, name) for run in self.runs[policy]], np.float64)

    def regret(self, policy: str) -> Floats:
        """(seeds, days) what the oracle earns more within the same limits."""
        out: Floats = self.daily(ORACLE, "reward") - self.daily(policy, "reward")
        return out

    def shares(self, policy: str) -> Floats:
        """(seeds,) of what the oracle earns in all its days."""
        out: Floats = self.daily(policy, "reward").sum(1) / self.daily(ORACLE, "reward").sum(1)
        return out

    def daily_shares(self, policy: str) -> Floats:
        """(seeds, days) of what the oracle earns that day; NaN where it earns nothing."""
        return share_of(self.daily(policy, "reward"), self.daily(ORACLE, "reward"))

    def spent(self, policy: str) -> Floats:
        """(seeds, days) of the day's budget; NaN where there is none."""
        return share_of(self.daily(policy, "spend"), self.daily(policy, "budget"))

    def phases(self, policy: str) -> list[dict[str, Any]]:
        """Mean regret per day and its interval in each part of the run; days count from 1."""
        parts = np.array_split(np.arange(self.regret(policy).shape[1]), PHASES)
        return [
            {"first": int(days[0]) + 1, "last": int(days[-1]) + 1, **interval(self.regret(policy)[:, days].mean(1))}
            for days in parts
            if len(days)
        ]

    def traffic(self, policy: str) -> Floats:
        """(days, k + 1) shares of all decisions by offer, no offer last."""
        contacts = np.sum([run.contacts for run in self.runs[policy]], axis=0).astype(np.float64)
        decisions = self.daily(policy, "decisions").sum(0)[:, None]
        out: Floats = np.column_stack([contacts, decisions[:, 0] - contacts.sum(1)]) / np.maximum(decisions, 1.0)
        return out


def share_of(part: Floats, whole: Floats) -> Floats:
    """Element by element; NaN where the whole is not above 0."""
    out: Floats = np.full(part.shape, np.nan)
    return np.divide(part, whole, out=out, where=whole > 0.0)


def interval(values: NDArray[np.floating[Any]]) -> dict[str, float | None]:
    """Mean over seeds (s,) with its standard error and 95 % interval by Student's t; of one seed the mean alone."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return {"value": mean, "std_error": None, "low": None, "high": None}
    error = float(np.std(values, ddof=1) / np.sqrt(count))
    half = float(stdtrit(count - 1, _SURE)) * error
    return {"value": mean, "std_error": error, "low": mean - half, "high": mean + half}


def summarised(world: str, compared: Compared) -> dict[str, Any]:
    """Every run, and every policy over its seeds, as one document.

    Raises:
        CampaignError: on all days of a seed nobody could have earned anything, so that there are no shares of it.
    """
    for seed, best in zip(compared.seeds, compared.daily(ORACLE, "reward").sum(1), strict=True):
        if not best > 0.0:
            remedy = "Give it more --customers or days, offers that cost less, or a budget."
            raise CampaignError(f"nothing can be earned with seed {seed}.", where=f"world {world!r}", remedy=remedy)
    runs = [line for policy in compared.policies for line in _runs(world, compared, policy)]
    summary = {policy: _summary(compared, policy) for policy in compared.policies}
    return {"world": world, "reference": compared.reference, "runs": runs, "summary": summary}


def _runs(world: str, compared: Compared, policy: str) -> list[dict[str, Any]]:
    best, own, daily = compared.daily(ORACLE, "reward"), compared.daily(policy, "reward"), compared.daily_shares(policy)
    return [
        {
            "world": world,
            "policy": policy,
            "seed": run.seed,
            "reward": float(own[s].sum()),
            "oracle_reward": float(best[s].sum()),
            "oracle_share": float(own[s].sum() / best[s].sum()),
            "spend": float(run.spend.sum()),
            "budget": float(run.budget.sum()),
            "decisions": int(run.decisions.sum()),
            "contacts": int(run.contacts.sum()),
            "worst_day": int(np.nanargmin(daily[s])) + 1,
            "worst_day_share": float(np.nanmin(daily[s])),
            "refused_days": sum(status != "released" for status in run.status),
            "seconds": float(run.seconds.sum()),
        }
        for s, run in enumerate(compared.runs[policy])
    ]


def _summary(compared: Compared, policy: str) -> dict[str, Any]:
    shares, runs = compared.shares(policy), compared.runs[policy]
    over = interval(shares)
    ahead = interval(compared.shares(compared.reference) - shares)
    seconds = sum(float(run.seconds.sum()) for run in runs)
    decisions = sum(int(run.decisions.sum()) for run in runs)
    return {
        "seeds": len(shares),
        "oracle_share": over.pop("value"),
        **over,
        "worst": float(shares.min()),
        "worst_seed": compared.seeds[int(shares.argmin())],
        "worst_day_share": float(np.nanmin(compared.daily_shares(policy))),
        "reward": float(compared.daily(policy, "reward").sum(1).mean()),
        "regret": float(compared.regret(policy).sum(1).mean()),
        "spend": float(compared.daily(policy, "spend").sum(1).mean()),
        "budget": float(compared.daily(policy, "budget").sum(1).mean()),
        "refused_days": sum(status != "released" for run in runs for status in run.status),
        "behind": None if policy == compared.reference else ahead,
        "seconds": seconds,
        "decisions_per_second": decisions / seconds if seconds > 0 else None,
    }
