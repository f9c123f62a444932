"""`livereactor token`: a short-lived token for a client, a script or a share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from livereactor.cli.keys import Scope, Scopes
from livereactor.cli.operating import AdminKey, CoordinatorUrl, DataDir, Json, Place
from livereactor.protocol.http import read_body
from livereactor.protocol.keys import ACCOUNT
from livereactor.protocol.tokens import TokenRequest


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Example: livereactor token --model pond --expires-after 600")(token)


def token(
    model: Annotated[list[str] | None, typer.Option(help="Model it may use; may be repeated.")] = None,
    session: Annotated[list[str] | None, typer.Option(help="Open session it may act on; may be repeated.")] = None,
    scope: Scopes = None,
    expires_after: Annotated[int | None, typer.Option(min=1, help="Seconds; at most 21600.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose it is, on a data folder.", show_default="default")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="May operate, beside all else.")] = False,
    data_dir: DataDir = None,
    coordinator: CoordinatorUrl = None,
    key: AdminKey = None,
    json_lines: Json = False,
) -> None:
    """Print a token, unscoped unless models or sessions are named."""
    scopes = [*(scope or Scope), Scope.admin] if admin else scope
    asked = _asked(model or [], session or [], scopes, expires_after)
    place = Place(data_dir, coordinator, key)
    if place.is_remote:
        answer: dict[str, Any] = place.call("POST", "/tokens", asked)
    else:
        answer = _mint_here(place, account or ACCOUNT, asked)
    typer.echo(json.dumps(answer) if json_lines else answer["jwt"])


def _mint_here(place: Place, account: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Whoever reads the data folder's secrets may mint whatever there is."""
    from livereactor.coordinator.auth.caller import ALL_SCOPES, Caller

    request = read_body(TokenRequest, json.dumps(asked).encode())
    return place.operate(
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
