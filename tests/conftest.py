"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

HERE = Path(__file__).parent
# What counts frames and measures delays in real time, or fills the processor: what a neighbour does would show in it.
ALONE = (
    "contract/engine/",
    "e2e/acceptance/",
    "e2e/client/test_bucket",
    "e2e/client/test_commands",
    "e2e/client/test_life_cycle",
    "e2e/client/test_media",
    "e2e/client/test_network",
    "e2e/client/test_queue",
    "e2e/client/test_recordings",
    "e2e/client/test_statistics",
    "e2e/client/test_sync",
    "e2e/client/test_typed_clients",
    "e2e/client/test_uploads",
    "fault/test_coordinator_killed.py",
    "fault/test_nat.py",
    "fault/test_pool.py",
    "fault/test_processes.py",
    "property/protocol/test_hostile_input.py",
    "soak/",
)

# What an example takes is its neighbours' time too; properties that are about time say so themselves.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")


def pytest_configure() -> None:
    """Heed Ctrl-C and hang-ups, and so do the programs under test, which inherit what is ignored.

    Whoever starts the tests in the background of a shell, or under nohup, has them ignored.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs alone, before `-m` looks for it."""
    for item in items:
        if item.path.relative_to(HERE).as_posix().startswith(ALONE):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    """A client or a command sets structlog up for its whole process; a test finds it as nobody has."""
    structlog.reset_defaults()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one more than there are processors, since every other test waits for a process or a clock."""
    return len(os.sched_getaffinity(0)) + 1
