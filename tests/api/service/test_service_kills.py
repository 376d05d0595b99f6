"""A worker killed while it allocates: the next one finishes, and what comes out is what would have come out."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.allocate import allocate
from engine.campaign import read_campaign
from warehouse import Jobs, Workspace, open_store

PATIENCE_SECONDS = 60.0
AT = datetime(2026, 4, 2, tzinfo=UTC)
CAMPAIGN = {
    "name": "summer",
    "as_of": AT.isoformat(),
    "seed": 1,
    "outcome_days": 14,
    "exploration": {"share": 0.2, "holdout": 0.05},
    "limits": [{"name": "budget", "measure": "cost", "maximum": 60.0}],
}
WORKER = """
import sys, threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from api.service.kinds import WRITING
from api.service.worker import run

run(Path(sys.argv[1]), 0, stopping=threading.Event(), now=lambda: datetime.now(UTC),
    lanes={"writing": (WRITING, ())}, lease=timedelta(hours=1))
"""


def start(home: Path) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-c", WORKER, str(home)], stdout=quiet, stderr=quiet)


def until(what, *, every=0.05):
    """Wait for it; to ask every few milliseconds costs as much as the work that is waited for."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(every)


def half_written(home: Path) -> list[Path]:
    """What nobody has recorded: folders of decisions, and staging."""
    with open_store(Workspace.open(home)) as store:
        known = {a.allocation_id for a in store.allocations()}
    loose = [path for path in (home / "decisions").iterdir() if path.name not in known]
    return loose + [path for path in (home / "staging").glob("*") if path.exists()]


@pytest.mark.parametrize("stages", [("candidates", "write")], ids=["twice"])
def test_a_worker_killed_in_an_allocation_leaves_the_allocation_that_would_have_been(
    copies, trained, home, tmp_path, stages
):
    with copies.database():  # else it is made already when the worker comes to it
        calm = Workspace.open(Path(shutil.copytree(trained, tmp_path / "calm")))
        expected = allocate(calm, read_campaign(CAMPAIGN), now=AT)
    document = {"campaign": read_campaign(CAMPAIGN).to_document(), "release": True, "again": False}
    with open_store(Workspace.open(home)) as store:
        jobs = Jobs(store)
        jobs.submit("job-1", "allocation", document, key="k", by="ada", now=datetime.now(UTC))
        for attempt, stage in enumerate(stages, start=1):
            seen = max((e.event for e in jobs.events("job-1")), default=0)
            worker = start(home)
            try:
                until(lambda: jobs.get("job-1").attempt == attempt)  # noqa: B023
                until(lambda: any(e.stage == stage for e in jobs.events("job-1", after=seen)), every=0.005)  # noqa: B023
                assert jobs.get("job-1").attempt == attempt
            finally:
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
        last = start(home)
        try:
            until(lambda: jobs.get("job-1").state == "done")
        finally:
            last.kill()
            last.wait()
        made = store.allocation(jobs.get("job-1").result["allocation_id"])
    assert made.allocation_id == expected["allocation_id"]
    assert made.decisions_sha256 == expected["decisions_sha256"]
    assert made.status == "released"
    assert half_written(home) == []
