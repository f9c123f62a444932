"""Who asks, as headers tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import structlog
from starlette.requests import HTTPConnection

from livereactor.base.errors import ForbiddenError, LivereactorError, NotFoundError, UnauthorizedError
from livereactor.base.limits import Limits
from livereactor.coordinator.auth.authenticator import Authenticator
from livereactor.coordinator.auth.caller import SESSION_SCOPES, Caller
from livereactor.coordinator.auth.keys import Keys, new_key
from livereactor.coordinator.auth.secrets import given_secrets
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol.tokens import KeyRequest, ShareRequest, TokenAnswer, TokenRequest
from livereactor.store.memory.store import MemoryStore
from livereactor.store.records import SessionRecord, SessionState

HERE, ELSEWHERE = "127.0.0.1", "192.0.2.1"
NOW = 1_900_000_000


class Rig:
    """An Authenticator over a store in memory, with a clock turned by hand."""

    def __init__(self, *, guests: bool = False, from_anywhere: bool = False) -> None:
        self.now_at = float(NOW)
        self.store = MemoryStore()
        options = CoordinatorOptions(guests=guests, guests_from_anywhere=from_anywhere)
        self.keys = Keys(self.store, unix_us=self._unix_us)
        self.auth = Authenticator(self.store, self.keys, given_secrets("s" * 32), options, unix_us=self._unix_us)

    def _unix_us(self) -> int:
        return int(self.now_at * 1e6)

    async def key(self, **asked: Any) -> str:
        return (await self.keys.create(KeyRequest.model_validate({"account": "acme", **asked}))).key

    async def caller(self, **headers: str) -> Caller:
        return await self.auth.caller(request(headers))

    async def mint(self, key: str, **asked: Any) -> TokenAnswer:
        holder = await self.auth.minter(request({"reactor-api-key": key}))
        return await self.auth.mint_for(holder, TokenRequest.model_validate(asked))

    async def session(self, **changed: Any) -> SessionRecord:
        record = SessionRecord("ses_1", "acme", "m", SessionState.WAITING, 0, 0)
        return await self.store.transact(lambda tx: tx.add_session(replace(record, **changed)))


def request(headers: dict[str, str], *, peer: str = HERE, version: str = "1.1") -> HTTPConnection:
    """A request of this machine's, unless told otherwise; `_` in a header's name stands for `-`."""
    sent = {"host": "localhost:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    return HTTPConnection({"type": "http", "http_version": version, "headers": raw, "client": (peer, 40_000)})


@pytest.fixture
def rig() -> Rig:
    return Rig()


def bound(*sessions: str, **constraints: int) -> list[dict]:
    resources = {"models": {"all": True}, "sessions": {"bind": list(sessions)}}
    return [{"type": "session", "resources": resources, "constraints": constraints}]


async def test_a_key_is_taken_from_every_header_that_clients_use(rig: Rig) -> None:
    key = await rig.key()
    for headers in (
        {"reactor_api_key": key},
        {"x_api_key": key},
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer  {key} "},
        {"authorization": "Bearer local", "reactor_api_key": key},
    ):
        assert await rig.caller(**headers) == Caller("acme", SESSION_SCOPES)


async def test_a_token_in_the_place_of_a_key_is_told_where_it_belongs(rig: Rig) -> None:
    token = (await rig.mint(await rig.key())).jwt
    for header in ("reactor_api_key", "x_api_key"):
        with pytest.raises(UnauthorizedError, match="a token, not a key; pass it as `jwt`"):
            await rig.caller(**{header: token})
    with pytest.raises(UnauthorizedError, match="a token, not a key; pass it as `jwt`"):
        await rig.mint(token)


async def test_a_key_never_does_more_than_its_scopes(rig: Rig) -> None:
    assert (await rig.caller(x_api_key=await rig.key(scopes=["view"]))).scopes == {"view"}
    assert "admin" in (await rig.caller(x_api_key=await rig.key(scopes=["admin"]))).scopes


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Bearer local", "Basic dTpw", "nonsense"])
async def test_no_credentials_are_a_401_that_says_what_to_send(rig: Rig, value: str) -> None:
    with pytest.raises(UnauthorizedError, match=r"no credentials given; send Authorization: Bearer .*POST /tokens"):
        await rig.caller(authorization=value)


@pytest.mark.parametrize("value", ["", "Bearer ", "Bearer local"])
async def test_where_guests_are_served_nobody_needs_credentials(value: str) -> None:
    caller = await Rig(guests=True).caller(authorization=value)
    assert caller == Caller("guest", SESSION_SCOPES)
    with pytest.raises(ForbiddenError, match="lacks the scope `admin`"):
        caller.need("admin")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"host": "rebound.example"},
        {"host": "live.example", "x_forwarded_for": "203.0.113.7"},
        {"x_forwarded_for": "203.0.113.7"},
        {"forwarded": "for=203.0.113.7"},
        {"x_real_ip": "203.0.113.7"},
        {"x_forwarded_proto": "https"},
        {"x_forwarded_host": "localhost"},
        {"via": "1.1 proxy"},
    ],
)
async def test_a_foreign_page_and_whoever_comes_through_a_proxy_are_no_guests(headers: dict[str, str]) -> None:
    with pytest.raises(UnauthorizedError, match="only programs and pages of this machine are served"):
        await Rig(guests=True).caller(**headers)
    assert (await Rig(from_anywhere=True).caller(**headers)).account == "guest"


@pytest.mark.parametrize("asked", [request({}, version="1.0"), request({}, peer=ELSEWHERE)])
async def test_a_proxy_that_adds_nothing_and_whoever_is_elsewhere_are_no_guests(asked: HTTPConnection) -> None:
    with pytest.raises(UnauthorizedError, match="only programs and pages of this machine are served"):
        await Rig(guests=True).auth.caller(asked)
    with pytest.raises(UnauthorizedError):
        await Rig(guests=True).auth.minter(asked)
    assert (await Rig(from_anywhere=True).auth.caller(asked)).account == "guest"


async def test_guests_end_with_the_first_key_and_come_back_when_none_is_left() -> None:
    rig = Rig(guests=True)
    assert (await rig.caller()).account == "guest"
    await rig.key()
    rig.now_at += 1
    with pytest.raises(UnauthorizedError, match=r"has API keys.*`livereactor token`.*guests = true"):
        await rig.caller()
    with pytest.raises(UnauthorizedError, match="no API key given"):
        await rig.auth.minter(request({}))
    (made,) = await rig.keys.list()
    await rig.keys.revoke(made.id)
    rig.now_at += 1
    assert (await rig.caller()).account == "guest"
    open_to_all = Rig(from_anywhere=True)
    await open_to_all.key()
    assert (await open_to_all.caller()).account == "guest"


async def test_pages_of_this_machine_are_guests() -> None:
    for headers in ({"origin": "http://localhost:3000"}, {"host": "127.0.0.1:8080"}, {"host": "[::1]:8080"}):
        assert (await Rig(guests=True).caller(**headers)).account == "guest"


async def test_wrong_credentials_are_refused_though_guests_are_served() -> None:
    rig = Rig(guests=True)
    for headers in ({"authorization": "Bearer a.b.c"}, {"authorization": f"Bearer {new_key()}"}, {"x_api_key": "x"}):
        with pytest.raises(UnauthorizedError):
            await rig.caller(**headers)


async def test_a_token_speaks_for_its_account(rig: Rig) -> None:
    token = await rig.mint(await rig.key())
    caller = await rig.caller(authorization=f"Bearer {token.jwt}")
    assert (caller.account, caller.scopes, caller.expires_at) == ("acme", SESSION_SCOPES, NOW + 21_600)


async def test_a_scoped_token_lives_an_hour_unless_it_asks(rig: Rig) -> None:
    key = await rig.key()
    detail = [{"type": "session", "resources": {"models": {"match": ["m"]}}}]
    assert (await rig.mint(key, authorization_details=detail)).expires_at == NOW + 3600
    assert (await rig.mint(key, authorization_details=detail, expires_after=99_999)).expires_at == NOW + 21_600


async def test_an_expired_token_is_refused_from_that_second_on(rig: Rig) -> None:
    token = await rig.mint(await rig.key(), expires_after=60)
    rig.now_at += 59.9
    await rig.caller(authorization=f"Bearer {token.jwt}")
    rig.now_at += 0.1
    with pytest.raises(UnauthorizedError, match=r"token expired at \d\d:\d\d:\d\dZ; mint a new one"):
        await rig.caller(authorization=f"Bearer {token.jwt}")


async def test_a_token_mints_no_other(rig: Rig) -> None:
    token = await rig.mint(await rig.key())
    with pytest.raises(UnauthorizedError, match="no API key given"):
        await rig.auth.minter(request({"authorization": f"Bearer {token.jwt}"}))


async def test_without_a_key_nothing_is_minted_but_for_guests(rig: Rig) -> None:
    with pytest.raises(UnauthorizedError, match="no API key given; send it as Reactor-API-Key"):
        await rig.auth.minter(request({}))
    hosting = Rig(guests=True)
    token = await hosting.auth.mint_for(await hosting.auth.minter(request({})), TokenRequest())
    assert (await hosting.caller(authorization=f"Bearer {token.jwt}")).account == "guest"


async def test_only_open_sessions_of_the_account_can_be_bound(rig: Rig) -> None:
    key = await rig.key()
    await rig.session(id="mine")
    await rig.session(id="theirs", account="other")
    await rig.session(id="over", state=SessionState.CLOSED)
    assert (await rig.mint(key, authorization_details=bound("mine"))).authorization_details == bound(
        "mine", max_sessions=1
    )
    for wrong in ("theirs", "over", "never"):
        with pytest.raises(NotFoundError, match=f"no open session '{wrong}' for this account"):
            await rig.mint(key, authorization_details=bound("mine", wrong))


async def test_what_the_account_does_not_allow_is_refused_with_the_limit(rig: Rig) -> None:
    key = await rig.key(max_sessions=3)
    await rig.session()
    longest = int(Limits().max_session_duration)
    with pytest.raises(ForbiddenError, match=f"over the {longest} s that sessions last here"):
        await rig.mint(key, authorization_details=bound("ses_1", max_session_duration_seconds=longest + 1))
    with pytest.raises(ForbiddenError, match="max_concurrent_sessions 4 is over the account's 3"):
        await rig.mint(key, authorization_details=bound("ses_1", max_concurrent_sessions=4))
    await rig.mint(key, authorization_details=bound("ses_1", max_concurrent_sessions=3))


async def test_a_session_is_shared_by_whoever_reaches_it_while_it_is_open(rig: Rig) -> None:
    caller = await rig.caller(x_api_key=await rig.key())
    await rig.session()
    token = await rig.auth.share(caller, "ses_1", ShareRequest())
    viewer = await rig.caller(authorization=f"Bearer {token.jwt}")
    assert (viewer.scopes, viewer.bound, viewer.role) == ({"view"}, {"ses_1"}, "viewer")
    for stranger in (Caller("other"), Caller("acme", reach="x")):
        with pytest.raises(NotFoundError):
            await rig.auth.share(stranger, "ses_1", ShareRequest())
    await rig.session(id="over", state=SessionState.CLOSED)
    with pytest.raises(NotFoundError, match="no open session"):
        await rig.auth.share(caller, "over", ShareRequest())


async def test_an_operator_shares_a_session_for_its_owner(rig: Rig) -> None:
    operator = await rig.caller(x_api_key=await rig.key(account="ops", scopes=["view", "admin"]))
    await rig.session()
    token = await rig.auth.share(operator, "ses_1", ShareRequest())
    assert (await rig.caller(authorization=f"Bearer {token.jwt}")).account == "acme"


async def test_neither_key_nor_token_is_ever_logged_told_or_shown(rig: Rig) -> None:
    said: list[str] = []
    with structlog.testing.capture_logs() as records:
        key = await rig.key(scopes=["view", "admin"])
        token = await rig.mint(key)
        caller = await rig.caller(authorization=f"Bearer {token.jwt}")
        await rig.session()
        share = await rig.auth.share(caller, "ses_1", ShareRequest())
        await rig.keys.revoke((await rig.keys.list())[0].id)
        rig.now_at += 99_999
        for value in (key, token.jwt, share.jwt, token.jwt[:-1]):
            for header in ("authorization", "x_api_key"):
                with pytest.raises(LivereactorError) as refused:
                    await rig.caller(**{header: f"Bearer {value}" if header == "authorization" else value})
                said.append(str(refused.value))
    shown = repr([records, said, caller, token, share, await rig.keys.list(), rig.auth, rig.keys])
    for secret in (key, token.jwt, share.jwt, "s" * 32):
        assert secret not in shown
    assert [each["event"] for each in records] == ["key created", "key revoked"]
