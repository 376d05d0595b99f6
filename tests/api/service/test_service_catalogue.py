"""Offers, rules, campaigns and tables over HTTP: checked when written, kept in versions, never overwritten."""

import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from service_running import Running

NDJSON, PARQUET, CSV = "application/x-ndjson", "application/vnd.apache.parquet", "text/csv"
EVENTS = [{"customer_id": f"c{i:03}", "at": f"2026-03-0{1 + i % 9}T10:00:00Z", "kind": "visit"} for i in range(50)]


@pytest.fixture
def manager(service: "Running") -> httpx.Client:
    return service.client("manager")


def _upload(client: httpx.Client, table: str, body: bytes, kind: str, **parameters: Any) -> httpx.Response:
    return client.post(f"/v1/tables/{table}", content=body, headers={"content-type": kind}, params=parameters)


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def test_offers_posted_become_a_new_version_and_the_old_one_stays_readable(manager: httpx.Client) -> None:
    before = manager.get("/v1/offers").json()
    known = {offer["offer_id"]: offer for offer in before["offers"]}
    assert set(known) == {"family", "late", "pass"}
    body = {"offers": [{"offer_id": "tour", "margin": 8.5, "ends_on": "2036-01-31"}, {**known["late"], "margin": 13}]}
    answer = manager.post("/v1/offers", json=body)
    assert answer.status_code == 201, answer.text
    after = manager.get("/v1/offers").json()
    offers = {offer["offer_id"]: offer for offer in after["offers"]}
    assert after["version"] == answer.json()["version"] != before["version"]
    assert offers["tour"]["margin"] == 8.5
    assert offers["tour"]["ends_on"] == "2036-01-31"
    assert offers["late"] == {**known["late"], "margin": 13.0}
    assert offers["pass"] == known["pass"]
    assert manager.get("/v1/offers", params={"version": before["version"]}).json() == before


@pytest.mark.parametrize(
    ("offers", "words"),
    [
        ([{"offer_id": "tour"}], "margin"),
        ([{"offer_id": "tour", "margin": "much"}], "margin"),
        ([{"offer_id": "tour", "margin": 1, "eligible_when": "agee > 3"}], "agee"),
        ([{"offer_id": "tour", "margin": 1, "starts_on": "2026-02-01", "ends_on": "2026-01-01"}], "before starts_on"),
    ],
)
def test_an_offer_that_breaks_its_contract_changes_nothing(
    manager: httpx.Client, offers: list[dict[str, Any]], words: str
) -> None:
    before = manager.get("/v1/offers").json()
    answer = manager.post("/v1/offers", json={"offers": offers})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert manager.get("/v1/offers").json() == before


def test_a_rule_is_compiled_when_it_is_written_and_what_is_wrong_is_said_with_its_place(manager: httpx.Client) -> None:
    for predicate, words in (("age >> ", "column"), ("aeg > 18", "'age'"), ("now() > as_of", "now()"), ("age", "")):
        answer = manager.post("/v1/rules", json={"name": "adults", "reason": "Adults only", "predicate": predicate})
        assert answer.status_code == 422, predicate
        assert words in answer.json()["detail"]
    assert manager.get("/v1/rules").json() == {"rules": []}


def test_a_rule_of_the_house_has_versions_and_holds_in_the_next_allocation(
    manager: httpx.Client, service: "Running"
) -> None:
    from engine.allocate import allocate
    from engine.campaign import read_campaign
    from warehouse import Workspace, read_decisions

    body = {"name": "young", "reason": "Only the young", "predicate": "age < 40"}
    first = manager.post("/v1/rules", json=body)
    assert (first.status_code, first.json()["version"]) == (201, 1)
    assert manager.post("/v1/rules", json=body).status_code == 200
    second = manager.post("/v1/rules", json={**body, "predicate": "age < 30"})
    assert (second.status_code, second.json()["version"]) == (201, 2)
    versions = manager.get("/v1/rules/young").json()["versions"]
    assert [v["predicate"] for v in versions] == ["age < 30", "age < 40"]
    workspace = Workspace.open(service.home)
    document = {"name": "house", "as_of": "2026-04-02T00:00:00Z", "exploration": {"share": 0.0}}

    def addressed() -> set[str]:
        from datetime import UTC, datetime

        done = allocate(workspace, read_campaign(document), now=datetime.now(UTC))
        table = read_decisions(done["decisions"], ["customer_id", "offer_id"]).to_pylist()
        return {row["customer_id"] for row in table if row["offer_id"] is not None}

    ages = {r.split(",")[0]: int(r.split(",")[1]) for r in _customers(service)}
    young = addressed()
    assert young
    assert all(ages[customer] < 30 for customer in young)
    assert manager.post("/v1/rules", json={**body, "predicate": "age < 30", "active": False}).status_code == 201
    assert any(ages[customer] >= 30 for customer in addressed())


def _customers(service: "Running") -> list[str]:
    from warehouse import Workspace, attach, connect, current_version

    workspace = Workspace.open(service.home)
    with connect(workspace) as connection:
        attach(connection, workspace, current_version(workspace))
        return [f"{row[0]},{row[1]}" for row in connection.execute("FROM customers SELECT customer_id, age").fetchall()]


def test_a_campaign_has_versions_and_the_same_document_is_the_same_version(manager: httpx.Client) -> None:
    document = {"name": "summer", "as_of": "2026-06-01T00:00:00Z"}
    first = manager.post("/v1/campaigns", json=document)
    assert (first.status_code, first.json()["version"]) == (201, 1)
    assert manager.post("/v1/campaigns", json=document).status_code == 200
    assert manager.post("/v1/campaigns", json={**document, "seed": 4}).json()["version"] == 2
    assert [v["version"] for v in manager.get("/v1/campaigns/summer").json()["versions"]] == [2, 1]
    assert {c["name"] for c in manager.get("/v1/campaigns").json()["campaigns"]} == {"spring", "summer"}
    assert manager.get("/v1/campaigns/winter").status_code == 404
    for wrong in ({}, {"name": "x"}, {**document, "colour": 1}, {**document, "seed": "1"}, [document]):
        assert manager.post("/v1/campaigns", json=wrong).status_code == 422


@pytest.mark.parametrize("kind", [NDJSON, PARQUET, CSV])
def test_a_table_is_loaded_whole_and_appended_to(manager: httpx.Client, kind: str) -> None:
    def body(rows: list[dict[str, Any]]) -> bytes:
        if kind == NDJSON:
            return _lines(rows)
        if kind == CSV:
            return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]).encode()
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), file)
        return file.getvalue()

    assert _upload(manager, "events", body(EVENTS), kind).json()["events"] == 50
    later = [{**row, "at": row["at"].replace("03", "04", 1)} for row in EVENTS[:10]]
    added = _upload(manager, "events", body(later), kind, append=True)
    assert added.status_code == 201, added.text
    assert manager.get("/v1/tables").json()["tables"]["events"]["rows"] == 60


def test_a_breach_loads_nothing_and_names_column_and_rows(manager: httpx.Client) -> None:
    before = manager.get("/v1/tables").json()
    wrong = [*EVENTS, {"customer_id": "c001", "at": "yesterday", "kind": "visit"}]
    answer = _upload(manager, "events", _lines(wrong), NDJSON)
    assert answer.status_code == 422
    assert "column at" in answer.json()["detail"]
    assert "1 row" in answer.json()["detail"]
    assert manager.get("/v1/tables").json() == before


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", NDJSON, 422), (b"", PARQUET, 422), (b"not parquet", PARQUET, 422), (b"PAR1" * 100, PARQUET, 422),
        (b'{"customer_id": "a", "at": NaN}', NDJSON, 400), (b'{"customer_id": "a", "customer_id": "b"}', NDJSON, 400),
        (b'{"customer_id": "\\ud800"}', NDJSON, 400), (b"[1, 2]", NDJSON, 400), (b'{"a": {"b": 1}}', NDJSON, 400),
        (b"[" * 100_000, NDJSON, 400), (b'{"a": 1}\n{"a": "x"}', NDJSON, 422), (b"\xff\xfe", CSV, 422),
        (b"{}", "application/json", 415), (b"{}", "", 415),
    ],
)  # fmt: skip
def test_spoilt_uploads_are_refused_and_leave_nothing(
    service: "Running", manager: httpx.Client, body: bytes, kind: str, status: int
) -> None:
    before = manager.get("/v1/tables").json()
    answer = _upload(manager, "events", body, kind)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert manager.get("/v1/tables").json() == before
    assert not list((service.home / "tmp").iterdir())
