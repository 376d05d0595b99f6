"""A worse model is not put to use and says so; its report can be read all the same; force puts it to use."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from conftest import Commands, House


def test_a_log_cut_short_is_refused_reported_and_forced(
    allot: Commands, house: House, workspace: Path, tmp_path: Path
) -> None:
    here = ("--workspace", workspace)
    train = ("train", "--as-of", "2026-04-01", "--outcome-days", 14, *here)
    assert allot(*train, "--force").code == 0  # trees, whether or not so short a log bears them out
    lines = (house.files / "exposures.csv").read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(lines[:41]) + "\n")
    assert allot("load", "--exposures", tmp_path / "few.csv", *here).code == 0
    refused = allot(*train)
    assert (refused.code, "Not put to use: it says the same of everybody" in refused.out) == (10, True)
    answered = allot(*train, "--output", "json")
    answer = answered.document
    assert (answered.code, answered.err) == (10, "")
    assert not answer["in_use"] and answer["refused"]
    page = Path(allot("report", answer["prior"], *here, "--output", "json").document["html"])
    assert "Not put to use" in page.read_text() and page.parent.name == answer["prior"]
    assert allot("learn", *here, "--output", "json").document["prior"] != answer["prior"]
    ran = allot(*train, "--force", "--output", "json")
    forced = ran.document
    assert ran.code == 0 and forced["in_use"] and forced["prior"] == answer["prior"]
    assert allot("learn", *here, "--output", "json").document["prior"] == answer["prior"]


def test_experts_are_trained_on_request_and_named_by_learn_and_explain(
    allot: Commands, workspace: Path, campaign: Callable[[], Path]
) -> None:
    here = ("--workspace", workspace)
    trained = allot("train", "--as-of", "2026-04-01", "--outcome-days", 14, "--experts", *here, "--output", "json")
    assert (trained.code, list(trained.document["experts"])) == (0, ["plain", "quick", "curved"])
    learnt = allot("learn", "--as-of", "2026-06-01", *here)
    assert "Experts, by how well they foresaw outcomes: plain " in learnt.out
    page = Path(allot("report", trained.document["prior"], *here, "--output", "json").document["html"])
    assert "three posteriors run beside one another" in page.read_text()
    decided = allot("allocate", campaign(), *here, "--output", "json").document
    rows = pq.read_table(decided["decisions"], columns=["customer_id", "offer_id"]).to_pylist()
    customer = next(row["customer_id"] for row in rows if row["offer_id"] is not None)
    assert "Of the learnt logits: plain " in allot("explain", customer, *here).out


def test_what_has_no_direction_or_no_report_is_refused_in_words(allot: Commands, workspace: Path) -> None:
    here = ("--workspace", workspace)
    train = ("train", "--as-of", "2026-04-01", *here)
    allot(*train, "--monotone", "customer.ages=up").refused(3, "customer.ages", "such as customer.age")
    allot("report", "prior-0", *here).refused(8, "no prior 'prior-0'")
