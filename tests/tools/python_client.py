"""The official Python client, driven from outside; a process of its own, since it is native code.

Run as `python -m tests.tools.python_client`; `drivers.PythonClients` is the other end.
"""

from __future__ import annotations

import asyncio
from typing import Any

from reactor_sdk import FileRef, Reactor

from tests.tools.operations import serve


def make(url: str, *, model: str = "conformance", **options: Any) -> Reactor:
    """An official client for the local runtime at `url`; with a key or token, for the coordinator there."""
    local = not options.keys() & {"api_key", "jwt", "jwt_token"}
    return Reactor(model, local=local, api_url=url, **options)


def make_ref(upload_id: str) -> FileRef:
    """A reference to an upload that this client did not make."""
    return FileRef(upload_id=upload_id, name="no.png", mime_type="image/png", size=10)


if __name__ == "__main__":
    asyncio.run(serve(make, make_ref))
