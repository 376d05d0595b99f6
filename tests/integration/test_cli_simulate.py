"""`allot simulate`: one document, runs that are kept, a report, and refusals in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Commands


def played(allot: Commands, *words: object) -> dict[str, Any]:
    ran = allot("simulate", "nbo", *words, "--output", "json")
    assert ran.code == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def test_policies_are_compared_kept_and_reported(allot: Commands, tmp_path: Path) -> None:
    words = ("--policies", "uniform,lints-log/best-first", "--seeds", "3-4", "--customers", 25, "--to", tmp_path)
    first = played(allot, *words)
    assert {(run["policy"], run["seed"]) for run in first["runs"]} == {
        (policy, seed) for policy in ("uniform", "lints-log/best-first", "oracle") for seed in (3, 4)
    }
    for run in first["runs"]:
        assert set(run) >= {"world", "policy", "seed", "reward", "oracle_reward", "spend", "budget"}
        assert run["world"] == "nbo" and 0 < run["spend"] <= run["budget"] and run["decisions"] == 1_250
    for told in first["summary"].values():
        assert set(told) >= {"oracle_share", "std_error", "worst", "worst_seed", "seeds"}
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert len(kept) == 6
    again = played(allot, *words, "--report")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == kept
    assert (again["runs"], again["summary"]) == (first["runs"], first["summary"])
    assert "<h1>nbo</h1>" in Path(again["html"]).read_text()
    assert all(Path(chart).read_bytes().startswith(b"\x89PNG") for chart in again["charts"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("atlantis",), "nbo-trees"),
        (("nbo", "--policies", "nobody"), "prior-greedy"),
        (("nbo", "--policies", "lints/balanced"), "allot and logistic-ts"),
        (("nbo", "--policies", ""), "prior-greedy"),
        (("nbo", "--seeds", "9-3"), "1000-1009"),
        (("nbo", "--seeds", "1-3", "--write", "somewhere"), "Write 1."),
        (("nbo", "--report"), "--to FOLDER"),
        (("nbo", "--rounds", 1, "--policies", "lints"), "Leave it out"),
        (("nbo-trees", "--rounds", 1), "Leave it out"),
        (("nbo", "--write", "somewhere", "--report"), "--seeds and --customers"),
    ],
)
def test_what_cannot_be_played_is_refused_at_once(allot: Commands, words: tuple[object, ...], told: str) -> None:
    ran = allot("simulate", *words, "--output", "json")
    assert ran.code == 5
    error = json.loads(ran.out)["error"]
    assert told in error["remedy"]
    assert len([line for line in ran.err.splitlines() if line.strip()]) <= 2


def test_the_table_fits_on_eighty_columns(allot: Commands) -> None:
    """Names are folded between learner and allocation, nowhere else."""
    words = ("--policies", "epsilon-greedy/best-first,uniform/first-come", "--seeds", "3-4", "--customers", 30)
    ran = allot("simulate", "nbo-cut", *words)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert all(len(line) <= 80 for line in lines if line[:1] in ("┏", "┃", "┡", "│", "└"))
    cells = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert sorted(cells) == ["/best-first", "epsilon-greedy", "oracle", "uniform"]


@pytest.mark.soak
def test_rounds_go_through_the_engine(allot: Commands) -> None:
    document = played(allot, "--seeds", 3, "--customers", 300, "--rounds", 1)
    assert document["summary"]["rounds"] == 1
    assert [run["policy"] for run in document["runs"]] == ["allot"]
