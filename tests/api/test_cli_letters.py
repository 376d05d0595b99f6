"""`allot dead-letters`: what waited in vain is listed, retried and dropped on the command line."""

import json
from datetime import UTC, datetime, timedelta

from typer.testing import CliRunner

from api.cli import app
from warehouse import feedback_items, open_store, take_feedback

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def record(event_id, reward=1.0):
    at = "2026-02-01T00:00:00Z"
    return {"event_id": event_id, "decision_id": "[red]x[/]", "outcome": 1, "reward": reward, "occurred_at": at}


def test_dead_letters_are_listed_retried_and_dropped(database):
    def allot(*words):
        done = CliRunner().invoke(app, ["dead-letters", *words, "--workspace", str(database.root), "--output", "json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    assert allot("list") == {"dead_letters": []}
    records = [record(name) for name in ("a", "b", "c")] + [record("a", 2.0)]
    with open_store(database) as store:
        take_feedback(store, feedback_items(records), lambda _: set(), received_at=NOW)
        take_feedback(store, (), lambda _: set(), received_at=NOW + timedelta(hours=25))
    letters = allot("list")["dead_letters"]
    assert [(letter["event_id"], letter["kind"]) for letter in letters] == [
        ("a", "conflict"),
        ("a", "unknown"),
        ("b", "unknown"),
        ("c", "unknown"),
    ]
    plain = CliRunner().invoke(app, ["dead-letters", "list", "--workspace", str(database.root)])
    assert "[red]x[/]" in plain.stdout
    assert allot("drop", "a", "nobody") == {"dropped": 2}
    assert allot("retry", "b") == {"retried": 1, "joined": 0}
    assert [letter["event_id"] for letter in allot("list")["dead_letters"]] == ["c"]
    assert allot("retry") == {"retried": 1, "joined": 0}
    assert allot("list", "--after", "a", "--most", "1") == {"dead_letters": []}
