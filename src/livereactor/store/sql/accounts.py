"""Accounts, their keys, and models: the part of a transaction that changes seldom and is read by every request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from livereactor.store.port import LostRaceError
from livereactor.store.records import Account, ApiKey, ModelRecord
from livereactor.store.sql import schema
from livereactor.store.sql.prepared import Executor
from livereactor.store.sql.rows import Rows
from livereactor.store.sql.statements import KeyedTable, Statements, first, listing, param

_ACCOUNT: Final = Rows(Account, schema.ACCOUNTS)
_ACCOUNTS: Final = KeyedTable(_ACCOUNT, "id")
_ALL_ACCOUNTS: Final = select(*_ACCOUNT.columns).order_by(schema.ACCOUNTS.c.id)

_KEY: Final = Rows(ApiKey, schema.API_KEYS)
_KEYS: Final = KeyedTable(_KEY, "id")
_KEY_BY_HASH: Final = select(*_KEY.columns).where(schema.API_KEYS.c.sha256 == param("sha256"))
_ALL_KEYS: Final = select(*_KEY.columns).order_by(schema.API_KEYS.c.created_us, schema.API_KEYS.c.id)

_MODEL: Final = Rows(ModelRecord, schema.MODELS)
_MODELS: Final = KeyedTable(_MODEL, "name")
_ALL_MODELS: Final = select(*_MODEL.columns).order_by(schema.MODELS.c.name)


class AccountStatements(Statements):
    """Accounts, keys and models of one transaction."""

    def __init__(self, executor: Executor, *, locking: bool) -> None:
        super().__init__(executor, locking=locking)
        self._shared = set[str]()  # models that are held together with others

    def account(self, account: str, *, lock: bool = False) -> Account | None:
        """The account with this id."""
        return _ACCOUNTS.get(self, account, lock=lock)

    def accounts(self) -> Sequence[Account]:
        """All, by id."""
        return listing(self, _ACCOUNT, _ALL_ACCOUNTS)

    def put_account(self, account: Account) -> None:
        """Insert or replace it."""
        _ACCOUNTS.put(self, account)

    def key_by_hash(self, sha256: str) -> ApiKey | None:
        """The key whose hex digest this is."""
        return first(self, _KEY, _KEY_BY_HASH, sha256=sha256)

    def key(self, key: str, *, lock: bool = False) -> ApiKey | None:
        """The key with this id."""
        return _KEYS.get(self, key, lock=lock)

    def keys(self) -> Sequence[ApiKey]:
        """All, oldest first."""
        return listing(self, _KEY, _ALL_KEYS)

    def put_key(self, key: ApiKey) -> None:
        """Insert or replace it."""
        _KEYS.put(self, key)

    def model(self, name: str, *, lock: bool = False, shared: bool = False) -> ModelRecord | None:
        """The model of this name."""
        if lock and name in self._shared and self.may_begin_anew and not _MODELS.is_unheld(self, name):
            raise LostRaceError  # another shares it who may want it alone as well
        if shared:
            self._shared.add(name)
        return _MODELS.get(self, name, lock=lock, shared=shared)

    def models(self) -> Sequence[ModelRecord]:
        """All, by name."""
        return listing(self, _MODEL, _ALL_MODELS)

    def put_model(self, model: ModelRecord) -> None:
        """Insert or replace it."""
        _MODELS.put(self, model)
