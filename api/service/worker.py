"""The worker process: runs jobs and, between them, everything that happens by itself. `python -m api.service.worker`.

Several lanes, so that nothing waits for what need not hold it up: one does what writes to the workspace, one after the
other; one what only reads, however long; one speaks to receivers, however slow they are; one learns from feedback.
"""

import argparse
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, final

import structlog

from allot import AllotError, LockedError
from api.service.jobs import LEASE, Clock, Kind, Runner
from api.service.kinds import READING, WRITING
from api.service.learning import Joining, learn_once
from api.service.lifeline import end_with_parent
from api.service.settling import SettlingBudgets
from api.service.webhooks import deliver_due
from engine.serving.seal import seal
from warehouse import Store, Workspace, open_store

_IDLE_SECONDS = 0.25
_NOTICE_SECONDS = 0.5  # a signal that another thread was given is noticed when the main thread next wakes
_log = structlog.get_logger()

Chore: TypeAlias = Callable[[Workspace, Store, datetime], Any]
"""(workspace, store, now) -> what it did, falsy where there was nothing; repeated after a crash it does no harm."""


@dataclass(frozen=True, slots=True)
class Every:
    """A chore and how often it is looked after."""

    name: str
    seconds: float
    chore: Chore


def _deliver(_: Workspace, store: Store, now: datetime) -> Any:
    return deliver_due(store, now)


def _seal(workspace: Workspace, store: Store, now: datetime) -> Any:
    return seal(workspace, store, now=now)


Work: TypeAlias = tuple[Mapping[str, Kind], tuple[Every, ...]]

LANES: Mapping[str, Work] = {
    "writing": (WRITING, ()),
    "reading": (READING, ()),
    "delivering": ({}, (Every("delivery", 1.0, _deliver),)),
    "learning": ({}, (Every("joining", 5.0, Joining()), Every("learning", 2.0, learn_once))),
    "settling": ({}, (Every("budgets", 1.0, SettlingBudgets()),)),
    "sealing": ({}, (Every("single decisions", 60.0, _seal),)),
}
"""What each lane does: jobs of some kinds, and chores."""


@final
class Lane(threading.Thread):
    """One thread: the jobs of some kinds of every tenant, and chores when they are due."""

    def __init__(
        self,
        name: str,
        tenants: Sequence[tuple[Workspace, Store]],
        work: Work,
        *,
        now: Clock,
        lease: timedelta,
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=name)
        kinds, self._chores = work
        self._has_jobs = bool(kinds)
        self._tenants = tenants
        self._now, self._stopping = now, stopping
        self._runners = [Runner(w, s, name, kinds, now=now, lease=lease, stopping=stopping) for w, s in tenants]
        self._due = {(each.name, place): 0.0 for each in self._chores for place in range(len(tenants))}

    def run(self) -> None:
        """Until told to stop."""
        while not self._stopping.is_set():
            try:
                busy = [self._turn(place) for place in range(len(self._tenants))]
            except AllotError as error:  # the database is gone or busy: it is asked again in a moment
                _log.error("lane waits", lane=self.name, error=str(error))
                busy = []
                self._stopping.wait(1.0)
            if not any(busy):
                self._stopping.wait(_IDLE_SECONDS)

    def _turn(self, place: int) -> bool:
        """Look after one tenant once; whether there was a job."""
        workspace, store = self._tenants[place]
        for each in self._chores:
            if time.monotonic() >= self._due[each.name, place] and not self._stopping.is_set():
                self._look_after(each, workspace, store)
                self._due[each.name, place] = time.monotonic() + each.seconds
        return self._has_jobs and self._runners[place].run_next() is not None

    def _look_after(self, each: Every, workspace: Workspace, store: Store) -> None:
        try:
            done = each.chore(workspace, store, self._now())
        except LockedError:
            return  # a command is writing: next time
        except AllotError as error:
            _log.error("chore failed", chore=each.name, workspace=str(workspace.root), error=str(error))
        else:
            if done:
                _log.info("chore done", chore=each.name, workspace=str(workspace.root), did=done)


def run(
    home: Path,
    slot: int,
    *,
    stopping: threading.Event,
    now: Clock,
    lanes: Mapping[str, Work] = LANES,
    lease: timedelta = LEASE,
) -> None:
    """Work for every tenant of a home until told to stop.

    Args:
        home: the folder that is served.
        slot: which of several workers this is.
        stopping: ends it; a job that runs goes back to the queue.
        now: the clock.
        lanes: what is done in which lane.
        lease: how long a worker may be silent before another takes its job over.

    Raises:
        WorkspaceError: the home or one of its tenants cannot be opened.
    """
    workspaces = [Workspace.open(home), *map(Workspace.open, sorted((home / "tenants").glob("*")))]
    tenants = [(workspace, open_store(workspace)) for workspace in workspaces]
    name = f"worker-{slot}-{os.getpid()}"
    threads = [
        Lane(f"{name}-{lane}", tenants, work, now=now, lease=lease, stopping=stopping) for lane, work in lanes.items()
    ]
    for lane in threads:
        lane.start()
    _log.info("worker begins", worker=name, tenants=len(tenants))
    while not stopping.wait(_NOTICE_SECONDS):
        pass
    for lane in threads:
        lane.join()
    for _, store in tenants:
        store.close()
    _log.info("worker ends", worker=name)


def main() -> None:
    """The process: SIGTERM and Ctrl-C end it in order."""
    parser = argparse.ArgumentParser(prog="python -m api.service.worker", description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True, help="folder that is served")
    parser.add_argument("--slot", type=int, default=0, help="which of several workers this is")
    given = parser.parse_args()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    end_with_parent()
    run(given.workspace, given.slot, stopping=stopping, now=lambda: datetime.now(UTC))


if __name__ == "__main__":
    main()
