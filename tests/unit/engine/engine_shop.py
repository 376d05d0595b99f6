"""A shop whose customers spend amounts: what they spend with each offer is known, what is logged is noisy."""

import copy
import csv
import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bandit import AMOUNTS
from engine.allocate import allocate
from engine.campaign import read_campaign
from engine.feedback import feedback
from engine.train import Wishes, train
from engine.workspaces import init, load
from warehouse import Workspace

PEOPLE, LOGGED, NOISE = 500, 1_500, 15.0
OFFERS = ("bundle", "coupon", "gift", "sample")
FEE = np.array([4.1, 1.1, 2.2, 1.6])
LEVEL = np.array([34.0, 30.0, 31.0, 36.0, 27.0])  # with each offer, and without any
TASTE = np.array([[9.0, -4.0], [-6.0, 5.0], [2.0, 8.0], [4.0, -9.0], [0.0, 1.0]])
START = datetime(2026, 3, 1, tzinfo=UTC)
OUTCOME_DAYS = 5


@dataclass
class Shop:
    """Customers, what they spend, and a workspace that knows some of it. Nobody was ever shown the sample."""

    folder: Path
    seed: int
    workspace: Workspace = field(init=False)

    def __post_init__(self) -> None:
        self.files = self.folder
        r = np.random.default_rng(self.seed)
        self.ids = [f"c{i:04d}" for i in range(PEOPLE)]
        self.seen = r.normal(size=(PEOPLE, 2))
        self.truth = LEVEL + self.seen @ TASTE.T
        arm = r.choice([0, 1, 2, 4], LOGGED, p=(0.4, 0.2, 0.2, 0.2))
        who = r.integers(0, PEOPLE, LOGGED)
        spent = self.truth[who, arm] + NOISE * r.normal(size=LOGGED)
        when = [START - timedelta(days=60) + timedelta(minutes=50 * i) for i in range(LOGGED)]
        chance = {0: 0.4, 1: 0.2, 2: 0.2, 4: 0.2}
        people = [(c, *x) for c, x in zip(self.ids, self.seen.round(6).tolist(), strict=True)]
        log = [
            (self.ids[i], "" if a == 4 else OFFERS[a], t.isoformat(), chance[a], 1, s)
            for i, a, t, s in zip(who, arm.tolist(), when, spent.round(6).tolist(), strict=True)
        ]
        columns = ("customer_id", "offer_id", "decided_at", "propensity", "outcome", "reward")
        tables = {
            "customers": self._write("customers", ("customer_id", "age", "visits"), people),
            "exposures": self._write("exposures", columns, log),
        }
        init(self.folder / "workspace")
        (self.folder / "workspace" / "workspace.toml").write_text('format = 1\nhouse_key = "0123456789abcdef"\n')
        self.workspace = Workspace.open(self.folder / "workspace")
        self.stock()
        load(self.workspace, tables)

    def stock(self, **columns: Any) -> None:
        """The catalogue with further columns, the same for all offers."""
        rows = [(o, "post", f, 1.0, *columns.values()) for o, f in zip(OFFERS, FEE, strict=True)]
        load(
            self.workspace,
            {"offers": self._write("offers", ("offer_id", "channel", "contact_cost", "margin", *columns), rows)},
        )

    def _write(self, name: str, columns: tuple[str, ...], rows: list[Any]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
        return path

    def train(self, **wishes: Any) -> dict[str, Any]:
        """A model of amounts."""
        return train(self.workspace, as_of=START, outcome_days=1.0, wishes=Wishes(kind=AMOUNTS, **wishes))

    def document(self, day: int, **changes: Any) -> dict[str, Any]:
        """The campaign of a day: a budget for about half of the customers."""
        return {
            "name": "spring",
            "as_of": (START + timedelta(days=day)).isoformat(),
            "seed": 3,
            "outcome_days": OUTCOME_DAYS,
            "objective": "incremental",
            "exploration": {"share": 0.02, "holdout": 0.1},
            "limits": [{"name": "budget", "measure": "cost", "maximum": 0.9 * PEOPLE}],
            **changes,
        }

    def allocate(self, day: int, **changes: Any) -> dict[str, Any]:
        """The campaign of a day, with changes."""
        campaign = read_campaign(self.document(day, **changes))
        return allocate(self.workspace, campaign, now=campaign.as_of)

    def decisions(self, summary: dict[str, Any]) -> dict[str, Any]:
        """Everything about the decisions, columns as arrays, with `row`, the customers' places in `truth`."""
        table = pq.read_table(summary["decisions"])
        place = {c: i for i, c in enumerate(self.ids)}
        out: dict[str, Any] = {name: table[name].to_pylist() for name in table.column_names}
        out["row"] = np.array([place[c] for c in out["customer_id"]])
        known = {offer: a for a, offer in enumerate(summary["offer_ids"])}
        out["arm"] = np.array([known.get(o, len(known)) for o in out["offer_id"]])
        return out

    def answers(self, summary: dict[str, Any], day: int, seed: int) -> list[dict[str, Any]]:
        """What customers then spend, two days later."""
        told = self.decisions(summary)
        at = (START + timedelta(days=day + 2)).isoformat()
        noise = NOISE * np.random.default_rng(seed).normal(size=len(told["row"]))
        spent = (self.truth[told["row"], told["arm"]] + noise).round(6).tolist()
        return [
            {"event_id": f"{d}-1", "decision_id": d, "outcome": 1, "reward": x, "occurred_at": at}
            for d, x in zip(told["decision_id"], spent, strict=True)
        ]

    def copy(self, folder: Path) -> "Shop":
        """The same with a workspace of its own."""
        other = copy.copy(self)
        other.folder = folder
        shutil.copytree(self.workspace.root, folder / "workspace")
        other.workspace = Workspace.open(folder / "workspace")
        return other

    def feed(self, answers: list[dict[str, Any]], day: int) -> dict[str, Any]:
        """Post some answers on a day."""
        path = self.folder / "feedback.ndjson"
        path.write_text("".join(json.dumps(row) + "\n" for row in answers))
        return feedback(self.workspace, path, now=START + timedelta(days=day))

    def promised(self, summary: dict[str, Any]) -> np.ndarray:
        """(n,) what each customer's chances truly earn over no offer, in the order of customer ids."""
        told = self.decisions(summary)
        over_none = np.append(self.truth[:, :-1] - FEE - self.truth[:, -1:], np.zeros((PEOPLE, 1)), axis=1)
        out = np.empty(PEOPLE)
        out[told["row"]] = (np.asarray(told["probability"]) * over_none[told["row"]]).sum(1)
        return out
