"""Ctrl-C, kill -9 and a full disk at every stage: the workspace is as before, and the same command then works.

The blow falls exactly at a stage's begin or end, or beside a call that publishes something. "Works" means more than
exit code 0: afterwards the workspace is what one undisturbed run makes of it, file by file and row by row.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CAMPAIGN, Commands, House, Ran, snapshot, timeless

FULL_DISK = 4096  # bytes that a file may have from then on
INTERRUPTED = "interrupted: nothing half-done was kept; run the same command again"
BLOWS = {
    "load": (
        "check and publish:begin",
        "warehouse.loading:_write:before",
        "warehouse.loading:publish:after",
        "warehouse.versions:write_atomically:after",
    ),
    "train": (
        "log:begin",
        "features:end",
        "prior:begin",
        "governance.artifacts:_sync:before",
        "engine.train:save_foundation:after",
    ),
    "allocate": (
        "candidates:begin",
        "scores:end",
        "prices:begin",
        "draw:end",
        "engine.allocate:publish:before",
        "engine.allocate:publish:after",
        "warehouse.store:Store.put_allocation:after",
    ),
    "learn": ("log:end", "fold:begin", "warehouse.store:Store.put_checkpoint:after"),
    "evaluate": ("log:begin", "reward model:begin"),
    "report": ("value against budget:begin", "evaluation:begin", "page:begin"),
}
EVERY_BLOW = [(command, at) for command, places in BLOWS.items() for at in places]
CHANGING = [(command, at) for command, at in EVERY_BLOW if command in ("load", "train", "allocate", "learn")]
IN_PUBLICATION = (
    "warehouse.loading:publish:after",
    "engine.train:save_foundation:after",
    "engine.allocate:publish:after",
    "warehouse.store:Store.put_checkpoint:after",
)
"""Where most is half-done: files have their names, the database does not know them yet."""


def soaked(blows: list[tuple[str, str]], *quick: str) -> list[Any]:
    """Blows as parameters; all but those at the quick places wait for the long run."""
    return [pytest.param(*b, marks=() if b[1] in quick else pytest.mark.soak) for b in blows]


@pytest.fixture(scope="module")
def requests(house: House) -> dict[str, tuple[object, ...]]:
    """A request for each command that changes something of the house."""
    lines = (house.files / "exposures.csv").read_text().splitlines()
    fewer, campaign = house.files / "fewer.csv", house.files / "interrupted.toml"
    fewer.write_text("\n".join(lines[:2500]) + "\n")
    campaign.write_text(CAMPAIGN + '[[limits]]\nname = "cap"\nmeasure = "count"\nmaximum = 300\n')
    return {
        "load": ("load", "--exposures", fewer),
        "train": ("train", "--as-of", "2026-04-01", "--seed", 3, "--force"),
        "allocate": ("allocate", campaign),
        "learn": ("learn", "--as-of", "2026-06-01"),
        "evaluate": ("evaluate", "--as-of", "2026-06-01"),
        "report": ("report",),
    }


@pytest.fixture(scope="module")
def undisturbed(
    house: House, allot: Commands, requests: dict[str, tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Any]]:
    """What one run of a command makes of the house when nothing happens to it."""
    made: dict[str, dict[str, Any]] = {}

    def run(command: str) -> dict[str, Any]:
        if command not in made:
            workspace = tmp_path_factory.mktemp("undisturbed") / "workspace"
            shutil.copytree(house.workspace, workspace)
            assert allot(*requests[command], "--workspace", workspace).code == 0
            made[command] = timeless(snapshot(workspace))
        return made[command]

    return run


STOPPED = (*IN_PUBLICATION, "check and publish:begin", "prior:begin", "prices:begin", "fold:begin", "log:begin")


@pytest.mark.parametrize(("command", "at"), soaked(EVERY_BLOW, *STOPPED, "reward model:begin", "page:begin"))
def test_ctrl_c_leaves_the_workspace_as_it_was_and_the_command_can_be_run_again(
    allot: Commands,
    workspace: Path,
    requests: dict[str, tuple[object, ...]],
    undisturbed: Callable[[str], dict[str, Any]],
    command: str,
    at: str,
) -> None:
    before = snapshot(workspace)
    ran = allot(*requests[command], "--workspace", workspace, blow="SIGINT", at=at)
    assert (ran.code, ran.err.splitlines()[-1]) == (130, INTERRUPTED), ran.err
    assert "Traceback" not in ran.err
    assert snapshot(workspace) == before
    assert litter(workspace) == []
    if at in IN_PUBLICATION:
        again(allot, requests[command], workspace, undisturbed(command))


KILLED = (*IN_PUBLICATION, "warehouse.loading:_write:before", "governance.artifacts:_sync:before", "draw:end")


@pytest.mark.parametrize(("command", "at"), soaked(CHANGING, *KILLED))
def test_kill_leaves_the_workspace_readable_and_what_it_left_is_swept_by_the_next_command(
    allot: Commands,
    workspace: Path,
    requests: dict[str, tuple[object, ...]],
    undisturbed: Callable[[str], dict[str, Any]],
    command: str,
    at: str,
) -> None:
    before = snapshot(workspace)
    ran = allot(*requests[command], "--workspace", workspace, blow="SIGKILL", at=at)
    assert ran.code == -signal.SIGKILL
    after = snapshot(workspace)
    assert (after["version"], after["rows"]) == (before["version"], before["rows"])
    assert before["files"].items() <= after["files"].items()
    again(allot, requests[command], workspace, undisturbed(command))


LATE_ENOUGH = ("warehouse.loading:publish:after", "warehouse.versions:write_atomically:after")
FULL = [blow for blow in CHANGING if blow[1] not in LATE_ENOUGH]
SOON_FULL = (*IN_PUBLICATION, "check and publish:begin", "prior:begin", "draw:end")


@pytest.mark.parametrize(("command", "at"), soaked(FULL, *SOON_FULL))
def test_a_full_disk_is_said_in_words_and_leaves_the_workspace_as_it_was(
    allot: Commands,
    workspace: Path,
    requests: dict[str, tuple[object, ...]],
    undisturbed: Callable[[str], dict[str, Any]],
    command: str,
    at: str,
) -> None:
    before = snapshot(workspace)
    ran = allot(*requests[command], "--workspace", workspace, blow=FULL_DISK, at=at)
    ran.refused(7, "disk is full", "nothing was changed", "Free some space", str(workspace))
    assert snapshot(workspace) == before
    assert litter(workspace) == []
    if at in IN_PUBLICATION:
        again(allot, requests[command], workspace, undisturbed(command))


@pytest.mark.parametrize(
    ("room", "place"), [(300, LATE_ENOUGH[0]), pytest.param(20, LATE_ENOUGH[1], marks=pytest.mark.soak)]
)
def test_a_disk_that_fills_between_the_files_of_a_load_takes_the_published_ones_back(
    allot: Commands, workspace: Path, requests: dict[str, tuple[object, ...]], room: int, place: str
) -> None:
    """With 20 bytes left, what the command says is lost as well: its stderr is a file on the full disk."""
    before = snapshot(workspace)
    ran = allot(*requests["load"], "--workspace", workspace, blow=room, at=place)
    assert ran.code != 0
    assert room < 300 or (ran.code, "the disk is full; nothing was changed" in ran.err) == (7, True)
    assert snapshot(workspace) == before
    assert litter(workspace) == []


def test_a_report_that_finds_the_disk_full_leaves_no_page(
    allot: Commands, workspace: Path, requests: dict[str, tuple[object, ...]]
) -> None:
    before = snapshot(workspace)
    ran = allot(*requests["report"], "--workspace", workspace, blow=FULL_DISK, at="page:begin")
    ran.refused(7, "File too large", "Free some space")
    assert snapshot(workspace) == before


def again(allot: Commands, request: tuple[object, ...], workspace: Path, expected: dict[str, Any]) -> Ran:
    """The same command now succeeds, and makes what it would have made."""
    ran = allot(*request, "--workspace", workspace)
    assert ran.code == 0, ran.err
    assert timeless(snapshot(workspace)) == expected
    assert litter(workspace) == []
    return ran


def litter(workspace: Path) -> list[str]:
    """Folders of unfinished work."""
    return [str(p) for p in (*workspace.glob("staging/*"), *workspace.glob("tmp/*"), *workspace.glob("models/.*"))]


def listens() -> None:
    """As from a terminal: a job in the background inherits deaf ears for Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_from_a_terminal_ends_a_training_in_the_middle(house: House, tmp_path: Path) -> None:
    """The installed command itself, and a signal from outside, sent when the first stage is reported."""
    for attempt in range(5):  # a machine that sleeps at the wrong moment may let the training end first
        workspace = Path(shutil.copytree(house.workspace, tmp_path / str(attempt)))
        before = snapshot(workspace)
        process = subprocess.Popen(
            [Path(sys.executable).with_name("allot"), "train", "--as-of", "2026-04-01", "--workspace", workspace],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=listens,
        )
        assert process.stderr is not None
        assert process.stderr.readline().startswith("log: ")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        if not out:
            break
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == INTERRUPTED
    assert "Traceback" not in err
    assert snapshot(workspace) == before


def test_ctrl_c_in_the_middle_of_a_query_is_ctrl_c(workspace: Path) -> None:
    """DuckDB makes a RuntimeError of it, at the latest when the part of the query that runs has ended."""
    from warehouse import Workspace, connect

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    usual = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), connect(Workspace.open(workspace)) as connection:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            connection.execute("SELECT sum(hash(range)) FROM range(80000000)").fetchall()
            pytest.fail("the query ended before the signal came")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)
    with pytest.raises(KeyboardInterrupt), connect(Workspace.open(workspace)):
        raise RuntimeError("Query interrupted")
    with pytest.raises(RuntimeError, match="something else"), connect(Workspace.open(workspace)):
        raise RuntimeError("something else")
    assert litter(workspace) == []
