"""Rounds through the engine in figures: every round, and all of them over seeds."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from allot import CampaignError
from engine.stages import Reporter, silent
from sims.comparison import interval
from sims.description import Description
from sims.rounds import play
from sims.world import build

Document = dict[str, Any]


def simulate(
    about: Description, seeds: Iterable[int], *, customers: int, rounds: int, reporter: Reporter = silent
) -> Document:
    """Play a world once per seed, through files, a workspace and the use cases of the command line.

    Args:
        about: of the world.
        seeds: of the worlds.
        customers: of the population, all addressed in every round.
        rounds: of allocate, answer, learn; those on or after the drift day see a changed world.
        reporter: told about progress.

    Raises:
        CampaignError: on all rounds of a seed nobody could have earned anything.
    """
    runs = [run for seed in seeds for run in play(build(about, seed, customers), rounds, reporter)]
    return {"world": about.name, "data": about.data, "runs": runs, "summary": summary_of(runs)}


def summary_of(runs: list[Document]) -> dict[str, Document]:
    """By policy: its share of the oracle over seeds, and by how much the last round's is larger than the first's.

    Rounds in which nothing can be earned have no share.

    Args:
        runs: of one policy, every seed with its rounds in order; see `sims.rounds.scored`.
    """
    seeds = sorted({run["seed"] for run in runs})
    total = {seed: _share([run for run in runs if run["seed"] == seed], seed) for seed in seeds}
    by_round = [_rounds(runs, seed) for seed in seeds]
    over, gain = interval(np.array(list(total.values()))), interval(np.array([x[-1] - x[0] for x in by_round]))
    summary = {
        "seeds": len(seeds),
        "rounds": max(run["round"] for run in runs),
        "oracle_share": over.pop("value"),
        **over,
        "worst": min(total.values()),
        "worst_seed": min(total, key=total.__getitem__),
        "worst_round_share": min(min(shares) for shares in by_round),
        "first": float(np.mean([shares[0] for shares in by_round])),
        "last": float(np.mean([shares[-1] for shares in by_round])),
        "gain": gain["value"],
        "gain_std_error": gain["std_error"],
        "refused_rounds": sum(run["status"] != "released" for run in runs),
    }
    return {runs[0]["policy"]: summary}


def _share(runs: list[Document], seed: int) -> float:
    """Of all rounds of a seed together."""
    best = sum(run["oracle_reward"] for run in runs)
    if not best > 0.0:
        remedy = "Give it more --customers, offers that cost less, or a budget."
        what = f"nothing can be earned with seed {seed}."
        raise CampaignError(what, where=f"world {runs[0]['world']!r}", remedy=remedy)
    return float(sum(run["reward"] for run in runs) / best)


def _rounds(runs: list[Document], seed: int) -> list[float]:
    shares = (run["oracle_share"] for run in runs if run["seed"] == seed)
    return [share for share in shares if share is not None]
