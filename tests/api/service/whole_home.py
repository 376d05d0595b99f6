"""All that a home has: what must not change where nothing is written."""

from pathlib import Path
from typing import Any

from sqlalchemy import inspect, text

from warehouse import Workspace, open_store


def everything(home: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The rows of every table, in whichever database they are, and when every file was written last."""
    with open_store(Workspace.open(home)) as store, store.transaction(write=False) as session:
        names = inspect(session.connection()).get_table_names()
        rows = {name: sorted(map(repr, session.execute(text(f'SELECT * FROM "{name}"')))) for name in names}
    assert len(rows) > 10
    files = [path for path in home.rglob("*") if path.is_file() and "allot.db" not in path.name]
    return rows, {str(path): path.stat().st_mtime_ns for path in files}
