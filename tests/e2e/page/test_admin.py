"""The operator page at a real coordinator: sign-in, content, and every action."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.tools.drivers import PythonClients
from tests.tools.fixtures import SMALL
from tests.tools.processes import REPOSITORY
from tests.tools.serving import Coordinator, livereactor_serve, operate

from .conftest import opened, picture
from .fake_servers import ADDRESS, FakeRuntime
from .test_states import NAMELESS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]  # the first starts a coordinator

PATIENCE = 30_000  # ms
SIZES = {390: 844, 1280: 800}
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    log_path = tmp_path_factory.mktemp("admin") / "log"
    with livereactor_serve([REPOSITORY / "examples/conformance.py"], log_path=log_path, environment=SMALL) as found:
        found.wait_for_worker(timeout=90)
        yield found


@pytest.fixture(scope="module")
def token(served: Coordinator) -> str:
    return operate(served.data_dir, "token", "--admin")["jwt"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(served: Coordinator) -> AsyncIterator[str]:
    """A session with a client, on the only worker."""
    async with PythonClients.started() as clients:
        client = await clients.new(served.url, api_key=served.key)
        joined = await client.connect(watch="main_video")
        await client.frames(1)
        yield joined["session"]


@asynccontextmanager
async def inside(browser: Browser, served: Coordinator, token: str, **settings: object) -> AsyncIterator[Page]:
    """Open the page, signed in; any complaint of its console fails the test."""
    async with opened(browser, **settings) as (page, complaints):
        await page.goto(f"{served.url}/admin/#token={token}")
        await expect(page.get_by_role("tab", name="Overview")).to_be_visible()
        yield page
        assert complaints == []


def rows(page: Page, table: str) -> Locator:
    return page.get_by_role("table", name=table, exact=True).locator("tbody tr")


def row(page: Page, table: str, session: str) -> Locator:
    return rows(page, table).filter(has=page.locator(f"[title='Copy {session}']"))


async def test_only_operators_are_let_in(browser: Browser, served: Coordinator, token: str) -> None:
    async with opened(browser) as (page, _):
        await page.goto(f"{served.url}/admin")
        assert page.url == f"{served.url}/admin/"
        shown, sign_in = page.get_by_label("Key or token"), page.get_by_role("button", name="Sign in")
        for wrong, why in (("rk_nobody", "key"), (served.key, "lacks the scope `admin`")):
            await shown.fill(wrong)
            await sign_in.click()
            await expect(page.locator("#sign-in-error")).to_contain_text(why)
            await expect(page.locator("#console")).to_be_hidden()
        await shown.fill(token)
        await sign_in.click()
        await expect(page.get_by_role("tab", name="Overview")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("tab", name="Overview")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(sign_in).to_be_visible()
        assert await page.evaluate("() => sessionStorage.length") == 0


async def test_a_token_in_the_address_signs_in_and_is_taken_out_of_it(
    browser: Browser, served: Coordinator, token: str
) -> None:
    async with inside(browser, served, token) as page:
        assert page.url == f"{served.url}/admin/"


async def test_a_token_that_ends_leads_back_to_the_door(browser: Browser, served: Coordinator) -> None:
    brief = operate(served.data_dir, "token", "--admin", "--expires-after", "2")["jwt"]
    async with opened(browser) as (page, _):
        await page.goto(f"{served.url}/admin/#token={brief}")
        await expect(page.locator("#sign-in-error")).to_contain_text("expired")
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()


async def test_a_worker_is_shown_with_the_newest_picture_of_its_session(
    browser: Browser, served: Coordinator, token: str, watched: str
) -> None:
    (worker,) = served.workers()
    async with inside(browser, served, token) as page:
        card = page.get_by_role("article", name="Worker for conformance")
        for fact in ("ready", "1 of 1 in use", "ago", str(worker["pid"]), worker["node"], worker["worker"][-6:]):
            await expect(card).to_contain_text(fact)
        image = card.get_by_role("img", name=watched)
        await expect(image).to_be_visible()
        assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
        first = await image.get_attribute("src")
        assert first is not None
        await expect(image).not_to_have_attribute("src", first)
        live = row(page, "Sessions", watched)
        for fact in ("live", "tests", "conformance", "python/1.13.0", worker["worker"][-6:]):
            await expect(live).to_contain_text(fact)


async def test_the_queue_is_followed_and_reordered(
    browser: Browser, served: Coordinator, token: str, watched: str
) -> None:
    async with inside(browser, served, token) as page:
        await expect(page.get_by_text("The queue is empty.")).to_be_visible()
        first, second, third = (served.create()["session_id"] for _ in range(3))
        await expect(rows(page, "Queue")).to_have_count(3)
        await expect(page.locator("#state")).to_contain_text("1 running · 3 waiting · 1 of 1 workers ready")
        assert await order(page) == [first, second, third]
        await row(page, "Queue", third).get_by_role("button", name="Serve next").click()
        await expect(rows(page, "Queue").first.locator(f"[title='Copy {third}']")).to_be_visible()
        assert await order(page) == [third, first, second]

        end = row(page, "Sessions", first).get_by_role("button")
        await end.filter(has_text="End").click()
        await expect(end).to_contain_text(["ses_", "Confirm end"])
        assert state_of(served, first) == "SUSPENDED"
        await end.filter(has_text="Confirm end").click()
        await expect(rows(page, "Queue")).to_have_count(2)
        await page.get_by_text("Recently ended").click()
        await expect(row(page, "Recently ended sessions", first)).to_contain_text("evicted")
        for session in (second, third):
            served.call("DELETE", f"/sessions/{session}", {})
        await expect(page.get_by_text("The queue is empty.")).to_be_visible()


async def test_what_happens_is_told_by_the_stream_of_events_before_the_next_look_is_due(
    browser: Browser, served: Coordinator, token: str, watched: str
) -> None:
    async with opened(browser) as (page, _):
        await page.clock.install()
        async with page.expect_request("**/events?since=*"):
            await page.goto(f"{served.url}/admin/#token={token}")
        await expect(page.get_by_text("The queue is empty.")).to_be_visible()
        await page.clock.pause_at(await page.evaluate("Date.now() + 100"))
        async with page.expect_response("**/admin/overview"):
            await page.clock.run_for(5000)
        queued = served.create()["session_id"]
        for _ in range(450):  # 4.5 s of the page's time; after that look, the next is due in five
            await page.clock.run_for(10)
            if await row(page, "Queue", queued).count():
                break
        assert await row(page, "Queue", queued).count() == 1
        await page.clock.resume()
        served.call("DELETE", f"/sessions/{queued}", {})
        await expect(page.get_by_text("The queue is empty.")).to_be_visible()


async def order(page: Page) -> list[str]:
    titles = await rows(page, "Queue").locator(".id").evaluate_all("all => all.map((each) => each.title)")
    return [title.removeprefix("Copy ") for title in titles]


def state_of(served: Coordinator, session: str) -> str:
    return served.call("GET", f"/sessions/{session}/info")[1]["state"]


async def test_a_key_is_made_shown_once_and_revoked(browser: Browser, served: Coordinator, token: str) -> None:
    async with inside(browser, served, token) as page:
        await page.get_by_role("tab", name="Keys").click()
        await page.get_by_role("textbox", name="Name").fill("website")
        await page.get_by_role("textbox", name="Account").fill("acme")
        await page.get_by_text("record", exact=True).click()
        await page.get_by_role("button", name="Create").click()
        key = await page.locator(".created-key code").inner_text()
        made = rows(page, "Keys").filter(has_text=key[:11])
        for fact in ("website", "acme", "control, upload, view", "never"):
            await expect(made).to_contain_text(fact)
        assert served.call("GET", "/quotas", token=key)[0] == 200
        await page.get_by_role("button", name="Done").click()
        await expect(page.locator(".created-key")).to_be_hidden()
        assert key not in await page.content()

        await made.get_by_role("button", name="Revoke").click()
        await made.get_by_role("button", name="Confirm revoke").click()
        await expect(made).to_contain_text("revoked")
        assert served.call("GET", "/quotas", token=key)[0] == 401


async def test_what_accounts_used_and_may_use_is_told(browser: Browser, served: Coordinator, token: str) -> None:
    session = served.create()["session_id"]
    served.call("DELETE", f"/sessions/{session}", {})
    async with inside(browser, served, token) as page:
        await page.get_by_role("tab", name="Usage").click()
        used = rows(page, "Usage").filter(has_text="tests")
        await expect(used).to_contain_text("conformance")
        async with page.expect_download() as coming:
            await page.get_by_role("button", name="Download CSV").click()
        text = await asyncio.to_thread(Path(await (await coming.value).path()).read_text)
        (line,) = [each for each in csv.DictReader(io.StringIO(text)) if each["account"] == "tests"]
        await expect(used).to_contain_text(line["sessions"])

        await page.keyboard.press("Tab")
        await page.get_by_role("tab", name="Usage").focus()
        await page.keyboard.press("ArrowRight")
        await expect(rows(page, "Accounts").filter(has_text="tests")).to_contain_text("(unlimited)")
        limits = page.get_by_role("region", name="Limits")
        for fact in ("max connections", "upload bytes", "100 MiB", "admission grace"):
            await expect(limits).to_contain_text(fact)


@pytest.mark.parametrize("width", SIZES)
async def test_every_tab_fits_and_everything_to_press_has_a_name(
    browser: Browser, served: Coordinator, token: str, watched: str, width: int, scheme: str
) -> None:
    queued = served.create()["session_id"]
    size = {"width": width, "height": SIZES[width]}
    async with inside(browser, served, token, viewport=size, color_scheme=scheme, bypass_csp=True) as page:
        await expect(page.get_by_role("img", name=watched)).to_be_visible()
        for tab in ("Overview", "Keys", "Usage", "Limits"):
            await page.get_by_role("tab", name=tab).click()
            await expect(page.get_by_role("tabpanel", name=tab).get_by_role("row").last).to_be_visible()
            await picture(page, f"admin-{tab.lower()}-{width}-{scheme}")
            assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), tab
            assert await page.evaluate(NAMELESS) == [], tab
    served.call("DELETE", f"/sessions/{queued}", {})


async def test_at_a_single_runtime_the_page_says_that_it_has_no_operators(browser: Browser) -> None:
    runtime = FakeRuntime()
    async with opened(browser) as (page, _):
        await runtime.attach(page.context)
        await page.goto(f"{ADDRESS}admin/index.html#token=anything")
        await expect(page.locator("#sign-in-error")).to_contain_text("only “livereactor serve” has an operator page")
        assert runtime.foreign == []


async def test_a_coordinator_that_is_away_is_said_and_comes_back(
    browser: Browser, served: Coordinator, token: str
) -> None:
    async with opened(browser) as (page, _):
        await page.goto(f"{served.url}/admin/#token={token}")
        await expect(page.locator("#state")).to_have_attribute("data-state", "live")
        await page.context.set_offline(True)
        await expect(page.locator("#state")).to_contain_text("is not responding")
        await page.context.set_offline(False)
        await expect(page.locator("#state")).to_have_attribute("data-state", "live")


async def test_a_worker_drains_and_is_gone(browser: Browser, served: Coordinator, token: str, watched: str) -> None:
    (worker,) = served.workers()
    async with inside(browser, served, token) as page:
        served.call("DELETE", f"/sessions/{watched}", {})
        card = page.get_by_role("article").filter(has_text=worker["worker"][-6:])
        await expect(card).to_contain_text("0 of 1 in use")
        await card.get_by_role("button", name="Drain").click()
        await card.get_by_role("button", name="Confirm drain").click()
        await expect(card).to_have_count(0, timeout=30_000)
