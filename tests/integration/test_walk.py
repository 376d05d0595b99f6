"""The walk over the service in examples/walk.sh, executed as it stands, on SQLite and on PostgreSQL."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WALK = Path(__file__).parents[2] / "examples" / "walk.sh"
ALLOT = Path(sys.executable).with_name("allot")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_walk_arrives(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here: the walk is made of it")
    told = {k: v for k, v in os.environ.items() if not k.startswith("ALLOT_")} | {"OMP_NUM_THREADS": "1"}
    if database == "postgresql":
        told["ALLOT_DATABASE_URL"] = request.getfixturevalue("postgres")
    folder = tmp_path / "demo"
    subprocess.run([ALLOT, "demo", "--customers", "2000", "--to", folder], env=told, check=True, capture_output=True)
    ran = subprocess.run([WALK, folder], env=told, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    steps = ("a key", "allocate", "its decisions", "decide", "feedback", "learn", "explain", "evaluate")
    told_steps = re.findall(r"^== (.*)$", ran.stdout, re.MULTILINE)
    assert [step for step in steps if not any(line.startswith(step) for line in told_steps)] == []
    assert '"accepted":2' in ran.stdout and '"duplicate":2' in ran.stdout
    assert re.search(r"^posterior-\w+ -> posterior-\w+$", ran.stdout, re.MULTILINE)
    assert re.search(r"^budget=-20%: -?\d.* a decision, (supported|insufficient)$", ran.stdout, re.MULTILINE)
    assert (folder / "workspace" / "allot.db").exists() == (database == "sqlite")
