"""The environment of processes that run a model's code: our own, but for what is the coordinator's alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

# Names of variables that Workers are started with.
SECRET: Final = "LIVEREACTOR_WORKER_SECRET"
BLOBS: Final = "LIVEREACTOR_WORKER_BLOBS"  # the coordinator's folder or bucket, which this machine can reach

# Signing keys, database, webhooks, TURN: a model has no use for them, and is often somebody else's code. They are whole
# sections, so that the next secret is not forgotten; what a Worker needs of them it is given in so many words.
WITHHELD: Final = (
    "LIVEREACTOR_COORDINATOR__",
    "LIVEREACTOR_STORE__",
    "LIVEREACTOR_TURN__",
    "LIVEREACTOR_WEBHOOKS__",
    SECRET,
    "TURN_SERVERS",
)


def model_environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without the variables `WITHHELD`, and with those given."""
    # Settings are read from names of any case.
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith(WITHHELD)}
    return {**own, **(given or {})}
