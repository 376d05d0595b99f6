"""What was counted of the log before: whoever reads it again and again need not begin at its beginning."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, final

from warehouse.workspace import Workspace, claim

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_WORTH = 65_536  # events that are counted again rather than the lines written again, at least
_AT_ONCE = 65_536  # lines in memory while they are written
_SHARE = 4  # and as many as this part of the lines
_BACK = """INSERT INTO so_far SELECT decision_id, event_id, outcome, reward_micros::HUGEINT, occurred_at, received_at
    FROM kept"""


@final
class Counted:
    """One line for each decision, counted of the log up to some place; in a file of its own, of one process.

    An event that counts stays as it is, and goes on to count. Others come to count before that place: one waited for
    its decision, one was written by a transaction that took long. So the lines hold for as long as no more and no fewer
    events count up to their place than were counted into them; where that is otherwise, all are counted again.

    The lines go only as far as the log went at the reading before, since much is still being written near its end.

    Args:
        workspace: in whose scratch folder the file is. Without it, or where it cannot be written, all is counted again.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.spills / token_hex(8)
        self._claim: int | None = None
        self._place, self._events, self._lines = 0, 0, 0
        self._up_to: datetime | None = None
        self._before = 0  # where the log ended at the last reading

    def restore(
        self, connection: "DuckDBPyConnection", up_to: datetime | None, events_until: Callable[[int], int]
    ) -> int:
        """Put the lines into the connection's `so_far`, if they hold.

        Args:
            connection: with an empty `so_far`.
            up_to: what occurred later does not count; None: all does.
            events_until: how many events count up to a place in the log.

        Returns:
            The place up to which they go; 0 where none hold.
        """
        import pyarrow as pa

        later = up_to is None or (self._up_to is not None and up_to >= self._up_to)
        if self._place and later and events_until(self._place) == self._events:
            try:
                with pa.memory_map(str(self._file)) as source:
                    connection.register("kept", pa.ipc.open_file(source).read_all())
                    connection.execute(_BACK)
                    connection.unregister("kept")
                return self._place
            except (OSError, pa.ArrowInvalid):
                connection.execute("DELETE FROM so_far")
        self.forget()
        return 0

    def next_place(self, end: int) -> int:
        """Up to where to count before the lines are kept; 0 if they need not be. The log goes as far as `end`."""
        before, self._before = self._before, end
        worth = max(_WORTH, self._lines // _SHARE)
        return before if self._place + worth <= before <= end else 0

    def keep(self, connection: "DuckDBPyConnection", up_to: datetime | None, place: int, events: int) -> None:
        """Keep what is in `so_far`: what so many events up to a place say, of those that occurred up to a time."""
        import pyarrow as pa

        self.forget()
        try:
            if self._claim is None:
                self._claim = claim(self._folder)
            lines = connection.sql("FROM so_far").to_arrow_reader(_AT_ONCE)
            written = 0
            with pa.ipc.new_file(str(self._file), lines.schema) as sink:
                for part in lines:
                    sink.write_batch(part)
                    written += part.num_rows
        except OSError:
            return
        self._place, self._events, self._lines, self._up_to = place, events, written, up_to

    def forget(self) -> None:
        """From now on nothing is known."""
        self._place, self._events, self._lines = 0, 0, 0
        with suppress(OSError):
            self._file.unlink()

    def close(self) -> None:
        """Remove the file."""
        self.forget()
        if self._claim is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._claim)
            self._claim = None

    @property
    def events(self) -> int:
        """How many events were counted into the lines."""
        return self._events

    @property
    def _file(self) -> Path:
        return self._folder / "counted.arrow"
