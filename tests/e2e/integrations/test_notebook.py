"""A live model in a notebook: in a kernel whose loop runs, between kernel and page, and on the page."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import cv2
import nbclient
import nbformat
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

import livereactor as lr
from livereactor.integrations import notebook
from livereactor.integrations.notebook import ReactorWidget
from tests.e2e.integrations.conftest import Serve
from tests.e2e.page.conftest import browser, opened

__all__ = ["browser"]

PATIENCE = 30.0
CELLS = [
    """
import asyncio, time
import livereactor as lr
from livereactor.integrations.notebook import ReactorWidget

reactor = lr.SyncReactor("pond", local={url!r})
view = ReactorWidget(reactor)
view
""",
    """
asyncio.get_running_loop()  # raises where none runs
reactor.connect()
print(reactor.send_command("drop", {{"x": 0.5, "y": 0.5}})["type"])
deadline = time.monotonic() + 30
while (view.frames < 5 or not view.controls) and time.monotonic() < deadline:
    time.sleep(0.05)
print(view.status, view.frames >= 5, [each["command"] for each in view.controls])
""",
    """
reactor.disconnect()
print(view.status)
""",
]


def test_a_notebook_shows_a_live_model_while_its_loop_runs(serve: Serve, tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(cell.format(url=serve("examples/pond.py").url)) for cell in CELLS]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(
        book, timeout=90, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown, live, left = (cell["outputs"] for cell in book["cells"])
    live, left = ("".join(output.get("text", "") for output in outputs) for outputs in (live, left))
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in shown)
    assert live.splitlines() == [
        "dropped",
        "ready True ['set_rain', 'set_wind', 'set_light', 'drop']",
    ]
    assert left == "disconnected\n"
    state = book["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert any("export default" in each["state"].get("_esm", "") for each in state.values())


class Told:
    """What a widget says to its page."""

    def __init__(self) -> None:
        self.said: list[tuple[dict[str, Any], list[bytes] | None]] = []
        self.more = threading.Condition()

    def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        with self.more:
            self.said.append((content, buffers))
            self.more.notify_all()

    def of(self, kind: str, count: int = 1) -> list[tuple[dict[str, Any], list[bytes] | None]]:
        def found() -> list[tuple[dict[str, Any], list[bytes] | None]]:
            return [each for each in self.said if each[0]["kind"] == kind]

        with self.more:
            assert self.more.wait_for(lambda: len(found()) >= count, PATIENCE)
            return found()


@pytest.fixture
def reactor(serve: Serve) -> Iterator[lr.SyncReactor]:
    with lr.SyncReactor("pond", local=serve("examples/pond.py").url) as made:
        yield made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    made = Told()
    monkeypatch.setattr(ReactorWidget, "send", lambda _, *said: made.send(*said))
    return made


def heard(widget: ReactorWidget, **content: Any) -> None:
    widget.receive(widget, content, [])


def test_a_frame_is_sent_as_jpeg_and_the_next_when_it_is_taken(
    reactor: lr.SyncReactor, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "PATIENCE", PATIENCE)
    widget = ReactorWidget(reactor)
    ((_, buffers),) = told.of("frame")
    assert buffers is not None
    picture = cv2.imdecode(np.frombuffer(buffers[0], np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (360, 640, 3)
    for _ in range(3):
        reactor.track("main_video").read(PATIENCE)
    assert widget.frames == 1  # nobody has taken it
    heard(widget, kind="taken")
    told.of("frame", 2)
    widget.close()


def test_a_page_that_takes_nothing_still_gets_a_picture_now_and_then(reactor: lr.SyncReactor, told: Told) -> None:
    widget = ReactorWidget(reactor)
    told.of("frame", 3)
    widget.close()


def test_a_command_from_the_page_is_done_and_its_outcome_told(reactor: lr.SyncReactor, told: Told) -> None:
    widget = ReactorWidget(reactor)
    heard(widget, kind="command", name="drop", data={"x": 0.5, "y": 0.5}, id=1)
    heard(widget, kind="command", name="drop", data={"x": 7, "y": 0.5}, id=2)
    first, second = (content for content, _ in told.of("outcome", 2))
    assert (first["id"], first["ok"]) == (1, True)
    assert (second["id"], second["ok"]) == (2, False)
    assert "drop.x" in second["text"]
    widget.close()


def test_what_is_nonsense_from_the_page_is_left_alone(reactor: lr.SyncReactor, told: Told) -> None:
    widget = ReactorWidget(reactor)
    for content in ({}, {"kind": "command"}, {"kind": "command", "name": 1, "data": [], "id": "x"}, {"kind": "?"}):
        heard(widget, **content)
    heard(widget, kind="command", name="drop", data={"x": 0.5, "y": 0.5}, id=9)
    assert told.of("outcome")[0][0]["id"] == 9
    widget.close()


def test_a_closed_widget_sends_nothing_and_the_client_goes_on(reactor: lr.SyncReactor, told: Told) -> None:
    widget = ReactorWidget(reactor)
    told.of("frame")
    widget.close()
    reactor.track("main_video").read(PATIENCE)
    sent = widget.frames
    for _ in range(5):
        reactor.track("main_video").read(PATIENCE)
    assert widget.frames <= sent + 1  # one was on its way
    assert reactor.status == "ready"


# --- the page ---

FAKE = """
const listeners = {};
const values = { status: "ready", problem: "", controls: CONTROLS };
window.sent = [];
window.model = {
  get: (name) => values[name],
  set: (name, value) => { values[name] = value; (listeners[`change:${name}`] ?? []).forEach((each) => each()); },
  on: (event, handler) => (listeners[event] ??= []).push(handler),
  off: (event, handler) => (listeners[event] = (listeners[event] ?? []).filter((each) => each !== handler)),
  send: (content) => window.sent.push(content),
  say: (content, buffers) => (listeners["msg:custom"] ?? []).forEach((each) => each(content, buffers)),
  count: () => Object.values(listeners).flat().length,
};
"""
CONTROLS = """[
  {command: "set_rain", title: "rain", description: "", live: true,
   fields: [{name: "rain", kind: "number", value: 0.2, min: 0, max: 1, step: "any", description: "Drops."}]},
  {command: "drop", title: "drop", description: "Let a drop fall.", live: false,
   fields: [{name: "x", kind: "number", value: null, min: 0, max: 1, step: "any", description: ""},
            {name: "loud", kind: "switch", value: true, description: ""},
            {name: "place", kind: "choice", value: "right", values: ["left", "right"], description: ""},
            {name: "path", kind: "json", value: [1, 2], description: ""}]},
]"""


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with opened(browser) as (made, complaints):
        await made.set_content("<div id='cell'></div>")
        source = (Path(notebook.__file__).parent / "notebook.js").read_text()
        await made.evaluate(FAKE.replace("CONTROLS", CONTROLS))
        await made.add_script_tag(
            type="module",
            content=source.replace("export default", "window.widget =")
            + "window.leave = window.widget.render({model: window.model, el: document.getElementById('cell')});",
        )
        await made.wait_for_function("window.leave !== undefined")
        yield made
        assert complaints == []


in_the_page = pytest.mark.asyncio(loop_scope="module")


@in_the_page
async def test_a_frame_is_drawn_and_said_to_be_taken(page: Page) -> None:
    picture = np.full((90, 160, 3), (0, 128, 255), np.uint8)  # BGR
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    await page.evaluate(
        "bytes => window.model.say({kind: 'frame'}, [new DataView(new Uint8Array(bytes).buffer)])", list(jpeg)
    )
    await page.wait_for_function("window.sent.some((each) => each.kind === 'taken')")
    size, colour = await page.evaluate(
        "() => { const canvas = document.querySelector('canvas');"
        " return [[canvas.width, canvas.height], [...canvas.getContext('2d').getImageData(80, 45, 1, 1).data]]; }"
    )
    assert size == [160, 90]
    assert np.allclose(colour[:3], (255, 128, 0), atol=6)


@in_the_page
async def test_a_slider_sends_as_it_moves_one_at_a_time_and_the_newest_at_last(page: Page) -> None:
    for value in ("0.5", "0.6", "0.7"):
        await page.evaluate(
            "value => { const slider = document.querySelector('input[type=range]'); slider.value = value;"
            " slider.dispatchEvent(new Event('input')); }",
            value,
        )
    assert await page.evaluate("window.sent") == [
        {"kind": "command", "name": "set_rain", "data": {"rain": 0.5}, "id": 1}
    ]
    await page.evaluate("window.model.say({kind: 'outcome', id: 1, ok: true, text: ''})")
    await page.wait_for_function("window.sent.length === 2")
    assert await page.evaluate("window.sent[1].data") == {"rain": 0.7}


@in_the_page
async def test_a_button_sends_its_fields_and_shows_what_was_wrong(page: Page) -> None:
    await page.get_by_role("button", name="drop").click()
    assert await page.evaluate("window.sent[0].data") == {"x": 0.5, "loud": True, "place": "right", "path": [1, 2]}
    await page.evaluate("window.model.say({kind: 'outcome', id: 1, ok: false, text: 'drop.x: 7 is above 1'})")
    await page.wait_for_selector("output.refused:has-text('drop.x: 7 is above 1')")
    await page.get_by_role("textbox").fill("[1,")
    await page.get_by_role("button", name="drop").click()
    await page.wait_for_selector("output.refused:has-text('JSON')")
    assert len(await page.evaluate("window.sent")) == 1


@in_the_page
async def test_status_problem_and_controls_follow_the_client(page: Page) -> None:
    await page.evaluate("model.set('status', 'disconnected'); model.set('problem', 'connection lost')")
    assert await page.locator(".status").inner_text() == "disconnected"
    assert await page.locator("p .refused").inner_text() == "connection lost"
    await page.evaluate("model.set('controls', [])")
    assert await page.locator(".control").count() == 0
    await page.evaluate("window.leave()")
    assert await page.evaluate("model.count()") == 0
