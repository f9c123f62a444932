"""`<livereactor-view>` on pages of other origins: at a real coordinator and a real runtime, in Chromium."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.tools.browser import serving
from tests.tools.processes import REPOSITORY, livereactor_run
from tests.tools.serving import Coordinator

from .axe import stumbles
from .conftest import opened, picture
from .coordinator_rig import board_and_again, end_sessions, open_sessions
from .runtime_rig import BOARD
from .screen import BAR, LEFT, LOOK, PATIENCE, Part

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_MS = PATIENCE * 1000
AT_ONCE = 5.0  # seconds; ICE alone gives a silent peer up after fifteen


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    with board_and_again(tmp_path_factory.mktemp("coordinator")) as coordinator:
        coordinator.wait_for_worker(count=2)
        yield coordinator


@pytest_asyncio.fixture(loop_scope="module")
async def coordinator(served: Coordinator) -> AsyncIterator[Coordinator]:
    """The coordinator without sessions of earlier tests."""
    yield served
    end_sessions(served)


@asynccontextmanager
async def embedding(
    browser: Browser, folder: Path, server: str, body: str, **settings: Any
) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page of another origin that embeds the element."""
    (folder / "index.html").write_text(page_with(server, body))
    with serving(folder) as elsewhere:
        async with opened(browser, **settings) as (page, complaints):
            await page.goto(elsewhere)
            await page.wait_for_function("() => customElements.get('livereactor-view')")
            yield page, complaints


def page_with(server: str, body: str, *, head: str = "") -> str:
    """Return a whole page, as in docs/embedding.md."""
    icon = '<link rel="icon" href="data:,">'  # or the browser asks for one
    script = f'<script type="module" src="{server}/view.js"></script>'
    head = f'<meta charset="utf-8"><title>Elsewhere</title>{icon}{head}{script}'
    return f'<!doctype html><html lang="en">{head}<main><h1>Elsewhere</h1>{body}</main>'


def tag(name: str, coordinator: Coordinator, *, model: str = "board", token: str | None = None, more: str = "") -> str:
    shown = coordinator.token() if token is None else token
    return f'<livereactor-view id="{name}" model="{model}" token="{shown}" {more}></livereactor-view>'


async def seen(page: Page, name: str, part: Part, condition: str) -> None:
    """Wait as `screen.seen` does, for the video of one element."""
    look = LOOK.replace("document.", f"document.querySelector('#{name}').shadowRoot.", 1)
    script = f"(part) => {{ const [r, g, b, trace] = ({look})(part) ?? []; return {condition}; }}"
    await page.wait_for_function(script, arg=list(part), timeout=PATIENCE_MS)


async def moving(page: Page, name: str, *, pictures: int = 2) -> None:
    """Wait until more frames than given differ."""
    many = f"((globalThis.traces_{name} ??= new Set()).add(trace), traces_{name}.size > {pictures})"
    await seen(page, name, BAR, many)


async def status(page: Page, name: str, wanted: str) -> None:
    script = f"() => {name}.store.getSnapshot().status === '{wanted}'"
    await page.wait_for_function(script, timeout=PATIENCE_MS)


async def test_two_elements_on_a_page_of_another_origin_show_two_models_and_steer_them(
    browser: Browser, coordinator: Coordinator, tmp_path: Path
) -> None:
    body = tag("one", coordinator, more="controls") + tag("two", coordinator, model="again")
    async with embedding(browser, tmp_path, coordinator.url, body) as (page, complaints):
        for name in ("one", "two"):
            await page.locator(f"#{name}").get_by_role("button", name="Start").click()
        for name in ("one", "two"):
            await status(page, name, "ready")
            await moving(page, name)
        await page.locator("#one .field", has_text="Red").get_by_role("slider").fill("1")
        await seen(page, "one", LEFT, "r > 200")
        await seen(page, "two", LEFT, "r < 40")
        await expect(page.locator("#two .panel")).to_be_hidden()
        assert await page.evaluate("() => two.store.send('set_red', {red: 1})") is None
        await seen(page, "two", LEFT, "r > 200")
        assert len(open_sessions(coordinator)) == 2
        await picture(page, "view-two")
        await page.locator("#one").hover()
        await page.locator("#one").get_by_role("button", name="Stop", exact=True).click()
        await status(page, "one", "disconnected")
        await expect(page.locator("#one").get_by_role("button", name="Start")).to_be_visible()
        assert complaints == []


async def test_an_element_that_is_moved_keeps_its_session(
    browser: Browser, coordinator: Coordinator, tmp_path: Path
) -> None:
    async with embedding(browser, tmp_path, coordinator.url, tag("one", coordinator)) as (page, _):
        await page.evaluate("() => one.store.connect()")
        await moving(page, "one")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
        before = await page.evaluate("() => one.store.getSnapshot().sessionId")
        await page.evaluate(
            "() => { const box = document.createElement('div'); document.body.append(box); box.append(one); }"
        )
        await page.evaluate("async () => { const it = one; it.remove(); await null; document.body.prepend(it); }")
        await page.evaluate("() => void (one.title = 'drawn again')")
        trace = await page.evaluate(
            "() => one.shadowRoot.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
        )
        await page.wait_for_function(
            f"() => one.shadowRoot.querySelector('video').getVideoPlaybackQuality().totalVideoFrames > {trace} + 30"
        )
        assert await page.evaluate("() => one.store.getSnapshot().sessionId") == before
        assert not [each for each in asked if "POST" in each or "DELETE" in each]


async def test_twenty_mounts_leave_one_session(browser: Browser, coordinator: Coordinator, tmp_path: Path) -> None:
    """Mount the element twice, and move it, as frameworks do."""
    remounting = """async ([attributes, pauses]) => {
      for (const pause of pauses) {
        document.querySelector("livereactor-view")?.remove();
        const made = document.createElement("livereactor-view");
        for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
        document.body.append(made);
        made.store.connect();
        made.store.disconnect();
        made.store.connect();
        globalThis.one = made;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }"""
    attributes = {"model": "board", "token": coordinator.token(), "id": "one"}
    pauses = [0, 0, 5, 20, 60, 150, 400, 900, 0, 30] * 2
    async with embedding(browser, tmp_path, coordinator.url, "") as (page, complaints):
        await page.evaluate(remounting, [attributes, pauses])
        await status(page, "one", "ready")
        await moving(page, "one")
        mine = await page.evaluate("() => one.store.getSnapshot().sessionId")
        coordinator.wait_until(lambda: open_sessions(coordinator) == [mine], timeout=PATIENCE)
        assert complaints == []


async def test_who_leaves_the_page_leaves_no_session(
    browser: Browser, coordinator: Coordinator, tmp_path: Path
) -> None:
    async with embedding(browser, tmp_path, coordinator.url, tag("one", coordinator)) as (page, _):
        await page.evaluate("() => one.store.connect()")
        await status(page, "one", "ready")
        await page.goto("about:blank")
        coordinator.wait_until(lambda: open_sessions(coordinator) == [], timeout=PATIENCE)


async def test_a_refused_token_is_said_with_what_to_do_and_another_one_is_taken(
    browser: Browser, coordinator: Coordinator, tmp_path: Path
) -> None:
    refused = "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"
    listening = (
        "<script>addEventListener('error', ({detail}) => detail && (heard ??= detail), true); heard = null</script>"
    )
    body = listening + tag("one", coordinator, token=refused)
    async with embedding(browser, tmp_path, coordinator.url, body) as (page, _):
        card = page.locator("#one .card")
        await expect(card).to_contain_text("This server requires a token")
        await expect(card).to_contain_text("must set the attribute “token” of the element")
        assert (await page.evaluate("() => heard"))["code"] == "unauthorized"
        assert (await page.evaluate("() => one.store.getSnapshot().lastError"))[
            "title"
        ] == "This server requires a token"
        await page.evaluate("(token) => one.setAttribute('token', token)", coordinator.token())
        await page.locator("#one").get_by_role("button", name="Start").click()
        await status(page, "one", "ready")
        assert await page.evaluate("() => one.store.getSnapshot().lastError") is None


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("", "Set the attribute “model” to one of these: again, board."),
        ('model="moon"', "This server has no model “moon”"),
    ],
)
async def test_a_model_that_is_not_named_or_not_there_is_said(
    browser: Browser, coordinator: Coordinator, tmp_path: Path, attribute: str, said: str
) -> None:
    body = f'<livereactor-view {attribute} token="{coordinator.token()}"></livereactor-view>'
    async with embedding(browser, tmp_path, coordinator.url, body) as (page, _):
        await expect(page.locator("livereactor-view .card")).to_contain_text(said)


async def test_a_server_that_does_not_answer_is_said_and_asked_again(
    browser: Browser, coordinator: Coordinator, tmp_path: Path
) -> None:
    async with opened(browser) as (page, _):
        await page.context.route("**/health", lambda route: route.abort("connectionrefused"))
        (tmp_path / "index.html").write_text(
            f'<script type="module" src="{coordinator.url}/view.js"></script>{tag("one", coordinator)}'
        )
        with serving(tmp_path) as elsewhere:
            await page.goto(elsewhere)
            await expect(page.locator("#one .card")).to_contain_text("No response from")
            assert (await page.evaluate("() => one.store.getSnapshot().lastError"))["code"] == "unreachable"
            await page.context.unroute("**/health")
            await expect(page.locator("#one").get_by_role("button", name="Start")).to_be_visible()


async def test_the_store_is_the_same_until_something_changes(
    browser: Browser, coordinator: Coordinator, tmp_path: Path
) -> None:
    async with embedding(browser, tmp_path, coordinator.url, tag("one", coordinator)) as (page, _):
        assert await page.evaluate("""() => {
          const { store } = one;
          const { getSnapshot, subscribe, connect } = store;
          return store === one.store && getSnapshot() === getSnapshot() && connect === one.store.connect
            && subscribe === one.store.subscribe && Object.isFrozen(getSnapshot());
        }""")
        refusal = "() => one.store.send('mark', {x: 0, y: 0}).catch(({code}) => code)"
        assert await page.evaluate(refusal) == "NOT_READY"
        await page.evaluate("""() => {
          globalThis.snapshots = [];
          globalThis.told = 0;
          one.store.subscribe(() => snapshots.push(one.store.getSnapshot()));
          one.store.subscribe(() => told++)();
          one.store.connect();
        }""")
        await status(page, "one", "ready")
        await moving(page, "one")
        seen_now = await page.evaluate("""() => ({
          statuses: snapshots.map(({status}) => status).filter((each, at, all) => each !== all[at - 1]),
          repeated: snapshots.some((each, at) => each === snapshots[at - 1]),
          told,
          last: snapshots.at(-1),
        })""")
        assert seen_now["statuses"] == ["connecting", "waiting", "ready"]
        assert (seen_now["repeated"], seen_now["told"]) == (False, 0)
        last = seen_now["last"]
        assert [(each["name"], each["kind"], each["direction"]) for each in last["tracks"]] == [
            ("main_video", "video", "recvonly"),
            ("webcam", "video", "sendonly"),
        ]
        assert last["sessionId"] in open_sessions(coordinator)
        assert last["expiresAt"] > 1.7e9
        assert await page.evaluate("() => one.store.getSnapshot().tracks[0].media.kind") == "video"
        assert await page.evaluate("() => one.store.send('mark', {x: 0.25, y: 0.5})") == {
            "type": "marked",
            "data": {"x": 0.25, "y": 0.5},
        }
        await sends_and_uploads(page)
        before = last["sessionId"]
        await page.evaluate("() => void (one.store.reconnect(), snapshots.splice(0))")
        await status(page, "one", "ready")
        await page.evaluate("() => one.store.disconnect()")
        await status(page, "one", "disconnected")
        coordinator.wait_until(lambda: open_sessions(coordinator) == [], timeout=PATIENCE)
        assert before is not None


async def sends_and_uploads(page: Page) -> None:
    await page.evaluate("""async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
      const context = canvas.getContext("2d");
      setInterval(() => { context.fillStyle = "#0f0"; context.fillRect(0, 0, 64, 36); }, 50);
      await one.store.publish("webcam", canvas.captureStream(20).getVideoTracks()[0]);
    }""")
    await seen(page, "one", (0.7, 0.1, 0.95, 0.4), "g > 150 && r < 90")
    await page.evaluate("() => one.store.unpublish('webcam')")
    weighed = await page.evaluate("""async () => {
      const thing = await one.store.upload(new File(["x".repeat(7000)], "a.bin"));
      return (await one.store.send("weigh", {}, { thing })).data.size;
    }""")
    assert weighed == 7000


async def test_a_runtime_on_this_machine_serves_the_element_to_pages_of_this_machine(
    browser: Browser, tmp_path: Path
) -> None:
    body = '<livereactor-view id="one" controls></livereactor-view>'
    with livereactor_run(BOARD, log_path=tmp_path / "log") as runtime:
        async with embedding(browser, tmp_path, runtime.url, body) as (page, complaints):
            await page.locator("#one").get_by_role("button", name="Start").click()
            await moving(page, "one")
            await page.locator("#one .field", has_text="Red").get_by_role("slider").fill("1")
            await seen(page, "one", LEFT, "r > 200")
            assert complaints == []
            await page.close()
            runtime.wait_until(lambda: runtime.get("/session")[1]["state"] == "orphaned", timeout=AT_ONCE)


async def test_a_clip_comes_as_a_film(browser: Browser, tmp_path: Path) -> None:
    with livereactor_run(BOARD, log_path=tmp_path / "log") as runtime:
        async with embedding(browser, tmp_path, runtime.url, '<livereactor-view id="one"></livereactor-view>') as (
            page,
            _,
        ):
            await page.locator("#one").get_by_role("button", name="Start").click()
            await moving(page, "one", pictures=20)  # recorded a moment after they are shown
            film = await page.evaluate(
                """async () => {
                  const told = [];
                  const film = await one.store.clip(5, { onProgress: (...counts) => told.push(counts) });
                  const bytes = new Uint8Array(await film.arrayBuffer());
                  return { type: film.type, begins: String.fromCharCode(...bytes.subarray(4, 8)), last: told.at(-1) };
                }"""
            )
            assert (film["type"], film["begins"]) == ("video/mp4", "ftyp")
            assert film["last"][0] == film["last"][1] > 0
            refused = "() => one.store.clip(-1).catch(({ code }) => code)"
            assert await page.evaluate(refused) == "INVALID_DURATION"


async def test_a_page_with_a_policy_of_its_own_allows_the_server_and_no_styles(
    browser: Browser, coordinator: Coordinator, tmp_path: Path
) -> None:
    allowed = f"default-src 'none'; script-src {coordinator.url}; connect-src {coordinator.url}; img-src data:"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{allowed}">'
    (tmp_path / "index.html").write_text(page_with(coordinator.url, tag("one", coordinator), head=policy))
    with serving(tmp_path) as elsewhere:
        async with opened(browser) as (page, complaints):
            await page.goto(elsewhere)
            await page.locator("#one").get_by_role("button", name="Start").click()
            await expect(page.locator("#one .stage.playing:not(.covered)")).to_be_visible(timeout=PATIENCE_MS)
            near_black = "(it) => getComputedStyle(it.shadowRoot.querySelector('.stage')).backgroundColor"
            assert await page.locator("#one").evaluate(near_black) == "rgb(11, 13, 15)"
            assert complaints == []


async def test_the_react_example_of_the_docs_mounts_twice_and_has_one_session(
    browser: Browser, coordinator: Coordinator, tmp_path: Path
) -> None:
    example = (REPOSITORY / "docs/embedding.md").read_text().partition("```jsx\n")[2].partition("```")[0]
    source = example.replace('model="pond"', 'id="one" model="board"').replace('"drop"', '"mark"')
    mount = """
      import { StrictMode } from "react";
      import { createRoot } from "react-dom/client";
      import { Pond } from "./pond.jsx";
      const token = document.querySelector("#root").dataset.token;
      createRoot(document.querySelector("#root")).render(<StrictMode><Pond token={token} /></StrictMode>);
    """
    bundle(tmp_path, {"pond.jsx": source, "mount.jsx": mount})
    body = f'<div id="root" data-token="{coordinator.token()}"></div><script src="page.js"></script>'
    async with embedding(browser, tmp_path, coordinator.url, body) as (page, complaints):
        await expect(page.locator("figcaption")).to_have_text("ready", timeout=PATIENCE_MS)
        await moving(page, "one")
        mine = await page.evaluate("() => one.store.getSnapshot().sessionId")
        coordinator.wait_until(lambda: open_sessions(coordinator) == [mine], timeout=PATIENCE)
        await page.get_by_role("button", name="Drop").click()
        assert complaints == []


def bundle(folder: Path, files: dict[str, str]) -> None:
    """Bundle the last of the files with what it imports as `page.js`."""
    for name, text in files.items():
        (folder / name).write_text(text)
    bundler = [REPOSITORY / "node_modules/.bin/esbuild", folder / list(files)[-1], "--bundle", "--jsx=automatic"]
    environment = {**os.environ, "NODE_PATH": str(REPOSITORY / "node_modules")}
    subprocess.run([*bundler, f"--outfile={folder / 'page.js'}"], check=True, env=environment, capture_output=True)


@pytest.mark.parametrize("width", [360, 1280, 2560])
async def test_it_fits_where_it_is_put_and_nobody_stumbles_over_it(
    browser: Browser, coordinator: Coordinator, tmp_path: Path, width: int, scheme: str
) -> None:
    size = {"width": width, "height": 740 if width < 800 else width * 9 // 16}
    body = tag("one", coordinator, more="controls")
    async with embedding(browser, tmp_path, coordinator.url, body, viewport=size, color_scheme=scheme) as (page, _):
        await expect(page.locator("#one").get_by_role("button", name="Start")).to_be_visible()
        await picture(page, f"view-start-{width}-{scheme}")
        await page.evaluate("() => one.store.connect()")
        await moving(page, "one")
        await picture(page, f"view-live-{width}-{scheme}")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert await stumbles(page) == []
