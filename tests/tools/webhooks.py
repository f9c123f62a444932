"""An operator's service: takes webhooks over a real socket, and counts only what verifies as the specification says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Verifying webhook
authenticity": the signature is over id, timestamp and the raw body, and a timestamp that is too old is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE = 300  # seconds


class Receiver:
    """What it took, in order; while `away` it answers 503 and takes nothing."""

    def __init__(self, secret: str) -> None:
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self.url = ""
        self.away = False
        self.taken: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.wrong: list[str] = []
        self.turned_away = 0
        self._news = threading.Condition()

    def wait_until(self, condition: Callable[[], bool], *, timeout: float) -> None:
        """Until it holds, looked at after every delivery."""
        with self._news:
            assert self._news.wait_for(condition, timeout), (self.taken, self.wrong, self.turned_away)

    def take(self, headers: Any, body: bytes) -> int:
        """The status of the answer."""
        with self._news:
            self._news.notify_all()
            if self.away:
                self.turned_away += 1
                return 503
            if (complaint := self._complaint(headers, body)) is not None:
                self.wrong.append(complaint)
                return 400
            self.ids.append(headers["webhook-id"])
            self.taken.append(json.loads(body))
            return 204

    def _complaint(self, headers: Any, body: bytes) -> str | None:
        at = headers["webhook-timestamp"]
        if abs(time.time() - int(at)) > TOLERANCE:
            return f"timestamp {at}"
        content = f"{headers['webhook-id']}.{at}.".encode() + body
        expected = base64.b64encode(hmac.new(self._key, content, hashlib.sha256).digest()).decode()
        signatures = [each.split(",", 1) for each in headers["webhook-signature"].split(" ")]
        if not any(version == "v1" and hmac.compare_digest(text, expected) for version, text in signatures):
            return f"signature {signatures}"
        return None


@contextmanager
def receiving(secret: str) -> Iterator[Receiver]:
    """A receiver on a free loopback port."""
    receiver = Receiver(secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = receiver.take(self.headers, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="webhooks", daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)
