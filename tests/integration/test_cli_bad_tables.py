"""A table that breaks its contract: file, column, example and remedy are named, and nothing of it is taken in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Commands, House, snapshot

Change = Callable[[list[dict[str, str]]], Any]


def put(row: int, column: str, value: str) -> Change:
    def change(rows: list[dict[str, str]]) -> None:
        rows[row][column] = value

    return change


def drop(column: str) -> Change:
    def change(rows: list[dict[str, str]]) -> None:
        for row in rows:
            del row[column]

    return change


def repeat(row: int) -> Change:
    return lambda rows: rows.append(rows[row])


BREACHES = [
    ("offers", drop("margin"), "column margin", "'margin' is missing", "Add it"),
    ("exposures", drop("decided_at"), "column decided_at", "'decided_at' is missing", "Add it"),
    ("customers", put(1, "customer_id", ""), "column customer_id", "is empty", "Give every row a value"),
    ("offers", put(0, "margin", "twelve"), "column margin", "e.g. twelve (offer_id family)", "Write a number."),
    ("exposures", put(7, "decided_at", "yesterday"), "column decided_at", "e.g. yesterday", "Write a time such as"),
    ("exposures", put(7, "outcome", "2"), "column outcome", "not 0 or 1, e.g. 2", "Write 0 or 1"),
    ("customers", repeat(5), "column customer_id", "more than once, e.g. c0005", "Keep one row"),
    ("offers", repeat(1), "column offer_id", "more than once, e.g. late", "Keep one row"),
    ("exposures", put(9, "offer_id", "gala"), "column offer_id", "not in offers, e.g. gala", "Correct the id"),
    (
        "offers",
        put(2, "contact_cost", "-0.5"),
        "column contact_cost",
        "negative, e.g. -0.5 (offer_id pass)",
        "0 or more",
    ),
    (
        "offers",
        put(2, "margin", "NaN"),
        "column margin",
        "not a finite number, e.g. NaN (offer_id pass)",
        "Write a num",
    ),
    (
        "exposures",
        put(3, "propensity", "1.2"),
        "column propensity",
        "not in (0, 1], e.g. 1.2",
        "or leave the cell empty",
    ),
    ("exposures", put(3, "propensity", "0"), "column propensity", "not in (0, 1], e.g. 0", "or leave the cell empty"),
    (
        "exposures",
        put(3, "outcome_at", "2020-01-01"),
        "column outcome_at",
        "before decided_at, e.g. 2020",
        "time zones",
    ),
    (
        "offers",
        put(0, "ends_on", "2025-01-01"),
        "column ends_on",
        "before starts_on, e.g. 2025-01-01",
        "Swap or correct",
    ),
]


@pytest.mark.parametrize(
    ("table", "change", "where", "what", "remedy"), BREACHES, ids=[f"{b[0]}: {b[3]}" for b in BREACHES]
)
def test_a_breach_names_file_column_example_and_remedy_and_loads_nothing(
    allot: Commands,
    workspace: Path,
    changed_table: Callable[..., Path],
    table: str,
    change: Change,
    where: str,
    what: str,
    remedy: str,
) -> None:
    before = snapshot(workspace)
    ran = allot("load", f"--{table}", changed_table(table, change), "--workspace", workspace)
    ran.refused(3, f"{table}.csv, {where}", what, remedy)
    assert snapshot(workspace) == before


def test_everything_that_is_wrong_is_said_at_once_and_sound_tables_beside_it_are_not_loaded_either(
    allot: Commands, house: House, workspace: Path, changed_table: Callable[..., Path]
) -> None:
    def spoil(rows: list[dict[str, str]]) -> None:
        rows[0]["margin"], rows[1]["contact_cost"] = "lots", "-1"

    before = snapshot(workspace)
    files = ("--customers", house.files / "customers.csv", "--offers", changed_table("offers", spoil))
    ran = allot("load", *files, "--workspace", workspace)
    assert ran.code == 3
    for part in ("2 problems; nothing was loaded", "column margin", "e.g. lots", "column contact_cost", "e.g. -1"):
        assert part in ran.err
    assert snapshot(workspace) == before


L = "c1,inner,30"
UNREADABLE = [
    ("empty.csv", b"", "is empty", "at least one row"),
    ("header.csv", b"customer_id,town,age\n", "has no rows", "at least one row"),
    (
        "ragged.csv",
        f"customer_id,town,age\n{L}\nc2,outer,31,extra\n".encode(),
        "line 3: has 4 cells where the header has 3: c2,outer,31,extra",
        "double quotes",
    ),
    ("short.csv", f"customer_id,town,age\n{L}\nc2,outer\n".encode(), "line 3", "2 cells where the header has 3"),
    ("quote.csv", f'customer_id,town,age\n{L}\nc2,"outer,31\n'.encode(), "line 3", "a quote that is not closed"),
    (
        "latin.csv",
        f"customer_id,town,age\n{L}\nc2,Zürich,31\n".encode("latin-1"),
        "line 3: is not UTF-8: c2,Zürich,31",
        "Save it again as UTF-8",
    ),
    (
        "late.csv",
        f"customer_id,town,age\n{L}\n".encode() * 2_000 + "c2,Köln,31\n".encode("cp1252"),
        "c2,Köln,31",
        "UTF-8",
    ),
    ("twice.csv", b"customer_id,age,Age\nc1,30,31\n", "line 1: the header names column 'age' more than once", "Rename"),
    ("renamed.csv", b"PAR1 and so on", "is a Parquet file", ".parquet"),
    ("sheet.csv", b"PK\x03\x04 and so on", "is a spreadsheet", "Export the sheet as CSV"),
    ("utf16.csv", f"customer_id,town,age\n{L}\n".encode("utf-16"), "UTF-16", "UTF-8"),
    ("page.parquet", b"PAR1 and then nothing", "cannot be read", "Parquet"),
    ("short.csv.gz", b"not gzip", "cannot be read", "gzip"),
    ("customers.xlsx", b"PK", "neither CSV nor Parquet", "Give a .csv"),
]


@pytest.mark.parametrize(("name", "content", "what", "more"), UNREADABLE, ids=[u[0] for u in UNREADABLE])
def test_a_file_that_cannot_be_read_is_named_with_the_place_where_there_is_one(
    allot: Commands, workspace: Path, tmp_path: Path, name: str, content: bytes, what: str, more: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    before = snapshot(workspace)
    ran = allot("load", "--customers", path, "--workspace", workspace)
    ran.refused(3, name, what, more)
    assert snapshot(workspace) == before


def test_a_parquet_file_damaged_in_the_middle_is_refused(allot: Commands, workspace: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "customers.parquet"
    pq.write_table(pa.table({"customer_id": [f"c{i}" for i in range(5000)]}), path)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[: middle - 200] + bytes(400) + content[middle + 200 :])
    before = snapshot(workspace)
    allot("load", "--customers", path, "--workspace", workspace).refused(3, "customers.parquet", "cannot be read")
    assert snapshot(workspace) == before


def test_missing_files_and_no_files_at_all_are_refused(allot: Commands, workspace: Path, tmp_path: Path) -> None:
    before = snapshot(workspace)
    allot("load", "--offers", tmp_path / "no.csv", "--workspace", workspace).refused(
        3, "no.csv", "no such file", "path"
    )
    allot("load", "--workspace", workspace).refused(3, "no file was given", "Give --customers")
    assert snapshot(workspace) == before


def test_the_same_rows_are_not_appended_twice(allot: Commands, house: House, workspace: Path) -> None:
    before = snapshot(workspace)
    again = ("--exposures", house.files / "exposures.csv", "--append")
    allot("load", *again, "--workspace", workspace).refused(
        3, "exposures.csv", "already loaded", "Append each file once"
    )
    assert snapshot(workspace) == before


def test_customers_are_not_replaced_by_those_that_were_to_be_added(
    allot: Commands, house: House, workspace: Path
) -> None:
    before = snapshot(workspace)
    more = ("--customers", house.files / "customers.csv", "--append")
    allot("load", *more, "--workspace", workspace).refused(3, "customers would be replaced", "without --append")
    assert snapshot(workspace) == before


def test_a_rule_of_an_offer_that_is_wrong_is_refused_when_it_is_loaded(
    allot: Commands, workspace: Path, changed_table: Callable[..., Path]
) -> None:
    before = snapshot(workspace)
    offers = changed_table("offers", put(1, "eligible_when", "town = 'inner' AND agee < 60"))
    place = "eligible_when of offer late', line 1, column 20"
    allot("load", "--offers", offers, "--workspace", workspace).refused(4, place, "'agee' is unknown", "'age'?")
    assert snapshot(workspace) == before
