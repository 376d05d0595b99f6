"""The worker as a process of its own: killed in the middle of a job, and told to stop."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from warehouse import Jobs, make_tenant, open_store, tenant_workspace

PATIENCE_SECONDS = 30.0
WORKER = """
import os, signal, sys, threading, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from api.service.worker import run

home, slot = Path(sys.argv[1]), int(sys.argv[2])
log = home / "steps.txt"

def work(context, document):
    def step(name):
        with log.open("a") as file:
            file.write(f"{name} {slot}\\n")
        return name
    got = [context.step("one", lambda: step("one"))]
    while slot == 0:  # the first worker never gets beyond its first step
        context.reporter("waiting", 0, 1)
        time.sleep(0.05)
    return got + [context.step("two", lambda: step("two"))]

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
run(home, slot, stopping=stopping, now=lambda: datetime.now(UTC), lanes={"test": ({"work": work}, ())},
    lease=timedelta(seconds=1))
"""


def start(home: Path, slot: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(home), str(slot)], stderr=subprocess.DEVNULL)


def until(what):
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(0.05)


@pytest.mark.parametrize("pause", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
def test_another_worker_goes_on_with_the_job_of_one_that_fell_silent(database, pause):
    home = database.root
    with open_store(database) as store:
        jobs = Jobs(store)
        jobs.submit("job-1", "work", {}, key=None, by="ada", now=datetime.now(UTC))
        first = start(home, 0)
        second = None
        try:
            until(lambda: (home / "steps.txt").exists() and jobs.events("job-1", after=2))
            os.kill(first.pid, pause)
            second = start(home, 1)
            until(lambda: jobs.get("job-1").state == "done")
            if pause == signal.SIGSTOP:
                os.kill(first.pid, signal.SIGCONT)
                first.terminate()
                assert first.wait(PATIENCE_SECONDS) == 0
            assert jobs.get("job-1").result == ["one", "two"]
            assert jobs.get("job-1").attempt == 2
            assert (home / "steps.txt").read_text() == "one 0\ntwo 1\n"
        finally:
            for process in filter(None, (first, second)):
                process.kill()
                process.wait()


def test_a_tenant_that_is_made_while_the_worker_runs_is_worked_for(database):
    with open_store(database):
        worker = start(database.root, 1)
        try:
            make_tenant(database, "north")
            with open_store(tenant_workspace(database, "north")) as north:
                Jobs(north).submit("job-1", "work", {}, key=None, by="ada", now=datetime.now(UTC))
                until(lambda: Jobs(north).get("job-1").state == "done")
        finally:
            worker.kill()
            worker.wait()


def test_a_worker_that_is_told_to_stop_ends_in_order_and_its_job_waits_for_the_next(database):
    home = database.root
    with open_store(database) as store:
        jobs = Jobs(store)
        jobs.submit("job-1", "work", {}, key=None, by="ada", now=datetime.now(UTC))
        first = start(home, 0)
        try:
            until(lambda: jobs.events("job-1", after=2))
            first.terminate()
            assert first.wait(PATIENCE_SECONDS) == 0
            assert jobs.get("job-1").state == "queued"
        finally:
            first.kill()
            first.wait()
