"""The client says what the service says, in the errors that the command line knows; it repeats what may be repeated."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from allot import AccessError, CampaignError, DataError, NotFoundError, RuleError, WorkspaceError
from api import remote
from api.cli import app
from api.client import Client

if TYPE_CHECKING:
    from service_running import Running


@pytest.fixture
def client(service: "Running") -> Iterator[Client]:
    with Client(service.url, service.keys["admin"], patience_seconds=5.0) as made:
        yield made


def test_offers_rules_and_tables_are_written_and_read(client: Client, tmp_path: Path) -> None:
    assert client.put_offers([{"offer_id": "tour", "margin": 8.0}])["offers"] == 4
    assert "tour" in {offer["offer_id"] for offer in client.offers()["offers"]}
    assert client.put_rule("adults", "Adults only", "age >= 18")["version"] == 1
    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps({"customer_id": "c001", "at": "2026-03-01T00:00:00Z", "kind": "visit"}))
    assert client.load("events", events)["events"] == 1


def test_a_decision_is_asked_for_and_its_outcome_sent_once(client: Client) -> None:
    decision = client.decide("spring", customer_id="c001", decision_id="dec-mine")
    assert client.decide("spring", customer_id="c001", decision_id="dec-mine") == decision
    event = {"event_id": "e1", "decision_id": "dec-mine", "outcome": 1, "reward": 12.0}
    record = {**event, "occurred_at": "2036-04-05T00:00:00Z"}
    said = client.feedback([record, record])
    assert (said["accepted"], said["duplicate"]) == (1, 1)
    assert client.why("dec-mine")["decision_id"] == "dec-mine"


def test_refusals_are_the_errors_of_the_command_line(client: Client, service: "Running") -> None:
    calls: list[tuple[type[Exception], Callable[[], Any]]] = [
        (RuleError, lambda: client.put_rule("x", "y", "agee > 3")),
        (DataError, lambda: client.put_rule("", "y", "true")),
        (NotFoundError, lambda: client.why("nothing")),
        (CampaignError, lambda: client._json("POST", "/v1/campaigns", {"name": "x"})),
        (AccessError, lambda: Client(service.url, "allot_wrong").offers()),
        (AccessError, lambda: Client(service.url, service.keys["ingest"]).offers()),
    ]
    for error, call in calls:
        with pytest.raises(error):
            call()


def _answering(answers: list[bytes]) -> tuple[str, list[int]]:
    """A server that answers each connection with the next of some answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    served: list[int] = []

    def run() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                served.append(1)
                connection.sendall(answer)
        listener.close()

    threading.Thread(target=run, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", served


def _said(status: str, body: bytes = b"{}") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\nConnection: close"
    return head.encode() + b"\r\n\r\n" + body


def test_a_busy_service_is_asked_again_and_an_answer_is_an_answer() -> None:
    busy = _said("503 Busy\r\nRetry-After: 0")
    url, served = _answering([busy, b"", _said("429 Too Many\r\nRetry-After: 0"), _said("200 OK", b'{"offers": []}')])
    with Client(url, "k", patience_seconds=20.0) as client:
        assert client.offers() == {"offers": []}
    assert len(served) == 4
    url, served = _answering([_said("404 Not Found"), _said("200 OK")])
    with Client(url, "k") as client, pytest.raises(DataError):
        client.offers()
    assert len(served) == 1


def test_patience_ends() -> None:
    with (
        Client("http://127.0.0.1:9", "k", patience_seconds=0.3) as client,
        pytest.raises(WorkspaceError, match="reached"),
    ):
        client.offers()
    url, _ = _answering([_said("503 Busy\r\nRetry-After: 60")])
    with Client(url, "k", patience_seconds=1.0) as client, pytest.raises(WorkspaceError):
        client.offers()


@pytest.fixture
def allot(service: "Running", monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Commands that a service does."""
    monkeypatch.setenv(remote.KEY, service.keys["admin"])
    monkeypatch.delenv("ALLOT_HOME", raising=False)

    def run(*argv: object) -> Any:
        done = CliRunner().invoke(app, ["--server", service.url, *map(str, argv), "--output", "json"])
        if isinstance(done.exception, Exception):
            raise done.exception
        return json.loads(done.stdout[done.stdout.index("{\n") :])  # the service, in this process, logs there too

    yield run
    remote._chosen.clear()


def test_commands_are_done_by_the_service(allot: Callable[..., Any], service: "Running", tmp_path: Path) -> None:
    decided = allot("decide", "spring", "c002", "--decision", "dec-cli")
    assert decided["decision_id"] == "dec-cli"
    record = {"event_id": "e1", "decision_id": "dec-cli", "outcome": 1, "reward": 2.5}
    lines = [{**record, "occurred_at": "2036-04-05T00:00:00Z"}, {**record, "event_id": "e2"}]
    (tmp_path / "f.ndjson").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(_code(service, "feedback", tmp_path / "f.ndjson"))
    assert ended.value.code == DataError.exit_code  # the second has no time
    offers = tmp_path / "offers.csv"
    offers.write_text("offer_id,margin\nfamily,25\nlate,12\npass,60\n")
    assert allot("load", "--offers", offers)["offers"] == 3


def _code(service: "Running", *argv: object) -> int:
    return CliRunner().invoke(app, ["--server", service.url, *map(str, argv)]).exit_code


def test_commands_that_need_the_workspace_itself_are_refused(allot: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="--server does not go with `allot train`"):
        allot("train")


def test_without_a_key_the_service_is_not_asked(allot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(remote.KEY)
    with pytest.raises(AccessError, match=remote.KEY):
        allot("decide", "spring", "c002")


@pytest.fixture
def worker(service: "Running") -> Iterator[None]:
    """A worker beside the service, in a thread."""
    from api.service.worker import run

    stopping = threading.Event()
    run_it = partial(run, service.home, 0, stopping=stopping, now=lambda: datetime.now(UTC))
    thread = threading.Thread(target=run_it, daemon=True)
    thread.start()
    yield
    stopping.set()
    thread.join(30.0)


@pytest.mark.usefixtures("worker")
def test_the_whole_way_by_the_command_line_of_another_machine(
    allot: Callable[..., Any], client: Client, tmp_path: Path
) -> None:
    campaign = tmp_path / "autumn.toml"
    campaign.write_text(
        'name = "autumn"\nas_of = 2026-04-03T00:00:00Z\noutcome_days = 14\n[exploration]\nshare = 0.2\n'
    )
    allocated = allot("allocate", campaign)
    assert allocated["status"] == "released"
    assert allocated["chosen"] + allocated["no_offer"] + allocated["no_eligible"] + allocated["held_out"] == 400
    why = allot("explain", "c007")
    assert why["customer_id"] == "c007"
    assert why["allocation_id"] == allocated["allocation_id"]
    made = [d["decision_id"] for d in client.decisions(allocated["allocation_id"])]
    assert len(made) == 400
    outcome = {"reward": 0.0, "occurred_at": "2026-04-05T00:00:00Z"}
    told = [{"event_id": f"e{i}", "decision_id": d, "outcome": i % 2, **outcome} for i, d in enumerate(made)]
    assert client.feedback(told)["accepted"] == 400
    judged = allot("evaluate", "--allocation", allocated["allocation_id"], "--as-of", "2036-06-01")
    assert judged["verdict"] in ("supported", "insufficient", "invalid")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('name = "wrong"\nas_of = 2026-04-03T00:00:00Z\naudience = "aeg > 3"\n')
    with pytest.raises(RuleError, match="aeg"):
        allot("allocate", wrong)
