"""The webhooks that the settings name: one reader of the events for each URL."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from livereactor.base.clock import unix_us
from livereactor.base.errors import ConfigError
from livereactor.coordinator.webhooks import Webhooks
from livereactor.settings import Settings
from livereactor.store.port import Store


def check_webhooks(settings: Settings) -> None:
    """Raise `ConfigError` where URLs have no secret to sign with."""
    if settings.webhooks.urls and not settings.webhooks.secrets:
        raise ConfigError(
            "webhooks.urls are told nothing without webhooks.secrets, by which they know us; "
            'set it to ["whsec_…"], made by: echo "whsec_$(openssl rand -base64 32)"'
        )


@asynccontextmanager
async def telling(settings: Settings, store: Store) -> AsyncGenerator[None]:
    """Every URL of the settings is told what happens, until the end of this context."""
    async with AsyncExitStack() as stack:
        for url in dict.fromkeys(settings.webhooks.urls):
            webhooks = Webhooks(store, url=url, secrets=settings.webhooks.secrets, unix_us=unix_us)
            stack.push_async_callback(webhooks.aclose)
            await webhooks.start()
        yield
