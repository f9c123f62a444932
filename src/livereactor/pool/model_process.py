"""A process that runs a model, which is often somebody else's code: its start, its environment and its end."""

from __future__ import annotations

import os
import signal
import site
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from livereactor.pool.confinement import CONFINED, LATE_USER_SITE, is_in_user_site
from livereactor.pool.port import SECRET


def module_options() -> tuple[str, ...]:
    """Return Python's options before the name of a module.

    Neither the working folder nor the user's site-packages is imported from, since a model may have written there: its
    `usercustomize` and `.pth` files would run before the process is confined. What is installed there is found after
    that (`confine_as_told`), except livereactor itself, which has to be found before.
    """
    if not site.ENABLE_USER_SITE:
        return ("-P", "-s", "-m")
    if is_in_user_site(Path(__file__)):
        return ("-P", "-m")
    return ("-P", "-s", "-X", LATE_USER_SITE, "-m")


MODULE: Final = module_options()
# Signing keys, database, webhooks, TURN: a model has no use for them, and is often somebody else's code. They are whole
# sections, so that the next secret is not forgotten; what a Worker needs of them it is given in so many words.
WITHHELD: Final = (
    "LIVEREACTOR_COORDINATOR__",
    "LIVEREACTOR_MODERATION__",
    "LIVEREACTOR_STORE__",
    "LIVEREACTOR_TURN__",
    "LIVEREACTOR_WEBHOOKS__",
    SECRET,
    "LIVEREACTOR_API_KEY",
    "TURN_SERVERS",
)
RAY_TOKEN: Final = "RAY_AUTH_TOKEN"  # whoever has it runs programs on each machine of a Ray cluster


def model_environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment without the variables `WITHHELD`, and with those given.

    A process that is to be confined does not get the token of a Ray cluster either.
    """
    given = given or {}
    withheld = (*WITHHELD, RAY_TOKEN) if CONFINED in given else WITHHELD
    # Settings are read from names of any case.
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith(withheld)}
    return {**own, **given}


def start_process(
    command: Sequence[str], environment: Mapping[str, str], *, stdin: int = subprocess.DEVNULL, stdout: int
) -> subprocess.Popen[bytes]:
    """Start a process for a model, the leader of a session and group of its own; raises OSError."""
    return subprocess.Popen(
        list(command),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        env=model_environment({"PYTHONUNBUFFERED": "1", **environment}),  # what it printed before a crash is in its log
        start_new_session=True,
    )


def kill_group_led_by(leader: int) -> None:
    """SIGKILL for a process group; one that is gone is no error."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
