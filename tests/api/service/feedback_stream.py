"""A stream of events about the decisions of a workspace, and what must have become of it in the end."""

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.learn import learn
from warehouse import Workspace, feedback_items, open_store, outcomes, read_decisions, take_feedback

LEARNT_AT = datetime(2026, 5, 1, tzinfo=UTC)


def stream(home: Path, events: int, seed: int) -> list[dict]:
    """Events about random decisions, in no order, some of one decision at the same moment: many are corrected."""
    draw = random.Random(seed)
    (path,) = home.glob("decisions/*/decisions.parquet")
    ids = read_decisions(path, ["decision_id"])["decision_id"].to_pylist()
    begin = datetime(2026, 4, 1, 1, tzinfo=UTC)
    return [
        {
            "event_id": f"{draw.getrandbits(64):016x}",
            "decision_id": draw.choice(ids),
            "outcome": int(draw.random() < 0.3),
            "reward": draw.randrange(8) / 4,
            "occurred_at": (begin + timedelta(hours=draw.randrange(24 * 10))).isoformat(),
        }
        for _ in range(events)
    ]


def by_hand(events: list[dict]) -> list[tuple]:
    """What counts of each decision: its latest event, ties by event id."""
    latest: dict[str, tuple] = {}
    for one in events:
        rank = (one["occurred_at"], one["event_id"], one)
        latest[one["decision_id"]] = max(latest.get(one["decision_id"], ("", "")), rank, key=lambda found: found[:2])
    return [(name, one["outcome"], one["reward"]) for name, (_, _, one) in sorted(latest.items())]


def kept(workspace: Workspace) -> list[tuple]:
    """What the log has of each decision."""
    with open_store(workspace) as store:
        found = outcomes(store)
    return list(zip(*(found[name].to_pylist() for name in ("decision_id", "outcome", "reward")), strict=True))


def folded(workspace: Workspace) -> tuple:
    """What is learnt from the log in the end: the posterior's bytes, and the windows that went into it."""
    learn(workspace, as_of=LEARNT_AT)
    with open_store(workspace) as store:
        model = store.current("posterior")
    return model.blob, model.watermark


def clean_fold(copies: Any, trained: Path, folder: Path, events: list[dict]) -> tuple:
    """The same of a copy of the trained workspace that got every event once, in order, and learnt once."""
    ordered = sorted(events, key=lambda one: one["event_id"])
    with copies.database():
        workspace = Workspace.open(Path(shutil.copytree(trained, folder)))
        with open_store(workspace) as store:
            take_feedback(store, feedback_items(ordered), lambda ids: set(ids), received_at=LEARNT_AT)
        return folded(workspace)
