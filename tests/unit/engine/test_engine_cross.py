"""From events and contacts to what a model knows of a customer and the very offer: trained, served and explained."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from engine.allocate import allocate
from engine.campaign import read_campaign
from engine.explain import explain
from engine.models import load_foundation
from engine.train import train
from engine.workspaces import init, load
from warehouse import Workspace

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=60)
CATEGORIES = ("food", "home", "sport", "style", "travel")
OFFERS, CUSTOMERS, ROWS = 10, 700, 5000


@dataclass(frozen=True, slots=True)
class Trained:
    workspace: Workspace
    document: dict[str, Any]


def moments(r: np.random.Generator, n: int, first: float, last: float) -> pa.Array:
    seconds = START.timestamp() + 86_400 * r.uniform(first, last, n)
    return pa.array((seconds * 1e6).astype(np.int64), pa.timestamp("us", "UTC"))


def files(folder: Path) -> dict[str, Path]:
    """Customers whose visits betray what they like; they take an offer if they like its category, and only once."""
    r = np.random.default_rng(11)
    ids = np.array([f"c{i:04d}" for i in range(CUSTOMERS)])
    liking = r.dirichlet(np.full(len(CATEGORIES), 0.4), CUSTOMERS)
    visitor = np.repeat(np.arange(CUSTOMERS), 12)
    seen = (r.random((len(visitor), 1)) > liking[visitor].cumsum(1)).sum(1).clip(max=len(CATEGORIES) - 1)
    who, offer = r.integers(0, CUSTOMERS, ROWS), r.integers(0, OFFERS, ROWS)
    at = moments(r, ROWS, 0, 58)
    order = np.argsort(at.cast(pa.int64()).to_numpy())
    who, offer, at = who[order], offer[order], at.take(pa.array(order))
    taken: set[tuple[int, int]] = set()
    outcome = np.zeros(ROWS, np.int64)
    for row, pair in enumerate(zip(who.tolist(), offer.tolist(), strict=True)):
        chance = 0.02 if pair in taken else 0.04 + 0.5 * liking[pair[0], pair[1] % len(CATEGORIES)]
        outcome[row] = r.random() < chance
        if outcome[row]:
            taken.add(pair)
    tables = {
        "customers": pa.table({"customer_id": ids, "age": r.integers(18, 80, CUSTOMERS)}),
        "exposures": pa.table(
            {
                "customer_id": ids[who],
                "offer_id": [f"o{a}" for a in offer],
                "decided_at": at,
                "propensity": np.full(ROWS, 1 / OFFERS),
                "outcome": outcome,
                "outcome_at": pa.array(at.cast(pa.int64()).to_numpy() + 3_600_000_000, pa.timestamp("us", "UTC")),
            }
        ),
        "events": pa.table(
            {
                "customer_id": ids[visitor],
                "at": moments(r, len(visitor), -60, 0),
                "kind": ["visit"] * len(visitor),
                "category": np.array(CATEGORIES)[seen],
            }
        ),
        "offers": pa.table(
            {
                "offer_id": [f"o{a}" for a in range(OFFERS)],
                "name": [f"Offer {a}" for a in range(OFFERS)],
                "channel": [("push", "mail")[a % 2] for a in range(OFFERS)],
                "category": [CATEGORIES[a % len(CATEGORIES)] for a in range(OFFERS)],
                "margin": [10.0] * OFFERS,
            }
        ),
    }
    paths = {name: folder / f"{name}.{'csv' if name == 'offers' else 'parquet'}" for name in tables}
    for name, path in paths.items():
        (pc.write_csv if name == "offers" else pq.write_table)(tables[name], path)
    return paths


def trained(folder: Path, sources: dict[str, Path]) -> Trained:
    init(folder)
    workspace = Workspace.open(folder)
    load(workspace, sources)
    return Trained(workspace, train(workspace, as_of=END, outcome_days=1.0))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, sources):
    return trained(tmp_path_factory.mktemp("with events"), sources)


def test_liking_of_the_offers_category_and_having_it_already_are_what_counts(made):
    gain = made.document["gain"]
    assert next(iter(gain)) == "cross.share_own_category"
    assert "cross.successes_90d_own_offer" in list(gain)[:4]
    assert not any("_offer_" in name for name in gain)  # one by one they are not read


def test_the_report_says_that_they_are_used_and_what_they_bring(made):
    found = made.document["cross"]
    assert found["used"] and found["difference"] < -3 * found["std_error"]
    assert found["rows"] == made.document["rows"] - made.document["holdout_rows"]
    assert f"log loss with them is {-found['difference']:.4f} less" in found["because"]


def test_without_events_less_is_known(made, sources, tmp_path):
    poor = trained(tmp_path, {name: path for name, path in sources.items() if name != "events"})
    assert made.document["log_loss"] < poor.document["log_loss"] - 0.005
    assert made.document["ranking"][0]["ndcg"] > poor.document["ranking"][0]["ndcg"]
    columns = load_foundation(poor.workspace, poor.document["prior"]).prior.columns
    assert not any("share" in name for name in columns.names)


def test_the_model_comes_back_as_it_was_trained(made):
    found = load_foundation(made.workspace, made.document["prior"])
    assert found.id == made.document["prior"]
    own = {cross.name: cross.own for cross in found.prior.columns.cross}
    names = found.features.names
    assert [names[j] for j in own["cross.contacts_90d_own_offer"]] == [
        f"memory.contacts_90d_offer_o{a}" for a in range(OFFERS)
    ]
    assert [names[j] for j in own["cross.share_own_category"]] == [
        f"memory.share_{CATEGORIES[a % 5]}" for a in range(10)
    ]


def test_a_rule_may_read_what_there_was_with_one_offer_and_a_score_is_taken_apart_to_it(made):
    rows, terms = explained(made)
    assert terms["cross.share_own_category"] != 0.0
    assert not any("_offer_" in term for term in terms)
    owners = pq.read_table(sources_of(made), columns=["customer_id", "offer_id", "outcome"]).to_pylist()
    has = {row["customer_id"] for row in owners if row["offer_id"] == "o3" and row["outcome"] == 1}
    assert has and not any(row["offer_id"] == "o3" and row["customer_id"] in has for row in rows)


def test_where_they_do_not_pay_nothing_of_them_is_kept_and_a_score_is_taken_apart_without(sources, tmp_path):
    table, people = pq.read_table(sources["exposures"]), pq.read_table(sources["customers"])
    age = dict(zip(people["customer_id"].to_pylist(), people["age"].to_pylist(), strict=True))
    old = np.array([age[c] > 50 for c in table["customer_id"].to_pylist()])
    outcome = (np.random.default_rng(4).random(ROWS) < np.where(old, 0.3, 0.1)).astype(np.int64)
    path = tmp_path / "by age.parquet"
    pq.write_table(table.set_column(table.column_names.index("outcome"), "outcome", pa.array(outcome)), path)
    made = trained(tmp_path / "workspace", {**sources, "exposures": path})
    assert not made.document["cross"]["used"] and made.document["constant"] == ""
    found = load_foundation(made.workspace, made.document["prior"])
    assert "memory.share_food" in found.features.names == found.prior.columns.customer
    assert not any("_offer_" in name for name in found.features.names)
    _, terms = explained(made)
    assert terms["customer.age"] != 0.0 and not any(term.startswith("cross.") for term in terms)


def explained(made: Trained) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Who got what, and the prior's terms of one of them, which add up with the others to the score."""
    document = {
        "name": "cross",
        "as_of": END.isoformat(),
        "seed": 1,
        "objective": "profit",
        "rules": [
            {"name": "fresh", "reason": "Has it", "predicate": "offer_id <> 'o3' or memory.successes_90d_offer_o3 = 0"}
        ],
    }
    summary = allocate(made.workspace, read_campaign(document), now=END)
    rows = pq.read_table(summary["decisions"], columns=["customer_id", "offer_id"]).to_pylist()
    customer = next(row["customer_id"] for row in rows if row["offer_id"] is not None)
    told = explain(made.workspace, customer, summary["allocation_id"])
    assert sum(row["worth"] for row in told["reasons"]) == pytest.approx(told["score"], abs=1e-9)
    return rows, {row["term"]: row["logit"] for row in told["reasons"] if row["part"] == "prior"}


def sources_of(made: Trained) -> Path:
    (path,) = made.workspace.root.rglob("exposures*.parquet")
    return path
