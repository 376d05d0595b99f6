"""Where what must be transactional is kept: a SQLite file, or by one setting a schema of a PostgreSQL database."""

import os
import selectors
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlmodel import Session, SQLModel

from allot import WorkspaceError
from warehouse.fresh import SETTING, settle
from warehouse.prepared import rows_of
from warehouse.workspace import Workspace

DialectName: TypeAlias = Literal["sqlite", "postgresql"]

# A server that does not answer is noticed within half a minute, also where the network swallows packets.
_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# Every session of ours: our tables only, no longer wait for a lock than on SQLite, and what is acknowledged is on disk
# whatever the server's own default says.
_SESSION = "-csearch_path={schema} -clock_timeout=30s -csynchronous_commit=on -ctimezone=UTC"

# Any number of files may be open where there is poll; Windows has none.
_Look: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


@dataclass(frozen=True, slots=True)
class Database:
    """One set of tables: a SQLite file (`schema` empty) or a schema of a PostgreSQL database."""

    url: URL
    schema: str = ""

    @property
    def dialect(self) -> DialectName:
        """Which of the two."""
        return "postgresql" if self.schema else "sqlite"

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path(str(self.url.database))

    @property
    def where(self) -> str:
        """For messages: no user, no password."""
        if not self.schema:
            return str(self.url.database)
        return f"PostgreSQL database {self.url.database or ''} on {self.url.host or 'this machine'}, {self.schema}"


def in_file(path: Path) -> Database:
    """The database in a SQLite file."""
    return Database(URL.create("sqlite", database=str(path)))


def in_schema(url: str, schema: str) -> Database:
    """The database in a schema of a PostgreSQL database.

    Raises:
        WorkspaceError: the address is not that of a PostgreSQL database.
    """
    remedy = "Give postgresql://user:password@host:port/database, or take the setting away for SQLite."
    try:
        found = make_url(url)
    except ArgumentError as error:  # it may hold a password, so it is not repeated
        raise WorkspaceError("is not the address of a database.", where=SETTING, remedy=remedy) from error
    if found.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise WorkspaceError(f"cannot be a {found.drivername} database.", where=SETTING, remedy=remedy)
    return Database(found.set(drivername="postgresql+psycopg"), schema)


def database_of(workspace: Workspace) -> Database:
    """Where a workspace's campaigns, models, feedback and so on are.

    Raises:
        WorkspaceError: the setting is not the address of a PostgreSQL database.
    """
    return _by_setting(workspace.store_path, f"allot_{_fingerprint('schema', workspace)}")


def control_of(home: Workspace) -> Database:
    """Where the keys to a home and its tenants are.

    Raises:
        WorkspaceError: the setting is not the address of a PostgreSQL database.
    """
    return _by_setting(home.root / "control.db", f"allot_control_{_fingerprint('control', home)}")


def _by_setting(path: Path, schema: str) -> Database:
    url = os.environ.get(SETTING)
    return in_schema(url, schema) if url else in_file(path)


def _fingerprint(purpose: str, workspace: Workspace) -> str:
    """Names a workspace by its house key, without telling the key."""
    return sha256(f"{purpose}:{workspace.house_key:016x}".encode()).hexdigest()[:16]


def make_engine(database: Database) -> Engine:
    """Connections on which what is committed is on disk: SQLite in WAL mode with `synchronous=FULL`, foreign keys on.

    PostgreSQL sessions see their schema alone; a connection that the server has closed is replaced on the next use.
    """
    if database.dialect == "sqlite":
        engine = create_engine(database.url, pool_use_lifo=True)  # its pages are in memory still
        event.listen(engine, "connect", lambda connection, _record: settle(connection))
        event.listen(engine, "begin", _begin)
        return engine
    given = database.url.query.get("options", "")
    options = " ".join([given if isinstance(given, str) else " ".join(given), _SESSION.format(schema=database.schema)])
    engine = create_engine(
        database.url.update_query_dict({"options": options.strip()}),
        connect_args=_CONNECTION,
        pool_use_lifo=True,
        pool_size=2,  # of each tenant in each process, idle; under load there are eight more
        max_overflow=8,
    )
    event.listen(engine, "checkout", lambda connection, _record, _proxy: _replace_closed(engine, connection))
    return engine


def _replace_closed(engine: Engine, connection: Any) -> None:
    """Have a connection replaced that the server has closed.

    On one that is idle nothing arrives, unless the server hangs up or has news; so the server is asked only then, and a
    transaction does not begin with a question of its own.

    Raises:
        InvalidatePoolError: it is closed, and so may be others; the pool makes a new one.
    """
    try:
        with _Look() as look:
            look.register(connection, selectors.EVENT_READ)
            if look.select(0):
                engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads before it writes fails at once where another has written in between.
    immediate = connection.get_execution_options().get("allot_writes", False)
    rows_of(connection, "BEGIN IMMEDIATE" if immediate else "BEGIN", {})


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write; on PostgreSQL several may run at once, see `alone`."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(allot_writes=True)
    return engine.execution_options(isolation_level="READ COMMITTED")


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that read: all their queries see one moment."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def alone(connection: Connection, subject: str) -> None:
    """Wait until no other transaction that has asked for the same subject is running, and keep the others out.

    For what reads before it writes. SQLite has one writer at a time anyway. The database lets go by itself when the
    transaction ends, also by our death.
    """
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(func.concat(func.current_schema(), ":", subject), 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def insert_into(connection: Connection, table: type[SQLModel]) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that can say `on_conflict_do_nothing` and `on_conflict_do_update` on the database at hand."""
    target = table.__table__  # type: ignore[attr-defined]  # SQLModel makes it
    return postgresql.insert(target) if connection.dialect.name == "postgresql" else sqlite.insert(target)


def put(session: Session, table: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; one whose primary key is taken replaces the row that has it."""
    if not rows:
        return
    session.flush()
    statement = insert_into(session.connection(), table)
    keys = [column.name for column in statement.table.primary_key]
    new = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    replacing = statement.on_conflict_do_update(index_elements=keys, set_=new)
    session.execute(replacing, [dict(row) for row in rows])
    session.expire_all()  # what the session has read of them is no longer true
