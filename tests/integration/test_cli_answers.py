"""What the commands answer: one JSON document for programs, sentences and tables for people, progress beside both."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import CAMPAIGN, Commands, House, Ran, snapshot

import allot as leaf

Write = Callable[..., Path]
LIMITED = '[[limits]]\nname = "budget"\nmeasure = "cost"\nmaximum = 60\n'


def once(ran: Ran) -> dict[str, Any]:
    """The only thing on stdout, and nothing on stderr: what a program may rely on."""
    assert ran.code == 0, ran.err
    assert ran.err == ""
    document: dict[str, Any] = json.loads(ran.out)
    return document


def test_every_command_prints_exactly_one_json_document(allot: Commands, house: House, tmp_path: Path) -> None:
    here = ("--output", "json", "--workspace", tmp_path / "new")
    assert once(allot("init", *here))["workspace"] == str(tmp_path / "new")
    three = [f"--{name}={house.files / name}.csv" for name in ("customers", "offers", "exposures")]
    assert once(allot("load", *three, *here))["exposures"] == 3000
    assert once(allot("train", "--as-of", "2026-04-01", *here))["rows"] == 3000
    plan = once(allot("allocate", house.files / "first.toml", *here))
    assert plan["chosen"] + plan["no_offer"] + plan["no_eligible"] + plan["held_out"] == plan["audience"] == 600
    made = pq.read_table(plan["decisions"], columns=["decision_id", "held_out"]).to_pylist()
    decision = next(row["decision_id"] for row in made if not row["held_out"])  # who is held out depends on the house
    event = {"event_id": "e", "decision_id": decision, "outcome": 1, "reward": 1, "occurred_at": "2026-04-02"}
    (tmp_path / "one.json").write_text(json.dumps([event]))
    assert once(allot("feedback", tmp_path / "one.json", *here))["accepted"] == 1
    learnt = once(allot("learn", "--as-of", "2026-06-01", *here))
    assert (learnt["folded"], learnt["filled"]) == (1, 599)
    assert once(allot("evaluate", "--as-of", "2026-06-01", *here))["verdict"] in ("supported", "insufficient")
    assert once(allot("explain", "c0001", *here))["customer_id"] == "c0001"
    report = once(allot("report", *here))
    page = Path(report["html"]).read_text()
    assert "<h1>first</h1>" in page
    assert not re.search(r"<script|<link|src=\"http|url\(http", page), "the page needs nothing else"
    assert all(Path(chart).read_bytes().startswith(b"\x89PNG") for chart in report["charts"])
    again = once(allot("allocate", "--reproduce", plan["allocation_id"], *here))
    assert (again["identical"], again["sha256"]) == (True, plan["decisions_sha256"])
    written = once(allot("simulate", "--write", tmp_path / "world", "--customers", 100, "--output", "json"))
    assert [Path(path).is_file() for path in written["files"]] == [True] * 4


@pytest.mark.soak
def test_simulate_and_demo_print_exactly_one_json_document(allot: Commands, tmp_path: Path) -> None:
    asked = ("simulate", "--seeds", "3", "--customers", 40, "--policies", "uniform", "--output", "json")
    assert once(allot(*asked))["summary"]["uniform"]["seeds"] == 1
    assert once(allot("demo", "--customers", 600, "--to", tmp_path / "demo", "--output", "json"))["rounds"]


REFUSED = [
    (7, "train --workspace nowhere", "WorkspaceError", "allot init"),
    (7, "explain c0001 --workspace nowhere", "WorkspaceError", "allot init"),
    (5, "allocate no.toml --workspace {workspace}", "CampaignError", "Give the path"),
    (5, "allocate --workspace {workspace}", "CampaignError", "--reproduce"),
    (3, "load --offers no.csv --workspace {workspace}", "DataError", "Check the path"),
    (3, "feedback no.json --workspace {workspace}", "DataError", "Check the path"),
    (3, "learn --as-of soon --workspace {workspace}", "DataError", "Write 2026"),
    (8, "explain nobody --workspace {workspace}", "NotFoundError", "Check the id"),
    (8, "evaluate --allocation x --workspace {workspace}", "NotFoundError", "allot allocate"),
    (2, "train --sed 3 --workspace {workspace}", "UsageError", "--help"),
    (2, "explain --workspace {workspace}", "UsageError", "--help"),
]


@pytest.mark.parametrize(("code", "line", "kind", "remedy"), REFUSED, ids=[r[1].split(" --work")[0] for r in REFUSED])
def test_a_refusal_is_one_json_document_too(
    allot: Commands, house: House, code: int, line: str, kind: str, remedy: str
) -> None:
    ran = allot(*line.format(workspace=house.workspace).split(), "--output", "json")
    assert ran.code == code, ran.err
    assert set(ran.document) == {"error"}
    assert set(ran.document["error"]) == {"kind", "where", "what", "remedy"}
    assert (ran.document["error"]["kind"], remedy in ran.document["error"]["remedy"]) == (kind, True)
    assert ran.err
    assert "Traceback" not in ran.err


def test_ctrl_c_is_one_json_document_too(allot: Commands, workspace: Path) -> None:
    asked = ("learn", "--as-of", "2026-06-01", "--output", "json", "--workspace", workspace)
    ran = allot(*asked, blow="SIGINT", at="engine.learn:load_models:before")
    assert (ran.code, ran.document["error"]["kind"]) == (130, "Interrupted")


def test_exit_codes_are_those_of_the_readme() -> None:
    readme = (Path(leaf.__file__).parents[1] / "README.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)}
    errors = [getattr(leaf, name) for name in leaf.__all__ if name.endswith("Error") and name != "AllotError"]
    assert listed == {0, 10, 130, *(error.exit_code for error in errors)}
    own = [error.exit_code for error in errors if "exit_code" in vars(error)]  # a workspace in use is one of its kind
    assert len(set(own)) == len(own)


def test_people_read_sentences_and_tables_and_see_progress_beside_them(
    allot: Commands, house: House, workspace: Path, campaign: Write
) -> None:
    here = ("--workspace", workspace)
    loaded = allot("load", "--exposures", house.files / "exposures.csv", *here)
    assert re.search(r"exposures │ 3,000", loaded.out)
    assert "Next: allot train" in loaded.out
    trained = allot("train", "--as-of", "2026-04-01", *here)
    assert "Trained on 3,000 exposures" in trained.out
    assert re.search(r"│ tour +│ +\d+ │ +0\.\d+ │ known", trained.out)
    assert re.search(r"^prior: \d+\.\d s, [\d,]+ rows/s$", trained.err, re.MULTILINE)
    assert "features are those of today" in trained.out
    allocated = allot("allocate", campaign(LIMITED), *here)
    assert re.search(r"^\d+ of 600 customers get an offer; \d+ get none, \d+ have no eligible offer", allocated.out)
    assert re.search(r"│ budget │ cost +│ +[\d.]+ │ +- │ +60 │", allocated.out)
    assert re.findall(r"^(\w+): \d+\.\d s", allocated.err, re.MULTILINE)[0] == "candidates"
    explained = allot("explain", "c0001", *here)
    assert re.search(r"^Customer c0001 in allocation alloc-\w+: .+ had a chance of 0\.\d+", explained.out)
    assert re.search(r"│ no offer │", explained.out)
    learnt = allot("learn", "--as-of", "2026-06-01", *here)
    assert "Folded 600 outcomes" in learnt.out
    assert "Folded 0 outcomes and 0 decisions" in allot("learn", "--as-of", "2026-06-01", *here).out
    evaluated = allot("evaluate", "--as-of", "2026-05-01", "--report", workspace / "page", *here)
    assert evaluated.out.startswith("Verdict: ")
    assert "logged decisions: reward per 1,000, 95 % intervals" in evaluated.out
    assert f"Page: {workspace / 'page' / 'report.html'}" in evaluated.out
    assert (workspace / "page" / "report.html").read_text().startswith("<!doctype html>")


def test_the_same_request_is_the_same_allocation_and_its_bytes_can_be_made_again(
    allot: Commands, workspace: Path, campaign: Write
) -> None:
    here = ("--output", "json", "--workspace", workspace)
    first = once(allot("allocate", campaign(LIMITED), *here))
    state = snapshot(workspace)
    assert once(allot("allocate", campaign(LIMITED), *here)) == first
    told = allot("allocate", "--reproduce", first["allocation_id"], "--workspace", workspace)
    assert f"Recomputed {first['allocation_id']} from its version stamp: the same bytes" in told.out
    assert snapshot(workspace) == state
    other = once(allot("allocate", campaign(LIMITED, head=CAMPAIGN.replace("seed = 1", "seed = 2")), *here))
    assert other["allocation_id"] != first["allocation_id"]
    assert other["decisions_sha256"] != first["decisions_sha256"]


def test_a_campaign_as_json_is_the_same_campaign(
    allot: Commands, workspace: Path, campaign: Write, tmp_path: Path
) -> None:
    here = ("--output", "json", "--workspace", workspace)
    written = campaign(LIMITED + "customers = {town = ['inner', 'away']}\n")
    document = tomllib.loads(written.read_text())
    (tmp_path / "spring.json").write_text(json.dumps({**document, "as_of": "2026-04-20T00:00:00Z"}))
    as_toml = once(allot("allocate", written, *here))
    assert once(allot("allocate", tmp_path / "spring.json", *here)) == as_toml


def test_temperature_zero_is_certain_and_warns_that_nothing_can_be_learnt_from_it(
    allot: Commands, workspace: Path, campaign: Write
) -> None:
    cold = campaign(LIMITED + "[exploration]\ntemperature = 0\n")
    plan = once(allot("allocate", cold, "--output", "json", "--workspace", workspace))
    assert any("nothing can be learnt" in warning for warning in plan["warnings"])
    assert plan["mechanism"] == "deterministic"
    assert set(pq.read_table(plan["decisions"])["propensity"].to_pylist()) == {1.0}
    told = allot("allocate", cold, "--workspace", workspace)
    assert "Nothing can be learnt from these decisions" in told.out


def test_names_with_square_brackets_are_names_and_no_markup(
    allot: Commands, workspace: Path, changed_table: Write, campaign: Write
) -> None:
    def rename(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["offer_id"] = {"tour": "[/tour]"}.get(row["offer_id"], row["offer_id"])

    here = ("--workspace", workspace)
    both = ("--offers", changed_table("offers", rename), "--exposures", changed_table("exposures", rename))
    assert allot("load", *both, *here).code == 0
    trained = allot("train", "--as-of", "2026-04-01", "--force", *here)  # the rows are those of the model in use
    assert (trained.code, "[/tour]" in trained.out) == (0, True)
    limit = LIMITED.replace("budget", "[red]cap[/]") + "customers = {town = 'inner'}\n"
    allocated = allot("allocate", campaign(limit, head=CAMPAIGN.replace("spring", "[b]")), *here)
    assert (allocated.code, "[red]cap[/]" in allocated.out) == (0, True)
    assert "[/tour]" in allot("explain", "c0001", *here).out
