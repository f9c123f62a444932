"""A client of P18: creates sessions one after another. Run by `bench/serving.py` in a process of its own."""

from __future__ import annotations

import os

from locust import FastHttpUser, constant, task

HEADERS = {"Authorization": f"Bearer {os.environ.get('BENCH_TOKEN', '')}"}
BODY = {
    "model": {"name": "conformance"},
    "client_info": {"sdk_version": "1.13.0", "sdk_type": "python"},
    "supported_transports": [{"protocol": "webrtc", "version": "1.0"}],
}


class Creator(FastHttpUser):
    """One client."""

    wait_time = constant(0)

    @task
    def create(self) -> None:
        """One session, which then waits."""
        with self.client.post("/sessions", json=BODY, headers=HEADERS, name="create", catch_response=True) as answer:
            if answer.status_code != 201:
                answer.failure(f"{answer.status_code}: {str(answer.text)[:200]}")
