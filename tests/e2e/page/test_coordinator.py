"""The page at a real coordinator: tokens, the queue, viewers, and the end of sessions."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.tools.serving import Coordinator, operate

from .conftest import opened, picture
from .coordinator_rig import ENVIRONMENT, board_and_again, end_sessions, open_sessions
from .screen import BAR, LEFT, field, look, on_screen, seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_MS = 30_000.0
STARTING = 120.0  # seconds for a new worker, which is there after three on an idle machine
CLOCK = "(at) => new Date(at * 1000).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'})"
DOT = "(state) => getComputedStyle(state, '::before').backgroundColor"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    with board_and_again(tmp_path_factory.mktemp("coordinator")) as coordinator:
        wait_for_workers(coordinator)
        yield coordinator


@pytest.fixture(scope="module")
def operator(served: Coordinator) -> str:
    """A key with every scope."""
    asked = ("--scope", "admin", "--scope", "view", "--scope", "control")
    return operate(served.data_dir, "keys", "create", *asked, environment=ENVIRONMENT)["key"]


def wait_for_workers(coordinator: Coordinator) -> None:
    def there() -> bool:
        return all(each["state"] == "ready" for each in coordinator.get("/models")[1]["models"])

    coordinator.wait_until(there, timeout=STARTING)


@pytest_asyncio.fixture(loop_scope="module")
async def coordinator(served: Coordinator) -> AsyncIterator[Coordinator]:
    """The coordinator without sessions of earlier tests, with a worker for each model."""
    wait_for_workers(served)
    yield served
    end_sessions(served)


@asynccontextmanager
async def visiting(
    browser: Browser, coordinator: Coordinator, *, token: str | None = None, **settings: Any
) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page with a token, at the choice of a model."""
    async with opened(browser, bypass_csp=True, **settings) as (page, complaints):
        await page.goto(f"{coordinator.url}/#token={token or coordinator.token()}")
        await expect(page.get_by_role("button", name="board", exact=True)).to_be_visible()
        yield page, complaints


@asynccontextmanager
async def playing(
    browser: Browser, coordinator: Coordinator, *, model: str = "board", **settings: Any
) -> AsyncIterator[Page]:
    """Open a page with a running session of its own."""
    async with visiting(browser, coordinator, **settings) as (page, _):
        await start(page, model)
        await on_screen(page)
        yield page


async def start(page: Page, model: str = "board") -> None:
    await page.get_by_role("button", name=model, exact=True).click()
    await page.get_by_role("button", name="Start").click()


def card(page: Page) -> Locator:
    return page.locator("#stage .card")


async def says(page: Page, *texts: str) -> None:
    for text in texts:
        await expect(card(page)).to_contain_text(text, timeout=PATIENCE_MS)


async def test_a_token_behind_the_address_plays_and_is_in_no_address(
    browser: Browser, coordinator: Coordinator
) -> None:
    token = coordinator.token()
    async with opened(browser, bypass_csp=True) as (page, complaints):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{coordinator.url}/#token={token}")
        await start(page)
        await on_screen(page)
        assert page.url == f"{coordinator.url}/?model=board"
        assert not [url for url in asked if token in url.partition("#")[0]]
        await page.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await seen(page, LEFT, "r > 200")
        await expect(page.locator("#left")).to_have_text(re.compile(r"^(20:00|19:\d\d) left$"))
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
        await expect(field(page, "Red").get_by_role("textbox")).to_have_value("0")
        assert complaints == []
    assert open_sessions(coordinator) == []


async def test_who_waits_sees_the_place_keeps_it_over_a_reload_and_is_served_in_order(
    browser: Browser, coordinator: Coordinator
) -> None:
    async with (
        playing(browser, coordinator) as first,
        visiting(browser, coordinator) as (second, _),
        visiting(browser, coordinator) as (third, complaints),
    ):
        await start(second)
        await says(second, "You are next")
        await start(third)
        await says(third, "You are number 2 of 2", "You keep your place")
        await says(second, "You are next in a queue of 2")
        await picture(third, "queue")
        await second.reload()
        await says(second, "You are next in a queue of 2")
        await expect(second.locator("#model-name")).to_have_text("board")
        await first.get_by_role("button", name="Stop", exact=True).click()
        await on_screen(second)
        await says(third, "You are next")
        await second.get_by_role("button", name="Stop", exact=True).click()
        await on_screen(third)
        assert complaints == []


async def test_who_leaves_the_queue_lets_the_next_one_up(browser: Browser, coordinator: Coordinator) -> None:
    async with (
        playing(browser, coordinator),
        visiting(browser, coordinator) as (second, _),
        visiting(browser, coordinator) as (third, _),
    ):
        await start(second)
        await says(second, "You are next")
        await start(third)
        await says(third, "You are number 2 of 2")
        await second.get_by_role("button", name="Leave the queue").click()
        await expect(second.get_by_role("button", name="Start")).to_be_visible()
        await says(third, "You are next")
        waiting = coordinator.call("GET", "/sessions?state=queued")[1]["sessions"]
        assert len(waiting) == 1


async def test_a_reload_comes_back_to_the_running_session(browser: Browser, coordinator: Coordinator) -> None:
    async with playing(browser, coordinator) as page:
        await page.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await seen(page, LEFT, "r > 200")
        await page.reload()
        await on_screen(page)
        await seen(page, LEFT, "r > 200")
        await expect(field(page, "Red").get_by_role("textbox")).to_have_value("1")
        await expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()


async def test_a_page_that_goes_while_it_connects_gives_its_place_back(
    browser: Browser, coordinator: Coordinator
) -> None:
    """Otherwise a minute would pass before the worker gave up waiting for the client."""
    async with visiting(browser, coordinator) as (page, _):
        await page.route("**/transport/**", lambda _: None)  # held for ever
        await start(page)
        await says(page, "Connecting")
        await page.goto("about:blank")

        def is_free() -> bool:
            return open_sessions(coordinator) == []

        coordinator.wait_until(is_free, timeout=PATIENCE_MS / 1000)


async def test_a_reload_with_another_token_gets_a_connection_of_its_own(
    browser: Browser, coordinator: Coordinator
) -> None:
    """The connection id of the page belongs to the first token, which has more scopes."""
    async with playing(browser, coordinator) as page:
        shown = json.dumps({"shown": coordinator.token(scope=["view"]), "session": ""})
        await page.evaluate("(shown) => sessionStorage.setItem('livereactor.credentials', shown)", shown)
        await page.reload()
        await on_screen(page)
        await expect(page.locator("#state")).to_have_text("View only")


async def test_a_picture_goes_on_while_the_coordinator_is_away(browser: Browser, coordinator: Coordinator) -> None:
    gone = asyncio.Event()

    async def polled(route: Route) -> None:
        """Polls that are held break off, too, when the coordinator stops."""
        answering, leaving = asyncio.ensure_future(route.fetch()), asyncio.ensure_future(gone.wait())
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if gone.is_set():
            answering.cancel()
            return await route.abort("connectionrefused")
        leaving.cancel()
        return await route.fulfill(response=answering.result())

    async with visiting(browser, coordinator) as (page, _):
        await page.route("**/sessions/*?wait=*", polled)
        await start(page)
        await on_screen(page)
        gone.set()
        await expect(page.locator("#state")).to_have_text("Live, coordinator not responding", timeout=PATIENCE_MS)
        trace = (await look(page, BAR))[3]
        await seen(page, BAR, f"trace !== {trace}")
        gone.clear()
        await expect(page.locator("#state")).to_have_text("Live", timeout=PATIENCE_MS)
        gone.set()  # lets go of the poll that is held now


async def test_a_share_link_shows_the_picture_and_lets_nobody_command(
    browser: Browser, coordinator: Coordinator
) -> None:
    async with (
        playing(browser, coordinator) as owner,
        opened(browser, bypass_csp=True) as (viewer, _),
    ):
        await owner.get_by_role("button", name="Share").click()
        link = await owner.get_by_role("textbox", name="Link").input_value()
        await expect(owner.get_by_role("dialog")).to_contain_text(
            "Anyone with this link can watch the session but cannot control it."
        )
        await expect(owner.get_by_role("dialog")).to_contain_text("It works on this machine only.")
        # The link's token lasts for an hour, and a session twenty minutes.
        ends = await owner.evaluate(CLOCK, session_end(coordinator))
        await expect(owner.get_by_role("dialog")).to_contain_text(f"until {ends} at the latest")
        await picture(owner, "share")
        await owner.get_by_role("button", name="Close").click()
        assert re.search(r"/#session=ses_\w+&token=\S+$", link)
        await viewer.goto(link)
        await on_screen(viewer)
        assert "#" not in viewer.url
        await expect(viewer.locator("#state")).to_have_text("View only")
        await expect(viewer.locator("#panel")).to_be_hidden()
        await expect(viewer.get_by_role("button", name="Share")).to_be_hidden()
        await owner.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await seen(viewer, LEFT, "r > 200")
        await refuses_a_command(viewer)
        await viewer.reload()
        await on_screen(viewer)
        await viewer.get_by_role("button", name="Leave").click()
        await viewer.get_by_role("button", name="Join").click()
        await on_screen(viewer)
        await owner.get_by_role("button", name="Stop", exact=True).click()
        await says(viewer, "Session ended", "The person who shared the session stopped it, or the model finished.")
        await expect(viewer.locator("#stage .card.bad")).to_have_count(0)
        dots = [await each.locator("#state").evaluate(DOT) for each in (owner, viewer)]
        assert dots[0] == dots[1]  # as on a page where nothing was started
        await expect(viewer.get_by_role("button", name="Start")).to_be_hidden()


def session_end(coordinator: Coordinator) -> float:
    (shared,) = coordinator.call("GET", "/sessions?state=open")[1]["sessions"]
    return coordinator.call("GET", f"/sessions/{shared['session_id']}")[1]["expires_at"]


async def refuses_a_command(viewer: Page) -> None:
    """The page hides the command field from viewers, and the server refuses what is sent through it."""
    await viewer.get_by_role("button", name="Log").click()
    await expect(viewer.get_by_label("Command as JSON")).to_be_hidden()
    await viewer.evaluate("""() => {
      const form = document.querySelector("#log form");
      form.querySelector("input").value = '{"type": "set_red", "data": {"red": 0}}';
      form.requestSubmit();
    }""")
    await expect(viewer.locator("#log > .complaint")).to_contain_text("FORBIDDEN: this connection may only watch")


async def test_a_killed_worker_of_a_model_that_goes_on_is_replaced_and_the_page_follows(
    browser: Browser, coordinator: Coordinator, operator: str
) -> None:
    async with playing(browser, coordinator, model="again") as page:
        await page.locator(".field", has_text="Red").get_by_role("slider").fill("1")
        await seen(page, LEFT, "r > 200")
        kill_worker(coordinator, operator, "again")
        await says(page, "The worker that ran your session was lost.")
        await on_screen(page, patience=STARTING)
        await seen(page, LEFT, "r < 40")  # it began anew, and its controls say so
        await expect(field(page, "Red").get_by_role("textbox")).to_have_value(re.compile(r"^0(\.0)?$"))


async def test_a_killed_worker_is_said_and_start_gets_another(
    browser: Browser, coordinator: Coordinator, operator: str
) -> None:
    async with playing(browser, coordinator) as page:
        kill_worker(coordinator, operator, "board")
        await says(page, "Lost contact with the model", "Press Start to begin a new session")
        await picture(page, "worker-gone")
        await page.get_by_role("button", name="Start").click()
        await on_screen(page, patience=STARTING)


def kill_worker(coordinator: Coordinator, operator: str, model: str) -> None:
    status, seen_now = coordinator.call("GET", "/admin/overview", token=operator)
    assert status == 200
    (worker,) = [each for each in seen_now["workers"] if each["model"] == model and each["sessions"]]
    os.kill(worker["pid"], signal.SIGKILL)


async def test_without_a_token_one_is_asked_for(browser: Browser, coordinator: Coordinator) -> None:
    async with opened(browser) as (page, _):
        await page.goto(coordinator.url)
        await says(page, "This server requires a token")
        await enter(page, "not a token")
        await says(page, "Not a valid token")
        await enter(page, coordinator.key)
        await says(page, "This is an API key, which grants access to a whole account")
        await enter(page, "eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
        await says(page, "This server requires a token")
        await expect(card(page).get_by_role("alert")).not_to_be_empty()
        await enter(page, coordinator.token())
        await expect(page.get_by_role("button", name="board", exact=True)).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("button", name="board", exact=True)).to_be_visible()


async def enter(page: Page, shown: str) -> None:
    await page.get_by_label("Token").fill(shown)
    await page.keyboard.press("Enter")


async def test_a_token_for_one_model_starts_that_one(browser: Browser, coordinator: Coordinator) -> None:
    detail = {"type": "session", "resources": {"models": {"match": ["board"]}}}
    async with opened(browser) as (page, complaints):
        await page.goto(f"{coordinator.url}/#token={coordinator.token(authorization_details=[detail])}")
        await expect(card(page).get_by_role("heading")).to_have_text("board")
        await expect(field(page, "Red")).to_be_visible()
        await page.get_by_role("button", name="Start").click()
        await on_screen(page)
        assert complaints == []


async def test_a_used_up_allowance_is_told_in_its_numbers(
    browser: Browser, coordinator: Coordinator, operator: str
) -> None:
    status, made = coordinator.call("POST", "/keys", {"account": "small", "max_sessions": 1}, token=operator)
    assert status == 201
    key = made["key"]
    status, minted = coordinator.call("POST", "/tokens", {}, token=key)
    assert status == 200
    first = coordinator.create("board", token=key)["session_id"]
    async with visiting(browser, coordinator, token=minted["jwt"]) as (page, _):
        await start(page)
        await says(page, "Session limit reached", "Your account has 1 of 1 sessions open")
        await picture(page, "quota")
        coordinator.call("DELETE", f"/sessions/{first}", token=key)
        await page.get_by_role("button", name="Try again").click()
        await on_screen(page)
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(page.get_by_role("button", name="Start")).to_be_visible()


async def test_a_coordinator_that_is_away_is_said_while_one_waits_and_the_place_is_kept(
    browser: Browser, coordinator: Coordinator
) -> None:
    async with (
        playing(browser, coordinator) as first,
        visiting(browser, coordinator) as (page, _),
    ):
        await start(page)
        await says(page, "You are next")
        gone = asyncio.Event()
        await page.route("**/sessions/**", lambda route: (gone.set(), route.abort("connectionrefused"))[1])
        await page.reload()
        await asyncio.wait_for(gone.wait(), PATIENCE_MS / 1000)
        await says(page, "Cannot reach the server")
        await page.unroute("**/sessions/**")
        await says(page, "You are next")
        await first.get_by_role("button", name="Stop", exact=True).click()
        await on_screen(page)
