"""A client of P18: creates sessions, one after another or so many a second. Run by `bench/serving.py`, beside it."""

from __future__ import annotations

import os

from locust import FastHttpUser, constant, constant_throughput, task

HEADERS = {"Authorization": f"Bearer {os.environ.get('BENCH_TOKEN', '')}"}
BODY = {
    "model": {"name": "conformance"},
    "client_info": {"sdk_version": "1.13.0", "sdk_type": "python"},
    "supported_transports": [{"protocol": "webrtc", "version": "1.0"}],
}


RATE = float(os.environ.get("BENCH_RATE", "0"))  # a second and client; 0 = as fast as they are answered


class Creator(FastHttpUser):
    """One client."""

    wait_time = constant_throughput(RATE) if RATE else constant(0)

    @task
    def create(self) -> None:
        """One session, which then waits."""
        with self.client.post("/sessions", json=BODY, headers=HEADERS, name="create", catch_response=True) as answer:
            if answer.status_code != 201:
                answer.failure(f"{answer.status_code}: {str(answer.text)[:200]}")
