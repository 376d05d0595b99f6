"""A budget is never overspent, whatever processes die, sleep or clocks do; and what would overspend it is found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRIAL = Path(__file__).with_name("budget_trial.py")


def trial(workspace, *, seed, kills, pauses, mutant="none"):
    asked = [str(workspace.root), str(seed), str(kills), str(pauses), mutant]
    done = subprocess.run([sys.executable, str(TRIAL), *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(found):
    assert found["failed"] == []
    assert found["overspent_micros"] <= 0
    assert found["lost"] == 0
    assert found["wrong_accounts"] == []
    assert max(found["unspent"].values()) <= 0.001
    assert found["acknowledged"] > 300


def test_kills_pauses_and_wrong_clocks_overspend_nothing_and_leave_nothing(database):
    check(trial(database, seed=1, kills=10, pauses=10))


@pytest.mark.parametrize("mutant", ["without_fence", "read_check_write"])
def test_a_ledger_that_trusts_what_it_read_before_is_found_out(database, mutant):
    assert trial(database, seed=2, kills=1, pauses=3, mutant=mutant)["overspent_micros"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12])
def test_two_hundred_kills_and_two_hundred_pauses(database, seed, record_property):
    found = trial(database, seed=seed, kills=200, pauses=200)
    kept = "PostgreSQL" if os.environ.get("ALLOT_DATABASE_URL") else "SQLite"
    told = f"4 processes, 200 kills, 200 pauses, clocks of an hour either way, {found['acknowledged']:,} decisions"
    over, left = max(0, found["overspent_micros"]), max(found["unspent"].values())
    record_property(
        f"budget, {kept}, seed {seed}", f"{told}, {over} micros overspent, {left:.3%} of a cap left at most"
    )
    check(found)
