"""Learns again and again, as the worker does, and prints resident megabytes after each fold.

`WORKSPACE AS_OF FOLDS`
"""

import json
import os
import sys
import threading
from datetime import datetime
from pathlib import Path

from engine.learn import learn
from warehouse import Workspace


def folds(workspace: Workspace, as_of: datetime, times: int, megabytes: list[float]) -> None:
    """Learn so many times, and see what is resident after each."""
    for _ in range(times):
        learn(workspace, as_of=as_of)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        megabytes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def main() -> None:
    """In a thread of its own, like the worker's lane."""
    seen: list[float] = []
    given = (Workspace.open(Path(sys.argv[1])), datetime.fromisoformat(sys.argv[2]), int(sys.argv[3]))
    thread = threading.Thread(target=folds, args=(*given, seen))
    thread.start()
    thread.join()
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
