"""Transactions on one database, opened with its tables up to date."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, TypeVar, final

from sqlalchemy import Engine
from sqlmodel import Session

from allot import WorkspaceError
from warehouse.database import Database, alone, make_engine, reading, writing
from warehouse.driver_errors import in_words, lost_a_race
from warehouse.revisions import OPERATIONAL, Revisions, migrate, revision_of

T = TypeVar("T")

_ATTEMPTS = 5
_PAUSE = 0.01  # seconds, so that the winner of a race gets what it waits for before the loser is there again


@final
class Transactions:
    """Where the tables of one database are read and written; a thread has at most one transaction open at a time."""

    def __init__(self, engine: Engine, database: Database) -> None:
        self.database = database
        self._engine = engine
        self._reading = reading(engine)
        self._writing = writing(engine)
        self._open = threading.local()

    @classmethod
    def open(cls, database: Database, *, create: bool, revisions: Revisions = OPERATIONAL) -> Self:
        """Connect, and bring the tables up to date.

        Args:
            database: which.
            create: make it where it is missing.
            revisions: of its tables.

        Raises:
            WorkspaceError: missing, damaged, locked, out of reach, or made by a newer version.
        """
        if database.dialect == "sqlite" and not create and not database.path.is_file():
            raise _missing(database)
        engine = make_engine(database)
        with in_words(database.where):
            found = revision_of(engine)
            if found is None and not create and database.dialect == "postgresql":
                raise _missing(database)
            if found != revisions.newest:
                migrate(engine, database, revisions=revisions)
        return cls(engine, database)

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[Session]:
        """One transaction: durable when the block ends, and as if it had never begun when the block fails.

        Blocks may nest; the outermost one commits.

        Raises:
            WorkspaceError: the database is locked, full, damaged or out of reach, or a writing block stands inside a
                reading one.
        """
        outer: tuple[Session, bool] | None = getattr(self._open, "session", None)
        if outer is not None:
            if write and not outer[1]:
                raise WorkspaceError("a reading transaction cannot write.", remedy="Open it with write=True.")
            yield outer[0]
            outer[0].flush()
            return
        engine = self._writing if write else self._reading
        with in_words(self.database.where), Session(engine, expire_on_commit=False) as session:
            self._open.session = (session, write)
            try:
                with session.begin():
                    yield session
            finally:
                self._open.session = None

    def repeated(self, work: Callable[[Session], T]) -> T:
        """What a work returns, done in one writing transaction and again in another while it loses races.

        Inside a transaction it is done once: only the outermost one can begin anew.

        Raises:
            WorkspaceError: as `begin`, or it has lost every time.
        """
        for lost in range(1, _ATTEMPTS):
            try:
                return self._once(work)
            except WorkspaceError as error:  # of the outermost transaction: inside, the driver's own words pass
                if not lost_a_race(error):
                    raise
            time.sleep(lost * _PAUSE)
        return self._once(work)

    def _once(self, work: Callable[[Session], T]) -> T:
        with self.begin() as session:
            return work(session)

    def alone(self, session: Session, subject: str) -> None:
        """Keep every other transaction that asks for the same subject waiting until this one has ended."""
        alone(session.connection(), subject)


def _missing(database: Database) -> WorkspaceError:
    remedy = "Run `allot init` or name another workspace."
    return WorkspaceError("the workspace has no database.", where=database.where, remedy=remedy)
