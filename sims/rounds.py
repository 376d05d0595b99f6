"""Run the very engine that serves production in a world whose truth is known."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from engine.allocate import allocate
from engine.campaign import Campaign, campaign_from_file
from engine.feedback import feedback
from engine.learn import learn
from engine.stages import Reporter, Stages, silent
from engine.train import train
from engine.workspaces import init, load
from sims.files import OUTCOME_DAYS, WorldFiles, moment, outcome_rows, write
from sims.limits import reference_limits
from sims.oracle import oracle_value, realised_value
from sims.world import World, nbo
from warehouse import Workspace

ROUND_DAYS = 8
"""Days between two rounds: outcomes arrive within seven, and four rounds lie before the world's drift."""

ORACLE_GAP = 1e-3
"""How near to the best plan the oracle's is; the last digits cost most of the time."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A world, its files, and a workspace that knows only the files."""

    world: World
    files: WorldFiles
    workspace: Workspace

    @property
    def campaign(self) -> Campaign:
        """The reference campaign of day 0."""
        return campaign_from_file(self.files.campaign)


@contextmanager
def laboratory(world: World) -> Iterator[Lab]:
    """A trained workspace for a world, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="allot-sim-") as folder:
        yield open_lab(world, Path(folder))


def open_lab(world: World, folder: Path) -> Lab:
    """Write a world's files into a folder, load them into a workspace there and train as of day 0."""
    files = write(world, folder / "files")
    init(folder / "workspace")
    workspace = Workspace.open(folder / "workspace")
    load(workspace, {"customers": files.customers, "offers": files.offers, "exposures": files.exposures})
    train(workspace, as_of=moment(0), outcome_days=OUTCOME_DAYS)
    return Lab(world, files, workspace)


def answer(lab: Lab, summary: dict[str, Any], day: int) -> Path:
    """Let the world answer an allocation: a feedback file as the user's systems would post it."""
    table = pq.read_table(summary["decisions"], columns=["decision_id", "customer_id", "offer_id"])
    decided = zip(*(table[c].to_pylist() for c in table.column_names), strict=True)
    path = lab.workspace.root.parent / f"feedback-{day}.ndjson"
    rows = outcome_rows(lab.world, decided, day, delay_days=OUTCOME_DAYS / 2)
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    return path


def choices(lab: Lab, summary: dict[str, Any]) -> NDArray[np.int64]:
    """(n,) what every customer of the population got, -1 = no offer."""
    table = pq.read_table(summary["decisions"], columns=["customer_id", "offer_id"])
    position: dict[str | None, int] = {offer: a for a, offer in enumerate(lab.world.offers.ids)}
    position[None] = -1
    offers = [position[offer] for offer in table["offer_id"].to_pylist()]
    return plan_of(lab.world, table["customer_id"].to_pylist(), offers)


def plan_of(world: World, customer_ids: Sequence[str], offers: ArrayLike) -> NDArray[np.int64]:
    """(n,) a plan of the whole population: the offers of some customers, -1 for everybody else."""
    out = np.full(len(world.customers), -1, np.int64)
    out[[int(customer[1:]) - 1 for customer in customer_ids]] = offers
    return out


@dataclass(frozen=True, slots=True)
class Round:
    """One round: its number from 1, its day, the allocation's summary and what every customer got, -1 = no offer."""

    number: int
    day: int
    plan: dict[str, Any]
    choice: NDArray[np.int64]


def rounds_of(lab: Lab, rounds: int, reporter: Reporter = silent) -> Iterator[Round]:
    """Allocate, let the world answer, feed back, learn; so many times over the same population.

    Each round is handed out when its outcomes are in and learnt from.
    """
    stages = Stages(reporter)
    for turn in range(rounds):
        day = turn * ROUND_DAYS
        with stages(f"seed {lab.world.seed}, round {turn + 1}", len(lab.world.customers)):
            plan = allocate(lab.workspace, replace(lab.campaign, as_of=moment(day)), now=moment(day))
            feedback(lab.workspace, answer(lab, plan, day), now=moment(day + OUTCOME_DAYS))
            learn(lab.workspace, as_of=moment(day + ROUND_DAYS))
        yield Round(turn + 1, day, plan, choices(lab, plan))


def oracle_of(world: World) -> Callable[[int], float]:
    """The best plan's true profit on a day, under the limits of day 0; worked out once before and after the drift."""

    @cache
    def best(late: bool) -> float:
        day = world.drift_day if late else 0
        return oracle_value(world, day, world.eligible, reference_limits(world, 0), gap=ORACLE_GAP)

    return lambda day: best(day >= world.drift_day)


def play(world: World, rounds: int, reporter: Reporter = silent) -> list[dict[str, Any]]:
    """Play the rounds of `rounds_of` in a laboratory.

    Returns:
        for each round the true expected profit of the plan beside the oracle's under the same limits, and spend.
    """
    oracle = oracle_of(world)
    with laboratory(world) as lab:
        return [scored(world, one, oracle(one.day)) for one in rounds_of(lab, rounds, reporter)]


def scored(world: World, one: Round, best: float) -> dict[str, Any]:
    """A round in figures: the plan's true expected profit beside the oracle's, and what it spends of its budget."""
    reward = realised_value(world, one.choice, one.day)
    spend = next((x for x in one.plan["limits"] if x["measure"] == "cost"), {"used": None, "maximum": None})
    return {
        "world": world.name,
        "policy": "allot",
        "seed": world.seed,
        "round": one.number,
        "day": one.day,
        "reward": reward,
        "oracle_reward": best,
        "oracle_share": reward / best,
        "spend": spend["used"],
        "budget": spend["maximum"],
        "status": one.plan["status"],
    }


def simulate(seeds: Iterable[int], *, customers: int, rounds: int, reporter: Reporter = silent) -> dict[str, Any]:
    """Play the world `nbo` once per seed, through files, a workspace and the use cases of the command line.

    Args:
        seeds: of the worlds.
        customers: of the population, all addressed in every round.
        rounds: of allocate, answer, learn; those on or after the drift day see a changed world.
        reporter: told about progress.
    """
    runs = [run for seed in seeds for run in play(nbo(seed, customers=customers), rounds, reporter)]
    return {"world": "nbo", "runs": runs, "summary": summary_of(runs)}


def summary_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Share of the oracle in the first and the last round, and their paired difference over seeds."""
    share = {(run["seed"], run["round"]): run["oracle_share"] for run in runs}
    seeds = sorted({run["seed"] for run in runs})
    last = max(run["round"] for run in runs)
    gain = np.array([share[s, last] - share[s, 1] for s in seeds])
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else None
    return {
        "seeds": len(seeds),
        "rounds": last,
        "first": float(np.mean([share[s, 1] for s in seeds])),
        "last": float(np.mean([share[s, last] for s in seeds])),
        "gain": float(gain.mean()),
        "gain_std_error": error,
        "worst": float(min(share.values())),
    }
