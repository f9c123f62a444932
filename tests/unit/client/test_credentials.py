"""Tokens given, tokens asked for, and keys exchanged for tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from livereactor.client.errors import AuthError, ReactorError, error_of
from livereactor.client.http.credentials import RENEW_BEFORE, Credentials, Token, grant_of

MODEL = {"authorization_details": [{"type": "session", "resources": {"models": {"match": ["pond"]}}}]}
BOUND = {
    "authorization_details": [{"type": "session", "resources": {"models": {"all": True}, "sessions": {"bind": ["s"]}}}]
}


class Mint:
    """Counts what is asked for."""

    def __init__(self, lifetime: float = 3600.0) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self._lifetime = lifetime

    async def __call__(self, key: str, grant: Mapping[str, Any]) -> Token:
        self.asked.append(grant)
        await asyncio.sleep(0)
        return Token(f"{key}-{len(self.asked)}", time.monotonic() + self._lifetime)


async def test_a_token_wins_over_a_key_and_is_never_replaced() -> None:
    mint, credentials = Mint(), Credentials("rk_1", "given")
    assert await credentials.header(mint) == {"Authorization": "Bearer given"}
    credentials.forget()
    assert await credentials.header(mint) == {"Authorization": "Bearer given"}
    assert not mint.asked
    credentials.use("another")
    assert await credentials.header(mint) == {"Authorization": "Bearer another"}


async def test_a_function_is_asked_every_time_whatever_its_kind() -> None:
    asked = list[int]()

    def plain() -> str:
        asked.append(1)
        return f"t{len(asked)}"

    async def waiting() -> str:
        await asyncio.sleep(0)
        return plain()

    for function in (plain, waiting, lambda: waiting()):
        before = len(asked)
        credentials = Credentials(jwt=function)
        headers = [await credentials.header(Mint()) for _ in range(2)]
        assert headers == [{"Authorization": f"Bearer t{before + 1}"}, {"Authorization": f"Bearer t{before + 2}"}]
    assert await Credentials(jwt=lambda: "").header(Mint()) == {}


@pytest.mark.parametrize("given", [None, 5, b"x", "line\nend", "é"])
async def test_a_function_that_gives_no_token_is_named_and_what_it_gave_is_not(given: Any) -> None:
    with pytest.raises(AuthError) as refused:
        await Credentials(jwt=lambda: given).header(Mint())
    assert "line" not in str(refused.value).replace("line end", "")


async def test_a_function_that_raises_is_an_error_of_ours() -> None:
    def broken() -> str:
        raise KeyError("secret")

    with pytest.raises(AuthError, match="raised KeyError") as refused:
        await Credentials(jwt=broken).header(Mint())
    assert "secret" not in str(refused.value)


async def test_an_error_of_ours_in_a_function_is_raised_as_it_is() -> None:
    error = error_of("NETWORK_ERROR", "could not reach the server of tokens")

    async def fetched() -> str:
        raise error

    with pytest.raises(ReactorError) as raised:
        await Credentials(jwt=fetched).header(Mint())
    assert raised.value is error


@pytest.mark.parametrize(("raised", "recoverable"), [(ConnectionError(), True), (ValueError(), False)])
async def test_only_what_the_network_does_to_a_function_may_pass(raised: Exception, recoverable: bool) -> None:
    def broken() -> str:
        raise raised

    with pytest.raises(AuthError) as refused:
        await Credentials(jwt=broken).header(Mint())
    assert refused.value.recoverable == recoverable


async def test_a_key_is_exchanged_once_for_many_requests_and_anew_for_another_purpose() -> None:
    mint, credentials = Mint(), Credentials("rk_1")
    credentials.ask_for(model="pond")
    headers = await asyncio.gather(*(credentials.header(mint) for _ in range(5)))
    assert headers == [{"Authorization": "Bearer rk_1-1"}] * 5
    credentials.ask_for(model="pond")
    credentials.keep_for("s")
    await credentials.header(mint)
    assert mint.asked == [MODEL]
    credentials.ask_for(session_id="s")
    await credentials.header(mint)
    assert mint.asked == [MODEL]
    credentials.ask_for(model="pond")
    await credentials.header(mint)
    credentials.forget()
    await credentials.header(mint)
    assert mint.asked == [MODEL, MODEL, MODEL]


async def test_a_token_is_renewed_before_it_ends_then_for_its_session() -> None:
    mint, credentials = Mint(lifetime=RENEW_BEFORE - 1), Credentials("rk_1")
    credentials.ask_for(model="pond")
    await credentials.header(mint)
    credentials.keep_for("s")
    assert await credentials.header(mint) == {"Authorization": "Bearer rk_1-2"}
    assert mint.asked == [MODEL, BOUND]


async def test_without_anything_nothing_is_shown() -> None:
    assert not Credentials().are_given
    assert await Credentials().header(Mint()) == {}
    assert not Credentials("", "").are_given


def test_no_repr_has_a_secret() -> None:
    assert repr(Credentials("rk_secret", "jwt_secret")) == "Credentials(jwt=…, api_key=…)"
    assert "secret" not in repr(Token("secret", 1.0))


def test_a_grant_says_what_was_asked_and_no_more() -> None:
    assert grant_of() == {}
    assert grant_of(expires_after=60.5) == {"expires_after": 60}
    assert grant_of(["pond"]) == MODEL
    assert grant_of(sessions=["s"]) == BOUND
    limited = grant_of(["pond"], max_sessions=2, max_session_duration=1.5)["authorization_details"][0]
    assert limited["constraints"] == {"max_sessions": 2, "max_session_duration_seconds": 2}
