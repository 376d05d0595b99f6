"""One small trained workspace for the whole folder, and `allot` commands as processes of their own.

The house: 600 customers of a town, four offers, 3,000 exposures of January 2026; one allocation, "first", of 1
April, and feedback on each of its decisions that nobody has learnt from yet. Tests get a copy.
"""

import csv
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

SERVER = Path(__file__).with_name("cli_server.py")
START = datetime(2026, 1, 5, tzinfo=UTC)
OFFERS = (
    "offer_id,name,channel,category,contact_cost,redemption_cost,margin,starts_on,ends_on,eligible_when",
    "family,Family day,post,event,0.8,2,25,2026-01-01,2026-12-31,age < 60",
    'late,"Late opening, with music",email,event,0.05,1,12,2026-01-01,2026-12-31,true',
    "pass,Annual pass,email,pass,0.05,10,60,2026-01-01,2026-12-31,",
    "tour,Guided tour,sms,event,0.1,0,8,,,",
)
CAMPAIGN = 'name = "spring"\nas_of = 2026-04-20T00:00:00Z\nseed = 1\noutcome_days = 14\n'


@dataclass(frozen=True)
class Ran:
    """How a command ended: exit code (minus the signal's number where one killed it) and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Everything on stdout as the one JSON document that it must be."""
        return json.loads(self.out)

    def refused(self, code: int, *parts: str) -> None:
        """Assert a refusal in words: the exit code, every part in what was said, a remedy, and no traceback."""
        assert self.code == code, self.err[-2000:]
        assert "Traceback" not in self.err
        found = re.search(r"^error: (?P<what>.+?)\n  (?P<remedy>\S.+)\Z", self.err.strip(), re.MULTILINE | re.DOTALL)
        assert found is not None, f"no error with a remedy in {self.err!r}"
        for part in parts:
            assert part in found[0], f"{part!r} is not in {found[0]!r}"


class Commands:
    """Runs `allot` commands, each in its own process; see cli_server for `blow` and `at`."""

    def __init__(self, folder: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "ALLOT_HOME"} | {"OMP_NUM_THREADS": "1"}
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**environment, "COLUMNS": "200"},
        )

    def __call__(self, *argv: object, blow: str | int | None = None, at: str | None = None) -> Ran:
        out, err = self._folder / "out", self._folder / "err"
        request = {"argv": [str(a) for a in argv], "out": str(out), "err": str(err), "blow": blow, "at": at}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())["code"]
        return Ran(code, out.read_text(), err.read_text())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class House:
    """Files that a user would bring, and a workspace that was made from them."""

    files: Path
    workspace: Path

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of one of the files."""
        with (self.files / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def allot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    commands = Commands(tmp_path_factory.mktemp("commands"))
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, allot: Commands) -> House:
    files, workspace = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("house") / "workspace"
    _write_files(files)
    here = ("--workspace", workspace)
    assert allot("init", *here).code == 0
    (workspace / "workspace.toml").write_text('format = 1\nhouse_key = "0123456789abcdef"\n')  # the same holdout always
    three = [f"--{name}={files / name}.csv" for name in ("customers", "offers", "exposures")]
    assert allot("load", *three, *here).code == 0
    assert allot("train", "--as-of", "2026-04-01", *here).code == 0
    first = files / "first.toml"
    first.write_text(
        CAMPAIGN.replace("spring", "first").replace("04-20", "04-01") + "[exploration]\nshare = 0.2\nholdout = 0.05\n"
    )
    allocated = allot("allocate", first, "--output", "json", *here)
    assert allocated.code == 0, allocated.err
    (files / "feedback.ndjson").write_text("\n".join(_outcomes(Path(allocated.document["decisions"]))))
    assert allot("feedback", files / "feedback.ndjson", *here).code == 0
    return House(files, workspace)


@pytest.fixture
def workspace(house: House, tmp_path: Path) -> Path:
    """A copy of the house's workspace, to be spoilt."""
    return Path(shutil.copytree(house.workspace, tmp_path / "workspace"))


@pytest.fixture
def campaign(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a campaign document: the common head and the lines given."""

    def write(lines: str = "", head: str = CAMPAIGN) -> Path:
        path = tmp_path / "spring.toml"
        path.write_text(head + lines)
        return path

    return write


@pytest.fixture
def changed_table(house: House, tmp_path: Path) -> Callable[..., Path]:
    """Writes one of the house's files anew, after a change to its rows."""

    def write(table: str, change: Callable[[list[dict[str, str]]], Any]) -> Path:
        rows = house.table(table)
        change(rows)
        path = tmp_path / f"{table}.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


def snapshot(workspace: Path) -> dict[str, Any]:
    """Everything that a workspace holds: each file's fingerprint, the data version, every row of every table."""
    files = {
        str(path.relative_to(workspace)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and not path.name.startswith("allot.db")
    }
    connection = sqlite3.connect(workspace / "allot.db")
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    rows = {name: _rows(connection, name) for name in names}
    connection.close()
    version = json.loads((workspace / "data/current.json").read_text())["id"]
    return {"files": files, "version": version, "rows": rows}


CLOCKS = ("at", "created_at", "asked_at", "approved_at", "released_at")


def timeless(state: dict[str, Any]) -> dict[str, Any]:
    """A snapshot without what tells one run from another: clock times and seconds."""
    rows = {
        table: [{k: _without_seconds(v) for k, v in row.items() if k not in CLOCKS} for row in found]
        for table, found in state["rows"].items()
    }
    return {**state, "rows": rows}


def _rows(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    found = connection.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _without_seconds(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    return {k: v for k, v in json.loads(value).items() if k not in ("seconds", "peak_memory_mb")}


def _write_files(folder: Path) -> None:
    draw = random.Random(4)
    people = {f"c{i:04d}": (draw.choice(("inner", "outer", "away")), draw.randint(18, 85)) for i in range(600)}
    customers = [f"{i},{town},{age},{str(draw.random() > 0.03).lower()}" for i, (town, age) in people.items()]
    exposures = []
    for _ in range(3000):
        customer = draw.choice(sorted(people))
        offer, success = draw.choice([("family", 25), ("late", 12), ("pass", 60), ("tour", 8), ("", 10)])
        town, age = people[customer]
        chance = {
            "family": 0.05 + 0.12 * (age < 45),
            "late": 0.05 + 0.15 * (town == "inner"),
            "pass": 0.08,
            "tour": 0.1,
        }
        at, won = START + timedelta(minutes=draw.randint(0, 43_200)), draw.random() < chance.get(offer, 0.02)
        due = (at + timedelta(days=2)).isoformat() if won else ""
        exposures.append(f"{customer},{offer},{at.isoformat()},0.2,{int(won)},{success * won},{due}")
    tables = {
        "customers": ["customer_id,town,age,consent", *customers],
        "offers": list(OFFERS),
        "exposures": ["customer_id,offer_id,decided_at,propensity,outcome,reward,outcome_at", *exposures],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


def _outcomes(decisions: Path) -> list[str]:
    draw = random.Random(5)
    out = []
    for i, decision in enumerate(pq.read_table(decisions, columns=["decision_id"])["decision_id"].to_pylist()):
        won = draw.random() < 0.2
        row = {"event_id": f"e{i}", "decision_id": decision, "outcome": int(won), "reward": 12.0 * won}
        out.append(json.dumps({**row, "occurred_at": "2026-04-05T00:00:00Z"}))
    return out
