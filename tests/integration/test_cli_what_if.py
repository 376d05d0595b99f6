"""What-if on the command line: the same customers under other limits, compared, and nothing of it is kept."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from conftest import CAMPAIGN, Commands, House, snapshot

Write = Callable[..., Path]
LIMITS = """
[exploration]
share = 0.02
holdout = 0.05
[[limits]]
name = "budget"
measure = "cost"
maximum = 60
[[limits]]
name = "letters"
measure = "count"
maximum = 80
offers = {channel = "post"}
[[limits]]
name = "away"
measure = "count"
minimum = 40
customers = {town = "away"}
[[shares]]
name = "passes"
maximum = 0.4
part = {offers = {category = "pass"}}
"""
COLD = LIMITS.replace("share = 0.02", "temperature = 0")
QUESTIONS = ("budget=-20%", "letters=0, passes=none", "budget=0.5x..2x:4", "away=900")


@pytest.fixture(scope="module")
def asked(allot: Commands, house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answer to all questions at once; the workspace is that of the whole folder, which must not change."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "spring.toml").write_text(CAMPAIGN + LIMITS)
    before = snapshot(house.workspace)
    options = [f"--what-if={text}" for text in QUESTIONS]
    here = ("--changes", folder / "changes.parquet", "--output", "json", "--workspace", house.workspace)
    ran = allot("allocate", folder / "spring.toml", *options, *here)
    assert (ran.code, ran.err) == (0, "")
    assert snapshot(house.workspace) == before
    assert ran.document["changes"] == str(folder / "changes.parquet")
    document: dict[str, Any] = ran.document
    return document


def test_scenarios_are_best_plans_under_their_own_limits_and_compared_with_the_campaign_as_written(
    asked: dict[str, Any],
) -> None:
    base, rows = asked["as_written"], {s["scenario"]: s for s in asked["scenarios"]}
    assert list(rows) == [*QUESTIONS[:2], "budget=30", "budget=60", "budget=90", "budget=120", "away=900"]
    assert (asked["stored"], asked["audience"]) == (False, 600)
    assert 0.0 < asked["random_less"] < 0.5
    changes = pq.read_table(asked["changes"]).to_pylist()
    for name, row in rows.items():
        if name == "away=900":
            continue
        assert row["planned_value"] <= row["bound"] * (1 + 1e-9)
        assert row["gap"] < 1e-3
        allowed = {x["name"]: (x["minimum"], x["maximum"]) for x in row["limits"]}
        for x in row["set"]:
            assert allowed[x["limit"]][x["bound"] == "maximum"] == x["after"]
        assert all(x["slack"] is None or x["slack"] >= -1e-6 for x in row["limits"])
        gone = [x for x in changes if x["scenario"] == name]
        more = row["difference"]
        assert len({x["customer_id"] for x in gone}) == len(gone) == more["customers"]
        assert all(x["before"] != x["after"] for x in gone)
        moves = Counter((x["before"], x["after"]) for x in gone)
        assert {(m["before"], m["after"]): m["customers"] for m in more["moves"]} == moves
        for field in ("planned_value", "planned_cost"):
            total = sum(x["value_change" if field == "planned_value" else "cost_change"] for x in gone)
            assert row[field] - base[field] == pytest.approx(total, abs=1e-6) == pytest.approx(more[field], abs=1e-6)
    used = {x["name"]: x["used"] for x in rows["letters=0, passes=none"]["limits"]}
    assert used["letters"] == 0
    assert {x["used"] for x in rows["budget=60"]["limits"]} == {x["used"] for x in base["limits"]}
    assert rows["budget=60"]["difference"]["customers"] == 0


def test_the_curve_of_a_range_is_concave_and_its_prices_are_its_slopes(asked: dict[str, Any]) -> None:
    points = [s for s in asked["scenarios"] if re.fullmatch(r"budget=\d+", s["scenario"])]
    value = [p["planned_value"] for p in points]
    price = [next(x["price"] for x in p["limits"] if x["name"] == "budget") for p in points]
    slack = 2e-3 * value[-1]
    for (low, high), (first, last) in zip(pairwise(value), pairwise(price), strict=True):
        assert 30 * last - slack <= high - low <= 30 * first + slack
    line = next(x for x in asked["as_written"]["limits"] if x["name"] == "budget")
    assert line["price"] == pytest.approx(price[1])
    assert line["price_range"]["estimated_low"] <= 60 <= line["price_range"]["estimated_high"]
    assert line["price_range"]["tolerance"] == 0.1


def test_an_impossible_scenario_is_a_row_with_advice_that_works(
    allot: Commands, house: House, campaign: Write, asked: dict[str, Any]
) -> None:
    row = asked["scenarios"][-1]
    assert (row["status"], row["planned_value"], row["difference"]) == ("infeasible", None, None)
    assert row["conflict"]["what"] == "no plan can keep 'away'."
    (cure,) = row["conflict"]["cures"]
    assert row["conflict"]["remedy"] == f"Lower 'away' by {cure['by']:,.0f} contacts to {cure['to']:,.0f}."
    asking = [f"--what-if=away={cure['to'] + x:g}" for x in (0, 1)]
    ran = allot("allocate", campaign(LIMITS), *asking, "--output", "json", "--workspace", house.workspace)
    assert [s["conflict"] is None for s in ran.document["scenarios"]] == [True, False]


def test_a_campaign_that_cannot_be_is_asked_what_would_cure_it(allot: Commands, house: House, campaign: Write) -> None:
    written = campaign(LIMITS.replace("minimum = 40", "minimum = 900"))
    here = ("--workspace", house.workspace)
    ran = allot("allocate", written, "--what-if", "away=100", "--output", "json", *here)
    assert ran.document["as_written"]["status"] == "infeasible"
    (row,) = ran.document["scenarios"]
    assert row["planned_value"] > 0 and row["difference"] is None
    told = allot("allocate", written, "--what-if", "away=100", *here)
    assert re.search(
        r"^as written: no plan can keep 'away'\.\n  Lower 'away' by \d+ contacts to \d+\.$", told.out, re.M
    )


def test_as_written_is_what_temperature_zero_allocates(allot: Commands, workspace: Path, campaign: Write) -> None:
    here = ("--output", "json", "--workspace", workspace)
    supposed = allot("allocate", campaign(COLD), "--what-if", "budget=50", *here).document
    plan = allot("allocate", campaign(COLD), *here).document
    base = supposed["as_written"]
    assert base["planned_value"] == pytest.approx(plan["planned_value"], rel=2e-4)
    assert supposed["random_less"] is None
    assert {x["name"] for x in base["limits"]} == {x["name"] for x in plan["limits"]}
    assert supposed["deciding"] == plan["audience"] - plan["held_out"] - plan["no_eligible"]
    assert plan["cost_of_chance"] is None


def test_what_the_random_plan_gives_up_is_told_before_and_found_after(
    allot: Commands, workspace: Path, campaign: Write, asked: dict[str, Any]
) -> None:
    plan = allot("allocate", campaign(LIMITS), "--output", "json", "--workspace", workspace).document
    cost = plan["cost_of_chance"]
    assert cost["given_up_share"] == pytest.approx(asked["random_less"], abs=0.03)
    assert cost["best_fixed_value"] == pytest.approx(asked["as_written"]["planned_value"], rel=2e-4)
    assert cost["given_up"] == pytest.approx(cost["best_fixed_value"] - plan["planned_value"])
    assert plan["planned_value"] < cost["best_fixed_value"] <= cost["bound"] * (1 + 1e-9)
    told = allot("allocate", campaign(LIMITS), "--workspace", workspace).out
    assert re.search(
        r"^That is [\d.,]+ \([\d.]+ %\) less than the best fixed plan, [\d.,]+, and [\d.]+ % of", told, re.M
    )


def test_people_read_what_other_limits_would_bring(
    allot: Commands, house: House, campaign: Write, tmp_path: Path
) -> None:
    here = ("--workspace", house.workspace)
    changes = tmp_path / "changes.csv"
    ran = allot("allocate", campaign(LIMITS), "--what-if", "budget=-20%", "--changes", changes, *here)
    assert ran.code == 0, ran.err
    assert "Nothing is kept, and no allocation is touched." in ran.out
    assert re.search(r"│ as written +│ +[\d.,]+ │ +- │ +[\d.,]+ │ +- │", ran.out)
    assert re.search(r"│ budget=-20% +│ +[\d.,]+ │ +-[\d.,]+ │ +[\d.,]+ │ +-[\d.,]+ │", ran.out)
    assert re.search(r"^budget=-20%: \d+ customers change: \d+ \w+ → ", ran.out, re.MULTILINE)
    assert re.search(r"^As written, the last unit of 'budget' brings [\d.]+ of profit; .*an estimate", ran.out, re.M)
    assert re.search(r"is planned to be worth about [\d.]+ % less \(an estimate\)", ran.out)
    assert f"Who changes: {changes}" in ran.out
    assert pa_csv.read_csv(changes).num_rows == int(re.findall(r"(\d+) customers change", ran.out)[0])
    assert re.search(r"^scenarios: \d+\.\d s", ran.err, re.MULTILINE)
    cold = allot("allocate", campaign(COLD), "--what-if", "budget=-20%", *here)
    assert "Temperature 0 allocates just such a plan." in cold.out


@pytest.mark.parametrize("stage", ["scenarios:begin", "scenarios:end"])
def test_ctrl_c_leaves_nothing_behind(
    allot: Commands, house: House, campaign: Write, tmp_path: Path, stage: str
) -> None:
    before = snapshot(house.workspace)
    here = ("--changes", tmp_path / "changes.csv", "--workspace", house.workspace)
    ran = allot("allocate", campaign(LIMITS), "--what-if", "budget=0.5x..2x", *here, blow="SIGINT", at=stage)
    assert ran.code == 130
    assert "nothing half-done was kept" in ran.err
    assert snapshot(house.workspace) == before
    assert [p.name for p in tmp_path.iterdir()] == ["spring.toml"]


REFUSED = [
    (("--what-if", "bugdet=5"), ("what-if 'bugdet=5'", "no limit 'bugdet'", "Did you mean 'budget'?")),
    (("--what-if", "budget=lots"), ("what-if 'budget=lots'", "'lots' is no value", "a change (-20%")),
    (("--what-if", "budget=3", "--again"), ("--again does not go with --what-if", "Leave one")),
    (("--what-if", "budget=3", "--reproduce", "x"), ("--reproduce does not go with --what-if", "Give one")),
    (("--changes", "x.csv"), ("--changes needs --what-if", "Add --what-if")),
]


@pytest.mark.parametrize(("options", "parts"), REFUSED, ids=[" ".join(r[0]) for r in REFUSED])
def test_questions_that_mean_nothing_are_answered_in_words(
    allot: Commands, house: House, campaign: Write, options: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    allot("allocate", campaign(LIMITS), *options, "--workspace", house.workspace).refused(5, *parts)


def test_a_file_of_changes_that_cannot_be_written_is_refused_before_the_work(
    allot: Commands, house: House, campaign: Write, tmp_path: Path
) -> None:
    asking = ("allocate", campaign(LIMITS), "--what-if", "budget=3", "--workspace", house.workspace, "--changes")
    allot(*asking, tmp_path / "x.xlsx").refused(3, "x.xlsx", "ends in .parquet or .csv")
    allot(*asking, tmp_path / "no" / "x.csv").refused(3, "its folder does not exist", "Make the folder")
