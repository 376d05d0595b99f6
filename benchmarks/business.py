"""A made-up retailer: customers, offers, logged exposures and a campaign with twelve limits, as files.

`python -m benchmarks.business FOLDER CUSTOMERS EXPOSURES` writes them.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

OFFERS: Final = 20
LOGGED: Final = datetime(2026, 1, 1, tzinfo=UTC)
LOGGED_DAYS: Final = 60
REGIONS: Final = ("north", "east", "south", "west")
TIERS: Final = ("basic", "silver", "gold")
CHANNELS: Final = ("email", "push", "letter", "call")
BASIC: Final = 'customers = { tier = "basic" }'
CONTACT_COST: Final = {"email": 0.02, "push": 0.01, "letter": 0.80, "call": 3.00}


@dataclass(frozen=True, slots=True)
class Files:
    """Where the files of the business are."""

    customers: Path
    offers: Path
    exposures: Path
    campaign: Path


def write(folder: Path, customers: int, exposures: int, seed: int = 2026) -> Files:
    """Write customers with 12 columns, 20 offers, exposures at uniform propensity and the campaign."""
    r = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(
        *(folder / name for name in ("customers.parquet", "offers.csv", "exposures.parquet", "campaign.toml"))
    )
    people, numbers = _people(r, customers)
    pa_parquet.write_table(people, files.customers)
    pa_csv.write_csv(_offers(r), files.offers)
    pa_parquet.write_table(_exposures(r, people, numbers, exposures), files.exposures)
    files.campaign.write_text(campaign(customers))
    return files


def _people(r: np.random.Generator, n: int) -> tuple[pa.Table, NDArray[np.float64]]:
    numbers = r.normal(size=(n, 7))
    names = ("spend_score", "visit_score", "tenure_score", "basket_score", "web_score", "app_score", "service_score")
    columns = {
        "customer_id": [f"c{i:07d}" for i in range(n)],
        "region": pa.array(np.array(REGIONS)[r.integers(0, len(REGIONS), n)]),
        "tier": pa.array(np.array(TIERS)[r.choice(len(TIERS), n, p=(0.6, 0.3, 0.1))]),
        "age": r.integers(18, 90, n),
        "consent": r.random(n) < 0.97,
    }
    return pa.table(columns | {name: numbers[:, j] for j, name in enumerate(names)}), numbers


def _offers(r: np.random.Generator) -> pa.Table:
    channel = [CHANNELS[a % len(CHANNELS)] for a in range(OFFERS)]
    rules = ["true"] * OFFERS
    rules[3], rules[7], rules[11] = "tier <> 'basic'", "age >= 25", "region in ('north', 'east')"
    return pa.table(
        {
            "offer_id": [f"o{a:02d}" for a in range(OFFERS)],
            "name": [f"Offer {a}" for a in range(OFFERS)],
            "channel": channel,
            "category": [("food", "home", "style", "travel", "loyalty")[a // 4] for a in range(OFFERS)],
            "contact_cost": [CONTACT_COST[c] for c in channel],
            "redemption_cost": np.round(r.uniform(0, 4, OFFERS), 2),
            "margin": np.round(r.uniform(20, 60, OFFERS), 2),
            "starts_on": ["2025-01-01"] * OFFERS,
            "ends_on": ["2026-12-31"] * OFFERS,
            "eligible_when": rules,
        }
    )


def _exposures(r: np.random.Generator, people: pa.Table, numbers: NDArray[np.float64], n: int) -> pa.Table:
    """One of the offers or none, with equal probability; response follows tastes over the numbers."""
    who = r.integers(0, people.num_rows, n)
    offer = r.integers(0, OFFERS + 1, n)
    taste = r.normal(size=(OFFERS + 1, numbers.shape[1])) * 0.5
    base = np.append(r.normal(-2.6, 0.4, OFFERS), -4.0)
    chance = 1 / (1 + np.exp(-(base[offer] + (numbers[who] * taste[offer]).sum(1))))
    outcome = (r.random(n) < chance).astype(np.int64)
    decided = (LOGGED.timestamp() + 60 * r.integers(0, 1440 * LOGGED_DAYS, n)).astype(np.int64) * 1_000_000
    ids = pa.array([f"o{a:02d}" for a in range(OFFERS)])
    return pa.table(
        {
            "customer_id": people["customer_id"].take(pa.array(who)),
            "offer_id": ids.take(pa.array(offer, mask=offer == OFFERS)),
            "decided_at": pa.array(decided, pa.timestamp("us", "UTC")),
            "propensity": np.full(n, 1 / (OFFERS + 1)),
            "outcome": outcome,
            "reward": outcome.astype(np.float64),
            "outcome_at": pa.array(decided + 86_400_000_000, pa.timestamp("us", "UTC"), mask=outcome == 0),
        }
    )


CAMPAIGN: Final = """
name = "benchmark"
as_of = 2026-04-15T00:00:00Z
seed = 7
objective = "profit"
"""


def campaign(n: int) -> str:
    """Twelve limits of every kind over n customers: a budget, caps, channels, segments, a minimum and a share."""
    limits = (
        ("budget", "cost", "maximum", 0.50 * n, ""),
        ("cap o00", "count", "maximum", 0.06 * n, 'offers = { offer_id = "o00" }'),
        ("cap o05", "count", "maximum", 0.05 * n, 'offers = { offer_id = "o05" }'),
        ("cap o10", "count", "maximum", 0.04 * n, 'offers = { offer_id = "o10" }'),
        ("letters", "count", "maximum", 0.04 * n, 'offers = { channel = "letter" }'),
        ("calls", "count", "maximum", 0.02 * n, 'offers = { channel = "call" }'),
        ("budget north", "cost", "maximum", 0.11 * n, 'customers = { region = "north" }'),
        ("budget gold", "cost", "maximum", 0.05 * n, 'customers = { tier = "gold" }'),
        ("basic by e-mail", "cost", "maximum", 0.10 * n, f'{BASIC}\noffers = {{ channel = "email" }}'),
        ("food is seen", "count", "minimum", 0.25 * n, 'offers = { category = "food" }'),
        ("travel income", "value", "maximum", 0.60 * n, 'offers = { category = "travel" }'),
    )
    share = 'name = "at most 35 % push"\nmaximum = 0.35\npart = { offers = { channel = "push" } }\n'
    text = "\n".join(
        f'[[limits]]\nname = "{name}"\nmeasure = "{measure}"\n{side} = {int(bound)}\n{where}\n'
        for name, measure, side, bound, where in limits
    )
    return f"{CAMPAIGN}\n{text}\n[[shares]]\n{share}"


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
