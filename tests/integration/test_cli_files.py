"""Files as they come out of other programs, and workspaces in odd places: all of them mean what they look like."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import Commands, House, snapshot

Rewrite = Callable[[list[list[str]]], bytes]


def written(rows: list[list[str]], **dialect: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue().encode()


def all_quoted(rows: list[list[str]]) -> bytes:
    return "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows).encode()


def gzipped(rows: list[list[str]]) -> bytes:
    import gzip

    return gzip.compress(written(rows))


def shouted(rows: list[list[str]]) -> bytes:
    return written([[cell.upper() for cell in rows[0]], *rows[1:]])


SPELLINGS: dict[str, Rewrite] = {
    "semicolons": lambda rows: written(rows, delimiter=";"),
    "tabs": lambda rows: written(rows, delimiter="\t"),
    "byte order mark": lambda rows: b"\xef\xbb\xbf" + written(rows),
    "quotes": all_quoted,
    "unix lines": lambda rows: written(rows, lineterminator="\n"),
    "empty lines at the end": lambda rows: written(rows) + b"\r\n\r\n",
    "other order": lambda rows: written([rows[0], *reversed(rows[1:])]),
    "upper case names": shouted,
    "gzip": gzipped,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_same_table_in_another_spelling_is_the_same_data(
    allot: Commands, house: House, workspace: Path, tmp_path: Path, spelling: str
) -> None:
    """Loading it again changes nothing: the data version is a fingerprint of contents."""
    rows = list(csv.reader((house.files / "offers.csv").read_text().splitlines()))
    path = tmp_path / ("offers.csv.gz" if spelling == "gzip" else "offers.csv")
    path.write_bytes(SPELLINGS[spelling](rows))
    before = snapshot(workspace)
    ran = allot("load", "--offers", path, "--workspace", workspace)
    assert ran.code == 0, ran.err
    assert snapshot(workspace) == before


def test_cells_keep_their_commas_quotes_zeros_and_hashes(allot: Commands, tmp_path: Path) -> None:
    here = ("--workspace", tmp_path / "new")
    rows = [["customer_id", "town"], ["007", 'north, "old" part'], ["#8", "it's"], ["9", "söuth; ünder"]]
    (tmp_path / "customers.csv").write_bytes(written(rows))
    assert allot("init", *here).code == 0
    assert allot("load", "--customers", tmp_path / "customers.csv", *here).code == 0
    table = pq.read_table(next((tmp_path / "new/data/files").glob("customers-*")))
    assert sorted(zip(*table.to_pydict().values(), strict=True)) == sorted(map(tuple, rows[1:]))


def test_offers_need_no_more_than_id_and_margin(allot: Commands, house: House, tmp_path: Path) -> None:
    here = ("--workspace", tmp_path / "new")
    (tmp_path / "offers.csv").write_text("offer_id,margin\nfamily,25\nlate,12\npass,60\ntour,8\n")
    (tmp_path / "plain.toml").write_text('name = "plain"\nas_of = 2026-04-20T00:00:00Z\n')
    assert allot("init", *here).code == 0
    rest = [f"--{name}={house.files / name}.csv" for name in ("customers", "exposures")]
    assert allot("load", "--offers", tmp_path / "offers.csv", *rest, *here).code == 0
    assert allot("train", "--as-of", "2026-04-01", *here).code == 0
    plan = allot("allocate", tmp_path / "plain.toml", "--output", "json", *here).document
    assert plan["planned_cost"] == 0.0
    assert plan["chosen"] > 0
    assert [offer["name"] for offer in plan["offers"]] == ["family", "late", "pass", "tour"]


def test_a_second_init_finds_the_workspace_and_keeps_everything(allot: Commands, workspace: Path) -> None:
    before = snapshot(workspace)
    ran = allot("init", "--workspace", workspace)
    assert (ran.code, ran.out.splitlines()[0]) == (0, f"Found the workspace {workspace}.")
    assert snapshot(workspace) == before


def test_a_workspace_may_lie_under_spaces_quotes_and_other_alphabets(
    allot: Commands, house: House, tmp_path: Path
) -> None:
    place = tmp_path / "Möbel & Söhne" / "it's [new] 100%" / "客户"
    here = ("--workspace", place)
    made = allot("init", *here)
    assert (made.code, made.out.splitlines()[0]) == (0, f"Made the workspace {place}.")
    three = [f"--{name}={house.files / name}.csv" for name in ("customers", "offers", "exposures")]
    assert allot("load", *three, *here).code == 0
    assert allot("train", "--as-of", "2026-04-01", *here).code == 0
    plan = allot("allocate", house.files / "first.toml", *here)
    assert plan.code == 0, plan.err
    assert str(next(place.glob("decisions/*/decisions.parquet"))) in plan.out
    assert allot("explain", "c0001", *here).code == 0


def test_customers_of_any_name_are_found_again(
    allot: Commands, workspace: Path, campaign: Callable[..., Path], changed_table: Callable[..., Path]
) -> None:
    names = ["O'Brien; DROP TABLE", "ключ", '"quoted"', " leading blank", "a,b"]

    def rename(rows: list[dict[str, str]]) -> None:
        for row, name in zip(rows, names, strict=False):
            row["customer_id"] = name

    here = ("--workspace", workspace)
    assert allot("load", "--customers", changed_table("customers", rename), *here).code == 0
    assert allot("allocate", campaign(), *here).code == 0
    for name in names:
        assert allot("explain", name, "--output", "json", *here).document["customer_id"] == name
