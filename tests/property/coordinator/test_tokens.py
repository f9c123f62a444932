"""Tokens over random requests: never beyond what was granted, never changed, never too long."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.base.errors import LivereactorError, NotFoundError, UnauthorizedError
from livereactor.coordinator.auth.caller import ALL_SCOPES, Caller
from livereactor.coordinator.auth.secrets import given_secrets
from livereactor.coordinator.auth.tokens import Tokens, bare_name, caller_of, granted, shared
from livereactor.protocol.tokens import TokenRequest
from livereactor.store.records import SessionRecord, SessionState

NOW = 1_900_000_000
KEYS = given_secrets("s" * 32).token_keys

names = st.sampled_from(["m", "n", "owner/m", "o"])
session_ids = st.sampled_from([f"ses_{number}" for number in range(6)])
accounts = st.sampled_from(["acme", "other"])
scope_sets = st.frozensets(st.sampled_from(sorted(ALL_SCOPES)), min_size=1)
models = st.one_of(
    st.just({"all": True}),
    st.fixed_dictionaries({"match": st.lists(names, min_size=1, max_size=4)}),
)
details = st.fixed_dictionaries(
    {
        "type": st.just("session"),
        "resources": st.fixed_dictionaries(
            {"models": models},
            optional={"sessions": st.fixed_dictionaries({"bind": st.lists(session_ids, min_size=1, max_size=4)})},
        ),
    },
    optional={
        "constraints": st.fixed_dictionaries(
            {},
            optional={
                "max_sessions": st.integers(1, 8),
                "max_session_duration_seconds": st.integers(1, 86_400),
                "max_concurrent_sessions": st.integers(1, 8),
            },
        )
    },
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "expires_after": st.integers(1, 10**30),
        "authorization_details": st.lists(details, min_size=1, max_size=1),
        "scope": scope_sets.map(list),
        "subject": st.sampled_from(["ann", "bob"]),
    },
)
holders = st.builds(Caller, account=accounts, scopes=scope_sets)


def minted(holder: Caller, asked: dict[str, Any], jti: str = "t") -> Caller | None:
    request = TokenRequest.model_validate(asked)
    try:
        claims = granted(holder, request, jti=jti, now_at=NOW, lifetime=3600)
    except LivereactorError:
        return None
    tokens = Tokens(KEYS)
    return tokens.verify(tokens.sign(claims), now_at=NOW)


@given(holders, requests)
def test_a_token_grants_no_more_than_was_asked_for_and_its_key_has(holder: Caller, asked: dict[str, Any]) -> None:
    caller = minted(holder, asked)
    if caller is None:
        return
    assert caller.account == holder.account
    assert caller.scopes <= holder.scopes & frozenset(asked.get("scope", ALL_SCOPES))
    assert caller.expires_at is not None
    assert NOW < caller.expires_at <= NOW + min(asked.get("expires_after", 3600), 21_600)
    for detail in asked.get("authorization_details", []):
        match, bind = detail["resources"]["models"].get("match"), detail["resources"].get("sessions", {})
        constraints = detail.get("constraints", {})
        assert caller.models == (None if match is None else {bare_name(each) for each in match})
        assert caller.bound == frozenset(bind.get("bind", ()))
        assert caller.max_sessions is not None
        assert len(caller.bound) <= caller.max_sessions
        assert caller.max_sessions == constraints.get("max_sessions", len(caller.bound) or 5)
        assert caller.max_duration == constraints.get("max_session_duration_seconds")
        assert caller.max_concurrent == constraints.get("max_concurrent_sessions")


@given(holders, requests, holders, requests, session_ids)
def test_a_token_reaches_only_what_its_kind_made_or_it_was_bound_to(
    maker: Caller, made_with: dict[str, Any], other: Caller, asked: dict[str, Any], session_id: str
) -> None:
    creator, caller = minted(maker, made_with, "t1"), minted(other, asked, "t2")
    if creator is None or caller is None or "admin" in caller.scopes:
        return
    record = SessionRecord(session_id, creator.account, "m", SessionState.ACTIVE, 0, 0, reach=creator.reach)
    if not caller.reaches(record):
        with pytest.raises(NotFoundError):
            caller.must_reach(record, session_id)
        return
    assert caller.account == creator.account
    is_scoped = "authorization_details" in asked or "subject" in asked
    if is_scoped and session_id not in caller.bound:
        assert caller.models == creator.models
        assert asked.get("subject") == made_with.get("subject")


@given(holders, requests, st.integers(1, 10**9), scope_sets)
def test_a_share_never_goes_beyond_who_shares(
    holder: Caller, asked: dict[str, Any], lifetime: int, scopes: Any
) -> None:
    caller = minted(holder, asked)
    if caller is None:
        return
    record = SessionRecord("ses_x", caller.account, "m", SessionState.ACTIVE, 0, 0, reach=caller.reach)
    try:
        link = caller_of(shared(caller, record, scopes, jti="s", now_at=NOW, lifetime=lifetime))
    except LivereactorError:
        assert not scopes <= caller.scopes - {"admin"}
        return
    assert link.scopes <= caller.scopes
    assert link.expires_at is not None
    assert caller.expires_at is not None
    assert link.expires_at <= caller.expires_at
    assert (link.account, link.bound, link.max_sessions) == (caller.account, {"ses_x"}, 1)


@given(requests, st.data())
@settings(max_examples=300)
def test_a_token_with_one_character_changed_is_refused(asked: dict[str, Any], data: st.DataObject) -> None:
    request = TokenRequest.model_validate(asked)
    holder = Caller("acme", ALL_SCOPES)
    try:
        token = Tokens(KEYS).sign(granted(holder, request, jti="t", now_at=NOW, lifetime=3600))
    except LivereactorError:
        return
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ !"))
    changed = token[:place] + character + token[place + 1 :]
    inserted = token[:place] + character + token[place:]
    for other in {changed, inserted, token[:place], token + character} - {token}:
        with pytest.raises(UnauthorizedError):
            Tokens(KEYS).verify(other, now_at=NOW)
