"""The plan by which a coordinator starts its workers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

from livereactor.base.errors import ConfigError
from livereactor.base.limits import Limits
from livereactor.coordinator.auth.secrets import Secrets
from livereactor.coordinator.fleet.fleet import FleetPlan
from livereactor.pool.environment import BLOBS, SECRET
from livereactor.pool.port import Needs
from livereactor.settings import Resolved, effective, is_secret, variable
from livereactor.settings.sections import RuntimeSettings
from livereactor.wiring.blobs import blobs_url
from livereactor.wiring.catalogue import Listed

# Both hold a Session to these, so a Worker has ours though they are defaults here and something else beside its model.
AGREED: Final = frozenset(
    {
        "coordinator.drain_timeout",
        *(f"runtime.{each.name}" for each in fields(Limits) if each.name in RuntimeSettings.model_fields),
    }
)


def fleet_plan(models: Sequence[Listed], resolved: Resolved, secrets: Secrets, folder: Path) -> FleetPlan:
    """Return the plan by which workers are started.

    Args:
        resolved: this coordinator's settings, which are its Workers' too; what they leave open is said by a
            `livereactor.toml` beside the model.
        folder: where the coordinator's data is, absolute.

    Raises:
        ConfigError: needs are said of a model that is not served.
    """
    pool = resolved.settings.pool
    environment = {SECRET: secrets.worker, **dict(_settings(resolved))}
    if pool.kind == "subprocess":  # another machine may not reach them, and goes through our HTTP
        environment[BLOBS] = blobs_url(resolved.settings, folder / "blobs")
    targets = {each.name: each.target for each in models}
    if unknown := set(pool.needs) - set(targets):
        raise ConfigError(
            f"[pool.needs.{min(unknown)}]: no such model is served; there are {', '.join(sorted(targets))}"
        )
    needs = {name: Needs(given.gpus, given.cpus, given.resources) for name, given in pool.needs.items()}
    return FleetPlan(targets, environment, pool.idle_stop, needs)


def _settings(resolved: Resolved) -> Iterator[tuple[str, str]]:
    """Environment variables, which a Worker believes before any file."""
    for name, value, origin in effective(resolved):
        is_given = origin != "default" and (name.startswith("runtime.") or name == "turn.relay_only")
        if name in AGREED or (is_given and not is_secret(name)):
            yield variable(name), value if isinstance(value, str) else json.dumps(value, default=str)
    # Relays come with each Session; those beside a model may lack a secret, which would end the Worker.
    yield variable("turn.urls"), "[]"
