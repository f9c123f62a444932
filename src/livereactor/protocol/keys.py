"""The bodies of the key routes (docs/protocol.md). Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from livereactor.protocol.http import WHOLE, Body
from livereactor.protocol.tokens import Scope

ACCOUNT: str = "default"  # whose keys are that name nobody


class KeyRequest(Body):
    """Body of `POST /keys`. What is left out of the account's own stays as it is; 0 = unlimited.

    Attributes:
        name: what people know the key by.
        scopes: the most that its tokens may do.
        weight: share of a model's Slots while others wait too.
        max_sessions: open Sessions of the account at once.
        sessions_per_minute: new ones of the account.
    """

    name: str = Field(default="", max_length=128)
    account: str = Field(default=ACCOUNT, min_length=1, max_length=64, pattern=r"^[\w.\-@]+$")
    scopes: list[Scope] = Field(default=["view", "control", "record", "upload"], min_length=1, max_length=16)
    weight: float | None = Field(default=None, gt=0, le=1_000, allow_inf_nan=False)
    max_sessions: Annotated[int, Field(strict=True, ge=0, le=1_000_000), WHOLE] | None = None
    sessions_per_minute: Annotated[int, Field(strict=True, ge=0, le=1_000_000), WHOLE] | None = None


class KeyBody(Body):
    """A key as lists show it; `…_at` are Unix seconds."""

    id: str
    account: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: float
    used_at: float | None = None
    revoked_at: float | None = None


class CreatedKey(KeyBody):
    """Answer of `POST /keys`: the only time that the key itself is told."""

    key: str = Field(repr=False)


class KeyList(Body):
    """Answer of `GET /keys`, newest first."""

    keys: list[KeyBody]
