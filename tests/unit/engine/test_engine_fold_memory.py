"""Learning again and again keeps no memory back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engine_workspace import LATE

from api.service.serve import WORKER_SETTINGS
from sims.files import moment
from warehouse import open_store
from warehouse.feedback_log import EventLog, NewEvent, decision_key

EVENTS, FOLDS, WARM = 30_000, 26, 6
MOST_MB = 30.0  # what twenty folds may add; the events of one, as Arrow holds them, are 3 MB


@pytest.mark.soak
def test_twenty_folds_more_take_no_more_memory(heard, tmp_path):
    """A log of many events about few decisions, read and folded in a process with the settings of the worker."""
    lab = heard[0].copy(tmp_path)
    at = int(moment(5).timestamp() * 1e6)
    with open_store(lab.workspace) as store, store.transaction() as session:
        log = EventLog(session)
        ids = [row[0] for row in session.connection().exec_driver_sql("SELECT decision_id FROM feedback_event")]
        about = [ids[i % len(ids)] for i in range(EVENTS)]
        log.add(
            [
                NewEvent(f"more-{i}", name, i % 2, 0, at + i, at + i, "d", "corrected", decision_key(name))
                for i, name in enumerate(about)
            ]
        )
    command = [sys.executable, str(Path(__file__).with_name("engine_folds.py"))]
    command += [str(lab.workspace.root), moment(LATE).isoformat(), str(FOLDS)]
    environment = {**WORKER_SETTINGS, **os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    megabytes = np.array(json.loads(run.stdout))
    assert len(megabytes) == FOLDS
    assert np.median(megabytes[-3:]) - np.median(megabytes[WARM - 3 : WARM]) < MOST_MB, megabytes
