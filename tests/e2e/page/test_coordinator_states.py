"""What the page says in front of a coordinator that is only its HTTP answers: choices, queues, refusals."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.tools.processes import REPOSITORY

from .conftest import opened, picture
from .fake_runtime import ADDRESS, DESCRIPTOR, MODELS, SCHEMA, SESSION, WAITING, FakeCoordinator

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILM = REPOSITORY / "examples/pond.webm"
UNAUTHORIZED = (401, {"error": "no credentials given; send Authorization: Bearer with a token", "code": "UNAUTHORIZED"})
CHOICE = [{"queue_length": 0, **each} for each in MODELS]
READY = {**DESCRIPTOR, "session_id": "ses_1", "state": "WAITING", "version": "2"}


async def visit(page: Page, coordinator: FakeCoordinator, fragment: str = "") -> None:
    await coordinator.attach(page.context)
    await page.goto(ADDRESS + fragment)


async def said(page: Page, *texts: str) -> None:
    for text in texts:
        await expect(page.locator("#stage .card")).to_contain_text(text)


def token(**claims: Any) -> str:
    shown = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{shown}.AAAA"


def view_token() -> str:
    return token(scope="view")


def token_for(*models: str) -> str:
    return token(scope="control view", authorization_details=[{"resources": {"models": {"match": models}}}])


def garden() -> dict[str, Any]:
    """Its schema; it has one command, which no other model here has."""
    schema = copy.deepcopy(SCHEMA)
    schema["info"]["title"] = "garden"
    schema["paths"] = {"/events/cut": {"post": {"operationId": "cut", "summary": "Cut it."}}}
    return schema


async def choose(page: Page, model: str) -> None:
    await page.get_by_role("button", name=model, exact=True).click()


async def begin(page: Page, model: str = "pond") -> None:
    await choose(page, model)
    await page.get_by_role("button", name="Start").click()


async def test_a_model_is_chosen_and_started_and_gone_back_from_by_keys_alone(browser: Browser) -> None:
    async with opened(browser) as (page, complaints):
        coordinator = FakeCoordinator()
        await visit(page, coordinator)
        await said(page, "Choose a model", "Rain on a pond. Touch the water.", "starting, 40 %", "starts on first use")
        await page.keyboard.press("Tab")
        await expect(model(page, "garden")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await said(page, "world", "A walk over an endless land", "Starts on first use.")
        await expect(page.get_by_role("button", name="Start")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(model(page, "world")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Enter")
        await said(page, "You are number 2 of 5", "About 2 minutes, give or take 30 seconds")
        assert complaints == []
        assert coordinator.foreign == []


def model(page: Page, name: str) -> Locator:
    """The button of its card in the gallery."""
    return page.locator(".gallery").get_by_role("button", name=name, exact=True)


def shown(page: Page, name: str) -> Locator:
    """Its card."""
    return page.locator(".gallery .model", has=page.get_by_role("button", name=name, exact=True))


async def test_the_browsers_own_back_leads_to_the_gallery_and_an_address_to_one_model(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator())
        await begin(page, "world")
        await said(page, "You are number 2 of 5")
        address = page.url
        async with page.expect_request(lambda asked: asked.method == "DELETE"):
            await page.go_back()
        await said(page, "Choose a model")
        await page.go_forward()
        await said(page, "world", "Starts on first use.")
        await page.goto("about:blank")
        await page.goto(address)
        await said(page, "world", "Starts on first use.")
        await expect(page.get_by_role("button", name="Start")).to_be_visible()


async def test_a_card_says_what_its_model_takes_and_gives(browser: Browser) -> None:
    one = {"description": "", "state": "ready", "queue_length": 0}
    models = [{**one, "name": "mirror", "tags": ["camera", "microphone"]}, {**one, "name": "pond", "tags": []}]
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator({"GET models": (200, {"models": models})}))
        await expect(shown(page, "mirror").locator(".tag")).to_have_text(["Camera", "Microphone"])
        await expect(shown(page, "pond").locator(".tag")).to_have_count(0)
        await choose(page, "mirror")
        await expect(page.locator("#stage .tag")).to_have_text(["Camera", "Microphone"])


async def test_a_card_keeps_its_focus_while_its_model_changes(browser: Browser) -> None:
    coordinator = FakeCoordinator()
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        await model(page, "garden").focus()
        later = [{"name": "garden", "description": "", "state": "ready", "queue_length": 0}, *CHOICE[1:]]
        coordinator.answers["GET models"] = (200, {"models": later})
        await expect(shown(page, "garden")).to_contain_text("ready")
        await expect(model(page, "garden")).to_be_focused()
        coordinator.answers["GET models"] = (200, {"models": later[1:]})
        # Nothing starts any more: it is asked again after five seconds.
        await expect(page.locator(".gallery .model")).to_have_count(len(later) - 1, timeout=15_000)


def filmed() -> FakeCoordinator:
    """The first of three models has a film, the second one that cannot be played."""
    garden, pond, world = CHOICE
    models = [{**garden, "loop": "models/garden/loop?v=1"}, {**pond, "loop": "models/pond/loop?v=1"}, world]
    answers = {"GET models": (200, {"models": models}), "GET models/garden/loop": (200, FILM.read_bytes())}
    return FakeCoordinator({**answers, "GET models/pond/loop": (200, b"no film")})


async def test_a_film_plays_once_when_it_is_seen_and_on_while_it_is_pointed_at_or_focused(browser: Browser) -> None:
    async with opened(browser) as (page, complaints):
        await visit(page, filmed())
        film = shown(page, "garden").locator("video")
        await expect(film).to_have_js_property("loop", False)
        await expect(film).to_have_js_property("ended", True, timeout=15_000)
        await shown(page, "garden").hover()
        await expect(film).to_have_js_property("loop", True)
        await expect(film).to_have_js_property("paused", False)
        await page.mouse.move(0, 0)
        await expect(film).to_have_js_property("loop", False)
        await model(page, "garden").focus()
        await expect(film).to_have_js_property("paused", False)
        assert complaints == []


async def test_without_a_film_or_with_a_broken_one_hills_stand_in(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await visit(page, filmed())
        await expect(shown(page, "garden").locator("video")).to_have_count(1)
        for name in ("pond", "world"):
            await expect(shown(page, name).locator("video")).to_have_count(0)
            await expect(shown(page, name).locator("svg")).to_be_visible()
        await choose(page, "garden")
        await expect(page.locator("#stage .loop.shown video")).to_be_visible()


async def test_who_wants_less_motion_gets_a_still_picture(browser: Browser) -> None:
    async with opened(browser, reduced_motion="reduce") as (page, _):
        await visit(page, filmed())
        film = shown(page, "garden").locator("video")
        await expect(shown(page, "garden").locator(".loop.shown")).to_be_visible()
        await shown(page, "garden").hover()
        await expect(film).to_have_js_property("loop", True)
        await page.evaluate("() => new Promise(requestAnimationFrame)")
        assert await film.evaluate("({paused, currentTime}) => [paused, currentTime]") == [True, 0]


async def gone_and_back(page: Page) -> list[str]:
    """What is asked about sessions by a page that was left for another and is there again."""
    asked: list[str] = []
    page.on("request", lambda it: asked.append(f"{it.method} {it.url}"))
    await page.goto(f"{ADDRESS}icon.svg")
    await page.go_back()
    await said(page, "Connecting")
    return [each for each in asked if "/sessions" in each and "/transport/" not in each]


async def test_a_page_that_goes_while_it_connects_begins_anew_what_cost_no_waiting(browser: Browser) -> None:
    coordinator = FakeCoordinator({"POST sessions": (201, READY), f"GET {SESSION}": (200, READY)})
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        await begin(page)
        await said(page, "Connecting")
        assert (await gone_and_back(page))[0] == f"POST {ADDRESS}sessions"


async def test_a_page_that_goes_while_it_connects_comes_back_to_what_it_waited_for(browser: Browser) -> None:
    coordinator = FakeCoordinator()
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        await begin(page)
        await said(page, "You are number 2 of 5")
        coordinator.answers[f"GET {SESSION}"] = (200, READY)
        await said(page, "Connecting")
        asked = await gone_and_back(page)
        assert asked[0] == f"GET {ADDRESS}{SESSION}?wait=0"
        assert not [each for each in asked if each.startswith("POST")]


async def test_who_comes_back_to_the_queue_sees_the_model_of_the_session(browser: Browser) -> None:
    coordinator = FakeCoordinator(
        {
            "GET models/garden/schema": (200, garden()),
            "POST sessions": (201, {"session_id": "ses_1", "state": "CREATED", "model": {"name": "garden"}}),
            f"GET {SESSION}": (200, {**WAITING, "model": {"name": "garden"}}),
        }
    )
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        await begin(page, "garden")
        await said(page, "You are number 2 of 5")
        async with page.expect_response("**/models/*/schema"):
            await page.reload()
        await said(page, "You are number 2 of 5")
        await expect(page.locator("#model-name")).to_have_text("garden")
        await expect(page).to_have_title("garden · livereactor")
        await expect(page.locator("#controls").get_by_role("button", name="Cut")).to_be_visible()


async def test_only_models_that_the_token_is_for_are_offered(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator(), f"#token={token_for('world', 'someone/garden')}")
        await expect(page.locator(".gallery .model")).to_have_count(2)
        await expect(model(page, "pond")).to_have_count(0)
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator(), f"#token={token_for('moon')}")
        await said(page, "Your token is not for a model of this place", "It is for moon.")


@pytest.mark.parametrize(
    ("status", "text"),
    [(403, "Your token is not for this model."), (404, "What this model takes is shown here once a worker")],
)
async def test_a_schema_that_is_not_given_is_not_taken_for_no_commands(
    browser: Browser, status: int, text: str
) -> None:
    coordinator = FakeCoordinator({"GET models/pond/schema": (status, {"error": "no"})})
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        await choose(page, "pond")
        await expect(page.locator("#controls")).to_contain_text(text)
        await page.get_by_role("button", name="All models").click()
        await choose(page, "world")
        await expect(page.locator("#controls")).not_to_contain_text(text)


async def test_a_model_whose_every_slot_is_taken_is_in_use(browser: Browser) -> None:
    ready = {"description": "", "state": "ready", "queue_length": 0}
    models = [{**ready, "name": "board", "in_use": True}, {**ready, "name": "pond", "in_use": False}]
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator({"GET models": (200, {"models": models})}))
        await expect(shown(page, "board")).to_contain_text("in use")
        await expect(shown(page, "pond")).to_contain_text("ready")
        await choose(page, "board")
        await said(page, "In use.")


async def test_one_model_needs_no_choice(browser: Browser) -> None:
    one = {"name": "pond", "description": "Rain on a pond.", "state": "cold", "queue_length": 0}
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator({"GET models": (200, {"models": [one]})}))
        await said(page, "pond", "Rain on a pond.", "Starts on first use.")
        await expect(page.locator(".gallery")).to_have_count(0)
        await expect(page.get_by_role("button", name="All models")).to_have_count(0)


async def test_a_model_that_cannot_be_had_says_why_and_offers_no_start(browser: Browser) -> None:
    one = {"name": "pond", "description": "", "state": "failed", "text": "it crashed 3 times", "queue_length": 0}
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator({"GET models": (200, {"models": [one]})}))
        await said(page, "pond", "It crashed 3 times.")
        await expect(page.get_by_role("button", name="Start")).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "body", "texts"),
    [
        (
            503,
            {"error": "no worker serves the model 'pond' and none can be started", "code": "NO_CAPACITY"},
            ["Nothing can run this model at the moment", "No worker serves the model 'pond'"],
        ),
        (
            429,
            {"error": "no", "quota_type": "sessions_per_minute", "limit": 10, "current": 10, "retry_after": 6},
            ["Too many sessions in a short time", "10 of the 10", "Try again in 6 s."],
        ),
        (403, {"error": "this token is not for the model 'pond'"}, ["The server said no", "not for the model 'pond'"]),
    ],
)
async def test_a_refusal_is_said_in_its_own_words(
    browser: Browser, status: int, body: dict[str, Any], texts: list[str]
) -> None:
    coordinator = FakeCoordinator({"POST sessions": (status, body)})
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        await begin(page)
        await said(page, *texts)
        # What is forbidden stays so.
        await expect(page.get_by_role("button", name="Try again")).to_have_count(0 if status == 403 else 1)
        await page.get_by_role("button", name="All models").click()
        await said(page, "Choose a model")


async def test_a_worker_on_its_way_shows_how_far_it_is(browser: Browser) -> None:
    queue = {"position": 1, "length": 1, "loading": 0.4, "loading_text": "text encoder"}
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator({f"GET {SESSION}": (200, {**WAITING, "queue": queue})}))
        await begin(page)
        await said(page, "You are next", "A worker gets ready, 40 %: text encoder.")
        await expect(page.get_by_role("progressbar")).to_have_js_property("value", 0.4)


async def test_a_coordinator_that_does_not_answer_is_asked_again_until_it_does(browser: Browser) -> None:
    coordinator = FakeCoordinator()
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        answer = coordinator.answers["POST sessions"]
        coordinator.answers["POST sessions"] = (0, None)
        await begin(page)
        await said(page, "The server does not answer", "asks again by itself")
        coordinator.answers["POST sessions"] = answer
        await said(page, "You are number 2 of 5")
        poll = coordinator.answers[f"GET {SESSION}"]
        coordinator.answers[f"GET {SESSION}"] = (503, {"error": "the store is away", "code": "UNAVAILABLE"})
        await said(page, "You are number 2 of 5", "does not answer at the moment", "Your place is kept")
        coordinator.answers[f"GET {SESSION}"] = poll
        await said(page, "About 2 minutes")


async def test_a_session_that_is_over_before_it_began_says_why(browser: Browser) -> None:
    coordinator = FakeCoordinator()
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        await begin(page)
        await said(page, "You are number 2 of 5")
        over = {**WAITING, "state": "CLOSED", "queue": None, "end_reason": "start_refused", "version": "2"}
        coordinator.answers[f"GET {SESSION}"] = (200, over)
        await said(page, "The model would not start", "Start begins a new one.")


async def test_a_link_that_is_not_valid_any_more_says_so(browser: Browser) -> None:
    coordinator = FakeCoordinator({f"GET {SESSION}": UNAUTHORIZED})
    async with opened(browser) as (page, _):
        await visit(page, coordinator, f"#session=ses_1&token={view_token()}")
        await said(page, "This link is not valid any more", "Ask whoever sent it for another one.")
        await expect(page.get_by_label("Token")).to_be_hidden()


async def test_a_link_that_is_pasted_over_the_page_is_followed(browser: Browser) -> None:
    async with opened(browser) as (page, _):
        await visit(page, FakeCoordinator())
        await said(page, "Choose a model")
        await page.evaluate("(token) => void (location.hash = `session=ses_1&token=${token}`)", view_token())
        await said(page, "You are number 2 of 5")
        await expect(page.get_by_role("button", name="Leave the queue")).to_be_hidden()


@pytest.mark.parametrize("width", [390, 1280])
async def test_what_comes_before_a_session_fits(browser: Browser, width: int, scheme: str) -> None:
    size = {"width": width, "height": 740 if width < 800 else 720}
    coordinator = FakeCoordinator()
    schemas = {f"GET models/{each['name']}/schema": (200, SCHEMA) for each in CHOICE}
    coordinator.answers |= dict.fromkeys(schemas, UNAUTHORIZED)

    async def looks_right(page: Page, name: str) -> None:
        await picture(page, f"{name}-{width}-{scheme}")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        box = await page.locator("#stage .card").evaluate("(card) => [card.scrollHeight, card.clientHeight]")
        assert box[0] <= box[1], f"{name}: the card has to be scrolled"

    async with opened(browser, viewport=size, color_scheme=scheme) as (page, _):
        await visit(page, coordinator)
        await said(page, "A token is needed here")
        await page.get_by_role("button", name="Enter").click()
        await said(page, "Paste the token here.")
        await looks_right(page, "gate")
        coordinator.answers |= schemas
        await page.get_by_label("Token").fill("e30.e30.AAAA")
        await page.get_by_role("button", name="Enter").click()
        await model(page, "world").focus()
        await looks_right(page, "models")
        await choose(page, "pond")
        await looks_right(page, "chosen")
        await page.get_by_role("button", name="Start").click()
        await said(page, "You are number 2 of 5")
        await looks_right(page, "queue")
        coordinator.answers[f"GET {SESSION}"] = (200, READY)
        await said(page, "Connecting")
