"""A real service on loopback over a copy of one small trained workspace, and a key for each role.

The house: 400 customers, three offers, 1,500 exposures of January 2026, and one allocation, "spring", of 1 April.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from service_running import Running, serving

from api.service.settings import Settings
from warehouse import Workspace

SETTING = "ALLOT_DATABASE_URL"
START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = datetime(2026, 4, 1, tzinfo=UTC)
OFFERS = (
    "offer_id,name,channel,category,contact_cost,redemption_cost,margin,starts_on,ends_on,eligible_when",
    "family,Family day,post,event,0.8,2,25,2026-01-01,2036-12-31,age < 60",
    "late,Late opening,email,event,0.05,1,12,2026-01-01,2036-12-31,true",
    "pass,Annual pass,email,pass,0.05,10,60,2026-01-01,2036-12-31,",
)
CAMPAIGN = {
    "name": "spring",
    "as_of": "2026-04-01T00:00:00Z",
    "seed": 1,
    "outcome_days": 14,
    "exploration": {"share": 0.2, "holdout": 0.05},
    "limits": [{"name": "budget", "measure": "cost", "maximum": 60.0}],
}


class Copies:
    """The operational databases of copies of one workspace: files that are copied along, or databases of a server."""

    def __init__(self, server: str | None) -> None:
        self.name = "SQLite" if server is None else "PostgreSQL"
        self._server = None if server is None else urlsplit(server)
        self._numbers = count()

    @contextmanager
    def database(self) -> Iterator[None]:
        """A copy of the first database that was made, in the environment for as long as the block lasts."""
        with pytest.MonkeyPatch.context() as patch:
            if self._server is None:
                patch.delenv(SETTING, raising=False)
                yield
                return
            number = next(self._numbers)
            copied = "" if number == 0 else " TEMPLATE service_0"
            with psycopg.connect(self._server.geturl(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE service_{number}{copied}")
            patch.setenv(SETTING, urlunsplit(self._server._replace(path=f"/service_{number}")))
            yield


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def copies(request: pytest.FixtureRequest) -> Copies:
    """Every test of the service on SQLite, and in the long runs also on PostgreSQL."""
    return Copies(request.getfixturevalue("postgres") if request.param == "postgresql" else None)


@pytest.fixture(scope="session")
def trained(copies: Copies, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with data, a model and one released allocation; take a copy."""
    with copies.database():
        return _train(tmp_path_factory)


def _train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from engine.allocate import allocate
    from engine.campaign import read_campaign
    from engine.train import train
    from engine.workspaces import init, load

    files, root = tmp_path_factory.mktemp("service-files"), tmp_path_factory.mktemp("service") / "workspace"
    _write_files(files)
    root.mkdir()
    (root / "workspace.toml").write_text('format = 1\nhouse_key = "0123456789abcdef"\n')  # the same holdout always
    init(root)
    workspace = Workspace.open(root)
    load(workspace, {name: files / f"{name}.csv" for name in ("customers", "offers", "exposures")})
    train(workspace, as_of=NOW, outcome_days=30.0, seed=0)
    allocate(workspace, read_campaign(CAMPAIGN), now=NOW)
    return root


@pytest.fixture
def home(copies: Copies, trained: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the trained workspace, to be used up."""
    with copies.database():
        yield Path(shutil.copytree(trained, tmp_path / "home"))


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Running]]:
    """Starts services over `home`, with settings of their own; they end with the test."""
    running: list[Any] = []

    def start(**settings: Any) -> Running:
        manager = serving(Settings(home=home, port=0, **settings))
        running.append(manager)
        return manager.__enter__()

    yield start
    for manager in reversed(running):
        manager.__exit__(None, None, None)


@pytest.fixture
def service(serve: Callable[..., Running]) -> Running:
    """A service with the settings that are the default."""
    return serve()


def _write_files(files: Path) -> None:
    draw = random.Random(5)
    people = {f"c{i:03}": (draw.randrange(18, 80), draw.choice(["town", "village"])) for i in range(400)}
    rows = [f"{name},{age},{place}" for name, (age, place) in people.items()]
    (files / "customers.csv").write_text("\n".join(["customer_id,age,place", *rows]))
    (files / "offers.csv").write_text("\n".join(OFFERS))
    lines = ["customer_id,offer_id,decided_at,propensity,outcome,reward,outcome_at"]
    for _ in range(1_500):
        name = draw.choice(list(people))
        at = START + timedelta(minutes=draw.randrange(25 * 24 * 60))
        offer = draw.choice(["family", "late", "pass", ""])
        chance = {"family": 0.3 if people[name][1] == "village" else 0.1, "late": 0.2, "pass": 0.08, "": 0.03}[offer]
        success = int(draw.random() < chance)
        back = (at + timedelta(days=2)).isoformat()
        lines.append(f"{name},{offer},{at.isoformat()},0.25,{success},{success * 10},{back}")
    (files / "exposures.csv").write_text("\n".join(lines))
