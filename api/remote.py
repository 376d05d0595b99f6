"""`allot --server URL`: the same commands, done by a service; the key is in ALLOT_KEY."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allot import AccessError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.client import Client
    from engine.stages import Reporter

KEY = "ALLOT_KEY"
COMMANDS = ("allocate", "decide", "evaluate", "explain", "feedback", "load")
_chosen: list[str] = []


def choose(url: str, command: str) -> None:
    """Have a service do the command.

    Raises:
        DataError: it is a command that only works on a workspace at hand.
    """
    if command not in COMMANDS:
        what = f"--server does not go with `allot {command}`."
        raise DataError(what, where="command line", remedy=f"With it go {', '.join(COMMANDS)}.")
    _chosen[:] = [url]


def chosen() -> bool:
    """Whether a service does the command."""
    return bool(_chosen)


@contextmanager
def service() -> "Iterator[Client]":
    """The service that was chosen.

    Raises:
        AccessError: there is no key.
    """
    from api.client import Client

    key = os.environ.get(KEY, "")
    if not key:
        remedy = "Set it in the environment; `allot keys create` makes one."
        raise AccessError("is not set: the service needs a key.", where=KEY, remedy=remedy)
    with Client(_chosen[0], key) as client:
        yield client


def allocate(path: Path, reporter: "Reporter") -> dict[str, Any]:
    """Have a campaign document allocated; the summary that the command prints."""
    from engine.campaign import campaign_from_file

    document = campaign_from_file(path).to_document()
    with service() as client:
        done = client.wait(client.allocate(document), told=lambda job: _tell(job, reporter))
    where = f"{_chosen[0]}{done['links']['decisions']}"
    return {**done["summary"], "status": done["status"], "decisions": where}


def evaluate(question: dict[str, Any], reporter: "Reporter") -> dict[str, Any]:
    """Have a question about the service's own decisions answered."""
    with service() as client:
        asked = client.evaluate({name: value for name, value in question.items() if value not in (None, [])})
        done = client.wait(asked, "evaluations", told=lambda job: _tell(job, reporter))
    result: dict[str, Any] = done["result"]
    return result


def explain(customer: str, allocation: str | None) -> dict[str, Any]:
    """Why a customer got what they got; in the newest allocation where none is named."""
    with service() as client:
        newest = allocation or next((a["id"] for a in client.allocations() if a["state"] == "done"), None)
        if newest is None:
            raise DataError("nothing was allocated there yet.", where=_chosen[0], remedy="Name one with --allocation.")
        return client.explain(customer, newest)


def feedback(path: Path) -> dict[str, Any]:
    """Send a file of outcomes; what became of them, as the command prints it."""
    from warehouse import read_feedback

    items = list(read_feedback(path))
    sound = [item for item in items if item.body is not None]
    with service() as client:
        said = client.feedback([_record(item) for item in sound])
    refused = [
        {"line": item.line, "event_id": told["event_id"], "reason": told["reason"]}
        for item, told in zip(sound, said["results"], strict=True)
        if told["result"] in ("rejected", "conflict")
    ]
    refused += [{"line": i.line, "event_id": i.event_id, "reason": i.reason} for i in items if i.body is None]
    counts = {name: said.get(name, 0) for name in ("accepted", "duplicate", "corrected", "pending")}
    return {**counts, "rejected": len(refused), "joined": 0, "reasons": refused, "warnings": []}


def load(tables: dict[str, Path], *, append: bool) -> dict[str, Any]:
    """Send files of tables, offers and customers first; what the command prints."""
    answers = []
    with service() as client:
        for table in sorted(tables, key=("offers", "customers", "exposures", "events").index):
            answers.append(client.load(table, tables[table], append=append and table in ("exposures", "events")))
    merged: dict[str, Any] = {}
    for answer in answers:
        merged |= answer
    return {
        **merged,
        "tables": [name for answer in answers for name in answer["tables"]],
        "warnings": [warning for answer in answers for warning in answer["warnings"]],
    }


def _record(item: Any) -> dict[str, Any]:
    body = item.body
    return {
        "event_id": item.event_id or body.event_id,
        "decision_id": body.decision_id,
        "outcome": body.outcome,
        "reward": body.reward_micros / 1e6,
        "occurred_at": body.occurred_at.isoformat(),
    }


def _tell(job: dict[str, Any], reporter: "Reporter") -> None:
    progress = job.get("progress")
    if progress:
        reporter(str(progress.get("stage", "")), int(progress.get("done", 0)), int(progress.get("total", 0)))
