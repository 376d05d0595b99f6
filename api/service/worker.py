"""The worker process: runs jobs and, between them, everything that happens by itself. `python -m api.service.worker`.

Several lanes, so that nothing waits for what need not hold it up: one does what writes to the workspace, one after the
other; one what only reads, however long; one speaks to receivers, however slow they are; one learns from feedback.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeAlias, final

import structlog

from allot import AllotError, LockedError, WorkspaceError
from api.ending import ending_at_once
from api.service import logs
from api.service.giving_back import give_back
from api.service.jobs import LEASE, Clock, Kind, Runner
from api.service.kinds import READING, WRITING
from api.service.learning import Joining, Learning
from api.service.lifeline import end_with_parent
from api.service.metrics import Metrics
from api.service.pulse import Pulse
from api.service.settings import read_settings
from api.service.settling import SettlingBudgets
from api.service.webhooks import deliver_due
from engine.serving.seal import seal
from warehouse import Jobs, Store, Workspace, open_store, tenant_names, tenant_workspace
from warehouse.home import MAIN

_IDLE_SECONDS = 0.5
_TENANTS_SECONDS = 5.0
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
    "learning": ({}, (Every("joining", 5.0, Joining()), Every("learning", 2.0, Learning()))),
    "settling": ({}, (Every("budgets", 1.0, SettlingBudgets()),)),
    "sealing": ({}, (Every("single decisions", 60.0, _seal),)),
}
"""What each lane does: jobs of some kinds, and chores."""


@final
class Lane(threading.Thread):
    """One thread: the jobs of some kinds of every tenant, and chores when they are due.

    Args:
        name: of the worker and the lane.
        work: kinds of jobs, and chores.
        now: the clock.
        lease: how long the lane may be silent about a job.
        stopping: ends it.
        metrics: where jobs and chores are timed, each as a stage of its name.
    """

    def __init__(
        self, name: str, work: Work, *, now: Clock, lease: timedelta, stopping: threading.Event, metrics: Metrics
    ) -> None:
        super().__init__(name=name)
        self._kinds, self._chores = work
        self._now, self._lease, self._stopping, self._metrics = now, lease, stopping, metrics
        self._tenants: list[tuple[Workspace, Store, Runner]] = []
        self._due: dict[tuple[str, Path], float] = {}

    def add(self, workspace: Workspace, store: Store) -> None:
        """Work for a tenant, too, from its next turn on."""
        runner = Runner(
            workspace,
            store,
            self.name,
            self._kinds,
            now=self._now,
            lease=self._lease,
            stopping=self._stopping,
            measured=self._metrics.stage,
        )
        self._tenants.append((workspace, store, runner))

    def run(self) -> None:
        """Until told to stop."""
        while not self._stopping.is_set():
            busy = [self._turn(*tenant) for tenant in tuple(self._tenants)]
            if not any(busy):
                self._stopping.wait(_IDLE_SECONDS)

    def _turn(self, workspace: Workspace, store: Store, runner: Runner) -> bool:
        """Look after one tenant once; whether there was a job. One whose database is gone holds up no other."""
        for each in self._chores:
            if time.monotonic() >= self._due.get((each.name, workspace.root), 0.0) and not self._stopping.is_set():
                self._look_after(each, workspace, store)
                self._due[each.name, workspace.root] = time.monotonic() + each.seconds
        try:
            if not self._kinds or runner.run_next() is None:
                return False
        except AllotError as error:
            _log.error("jobs cannot be looked for", lane=self.name, workspace=str(workspace.root), error=str(error))
            return False
        give_back()
        return True

    def _look_after(self, each: Every, workspace: Workspace, store: Store) -> None:
        try:
            with self._metrics.stage(each.name):
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
        WorkspaceError: the home cannot be opened, or a lane met a defect: better no worker than half of one.
    """
    place, metrics = f"worker-{slot}-", Metrics()
    name = f"{place}{os.getpid()}"
    threads = [
        Lane(f"{name}-{lane}", work, now=now, lease=lease, stopping=stopping, metrics=metrics)
        for lane, work in lanes.items()
    ]
    pulse = Pulse(metrics, "worker", read_settings().cpu_hour_price)
    with closing(pulse), _Tenants(Workspace.open(home), threads, place, now) as tenants:
        tenants.look()
        for lane in threads:
            lane.start()
        _log.info("worker begins", worker=name)
        looked = time.monotonic()
        while not stopping.wait(_NOTICE_SECONDS) and all(lane.is_alive() for lane in threads):
            if time.monotonic() >= looked + _TENANTS_SECONDS:
                tenants.look()
                looked = time.monotonic()
        ended = [lane.name for lane in threads if not lane.is_alive() and not stopping.is_set()]
        stopping.set()
        for lane in threads:
            lane.join()
    if ended:
        what = f"{', '.join(ended)} ended by a defect."
        raise WorkspaceError(what, where="worker", remedy="The lines above say more; it is started again.")
    _log.info("worker ends", worker=name)


@final
class _Tenants:
    """The tenants of a home, each opened once and given to every lane; those that are made meanwhile as well.

    Who had this worker's place before is gone: its jobs are taken up at once, long before their leases run out.
    """

    def __init__(self, home: Workspace, lanes: Sequence[Lane], place: str, now: Clock) -> None:
        self._home, self._lanes, self._place, self._now = home, lanes, place, now
        self._open: dict[str, Store] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for store in self._open.values():
            store.close()

    def look(self) -> None:
        """Open those that are new. One that cannot be opened is tried again, unless it is the home itself.

        Raises:
            WorkspaceError: the home cannot be opened.
        """
        for name in tenant_names(self._home):
            if name in self._open:
                continue
            try:
                workspace = tenant_workspace(self._home, name)
                store = self._open[name] = open_store(workspace)
            except AllotError as error:
                if name == MAIN:
                    raise
                _log.error("tenant cannot be opened", tenant=name, error=str(error))
                continue
            self._take_over(store)
            for lane in self._lanes:
                lane.add(workspace, store)

    def _take_over(self, store: Store) -> None:
        try:
            Jobs(store).give_up(self._place, now=self._now())
        except AllotError as error:  # then their leases run out
            _log.warning("jobs of the worker before wait", error=str(error))


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
    try:
        logs.configure(read_settings().log_level)
        run(given.workspace, given.slot, stopping=stopping, now=lambda: datetime.now(UTC))
    except AllotError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    with ending_at_once():
        main()
