"""How numbers, progress and errors are written, without any command around them."""

import errno
import json
import math
import re

import numpy as np
import pytest

from allot import DataError
from api import cli, console, tables
from api.cli import app


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1_234_567, "1,234,567"),
        (1234.5, "1,234.50"),
        (12.0, "12"),
        (0.0123456, "0.01235"),
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "no bound"),
        (True, "yes"),
    ],
)
def test_numbers_are_written_in_one_way(value: float | None, written: str) -> None:
    assert console.number(value) == written


def test_json_holds_no_value_that_json_cannot_say(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"a": np.float32(0.5), "b": math.inf, "c": (np.int64(3), math.nan), 4: np.bool_(True), "d": "NaN"}
    console.print_json(document)
    assert json.loads(capsys.readouterr().out) == {"a": 0.5, "b": None, "c": [3, None], "4": True, "d": "NaN"}


def test_an_error_is_where_what_and_remedy_and_its_brackets_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    error = DataError("the value [bold] is odd.", where="a[/].csv", remedy="Mend [it].")
    console.print_error(error, as_json=True)
    seen = capsys.readouterr()
    assert seen.err == "error: a[/].csv: the value [bold] is odd.\n  Mend [it].\n"
    said = {"kind": "DataError", "where": "a[/].csv", "what": "the value [bold] is odd.", "remedy": "Mend [it]."}
    assert json.loads(seen.out) == {"error": said}


def test_progress_that_is_no_terminal_is_one_line_for_each_finished_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as report:
        for done in (0, 400, 1000):
            report("scores", done, 1000)
        report("draw", 0, 1)
        report("draw", 1, 1)
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"scores: \d+\.\d s, [\d,]+ rows/s", lines[0])
    assert re.fullmatch(r"draw: \d+\.\d s", lines[1])
    assert len(lines) == 2


def test_what_was_done_before_makes_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as report:
        report("runs", 27, 27)
    assert re.fullmatch(r"runs: \d+\.\d s\n", capsys.readouterr().err)


def test_a_quiet_run_reports_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(quiet=True) as report:
        report("scores", 1000, 1000)
    assert capsys.readouterr() == ("", "")


def test_a_plan_that_was_not_released_names_the_limits_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    counts = dict.fromkeys(("chosen", "audience", "no_offer", "no_eligible", "held_out"), 0)
    plan = {
        **counts,
        "status": "headroom_too_small",
        "breached": ["[cap]", "budget"],
        "campaign": {"objective": "profit"},
        "planned_value": 0.0,
        "planned_cost": 0.0,
        "offers": [],
        "limits": [],
        "mechanism": "balanced",
        "seconds": {},
        "peak_memory_mb": 1.0,
        "allocation_id": "alloc-1",
        "decisions": "decisions.parquet",
    }
    tables.allocated(plan)
    assert "no draw kept [cap], budget." in capsys.readouterr().out


def test_every_command_and_option_says_what_it_is_for() -> None:
    import typer

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {"init", "load", "train", "allocate", "feedback", "learn", "evaluate", "explain", "report"} <= set(commands)
    for name, command in commands.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None) or parameter.name == "help", f"{name} {parameter.name}"


@pytest.mark.parametrize(
    ("refused", "what", "remedy"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/w/.lock"), "may not be written to", "Ask for the right"),
        (OSError(errno.EROFS, "Read-only file system", "/w/tmp"), "may not be written to", "another folder"),
        (FileExistsError(errno.EEXIST, "File exists", "page"), "a file where a folder is needed", "another folder"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "page/x"), "a file where a folder", "another folder"),
        (OSError(errno.ENOSPC, "No space left on device", "/w/data"), "No space left on device", "Free some space"),
    ],
)
def test_what_the_system_refuses_is_said_with_its_place(
    refused: OSError, what: str, remedy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "app", lambda: (_ for _ in ()).throw(refused))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 7
    said = capsys.readouterr().err
    assert said.startswith(f"error: {refused.filename}: ")
    assert what in said
    assert remedy in said


@pytest.mark.parametrize(
    ("share", "of_bound", "said"),
    [
        (0.02, 0.97, "20 (2.0 %) less than the best fixed plan, 1,000, and 97.0 % of what no plan can exceed"),
        (0.6, 0.35, "600 (60.0 %) less than the best fixed plan, 1,000. So much is lost to chance because"),
        (1.7, -0.6, "1,700 (all of its worth, or more) less than the best fixed plan, 1,000. So much"),
    ],
)
def test_the_cost_of_chance_is_said_as_what_it_is(share: float, of_bound: float, said: str) -> None:
    cost = {"best_fixed_value": 1000.0, "bound": 1001.0, "given_up": 1000 * share, "given_up_share": share}
    told = tables.cost_of_chance({"cost_of_chance": {**cost, "of_bound": of_bound, "sampled": False}})
    assert said in told
    assert "-" not in told
