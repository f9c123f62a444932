"""Credentials of workers (`wk_…`): signed statements of one worker's id and model. Pure; `now_at` is passed.

The signing key is made of the worker secret, so whoever holds that secret can narrow it: a coordinator for the workers
of its pool, the supervisor of `livereactor worker` for its process, an operator for another machine. A credential says
nothing of the secret it was made of, and goes with it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from livereactor.base.errors import ExpiredError, ForbiddenError, UnauthorizedError

PREFIX: Final = "wk_"
ISSUER: Final = "livereactor-workers"
ALGORITHM: Final = "HS256"
MAX_CHARS: Final = 2048


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """The worker that a credential names. The worker secret itself names none, and stands for all of them.

    Attributes:
        worker: its id; None = any.
        model: the model that it serves; None = any.
        is_family: ids that begin with `worker` and a dash are meant too, one for each process of a supervisor.
        since: Unix seconds at which a pool made it for the one process that has this id; None = not of a pool.
    """

    worker: str | None = None
    model: str | None = None
    is_family: bool = False
    since: int | None = field(default=None, compare=False)

    @property
    def is_anybody(self) -> bool:
        """Whether this is the worker secret itself, which reaches everything that any worker reaches."""
        return self.worker is None

    def covers(self, worker: str) -> bool:
        """Return whether this identity is that worker."""
        return self.worker in (None, worker) or (self.is_family and worker.startswith(f"{self.worker}-"))

    def must_cover(self, worker: str, model: str | None = None) -> None:
        """Raise `ForbiddenError` unless this identity is that worker, and may serve that model (None: no matter)."""
        if not self.covers(worker):
            raise ForbiddenError(f"this credential is of worker {self.worker!r}, not of {worker[:64]!r}")
        if None not in (self.model, model) and self.model != model:
            raise ForbiddenError(f"this credential is for the model {self.model!r}, not for {str(model)[:64]!r}")


def credential(secret: str, identity: WorkerIdentity, *, expires_at: int | None = None) -> str:
    """Return the credential of a worker, narrowed from a worker secret.

    Args:
        expires_at: Unix seconds; None = when the secret changes.
    """
    claims: dict[str, Any] = {"iss": ISSUER, "sub": identity.worker, "model": identity.model}
    if identity.is_family:
        claims["family"] = True
    if identity.since is not None:
        claims["since"] = identity.since
    if expires_at is not None:
        claims["exp"] = expires_at
    return PREFIX + jwt.encode(claims, _key(secret), algorithm=ALGORITHM)


def identified(shown: str, secrets: Iterable[str], *, now_at: float) -> WorkerIdentity:
    """Return whose credential this is.

    Args:
        secrets: worker secrets, any of which may have made it.

    Raises:
        ExpiredError: one of them did, and it has expired.
        UnauthorizedError: none of them did.
    """
    for secret in secrets:
        if (claims := _claims(shown, _key(secret))) is not None:
            expires_at = claims.get("exp")
            if expires_at is not None and now_at >= expires_at:
                raise ExpiredError("this worker's credential has expired; mint another: livereactor workers mint")
            return WorkerIdentity(claims["sub"], claims.get("model"), claims.get("family", False), claims.get("since"))
    raise UnauthorizedError("this worker's credential is not one of ours; mint another: livereactor workers mint")


def claimed_name(shown: str) -> str | None:
    """Return the id that a credential names, without checking it: for its holder, who chooses an id that fits."""
    try:
        claims: dict[str, Any] = jwt.decode(shown.removeprefix(PREFIX), options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return None
    name = claims.get("sub")
    return name if isinstance(name, str) else None


def _claims(shown: str, key: bytes) -> dict[str, Any] | None:
    if not shown.startswith(PREFIX) or len(shown) > MAX_CHARS:
        return None
    # Expiry is the caller's to check, against the clock it is passed.
    options: Any = {"require": ["iss", "sub"], "verify_exp": False}
    try:
        return jwt.decode(shown.removeprefix(PREFIX), key, algorithms=[ALGORITHM], issuer=ISSUER, options=options)
    except (jwt.InvalidTokenError, ValueError):
        return None


def _key(secret: str) -> bytes:
    return hmac.new(secret.encode(), b"livereactor worker credentials, version 1", hashlib.sha256).digest()
