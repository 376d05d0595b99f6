"""A made-up retailer: customers, offers, logged exposures and a campaign with twelve limits, as files.

`python -m benchmarks.business FOLDER CUSTOMERS EXPOSURES [wide]` writes them; wide is the large business, whose
customers have forty features, and whose campaign has thirty limits and eight rules.
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
TARIFFS: Final = ("start", "plus", "max", "duo", "team")
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


def write(folder: Path, customers: int, exposures: int, seed: int = 2026, *, wide: bool = False) -> Files:
    """Write customers with 12 columns or 42, 20 offers, exposures at uniform propensity and the campaign."""
    r = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    files = Files(
        *(folder / name for name in ("customers.parquet", "offers.csv", "exposures.parquet", "campaign.toml"))
    )
    people, numbers = _people(r, customers)
    pa_parquet.write_table(_widened(people, seed) if wide else people, files.customers)
    pa_csv.write_csv(_offers(r), files.offers)
    pa_parquet.write_table(_exposures(r, people, numbers, exposures), files.exposures)
    files.campaign.write_text(campaign(customers, wide=wide))
    return files


def _widened(people: pa.Table, seed: int) -> pa.Table:
    """Thirty more columns, as many as a telecom would have: counts, amounts, shares, flags and two categories."""
    r = np.random.default_rng([seed, 1])
    n = people.num_rows
    columns = {
        "tariff": pa.array(np.array(TARIFFS)[r.integers(0, len(TARIFFS), n)]),
        "city": pa.array([f"city {j:02d}" for j in range(60)]).take(pa.array(r.integers(0, 60, n))),
        **{f"count_{j}": r.poisson(3, n) for j in range(10)},
        **{f"amount_{j}": np.round(np.exp(r.normal(2, 1, n)), 2) for j in range(8)},
        **{f"share_{j}": r.random(n).astype(np.float32) for j in range(6)},
        **{f"flag_{j}": r.random(n) < 0.2 for j in range(4)},
    }
    for name, column in columns.items():
        people = people.append_column(name, pa.array(column))
    return people


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


RULES: Final = (
    ("adult", "Younger than 18", "age >= 18"),
    ("no calls after dinner", "Calls only to customers who take them", "channel <> 'call' or service_score > -2"),
    ("letters to readers", "Letters only to readers of letters", "channel <> 'letter' or flag_0 = false"),
    ("travel for travellers", "Not a traveller", "category <> 'travel' or count_1 >= 1"),
    ("not too often", "Bought often enough by himself", "count_2 < 12"),
    ("style in town", "No shop near", "category <> 'style' or city <> 'city 07'"),
    ("has an app", "Has no app", "channel <> 'push' or flag_1 = false"),
    ("no loyalty for basic", "Basic customers have no card", "category <> 'loyalty' or tier <> 'basic'"),
)


def campaign(n: int, *, wide: bool = False) -> str:
    """Twelve limits of every kind over n customers: a budget, caps, channels, segments, a minimum and a share.

    Wide: eighteen more, on each offer's count by tariff and on the regions' cost, and the eight rules.
    """
    limits = [
        ("budget", "cost", "maximum", 0.50 * n, ""),
        ("cap o00", "count", "maximum", 0.06 * n, 'offers = { offer_id = "o00" }'),
        ("cap o05", "count", "maximum", 0.05 * n, 'offers = { offer_id = "o05" }'),
        ("cap o10", "count", "maximum", 0.04 * n, 'offers = { offer_id = "o10" }'),
        ("letters", "count", "maximum", 0.04 * n, 'offers = { channel = "letter" }'),
        ("calls", "count", "maximum", 0.02 * n, 'offers = { channel = "call" }'),
        ("budget north", "cost", "maximum", 0.11 * n, 'customers = { region = "north" }'),
        ("budget gold", "cost", "maximum", 0.05 * n, 'customers = { tier = "gold" }'),
        ("basic by e-mail", "cost", "maximum", 0.10 * n, f'{BASIC}\noffers = {{ channel = "email" }}'),
        ("food is seen", "count", "minimum", (0.12 if wide else 0.25) * n, 'offers = { category = "food" }'),
        ("travel income", "value", "maximum", 0.60 * n, 'offers = { category = "travel" }'),
    ]
    if wide:
        some = (("o01", 'offer_id = "o01"'), ("o06", 'offer_id = "o06"'), ("push", 'channel = "push"'))
        limits += [
            (f"cap {o} {x}", "count", "maximum", 0.012 * n, f'customers = {{ tariff = "{x}" }}\noffers = {{ {which} }}')
            for o, which in some
            for x in TARIFFS
        ]
        limits += [(f"cost {x}", "cost", "maximum", 0.13 * n, f'customers = {{ region = "{x}" }}') for x in REGIONS[1:]]
    share = 'name = "at most 35 % push"\nmaximum = 0.35\npart = { offers = { channel = "push" } }\n'
    text = "\n".join(
        f'[[limits]]\nname = "{name}"\nmeasure = "{measure}"\n{side} = {int(bound)}\n{where}\n'
        for name, measure, side, bound, where in limits
    )
    rules = "\n".join(
        f'[[rules]]\nname = "{name}"\nreason = "{reason}"\npredicate = "{predicate}"\n'
        for name, reason, predicate in (RULES if wide else ())
    )
    return f"{CAMPAIGN}\n{rules}\n{text}\n[[shares]]\n{share}"


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), wide="wide" in sys.argv[4:])
