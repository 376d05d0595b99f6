import secrets
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from engine_workspace import SECOND, build

from warehouse import Workspace
from warehouse.backups import restore
from warehouse.database import SETTING


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Never to be changed; tests take copies."""
    return build(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session")
def decided(trained, tmp_path_factory):
    """With two allocations of which nothing has been heard; never to be changed."""
    lab = trained.copy(tmp_path_factory.mktemp("decided"))
    plans = (lab.allocate(0), lab.allocate(SECOND))
    return lab, plans


@pytest.fixture(scope="session")
def heard(decided, tmp_path_factory):
    """Two allocations of the same customers with all their outcomes, not yet learnt from; never to be changed."""
    lab, plans = decided
    lab = lab.copy(tmp_path_factory.mktemp("heard"))
    for plan, day in zip(plans, (0, SECOND), strict=True):
        lab.feed(lab.answers(plan, day), day + 4)
    return lab, plans


@pytest.fixture
def lab(trained, tmp_path):
    """A workspace of one's own, trained."""
    return trained.copy(tmp_path)


@pytest.fixture
def copies(decided, tmp_path_factory):
    """Makes workspaces of one's own with two allocations."""
    lab, _ = decided
    return lambda: lab.copy(tmp_path_factory.mktemp("copy"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def kept_in(request, monkeypatch):
    """Copies a workspace into a folder, its rows in one of the databases; on PostgreSQL in long runs only, unless a
    test says otherwise by `engine_singles.ON_BOTH`."""
    if request.param == "sqlite":
        monkeypatch.delenv(SETTING, raising=False)
        return lambda lab, folder: lab.copy(folder)
    server, name = urlsplit(request.getfixturevalue("postgres")), f"engine_{secrets.token_hex(8)}"
    with psycopg.connect(server.geturl(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")

    def copied(lab, folder: Path):
        monkeypatch.setenv(SETTING, urlunsplit(server._replace(path=f"/{name}")))
        restore(lab.workspace, folder / "workspace")
        return replace(lab, workspace=Workspace.open(folder / "workspace"))

    return copied
