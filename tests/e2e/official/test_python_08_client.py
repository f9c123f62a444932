"""The official Python client 0.8.0, unmodified, through `livereactor serve`; its local mode knows one port only.

It speaks JSON over connections of its own, without trickled candidates; its commands have no replies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.tools.drivers import Client, ClientError, PythonClients
from tests.tools.fixtures import SMALL
from tests.tools.processes import REPOSITORY
from tests.tools.serving import Coordinator, livereactor_serve

pytestmark = pytest.mark.asyncio(loop_scope="module")
PYTHON = REPOSITORY / ".venv-client-08/bin/python"


@pytest.fixture(scope="module")
def server(network: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    log_path = tmp_path_factory.mktemp("coordinator") / "log"
    with livereactor_serve([REPOSITORY / "examples/conformance.py"], log_path=log_path, environment=SMALL) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(network: bool) -> AsyncIterator[PythonClients]:
    async with PythonClients.started("tests.tools.python08_client", python=PYTHON) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(clients: PythonClients, server: Coordinator) -> AsyncIterator[Client]:
    client = await clients.new(server.url, api_key=server.key)
    await client.connect()
    yield client
    await client.ask("drop")


async def test_it_connects_and_is_ready(viewer: Client) -> None:
    state = await viewer.state()
    assert state["statuses"] == ["connecting", "waiting", "ready"]
    assert state["errors"] == []
    assert {track["name"] for track in state["tracks"]} == {"main_video", "webcam"}


async def test_frames_come_readable_and_in_order(viewer: Client) -> None:
    frames = await viewer.frames(60, timeout=8.0)
    assert frames["count"] >= 60
    assert frames["decoded"] >= 0.98 * frames["count"]
    assert frames["backwards"] == 0
    assert frames["sizes"][-1] == [640, 360]


async def test_commands_are_answered_by_messages(viewer: Client) -> None:
    await viewer.command("set_prompt", prompt="rain")
    assert await viewer.messages("prompt_changed", 1) == [{"prompt": "rain"}]
    await viewer.command("echo", value={"deep": [1.5, None, "☂"]})
    assert (await viewer.messages("echo_reply", 1))[0]["value"] == {"deep": [1.5, None, "☂"]}


async def test_it_comes_back_on_a_new_connection_to_the_same_session(viewer: Client) -> None:
    await viewer.command("set_prompt", prompt="kept")
    await viewer.messages("prompt_changed", 1)
    before = (await viewer.state())["session"]
    assert (await viewer.ask("reconnect"))["session"] == before
    assert await viewer.ask("wait_status", status="ready")
    await viewer.command("get_state")
    assert (await viewer.messages("model_state", 1))[0]["prompt"] == "kept"
    assert (await viewer.frames(10))["count"] >= 10


async def test_a_second_one_joins_by_id_and_leaves_it_running(
    clients: PythonClients, viewer: Client, server: Coordinator
) -> None:
    session = (await viewer.state())["session"]
    second = await clients.new(server.url, api_key=server.key)
    await second.connect(session_id=session)
    assert (await second.frames(10))["count"] >= 10
    await second.ask("drop")
    assert (await viewer.frames(10))["count"] >= 10


async def test_an_upload_reaches_the_model(viewer: Client) -> None:
    await viewer.ask("upload", ref="a", size=100_000, name="a.png", mime_type="image/png")
    await viewer.ask("command", name="set_image", data={}, ref="a")
    (received,) = await viewer.messages("image_received", 1)
    assert received["size"] == 100_000


async def test_a_wrong_key_is_said_before_any_session_is_made(clients: PythonClients, server: Coordinator) -> None:
    client = await clients.new(server.url, api_key="rk_wrong")
    with pytest.raises(ClientError, match="401"):
        await client.connect()
    await client.ask("drop")
