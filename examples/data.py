"""Where the public data sets and their reference results are; nothing of them is kept in this project."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ALLOT_DATA", REPOSITORY.parent / "shared" / "data"))
REFERENCE = DATA.parent / "reference"


def missing(*paths: Path) -> str:
    """A sentence about files that are not there; empty when all are."""
    absent = [str(path) for path in paths if not path.exists()]
    if not absent:
        return ""
    return f"Left out: {', '.join(absent)} not found. Point ALLOT_DATA at the folder of data sets."
