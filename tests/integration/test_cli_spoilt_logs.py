"""Logs that lie, given to `allot evaluate --log`: each lie is caught and named, and the honest log is believed."""

import csv
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Commands, House

ARMS = ("family", "late", "pass", "tour", "")
MARGIN = {"family": 25, "late": 12, "pass": 60, "tour": 8, "": 10}
CHANCE = {"family": 0.12, "late": 0.2, "pass": 0.08, "tour": 0.1, "": 0.05}
OFTEN = {"family": 0.4, "late": 0.15, "pass": 0.15, "tour": 0.15, "": 0.15}
START = datetime(2026, 2, 1, tzinfo=UTC)
NOW = "2026-04-15"
Row = dict[str, Any]


def rows(policy: dict[str, float], n: int = 3_000) -> list[Row]:
    """Exposures of February and March, drawn by a policy and logged with its chances."""
    draw = random.Random(8)
    out = []
    for i in range(n):
        offer = draw.choices(list(policy), list(policy.values()))[0]
        at, won = START + timedelta(minutes=draw.randint(0, 80_000)), draw.random() < CHANCE[offer]
        out.append(
            {
                "customer_id": f"c{i % 600:04d}",
                "offer_id": offer,
                "decided_at": at,
                "propensity": policy[offer],
                "outcome": int(won),
                "reward": MARGIN[offer] * won,
                "outcome_at": at + timedelta(days=2) if won else "",
            }
        )
    return out


def swapped() -> list[Row]:
    """Sorted apart and joined again: each row has the propensity of another."""
    log = rows(OFTEN)
    chances = [row["propensity"] for row in log]
    random.Random(1).shuffle(chances)
    return [row | {"propensity": p} for row, p in zip(log, chances, strict=True)]


def stale() -> list[Row]:
    """The policy changed; the table of propensities did not."""
    now = OFTEN | {"family": 0.15, "tour": 0.4}
    return [row | {"propensity": OFTEN[row["offer_id"]]} for row in rows(now)]


def in_whole_rows(log: list[Row], policy: dict[str, float] = OFTEN) -> list[Row]:
    return [row | {f"p_{offer}": policy[offer] for offer in ARMS if offer} for row in log]


def two_swapped() -> list[Row]:
    """Two rows' propensities changed places; the columns of all offers' chances did not."""
    log = in_whole_rows(rows(OFTEN))
    one, two = (next(i for i, row in enumerate(log) if row["offer_id"] == offer) for offer in ("family", "tour"))
    log[one]["propensity"], log[two]["propensity"] = log[two]["propensity"], log[one]["propensity"]
    return log


def impossible() -> list[Row]:
    """One row's own offer is said to have had no chance."""
    log = in_whole_rows(rows(OFTEN))
    next(row for row in log if row["offer_id"] == "tour")["p_tour"] = 0
    return log


def too_rare() -> list[Row]:
    """One offer stopped being sent halfway; the chances still speak of it."""
    return [row for i, row in enumerate(in_whole_rows(rows(OFTEN))) if row["offer_id"] != "late" or i % 2]


def without_an_offer() -> list[Row]:
    return rows({"family": 0.4, "late": 0.2, "tour": 0.2, "": 0.2})


def one_huge_weight() -> list[Row]:
    log = rows(OFTEN)
    log[1_000]["propensity"] = 2e-6
    return log


def twice() -> list[Row]:
    return [row for row in rows(OFTEN) for _ in range(2)]


def some_twice() -> list[Row]:
    """The successes of February were appended once more."""
    log = rows(OFTEN)
    return log + [row for row in log if row["outcome"] and row["decided_at"].month == 2]


def late_for_one() -> list[Row]:
    """Half of the successes of one offer are only reported after three weeks."""
    log = rows(OFTEN)
    for i, row in enumerate(log):
        if row["offer_id"] == "late" and row["outcome"] and i % 2:
            row["outcome_at"] = row["decided_at"] + timedelta(days=21)
    return log


@pytest.fixture
def ask(allot: Commands, house: House, tmp_path: Path) -> Callable[[list[Row]], dict[str, Any]]:
    """What is said of an even policy on a log."""
    log, even = tmp_path / "log.csv", tmp_path / "even.csv"
    even.write_text(
        "customer_id,offer_id,probability\n" + "".join(f"c{i:04d},{o},0.2\n" for i in range(600) for o in ARMS)
    )

    def evaluate(table: list[Row]) -> dict[str, Any]:
        with log.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
        files = ("--log", log, "--target", even, "--outcome-days", "14", "--as-of", NOW)
        ran = allot("evaluate", *files, "--output", "json", "--workspace", house.workspace)
        assert ran.code == 0, ran.err
        document: dict[str, Any] = ran.document
        return document

    return evaluate


def test_the_honest_log_is_believed(ask: Callable[[list[Row]], dict[str, Any]]) -> None:
    found = ask(rows(OFTEN))
    assert found["verdict"] == "supported", found["reasons"]
    assert not any("repeat" in warning for warning in found["warnings"])
    truth = sum(0.2 * CHANCE[offer] * MARGIN[offer] for offer in ARMS)
    assert abs(found["estimate"]["value"] - truth) < 4 * found["estimate"]["std_error"]


@pytest.mark.parametrize(
    ("spoil", "verdict", "named"),
    [
        (swapped, "invalid", "times as often as its propensities say"),
        (stale, "invalid", "times as often as its propensities say"),
        (without_an_offer, "insufficient", "20.0% of the target's probability is on actions that the log cannot"),
        (two_swapped, "invalid", "The propensity of 2 rows is not the logged chance of their action"),
        (impossible, "invalid", "0.15 against 0 in the row of customer c"),
        (too_rare, "invalid", "late in segment outer of town occurs 0.4"),
        (one_huge_weight, "insufficient", "The row of customer c0400 at 2026-0"),
        (late_for_one, "invalid", "The outcomes of late come late: "),
        (twice, "insufficient", "3,000 rows are copies of other rows' decisions"),
        (some_twice, "insufficient", "rows are copies of other rows' decisions"),
    ],
)
def test_a_spoilt_log_is_caught_and_named(
    ask: Callable[[list[Row]], dict[str, Any]], spoil: Callable[[], list[Row]], verdict: str, named: str
) -> None:
    found = ask(spoil())
    assert found["verdict"] == verdict, found["reasons"]
    assert any(named in reason for reason in found["reasons"]), found["reasons"]


def test_whole_rows_of_an_honest_log_change_nothing_but_what_is_known(
    ask: Callable[[list[Row]], dict[str, Any]],
) -> None:
    alone, whole = ask(rows(OFTEN)), ask(in_whole_rows(rows(OFTEN)))
    assert whole["verdict"] == "supported", whole["reasons"]
    assert whole["estimate"] == alone["estimate"]
    expected = {x["offer_id"]: x["expected"] for x in whole["propensities"]}
    assert abs(expected["family"] - 0.4 * 3_000) < 1e-6


def test_each_row_has_its_own_chances(ask: Callable[[list[Row]], dict[str, Any]]) -> None:
    """Two policies took turns; the file is not in the order of time."""
    even = dict.fromkeys(ARMS, 0.2)
    one, two = in_whole_rows(rows(OFTEN)), in_whole_rows(rows(even), even)
    found = ask([two[i] if i % 3 else one[i] for i in range(3_000)])
    assert found["verdict"] == "supported", found["reasons"]


def test_rows_that_may_be_different_decisions_are_named_and_narrow_nothing(
    ask: Callable[[list[Row]], dict[str, Any]],
) -> None:
    """Moments are days here, so that equal rows are no copies; a customer's rows are one observation anyhow."""

    def daily(log: list[Row]) -> list[Row]:
        return [row | {"decided_at": row["decided_at"].replace(hour=0, minute=0)} for row in log]

    once, again = ask(daily(rows(OFTEN))), ask(daily(rows(OFTEN) + rows(OFTEN)[:2_000]))
    assert any("of 5,000 logged decisions repeat another" in warning for warning in again["warnings"])
    assert again["verdict"] == once["verdict"] == "supported"
    assert again["estimate"]["std_error"] > 0.95 * once["estimate"]["std_error"]


def test_chances_that_are_wrong_in_one_town_only_are_named(
    ask: Callable[[list[Row]], dict[str, Any]], house: House
) -> None:
    """There the policy changed and its chances did not: over all towns together no offer occurs too often."""
    away = {row["customer_id"] for row in house.table("customers") if row["town"] == "away"}
    log, draw = rows(OFTEN), random.Random(3)
    for row in log:
        if row["customer_id"] in away and row["offer_id"] == "family" and draw.random() < 0.2:
            row |= {"offer_id": "tour", "propensity": OFTEN["tour"]}
    found = ask(log)
    assert found["verdict"] == "invalid"
    assert found["reasons"][0].startswith("tour in segment away of town occurs ")
    tour = next(x for x in found["propensities"] if x["offer_id"] == "tour")
    assert tour["alarm"] and tour["z"] < 4.5 < tour["worst_segment"]["z"]
    assert (tour["worst_segment"]["column"], tour["worst_segment"]["segment"]) == ("town", "away")


def test_rows_that_are_too_young_are_left_out_and_counted(ask: Callable[[list[Row]], dict[str, Any]]) -> None:
    log = rows(OFTEN)
    edge = datetime.fromisoformat(NOW).replace(tzinfo=UTC) - timedelta(days=14)
    failed = {"outcome": 0, "reward": 0, "outcome_at": ""}
    young = [row | failed | {"decided_at": edge + timedelta(hours=1 + i % 300)} for i, row in enumerate(log[:700])]
    found, alone = ask(log + young), ask(log)
    assert (found["rows"], found["left_out"], found["immature"]) == (3_000, 700, 700)
    assert found["estimate"] == alone["estimate"]


def test_a_backtest_is_asked_for_on_the_command_line(
    allot: Commands, house: House, campaign: Callable[..., Path], tmp_path: Path
) -> None:
    """January alone is too short for outcomes of a month, and long enough for those of five days."""
    here = ("--as-of", NOW, "--workspace", house.workspace)
    document = campaign()
    allot("backtest", document, *here).refused(3, "the log spans")
    asked = ("backtest", document, "--origins", "2", "--outcome-days", "5", *here)
    found = allot(*asked, "--output", "json").document
    assert [line["rows"] > 0 for line in found["origins"]] == [True, True]
    told = allot(*asked, "--report", tmp_path / "page").out
    assert "Moment by moment" in (tmp_path / "page" / "report.html").read_text()
    assert told.startswith("Verdict: ")
    assert "trained to" in told and "in all" in told
