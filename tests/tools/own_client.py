"""Our client, `livereactor.Reactor`, driven from outside by the same operations as the official ones.

Run as `python -m tests.tools.own_client`; `drivers.PythonClients.started(OWN)` is the other end.
"""

from __future__ import annotations

import asyncio
from typing import Any

from livereactor import Reactor
from livereactor.client.types import FileRef
from tests.tools.operations import serve


def make(url: str, *, model: str = "conformance", **options: Any) -> Reactor:
    """A client for the local runtime at `url`; with a key or token, for the coordinator there."""
    if options.keys() & {"api_key", "jwt"}:
        return Reactor(model, api_url=url, **options)
    return Reactor(model, local=url, **options)


def make_ref(upload_id: str) -> FileRef:
    """A reference to an upload that this client did not make."""
    return FileRef(upload_id=upload_id, name="no.png", mime_type="image/png", size=10)


if __name__ == "__main__":
    asyncio.run(serve(make, make_ref))
