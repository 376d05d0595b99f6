"""What the worker does about budgets by itself: outcomes settle what is held, and what the dead borrowed is freed."""

from datetime import datetime
from pathlib import Path
from typing import Any, final

from warehouse import Ledger, Store, Workspace
from warehouse.settling import Settling


@final
class SettlingBudgets:
    """Settles some decisions of each tenant at every call, and ends leases that have expired."""

    def __init__(self) -> None:
        self._settling: dict[Path, Settling] = {}

    def __call__(self, workspace: Workspace, store: Store, now: datetime) -> dict[str, Any] | None:
        """What was settled and what could not be spent any more; None where nothing was done."""
        freed = Ledger(store, worker="settling", clock=lambda: now).reclaim(now)
        settling = self._settling.setdefault(workspace.root, Settling(store))
        settled = settling.turn(now)
        if not freed and (settled is None or not settled.decisions):
            return None
        done: dict[str, Any] = {"freed_micros": freed, "settled": 0 if settled is None else settled.decisions}
        return done if settled is None or not settled.short else done | {"short_micros": settled.short}
