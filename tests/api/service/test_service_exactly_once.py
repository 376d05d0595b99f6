"""Posts with repeats, in no order, late and corrected, from eight clients, while the service is killed.

Each event counts once. What is learnt in the end is what is learnt when every event comes once, in order, bit for bit.
"""

import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import feedback_stream
import pytest
from sqlalchemy import func, select

from warehouse import Keys, Workspace, open_store
from warehouse.tables import FeedbackRow

CLIENTS = 8
REPEATED = 0.3
PATIENCE = 60.0  # seconds for one answer, over kills and restarts


class Served:
    """`allot serve` over a home, which is killed again and again."""

    def __init__(self, home):
        self.home, self.kills = home, 0
        self.start()

    def start(self):
        command = [sys.executable, "-c", "from api.start import main; main()", "serve", "--port", "0"]
        rates = {"ALLOT_REQUESTS_PER_SECOND": "1e9", "ALLOT_BURST": "1e9", "ALLOT_LOG_LEVEL": "error"}
        self.process = subprocess.Popen(
            [*command, "--workspace", str(self.home)],
            env=os.environ | rates,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        lines = iter(self.process.stdout.readline, b"")
        found = next(found for line in lines if (found := re.search(rb"http://([\d.]+):(\d+)", line)))
        self.address = found[1].decode(), int(found[2])
        threading.Thread(target=lambda: list(lines), daemon=True).start()

    def kill(self):
        """By turns the web process, which the supervisor starts again, and everything, which we start again.

        Of a web process that ends soon after each start the supervisor waits longer every time, up to half a minute.
        """
        self.kills += 1
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if self.kills % 2:
            children = [one for one in children if b"api.service.web" in Path(f"/proc/{one}/cmdline").read_bytes()]
        else:
            self.process.kill()
            self.process.wait()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        if self.kills % 2 == 0:
            self.start()
        return len(children) > 0

    def close(self):
        self.process.terminate()
        assert self.process.wait(60) == 0


def post(served, key, batch):
    """Send a batch until it is answered, as a client does who must know."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        connection = http.client.HTTPConnection(*served.address, timeout=PATIENCE)
        try:
            connection.request("POST", "/v1/feedback", json.dumps(batch), headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
            continue
        finally:
            connection.close()
        if answer.status == 503:
            time.sleep(0.05)
            continue
        assert answer.status == 200, (answer.status, said)
        return [one["result"] for one in json.loads(said)["results"]]
    raise AssertionError("no answer")


def sent(served, key, batches, kills, draw):
    """Eight clients send everything while the service is killed; how often it was, and what the answers were."""
    waiting, lock, results, killed, failed = iter(batches), threading.Lock(), [], 0, []

    def client():
        try:
            while True:
                with lock:
                    batch = next(waiting, None)
                if batch is None:
                    return
                results.extend(post(served, key, batch))
        except Exception as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    seen = -1
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.3 + draw.random())
        if killed < kills and len(results) > seen:  # it has come up again since, and answered
            seen = len(results)
            killed += served.kill()
    assert not failed
    return killed, results


def exactly_once(copies, trained, home, tmp_path, events, size, kills):
    draw = random.Random(11)
    workspace = Workspace.open(home)
    pool = feedback_stream.stream(home, events, 5)
    everything = pool + draw.sample(pool, round(REPEATED * events))
    draw.shuffle(everything)
    batches = [everything[at : at + size] for at in range(0, len(everything), size)]
    with Keys.open(workspace) as keys:
        key = keys.create("main", ["ingest"], actor="test", at=feedback_stream.LEARNT_AT).text
    served = Served(home)
    try:
        killed, results = sent(served, key, batches, kills, draw)
    finally:
        served.close()
    assert killed >= kills / 2
    counts = Counter(results)
    assert set(counts) <= {"accepted", "corrected", "duplicate"}
    with open_store(workspace) as store, store.transaction(write=False) as session:
        assert session.execute(select(func.count()).select_from(FeedbackRow)).scalar() == events
    assert feedback_stream.kept(workspace) == feedback_stream.by_hand(pool)
    assert feedback_stream.folded(workspace) == feedback_stream.clean_fold(copies, trained, tmp_path / "clean", pool)
    said = ", ".join(f"{count:,} {result}" for result, count in sorted(counts.items()))
    return f"{len(everything):,} posts of {events:,} events, {killed} kills: {said}; posterior of the clean fold"


def test_every_event_counts_once_whatever_happens_on_its_way(copies, trained, home, tmp_path):
    exactly_once(copies, trained, home, tmp_path, events=10_000, size=50, kills=3)


@pytest.mark.soak
def test_of_a_million_events_each_counts_once_whatever_happens_on_its_way(
    copies, trained, home, tmp_path, record_property
):
    found = exactly_once(copies, trained, home, tmp_path, events=1_000_000, size=500, kills=30)
    record_property(f"exactly once, {copies.name}", found)
