"""Tokens: what is granted, what is signed, what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from livereactor.base.errors import ExpiredError, ForbiddenError, PeerError, UnauthorizedError, UsageError
from livereactor.coordinator.auth.caller import ALL_SCOPES, SESSION_SCOPES, Caller
from livereactor.coordinator.auth.secrets import given_secrets
from livereactor.coordinator.auth.tokens import (
    ALGORITHM,
    AUDIENCE,
    ISSUER,
    Tokens,
    caller_of,
    granted,
    share_link,
    shared,
)
from livereactor.protocol.http import read_body
from livereactor.protocol.tokens import TokenRequest
from livereactor.store.records import SessionRecord, SessionState

NOW = 1_795_500_000
KEYS = given_secrets("s" * 32).token_keys
ACCOUNT = Caller("acme")
MODELS = {"type": "session", "resources": {"models": {"match": ["m"]}}}


def claims(holder: Caller = ACCOUNT, *, jti: str = "t1", lifetime: int = 3600, **asked: object) -> dict:
    return granted(holder, TokenRequest.model_validate(asked), jti=jti, now_at=NOW, lifetime=lifetime)


def detail(models: object = None, bind: list[str] | None = None, **constraints: int) -> list[dict]:
    resources: dict = {"models": models or {"match": ["m"]}}
    if bind is not None:
        resources["sessions"] = {"bind": bind}
    found: dict = {"type": "session", "resources": resources}
    return [found | ({"constraints": constraints} if constraints else {})]


def session(**changed: object) -> SessionRecord:
    fields = {"id": "ses_1", "account": "acme", "model": "m", "state": SessionState.WAITING}
    return SessionRecord(**{**fields, "created_us": 0, "polled_us": 0, **changed})


def asked(body: str) -> TokenRequest:
    return read_body(TokenRequest, body.encode())


# --- what is asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "null", "{}", "  ", '{"unknown": 1}'])
def test_an_empty_body_asks_for_an_unscoped_token(body: str) -> None:
    assert asked(body) == TokenRequest()


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ('{"expires_after": 0}', "expires_after"),
        ('{"expires_after": -1}', "expires_after"),
        ('{"expires_after": 60.5}', "expires_after"),
        ('{"expires_after": "60"}', "expires_after"),
        ('{"expires_after": true}', "expires_after"),
        ('{"authorization_details": []}', "authorization_details"),
        ('{"authorization_details": {}}', "authorization_details"),
        ('{"authorization_details": [{"type": "session"}]}', "resources"),
        ('{"authorization_details": [{"type": "x", "resources": {"models": {"all": true}}}]}', "type"),
        ('{"authorization_details": [{"type": "session", "resources": {"models": {}}}]}', "models"),
        ('{"authorization_details": [{"type": "session", "resources": {"models": {"match": []}}}]}', "match"),
        ('{"authorization_details": [{"type": "session", "resources": {"models": {"all": false}}}]}', "all"),
        (
            '{"authorization_details": [{"type": "session", "resources": {"models": {"all": true, "match": ["m"]}}}]}',
            "models",
        ),
        ('{"scope": []}', "scope"),
        ('{"scope": ["fly"]}', "scope"),
        ('{"scope": "view"}', "scope"),
        ('{"subject": ""}', "subject"),
        ("[]", "array|list"),
        ("{", "not JSON"),
    ],
)
def test_a_body_that_cannot_be_is_refused_and_says_where(body: str, what: str) -> None:
    with pytest.raises(PeerError, match=what):
        asked(body)


@pytest.mark.parametrize("constraint", ["max_sessions", "max_session_duration_seconds"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", 86_401, True])
def test_a_constraint_out_of_range_is_refused_by_name(constraint: str, value: object) -> None:
    body = json.dumps({"authorization_details": [{**MODELS, "constraints": {constraint: value}}]})
    with pytest.raises(PeerError, match=constraint):
        asked(body)


# --- what is granted ---------------------------------------------------------------------------------------------


def test_a_token_lives_as_long_as_asked_and_never_over_six_hours() -> None:
    assert claims(expires_after=60)["exp"] == NOW + 60
    assert claims(expires_after=99_999)["exp"] == NOW + 21_600
    assert claims(lifetime=3600)["exp"] == NOW + 3600


def test_an_unscoped_token_reaches_all_sessions_of_its_account() -> None:
    caller = caller_of(claims())
    assert caller.reaches(session(reach="anything"))
    assert not caller.reaches(session(account="other"))
    assert (caller.models, caller.max_sessions, caller.max_duration) == (None, None, None)


def test_a_scoped_token_says_what_it_was_granted() -> None:
    found = claims(authorization_details=detail(max_session_duration_seconds=600))
    assert found["authorization_details"] == [
        {
            "type": "session",
            "resources": {"models": {"match": ["m"]}},
            "constraints": {"max_sessions": 5, "max_session_duration_seconds": 600},
        }
    ]
    caller = caller_of(found)
    assert (caller.models, caller.max_sessions, caller.max_duration) == (frozenset({"m"}), 5, 600)


def test_a_model_is_meant_with_and_without_its_owner() -> None:
    assert caller_of(claims(authorization_details=detail({"match": ["reactor/helios"]}))).models == {"helios"}


def test_what_is_bound_counts_among_max_sessions_and_alone_makes_nothing() -> None:
    found = claims(authorization_details=detail({"all": True}, ["a", "b", "a"]))
    granted_now = found["authorization_details"][0]
    assert granted_now["resources"] == {"models": {"all": True}, "sessions": {"bind": ["a", "b"]}}
    assert granted_now["constraints"] == {"max_sessions": 2}
    assert caller_of(found).bound == {"a", "b"}


def test_more_bound_than_max_sessions_is_refused_with_both_numbers() -> None:
    with pytest.raises(UsageError, match="2 sessions are bound and max_sessions, which counts them, is 1"):
        claims(authorization_details=detail(bind=["a", "b"], max_sessions=1))


def test_a_token_may_do_all_but_operate_unless_it_asks() -> None:
    operator = Caller("acme", ALL_SCOPES)
    assert caller_of(claims(operator)).scopes == SESSION_SCOPES
    assert caller_of(claims(operator, scope=["admin"])).scopes == {"admin"}
    assert caller_of(claims(scope=["view", "view"])).scopes == {"view"}


def test_a_scope_that_the_key_lacks_is_refused_by_name() -> None:
    with pytest.raises(ForbiddenError, match="this key lacks the scope `admin`; it grants `control`"):
        claims(scope=["view", "admin"])
    viewer = Caller("acme", frozenset({"view"}))
    assert caller_of(claims(viewer)).scopes == {"view"}


# --- reach -------------------------------------------------------------------------------------------------------


def reach(*, jti: str = "t1", holder: Caller = ACCOUNT, **what: Any) -> str:
    return claims(holder, jti=jti, **what)["reach"]


def test_a_token_minted_again_reaches_what_the_earlier_one_made() -> None:
    first, again = (reach(jti=each, authorization_details=detail()) for each in ("t1", "t2"))
    assert first == again
    assert first == reach(authorization_details=detail({"match": ["owner/m", "m"]}))


def test_other_models_other_subjects_and_other_accounts_are_kept_apart() -> None:
    found = [
        reach(authorization_details=detail()),
        reach(authorization_details=detail({"match": ["n"]})),
        reach(authorization_details=detail({"match": ["m", "n"]})),
        reach(authorization_details=detail({"all": True})),
        reach(authorization_details=detail(), subject="ann"),
        reach(authorization_details=detail(), subject="bob"),
        reach(subject="ann"),
        reach(authorization_details=detail(), holder=Caller("other")),
    ]
    assert len(set(found)) == len(found)


def test_a_token_that_is_only_bound_reaches_nothing_else() -> None:
    bound = caller_of(claims(authorization_details=detail({"all": True}, ["ses_1"])))
    everything = claims(authorization_details=detail({"all": True}))["reach"]
    assert bound.reaches(session())
    assert not bound.reaches(session(id="ses_2", reach=everything))
    assert not bound.reaches(session(id="ses_2"))


# --- marks, as Workers tell callers apart ------------------------------------------------------------------------


def test_tokens_and_keys_that_stand_for_the_same_have_one_mark() -> None:
    assert caller_of(claims()).mark == caller_of(claims(jti="t2")).mark == ACCOUNT.mark
    bound = detail({"all": True}, ["ses_1"])
    first, again = (caller_of(claims(jti=each, authorization_details=bound)) for each in ("t1", "t2"))
    assert first.mark == again.mark  # JavaScript 2.12 may mint one before each request


def test_share_links_viewers_subjects_and_accounts_are_told_apart() -> None:
    bound = detail({"all": True}, ["ses_1"])
    callers = [
        ACCOUNT,
        Caller("other"),
        caller_of(claims(scope=["view"])),
        caller_of(claims(scope=["view", "record"])),
        caller_of(claims(authorization_details=detail())),
        caller_of(claims(authorization_details=bound)),
        caller_of(claims(authorization_details=bound, subject="ann")),
        *(
            caller_of(shared(ACCOUNT, session(), frozenset({"view"}), jti=each, now_at=NOW, lifetime=60))
            for each in "ab"
        ),
        caller_of(shared(ACCOUNT, session(), ACCOUNT.scopes, jti="c", now_at=NOW, lifetime=60)),
    ]
    assert len({each.mark for each in callers}) == len(callers)
    assert not any(each.account in each.mark for each in callers)


# --- the signature -----------------------------------------------------------------------------------------------


def verified(token: str, *, now_at: float = NOW, keys: object = KEYS) -> Caller:
    return Tokens(keys).verify(token, now_at=now_at)  # type: ignore[arg-type]


def test_what_was_signed_comes_back() -> None:
    made = claims(authorization_details=detail(bind=["ses_1"], max_sessions=3), subject="ann", expires_after=60)
    assert verified(Tokens(KEYS).sign(made)) == caller_of(made)


def test_a_token_is_a_standard_one() -> None:
    token = Tokens(KEYS).sign(claims())
    kid = jwt.get_unverified_header(token)["kid"]
    body = jwt.decode(token, KEYS[kid], algorithms=["HS256"], audience=AUDIENCE, options={"verify_exp": False})
    assert (body["iss"], body["sub"], body["jti"], body["iat"]) == (ISSUER, "acme", "t1", NOW)


def test_an_expired_token_says_when_it_ended() -> None:
    tokens = Tokens(KEYS)
    token = tokens.sign(claims() | {"exp": 1_795_519_331})
    assert tokens.verify(token, now_at=1_795_519_330.9).account == "acme"
    with pytest.raises(ExpiredError, match=r"^token expired at 11:22:11Z; mint a new one$"):
        tokens.verify(token, now_at=1_795_519_331)


def test_a_new_key_in_front_logs_nobody_out() -> None:
    before = given_secrets("o" * 32)
    token = Tokens(before.token_keys).sign(claims())
    rotated = given_secrets(",".join(["n" * 32, "o" * 32]))
    assert verified(token, keys=rotated.token_keys).account == "acme"
    fresh = Tokens(rotated.token_keys).sign(claims())
    with pytest.raises(UnauthorizedError):
        verified(fresh, keys=before.token_keys)


def forged(header: dict, body: dict, signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, body)]
    return ".".join([*parts, signature])


def test_a_token_without_signature_or_of_another_algorithm_is_refused() -> None:
    kid, key = next(iter(KEYS.items()))
    good = claims()
    for token in (
        forged({"alg": "none", "kid": kid}, good),
        forged({"alg": "HS256", "kid": kid}, good),
        jwt.encode(good, key, algorithm="HS384", headers={"kid": kid}),
        jwt.encode(good, key, algorithm="HS256"),
        jwt.encode(good, key, algorithm="HS256", headers={"kid": "other"}),
        jwt.encode(good, "x" * 32, algorithm="HS256", headers={"kid": kid}),
    ):
        with pytest.raises(UnauthorizedError, match="not issued here"):
            verified(token)


@pytest.mark.parametrize("changed", [{"iss": "other"}, {"aud": "other"}])
def test_a_token_for_something_else_is_refused(changed: dict) -> None:
    with pytest.raises(UnauthorizedError):
        verified(Tokens(KEYS).sign(claims() | changed))


@pytest.mark.parametrize("missing", ["exp", "iat", "aud", "iss", "sub", "jti"])
def test_a_token_that_lacks_a_claim_is_refused(missing: str) -> None:
    made = claims()
    del made[missing]
    with pytest.raises(UnauthorizedError):
        verified(jwt.encode(made, next(iter(KEYS.values())), algorithm=ALGORITHM, headers={"kid": next(iter(KEYS))}))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "\udce9", "x" * 100_000, "." * 5000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(UnauthorizedError):
        verified(token)


def test_a_header_nested_thousands_deep_is_refused() -> None:
    deep = base64.urlsafe_b64encode(b'{"kid":' + b"[" * 30_000).decode().rstrip("=")
    with pytest.raises(UnauthorizedError):
        verified(f"{deep}.e30.AA")


def test_a_verified_token_is_not_computed_again_and_memory_is_bounded() -> None:
    tokens = Tokens(KEYS)
    made = [tokens.sign(claims(jti=str(number))) for number in range(1100)]
    first = tokens.verify(made[0], now_at=NOW)
    assert tokens.verify(made[0], now_at=NOW) is first
    found = [tokens.verify(each, now_at=NOW) for each in made]
    newest_first = zip(reversed(made), reversed(found), strict=True)  # to look for a forgotten one forgets another
    assert sum(tokens.verify(each, now_at=NOW) is caller for each, caller in newest_first) == 1024


# --- sharing -----------------------------------------------------------------------------------------------------


def share(caller: Caller = ACCOUNT, lifetime: int = 3600, **what: object) -> Caller:
    scopes = what.get("scopes", frozenset({"view"}))
    return caller_of(shared(caller, session(), scopes, jti="s1", now_at=NOW, lifetime=lifetime))  # type: ignore[arg-type]


def test_a_shared_token_is_for_one_session_and_makes_none() -> None:
    found = share()
    assert (found.scopes, found.bound, found.max_sessions, found.role) == ({"view"}, {"ses_1"}, 1, "viewer")
    assert found.reaches(session())
    assert not found.reaches(session(id="ses_2"))


def test_nobody_shares_more_than_he_has() -> None:
    viewer = Caller("acme", frozenset({"view"}))
    with pytest.raises(ForbiddenError, match="lacks the scope `control`; it grants `view`"):
        share(viewer, scopes=frozenset({"view", "control"}))
    with pytest.raises(ForbiddenError, match="`admin` cannot be shared"):
        share(Caller("acme", ALL_SCOPES), scopes=frozenset({"admin"}))


def test_a_shared_token_ends_with_the_one_it_was_made_with() -> None:
    assert share(Caller("acme", expires_at=NOW + 60)).expires_at == NOW + 60
    assert share(lifetime=99_999).expires_at == NOW + 21_600
    assert share().expires_at == NOW + 3600


def test_a_link_carries_its_token_behind_the_hash() -> None:
    assert share_link("https://live.example/", "ses_1", "a.b.c") == "https://live.example/#session=ses_1&token=a.b.c"


def test_a_link_is_for_no_page_that_its_makers_token_is_not_for() -> None:
    asked = TokenRequest.model_validate({"origins": ["https://a.example", "https://b.example", "https://a.example"]})
    bound = caller_of(granted(ACCOUNT, asked, jti="t", now_at=NOW, lifetime=60))
    assert bound.origins == ("https://a.example", "https://b.example")

    def link(*origins: str) -> Caller:
        view = frozenset({"view"})
        return caller_of(shared(bound, session(), view, jti="s", now_at=NOW, lifetime=60, origins=origins))  # type: ignore[arg-type]

    assert link().origins == bound.origins
    assert link("https://b.example").origins == ("https://b.example",)
    with pytest.raises(ForbiddenError, match=r"not for 'https://c\.example'"):
        link("https://b.example", "https://c.example")
