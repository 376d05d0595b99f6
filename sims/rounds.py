"""Run the very engine that serves production in a world whose truth is known."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from allot import ConvergenceError, LimitError
from engine.allocate import allocate
from engine.campaign import Campaign, campaign_from_file
from engine.feedback import feedback
from engine.learn import learn
from engine.stages import Reporter, Stages, silent
from engine.train import train
from engine.workspaces import init, load
from sims.files import OUTCOME_DAYS, WorldFiles, moment, write
from sims.limits import campaign_limits, cut_budget
from sims.oracle import best_plan, realised_value
from sims.people import Ints
from sims.reports import Report, reports_of
from sims.visits import Contacts
from sims.world import World
from warehouse import Workspace

ROUND_DAYS = 8
"""Days between two rounds: in the world `nbo` outcomes arrive before the next, and four lie before the drift."""

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
    """Let the world answer an allocation, all at once: a feedback file as the user's systems would post it."""
    return _feedback_file(lab, _reports(lab, summary, day, contacts=0), day)


def _reports(lab: Lab, summary: dict[str, Any], day: int, contacts: Ints | int) -> list[Report]:
    table = pq.read_table(summary["decisions"], columns=["decision_id", "customer_id", "offer_id"])
    decided = zip(*(table[c].to_pylist() for c in table.column_names), strict=True)
    return reports_of(lab.world, decided, day, contacts=contacts)


def _feedback_file(lab: Lab, reports: list[Report], day: int) -> Path:
    path = lab.workspace.root.parent / f"feedback-{day}.ndjson"
    path.write_text("".join(json.dumps(asdict(report.line)) + "\n" for report in reports))
    return path


def choices(lab: Lab, summary: dict[str, Any]) -> Ints:
    """(n,) what every customer of the population got, -1 = no offer."""
    table = pq.read_table(summary["decisions"], columns=["customer_id", "offer_id"])
    position: dict[str | None, int] = {offer: a for a, offer in enumerate(lab.world.offers.ids)}
    position[None] = -1
    offers = [position[offer] for offer in table["offer_id"].to_pylist()]
    return plan_of(lab.world, table["customer_id"].to_pylist(), offers)


def plan_of(world: World, customer_ids: Sequence[str], offers: ArrayLike) -> Ints:
    """(n,) a plan of the whole population: the offers of some customers, -1 for everybody else."""
    out = np.full(len(world.customers), -1, np.int64)
    out[[int(customer[1:]) - 1 for customer in customer_ids]] = offers
    return out


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Args:
        number: from 1.
        day: of the decisions.
        campaign: what was asked for.
        plan: the allocation's summary; of a plan that was refused its `status` alone, which says why.
        choice: (population,) what every customer got, -1 = no offer.
        contacts: (population,) how many offers each got in the 30 days before.
    """

    number: int
    day: int
    campaign: Campaign
    plan: dict[str, Any]
    choice: Ints
    contacts: Ints


def days_of(rounds: int) -> range:
    """The days of so many rounds."""
    return range(0, rounds * ROUND_DAYS, ROUND_DAYS)


def rounds_of(lab: Lab, rounds: int, reporter: Reporter = silent) -> Iterator[Round]:
    """Allocate, let the world answer, feed back, learn; so many times over the same population.

    What is heard of a round may be late, and come after other rounds. Each round is handed out when everything that is
    heard before the next has been fed back and learnt from.
    """
    stages, coming, lately = Stages(reporter), list[Report](), Contacts(len(lab.world.customers))
    for turn, day in enumerate(days_of(rounds)):
        with stages(f"seed {lab.world.seed}, round {turn + 1}", len(lab.world.customers)):
            one = _decided(lab, turn + 1, day, lately.on(day))
            lately.add(np.flatnonzero(one.choice >= 0), day)
            if one.plan["status"] == "released":
                coming += _reports(lab, one.plan, day, one.contacts)
            due = [report for report in coming if report.day <= day + ROUND_DAYS]
            coming = [report for report in coming if report.day > day + ROUND_DAYS]
            if due:
                feedback(lab.workspace, _feedback_file(lab, due, day), now=moment(day + ROUND_DAYS - 0.5))
            learn(lab.workspace, as_of=moment(day + ROUND_DAYS))
        yield one


def _decided(lab: Lab, number: int, day: int, contacts: Ints) -> Round:
    """What the product would refuse, because there is no room for a draw, is refused here too: nobody gets anything."""
    world = lab.world
    limits = cut_budget(lab.campaign.limits, world.budget_factor(day))
    campaign = replace(lab.campaign, as_of=moment(day), limits=limits)
    try:
        plan = allocate(lab.workspace, campaign, now=moment(day))
    except (LimitError, ConvergenceError) as refused:
        plan = {"status": str(refused)}
    nobody = np.full(len(world.customers), -1, np.int64)
    choice = choices(lab, plan) if plan["status"] == "released" else nobody
    return Round(number, day, campaign, plan, choice, contacts)


def oracle_values(world: World, rounds: int) -> list[float]:
    """What somebody who knows the truth earns in each round, under the same limits; whom he contacts, he tires himself.

    He does not look ahead.
    """
    lately, earned = Contacts(len(world.customers)), []
    for day in days_of(rounds):
        eligible = world.eligible & world.open(day)
        limits = campaign_limits(world, day)
        best = best_plan(world, day, eligible, limits, contacts=lately.on(day), gap=ORACLE_GAP)
        lately.add(np.flatnonzero(best.choice >= 0), day)
        earned.append(best.value)
    return earned


def play(world: World, rounds: int, reporter: Reporter = silent) -> list[dict[str, Any]]:
    """Play the rounds of `rounds_of` in a laboratory: each in figures, see `scored`."""
    best = oracle_values(world, rounds)
    with laboratory(world) as lab:
        return [scored(world, one, best[one.number - 1]) for one in rounds_of(lab, rounds, reporter)]


def scored(world: World, one: Round, best: float) -> dict[str, Any]:
    """A round in figures: true expected profit beside the oracle's, and what is spent of the budget.

    `spend` is what the product expects to spend, which it keeps below the budget; `true_spend` is what it truly costs.
    """
    reward = realised_value(world, one.choice, one.day, contacts=one.contacts)
    cost = np.column_stack([world.cost(one.day, contacts=one.contacts), np.zeros(len(one.choice))])
    planned = [limit["used"] for limit in one.plan.get("limits", ()) if limit["measure"] == "cost"]
    return {
        "world": world.name,
        "policy": "allot",
        "seed": world.seed,
        "round": one.number,
        "day": one.day,
        "reward": reward,
        "oracle_reward": best,
        "oracle_share": reward / best if best > 0.0 else None,
        "spend": planned[0] if planned else 0.0,
        "true_spend": float(cost[np.arange(len(cost)), one.choice].sum()),
        "budget": next((limit.maximum for limit in one.campaign.limits if limit.measure == "cost"), None),
        "contacts": int((one.choice >= 0).sum()),
        "status": one.plan["status"],
    }
