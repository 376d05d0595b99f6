"""What was counted of the log before: whoever reads it again and again need not begin at its beginning."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple, final

from warehouse.workspace import Workspace, claim

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_WORTH = 65_536  # events that are counted again rather than the lines written again, at least
_AT_ONCE = 65_536  # lines in memory while they are written
_SHARE = 4  # and as many as this part of the lines
_BACK = """INSERT INTO so_far SELECT decision_id, event_id, outcome, reward_micros::HUGEINT, occurred_at, received_at
    FROM kept"""


class Tally(NamedTuple):
    """Which events count up to a place in the log: how many, and a sum that other events would hardly have."""

    events: int
    checksum: int


@final
class Counted:
    """One line for each decision, counted of the log up to some place; in a file of its own, of one process.

    An event that counts stays as it is, and goes on to count. Others come to count before that place: one waited for
    its decision, one was written by a transaction that took long. So the lines hold for as long as the events up to
    their place are as many as were counted into them, and the time up to which events count is no earlier; otherwise
    all are counted again. A sum tells the events of another history, where a database was put back meanwhile.

    The lines go only as far as the log went at the reading before, since much is still being written near its end.

    Args:
        workspace: in whose scratch folder the file is. Without it, or where it cannot be written, all is counted again.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.spills / token_hex(8)
        self._claim: int | None = None
        self._place, self._lines, self._tally = 0, 0, Tally(0, 0)
        self._up_to: datetime | None = None
        self._before = 0  # where the log ended at the last reading

    def restore(
        self, connection: "DuckDBPyConnection", up_to: datetime | None, tally_until: Callable[[int], Tally]
    ) -> int:
        """Put the lines into the connection's `so_far`, if they hold.

        Args:
            connection: with an empty `so_far`.
            up_to: what occurred later does not count; None: all does.
            tally_until: of the events that count up to a place in the log.

        Returns:
            The place up to which they go; 0 where none hold.
        """
        import pyarrow as pa

        later = up_to is None or (self._up_to is not None and up_to >= self._up_to)
        if self._place and later and tally_until(self._place) == self._tally:
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

    def keep(self, connection: "DuckDBPyConnection", up_to: datetime | None, place: int, tally: Tally) -> None:
        """Keep what is in `so_far`: what the events up to a place say, of those that occurred up to a time."""
        self.forget()
        try:
            lines = self._written(connection)
        except BaseException as error:  # half a file would only fill the disk, and the folder may be gone
            self.close()
            if not isinstance(error, OSError):
                raise
        else:
            self._place, self._lines, self._tally, self._up_to = place, lines, tally, up_to

    def forget(self) -> None:
        """From now on nothing is known."""
        self._place, self._lines, self._tally = 0, 0, Tally(0, 0)
        with suppress(OSError):
            self._file.unlink()

    def close(self) -> None:
        """Remove the file and its folder; keeping makes them anew."""
        self.forget()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    @property
    def events(self) -> int:
        """How many events were counted into the lines."""
        return self._tally.events

    def _written(self, connection: "DuckDBPyConnection") -> int:
        """How many lines were written."""
        import pyarrow as pa

        if self._claim is None:
            self._claim = claim(self._folder)
        lines, written = connection.sql("FROM so_far").to_arrow_reader(_AT_ONCE), 0
        with pa.ipc.new_file(str(self._file), lines.schema) as sink:
            for part in lines:
                sink.write_batch(part)
                written += part.num_rows
        return written

    @property
    def _file(self) -> Path:
        return self._folder / "counted.arrow"
