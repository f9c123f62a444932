"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

HERE = Path(__file__).parent

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
    """What runs alone is in the folders where `make test` looks for it: to collect the others again takes its time."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if item.get_closest_marker("alone") and folder not in ("contract", "e2e", "fault"):
            raise pytest.UsageError(f"{item.nodeid} is marked `alone`, and the Makefile does not look for it there")


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    """A client or a command sets structlog up for its whole process; a test finds it as nobody has."""
    structlog.reset_defaults()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one more than there are processors, since every other test waits for a process or a clock."""
    return len(os.sched_getaffinity(0)) + 1
