import json
import tomllib
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from sims import nbo
from sims.files import history_ids, moment, outcome_rows, write
from sims.limits import reference_limits

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def world():
    return nbo(6, customers=500, days=10, history=1000)


@pytest.fixture(scope="module")
def files(world, tmp_path_factory):
    return write(world, tmp_path_factory.mktemp("world"))


def test_customers_hold_population_and_history(world, files):
    table = pyarrow.parquet.read_table(files.customers)
    assert table["customer_id"].to_pylist() == world.customer_ids + history_ids(world)
    assert len(set(table["customer_id"].to_pylist())) == 500 + 1100
    assert np.array_equal(table["monthly_spend"].to_numpy()[:500], world.customers.numeric[:, 0])
    assert set(table["segment"].to_pylist()) == {"starter", "family", "urban", "senior", "business", "premium"}
    assert table.num_columns == 14


def test_offers_have_the_columns_of_the_contract(world, files):
    table = pyarrow.csv.read_csv(files.offers)
    wanted = "offer_id name channel category contact_cost redemption_cost margin starts_on ends_on eligible_when"
    assert table.column_names == wanted.split()
    assert np.array_equal(table["margin"].to_numpy(), world.offers.margin)
    assert table["eligible_when"].to_pylist()[9] == "visits_90d >= 1"


def test_eligibility_is_what_the_rules_of_the_file_say(world, files):
    people = pyarrow.parquet.read_table(files.customers).slice(0, 500).to_pydict()
    rules = pyarrow.csv.read_csv(files.offers)["eligible_when"].to_pylist()
    rule_of = {
        "true": lambda i: True,
        "visits_90d >= 1": lambda i: people["visits_90d"][i] >= 1,
        "segment <> 'starter'": lambda i: people["segment"][i] != "starter",
    }
    assert world.eligible.tolist() == [[rule_of[rule](i) for rule in rules] for i in range(500)]


def test_exposures_are_a_complete_log_that_is_mature_when_the_world_starts(world, files):
    table = pyarrow.parquet.read_table(files.exposures).to_pydict()
    offers = world.offers.ids
    for i, offer in enumerate(table["offer_id"]):
        rest = 1.0 - sum(table[f"p_{name}"][i] for name in offers)
        assert table["propensity"][i] == pytest.approx(rest if offer is None else table[f"p_{offer}"][i], abs=1e-12)
        assert START - timedelta(days=60) <= table["decided_at"][i] < START - timedelta(days=30)
        success = table["outcome"][i] == 1
        assert (table["outcome_at"][i] is not None) == success
        assert (table["reward"][i] > 0) == success
        assert not success or timedelta(0) <= table["outcome_at"][i] - table["decided_at"][i] <= timedelta(days=7)
    assert table["offer_id"].count(None) == 100
    assert set(table["offer_id"]) == {None, *offers[:8]}


def test_the_campaign_states_the_reference_limits(world, files):
    document = tomllib.loads(files.campaign.read_text())
    limits = reference_limits(world, 0)
    assert document["as_of"] == START
    assert [(x["name"], x["measure"], x["maximum"]) for x in document["limits"]] == [
        (x.name, x.measure, x.maximum) for x in limits
    ]
    for stated, limit in zip(document["limits"], limits, strict=True):
        ids = [world.offers.ids[a] for a in limit.offers or ()]
        assert stated.get("offers", {}).get("offer_id", []) == ids


def test_the_same_world_gives_the_same_bytes(world, files, tmp_path):
    again = write(world, tmp_path)
    for name in ("customers", "offers", "exposures", "campaign"):
        assert getattr(again, name).read_bytes() == getattr(files, name).read_bytes()


def test_feedback_reports_what_the_world_does(world):
    offers = [world.offers.ids[i % 12] if i % 13 else None for i in range(500)]
    decisions = [(f"d{i}", world.customer_ids[i], offers[i]) for i in reversed(range(500))]
    rows = outcome_rows(world, decisions, day=7, delay_days=2.5)
    index = np.array([-1 if o is None else world.offers.ids.index(o) for o in offers])
    outcome, reward = world.outcomes(np.arange(500), index, 7)
    for row in rows:
        i = int(row.decision_id[1:])
        assert (row.outcome, row.reward) == (outcome[i], reward[i])
        assert datetime.fromisoformat(row.occurred_at) == START + timedelta(days=9.5) == moment(9.5)
    assert len({row.event_id for row in rows}) == 500
    assert sorted(json.loads(json.dumps(asdict(rows[0])))) == sorted(
        ["event_id", "decision_id", "outcome", "reward", "occurred_at"]
    )
