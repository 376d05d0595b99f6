"""Commands out of order, unknown ids, lists and outcomes that do not fit: refused in words, nothing changed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Commands, House, snapshot

Row = list[str]
CODES = {"load": 7, "train": 7, "allocate": 7, "feedback": 7, "learn": 7, "evaluate": 7, "explain": 7, "report": 7}


def arguments(command: str, house: House) -> list[object]:
    """The least that a command asks for."""
    given: dict[str, list[object]] = {
        "load": ["--customers", house.files / "customers.csv"],
        "allocate": [house.files / "first.toml"],
        "feedback": [house.files / "feedback.ndjson"],
        "explain": ["c0001"],
    }
    return [command, *given.get(command, [])]


@pytest.mark.parametrize("command", CODES)
def test_without_a_workspace_every_command_says_how_to_make_one(
    allot: Commands, house: House, tmp_path: Path, command: str
) -> None:
    nowhere = tmp_path / "nowhere"
    ran = allot(*arguments(command, house), "--workspace", nowhere)
    ran.refused(CODES[command], str(nowhere), "is not a workspace", "allot init", "--workspace")
    assert not nowhere.exists()


def test_a_workspace_that_is_a_file_or_damaged_is_named(allot: Commands, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    allot("train", "--workspace", tmp_path / "file").refused(7, "file", "is not a folder", "another --workspace")
    allot("init", "--workspace", tmp_path / "file").refused(7, "file", "cannot be made", "Choose a folder")
    (workspace / "workspace.toml").write_text("format = 1\n")
    allot("train", "--workspace", workspace).refused(7, "workspace.toml", "is damaged", "backup")
    (workspace / "workspace.toml").write_text('format = 9\nhouse_key = "0"\n')
    allot("train", "--workspace", workspace).refused(7, "has format 9", "Update allot")


def test_each_step_of_a_new_workspace_names_the_step_that_is_missing(
    allot: Commands, house: House, tmp_path: Path
) -> None:
    here = ("--workspace", tmp_path / "new")
    assert allot("init", *here).code == 0
    exposures = ("load", "--exposures", house.files / "exposures.csv", *here)
    exposed = allot(*exposures)
    exposed.refused(3, "exposures.csv", "there are no offers yet", "Load offers before")
    allot("train", *here).refused(3, "no customers are loaded", "allot load --customers FILE")
    allot("load", "--customers", house.files / "customers.csv", *here)
    allot("load", "--offers", house.files / "offers.csv", *here)
    allot("train", *here).refused(3, "no exposures are loaded", "allot load --exposures FILE")
    before = snapshot(tmp_path / "new")
    allot("allocate", house.files / "first.toml", *here).refused(8, "no model has been trained", "allot train")
    allot("learn", *here).refused(8, "no model has been trained", "allot train")
    for command in ("explain c0001", "report"):
        allot(*command.split(), *here).refused(8, "nothing has been allocated", "allot allocate")
    allot("evaluate", *here).refused(3, "none of 0 released allocations", "--log")
    assert snapshot(tmp_path / "new") == before
    assert allot(*exposures).code == 0
    allot("train", "--as-of", "2026-01-02", *here).refused(3, "older than 30 days", "2026-01-02", "--outcome-days")


def test_a_page_is_written_to_a_folder_not_to_a_file(allot: Commands, workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("mine")
    for command in ("report", "evaluate --as-of 2026-05-01"):
        option = "--to" if command == "report" else "--report"
        ran = allot(*command.split(), option, file, "--workspace", workspace)
        assert ran.code == 2
        assert "is a file" in ran.err
        assert "Traceback" not in ran.err
    assert file.read_text() == "mine"


WRONG_OPTIONS = [
    ("train --as-of soon", 3, ("--as-of", "'soon' is not a time", "Write 2026-03-01")),
    ("train --as-of 0001-01-01T00:00:00+14:00", 3, ("--as-of", "is not a time")),
    ("train --outcome-days nan", 3, ("outcome_days = nan", "between 0 and 36,500", "such as 30")),
    ("train --outcome-days -3", 3, ("outcome_days = -3", "between 0 and 36,500")),
    ("train --outcome-days 1e300", 3, ("outcome_days = 1e+300", "between 0 and 36,500")),
    ("explain nobody", 8, ("'nobody' is not in this allocation", "Check the id")),
    ("explain c0001 --allocation alloc-x", 8, ("no allocation 'alloc-x'", "allot allocate")),
    ("report alloc-x", 8, ("no allocation 'alloc-x'", "allot allocate")),
    ("allocate --reproduce alloc-x", 8, ("no allocation 'alloc-x'", "allot allocate")),
    ("evaluate --allocation alloc-x", 8, ("no allocation 'alloc-x'", "allot allocate")),
    ("evaluate --as-of 2026-04-02", 3, ("has all its outcomes", "outcome_days")),
    ("evaluate --log no.csv", 5, ("no policy to evaluate", "--target")),
]


@pytest.mark.parametrize(("line", "code", "parts"), WRONG_OPTIONS, ids=[w[0] for w in WRONG_OPTIONS])
def test_what_nobody_knows_is_said_and_changes_nothing(
    allot: Commands, workspace: Path, line: str, code: int, parts: tuple[str, ...]
) -> None:
    before = snapshot(workspace)
    allot(*line.split(), "--workspace", workspace).refused(code, *parts)
    assert snapshot(workspace) == before


def short(rows: list[Row]) -> None:
    del rows[800:]


def not_one(rows: list[Row]) -> None:
    rows[3][2] = "0.2"


def negative(rows: list[Row]) -> None:
    rows[2][2], rows[3][2] = "1.5", "-0.5"


def unknown(rows: list[Row]) -> None:
    rows[2][1] = "gala"


def twice(rows: list[Row]) -> None:
    rows.append(rows[0])


TARGETS = [
    (short, ("column probability", "sum to 0, not to 1", "200 are not listed", "List every logged customer")),
    (not_one, ("column probability", "c0001 sum to 0.7, not to 1", "empty offer_id")),
    (negative, ("column probability", "not in [0, 1], e.g. -0.5 (customer_id c0001)", "from 0 to 1")),
    (unknown, ("column offer_id", "not in offers, e.g. gala (customer_id c0001)", "Correct the id")),
    (twice, ("column customer_id, offer_id", "more than once, e.g. c0000, late", "Keep one row")),
]


@pytest.mark.parametrize(("spoil", "parts"), TARGETS, ids=[t[0].__name__ for t in TARGETS])
def test_a_target_that_is_no_policy_over_the_log_is_refused(
    allot: Commands,
    house: House,
    workspace: Path,
    tmp_path: Path,
    spoil: Callable[[list[Row]], None],
    parts: tuple[str, ...],
) -> None:
    rows = [[f"c{i:04d}", offer, "0.5"] for i in range(600) for offer in ("late", "")]
    spoil(rows)
    with (tmp_path / "target.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["customer_id", "offer_id", "probability"], *rows])
    before = snapshot(workspace)
    asked = ("evaluate", "--log", house.files / "exposures.csv", "--target", tmp_path / "target.csv")
    allot(*asked, "--as-of", "2026-06-01", "--workspace", workspace).refused(3, "target.csv", *parts)
    assert snapshot(workspace) == before


def test_one_poison_record_leaves_the_other_feedback(allot: Commands, workspace: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    decisions = next(workspace.glob("decisions/*/decisions.parquet"))
    ids = pq.read_table(decisions, columns=["decision_id"])["decision_id"].to_pylist()[:5]
    rest = {"outcome": 1, "reward": 3.5, "occurred_at": "2026-04-09T00:00:00Z"}
    lines = [json.dumps({"event_id": f"new{i}", "decision_id": d, **rest}) for i, d in enumerate(ids)]
    lines[1] = "{not json"
    lines[3] = json.dumps({"event_id": "new3", "decision_id": ids[3], **rest, "outcome": 7})
    path = tmp_path / "late.ndjson"
    path.write_text("\n".join(lines))
    ran = allot("feedback", path, "--output", "json", "--workspace", workspace)
    assert ran.code == 3
    assert {key: ran.document[key] for key in ("corrected", "rejected")} == {"corrected": 3, "rejected": 2}
    assert [(r["line"], r["event_id"]) for r in ran.document["reasons"]] == [(2, ""), (4, "new3")]
    assert "not JSON" in ran.document["reasons"][0]["reason"]
    assert "outcome is 7, not 0 or 1" in ran.document["reasons"][1]["reason"]
    told = allot("feedback", path, "--workspace", workspace)
    assert "line 4: outcome is 7, not 0 or 1" in told.out
    told.refused(3, path.name, "2 records were rejected; all others are kept", "send the file again")
    kept = [row for row in snapshot(workspace)["rows"]["feedback_event"] if row["event_id"].startswith("new")]
    assert [(row["event_id"], row["reward_micros"]) for row in kept] == [(f"new{i}", 3_500_000) for i in (0, 2, 4)]


FEEDBACK = [
    ("f.txt", b"x", ("cannot be read from '.txt'", ".ndjson")),
    ("f.csv", b"event_id,decision_id\na,b\n", ("column 'outcome' is missing", "Feedback has the columns")),
    ("f.json", b"{", ("not JSON", "Give one JSON array")),
    ("f.parquet", b"PAR1", ("not Parquet", "Write it again")),
]


@pytest.mark.parametrize(("name", "content", "parts"), FEEDBACK, ids=[f[0] for f in FEEDBACK])
def test_feedback_that_is_no_list_of_records_is_refused(
    allot: Commands, workspace: Path, tmp_path: Path, name: str, content: bytes, parts: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(content)
    before = snapshot(workspace)
    allot("feedback", tmp_path / name, "--workspace", workspace).refused(3, name, *parts)
    assert snapshot(workspace) == before


def test_while_one_command_writes_another_is_told_to_wait(allot: Commands, house: House, workspace: Path) -> None:
    from warehouse import Workspace

    before = snapshot(workspace)
    with Workspace.open(workspace).lock():
        for command in ("load", "train", "allocate", "feedback", "learn"):
            ran = allot(*arguments(command, house), "--workspace", workspace)
            ran.refused(7, "another allot command is writing", "try again")
        assert allot("explain", "c0001", "--workspace", workspace).code == 0
    assert snapshot(workspace) == before
