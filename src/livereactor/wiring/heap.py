"""The heap of a process that has begun: what lives on is taken out of Python's garbage collection."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from livereactor.runtime.session.service import Runtime


def freeze_heap() -> None:
    """Collect garbage once, and leave the objects that stay out of all later collections.

    A full collection stops every thread that runs Python: for 50 ms in a worker of a small model, and for longer the
    more modules a model imports. It comes at any time, and frames and commands wait for it.
    """
    gc.collect()
    gc.freeze()


async def freeze_once_loaded(runtimes: Iterable[Runtime]) -> None:
    """Freeze the heap when every runtime has loaded its model, or never will."""
    for runtime in runtimes:
        async for _ in runtime.loading():
            pass
    freeze_heap()
