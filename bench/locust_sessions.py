"""A client of P18: creates sessions, one after another or so many a second. Run by `bench/serving.py`, beside it."""

from __future__ import annotations

import itertools
import os
import random
import time
from typing import Any

from locust import FastHttpUser, task

URLS = itertools.cycle(os.environ["BENCH_URLS"].split())  # of coordinators of one service
HEADERS = {"Authorization": f"Bearer {os.environ.get('BENCH_TOKEN', '')}"}
BODY = {
    "model": {"name": "conformance"},
    "client_info": {"sdk_version": "1.13.0", "sdk_type": "python"},
    "supported_transports": [{"protocol": "webrtc", "version": "1.0"}],
}


RATE = float(os.environ.get("BENCH_RATE", "0"))  # a second and client; 0 = as fast as they are answered


class Creator(FastHttpUser):
    """One client."""

    _due = 0.0  # monotonic seconds

    def __init__(self, *given: Any) -> None:
        self.host = next(URLS)
        super().__init__(*given)  # which makes the connection

    def on_start(self) -> None:
        """Begin now."""
        self._due = time.monotonic()

    def wait_time(self) -> float:
        """Until the next one is due: at random, so that a stall does not bring all clients together for good."""
        if not RATE:
            return 0.0
        self._due += random.expovariate(RATE)
        return max(0.0, self._due - time.monotonic())

    @task
    def create(self) -> None:
        """One session, which then waits."""
        with self.client.post("/sessions", json=BODY, headers=HEADERS, name="create", catch_response=True) as answer:
            if answer.status_code != 201:
                answer.failure(f"{answer.status_code}: {str(answer.text)[:200]}")
