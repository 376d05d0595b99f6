"""A process that takes feedback and folds it, killed again and again: `feedback_killed.py HOME CYCLES EVENTS SEED`.

It prints what it found as JSON. It is a program of its own because it forks, which only a process of one thread may.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import feedback_stream

from engine.learn import learn
from warehouse import Batch, GroupCommit, Intake, KnownDecisions, Workspace, feedback_items, open_store

CLIENTS = 8
AT_ONCE = 250  # events that were never acknowledged, of a child that takes; half as many others come again
LONGEST_LIFE = 0.06  # seconds after the first sign of life
BORN = "*"
FOLDS_EVERY = 20  # cycles; the others take feedback


def takes(home: Path, batches: list[list[dict]], acknowledge: int) -> None:
    """The life of a child that takes feedback: eight clients, each hearing an answer before it sends more."""
    workspace = Workspace.open(home)
    store = open_store(workspace)
    intake, known = Intake(GroupCommit(store)), KnownDecisions(workspace, store)

    def client(batch: list[dict]) -> None:
        items = tuple(feedback_items(batch, strict=True))
        decided = known([one["decision_id"] for one in batch])
        for answer in intake.take(Batch(items, decided, datetime.now(UTC))).result():
            assert answer.result in ("accepted", "corrected", "duplicate"), answer
        os.write(acknowledge, "".join(f"{one['event_id']}\n" for one in batch).encode())

    known([batches[0][0]["decision_id"]])
    os.write(acknowledge, f"{BORN}\n".encode())
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, batches))


def folds(home: Path, at: datetime, acknowledge: int) -> None:
    """The life of a child that learns."""
    os.write(acknowledge, f"{BORN}\n".encode())
    learn(Workspace.open(home), as_of=at)


def warm_up(home: Path, decision_id: str) -> None:
    """Prepare statements once, so that children need not: their short lives go into feedback."""
    workspace = Workspace.open(home)
    with open_store(workspace) as store:
        KnownDecisions(workspace, store)([decision_id])


def one_life(work, life: float) -> tuple[set[str], bool]:
    """Let a child work and kill it after a time; what it has acknowledged, and whether it came to its end."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        code = 1
        try:
            work(writes)
            code = 0
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads) as acknowledged:
        assert acknowledged.readline() == f"{BORN}\n", "the child failed by itself"
        killer = threading.Timer(life, os.kill, (child, signal.SIGKILL))
        killer.start()
        said = {line.strip() for line in acknowledged.read().splitlines(keepends=True) if line.endswith("\n")}
    status = os.waitpid(child, 0)[1]
    killer.cancel()
    killer.join()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise RuntimeError("the child failed by itself")
    return said, os.WIFEXITED(status)


def main() -> None:
    """Live and die, then send what was never acknowledged, and fold once more."""
    home, cycles, events, seed = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    draw = random.Random(seed)
    pool = feedback_stream.stream(home, events, seed)
    warm_up(home, pool[0]["decision_id"])
    acknowledged: set[str] = set()
    killed = {"taking": 0, "folding": 0}
    for cycle in range(cycles):
        if cycle % FOLDS_EVERY == FOLDS_EVERY - 1:
            at = feedback_stream.LEARNT_AT + timedelta(hours=cycle)
            _, ended = one_life(partial(folds, home, at), draw.random() * 20 * LONGEST_LIFE)
            killed["folding"] += not ended
        else:
            fresh = [one for one in pool if one["event_id"] not in acknowledged][:AT_ONCE]
            some = draw.sample(fresh + draw.sample(pool, AT_ONCE // 2), len(fresh) + AT_ONCE // 2)
            said, ended = one_life(partial(takes, home, list(cut(some, draw))), draw.random() * LONGEST_LIFE)
            acknowledged |= said
            killed["taking"] += not ended
    sys.stdout.write(json.dumps({"acknowledged": sorted(acknowledged), "killed": killed}))


def cut(events: list[dict], draw: random.Random) -> Iterator[list[dict]]:
    """Batches of several sizes."""
    while events:
        size = draw.choice((1, 1, 5, 20))
        yield events[:size]
        events = events[size:]


if __name__ == "__main__":
    started = time.monotonic()
    main()
    sys.stderr.write(f"{time.monotonic() - started:.1f} s\n")
