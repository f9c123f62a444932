"""The checks of `livereactor doctor`, one function each, with a fix for each problem.

They contact only this machine and the servers named in the settings.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx2
from structlog.testing import capture_logs

from livereactor.base.errors import ConfigError, EngineError, LivereactorError
from livereactor.cli.turn_client import RelayRefusedError, relayed_address
from livereactor.protocol.turn import turn_credentials
from livereactor.settings import Settings
from livereactor.wiring.options import public_addresses

_GIB = 1024**3
_STUN_MAGIC = 0x2112A442  # RFC 8489, section 5
_REFUSALS = {
    401: (
        "does not take the credentials",
        "use the server's own secret, or user and password; synchronise clocks (NTP)",
    ),
    486: ("has no relay left for this user", "raise user-quota in the server's configuration"),
    508: ("has no relay left", "widen min-port and max-port in the server's configuration"),
}
_PRIVATE = [
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `fix` is empty if there is nothing to do."""

    check: str
    status: Literal["ok", "warn", "fail"]
    text: str
    fix: str = ""


def findings(settings: Settings, url: str | None) -> list[Finding]:
    """Run every check, in the order in which a newcomer would meet the problems."""
    runtime = settings.runtime
    found = [_python(), _engine(runtime.engine), _codecs(), _gpu(), _port(runtime.host, runtime.port), _disk()]
    if settings.runtime.public_address is not None:
        found.append(_public(settings.runtime.public_address))
    if settings.blobs.url is not None:
        found.append(_blobs(settings.blobs.url))
    found += [_stun(server) for server in settings.turn.stun]
    found += turn_findings(settings)
    if url is not None:
        found.append(_server(url))
    return found


def turn_findings(settings: Settings) -> list[Finding]:
    """Check that each TURN server relays for clients with the credentials that we would give them."""
    return [_relay(*relay) for relay in _relays(settings)]


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", "ok", version)


def _engine(name: str) -> Finding:
    """Connect the engine to itself: everything a browser needs, without a browser."""
    from livereactor.engine.default import make_engine

    async def connect() -> tuple[str, float]:
        engine = make_engine(name)
        began = time.monotonic()
        try:
            # An engine that cannot reach itself starts anyway, as a network may come later. It only logs a warning.
            with capture_logs() as said:
                await asyncio.wait_for(engine.start(), 15)
            for record in said:
                if record["log_level"] == "warning":
                    raise EngineError(str(record.get("reason") or record["event"]))
            return engine.capabilities.name, time.monotonic() - began
        finally:
            await engine.aclose()

    try:
        used, seconds = asyncio.run(connect())
    except LivereactorError as error:
        trouble, _, fix = error.message.partition("; ")
        return Finding("media engine", "fail", trouble, fix or "read the log of livereactor run, then try again")
    except TimeoutError:
        fix = "allow UDP between this machine's own addresses in the firewall"
        return Finding("media engine", "fail", "could not connect to itself within 15 s", fix)
    return Finding("media engine", "ok", f"{used}: connected to itself in {seconds * 1000:.0f} ms")


def _codecs() -> Finding:
    import numpy as np

    from livereactor.media.encoder import make_encoder
    from livereactor.media.frames import VideoCodec

    pixels = np.zeros((90, 160, 3), np.uint8)
    working: list[str] = []
    for codec in VideoCodec:
        try:
            encoder = make_encoder(codec, width=160, height=90, fps=30, bps=300_000)
            encoder.encode(pixels, key=True, captured_us=0)
            working.append(codec.value)
        except (LivereactorError, OSError, ValueError):  # PyAV's errors are OSErrors and ValueErrors
            continue
    if VideoCodec.VP8.value not in working:
        fix = "reinstall PyAV from its wheel: pip install --force-reinstall av"
        return Finding("codecs", "fail", "no VP8 encoder", fix)
    status = "ok" if len(working) == len(VideoCodec) else "warn"
    return Finding("codecs", status, ", ".join(working), "" if status == "ok" else "reinstall PyAV from its wheel")


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("gpu", "ok", "none found; models run on the CPU")
    try:
        done = subprocess.run(
            [tool, "--query-gpu=name,memory.free", "--format=csv,noheader"], capture_output=True, text=True, timeout=10
        )
    except subprocess.TimeoutExpired:
        return Finding("gpu", "warn", "nvidia-smi does not answer", "restart the driver")
    if done.returncode != 0:
        return Finding("gpu", "warn", "nvidia-smi failed", "install the driver for this GPU")
    return Finding("gpu", "ok", done.stdout.strip().replace("\n", "; ") + " free")


def _port(host: str, port: int) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            return Finding("port", "warn", f"{host}:{port}: {reason.lower()}", "choose another port with --port")
    return Finding("port", "ok", f"{host}:{port} is free")


def _public(setting: str) -> Finding:
    try:
        addresses = public_addresses(setting)
    except ConfigError as error:
        trouble, _, fix = error.message.partition("; ")
        return Finding("public address", "fail", trouble, fix)
    return Finding("public address", "ok", f"clients will use {', '.join(addresses)}")


def _disk() -> Finding:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < _GIB:
        return Finding("disk", "warn", f"{free / _GIB:.1f} GiB free for uploads", "free some space, or set TMPDIR")
    return Finding("disk", "ok", f"{free / _GIB:.0f} GiB free for uploads")


def _blobs(url: str) -> Finding:
    """Write, read, list and delete a blob, and check that the store refuses to overwrite: our guarantees need that."""
    from livereactor.blobs.checking import trouble_with
    from livereactor.wiring.options import open_blobs

    with capture_logs() as said:
        try:
            trouble, _, fix = asyncio.run(trouble_with(open_blobs(url))).partition("; ")
        except LivereactorError as error:
            trouble, _, fix = error.message.partition("; ")
            for record in said:  # the adapter's own words, which clients may not see
                trouble, fix = record["reason"], record.get("todo", fix)
    return Finding("blobs", "fail", f"{url}: {trouble}", fix) if trouble else Finding("blobs", "ok", url)


def _stun(url: str) -> Finding:
    """Send one binding request (RFC 8489, section 2); any answer with our transaction id counts."""
    try:
        host, port = _host_port(url.partition(":")[2], 3478)
        transaction = secrets.token_bytes(12)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(2.0)
            probe.sendto(struct.pack("!HHI", 1, 0, _STUN_MAGIC) + transaction, (host, port))
            answer = probe.recv(512)
    except (OSError, ValueError) as error:
        fix = "remove it from [turn] stun, or open UDP to it"
        return Finding("stun", "warn", f"{url}: {error or 'no answer'}", fix)
    if answer[8:20] != transaction:
        return Finding("stun", "warn", f"{url}: the answer is not from a STUN server", "check the host and port")
    return Finding("stun", "ok", f"{url} answers")


def _relays(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield each TURN server's URL with credentials that it should accept."""
    turn = settings.turn
    for entry in turn.turn:
        username, password, url = entry.split(";")
        yield url, username, password
    if turn.secret is not None:
        made = turn_credentials(turn.secret, "doctor", int(time.time()) + 60)
        yield from ((url, made.username, made.password) for url in turn.urls)


def _relay(url: str, username: str, password: str) -> Finding:
    try:
        address = relayed_address(url, username, password)
    except RelayRefusedError as error:
        text, fix = _REFUSALS.get(error.code, (f"refuses with {error.code}", "see the server's log"))
        return Finding("turn", "warn", f"{url} {text}", fix)
    except (OSError, ValueError) as error:
        fix = "check the host, port and transport, and open them to clients"
        return Finding("turn", "warn", f"{url}: {error}", fix)
    if any(ipaddress.ip_address(address) in each for each in _PRIVATE):
        fix = f"set external-ip in the server's configuration to PUBLIC/{address}, with its public address"
        return Finding("turn", "warn", f"{url} relays from {address}, which others cannot reach", fix)
    return Finding("turn", "ok", f"{url} relays from {address}")


def _server(url: str) -> Finding:
    try:
        answer = httpx2.get(url.rstrip("/") + "/health", timeout=5)
        body = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        return Finding("server", "fail", f"{url}: {error}", "start the server, or correct --url")
    text = f"{url}: {body.get('status', '?')}, {body.get('state', '?')}"
    if (date := answer.headers.get("date")) is not None:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
        if abs(ahead) > 30:
            text += f"; this clock is {ahead:+.0f} s off"
            return Finding("server", "warn", text, "synchronise the clocks (NTP)")
    if answer.status_code != 200:
        return Finding("server", "fail", text, "see the server's log")
    return Finding("server", "ok", text)


def _host_port(text: str, default: int) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host else (text, default)
