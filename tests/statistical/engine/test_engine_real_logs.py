"""Real logs: a randomised shop against its own second policy, and calls that nobody drew lots for."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.evaluate import Question, evaluate
from engine.leaks import Seen, told
from engine.workspaces import init, load
from warehouse import Workspace

DATA = Path(os.environ.get("ALLOT_DATA", Path(__file__).parents[4] / "shared" / "data"))
NOW = datetime(2020, 3, 1, tzinfo=UTC)
ITEMS = 34

pytestmark = pytest.mark.skipif(
    not (DATA / "obd_men.parquet").is_file() or not (DATA / "bank_marketing.parquet").is_file(),
    reason=f"no real logs in {DATA}; point ALLOT_DATA at the folder of data sets",
)


def opened(folder, customers, offers):
    """A workspace with these customers and offers of margin 1, and nothing else."""
    pq.write_table(customers, folder / "customers.parquet")
    (folder / "offers.csv").write_text("offer_id,name,margin\n" + "".join(f"{o},{o},1\n" for o in offers))
    init(folder / "workspace")
    made = Workspace.open(folder / "workspace")
    load(made, {"customers": folder / "customers.parquet", "offers": folder / "offers.csv"})
    return made


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Open Bandit, men: 10,000 impressions by lot and 10,000 by Thompson sampling, as files; each a customer."""
    folder = tmp_path_factory.mktemp("shop")
    table = pq.read_table(DATA / "obd_men.parquet")
    ids = pa.array([f"i{i:05d}" for i in range(table.num_rows)])
    item = table["item_id"].to_numpy()
    columns = {name: table[name] for name in ("position", *(f"user_feature_{j}" for j in range(4)))}
    made = opened(folder, pa.table({"customer_id": ids, **columns}), [f"item-{a:02d}" for a in range(ITEMS)])
    log = pa.table(
        {
            "customer_id": ids,
            "offer_id": [f"item-{a:02d}" for a in item],
            "decided_at": table["timestamp"],
            "propensity": table["propensity_score"],
            "outcome": table["click"],
            "reward": table["click"].cast(pa.float64()),
        }
    )
    policy, position = np.array(table["behavior_policy"].to_pylist()), table["position"].to_numpy()
    for name in ("random", "bts"):
        pq.write_table(log.filter(pa.array(policy == name)), folder / f"{name}.parquet")
    played = np.zeros((ITEMS, 4))
    bts = policy == "bts"
    np.add.at(played, (item[bts], position[bts]), 1.0)
    played[:, 1:] /= played[:, 1:].sum(0)
    targets = {"random": np.full(played.shape, 1 / ITEMS), "bts": played}
    for name, chance in targets.items():  # a list for the impressions of the other log
        rows = np.flatnonzero(policy != name)
        listed = {
            "customer_id": ids.take(pa.array(np.repeat(rows, ITEMS))),
            "offer_id": [f"item-{a:02d}" for a in range(ITEMS)] * len(rows),
            "probability": chance[:, position[rows]].T.ravel(),
        }
        pq.write_table(pa.table(listed), folder / f"like-{name}.parquet")
    clicks = table["click"].to_numpy().astype(float)
    return made, folder, {name: clicks[policy == name] for name in ("random", "bts")}


@pytest.mark.parametrize(("logger", "target"), [("random", "bts"), ("bts", "random")])
def test_one_policys_log_tells_what_the_other_earned(shop, logger, target):
    """Some fifty clicks each: the truth lies within the errors, and the verdict says how thin that is."""
    made, folder, clicks = shop
    question = Question(None, folder / f"{logger}.parquet", folder / f"like-{target}.parquet", (), 30.0, NOW)
    found = evaluate(made, question)
    assert found["rows"] == 10_000
    assert found["verdict"] == "insufficient"
    assert any("weighted successes" in reason for reason in found["reasons"])
    truth, own = clicks[target].mean(), clicks[target].std() / 100
    for e in found["estimates"]:
        assert abs(e["value"] - truth) < 4 * np.hypot(e["std_error"], own), e
    assert found["estimate"]["low"] < truth < found["estimate"]["high"]


def test_calls_without_propensities_cannot_be_judged_and_the_answer_says_what_to_log(tmp_path):
    table = pq.read_table(DATA / "bank_marketing.parquet")
    n = table.num_rows
    ids = pa.array([f"p{i:05d}" for i in range(n)])
    made = opened(tmp_path, pa.table({"customer_id": ids, "age": table["age"], "job": table["job"]}), ["call"])
    begin = datetime(2010, 1, 1, tzinfo=UTC)
    won = np.array([answer == "yes" for answer in table["y"].to_pylist()]).astype(np.int64)
    log = {
        "customer_id": ids,
        "offer_id": ["call"] * n,
        "decided_at": [begin + timedelta(minutes=i) for i in range(n)],
        "propensity": pa.nulls(n, pa.float64()),
        "outcome": won,
        "reward": won.astype(float),
    }
    pq.write_table(pa.table(log), tmp_path / "calls.parquet")
    (tmp_path / "nobody.csv").write_text("customer_id,offer_id,probability\n" + "".join(f"{i},,1\n" for i in ids))
    found = evaluate(made, Question(None, tmp_path / "calls.parquet", tmp_path / "nobody.csv", (), 30.0, NOW))
    assert found["verdict"] == "invalid"
    assert found["reasons"][0].startswith("41,188 of 41,188 logged rows have no propensity")
    assert "log with each decision the probability with which it was made" in found["reasons"][0]
    assert found["estimate"] is None and found["estimates"] == []


@pytest.mark.parametrize("tenth", [5, 7, 9])
def test_the_length_of_a_call_is_known_to_leak_and_no_other_column_is_blamed(tenth):
    """It is known only once the call, and with it the answer, is over."""
    table = pq.read_table(DATA / "bank_marketing.parquet")
    outcome = np.array([answer == "yes" for answer in table["y"].to_pylist()]).astype(float)
    who = np.arange(len(outcome), dtype=np.uint64)
    features = table.drop_columns(["y", "row_id"])
    first, end = (int(t / 10 * len(outcome)) for t in (tenth, tenth + 1))
    before, after = (Seen(features.slice(a, b - a), outcome[a:b], who[a:b]) for a, b in ((0, first), (first, end)))
    assert [one.column for one in told(before, after) if one.implausible] == ["duration"]
