"""API keys: created, listed, revoked, and found by what a client shows. Only their hashes are kept.

Loop only. A key that was found counts for `FRESH` without the store, so that a poll costs no query and a revocation is
in force everywhere within a minute.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from livereactor.base.errors import NotFoundError, UnauthorizedError
from livereactor.base.ids import uuid7
from livereactor.protocol.tokens import CreatedKey, KeyBody, KeyRequest
from livereactor.store.port import Store, StoreUnavailableError, Tx
from livereactor.store.records import Account, ApiKey
from livereactor.web.rates import FailedAttempts

PREFIX: Final = "rk_"
KEY: Final = re.compile(r"rk_[0-9A-Za-z]{33}")
FRESH: Final = 30_000_000  # microseconds for which a found key is not looked up again
STALE: Final = 60_000_000  # and at most, while the store is away
USED_EVERY: Final = 60_000_000  # microseconds between two writes of a key's last use
COUNTED: Final = 1_000_000  # microseconds for which it is not asked again whether there are keys
_SHOWN: Final = len(PREFIX) + 8  # characters that lists show: 145 random bits stay hidden
_REMEMBERED: Final = 1024
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

log = structlog.get_logger("livereactor.keys")


def new_key() -> str:
    """Return a new key: 24 random bytes in base 62 behind `rk_`."""
    number, text = int.from_bytes(secrets.token_bytes(24)), ""
    for _ in range(33):  # 62 ** 33 > 2 ** 192
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return PREFIX + text


def key_hash(key: str) -> str:
    """Return the hash under which a key is kept. Keys have full entropy, so a slow hash would add nothing."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(slots=True)
class _Known:
    key: ApiKey
    read_us: int


class Keys:
    """The keys in a store.

    Args:
        unix_us: the clock, microseconds of Unix time.
    """

    def __init__(self, store: Store, *, unix_us: Callable[[], int]) -> None:
        self._store, self._unix_us = store, unix_us
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._failed = FailedAttempts()
        self._are_there: bool | None = None
        self._counted_us = 0

    async def create(self, asked: KeyRequest) -> CreatedKey:
        """Create a key, and its account if that is new. Only this answer contains the key itself."""
        text, now_us = new_key(), self._unix_us()
        key = ApiKey(
            id=f"key_{uuid7().hex}",
            account=asked.account,
            name=asked.name,
            prefix=text[:_SHOWN],
            sha256=key_hash(text),
            scopes=tuple(sorted(set(asked.scopes))),
            created_us=now_us,
        )

        def add(tx: Tx) -> None:
            tx.put_account(_account(tx.account(asked.account, lock=True), asked, now_us))
            tx.put_key(key)

        await self._store.transact(add)
        log.info("key created", key=key.id, account=key.account, scopes=key.scopes)
        return CreatedKey(key=text, **_body(key).to_body())

    async def are_there(self) -> bool:
        """Return whether there is a valid key, as of a second ago; while the store is away, as of its last answer."""
        now_us = self._unix_us()
        if self._are_there is None or now_us - self._counted_us >= COUNTED:
            try:
                found = await self._store.read(lambda tx: tx.keys())
                self._are_there, self._counted_us = any(each.revoked_us is None for each in found), now_us
            except StoreUnavailableError:
                if self._are_there is None:
                    raise
        return self._are_there

    async def list(self) -> list[KeyBody]:
        """List all keys, revoked ones too, newest first."""
        found = await self._store.read(lambda tx: tx.keys())
        return [_body(each) for each in sorted(found, key=lambda each: each.created_us, reverse=True)]

    async def revoke(self, key: str) -> KeyBody:
        """Revoke a key, named by its id or the characters that lists show; it is refused everywhere within a minute.

        Raises:
            NotFoundError: no such key.
        """
        now_us = self._unix_us()

        def end(tx: Tx) -> ApiKey:
            known = tx.keys()
            named = next((each.id for each in known if key in (each.id, each.prefix)), key)
            found = tx.key(named, lock=True)
            if found is None:
                raise NotFoundError(
                    f"no key {key[:64]!r}; name it by its id or prefix, as `livereactor keys list` shows"
                )
            ended = found if found.revoked_us is not None else replace(found, revoked_us=now_us)
            tx.put_key(ended)
            return ended

        ended = await self._store.transact(end)
        self._known.pop(ended.sha256, None)
        log.info("key revoked", key=ended.id, account=ended.account)
        return _body(ended)

    async def find(self, shown: str, *, peer: str | None) -> ApiKey:
        """Return the key that a client shows.

        Args:
            peer: address it comes from, which bounds guessing.

        Raises:
            UnauthorizedError: it is no key of ours, or was revoked.
            QuotaError: too many wrong ones from that address.
            StoreUnavailableError: it is not known here and the store is away.
        """
        now_us, digest = self._unix_us(), key_hash(shown)
        known = self._known.get(digest)
        if known is None or now_us - known.read_us >= FRESH:
            known = await self._look_up(shown, digest, known, peer, now_us)
        if known.key.used_us is None or now_us - known.key.used_us >= USED_EVERY:
            known.key = replace(known.key, used_us=now_us)  # before the write: who comes meanwhile does not write too
            await self._put_used(known.key.id, now_us)
        return known.key

    async def _look_up(self, shown: str, digest: str, known: _Known | None, peer: str | None, now_us: int) -> _Known:
        if known is None:  # one that was right before is no guess, whatever else comes from its address
            self._failed.must_not_be_too_many(peer)
        try:
            found = await self._store.read(lambda tx: tx.key_by_hash(digest)) if KEY.fullmatch(shown) else None
        except StoreUnavailableError:
            if known is not None and now_us - known.read_us < STALE:
                return known
            raise
        if found is None or found.revoked_us is not None:
            self._known.pop(digest, None)
            self._failed.count(peer)
            raise UnauthorizedError(
                "the API key was refused; use one that `livereactor keys list` shows as not revoked"
            )
        self._known[digest] = fresh = _Known(found, now_us)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return fresh

    async def _put_used(self, key: str, now_us: int) -> None:
        def put(tx: Tx) -> None:
            # Locked, since the whole record is written: a revocation at the same time must not be undone.
            found = tx.key(key, lock=True)
            if found is not None and (found.used_us is None or now_us - found.used_us >= USED_EVERY):
                tx.put_key(replace(found, used_us=now_us))

        try:
            await self._store.transact(put)
        except StoreUnavailableError:
            return  # the time of last use is not worth refusing a request


def _account(known: Account | None, asked: KeyRequest, now_us: int) -> Account:
    """Return the account with the values of the request; values not given stay as they are."""
    account = known or Account(asked.account, asked.account, now_us)
    said = {
        "weight": asked.weight,
        "max_sessions": asked.max_sessions,
        "sessions_per_minute": asked.sessions_per_minute,
    }
    return replace(account, **{name: value for name, value in said.items() if value is not None})


def _body(key: ApiKey) -> KeyBody:
    return KeyBody(
        id=key.id,
        account=key.account,
        name=key.name,
        prefix=key.prefix,
        scopes=list(key.scopes),
        created_at=key.created_us / 1e6,
        used_at=None if key.used_us is None else key.used_us / 1e6,
        revoked_at=None if key.revoked_us is None else key.revoked_us / 1e6,
    )
