"""What the past would have earned under other limits, asked on the command line."""

from collections.abc import Callable
from pathlib import Path

from conftest import Commands, House, snapshot

Write = Callable[..., Path]
LIMITS = """
[exploration]
share = 0.1
[[limits]]
name = "budget"
measure = "cost"
maximum = 60
[[limits]]
name = "letters"
measure = "count"
maximum = 200
offers = {channel = "post"}
"""


def test_less_budget_in_hindsight_is_compared_and_nothing_is_kept(
    allot: Commands, house: House, campaign: Write, tmp_path: Path
) -> None:
    path = campaign(LIMITS)
    before = snapshot(house.workspace)
    asked = ("evaluate", path, "--what-if", "budget=-20%", "--as-of", "2026-06-01", "--workspace", house.workspace)
    found = allot(*asked, "--output", "json").document
    less = found["scenarios"][0]
    assert less["set"] == [{"limit": "budget", "bound": "maximum", "before": 60.0, "after": 48.0}]
    scaled = {x["name"]: x["maximum"] for x in less["replays"][0]["limits"]}
    assert scaled["budget"] == 48.0 * less["replays"][0]["limits_scaled_by"]
    assert less["planned_cost"] <= scaled["budget"]
    told = allot(*asked, "--report", tmp_path / "page").out
    assert less["verdict"] == "insufficient"  # of few customers: then nothing says which limits are better
    assert (less["estimate"], less["estimates"], less["difference"]["value"], less["difference"]["in_all"]) == (
        (None, [], None, None)
    )
    assert "budget=-20%: the log is too thin to tell the two apart" in told
    assert "no winner is named" in (tmp_path / "page" / "report.html").read_text()
    assert "Limits for the customers who were logged" in told
    assert snapshot(house.workspace) == before


def test_a_span_of_time_names_its_allocations(allot: Commands, house: House) -> None:
    here = ("--as-of", "2026-06-01", "--workspace", house.workspace, "--output", "json")
    found = allot("evaluate", "--since", "2026-03-01", "--until", "2026-05-01", *here).document
    assert found["log"].startswith("alloc-")
    allot("evaluate", "--since", "2026-05-01", *here[:-2]).refused(3, "none of 0 released", "since 2026-05-01")
    allot("evaluate", "--until", "soon", *here[:-2]).refused(3, "--until", "'soon' is not a time")


def test_the_allocations_own_limits_are_meant_without_a_campaign(allot: Commands, house: House) -> None:
    here = ("--as-of", "2026-06-01", "--workspace", house.workspace)
    allot("evaluate", "--what-if", "budget=-20%", *here).refused(5, "no limits that could be changed")
