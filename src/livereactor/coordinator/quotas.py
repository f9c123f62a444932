"""The quotas of accounts and tokens, and their use. Pure but for the transaction.

Use is counted in the transaction that creates a session, with the account locked, so that two requests at once get no
more than two in a row. Only creating a session uses a quota: polls and waiting in the queue do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from livereactor.base.errors import QuotaError
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.options import Quotas
from livereactor.store.port import Tx
from livereactor.store.records import OPEN, Account

MINUTE_US: Final = 60_000_000
# The bucket is computed from the last sessions; assuming a full one before them errs by one burst in this number.
REPLAYED_BURSTS: Final = 20
REPLAYED_US: Final = 10 * MINUTE_US
BUSY_RETRY: Final = 5.0  # seconds; Sessions last minutes, so asking sooner is in vain
COUNTED: Final = 100_000  # open Sessions of one account; an account with more reads this number


class TokenSpentError(QuotaError):
    """The token has used up its sessions; another may be minted."""

    code = "FORBIDDEN"
    http_status = 403
    recoverable = False


def check(tx: Tx, caller: Caller, defaults: Quotas, now_us: int) -> Account | None:
    """Check that the caller may create one more session, and return the account's record, if there is one.

    Raises:
        TokenSpentError: 403, the token has used up its sessions.
        QuotaError: 429, an allowance of the account, or of the token's open Sessions, is used up.
    """
    owner = tx.account(caller.account)
    quotas = effective(owner, defaults)
    if _counts(caller, quotas):
        tx.account(caller.account, lock=True)  # before counting; a caller without bounds need not wait for the lock
    _check_token(tx, caller)
    _check_open(tx, caller, quotas.concurrent_sessions)
    _check_rate(tx, caller.account, quotas, now_us)
    return owner


def effective(account: Account | None, defaults: Quotas) -> Quotas:
    """Return the coordinator's quotas, overridden by those of the account's record."""
    if account is None:
        return defaults
    most, rate = account.max_sessions, account.sessions_per_minute
    return Quotas(
        concurrent_sessions=defaults.concurrent_sessions if most is None else most,
        sessions_per_minute=defaults.sessions_per_minute if rate is None else rate,
        # An account with a higher rate than others gets a burst that is larger in proportion.
        session_burst=defaults.session_burst if rate is None else _burst(rate, defaults),
    )


def usage(tx: Tx, account: str, defaults: Quotas, now_us: int, *, connections: int) -> list[dict[str, Any]]:
    """Return the rows of `GET /quotas`: `quota_type`, `limit` (0 = unlimited), `current`.

    Args:
        connections: how many a session may have; only its runtime knows their use.
    """
    quotas = effective(tx.account(account), defaults)
    return [
        {
            "quota_type": "concurrent_sessions",
            "limit": quotas.concurrent_sessions,
            "current": tx.count_open(account, up_to=COUNTED),
        },
        {
            "quota_type": "sessions_per_minute",
            "limit": quotas.sessions_per_minute,
            "burst": quotas.session_burst,
            "current": len(tx.created_since(account, now_us - MINUTE_US, up_to=COUNTED)),
        },
        {"quota_type": "connections", "limit": connections},
    ]


def seconds_until_next(created_us: Sequence[int], *, per_minute: int, burst: int, now_us: int) -> float:
    """Return the seconds until a token bucket of `burst`, refilled `per_minute` times a minute, has the next token.

    Args:
        created_us: when each token was taken, newest first.
    """
    interval = MINUTE_US / per_minute
    # Relative to now: a float of today's microseconds since 1970 is exact to a quarter only, and the errors add up.
    full_in = -math.inf
    for at in reversed(created_us):
        # One from the future was made before the clock was set back: it counts from now.
        full_in = max(full_in, min(at, now_us) - now_us) + interval
    wait_us = full_in - (burst - 1) * interval
    return wait_us / 1e6 if wait_us >= 1 else 0.0  # less is the rounding of the interval


def _counts(caller: Caller, quotas: Quotas) -> bool:
    """Return whether a quota bounds the account or token, so that sessions must be created one after the other."""
    of_token = caller.max_sessions is not None or caller.max_concurrent is not None
    return bool(quotas.concurrent_sessions or quotas.sessions_per_minute or of_token)


def _check_token(tx: Tx, caller: Caller) -> None:
    if not caller.token:
        return
    if caller.max_sessions is not None:
        made = tx.count_token(caller.token) + len(caller.bound)
        if made >= caller.max_sessions:
            raise TokenSpentError(
                f"this token has had {made} of {caller.max_sessions} sessions (limit={caller.max_sessions}); "
                "mint another token, or one with a higher max_sessions",
                quota_type="max_sessions",
                limit=caller.max_sessions,
                current=made,
            )
    if caller.max_concurrent is not None:
        opened = tx.sessions(account=caller.account, states=OPEN, limit=1000)
        current = sum(each.token == caller.token for each in opened)
        if current >= caller.max_concurrent:
            raise QuotaError(
                f"{current} of {caller.max_concurrent} concurrent sessions of this token are in use; end one first",
                quota_type="max_concurrent_sessions",
                limit=caller.max_concurrent,
                current=current,
                retry_after=BUSY_RETRY,
            )


def _check_open(tx: Tx, caller: Caller, limit: int) -> None:
    if not limit:
        return
    current = tx.count_open(caller.account, up_to=limit)
    if current >= limit:
        raise QuotaError(
            f"{current} of {limit} concurrent sessions in use; end one, or retry in {BUSY_RETRY:g} s",
            quota_type="concurrent_sessions",
            limit=limit,
            current=current,
            retry_after=BUSY_RETRY,
        )


def _check_rate(tx: Tx, account: str, quotas: Quotas, now_us: int) -> None:
    limit = quotas.sessions_per_minute
    if not limit:
        return
    created = tx.created_since(account, now_us - REPLAYED_US, up_to=REPLAYED_BURSTS * quotas.session_burst)
    wait = seconds_until_next(created, per_minute=limit, burst=quotas.session_burst, now_us=now_us)
    if wait > 0:
        current = sum(at > now_us - MINUTE_US for at in created)
        raise QuotaError(
            f"{current} sessions were created in the last minute, of {limit} a minute and "
            f"{quotas.session_burst} at once; retry in {wait:.1f} s",
            quota_type="sessions_per_minute",
            limit=limit,
            current=current,
            retry_after=max(0.1, wait),
        )


def _burst(per_minute: int, defaults: Quotas) -> int:
    if not defaults.sessions_per_minute:
        return max(defaults.session_burst, per_minute)
    return max(defaults.session_burst, round(per_minute * defaults.session_burst / defaults.sessions_per_minute))
