"""A client that somebody kills: `python -m bench.chaos.vanishing MODEL`; the key is in `LIVEREACTOR_API_KEY`.

A process of its own, since a `Reactor` that is closed, or dropped, or at its process's end, says goodbye.
"""

from __future__ import annotations

import asyncio
import sys

from bench.chaos.stack import URL
from livereactor import Reactor
from livereactor.client.errors import ReactorError


async def main(model: str, patience: float) -> None:
    """Connect within so many seconds, print the session's id, and stay; or `!` and the code of the refusal."""
    reactor = Reactor(model, api_url=URL, connect_timeout=patience, log_level="error")
    try:
        await reactor.connect()
    except ReactorError as error:
        print(f"!{error.code}", flush=True)
        return
    print(reactor.session_id, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
