"""A small trained workspace, and what a user's systems would send back to it."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.allocate import allocate
from engine.campaign import Campaign, read_campaign
from engine.feedback import feedback
from engine.train import train
from engine.workspaces import init, load
from sims.files import OUTCOME_DAYS, Feedback, WorldFiles, moment, outcome_rows, write
from sims.world import World, nbo
from warehouse import Workspace

CUSTOMERS, HISTORY = 400, 2_500
TRAINED, SECOND, LATE = 0, 8, 30
"""Days: of training and the first allocation, of the second, and long after both are mature."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A world, its files and a workspace that was trained on them."""

    world: World
    files: WorldFiles
    events: Path
    workspace: Workspace
    campaign: Campaign

    def copy(self, folder: Path) -> "Lab":
        """The same in a folder of its own."""
        shutil.copytree(self.workspace.root, folder / "workspace")
        return replace(self, workspace=Workspace.open(folder / "workspace"))

    def allocate(self, day: int = 0, *, again: bool = False, **changes: Any) -> dict[str, Any]:
        """The campaign of a day, with changes."""
        campaign = replace(self.campaign, as_of=moment(day), **changes)
        return allocate(self.workspace, campaign, now=moment(day), again=again)

    def answers(self, summary: dict[str, Any], day: int, *, delay: float = 3.0) -> list[Feedback]:
        """What the world says about an allocation."""
        rows = decisions(summary, "decision_id", "customer_id", "offer_id")
        return outcome_rows(self.world, zip(*rows.values(), strict=True), day, delay_days=delay)

    def feed(self, answers: Iterable[Feedback], day: float) -> dict[str, Any]:
        """Post some answers on a day."""
        path = self.workspace.root.parent / "feedback.ndjson"
        path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in answers))
        return feedback(self.workspace, path, now=moment(day))


def build(folder: Path) -> Lab:
    """Files, events and a trained workspace."""
    lab = furnish(folder)
    load_and_train(lab)
    return lab


def furnish(folder: Path, *, history: int = HISTORY) -> Lab:
    """Files with so many exposures, events and a workspace into which nothing is loaded yet."""
    world = nbo(3, customers=CUSTOMERS, history=history)
    files = write(world, folder / "files")
    path = folder / "files" / "events.parquet"
    pq.write_table(events(world), path)
    init(folder / "workspace")
    (folder / "workspace" / "workspace.toml").write_text('format = 1\nhouse_key = "0123456789abcdef"\n')  # same holdout
    return Lab(world, files, path, Workspace.open(folder / "workspace"), campaign(world))


def stock(lab: Lab, *new: str, without: Iterable[str] = ()) -> None:
    """The catalogue with new offers, which cost and bring what offer-01 does, and without some."""
    head, *lines = lab.files.offers.read_text().splitlines()
    known = next(line for line in lines if "offer-01" in line)
    lines = [line for line in lines if not any(offer in line for offer in without)]
    path = lab.workspace.root.parent / "offers.csv"
    path.write_text("\n".join([head, *lines, *(known.replace("offer-01", offer) for offer in new)]) + "\n")
    load(lab.workspace, {"offers": path})


def answers(lab: Lab, plan: dict[str, Any], day: int, said: int | None = None) -> list[Feedback]:
    """What the world says, and of offers that it does not know what is `said`, else a success every third time."""
    rows = list(zip(*decisions(plan, "decision_id", "customer_id", "offer_id").values(), strict=True))
    known = [*lab.world.offers.ids, None]
    out = outcome_rows(lab.world, [r for r in rows if r[2] in known], day, delay_days=3.0)
    at = moment(day + 3).isoformat()
    new = [decision for decision, _, offer in rows if offer not in known]
    won = [int(i % 3 == 0) if said is None else said for i in range(len(new))]
    return out + [Feedback(f"{d}-1", d, w, 20.0 * w, at) for d, w in zip(new, won, strict=True)]


def load_and_train(lab: Lab) -> dict[str, Any]:
    """Into the lab's workspace."""
    files = lab.files
    sources = {"customers": files.customers, "offers": files.offers, "exposures": files.exposures, "events": lab.events}
    load(lab.workspace, sources)
    return train(lab.workspace, as_of=moment(TRAINED), outcome_days=OUTCOME_DAYS)


def events(world: World) -> pa.Table:
    """Visits before the first day, by people of the history and of the population."""
    r = np.random.default_rng(8)
    ids = np.array([*world.customer_ids, *(f"h{i + 1:07d}" for i in range(HISTORY))])
    picked = np.sort(r.choice(len(ids), 3000))
    at = pa.array((moment(-80).timestamp() + 80 * 86_400 * r.random(len(picked))).astype("datetime64[s]"))
    categories = pa.array(r.choice(["data", "device", "bundle"], len(picked)))
    return pa.table(
        {"customer_id": pa.array(ids[picked]), "at": at, "kind": ["visit"] * len(picked), "category": categories}
    )


def decisions(summary: dict[str, Any], *columns: str) -> dict[str, list[Any]]:
    """Columns of an allocation's decisions, ordered by customer key."""
    table = pq.read_table(summary["decisions"], columns=list(columns) or None)
    return {name: table[name].to_pylist() for name in columns or table.column_names}


def campaign(world: World) -> Campaign:
    """A budget, a cap, a minimum for a segment and a share for a channel; a tenth of the customers held out."""
    n = len(world.customers)
    return read_campaign(
        {
            "name": "spring",
            "as_of": moment(0).isoformat(),
            "seed": 7,
            "audience": "starts_with(customer_id, 'c')",
            "outcome_days": OUTCOME_DAYS,
            "exploration": {"share": 0.02, "holdout": 0.1},
            "limits": [
                {"name": "budget", "measure": "cost", "maximum": 0.5 * n},
                {"name": "cap", "measure": "count", "maximum": n // 10, "offers": {"offer_id": "offer-01"}},
                {"name": "seniors", "measure": "count", "minimum": n // 40, "customers": {"segment": "senior"}},
            ],
            "shares": [{"name": "calls", "maximum": 0.4, "part": {"offers": {"channel": "call"}}}],
        }
    )
