"""Asking again where what stands in front of a server did not reach it, as while it restarts behind a load balancer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from livereactor.client.http.api_errors import is_of_a_proxy, retry_after
from livereactor.client.http.client import HttpAnswer

PAUSES: Final = (0.3, 1.0, 3.0)  # seconds before the second, third and fourth time; a coordinator starts in two
SPREAD: Final = 0.2  # of a pause, either way: clients that were refused together do not come back together
LAST: Final = 10.0  # seconds after the first time, later than which nothing is asked again


async def asked_again(ask: Callable[[], Awaitable[HttpAnswer]]) -> HttpAnswer:
    """The answer of a server, asked up to four times; of the proxy, where that has nothing else to say.

    What a server says itself is its answer whatever the status, and so is no connection at all.

    Args:
        ask: a request that may be done twice.
    """
    began = time.monotonic()
    for pause in PAUSES:
        answer = await ask()
        if not is_of_a_proxy(answer):
            return answer
        spread = pause * random.uniform(1 - SPREAD, 1 + SPREAD)
        wait = max(spread, retry_after(answer) or 0.0)
        if time.monotonic() + wait > began + LAST:
            return answer
        await asyncio.sleep(wait)
    return await ask()
