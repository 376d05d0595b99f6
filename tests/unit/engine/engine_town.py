"""A town of customers who were each offered one of three things at random, once; tests decide what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.campaign import Campaign, read_campaign
from engine.workspaces import init, load
from warehouse import Workspace

START, DAYS, OUTCOME_DAYS = datetime(2026, 1, 1, tzinfo=UTC), 60, 5.0
END = START + timedelta(days=DAYS + 30)
TIME = pa.timestamp("us", "UTC")
MARGIN = 10.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Town:
    """n customers with their one exposure each, in the order of time: taste, day, offer 0..2, outcome 0 or 1."""

    taste: Floats
    day: Floats
    offer: NDArray[np.int64]
    outcome: NDArray[np.int64]

    @property
    def ids(self) -> list[str]:
        return [f"t{i:05d}" for i in range(len(self.day))]

    @property
    def times(self) -> pa.Array:
        return pa.array([START + timedelta(days=float(d)) for d in self.day], TIME)

    def customers(self, **more: Any) -> pa.Table:
        return pa.table({"customer_id": self.ids, "taste": self.taste, **more})

    def exposures(self, **changed: Any) -> pa.Table:
        later = [
            START + timedelta(days=float(d) + 2) if y else None for d, y in zip(self.day, self.outcome, strict=True)
        ]
        columns = {
            "customer_id": self.ids,
            "offer_id": [f"offer-{a}" for a in self.offer],
            "decided_at": self.times,
            "propensity": np.full(len(self.day), 1 / 3),
            "outcome": self.outcome,
            "reward": MARGIN * self.outcome,
            "outcome_at": pa.array(later, TIME),
        }
        return pa.table(columns | changed)


def town(seed: int, chance: Callable[[Floats, NDArray[np.int64]], Floats], n: int = 4_000) -> Town:
    """Outcomes with a chance by taste (n,) in -1..1 and offer (n,)."""
    r = np.random.default_rng(seed)
    taste, offer = r.uniform(-1, 1, n), r.integers(0, 3, n)
    outcome = (r.random(n) < chance(taste, offer)).astype(np.int64)
    return Town(taste, np.sort(r.uniform(0, DAYS, n)), offer, outcome)


def likes(taste: Floats, offer: NDArray[np.int64]) -> Floats:
    """Offer 0 is for some, offer 1 for the others, offer 2 for nobody."""
    return np.where(offer == 2, 0.1, np.where((taste > 0) == (offer == 0), 0.5, 0.1))


def nothing(taste: Floats, offer: NDArray[np.int64]) -> Floats:
    """All offers are the same to all."""
    return np.full(len(taste), 0.3)


def workspace(folder: Path, customers: pa.Table, exposures: pa.Table) -> Workspace:
    """With these tables and three free offers."""
    folder.mkdir(exist_ok=True)
    offers = "offer_id,name,margin\n" + "".join(f"offer-{a},Offer {a},{MARGIN}\n" for a in range(3))
    (folder / "offers.csv").write_text(offers)
    pq.write_table(customers, folder / "customers.parquet")
    pq.write_table(exposures, folder / "exposures.parquet")
    init(folder / "workspace")
    made = Workspace.open(folder / "workspace")
    names = {"customers": "customers.parquet", "offers": "offers.csv", "exposures": "exposures.parquet"}
    load(made, {table: folder / name for table, name in names.items()})
    return made


def campaign(**more: Any) -> Campaign:
    """Everybody, one thing each, no limits."""
    document = {"name": "town", "as_of": END.isoformat(), "seed": 1, "audience": "true", "outcome_days": OUTCOME_DAYS}
    return read_campaign({**document, "exploration": {"share": 0.02}, **more})
