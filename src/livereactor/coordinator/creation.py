"""Creation of a session in one transaction: finds the model, checks rights and quotas, and spots repeated requests.

Pure but for the transaction.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from livereactor.base import spans
from livereactor.base.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PeerError,
    TooLargeError,
    UnavailableError,
)
from livereactor.coordinator import decisions, descriptors, quotas
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.decisions import LockedQueue
from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.options import START_BYTES, CoordinatorOptions
from livereactor.protocol.http import CreateSession, SessionDescriptor
from livereactor.store.port import Tx
from livereactor.store.records import Account, ModelRecord, Remembered, SessionRecord, SessionState, WorkerState

Capacity: TypeAlias = Callable[[str], str | None]
KEY_CHARS: Final = 255
REMEMBERED_US: Final = 24 * 3600 * 1_000_000
CLIENT_CHARS: Final = 80
_FOR_THE_MODEL: Final = ("extra_args", "extra_configs", "steps", "reconnection_window", "unclaimed_window")
_LIVE: Final = frozenset({WorkerState.STARTING, WorkerState.READY, WorkerState.DRAINING})
_READY: Final = frozenset({WorkerState.READY})


class KeyReusedError(ConflictError):
    """An `Idempotency-Key` came again with another body."""

    code = "IDEMPOTENCY_KEY_REUSED"
    http_status = 422


@dataclass(frozen=True, slots=True)
class CreationRequest:
    """A request to create a session.

    Attributes:
        session: the id it gets; given before the transaction, which may run again.
        key: its `Idempotency-Key`.
        trace: `traceparent` of the request; "" = it is not traced.
    """

    caller: Caller
    body: CreateSession
    session: str
    key: str | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    """The result of a creation; `session` None = a repeated request, which gets the same answer again."""

    view: SessionDescriptor
    session: SessionRecord | None


def create(
    tx: Tx,
    now_us: int,
    options: CoordinatorOptions,
    asked: CreationRequest,
    *,
    capacity: Capacity,
    crowded: bool = False,
) -> tuple[Created, list[Effect]]:
    """Create a session, or repeat the answer to the same request.

    Args:
        capacity: why no worker of a model can be started now, None = one may be.
        crowded: others are believed to wait for the model.

    Raises:
        QueueEmptyError: none waits; call again without `crowded`.
        as `Service.create`.
    """
    checked = _checked(tx, now_us, options, asked, capacity, crowded=crowded)
    if isinstance(checked, SessionDescriptor):
        return Created(checked, None), []
    digest, line, owner, record = checked
    session, effects = decisions.create_session(tx, now_us, options, session=record, locked=line, owner=owner)
    view = descriptors.created(session, line.model, reconnection_window=options.limits.reconnection_window)
    if asked.key is not None:
        tx.remember(Remembered(asked.caller.account, _remembered_as(asked), digest, 201, view.to_body(), now_us))
    return Created(view, session), effects


def check(
    tx: Tx, now_us: int, options: CoordinatorOptions, asked: CreationRequest, *, capacity: Capacity
) -> SessionDescriptor | None:
    """Return the answer to a repeated request, None for a new one that may be created now; changes nothing.

    Raises:
        as `Service.create`
    """
    checked = _checked(tx, now_us, options, asked, capacity, crowded=False)
    return checked if isinstance(checked, SessionDescriptor) else None


def _checked(
    tx: Tx, now_us: int, options: CoordinatorOptions, asked: CreationRequest, capacity: Capacity, *, crowded: bool
) -> SessionDescriptor | tuple[str, LockedQueue, Account | None, SessionRecord]:
    """Return the answer to a repeated request, else the request's digest, its queue, its account and the new record."""
    digest = fingerprint(asked.body) if asked.key is not None else ""
    if asked.key is not None and (before := _before(tx, asked, digest, now_us)) is not None:
        return before
    line = joined(tx, asked.body.model.name, asked.body.model.version, crowded=crowded)
    _may(asked.caller, line.model.name)
    owner = quotas.check(tx, asked.caller, options.quotas, now_us)
    _must_be_served(tx, line.model, capacity)
    return digest, line, owner, _record(asked, line.model.name, now_us, options)


def checked_key(key: str | None) -> str | None:
    """Return an `Idempotency-Key` unchanged; raises `PeerError` if it is empty or too long."""
    if key is not None and not 0 < len(key) <= KEY_CHARS:
        raise PeerError(f"Idempotency-Key has {len(key)} characters; send 1 to {KEY_CHARS}, a UUID for instance")
    return key


def fingerprint(body: CreateSession) -> str:
    """Return a hex digest that is the same for the same request, whatever its spelling in JSON."""
    return hashlib.sha256(json.dumps(body.to_body(), sort_keys=True).encode()).hexdigest()


def joined(tx: Tx, asked: str, version: str | None = None, *, crowded: bool = False) -> LockedQueue:
    """Lock and return the queue of the model that a client names: `name`, `owner/name`, `name@version`.

    Raises:
        QueueEmptyError: as `decisions.lock_queue`.
        NotFoundError: no such model, or not in that version.
    """
    name, _, after = asked.rpartition("/")[2].partition("@")
    version = after or version
    line = decisions.lock_queue(tx, name, crowded=crowded)
    if line is None:
        raise NotFoundError(f"no model named {name[:64]!r}; {_nearest(name, [each.name for each in tx.models()])}")
    served = line.model.version
    if version and served and version.removeprefix("v") != served.removeprefix("v"):
        raise NotFoundError(
            f"no version {version[:32]!r} of model {name!r}; {served!r} is served; request that version, or none"
        )
    return line


def _nearest(name: str, served: list[str]) -> str:
    if close := difflib.get_close_matches(name, served, n=1):
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(sorted(served)[:10])
    return f"served: {shown}" if served else "none is served yet; start a worker, or pass models to livereactor serve"


def _before(tx: Tx, asked: CreationRequest, digest: str, now_us: int) -> SessionDescriptor | None:
    told = tx.remembered(asked.caller.account, _remembered_as(asked))
    if told is None or told.created_us < now_us - REMEMBERED_US:
        return None
    if told.request_sha256 != digest:
        raise KeyReusedError(
            f"Idempotency-Key {asked.key!r:.66} was used with another body in the last 24 h; send that, or a new key"
        )
    return SessionDescriptor.model_validate(told.body)


def _remembered_as(asked: CreationRequest) -> str:
    """Return the key with its reach: callers that cannot act on each other's sessions do not share keys either."""
    return f"{asked.caller.reach} {asked.key}" if asked.caller.reach else asked.key or ""


def _may(caller: Caller, model: str) -> None:
    caller.need("control")
    if caller.models is not None and model not in {each.rpartition("/")[2] for each in caller.models}:
        scope = ", ".join(sorted(caller.models)[:10]) or "no model"
        raise ForbiddenError(f"this token is not for the model {model!r}; it is for {scope}")


def _must_be_served(tx: Tx, model: ModelRecord, capacity: Capacity) -> None:
    """Raise `UnavailableError` if no worker will serve the model: official clients would wait two minutes."""
    if model.max_workers == 0:
        reason, enough = "none is connected, and this server starts none", _LIVE
    else:
        reason, enough = capacity(model.name), _READY  # one that is starting may be the next to fail
    if reason is None or tx.workers(model=model.name, states=enough):
        return
    raise UnavailableError(f"no worker serves {model.name!r}: {reason}; retry later", code="NO_CAPACITY", retry_after=5)


def _record(asked: CreationRequest, model: str, now_us: int, options: CoordinatorOptions) -> SessionRecord:
    caller, info = asked.caller, asked.body.client_info
    return SessionRecord(
        id=asked.session,
        account=caller.account,
        model=model,
        state=SessionState.QUEUED,
        created_us=now_us,
        polled_us=now_us,
        token=caller.token,
        reach=caller.reach,
        client=f"{info.sdk_type}/{info.sdk_version}"[:CLIENT_CHARS] if info.sdk_type else "",
        start={**_start(asked.body, caller, options), **({spans.HEADER: asked.trace} if asked.trace else {})},
    )


def _start(body: CreateSession, caller: Caller, options: CoordinatorOptions) -> Mapping[str, Any]:
    """Return the body of `start_session` without the id and ICE servers, which the coordinator adds."""
    start: dict[str, Any] = {name: value for name in _FOR_THE_MODEL if (value := getattr(body, name)) is not None}
    if body.is_stepped:
        start["generation"] = "stepped"
    if body.starting_input is not None:
        start["starting_input"] = body.starting_input.model_dump()
    if (size := len(json.dumps(start))) > START_BYTES:
        raise TooLargeError(
            f"extra_args, extra_configs and starting_input have {size} bytes of {START_BYTES}; upload large content"
        )
    # 0 = no limit, for the operator and the caller.
    longest = [each for each in (options.limits.max_session_duration, caller.max_duration, body.max_duration) if each]
    if longest:
        start["max_duration"] = min(longest)
    return start
