"""A runtime for each model that a door is tried on, for as long as a module's tests run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.tools.processes import REPOSITORY, Program, livereactor_run

Serve = Callable[[str], Program]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve("examples/pond.py")`: it runs."""
    started: dict[str, Program] = {}
    with ExitStack() as stack:

        def run(target: str) -> Program:
            if target not in started:
                log_path = tmp_path_factory.mktemp("server") / "log"
                started[target] = stack.enter_context(livereactor_run(REPOSITORY / target, log_path=log_path))
            return started[target]

        yield run
