"""Texts of the page at a fake coordinator: tokens, queues, refusals."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from .conftest import opened, picture
from .fake_servers import ADDRESS, DESCRIPTOR, SCHEMA, SESSION, WAITING, FakeCoordinator
from .gallery_rig import CHOICE, begin, choose, model, said, visit

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNAUTHORIZED = (401, {"error": "no credentials given; send Authorization: Bearer with a token", "code": "UNAUTHORIZED"})
READY = {**DESCRIPTOR, "session_id": "ses_1", "state": "WAITING", "version": "2"}


def token(**claims: Any) -> str:
    shown = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{shown}.AAAA"


def view_token() -> str:
    return token(scope="view")


def token_for(*models: str) -> str:
    return token(scope="control view", authorization_details=[{"resources": {"models": {"match": models}}}])


def garden() -> dict[str, Any]:
    """Return a schema with one command that no other model has."""
    schema = copy.deepcopy(SCHEMA)
    schema["info"]["title"] = "garden"
    schema["paths"] = {"/events/cut": {"post": {"operationId": "cut", "summary": "Cut it."}}}
    return schema


async def gone_and_back(page: Page) -> list[str]:
    """Leave the page and return; give the requests for sessions."""
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
        await said(page, "Your token does not grant access to any model here", "It is valid for moon.")


@pytest.mark.parametrize(
    ("status", "text"),
    [(403, "Your token does not grant access to this model."), (404, "Controls appear here after a worker")],
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
            ["No capacity for this model right now", "No worker serves the model 'pond'"],
        ),
        (
            429,
            {"error": "no", "quota_type": "sessions_per_minute", "limit": 10, "current": 10, "retry_after": 6},
            ["Too many new sessions", "10 of the 10", "Try again in 6 s."],
        ),
        (
            403,
            {"error": "this token is not for the model 'pond'"},
            ["The server refused the request", "not for the model 'pond'"],
        ),
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
        await said(page, "You are next", "A worker is loading the model, 40%: text encoder.")
        await expect(page.get_by_role("progressbar")).to_have_js_property("value", 0.4)


async def test_a_coordinator_that_does_not_answer_is_asked_again_until_it_does(browser: Browser) -> None:
    coordinator = FakeCoordinator()
    async with opened(browser) as (page, _):
        await visit(page, coordinator)
        answer = coordinator.answers["POST sessions"]
        coordinator.answers["POST sessions"] = (0, None)
        await begin(page)
        await said(page, "Cannot reach the server", "This page keeps trying.")
        coordinator.answers["POST sessions"] = answer
        await said(page, "You are number 2 of 5")
        poll = coordinator.answers[f"GET {SESSION}"]
        coordinator.answers[f"GET {SESSION}"] = (503, {"error": "the store is away", "code": "UNAVAILABLE"})
        await said(page, "You are number 2 of 5", "is not responding", "You keep your place")
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
        await said(page, "The model did not start", "Press Start to begin a new session.")


async def test_a_link_that_is_not_valid_any_more_says_so(browser: Browser) -> None:
    coordinator = FakeCoordinator({f"GET {SESSION}": UNAUTHORIZED})
    async with opened(browser) as (page, _):
        await visit(page, coordinator, f"#session=ses_1&token={view_token()}")
        await said(page, "This link is no longer valid", "Ask the person who sent it for a new link.")
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
        await said(page, "This server requires a token")
        await page.get_by_role("button", name="Continue").click()
        await said(page, "Paste the token here.")
        await looks_right(page, "gate")
        coordinator.answers |= schemas
        await page.get_by_label("Token").fill("e30.e30.AAAA")
        await page.get_by_role("button", name="Continue").click()
        await model(page, "world").focus()
        await looks_right(page, "models")
        await choose(page, "pond")
        await looks_right(page, "chosen")
        await page.get_by_role("button", name="Start").click()
        await said(page, "You are number 2 of 5")
        await looks_right(page, "queue")
        coordinator.answers[f"GET {SESSION}"] = (200, READY)
        await said(page, "Connecting")
