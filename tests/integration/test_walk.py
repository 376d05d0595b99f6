"""The walk over the service in examples/walk.sh, executed as it stands on a demo, on SQLite and on PostgreSQL."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from warehouse import Workspace, restore

WALK = Path(__file__).parents[2] / "examples" / "walk.sh"
ALLOT = Path(sys.executable).with_name("allot")
SETTING = "ALLOT_DATABASE_URL"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `allot demo` leaves, its rows in SQLite; take a copy."""
    folder = tmp_path_factory.mktemp("walk") / "demo"
    command = [ALLOT, "demo", "--customers", "1000", "--to", folder]
    subprocess.run(command, env=_environment(), check=True, capture_output=True)
    return folder


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("ALLOT_")} | {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_walk_arrives(
    database: str, demo: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here: the walk is made of it")
    folder, told = Path(shutil.copytree(demo, tmp_path / "demo")), _environment()
    if database == "postgresql":
        monkeypatch.setenv(SETTING, request.getfixturevalue("postgres"))
        told[SETTING] = os.environ[SETTING]
        shutil.rmtree(folder / "workspace")
        restore(Workspace.open(demo / "workspace"), folder / "workspace")
    ran = subprocess.run([WALK, folder], env=told, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    steps = ("a key", "allocate", "its decisions", "decide", "feedback", "learn", "explain", "evaluate")
    told_steps = re.findall(r"^== (.*)$", ran.stdout, re.MULTILINE)
    assert [step for step in steps if not any(line.startswith(step) for line in told_steps)] == []
    assert '"accepted":2' in ran.stdout and '"duplicate":2' in ran.stdout
    assert re.search(r"^posterior-\w+ -> posterior-\w+$", ran.stdout, re.MULTILINE)
    assert re.search(r"^budget=-20%: -?\d.* a decision, (supported|insufficient)$", ran.stdout, re.MULTILINE)
    assert (folder / "workspace" / "allot.db").exists() == (database == "sqlite")
