"""`livereactor bench` as a process, against `run` and against `serve`."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.e2e.cli.command import ended
from tests.e2e.client.conftest import BOTH_DOORS, Make
from tests.e2e.client.test_commands_of_the_line import sessions
from tests.tools.processes import Program, free_port
from tests.tools.serving import Coordinator

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRIEF = ("--trials", "2", "--seconds", "1")
AT_RUN = pytest.mark.parametrize("door", ["run"], indirect=True)
AT_SERVE = pytest.mark.parametrize("door", ["serve"], indirect=True)  # a runtime only warns: it has one model


def to(server: Program) -> list[str]:
    """Where it is, and what opens it."""
    return [server.url, "--key", server.key] if isinstance(server, Coordinator) else [server.url]


@BOTH_DOORS
async def test_every_figure_is_measured_and_nothing_is_left(server: Program) -> None:
    done = await ended("bench", *to(server), *BRIEF, "--json")
    assert done.code == 0, done.log
    machine, *rows = [json.loads(line) for line in done.out.splitlines()]
    assert machine["model"] == "conformance"
    by_figure = {row["figure"]: row for row in rows}
    assert by_figure.keys() == {"P1", "P5", "P7", "P8", "P11", "P15", "P21", "network"}
    assert all(row["server"] == server.url and row["count"] > 0 for row in rows)
    # By the colour and the number in the picture: each command was seen, and no picture between is missing unread.
    assert by_figure["P1"]["values"].keys() == {"p50", "p95", "max"}
    assert "missing" in by_figure["P15"]["values"]
    assert sessions(server) == 0


async def test_people_get_a_table_and_are_told_what_is_measured(server: Program) -> None:
    done = await ended("bench", *to(server), *BRIEF)
    assert done.code == 0, done.log
    assert done.out.splitlines()[0].split() == ["figure", "what", "measured", "trials"]
    assert "flash to first changed pixel" in done.out
    assert "P7: command round trip" in done.log


@AT_SERVE
async def test_a_model_that_is_not_there_is_one_sentence_with_what_to_do(server: Program) -> None:
    done = await ended("bench", *to(server), "--model", "elsewhere")
    assert done.code == 1
    told = "the coordinator has no model elsewhere, but conformance; choose one of them with --model"
    assert done.log == f"livereactor: server: {told}\n"


@AT_RUN
async def test_a_session_of_somebody_else_is_not_disturbed(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    done = await ended("bench", *to(server))
    assert done.code == 1
    assert done.log == "livereactor: a session is running there; try again when it has ended\n"
    assert reactor.status.value == "ready"


async def test_where_nobody_listens_the_first_broken_step_is_said() -> None:
    done = await ended("bench", f"http://127.0.0.1:{await asyncio.to_thread(free_port)}")
    assert done.code == 1
    assert "refused; start the server" in done.log
    assert "Traceback" not in done.log
