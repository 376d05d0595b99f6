"""A database's tables, brought to the revision that this version of the code knows."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.schema import CreateSchema

from allot import WorkspaceError
from warehouse.database import Database, alone, writing


@dataclass(frozen=True, slots=True)
class Revisions:
    """The history of one set of tables: the folder of its scripts and the revision that the code knows."""

    folder: str
    newest: str


REVISION = "0002"
OPERATIONAL = Revisions("migrations", REVISION)
CONTROL = Revisions("control_migrations", "0001")


def revision_of(engine: Engine) -> str | None:
    """The revision that the tables stand at; None where there are none."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def migrate(engine: Engine, database: Database, to: str | None = None, *, revisions: Revisions = OPERATIONAL) -> None:
    """Bring the tables to a revision (default the newest; "base" takes them all away), all of it or nothing.

    Processes that start together wait for each other.

    Raises:
        WorkspaceError: the tables were made by a newer version.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / revisions.folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with writing(engine).begin() as connection:
        alone(connection, f"migrate {database.schema}")
        if database.schema:
            connection.execute(CreateSchema(database.schema, if_not_exists=True))
        config.attributes["connection"] = connection
        try:
            (command.downgrade if to == "base" else command.upgrade)(config, to or revisions.newest)
        except CommandError as error:
            raise WorkspaceError(
                f"the database stands at a revision that this version does not know: {error}.",
                where=database.where,
                remedy="Use the version of Allot that made it, or a newer one.",
            ) from error
