"""The bodies of `POST /tokens` and of sharing (docs/protocol.md). Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from livereactor.protocol.http import WHOLE, Body

Scope: TypeAlias = Literal["view", "control", "record", "upload", "admin"]

CEILING: Final = 21_600  # seconds; the longest that a token lives, silently
MAX_SESSIONS: Final = 5  # of a scoped token that does not say
MOST_SESSIONS: Final = 500
LONGEST_SESSION: Final = 86_400

MOST_ORIGINS: Final = 8  # of a token: each travels in it with every request

_Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=128)]
_ORIGIN: Final = r"^(https?)://([a-z0-9_.\-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?$"
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}  # which browsers leave out


def web_origin(text: str) -> str:
    """Return a web origin as browsers send it; raises `ValueError` where it is none."""
    found = re.fullmatch(_ORIGIN, text, re.ASCII)
    if found is None:
        raise ValueError(
            f"{text[:128]!r} is not a web origin; write scheme and host in lower case: 'https://a.example'"
        )
    return text.removesuffix(_DEFAULT_PORTS[found[1]])


_Origins: TypeAlias = Annotated[
    list[Annotated[str, Field(max_length=255, json_schema_extra={"pattern": _ORIGIN}), AfterValidator(web_origin)]],
    Field(min_length=1, max_length=MOST_ORIGINS),
]


class Models(Body):
    """The models that a token may create sessions of: names, with or without their owner, or all."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["match"], "properties": {"match": {"type": "array"}}},
                {"required": ["all"], "properties": {"all": {"const": True}}},
            ]
        }
    )

    match: list[_Name] | None = Field(default=None, min_length=1, max_length=100)
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Models:
        if (self.match is None) == (self.all is None):
            raise ValueError('send either {"match": [names]} or {"all": true}')
        return self


class BoundSessions(Body):
    """Sessions that exist, which a token may act on."""

    bind: list[_Name] = Field(min_length=1, max_length=MOST_SESSIONS)


class Resources(Body):
    """The resources of a token."""

    models: Models
    sessions: BoundSessions | None = None


class Constraints(Body):
    """The limits of a token. `max_concurrent_sessions` is ours; the others are the official platform's."""

    max_sessions: Annotated[int, Field(strict=True, ge=1, le=MOST_SESSIONS), WHOLE] | None = None
    max_concurrent_sessions: Annotated[int, Field(strict=True, ge=1), WHOLE] | None = None
    max_session_duration_seconds: Annotated[int, Field(strict=True, ge=1, le=LONGEST_SESSION), WHOLE] | None = None


class AuthorizationDetail(Body):
    """The grant of a scoped token (RFC 9396)."""

    type: Literal["session"]
    resources: Resources
    constraints: Constraints | None = None


class TokenRequest(Body):
    """Body of `POST /tokens`; all of it may be left out.

    Attributes:
        expires_after: seconds; longer than the ceiling is the ceiling.
        scope: what the token may do, at most what its key may; all but `admin` by default.
        subject: whose token it is: tokens of different subjects do not reach each other's Sessions.
        origins: web origins of the only pages that may use the token; None = anybody who has it may.
    """

    expires_after: Annotated[int, Field(strict=True, ge=1), WHOLE] | None = None
    authorization_details: list[AuthorizationDetail] | None = Field(default=None, min_length=1, max_length=1)
    scope: list[Scope] | None = Field(default=None, min_length=1, max_length=16)
    subject: str | None = Field(default=None, min_length=1, max_length=256)
    origins: _Origins | None = None

    @property
    def detail(self) -> AuthorizationDetail | None:
        """The grant that the token is scoped to; None for an unscoped token."""
        return self.authorization_details[0] if self.authorization_details else None


class TokenAnswer(Body):
    """Answer of `POST /tokens`; `expires_at` is Unix seconds, `authorization_details` what was granted."""

    jwt: str = Field(repr=False)
    expires_at: int
    authorization_details: list[dict[str, Any]] | None = None
    scope: list[str]
    origins: list[str] | None = None


class ShareRequest(Body):
    """Body of `POST /sessions/{sid}/share`."""

    expires_after: Annotated[int, Field(strict=True, ge=1), WHOLE] = 3_600
    scope: list[Scope] = Field(default=["view"], min_length=1, max_length=16)
    origins: _Origins | None = None


class ShareAnswer(Body):
    """Answer of it: a link for people, and its token for programs."""

    url: str = Field(repr=False)
    jwt: str = Field(repr=False)
    expires_at: int


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
    """Answer of `POST /keys`, the only one that contains the key itself."""

    key: str = Field(repr=False)


class KeyList(Body):
    """Answer of `GET /keys`, newest first."""

    keys: list[KeyBody]
