"""The moderator that the settings name, for a stand-alone runtime and for a coordinator."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from livereactor.moderation.function.call import FunctionModerator, load_function
from livereactor.moderation.http.hook import HttpModerator
from livereactor.moderation.judge import Judge, JudgeBounds
from livereactor.moderation.port import Moderator
from livereactor.moderation.relay.worker import RelayModerator
from livereactor.protocol.http import ModerationTerms
from livereactor.runtime.options import Moderated
from livereactor.settings import Settings

# A coordinator waits for a place, then for an answer, each at most 30 s; its own verdict comes in any case.
RELAYED = JudgeBounds(timeout=100.0, file_bytes=None)


def terms_of(settings: Settings) -> ModerationTerms | None:
    """Return the terms of moderation; None where nobody is asked."""
    given = settings.moderation
    if given.url is None and given.callable is None:
        return None
    return ModerationTerms(fields=given.fields, on_failure=given.on_failure)


@asynccontextmanager
async def judging(settings: Settings) -> AsyncGenerator[Judge | None]:
    """Yield the judge that the settings ask for, and close it; None where they ask for none.

    Raises:
        ConfigError: the function cannot be imported.
    """
    given = settings.moderation
    moderator: Moderator
    if given.url is not None:
        moderator = HttpModerator(given.url, given.secrets, connections=given.concurrency)
    elif given.callable is not None:
        moderator = FunctionModerator(load_function(given.callable), threads=given.concurrency)
    else:
        yield None
        return
    judge = Judge(moderator, JudgeBounds(given.timeout, given.concurrency, given.queue, given.file_bytes))
    try:
        yield judge
    finally:
        await judge.aclose()


@asynccontextmanager
async def relaying(coordinator: str, secret: str) -> AsyncGenerator[Moderated]:
    """Yield a worker's judge, which asks through its coordinator; each session brings its terms."""
    judge = Judge(RelayModerator(coordinator, secret), RELAYED)
    try:
        yield Moderated(judge)
    finally:
        await judge.aclose()
