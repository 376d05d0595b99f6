"""Loading: every bad input is named with file, column, example and remedy, and changes nothing."""

import json
import os
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from allot import DataError, NotFoundError, WorkspaceError
from governance import CONTRACTS
from warehouse import Workspace, attach, connect, current_version, load, read_checked, read_version

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = {
    "customers": "customer_id,age,plan,consent\n007,31,gold,true\n1,45,,\n2,19,basic,no\n",
    "offers": "offer_id,margin,contact_cost,starts_on,ends_on,eligible_when\n"
    "01,5.5,0.1,2026-01-01,,true\nb,2,0.2,2026-01-01,2026-12-31,age > 20\n",
    "exposures": "customer_id,offer_id,decided_at,propensity,outcome,outcome_at,extra\n"
    "007,01,2026-03-01 10:00:00,0.5,1,2026-03-02T00:00:00Z,x\n1,,2026-03-01T12:00:00+02:00,,0,,y\n",
    "events": "customer_id,at,kind,what\n007,2026-02-01,visit,z\n",
}


def tree(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def workspace(tmp_path):
    return Workspace.init(tmp_path / "home")


def write(folder, **tables):
    """Write tables as CSV text or, where an arrow table is given, as Parquet."""
    folder.mkdir(exist_ok=True)
    paths = {}
    for name, content in tables.items():
        paths[name] = folder / f"{name}.{'csv' if isinstance(content, str) else 'parquet'}"
        if isinstance(content, str):
            paths[name].write_text(content)
        else:
            pq.write_table(content, paths[name])
    return paths


def rows(workspace, table, columns="*"):
    with connect(workspace) as connection:
        attach(connection, workspace, current_version(workspace))
        return connection.sql(f"FROM {table} SELECT {columns}").to_arrow_table().to_pylist()


def test_good_tables_are_loaded_as_their_contracts_say(workspace, tmp_path):
    loaded = load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS)
    assert loaded.counts == {"customers": 3, "offers": 2, "exposures": 2, "events": 1}
    assert rows(workspace, "customers", "customer_id, age, plan, consent") == [
        {"customer_id": "007", "age": 31, "plan": "gold", "consent": True},
        {"customer_id": "1", "age": 45, "plan": None, "consent": None},
        {"customer_id": "2", "age": 19, "plan": "basic", "consent": False},
    ]
    offers = rows(workspace, "offers", "offer_id, name, redemption_cost, ends_on, eligible_when")
    assert [o["offer_id"] for o in offers] == ["01", "b"]
    assert offers[0] == {"offer_id": "01", "name": "01", "redemption_cost": 0, "ends_on": None, "eligible_when": "true"}
    exposures = rows(workspace, "exposures", "customer_id, offer_id, decided_at, propensity, outcome, decision_id")
    assert [(e["customer_id"], e["offer_id"], e["propensity"], e["outcome"]) for e in exposures] == [
        ("007", "01", 0.5, 1),
        ("1", None, None, 0),
    ]
    assert {e["decided_at"] for e in exposures} == {datetime(2026, 3, 1, 10, tzinfo=UTC)}
    assert any("extra" in warning for warning in loaded.warnings)
    assert "extra" not in loaded.version.tables["exposures"].columns


EXPOSURE = "customer_id,offer_id,decided_at,outcome"
BAD = [
    (
        "customers",
        "customer,age\na,1\n",
        "customer_id",
        "'customer_id' is missing",
        "Rename 'customer' to 'customer_id'",
    ),
    ("customers", "customer_id,age\na,1\na,2\n", "customer_id", "more than once, e.g. a", "one row of each"),
    ("customers", "customer_id,age\n,1\nb,2\n", "customer_id", "1 row: the value is empty, e.g. nothing", "every row"),
    (
        "customers",
        pa.table({"customer_id": ["a", "b"], "age": [float("inf"), 1.5]}),
        "age",
        "not a finite number, e.g. inf (customer_id a)",
        "number",
    ),
    ("customers", "customer_id,consent\na,perhaps\n", "consent", "e.g. perhaps (customer_id a)", "true or false"),
    ("customers", "customer_id,valid_from\na,\n", "valid_from", "is empty", "since when|from when"),
    ("customers", pa.table({"customer_id": ["a"], "tags": [["x"]]}), "tags", "VARCHAR[]", "a number, a text"),
    ("customers", pa.table({"customer_id": ["a"], "home": [{"x": 1}]}), "home", "STRUCT", "a number, a text"),
    ("customers", pa.table({"customer_id": [1.0, 2.0]}), "customer_id", "DOUBLE", "ids as text"),
    ("customers", "customer_id,age\n", "", "has no rows", "at least one row"),
    ("customers", "", "", "is empty", "header"),
    ("offers", "offer_id,margin,contact_cost\na,1,-2\n", "contact_cost", "negative, e.g. -2 (offer_id a)", "0 or more"),
    ("offers", "offer_id,margin,redemption_cost\na,1,-2\n", "redemption_cost", "negative, e.g. -2", "0 or more"),
    ("offers", "offer_id,margin\na,nan\n", "margin", "not a finite number, e.g. nan (offer_id a)", "number"),
    ("offers", "offer_id,margin\na,inf\n", "margin", "not a finite number, e.g. inf", "number"),
    ("offers", "offer_id,margin\na,much\nb,1\n", "margin", "1 row: the value is not a number, e.g. much", "a number"),
    ("offers", "offer_id,margin,contact_cost\na,1,\n", "contact_cost", "is empty", "every row"),
    ("offers", "offer_id,margin\na,1\na,1\n", "offer_id", "more than once, e.g. a", "one row"),
    (
        "offers",
        "offer_id,margin,starts_on,ends_on\na,1,2026-02-01,2026-01-01\n",
        "ends_on",
        "before starts_on",
        "dates",
    ),
    ("offers", "offer_id,margin,starts_on\na,1,soon\n", "starts_on", "e.g. soon (offer_id a)", "a date"),
    ("exposures", f"{EXPOSURE}\na,zzz,2026-01-01,1\n", "offer_id", "not in offers, e.g. zzz", "load that offer"),
    ("exposures", f"{EXPOSURE}\na,b,2026-01-01,2\n", "outcome", "not 0 or 1, e.g. 2", "0 or 1"),
    ("exposures", f"{EXPOSURE}\na,b,2026-01-01,maybe\n", "outcome", "e.g. maybe", "0 or 1"),
    ("exposures", f"{EXPOSURE}\na,b,2026-01-01,\n", "outcome", "is empty, e.g. nothing (customer_id a)", "every row"),
    ("exposures", f"{EXPOSURE},reward\na,b,2026-01-01,1,-1e15\n", "reward", "no sensible amount of", "currency units"),
    ("offers", "offer_id,margin\na,1e300\n", "margin", "no sensible amount of money, e.g. 1e300", "currency units"),
    ("exposures", f"{EXPOSURE},propensity\na,b,2026-01-01,1,1e-200\n", "propensity", "too small for any", "a density"),
    ("exposures", f"{EXPOSURE}\na,b,yesterday,1\n", "decided_at", "e.g. yesterday", "a time such as"),
    ("exposures", f"{EXPOSURE}\na,b,,1\n", "decided_at", "is empty", "every row"),
    ("exposures", f"{EXPOSURE},propensity\na,b,2026-01-01,1,0\n", "propensity", "not in (0, 1], e.g. 0", "how likely"),
    ("exposures", f"{EXPOSURE},propensity\na,b,2026-01-01,1,1.5\n", "propensity", "e.g. 1.5", "how likely"),
    ("exposures", f"{EXPOSURE},propensity\na,b,2026-01-01,1,nan\n", "propensity", "finite", "leave the cell empty"),
    ("exposures", f"{EXPOSURE},p_b\na,b,2026-01-01,1,1.5\n", "p_b", "not a probability, e.g. 1.5", "between 0 and 1"),
    (
        "exposures",
        f"{EXPOSURE},outcome_at\na,b,2026-01-02,1,2026-01-01\n",
        "outcome_at",
        "before decided_at",
        "time zones",
    ),
    (
        "exposures",
        f"{EXPOSURE},decision_id\na,b,2026-01-02,1,d\nb,b,2026-01-02,0,d\n",
        "decision_id",
        "e.g. d",
        "one row",
    ),
    ("exposures", "customer_id,decided_at,outcome\na,2026-01-01,1\n", "offer_id", "'offer_id' is missing", "Add it"),
    ("events", "customer_id,at,kind\na,2026-01-01,\n", "kind", "is empty", "every row"),
    (
        "events",
        "customer_id,at,kind,received_at\na,2026-01-02,v,2026-01-01\n",
        "received_at",
        "before at",
        "time zones",
    ),
]


@pytest.mark.parametrize(("table", "content", "column", "what", "remedy"), BAD)
def test_a_breach_names_file_column_example_and_remedy_and_loads_nothing(
    workspace, tmp_path, table, content, column, what, remedy
):
    load(workspace, write(tmp_path / "good", **GOOD), CONTRACTS)
    before = tree(workspace.root)
    sources = {**write(tmp_path / "good", **GOOD), **write(tmp_path / "bad", **{table: content})}
    with pytest.raises(DataError) as caught:
        load(workspace, sources, CONTRACTS)
    message = str(caught.value)
    assert sources[table].name in message
    assert not column or f"column {column}" in message
    assert what in message
    assert any(word in message for word in remedy.split("|"))
    assert tree(workspace.root) == before


def test_every_breach_of_every_file_is_in_one_message(workspace, tmp_path):
    paths = write(tmp_path / "in", customers="name,age\na,1\n", offers="offer_id,margin,contact_cost\na,x,-1\n")
    with pytest.raises(DataError) as caught:
        load(workspace, paths, CONTRACTS)
    message = str(caught.value)
    assert "3 problems" in message
    assert all(
        word in message for word in ("customers.csv, column customer_id", "column margin", "column contact_cost")
    )


@pytest.mark.parametrize(
    ("name", "content"), [("x.json", b"{}"), ("x.parquet", b"PAR1 not really"), ("x.csv", b"\xff\xfe\x00\x01")]
)
def test_what_is_no_table_is_refused_in_words(workspace, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        load(workspace, {"customers": tmp_path / name}, CONTRACTS)
    with pytest.raises(DataError, match="no such file"):
        load(workspace, {"customers": tmp_path / "absent.csv"}, CONTRACTS)


def test_exposures_without_any_offers_are_refused(workspace, tmp_path):
    paths = write(tmp_path / "in", exposures=GOOD["exposures"])
    with pytest.raises(DataError, match="no offers yet"):
        load(workspace, paths, CONTRACTS)


def test_exposures_may_name_offers_that_are_already_loaded(workspace, tmp_path):
    paths = write(tmp_path / "in", **GOOD)
    load(workspace, {"offers": paths["offers"]}, CONTRACTS)
    assert load(workspace, {"exposures": paths["exposures"]}, CONTRACTS).counts == {"exposures": 2}


def test_rows_about_unknown_customers_are_kept_and_said(workspace, tmp_path):
    tables = {**GOOD, "events": "customer_id,at,kind\nstranger,2026-01-01,v\n007,2026-01-01,v\n007,2026-01-02,v\n"}
    loaded = load(workspace, write(tmp_path / "in", **tables), CONTRACTS)
    assert loaded.counts["events"] == 3
    assert any("events: 1 row about customers" in warning for warning in loaded.warnings)


def test_nan_features_are_nothing_and_wide_numbers_stay(workspace, tmp_path):
    table = pa.table(
        {
            "customer_id": ["a", "b"],
            "score": [float("nan"), 1.5],
            "big": pa.array([2**63, 1], pa.uint64()),
            "since": pa.array([0, 86_400_000_000_000], pa.timestamp("ns")),
            "level": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    load(workspace, write(tmp_path / "in", customers=table), CONTRACTS)
    first, second = rows(workspace, "customers")
    assert (first["score"], second["score"]) == (None, 1.5)
    assert first["big"] == 2.0**63
    assert second["since"] == datetime(1970, 1, 2, tzinfo=UTC)
    assert (first["level"], second["level"]) == ("x", "y")


def test_a_column_in_which_nothing_stands_is_a_column_of_nothing(workspace, tmp_path):
    """Writers of Parquet give such a column a type of its own; a cell that must be filled is still asked for."""
    nothing = pa.nulls(1)
    log = {"customer_id": ["a"], "offer_id": ["b"], "decided_at": [MARCH], "outcome": [0], "decision_id": nothing}
    log |= dict.fromkeys(("propensity", "reward", "outcome_at", "p_b"), nothing)
    people = {"customer_id": ["a"], "consent": nothing, "household_id": nothing, "score": nothing}
    tables = {"customers": pa.table(people), "offers": GOOD["offers"], "exposures": pa.table(log)}
    load(workspace, write(tmp_path / "in", **tables), CONTRACTS)
    assert rows(workspace, "customers") == [{**dict.fromkeys(people), "customer_id": "a"}]
    found = rows(workspace, "exposures", "* EXCLUDE (decided_at)")
    assert found == [{**dict.fromkeys(log.keys() - {"decided_at"}), "customer_id": "a", "offer_id": "b", "outcome": 0}]
    with connect(workspace) as connection:
        attach(connection, workspace, current_version(workspace))
        types = dict(connection.execute("SELECT column_name, column_type FROM (DESCRIBE exposures)").fetchall())
    assert (types["propensity"], types["outcome_at"]) == ("DOUBLE", "TIMESTAMP WITH TIME ZONE")
    with pytest.raises(DataError, match="column customer_id: 1 row: the value is empty"):
        load(workspace, write(tmp_path / "bad", customers=pa.table({"customer_id": nothing})), CONTRACTS)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_times_of_any_resolution_and_zone_are_the_same_moment(workspace, tmp_path, unit, zone):
    at = pa.array([int(MARCH.timestamp())], pa.timestamp("s", zone)).cast(pa.timestamp(unit, zone))
    log = pa.table({"customer_id": ["a"], "offer_id": ["b"], "decided_at": at, "outcome": [True]})
    load(workspace, write(tmp_path / "in", offers=GOOD["offers"], exposures=log), CONTRACTS)
    assert rows(workspace, "exposures", "decided_at, outcome") == [{"decided_at": MARCH, "outcome": 1}]


def test_numbers_that_were_read_as_text_are_said(workspace, tmp_path):
    lines = [f'c{i},{i}.5,"1,{i:03d}",red,{i}' for i in range(40)]
    lines[7] = 'c7,unknown,"1,007",4,7'
    people = "\n".join(["customer_id,score,income,colour,age", *lines]) + "\n"
    said = load(workspace, write(tmp_path / "in", customers=people), CONTRACTS).warnings
    assert said == (
        "customers.csv: column score is read as text: 1 row of 40 without a number, e.g. unknown.",
        "customers.csv: column income is read as text: it writes numbers with commas, e.g. 1,000.",
    )


def test_exposures_that_repeat_are_kept_and_said(workspace, tmp_path):
    line = "007,01,2026-03-05,1\n"
    tables = {**GOOD, "exposures": f"{EXPOSURE}\n{line}{line}{line}1,b,2026-03-05,0\n"}
    loaded = load(workspace, write(tmp_path / "in", **tables), CONTRACTS)
    assert loaded.counts["exposures"] == 4
    assert any(w.startswith("exposures: 2 rows with another row's customer") for w in loaded.warnings)
    more = write(tmp_path / "more", exposures=f"{EXPOSURE}\n1,b,2026-03-05,0\n1,b,2026-03-06,0\n")
    assert any("3 rows with another" in w for w in load(workspace, more, CONTRACTS, append=["exposures"]).warnings)


def test_ids_stay_text_and_names_ignore_case(workspace, tmp_path):
    paths = write(tmp_path / "in", customers="Customer_ID,household_id,shop_id\n01,002,003\n")
    load(workspace, paths, CONTRACTS)
    assert rows(workspace, "customers") == [{"customer_id": "01", "household_id": "002", "shop_id": "003"}]


def test_several_rows_per_customer_need_valid_from(workspace, tmp_path):
    dated = "customer_id,valid_from,age\na,2026-01-01,1\na,2026-02-01,2\n"
    assert load(workspace, write(tmp_path / "in", customers=dated), CONTRACTS).counts == {"customers": 2}
    twice = "customer_id,valid_from,age\na,2026-01-01,1\na,2026-01-01,2\n"
    with pytest.raises(DataError, match="more than once"):
        load(workspace, write(tmp_path / "in", customers=twice), CONTRACTS)


def test_logged_chances_are_kept_for_known_offers(workspace, tmp_path):
    log = "customer_id,offer_id,decided_at,outcome,p_01,p_b,p_value\n1,b,2026-03-01,0,0.25,0.5,3\n"
    loaded = load(workspace, write(tmp_path / "in", **{**GOOD, "exposures": log}), CONTRACTS)
    assert rows(workspace, "exposures", "p_01, p_b") == [{"p_01": 0.25, "p_b": 0.5}]
    assert any("p_value" in warning for warning in loaded.warnings)


def test_the_same_content_is_the_same_version_in_any_order_and_format(workspace, tmp_path):
    first = load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS).version
    assert load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS).version == first
    head, *body = GOOD["customers"].splitlines()
    shuffled = "\n".join([head, *reversed(body)]) + "\n"
    assert load(workspace, write(tmp_path / "in", **{**GOOD, "customers": shuffled}), CONTRACTS).version.id == first.id
    other = GOOD["customers"].replace("45", "46")
    assert load(workspace, write(tmp_path / "in", **{**GOOD, "customers": other}), CONTRACTS).version.id != first.id
    assert read_version(workspace, first.id) == first


def test_many_rows_are_written_the_same_way_twice(workspace, tmp_path):
    n = 300_000
    ids = pa.array([f"c{i * 7919 % n}" for i in range(n)])
    table = pa.table({"customer_id": ids, "x": pa.array(range(n)), "y": pa.array([i % 7 for i in range(n)])})
    first = load(workspace, write(tmp_path / "in", customers=table), CONTRACTS).version.id
    turned = table.take(pa.array(range(n - 1, -1, -1)))
    assert load(workspace, write(tmp_path / "in", customers=turned), CONTRACTS).version.id == first


def test_a_load_replaces_only_what_is_given(workspace, tmp_path):
    load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS)
    load(workspace, write(tmp_path / "new", customers="customer_id,age\nz,1\n"), CONTRACTS)
    version = current_version(workspace)
    assert [version.tables[t].rows for t in ("customers", "offers", "exposures")] == [1, 2, 2]


def test_append_adds_rows_and_refuses_them_twice(workspace, tmp_path):
    load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS)
    more = write(tmp_path / "more", exposures=f"{EXPOSURE},decision_id\n2,b,2026-03-05,0,d1\n")
    assert load(workspace, more, CONTRACTS, append=["exposures"]).counts == {"exposures": 3}
    assert len(rows(workspace, "exposures")) == 3
    with pytest.raises(DataError, match="already loaded"):
        load(workspace, more, CONTRACTS, append=["exposures"])
    again = write(tmp_path / "more", exposures=f"{EXPOSURE},decision_id\n1,b,2026-03-06,0,d1\n")
    with pytest.raises(DataError, match=r"already loaded, e\.g\. d1"):
        load(workspace, again, CONTRACTS, append=["exposures"])


def test_append_refuses_another_type(workspace, tmp_path):
    load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS)
    with pytest.raises(DataError, match=r"age.*VARCHAR"):
        load(workspace, write(tmp_path / "more", customers="customer_id,age\nz,old\n"), CONTRACTS, append=["customers"])


def test_a_version_that_is_gone_or_damaged_is_said(workspace, tmp_path):
    version = load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS).version
    with pytest.raises(NotFoundError):
        read_version(workspace, "0" * 16)
    path = workspace.data / "versions" / f"{version.id}.json"
    document = json.loads(path.read_text())
    document["tables"]["customers"]["files"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(document))
    with pytest.raises(WorkspaceError, match="damaged"):
        current_version(workspace)
    path.write_text("{")
    with pytest.raises(WorkspaceError, match="damaged"):
        current_version(workspace)
    (workspace.data / "files" / version.tables["offers"].files[0].name).unlink()
    with connect(workspace) as connection, pytest.raises(WorkspaceError, match="Load offers again"):
        attach(connection, workspace, version)


@pytest.mark.parametrize("lost", ["customers", "offers", "exposures"])
def test_a_table_whose_file_was_lost_can_be_loaded_again(workspace, tmp_path, lost):
    paths = write(tmp_path / "in", **GOOD)
    version = load(workspace, paths, CONTRACTS).version
    (workspace.data / "files" / version.tables[lost].files[0].name).unlink()
    if lost != "customers":  # what needs the lost file says so, and what does not is loaded
        with pytest.raises(WorkspaceError, match=f"Load the whole of {lost} again"):
            load(workspace, {"exposures": paths["exposures"]}, CONTRACTS, append=["exposures"])
    if lost != "offers":
        assert load(workspace, {"events": paths["events"]}, CONTRACTS).counts == {"events": 1}
    assert load(workspace, {lost: paths[lost]}, CONTRACTS).version == version
    assert len(rows(workspace, lost)) == version.tables[lost].rows


def test_a_review_sees_the_new_version_and_can_refuse_it(workspace, tmp_path):
    load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS)
    before = tree(workspace.root)
    seen = []

    def review(connection, version, given):
        seen.append((connection.execute("FROM offers SELECT count(*)").fetchall()[0][0], set(given)))
        seen.append(version.tables["customers"].rows)
        raise DataError("no.")

    new = write(tmp_path / "new", offers="offer_id,margin\nz,1\n")
    with pytest.raises(DataError, match="no"):
        load(workspace, new, CONTRACTS, review=review)
    assert seen == [(1, {"offers"}), 3]
    assert tree(workspace.root) == before
    assert "odd" in load(workspace, new, CONTRACTS, review=lambda *_: ["odd"]).warnings


def test_an_evaluation_target_is_checked_without_loading(workspace, tmp_path):
    paths = write(tmp_path / "in", target="customer_id,offer_id,probability\n1,b,0.5\n1,,0.5\n")
    with connect(workspace) as connection:
        table = read_checked(connection, paths["target"], CONTRACTS["target"], ["b"])
        assert table.to_pylist()[0] == {"customer_id": "1", "offer_id": None, "probability": 0.5}
        for row, what in (("1,b,0.1", "more than once"), ("2,b,1.1", "not in [0, 1]"), ("2,zz,0.1", "not in offers")):
            bad = write(tmp_path / "bad", target=f"customer_id,offer_id,probability\n1,b,0.5\n{row}\n")
            with pytest.raises(DataError) as caught:
                read_checked(connection, bad["target"], CONTRACTS["target"], ["b"])
            assert what in str(caught.value)


CHILD = """
import os, signal, sys
from pathlib import Path
from governance import CONTRACTS
from warehouse import Workspace, load
root, folder, at, signum = sys.argv[1:]
def progress(step):
    if step.startswith(at):
        os.kill(os.getpid(), int(signum))
sources = {p.stem: p for p in Path(folder).iterdir()}
load(Workspace.open(Path(root)), sources, CONTRACTS, progress=progress)
"""


@pytest.mark.parametrize(
    ("at", "signum"),
    [
        ("offers: checking", signal.SIGKILL),
        ("customers: writing", signal.SIGKILL),
        ("publishing", signal.SIGKILL),
        ("customers: writing", signal.SIGINT),
    ],
)
def test_a_load_that_dies_leaves_everything_as_it_was(workspace, tmp_path, at, signum):
    load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS)
    before = tree(workspace.root)
    write(tmp_path / "new", customers="customer_id,age\nz,1\n", offers=GOOD["offers"].replace("5.5", "6.5"))
    command = [sys.executable, "-c", CHILD, str(workspace.root), str(tmp_path / "new"), at, str(int(signum))]

    def listens():  # a job in the background inherits deaf ears for Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    died = subprocess.run(command, capture_output=True, text=True, preexec_fn=listens)
    assert died.returncode == -signum, died.stderr
    assert current_version(workspace).tables["customers"].rows == 3
    if signum == signal.SIGKILL:
        with workspace.lock():
            pass
    assert tree(workspace.root) == before
    assert not (workspace.root / "staging").exists()


def test_files_published_by_a_load_that_died_before_its_version_are_swept(workspace, tmp_path):
    paths = write(tmp_path / "in", **GOOD)
    load(workspace, paths, CONTRACTS)
    before = tree(workspace.root)
    (workspace.data / "files" / "customers-0123456789abcdef.parquet").write_bytes(b"orphan")
    (workspace.data / "versions" / ".x.json.abcd").write_bytes(b"half")
    load(workspace, paths, CONTRACTS)
    assert tree(workspace.root) == before


def test_a_full_disk_is_said_and_leaves_nothing(workspace, tmp_path):
    load(workspace, write(tmp_path / "in", **GOOD), CONTRACTS)
    before = tree(workspace.root)
    n = 100_000
    wide = pa.table({"customer_id": [f"c{i}" for i in range(n)], "x": [os.urandom(8).hex() for _ in range(n)]})
    write(tmp_path / "new", customers=wide)
    limit = 500_000
    died = subprocess.run(
        [sys.executable, "-c", CHILD, str(workspace.root), str(tmp_path / "new"), "never", "0"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert "the disk is full" in died.stderr
    assert tree(workspace.root) == before
    assert not (workspace.root / "staging").exists()
