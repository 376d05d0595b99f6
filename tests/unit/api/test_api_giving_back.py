"""The worker's memory after long work: what is free goes back to the system."""

import ctypes
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from api.service import learning
from warehouse import Workspace

LEFT_FREE = """
import os
from pathlib import Path
from api.service.giving_back import give_back

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

pieces = [bytearray(b"x" * 50_000) for _ in range(2_000)]
left = pieces[::10]  # what is free between them does not go back by itself
del pieces
kept = megabytes()
give_back()
print(kept - megabytes())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc gives back when it is asked")
def test_what_is_free_between_pieces_in_use_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", LEFT_FREE], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 60.0  # of 90 MB


def test_learning_gives_back_what_it_does_not_need_any_more(monkeypatch, tmp_path):
    given, workspace, learns = [], Workspace.init(tmp_path / "workspace"), learning.Learning()
    monkeypatch.setattr(learning, "give_back", lambda: given.append(True))
    learnt = {"posterior": "p", "folded": 1, "filled": 0, "overlaid": 0, "refolded": 0}
    for found in (None, learnt):
        monkeypatch.setattr(learning, "learn_when_due", lambda *_, found=found, **__: found)
        assert learns(workspace, None, datetime.now(UTC)) == found
    assert given == [True]
