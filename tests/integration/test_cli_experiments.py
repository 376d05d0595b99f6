"""`allot experiment` from the command line: planned before the start, read at any time, refused when it comes late."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from conftest import Commands

TRIAL = 'name = "trial"\nas_of = 2026-04-20T00:00:00Z\nseed = 1\noutcome_days = 14\n[exploration]\nholdout = 0.4\n'


def test_an_experiment_is_planned_read_and_never_planned_late(
    allot: Commands, workspace: Path, campaign: Callable[..., Path], tmp_path: Path
) -> None:
    here = ("--workspace", workspace)
    path = campaign(head=TRIAL)
    planned = allot("experiment", "plan", path, "--effect", "5", *here)
    assert planned.code == 0, planned.err
    assert "600 customers, of whom 40.0 % are held out" in planned.out
    assert "A lift of 5,000 per 1,000 decisions needs" in planned.out
    plan = allot("allocate", path, "--output", "json", *here).document
    rows = pq.read_table(plan["decisions"], columns=["decision_id", "held_out"]).to_pylist()
    lines = [
        {
            "event_id": r["decision_id"],
            "decision_id": r["decision_id"],
            "outcome": 1,
            "occurred_at": "2026-04-21T00:00Z",
        }
        | {"reward": 10.0 + i % 3 + (0.0 if r["held_out"] else 9.0)}
        for i, r in enumerate(rows)
    ]
    answers = tmp_path / "answers.ndjson"
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert allot("feedback", answers, *here).code == 0
    told = allot("experiment", "read", "trial", "--as-of", "2026-05-10", *here)
    assert told.out.startswith("Verdict: supported for trial"), told.err
    assert "earns more than without" in told.out and "adjusted for the past" in told.out
    asked = ("experiment", "read", "trial", "--as-of", "2026-05-10", "--report", tmp_path / "page", *here)
    found = allot(*asked, "--output", "json").document
    assert found["html"] == str(tmp_path / "page" / "report.html") and len(found["charts"]) == 2
    assert found["digest"] in (tmp_path / "page" / "report.html").read_text()
    assert 8.5 < found["lift"]["low"] < 9.0 < found["lift"]["high"] < 9.5
    allot("experiment", "plan", path, *here).refused(5, "has been allocated already")
    allot("experiment", "read", "spring", *here).refused(8, "no experiment 'spring' is registered")
