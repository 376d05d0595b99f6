"""What the database drivers complain of, in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from allot import WorkspaceError

_NO_ROOM = ("disk is full", "disk I/O error")
_READ_ONLY = "readonly database"
# PostgreSQL's error codes, by their beginnings.
_CODES = {
    "53100": "full",
    "53": "busy",
    "55P03": "busy",
    "40": "busy",
    "57014": "busy",
    "25006": "forbidden",
    "42501": "forbidden",
    "42P01": "missing",
    "3F000": "missing",
    "XX": "damaged",
}
_LOST_A_RACE = ("40001", "40P01")  # serialization failure, deadlock


@contextmanager
def in_words(where: str) -> Iterator[None]:
    """Turn the driver's errors into ours. A statement that is wrong is a defect of the program, and stays what it is.

    Raises:
        WorkspaceError: the database is locked, full, damaged, out of reach, or refuses a row.
    """
    try:
        yield
    except IntegrityError as error:
        what = f"the row is refused: {_said(error)}."
        raise WorkspaceError(what, where=where, remedy="Store what it refers to first.") from error
    except DataError as error:
        what = f"the row is refused: {_said(error)}."
        raise WorkspaceError(what, where=where, remedy="Give text without NUL and numbers in range.") from error
    except NoConnectionError as error:
        raise WorkspaceError("all connections are in use.", where=where, remedy="Try again in a moment.") from error
    except DBAPIError as error:
        kind = _kind(error)
        if kind is None:
            raise
        _raise(error, kind, where)


def lost_a_race(error: BaseException | None) -> bool:
    """Whether PostgreSQL ended a transaction in favour of another one, so that all of it may be done again."""
    while error is not None:
        if getattr(getattr(error, "orig", None), "sqlstate", None) in _LOST_A_RACE:
            return True
        error = error.__cause__
    return False


def _said(error: DBAPIError) -> str:
    """The driver's first line, without the full stop that ends our sentence."""
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0].rstrip(".")


def _kind(error: DBAPIError) -> str | None:
    """What sort of trouble it is: full, forbidden, missing, damaged, gone, busy; None for a wrong statement."""
    code = getattr(error.orig, "sqlstate", None) or ""
    known = next((kind for start, kind in _CODES.items() if code.startswith(start)), None)
    if known is not None:
        return known
    if hasattr(error.orig, "sqlstate"):
        return "gone" if isinstance(error, OperationalError) or error.connection_invalidated else None
    if any(word in str(error.orig) for word in _NO_ROOM):
        return "full"
    if _READ_ONLY in str(error.orig):
        return "forbidden"
    if isinstance(error, OperationalError):
        return "busy"
    return "damaged" if type(error) is DatabaseError else None


def _raise(error: DBAPIError, kind: str, where: str) -> NoReturn:
    what, remedy = {
        "full": (
            f"the disk is full or failing ({_said(error)}); nothing was changed.",
            "Free some space and run the command again.",
        ),
        "forbidden": ("may not be written to.", "Ask for the right to write there, or use another workspace."),
        "missing": (f"the workspace has no tables there ({_said(error)}).", "Run `allot init`."),
        "gone": (f"the database cannot be reached: {_said(error)}.", "Start it, or check the address, and try again."),
        "busy": (
            f"the database cannot be used: {_said(error)}.",
            "Wait for the other command, or free some space, and try again.",
        ),
        "damaged": (f"the database is damaged: {_said(error)}.", "Restore it from a backup."),
    }[kind]
    raise WorkspaceError(what, where=where, remedy=remedy) from error
