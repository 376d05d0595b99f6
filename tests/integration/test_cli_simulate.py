"""`allot simulate`: one document, runs that are kept, a report, and refusals in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Commands


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """Six days of `nbo`."""
    path = tmp_path / "short.toml"
    path.write_text('name = "short"\ndays = 6\nhistory = 2000\n')
    return path


def played(allot: Commands, *words: object) -> dict[str, Any]:
    ran = allot("simulate", *words, "--output", "json")
    assert ran.code == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def test_policies_are_compared_kept_and_reported(allot: Commands, short: Path, tmp_path: Path) -> None:
    words = (short, "--policies", "uniform,lints-log/best-first", "--seeds", "3-4", "--customers", 25, "--to", tmp_path)
    first = played(allot, *words)
    assert {(run["policy"], run["seed"]) for run in first["runs"]} == {
        (policy, seed) for policy in ("uniform", "lints-log/best-first", "oracle") for seed in (3, 4)
    }
    for run in first["runs"]:
        assert set(run) >= {"world", "policy", "seed", "reward", "oracle_reward", "spend", "budget"}
        assert run["world"] == "short" and 0 < run["spend"] <= run["budget"] and run["decisions"] == 150
    for told in first["summary"].values():
        assert set(told) >= {"oracle_share", "std_error", "worst", "worst_seed", "seeds"}
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert len(kept) == 6
    again = played(allot, *words, "--report")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == kept
    assert (again["runs"], again["summary"]) == (first["runs"], first["summary"])
    assert "<h1>short</h1>" in Path(again["html"]).read_text()
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
        (("atlantis", "--rounds", 1), "nbo-trees"),
        (("nbo", "--write", "somewhere", "--report"), "--seeds and --customers"),
    ],
)
def test_what_cannot_be_played_is_refused_at_once(allot: Commands, words: tuple[object, ...], told: str) -> None:
    ran = allot("simulate", *words, "--output", "json")
    assert ran.code == 5
    error = json.loads(ran.out)["error"]
    assert told in error["remedy"]
    assert len([line for line in ran.err.splitlines() if line.strip()]) <= 2


def test_rounds_go_through_the_engine_in_any_world(allot: Commands, tmp_path: Path) -> None:
    about = tmp_path / "rough.toml"
    about.write_text(
        'name = "rough"\nlike = "nbo-late"\nhistory = 2000\nfatigue = 0.2\n[budget]\nat = 0.1\nto = 0.5\n'
        "[offers]\nretirements = [0.1]\n"
    )
    words = ("simulate", about, "--seeds", 3, "--customers", 300, "--rounds", 2)
    ran = allot(*words, "--output", "json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert [(run["world"], run["policy"], run["round"]) for run in document["runs"]] == [
        ("rough", "allot", 1),
        ("rough", "allot", 2),
    ]
    first, second = document["runs"]
    assert second["budget"] == first["budget"] / 2 and second["spend"] <= second["budget"]
    told = document["summary"]["allot"]
    assert set(told) >= {"oracle_share", "std_error", "worst", "worst_seed", "seeds", "rounds", "gain"}
    assert told["rounds"] == 2 and 0 < told["oracle_share"] < 1
