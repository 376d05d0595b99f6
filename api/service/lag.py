"""How long has feedback waited to be learnt from?"""

from datetime import UTC, datetime
from typing import final

from api.service.state import Tenant
from warehouse.learning_marks import learning_mark, to_be_seen


@final
class Lag:
    """Watches one tenant: since when there has been feedback that learning has not looked at."""

    def __init__(self, tenant: Tenant) -> None:
        self._store = tenant.store
        self._since: float | None = None

    def look(self, now: float) -> float:
        """Seconds for which something has been seen to wait; 0 where nothing does, or nothing can be learnt yet.

        Args:
            now: monotonic seconds.

        Raises:
            WorkspaceError: the database cannot be read.
        """
        seen, mark = to_be_seen(self._store, datetime.now(UTC)), learning_mark(self._store)
        known = None if mark is None else mark.seen["feedback"]
        if seen["posterior"] is None or not seen["feedback"] or seen["feedback"] == known:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = now
        return now - self._since
