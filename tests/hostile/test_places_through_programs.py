"""Visitors that take every place of a session, at real programs over each engine: the owner gets one."""

from __future__ import annotations

from pathlib import Path

import pytest

from livereactor.protocol import messages as m
from livereactor.protocol import v1
from tests.hostile.watching import PROGRAMS, conformance_program, engine_of, on_stage
from tests.integration.coordinator.asking import must_be_problem

pytestmark = pytest.mark.timeout(300)
PLACES = 4


@pytest.mark.parametrize("name", PROGRAMS)
async def test_the_owner_displaces_the_newest_visitor_who_is_told_why(name: str, tmp_path: Path) -> None:
    settings = {"MAX_CONNECTIONS": str(PLACES)}
    with conformance_program(name, tmp_path / "log", settings) as program:
        async with engine_of(name.split("-")[1]) as engine, on_stage(program) as stage:
            watchers = [await stage.watcher(engine, v1) for _ in range(PLACES - 1)]
            must_be_problem(await stage.refused(), 429, "RATE_LIMITED")
            again = await stage.watcher(engine, v1, owns=True)
            newest = watchers[-1]
            await newest.until(lambda: newest.is_closed)
            ends = [each.reason for each in newest.heard if isinstance(each, m.SessionEnded)]
            assert ends == ["displaced"]
            assert not any(each.is_closed for each in (*watchers[:-1], again))
