"""One transaction in SQL: fits `Tx` (store/port.py) by shape."""

from __future__ import annotations

from livereactor.store.sql.accounts import AccountStatements
from livereactor.store.sql.ledger import LedgerStatements
from livereactor.store.sql.sessions import SessionStatements
from livereactor.store.sql.workers import WorkerStatements


class SqlTx(AccountStatements, SessionStatements, WorkerStatements, LedgerStatements):
    """Everything a transaction can do, from its four parts."""
