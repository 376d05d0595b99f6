"""One customer now, over HTTP: durable, repeated, refused, explained, and answered whatever is missing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from whole_home import everything

from engine.budgets import account_of
from engine.campaign import read_campaign
from engine.serving.releases import Releases
from warehouse import Ledger, Workspace, open_store


def fund(home, micros, limit="budget"):
    """Open the account that single decisions draw on."""
    with open_store(Workspace.open(home)) as store:
        ledger = Ledger(store, worker="test", clock=lambda: datetime.now(UTC))
        ledger.open(account(store), {limit: micros})


def account(store):
    return account_of(read_campaign(store.latest_allocation().summary["document"]))


@pytest.fixture
def funded(home, serve):
    fund(home, 50_000_000)
    return serve()


def ask(client, **said):
    return client.post("/v1/decisions", json={"campaign": "spring", **said})


def everybody(client, count=120, **said):
    return [ask(client, customer_id=f"c{i:03}", decision_id=f"d{i}", **said).json() for i in range(count)]


def test_a_decision_is_answered_with_everything_that_it_came_from(funded):
    client = funded.client("ingest")
    said = everybody(client)
    assert {d["mode"] for d in said} == {"normal"}
    chosen = [d for d in said if d["offer_id"] is not None]
    assert chosen
    for d in chosen:
        assert 0 < d["propensity"] <= 1
        assert d["expected_value"]["sd"] > 0
        assert d["cost"] > 0
        assert d["versions"]["posterior"].startswith("posterior-")
        assert d["price_version"]
    assert {d["status"] for d in said} >= {"chosen", "no_offer"}


def test_a_decision_is_timed_by_stage_and_named_in_the_log(funded, capsys):
    told = everybody(funded.client("ingest"))
    registry = funded.app.state.service.metrics.registry
    assert registry.get_sample_value("allot_stage_seconds_count", {"stage": "decide"}) >= len(told)
    log = "".join(capsys.readouterr())
    assert all(one["decision_id"] in log for one in told[:-1])  # the last line may be written after its answer


def test_a_decision_is_kept_and_answered_again_and_its_id_is_taken(funded):
    client = funded.client()
    first = ask(client, customer_id="c001", decision_id="once")
    again = ask(client, customer_id="c001", decision_id="once")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json() == client.get("/v1/decisions/once").json()
    other = ask(client, customer_id="c002", decision_id="once")
    assert other.status_code == 409
    assert client.get("/v1/decisions/never").status_code == 404
    named = ask(client, customer_id="c001").json()["decision_id"]
    assert client.get(f"/v1/decisions/{named}").json()["customer_id"] == "c001"


def test_the_ledger_says_what_decisions_hold_and_is_never_overdrawn(home, serve):
    fund(home, 12_000_000)
    service = serve()
    client = service.client()
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda i: ask(client, customer_id=f"c{i:03}", decision_id=f"d{i}").json(), range(120)))
    with open_store(Workspace.open(home)) as store:
        ledger = Ledger(store, worker="look", clock=lambda: datetime.now(UTC))
        (balance,) = ledger.balances(account(store))
        assert all(count.right for count in ledger.recount(account(store)))
        assert balance.held + balance.spent <= balance.cap
    most = {"family": 2_800_000, "late": 1_050_000, "pass": 10_050_000}
    taken = sum(most[d["offer_id"]] for d in said if d["offer_id"] is not None)
    assert 0 < taken <= 12_000_000


def test_what_is_left_of_a_budget_is_told_to_whoever_may_read(funded):
    taken = [d["offer_id"] is not None for d in everybody(funded.client(), 40)]
    answer = funded.client("analyst").get("/v1/campaigns/spring/budget")
    (limit,) = answer.json()["limits"]
    assert any(taken)
    assert limit["held"] > 0
    assert limit["cap"] == pytest.approx(limit["spent"] + limit["held"] + limit["left"])
    assert (limit["unfunded"], limit["frozen"]) == (0.0, False)
    assert funded.client("ingest").get("/v1/campaigns/spring/budget").status_code == 403
    assert funded.client("analyst").get("/v1/campaigns/autumn/budget").status_code == 404


def test_without_an_account_only_what_costs_nothing_can_be_had(service):
    client = service.client()
    said = everybody(client, 20)
    assert all(d["offer_id"] is None for d in said)
    one = next(d for d in said if d["status"] == "no_eligible")
    why = client.get(f"/v1/decisions/{one['decision_id']}/why").json()
    assert all("budget" in offer["rules"] for offer in why["offers"])


def test_why_names_all_rules_and_takes_the_chosen_score_apart(funded):
    client = funded.client()
    said = everybody(client)
    chosen = next(d for d in said if d["offer_id"] is not None)
    why = client.get(f"/v1/decisions/{chosen['decision_id']}/why").json()
    offers = {offer["offer_id"]: offer for offer in why["offers"]}
    assert set(offers) == {"family", "late", "pass"}
    assert why["without_reasons"] == ""
    assert sum(row["worth"] for row in why["reasons"]) == pytest.approx(why["score"], abs=1e-4)
    total = sum(offer["probability"] for offer in offers.values()) + why["no_offer"]["probability"]
    assert total == pytest.approx(1.0, abs=1e-5)
    assert offers[chosen["offer_id"]]["probability"] == chosen["propensity"]
    assert any("eligible_when" in offer["rules"] for d in said[:40] for offer in _why(client, d)["offers"])


def _why(client, decision):
    return client.get(f"/v1/decisions/{decision['decision_id']}/why").json()


def test_explaining_writes_nothing(funded):
    client = funded.client()
    said = everybody(client, 10)
    before = everything(funded.home)
    for d in said:
        assert client.get(f"/v1/decisions/{d['decision_id']}/why").status_code == 200
    assert everything(funded.home) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"campaign": "spring"}, 422),
        ({"campaign": "spring", "customer_id": 7}, 422),
        ({"campaign": "spring", "customer_id": "c001", "more": 1}, 422),
        ({"campaign": "spring", "customer_id": "c" * 1_000_000}, 400),
        ({"campaign": "spring", "customer_id": "nobody"}, 404),
        ({"campaign": "autumn", "customer_id": "c001"}, 404),
        ({"campaign": "spring", "customer_id": "c001", "decision_id": "alloc-1-2"}, 422),
        ({"campaign": "spring", "customer_id": "c001", "decision_id": "visit/8842"}, 422),
        ({"campaign": "spring", "customer_id": "c001", "decision_id": "visit\u200b8842"}, 422),
        ({"campaign": "spring", "customer_id": "c001", "features": {"age": "old"}}, 422),
        ({"campaign": "spring", "customer_id": "c001", "features": {"shoe": 43}}, 422),
        ({"campaign": "spring", "customer_id": "c001", "features": {"age": True}}, 422),
        ({"campaign": "spring", "customer_id": "c001", "features": {"place": ["town"]}}, 422),
        ({"campaign": "spring", "features": {"age": 1e300}}, 422),
    ],
)
def test_wrong_requests_are_refused_in_words(funded, body, status):
    found = funded.client().post("/v1/decisions", json=body)
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"


def test_features_take_the_place_of_what_is_loaded(funded):
    client = funded.client()
    old = ask(client, customer_id="stranger", features={"age": 71, "place": "town"}, decision_id="old").json()
    young = ask(client, customer_id="stranger", features={"age": 30, "place": "town"}, decision_id="young").json()
    blank = ask(client, features={"age": 30}, decision_id="blank").json()
    assert blank["missing"] == ["place"]
    assert young["missing"] == []
    rules = {d["decision_id"]: {o["offer_id"]: o["rules"] for o in _why(client, d)["offers"]} for d in (old, young)}
    assert "eligible_when" in rules["old"]["family"]
    assert "eligible_when" not in rules["young"]["family"]


def test_a_known_customer_with_the_features_that_are_loaded_is_the_same_customer(funded, trained):
    rows = [line.split(",") for line in customers(trained)]
    client = funded.client()
    for i, (name, age, place) in enumerate(rows[:8]):
        plain = _why(client, ask(client, customer_id=name, decision_id=f"p{i}").json())
        said = {"age": int(age), "place": place}
        given = _why(client, ask(client, customer_id=name, features=said, decision_id=f"f{i}").json())
        for a, b in zip(plain["offers"], given["offers"], strict=True):
            assert (a["mean"], a["sd"], a["rules"]) == (b["mean"], b["sd"], b["rules"])
        assert given["without_reasons"] == ""


def customers(trained):
    from warehouse import attach, connect, current_version

    workspace = Workspace.open(trained)
    with connect(workspace) as connection:
        attach(connection, workspace, current_version(workspace))
        rows = connection.sql("FROM customers SELECT customer_id, age, place ORDER BY 1").fetchall()
    return [f"{a},{b},{c}" for a, b, c in rows]


def until(holds, seconds=20.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "letter", ["\u200b", "\u00ad", "\u00a0", "\u2028", "\ue000", "\u0085", "é", " ", "😀", "'", "\\"]
)
def test_an_id_that_a_decision_may_have_is_one_that_feedback_takes(funded, letter):
    client, decision_id = funded.client("ingest"), f"visit{letter}8842"
    decided = ask(client, customer_id="c001", decision_id=decision_id)
    event = {"event_id": "e1", "decision_id": decision_id, "outcome": 0, "occurred_at": datetime.now(UTC).isoformat()}
    (heard,) = client.post("/v1/feedback", json=[event | {"reward": 0}]).json()["results"]
    assert (decided.status_code, heard["result"]) in [(200, "accepted"), (422, "rejected")]


def test_what_nobody_foresaw_does_not_end_the_looking_for_what_is_new(funded, monkeypatch, capsys):
    client = funded.client()
    ask(client, customer_id="c001")
    calls = []

    def fails(*_):
        calls.append(threading.current_thread())
        raise ZeroDivisionError("nobody foresaw it")

    monkeypatch.setattr(Releases, "refresh", fails)
    until(lambda: len(calls) > 1)
    monkeypatch.undo()
    assert calls[0] is calls[1]
    assert calls[0].is_alive()
    assert "nobody foresaw it" in "".join(capsys.readouterr())


def test_a_service_without_its_model_decides_by_segments_and_recovers_without_a_restart(home, serve):
    fund(home, 50_000_000)
    first = serve()
    assert ask(first.client(), customer_id="c001").json()["mode"] == "normal"
    (model,) = (home / "models").iterdir()
    whole = (model / "features.json").read_bytes()
    (model / "features.json").write_bytes(whole[:-20])
    client = serve().client()
    said = everybody(client, 40)
    assert {d["mode"] for d in said} == {"segment_prior"}
    assert any(d["offer_id"] for d in said)
    assert "segments" in _why(client, next(d for d in said if d["offer_id"]))["without_reasons"]
    (model / "features.json").write_bytes(whole)
    until(lambda: ask(client, customer_id="c002").json()["mode"] == "normal")


def test_a_service_without_the_release_s_data_gives_nothing_and_recovers_without_a_restart(home, serve):
    fund(home, 50_000_000)
    hidden = home / "data" / "elsewhere"
    (home / "data" / "files").rename(hidden)
    client = serve().client()
    found = ask(client, customer_id="c001", decision_id="blind")
    assert found.status_code == 200
    assert (found.json()["mode"], found.json()["offer_id"]) == ("no_rules", None)
    assert all(offer["rules"] == ["rules"] for offer in _why(client, found.json())["offers"])
    hidden.rename(home / "data" / "files")
    until(lambda: ask(client, customer_id="c002").json()["mode"] == "normal")
