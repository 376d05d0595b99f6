"""A CSV file that cannot be read is named with its line, what is wrong there and what to do."""

import gzip

import pytest

from allot import DataError
from governance import CONTRACTS
from warehouse import Workspace, connect
from warehouse.sources import read_source

HEAD = "customer_id,town,age\n"
GOOD = "c1,inner,30\n"


@pytest.fixture
def refused(tmp_path):
    """Reads a file of customers that must be refused; gives where, what and remedy."""
    workspace = Workspace.init(tmp_path / "home")

    def read(content, name="people.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        with connect(workspace) as connection, pytest.raises(DataError) as told:
            read_source(connection, path, CONTRACTS["customers"], None, tmp_path)
        return told.value.where, told.value.what, told.value.remedy

    return read


@pytest.mark.parametrize("before", [1, 30_000], ids=["early", "late"])
@pytest.mark.parametrize("name", ["people.csv", "people.csv.gz", "PEOPLE.CSV"])
def test_uneven_lines_are_named(refused, before, name):
    where = f"{name}, line {before + 2:,}"
    found = refused((HEAD + GOOD * before + "c2,outer,31,extra\n" + GOOD).encode(), name)
    assert found[:2] == (where, "has 4 cells where the header has 3: c2,outer,31,extra.")
    assert "double quotes" in found[2]
    found = refused((HEAD + GOOD * before + "c2\n" + GOOD).encode(), name)
    assert found[:2] == (where, "has 1 cell where the header has 3: c2.")
    assert "Add the missing cells" in found[2]


@pytest.mark.parametrize("before", [1, 30_000], ids=["early", "late"])
@pytest.mark.parametrize("name", ["people.csv", "people.csv.gz"])
def test_the_line_in_another_encoding_is_shown_as_it_was_meant(refused, before, name):
    content = (HEAD + GOOD * before).encode() + "c2,Zürich,31\n".encode("cp1252") + GOOD.encode()
    where, what, remedy = refused(content, name)
    assert (where, what) == (f"{name}, line {before + 2:,}", "is not UTF-8: c2,Zürich,31.")
    assert "UTF-8" in remedy


def test_an_open_quote_is_named(refused):
    where, what, remedy = refused(f'{HEAD}{GOOD}c2,"outer,31\n'.encode())
    assert (where, what) == ("people.csv, line 3", 'has a quote that is not closed: c2,"outer,31.')
    assert "Close it" in remedy


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (f"{HEAD}{GOOD}".encode("utf-16"), "is UTF-16, not UTF-8."),
        (f"{HEAD}{GOOD}".encode("utf-16-le"), "zero bytes, as UTF-16"),
        (b"PAR1" + bytes(20), "is a Parquet file."),
        (b"PK\x03\x04" + bytes(20), "is a spreadsheet or an archive"),
    ],
)
def test_what_is_no_csv_is_called_what_it_is(refused, content, what):
    assert what in refused(content)[1]


def test_a_column_that_is_named_twice_is_not_guessed_at(refused):
    where, what, _ = refused(b"customer_id;age; AGE\nc1;30;31\n")
    assert (where, what) == ("people.csv, line 1", "the header names column 'age' more than once.")


def test_columns_without_a_name_are_not_the_same_column(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("customer_id,age,,\nc1,30,,\n")
    with connect(Workspace.init(tmp_path / "home")) as connection:
        assert {"customer_id", "age"} <= read_source(connection, path, CONTRACTS["customers"], None).columns.keys()
