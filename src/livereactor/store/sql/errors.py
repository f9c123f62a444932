"""Translates the errors of the databases into ours, so that nothing above the adapter sees theirs."""

from __future__ import annotations

import structlog
from sqlalchemy import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, TimeoutError

from livereactor.base.errors import ConfigError, ConflictError, UsageError
from livereactor.store.port import StoreUnavailableError

log = structlog.get_logger("livereactor.store")


def ours(error: Exception) -> Exception:
    """Translate an error of a database or of SQLAlchemy into one of ours; any other error is returned as it is."""
    match error:
        case IntegrityError():
            return ConflictError(f"the database holds another record with that key already ({reason(error)})")
        case DataError():
            return UsageError(f"the database cannot store this value ({reason(error)}); send another")
        case DBAPIError() | TimeoutError():
            # What exactly the database said is the operator's: the sentence may reach a client.
            log.error("database failed", reason=reason(error))
            return StoreUnavailableError("the database does not answer now; see the coordinator's log")
        case UnicodeEncodeError():
            return UsageError("a string is not valid Unicode; send one without lone surrogates")
        case _:
            return error


def unusable(error: SQLAlchemyError, url: URL) -> Exception:
    """Make the error for a database that cannot be opened; the message names the database, without its password."""
    where = url.render_as_string(hide_password=True)
    text = reason(error)
    if isinstance(error, DBAPIError) and (isinstance(error.orig, ValueError) or any(sign in text for sign in _MISSET)):
        return ConfigError(f"store url {where}: {text}; name a database that can be opened and written")
    return StoreUnavailableError(f"store url {where}: {text}; start the server, or name another in [store] url")


def reason(error: Exception) -> str:
    """One line of what the database itself said."""
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(said).split("\n", maxsplit=1)[0].split()) or type(said).__name__


# Nothing of these passes by waiting.
_MISSET = (
    "file is not a database",
    "unable to open database file",
    "readonly database",
    "malformed",
    "authentication failed",
    "does not exist",
    "permission denied",
    "no password supplied",
    "no pg_hba.conf entry",
    "Name or service not known",
    "nodename nor servname provided",
)
