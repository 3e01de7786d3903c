"""Which errors are the database's own trouble, and which are about what it was asked for."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError

#: PostgreSQL's codes of trouble that its driver has other classes for: it takes no writes, as after a switch to a
#: standby, or it ended a session that was silent, or busy, for too long.
_TROUBLE = frozenset({"25006", "25P03", "25P04"})


def is_trouble(error: BaseException) -> bool:
    """Whether the database is away, too busy, full or damaged, or has ended the session: later the same may do.

    What it says of a statement or its values (DataError, IntegrityError, ProgrammingError …) is none: the next try
    would end in the same way. Nor is a transaction that goes on after an error in it, which is a mistake of ours.
    """
    if isinstance(error, DBAPIError):
        is_away = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
        return is_away or getattr(error.orig, "sqlstate", None) in _TROUBLE
    return isinstance(error, NoConnectionError)


def said(error: BaseException) -> str:
    """What an error says, in a line where it is the database's, without the statement that it is about."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
    return str(error)
