"""A world whose truth is known, real data beside the reference, the acceptance walk. `python -m examples.run`."""

import subprocess
import sys
import tempfile
from pathlib import Path

from api.console import say
from examples import hillstrom, risk, starbucks
from examples.data import DATA, REPOSITORY, missing

WALK = DATA.parent / "acceptance" / "spine.py"


def main() -> int:
    """Run every example whose data are there; the status is that of the acceptance walk."""
    risk.run()
    if absent := missing(DATA):
        say(absent)
        return 0
    with tempfile.TemporaryDirectory(prefix="allot-examples-") as folder:
        hillstrom.run(Path(folder) / "hillstrom")
        starbucks.run(Path(folder) / "starbucks")
    return _walk()


def _walk() -> int:
    """The acceptance walk drives the installed command as a user would and recounts everything itself."""
    if absent := missing(WALK):
        say(absent)
        return 0
    say("", "[bold]Acceptance walk[/]")
    sys.stdout.flush()
    command = [sys.executable, str(WALK), str(Path(sys.executable).with_name("allot"))]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode  # noqa: S603 -- our own words only


if __name__ == "__main__":
    sys.exit(main())
