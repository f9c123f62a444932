"""HTTP and media over IPv6: on this machine, and where nothing else leads to the worker."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from functools import cache

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.tools.browser import browser
from tests.tools.drivers import PythonClients
from tests.tools.fixtures import SMALL
from tests.tools.netns import Namespace, can_make_networks
from tests.tools.processes import LIVEREACTOR, Program, request, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER, CLIENT = "2001:db8::2", "2001:db8::1"  # of documentation (RFC 3849)
Serve = Callable[..., Program]


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Namespace, Namespace]]:
    """A worker's and a client's host, with a network between them that has no IPv4."""
    if not can_make_networks():
        pytest.skip("this machine lets us make no networks: it takes root, iproute2 and nftables")
    with closing(Namespace()) as worker, closing(Namespace()) as client:
        worker.ip(f"link add eth type veth peer name eth netns {client.path}")
        for host, address, other in ((worker, WORKER, CLIENT), (client, CLIENT, WORKER)):
            # Nobody else is there: no need to ask for a second whether the address is taken.
            host.ip(f"addr add {address}/64 dev eth nodad", "link set eth up", f"route add default via {other} dev eth")
        yield worker, client


@pytest.fixture(scope="module")
def serve(hosts: tuple[Namespace, Namespace], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve("::1", "aiortc")`: the conformance model listening there; asked for the same again, the one that runs."""
    ports = itertools.count(8080)
    with ExitStack() as stack:

        @cache
        def started(host: str, engine: str = "libwebrtc") -> Program:
            port = next(ports)
            command = [*LIVEREACTOR, "run", "examples/conformance.py", "--insecure", "--host", host]
            environment = {**SMALL, "LIVEREACTOR_RUNTIME__ENGINE": engine}
            log_path = tmp_path_factory.mktemp("server") / "log"
            context = running(
                [*command, "--port", str(port)],
                host=f"[{host}]",
                port=port,
                log_path=log_path,
                environment=environment,
            )
            with hosts[0].inside():
                return stack.enter_context(context)

        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def near(hosts: tuple[Namespace, Namespace]) -> AsyncIterator[PythonClients]:
    """Official Python clients on the worker's own host."""
    async with AsyncExitStack() as stack:
        with hosts[0].inside():
            made = await stack.enter_async_context(PythonClients.started())
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(hosts: tuple[Namespace, Namespace]) -> AsyncIterator[PythonClients]:
    """Official Python clients on the other host."""
    async with AsyncExitStack() as stack:
        with hosts[1].inside():
            made = await stack.enter_async_context(PythonClients.started())
        yield made


async def test_a_client_on_this_machine_gets_a_picture_by_loopback_of_ipv6(serve: Serve, near: PythonClients) -> None:
    await _gets_a_picture(near, f"http://[::1]:{_port(serve('::'))}")


async def test_a_picture_comes_where_there_is_no_ipv4(serve: Serve, far: PythonClients) -> None:
    await _gets_a_picture(far, f"http://[{WORKER}]:{_port(serve('::'))}")


@pytest.mark.long
async def test_the_other_engine_sends_one_too(serve: Serve, far: PythonClients) -> None:
    worker = serve(WORKER, "aiortc")
    assert worker.url in worker.log(), "the address it prints is one that browsers take"
    await _gets_a_picture(far, worker.url)


async def _gets_a_picture(clients: PythonClients, url: str) -> None:
    client = await clients.new(url)
    await client.connect()
    assert (await client.frames(10))["decoded"] >= 10
    assert (await client.ask("stats"))["candidate_type"] == "host"
    await client.ask("drop")


def _port(worker: Program) -> str:
    return worker.url.rpartition(":")[2]


@contextmanager
def ipv4_to_nowhere(host: Namespace) -> Iterator[None]:
    """An address of a network that has nobody else.

    Chromium on Linux hides its addresses from pages by mDNS, which it does over IPv4 only: on a host without any IPv4
    address it gathers nothing at all, unless the page may use the camera.
    """
    host.ip("link add near type veth peer name near1", "addr add 172.17.0.1/16 dev near")
    # An address of IPv6 would come to it by itself a second later, and Chromium gives up what it fetches then.
    host.ip("link set near addrgenmode none", "link set near1 addrgenmode none")
    host.ip("link set near up", "link set near1 up")
    try:
        yield
    finally:
        host.ip("link del near")


async def test_the_page_and_uploads_work_where_only_ipv6_leads_to_the_worker(
    hosts: tuple[Namespace, Namespace], serve: Serve
) -> None:
    url = f"http://[{WORKER}]:{_port(serve('::'))}"
    async with AsyncExitStack() as stack:
        stack.enter_context(ipv4_to_nowhere(hosts[1]))
        with hosts[1].inside():
            chromium = await stack.enter_async_context(browser())
        page = await chromium.new_page()
        await page.goto(url)
        await page.get_by_role("button", name="Start").click()
        await expect(page.locator("figure:not([hidden]) video")).to_have_js_property("videoWidth", 640, timeout=20_000)
        with hosts[1].inside():
            _, session = request(f"{url}/session")
            sid = session["session_id"]
            body = b'{"name": "a.txt", "size": 1, "mime_type": "text/plain"}'
            status, slot = request(f"{url}/sessions/{sid}/uploads", method="POST", body=body)
            assert status == 201
            assert slot["presigned_url"].startswith(f"{url}/uploads/")
            assert request(slot["presigned_url"], method="PUT", body=b"a")[0] == 204
