"""A coordinator behind nginx, by `deploy/nginx.conf` unchanged: what it must let through, and must not make up.

Two hosts: on one nginx and, on loopback, the coordinator; on the other clients, a browser, and a worker that dials in.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.tools.browser import browser
from tests.tools.netns import Namespace, can_make_networks
from tests.tools.nginx import nginx
from tests.tools.processes import LIVEREACTOR, REPOSITORY, background
from tests.tools.serving import Coordinator, livereactor_serve, operate

SERVER, CLIENT, GUESSER = "192.0.2.2", "192.0.2.1", "192.0.2.3"  # of documentation (RFC 5737)
NAME = "live.example.com"
WORKER_SECRET = "tests-only-worker-0123456789-0123456789"
MODEL = "tests/e2e/page/models/board.py"  # the right half of its picture is the camera's
UPLOAD = 95 * 1000 * 1000
PATIENCE = 60.0  # seconds for what takes a second on an idle machine
REFUSED, TOO_MANY = 401, 429
ALLOWED = 30  # wrong keys a minute and address
AT_ONCE = 128  # requests of one address
GREEN = """([left, top, right, bottom]) => {
    const video = document.querySelector("figure:not([hidden]) video"), canvas = new OffscreenCanvas(16, 16);
    const context = canvas.getContext("2d"), { videoWidth: w, videoHeight: h } = video;
    if (w === 0) return false;
    context.drawImage(video, left * w, top * h, (right - left) * w, (bottom - top) * h, 0, 0, 16, 16);
    return context.getImageData(0, 0, 16, 16).data.filter((_, i) => i % 4 === 1).some((green) => green > 100);
}"""


@dataclass(frozen=True, slots=True)
class Site:
    """The service as it is seen from the clients' host."""

    host: Namespace
    tls: ssl.SSLContext
    coordinator: Coordinator

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        source: str = CLIENT,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """One request over https; bytes are sent as they are, the rest as JSON."""
        with closing(self.dial(source)) as connection:
            raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
            shown = {"Host": NAME, "Authorization": f"Bearer {key or self.coordinator.key}", **(headers or {})}
            connection.request(method, path, raw, shown)
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = (answer.headers["content-type"] or "").startswith("application/json")
            return answer.status, json.loads(text) if is_json else text

    def dial(self, source: str = CLIENT) -> HTTPSConnection:
        """A connection to nginx; any thread may ask."""
        connection = HTTPSConnection(SERVER, 443, context=self.tls, timeout=60.0, source_address=(source, 0))
        with self.host.inside():
            connection.connect()
        return connection

    @contextmanager
    def session(self, model: str = "board") -> Iterator[str]:
        """A Session that ends with the block."""
        status, made = self.ask("POST", "/sessions", {"model": {"name": model}})
        assert status == 201, made
        try:
            yield made["session_id"]
        finally:
            assert self.ask("DELETE", f"/sessions/{made['session_id']}")[0] == 204

    def upload(self, session: str, size: int) -> str:
        """The path to which a file of that size may be PUT, once the Session has its Worker."""
        status, view = self.ask("GET", f"/sessions/{session}?wait=20")
        assert "capabilities" in view, (status, view)
        asked = {"name": "big.bin", "size": size, "mime_type": "application/octet-stream"}
        status, slot = self.ask("POST", f"/sessions/{session}/uploads", asked)
        assert status == 201, slot
        assert slot["presigned_url"].startswith(f"https://{NAME}/uploads/"), "the link is the public's"
        return slot["presigned_url"].removeprefix(f"https://{NAME}")


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Namespace, Namespace]]:
    if not can_make_networks():
        pytest.skip("this machine lets us make no networks: it takes root, iproute2 and nftables")
    with closing(Namespace()) as server, closing(Namespace()) as client:
        server.ip(f"link add eth type veth peer name eth netns {client.path}")
        server.ip(f"addr add {SERVER}/24 dev eth", "link set eth up", f"route add default via {CLIENT} dev eth")
        client.ip(f"addr add {CLIENT}/24 dev eth", f"addr add {GUESSER}/24 dev eth", "link set eth up")
        client.ip(f"route add default via {SERVER} dev eth")
        yield server, client


@pytest.fixture(scope="module")
def site(hosts: tuple[Namespace, Namespace], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, (server, client) = tmp_path_factory.mktemp("site"), hosts
    environment = {
        "LIVEREACTOR_COORDINATOR__WORKER_SECRET": WORKER_SECRET,
        "LIVEREACTOR_COORDINATOR__DRAIN_TIMEOUT": "1",
    }
    with ExitStack() as stack:
        with server.inside():
            serving = livereactor_serve(
                [REPOSITORY / "examples/conformance.py"],
                port=8080,
                log_path=folder / "log",
                environment=environment,
            )
            coordinator = stack.enter_context(serving)
            proxy = stack.enter_context(
                nginx(REPOSITORY / "deploy/nginx.conf", tmp_path_factory.mktemp("nginx"), host=SERVER, names=(NAME,))
            )
        url = f"https://{SERVER}"
        command = [*LIVEREACTOR, "worker", MODEL, "--coordinator", url, "--id", "far"]
        with client.inside():
            # Only for a certificate that no public authority vouches for.
            more = {"SSL_CERT_FILE": str(proxy.certificate), "LIVEREACTOR_COORDINATOR__DRAIN_TIMEOUT": "1"}
            more["LIVEREACTOR_WORKER_SECRET"] = WORKER_SECRET
            stack.enter_context(background(command, url=url, log_path=folder / "worker", environment=more))
        yield Site(client, ssl.create_default_context(cafile=proxy.certificate), coordinator)


@pytest.fixture(scope="module")
def operator(site: Site) -> str:
    """A key that may look on."""
    return operate(site.coordinator.data_dir, "keys", "create", "--account", "ops", "--scope", "admin")["key"]


@pytest.fixture(scope="module", autouse=True)
def held(site: Site) -> Iterator[Future[tuple[float, int, Any]]]:
    """A poll for a Session that has another before it, on its way while the worker dials in and the other tests run."""

    def poll(session: str) -> tuple[float, int, Any]:
        began = time.monotonic()
        status, view = site.ask("GET", f"/sessions/{session}?wait=20")
        return time.monotonic() - began, status, view

    with site.session("conformance"), site.session("conformance") as second, ThreadPoolExecutor(1) as threads:
        polling = threads.submit(poll, second)
        site.coordinator.wait_until(lambda: "worker=far" in site.coordinator.log(), timeout=PATIENCE)
        yield polling


def test_http_leads_to_https(site: Site) -> None:
    with closing(HTTPConnection(SERVER, timeout=PATIENCE)) as connection, site.host.inside():
        connection.request("GET", "/a?b=c", headers={"Host": NAME})
        answer = connection.getresponse()
    assert (answer.status, answer.headers["location"]) == (301, f"https://{NAME}/a?b=c")


def test_a_link_to_a_session_is_one_of_the_public(site: Site) -> None:
    with site.session() as session:
        status, shared = site.ask("POST", f"/sessions/{session}/share", {})
        assert status == 200, shared
        assert shared["url"].startswith(f"https://{NAME}/")


def test_an_upload_of_95_megabytes_passes_through_as_it_comes(site: Site) -> None:
    part, blobs = bytes(5_000_000), site.coordinator.data_dir / "blobs"
    with site.session() as session, closing(site.dial()) as connection:
        connection.putrequest("PUT", site.upload(session, UPLOAD), skip_host=True)
        connection.putheader("Host", NAME)
        connection.putheader("Content-Length", str(UPLOAD))
        connection.endheaders()
        connection.send(part)
        site.coordinator.wait_until(lambda: _bytes_below(blobs) >= 1_000_000, timeout=PATIENCE)
        for _ in range(UPLOAD // len(part) - 1):
            connection.send(part)
        assert connection.getresponse().status == 204
        assert _bytes_below(blobs) >= UPLOAD


def test_events_come_at_once(site: Site, operator: str) -> None:
    with closing(site.dial()) as connection:
        connection.request("GET", "/events", headers={"Host": NAME, "Authorization": f"Bearer {operator}"})
        events = connection.getresponse()
        assert events.status == 200
        with site.session() as session:
            _wait_for_line(events, session)  # `timeout` of the connection is its patience


def test_addresses_are_counted_as_nginx_sees_them(site: Site) -> None:
    """Whoever tries keys is stopped, whatever it says of its own address; nobody else is."""
    wrong = "rk_" + "x" * 40

    def guess(n: int) -> int:
        claimed = {"X-Forwarded-For": f"10.0.0.{n}", "Forwarded": f"for=10.0.0.{n}", "X-Real-IP": f"10.0.0.{n}"}
        return site.ask("POST", "/tokens", {}, key=wrong, source=GUESSER, headers=claimed)[0]

    answers = [guess(n) for n in range(ALLOWED + 10)]
    assert answers[0] == REFUSED
    assert answers[-1] == TOO_MANY
    assert site.ask("POST", "/tokens", {}, key=wrong)[0] == REFUSED


def test_nobody_chooses_the_name_that_links_carry(site: Site) -> None:
    with site.session() as session:
        status, shared = site.ask("POST", f"/sessions/{session}/share", {}, headers={"X-Forwarded-Host": "bad.example"})
    assert status == 200, shared
    assert shared["url"].startswith(f"https://{NAME}/"), shared["url"]


def test_one_address_has_so_many_requests_at_once(site: Site) -> None:
    """Polls of a session that waits are held by the coordinator; nginx refuses those that are too many."""
    with ExitStack() as held, site.session("conformance") as session:
        polls = [held.enter_context(closing(site.dial(GUESSER))) for _ in range(AT_ONCE + 20)]
        for each in polls:
            shown = {"Host": NAME, "Authorization": f"Bearer {site.coordinator.key}"}
            each.request("GET", f"/sessions/{session}?wait=20", headers=shown)
        assert site.ask("GET", "/models")[0] == 200  # another address
        answers = [each.getresponse().status for each in polls]
    assert set(answers) == {200, TOO_MANY}
    assert answers.count(200) >= AT_ONCE


def test_who_comes_through_the_proxy_is_no_guest_of_this_machine(site: Site) -> None:
    with closing(site.dial()) as connection:
        connection.request("GET", "/sessions", headers={"Host": "localhost"})
        assert connection.getresponse().status == REFUSED


async def test_the_page_has_picture_camera_and_files_over_https(site: Site, tmp_path: Path) -> None:
    (tmp_path / "thing.bin").write_bytes(b"x" * 70_000)
    status, token = site.ask("POST", "/tokens", {})
    assert status == 200, token
    resolved = f"--host-resolver-rules=MAP {NAME} {SERVER}"
    async with AsyncExitStack() as stack:
        with site.host.inside():
            chromium = await stack.enter_async_context(browser(resolved))
        context = await chromium.new_context(ignore_https_errors=True, permissions=["camera"])
        page = await context.new_page()
        await page.goto(f"https://{NAME}/#token={token['jwt']}")
        assert await page.evaluate("isSecureContext && 'mediaDevices' in navigator")
        assert await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        await page.get_by_role("button", name="board", exact=True).click()
        await page.get_by_role("button", name="Start").click()
        picture = page.locator("figure:not([hidden]) video")
        await expect(picture).to_have_js_property("videoWidth", 320, timeout=PATIENCE * 1e3)
        right = [0.7, 0.1, 0.95, 0.4]
        assert not await page.evaluate(GREEN, right)
        await page.get_by_role("button", name="Camera").click()
        await page.wait_for_function(GREEN, arg=right, timeout=PATIENCE * 1e3)
        await page.locator("input[type=file]:not([hidden])").set_input_files(tmp_path / "thing.bin")
        await page.get_by_role("button", name="Weigh").click()
        await page.get_by_role("button", name="Log").click()
        await expect(page.locator("#log .reply")).to_contain_text('{"size":70000}', timeout=PATIENCE * 1e3)


def test_a_poll_is_held_for_its_20_seconds(held: Future[tuple[float, int, Any]]) -> None:
    seconds, status, view = held.result(PATIENCE)
    assert status == 200, view
    assert 19.5 < seconds < PATIENCE, view


def _bytes_below(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def _wait_for_line(answer: HTTPResponse, text: str) -> None:
    while line := answer.readline():
        if text.encode() in line:
            return
    raise AssertionError(f"the stream ended before {text}")
