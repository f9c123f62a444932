"""P11: a transport that is brought up again, because the user says so or because the network swallowed the old one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from bench.frame import Figure
from bench.stand import OURS, OWN, PYTHON, Stand
from livereactor.probes.results import Result, spread
from tests.tools.drivers import Client, PythonClients

RECONNECTS, CUTS = 20, 20
WARM_UP = 2
SETTLE = 0.015  # seconds after the call in which a frame of the old transport may still be handed over
NOTICED = 0.3  # seconds after a cut: whatever came before then was on its way already
PATIENCE = 30.0


async def p11(stand: Stand) -> Sequence[Result]:
    """`reconnect()`, and cuts of the ports in use that nobody is told of, a frame every 33 ms before and after."""
    results: list[Result] = []
    for client in (name for name in (OWN, PYTHON) if name in stand.clients):
        for server in stand.servers_for(client):
            async with stand.connected(client, stand.server(server, "360p")) as viewer:
                await viewer.command("set_pacing", pacing="backpressure")
                times = [await _reconnect(viewer) for _ in range(WARM_UP + RECONNECTS)][WARM_UP:]
            for number, what in enumerate(("ready", "a frame")):
                values = spread([each[number] for each in times])
                results.append(Result("P11", server, client, f"reconnect() to {what}", values, "ms", RECONNECTS))
        # The official client waits for ICE to lose consent before it says anything: five of its cuts tell enough.
        cuts = CUTS if client == OWN else CUTS // 4
        async with stand.connected(client, stand.server(OURS, "360p")) as viewer:
            await viewer.command("set_pacing", pacing="backpressure")
            lost = [await _cut(viewer, notices=client == OWN) for _ in range(cuts)]
        results.append(Result("P11", OURS, client, "network cut to a frame again", spread(lost), "ms", cuts))
    return results


async def _reconnect(viewer: Client) -> tuple[float, float | None]:
    """Milliseconds to ready, and to a frame."""
    await viewer.frames(10)
    again = await viewer.ask("reconnect")
    at = await viewer.ask("frame_after", at=again["started"] + SETTLE)
    return again["ready_ms"], None if at is None else (at - again["started"]) * 1e3


async def _cut(viewer: Client, *, notices: bool) -> float | None:
    """Milliseconds without a frame; a client that does not notice by itself reconnects when it is told."""
    await viewer.frames(10)
    driver = viewer.driver
    assert isinstance(driver, PythonClients)
    ports = {each.laddr.port for each in psutil.Process(driver.pid).net_connections("udp")}
    with _swallowed(ports):
        at = time.monotonic()
        if not notices:
            await viewer.ask("wait_status", status="disconnected", timeout=PATIENCE)
            await viewer.ask("reconnect")
        seen = await viewer.ask("frame_after", at=at + NOTICED, timeout=PATIENCE)
    return None if seen is None else (seen - at) * 1e3


@contextmanager
def _swallowed(ports: set[int]) -> Iterator[None]:
    """Packets from and to these UDP ports vanish; those of a port opened later do not."""
    shown = ", ".join(map(str, sorted(ports)))
    rules = "".join(f"udp {side} {{ {shown} }} drop\n" for side in ("sport", "dport"))
    _nft(f"table inet cut {{\nchain in {{\ntype filter hook input priority 0\n{rules}}}\n}}\n")
    try:
        yield
    finally:
        _nft("flush ruleset")


def _nft(rules: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)


FIGURES = (
    Figure(
        "P11",
        "from a lost transport to the next frame",
        "reconnect() 75 ms to ready, 110 to a frame; 1.2 s after a silent cut",
        p11,
        long=True,
    ),
)
