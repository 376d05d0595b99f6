"""A user whose exposures carry amounts says so once; every command then speaks of amounts."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from conftest import Commands

AMOUNT = {"family": 20.0, "late": 24.0, "pass": 30.0, "tour": 22.0, "": 16.0}


def _without_redemption(rows: list[dict[str, str]]) -> None:
    for row in rows:
        row["redemption_cost"] = "0"


def _spent(rows: list[dict[str, str]]) -> None:
    draw = random.Random(6)
    for row in rows:
        row["outcome"] = "1"
        row["reward"] = f"{max(0.0, draw.gauss(AMOUNT[row['offer_id']], 6.0)):.2f}"
        row["outcome_at"] = row["decided_at"]


def test_amounts_go_the_whole_way_from_training_to_the_report(
    allot: Commands,
    workspace: Path,
    changed_table: Callable[..., Path],
    campaign: Callable[..., Path],
    tmp_path: Path,
) -> None:
    here = ("--workspace", workspace)
    train = ("train", "--as-of", "2026-04-01", "--outcome-days", 14, "--outcome", "amount", *here)
    assert allot("load", f"--exposures={changed_table('exposures', _spent)}", *here).code == 0
    allot(*train).refused(3, "redemption_cost", "rewards net of it")
    assert allot("load", f"--offers={changed_table('offers', _without_redemption)}", *here).code == 0
    for wish in ("--experts", "--learn-margins"):
        allot(*train, wish).refused(3, wish, "Leave one of them out")
    trained = allot(*train)
    assert trained.code == 0, trained.err
    assert "mean squared error" in trained.out and "mean amount" in trained.out
    answer = allot(*train, "--output", "json").document
    assert answer["outcome"] == "amount" and "log_loss" not in answer
    page = Path(allot("report", answer["prior"], *here, "--output", "json").document["html"]).read_text()
    assert "Do predicted amounts come true?" in page and "Brier" not in page and "og loss" not in page

    allot("allocate", campaign('objective = "conversions"\n'), *here).refused(5, "conversions", "amounts")
    limit = '[[limits]]\nname = "budget"\nmeasure = "cost"\nmaximum = 25.0\n'
    spring = campaign('objective = "incremental"\n[exploration]\nshare = 0.1\nholdout = 0.1\n' + limit)
    planned = allot("allocate", spring, *here, "--output", "json").document
    again = allot("allocate", "--reproduce", planned["allocation_id"], *here, "--output", "json")
    assert planned["versions"]["outcome"] == "amount" and again.document["identical"]
    assert 10.0 < next(o["mean_amount"] for o in planned["offers"] if o["chosen"]) < 50.0
    rows = pq.read_table(planned["decisions"], columns=["decision_id", "customer_id", "offer_id"]).to_pylist()
    (tmp_path / "spent.ndjson").write_text("\n".join(json.dumps(row) for row in _answers(rows)))
    assert allot("feedback", tmp_path / "spent.ndjson", *here).code == 0
    later = ("--as-of", "2026-06-01", *here)
    assert allot("learn", *later, "--output", "json").document["folded"] >= len(rows)

    chosen = next(row["customer_id"] for row in rows if row["offer_id"] is not None)
    assert "amount" in allot("explain", chosen, *here).out
    why = allot("explain", chosen, *here, "--output", "json").document
    assert abs(sum(row["worth"] for row in why["reasons"]) - why["score"]) < 1e-9
    assert Path(allot("report", *here, "--output", "json").document["html"]).exists()
    judged = allot("evaluate", *later, "--output", "json").document
    assert judged["logged"]["value"] > 10.0 and judged["ranking"] is None
    assert allot("evaluate", spring, *later).code == 0
    supposed = allot("evaluate", spring, "--what-if", "budget=-20%", *later, "--output", "json").document
    assert supposed["scenarios"][0]["planned_cost"] < supposed["as_written"]["planned_cost"] <= 25.0


def _answers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    draw = random.Random(7)
    return [
        {
            "event_id": f"a{i}",
            "decision_id": row["decision_id"],
            "outcome": 1,
            "reward": round(max(0.0, draw.gauss(AMOUNT[row["offer_id"] or ""], 6.0)), 2),
            "occurred_at": "2026-04-22T00:00:00Z",
        }
        for i, row in enumerate(rows)
    ]
