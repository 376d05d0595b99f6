"""What the worker does about feedback by itself: waiting events find their decisions, and the posterior learns."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, final

from api.service.giving_back import give_back
from api.service.settings import read_settings
from engine.due import learn_when_due
from warehouse import Counted, KnownDecisions, Store, Workspace
from warehouse.dead_letters import oldest_wait, sweep


@final
class Learning:
    """Learns if there is something new, and remembers for each tenant what it has counted of the log."""

    def __init__(self) -> None:
        self._counted: dict[Path, Counted] = {}

    def __call__(self, workspace: Workspace, store: Store, now: datetime) -> dict[str, Any] | None:
        """What was learnt in short; None where nothing was due.

        Raises:
            LockedError: another command is writing.
        """
        counted = self._counted.setdefault(workspace.root, Counted(workspace))
        learnt = learn_when_due(workspace, store, now=now, counted=counted)
        if learnt is None:
            return None
        give_back()
        return {name: learnt[name] for name in ("posterior", "folded", "filled", "overlaid", "refolded")}


@final
class Joining:
    """Joins the events that wait for their decision, and gives up those that have waited too long."""

    def __init__(self) -> None:
        self._known: dict[Path, KnownDecisions] = {}

    def __call__(self, workspace: Workspace, store: Store, now: datetime) -> dict[str, int] | None:
        """What was joined and what was given up; None where nothing was."""
        if not oldest_wait(store, now=now):
            return None
        if workspace.root not in self._known:
            self._known[workspace.root] = KnownDecisions(workspace, store)
        patience = timedelta(hours=read_settings().feedback_hours)
        swept = sweep(store, self._known[workspace.root], now=now, patience=patience)
        return {"joined": swept.joined, "dead": swept.dead} if swept.joined or swept.dead else None
