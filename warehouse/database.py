"""The operational database's file: opened, brought up to date and written so that what is acknowledged is durable."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from allot import WorkspaceError
from warehouse.fresh import settle

REVISION = "0001"
_READ_ONLY = "readonly database"
_NO_ROOM = ("disk is full", "disk I/O error")


def make_engine(path: Path) -> Engine:
    """An engine over one SQLite file; each connection in WAL mode, `synchronous=FULL`, foreign keys on."""
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", lambda connection, _record: settle(connection))
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads before it writes fails at once where another has written in between.
    immediate = connection.get_execution_options().get("allot_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write."""
    return engine.execution_options(allot_writes=True)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        WorkspaceError: the file is locked, full, damaged, or refuses a row that refers to nothing.
    """
    try:
        yield
    except IntegrityError as error:
        raise WorkspaceError(
            f"the row is refused: {error.orig}.", where=str(path), remedy="Store what it refers to first."
        ) from error
    except OperationalError as error:
        if any(word in str(error.orig) for word in _NO_ROOM):
            remedy = "Free some space and run the command again."
            what = f"the disk is full or failing ({error.orig}); nothing was changed."
            raise WorkspaceError(what, where=str(path), remedy=remedy) from error
        if _READ_ONLY in str(error.orig):
            remedy = "Ask for the right to write there, or use another workspace."
            raise WorkspaceError("may not be written to.", where=str(path), remedy=remedy) from error
        remedy = "Wait for the other command, or free some space, and try again."
        raise WorkspaceError(f"the database cannot be used: {error.orig}.", where=str(path), remedy=remedy) from error
    except DatabaseError as error:
        remedy = "Restore it from a backup."
        raise WorkspaceError(f"the database is damaged: {error.orig}.", where=str(path), remedy=remedy) from error


def revision_of(engine: Engine) -> str | None:
    """The revision that the file stands at; None for an empty file."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def migrate(engine: Engine, to: str = REVISION) -> None:
    """Bring the tables to a revision ("base" empties the file), all of it or nothing.

    Raises:
        WorkspaceError: the file was made by a newer version.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        try:
            (command.downgrade if to == "base" else command.upgrade)(config, to)
        except CommandError as error:
            raise WorkspaceError(
                f"the database stands at a revision that this version does not know: {error}.",
                where=str(engine.url.database),
                remedy="Use the version of Allot that made it, or a newer one.",
            ) from error
