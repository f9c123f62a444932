"""`livereactor keys`, `token` and `usage`: manage API keys, mint tokens, and show what accounts used."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from livereactor.base.errors import UsageError
from livereactor.cli.admin import AdminTarget
from livereactor.cli.options import AdminKey, CoordinatorUrl, DataDir, Json
from livereactor.protocol.http import read_body
from livereactor.protocol.tokens import ACCOUNT, KeyRequest, TokenRequest

if TYPE_CHECKING:
    from livereactor.coordinator.usage import UsageRow
    from livereactor.wiring.data import Data

_MOMENT = "A day, an ISO 8601 time (UTC unless it names a zone) or Unix seconds."


def usage(
    since: Annotated[str, typer.Option("--from", help=_MOMENT, show_default="everything that is kept")] = "0",
    until: Annotated[str | None, typer.Option("--to", help=_MOMENT, show_default="now")] = None,
    account: Annotated[str | None, typer.Option(help="Show only this account.", show_default="all")] = None,
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
    as_table: Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header.")] = False,
) -> None:
    """Show ended sessions and their seconds on workers.

    Sums are by account and model. A session counts when it ends.
    """
    from livereactor.coordinator.usage import UsageRow, as_csv, as_json_lines

    if json_lines and as_table:
        raise UsageError("--json and --csv cannot be combined; choose one")
    target = AdminTarget(data_dir, coordinator, key)
    if target.is_remote:
        asked = {"from": since, "to": until, "account": account}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        found: list[dict[str, Any]] = target.call("GET", f"/admin/usage?{query}")["usage"]
        rows = [UsageRow(**each) for each in found]
    else:
        rows = target.operate(lambda data: _used(data, since, until, account))
    if json_lines or as_table:
        typer.echo(as_json_lines(rows) if json_lines else as_csv(rows), nl=False)
        return
    if not rows:
        typer.echo("no sessions ended in this time", err=True)
    for row in rows:
        typer.echo(_usage_line(row))


async def _used(data: Data, since: str, until: str | None, account: str | None) -> list[UsageRow]:
    from livereactor.coordinator.usage import moment_us, usage

    since_us, until_us = moment_us(since), data.unix_us() if until is None else moment_us(until)
    return await data.store.read(lambda tx: usage(tx, since_us=since_us, until_us=until_us, account=account))


def _usage_line(row: UsageRow) -> str:
    shown = asdict(row)
    return "{account:<16} {model:<16} {sessions:>7} sessions {seconds:>12.1f} s".format(**shown)


keys = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.", rich_markup_mode=None)

FIRST: Final = (
    "From now on everyone needs a key or a token, on this machine too (unless guests = true). "
    "For the page, get a token with `livereactor token` and open the address with #token=…"
)


class Scope(StrEnum):
    """A right of a key and of the tokens minted with it."""

    view = "view"
    control = "control"
    record = "record"
    upload = "upload"
    admin = "admin"


Scopes = Annotated[
    list[Scope] | None, typer.Option("--scope", help="Scope to grant. Repeatable.", show_default="all but admin")
]


@keys.command(epilog="Example: livereactor keys create --name website --account acme")
def create(
    name: Annotated[str, typer.Option(help="Name to recognise the key by.")] = "",
    account: Annotated[
        str | None, typer.Option(help="Account whose sessions and quotas the key uses.", show_default="default")
    ] = None,
    scope: Scopes = None,
    weight: Annotated[float | None, typer.Option(min=0.001, max=1000, help="The account's share of a queue.")] = None,
    max_sessions: Annotated[
        int | None, typer.Option(min=0, help="Maximum open sessions of the account; 0 = unlimited.")
    ] = None,
    sessions_per_minute: Annotated[
        int | None, typer.Option(min=0, help="Maximum new sessions of the account per minute; 0 = unlimited.")
    ] = None,
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """Create a key and show it once."""
    asked: dict[str, Any] = {
        "name": name,
        "account": account,
        "scopes": [each.value for each in scope] if scope else None,
        "weight": weight,
        "max_sessions": max_sessions,
        "sessions_per_minute": sessions_per_minute,
    }
    body = {field: value for field, value in asked.items() if value is not None}
    target = AdminTarget(data_dir, coordinator, key)
    if target.is_remote:
        made: dict[str, Any] = target.call("POST", "/keys", body)
    else:
        request = read_body(KeyRequest, json.dumps(body).encode())
        made = target.operate(lambda data: data.authenticator.keys.create(request), make=True).to_body()
    if json_lines:
        typer.echo(json.dumps(made))
        return
    typer.echo(made["key"])
    print("This key is shown only once. Store it where only your server can read it.", file=sys.stderr)
    if [row["id"] for row in _listed(target) if "revoked_at" not in row] == [made["id"]]:
        print(FIRST, file=sys.stderr)


@keys.command("list", epilog="Example: livereactor keys list --json")
def list_keys(
    data_dir: DataDir = None, coordinator: CoordinatorUrl = None, key: AdminKey = None, json_lines: Json = False
) -> None:
    """List the keys, newest first."""
    rows = _listed(AdminTarget(data_dir, coordinator, key))
    if not rows and not json_lines:
        typer.echo("no keys", err=True)
    for row in rows:
        typer.echo(json.dumps(row) if json_lines else _line(row))


@keys.command(epilog="Example: livereactor keys revoke rk_1aB2cD3e")
def revoke(
    revoked: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, or the characters that `list` shows.")],
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """Revoke a key. It is refused everywhere within a minute.

    Tokens minted with the key stay valid until they expire.
    """
    target = AdminTarget(data_dir, coordinator, key)
    if target.is_remote:
        target.call("DELETE", f"/keys/{quote(revoked, safe='')}")
        ended = {"id": revoked}
    else:
        ended = target.operate(lambda data: data.authenticator.keys.revoke(revoked)).to_body()
    typer.echo(json.dumps(ended) if json_lines else f"revoked {ended['id']}")


def _listed(target: AdminTarget) -> list[dict[str, Any]]:
    if target.is_remote:
        return target.call("GET", "/keys")["keys"]
    return [each.to_body() for each in target.operate(lambda data: data.authenticator.keys.list())]


def _line(row: dict[str, Any]) -> str:
    used = f"used {_date(row['used_at'])}" if "used_at" in row else "never used"
    state = f"revoked {_date(row['revoked_at'])}" if "revoked_at" in row else used
    return f"{row['prefix']}…  {row['account']:<16} {','.join(row['scopes']):<28} {state:<24} {row['name']}".rstrip()


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}Z"


def token(
    model: Annotated[list[str] | None, typer.Option(help="Model that the token may use. Repeatable.")] = None,
    session: Annotated[
        list[str] | None, typer.Option(help="Open session that the token may act on. Repeatable.")
    ] = None,
    scope: Scopes = None,
    expires_after: Annotated[int | None, typer.Option(min=1, help="Lifetime in seconds, at most 21600.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="Web origin whose pages alone may use the token. Repeatable.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Account of the token, with a data folder.", show_default="default")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Grant the scope admin as well.")] = False,
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """Print a token. It is unscoped unless you name models or sessions."""
    scopes = [*(scope or Scope), Scope.admin] if admin else scope
    asked = _asked(model or [], session or [], scopes, expires_after)
    if origin:
        asked["origins"] = origin
    target = AdminTarget(data_dir, coordinator, key)
    if target.is_remote:
        answer: dict[str, Any] = target.call("POST", "/tokens", asked)
    else:
        answer = _mint_here(target, account or ACCOUNT, asked)
    typer.echo(json.dumps(answer) if json_lines else answer["jwt"])


def _mint_here(target: AdminTarget, account: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Mint with all scopes: anyone who can read the data folder's secrets can mint any token."""
    from livereactor.coordinator.auth.caller import ALL_SCOPES, Caller

    request = read_body(TokenRequest, json.dumps(asked).encode())
    return target.operate(
        lambda data: data.authenticator.mint_for(Caller(account, ALL_SCOPES), request), make=True
    ).to_body()


def _asked(models: list[str], sessions: list[str], scopes: list[Scope] | None, lifetime: int | None) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if models or sessions:
        resources: dict[str, Any] = {"models": {"match": models} if models else {"all": True}}
        if sessions:
            resources["sessions"] = {"bind": sessions}
        asked["authorization_details"] = [{"type": "session", "resources": resources}]
    if scopes is not None:
        asked["scope"] = list(dict.fromkeys(each.value for each in scopes))
    if lifetime is not None:
        asked["expires_after"] = lifetime
    return asked
