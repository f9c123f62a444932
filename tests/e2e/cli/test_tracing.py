"""A coordinator and its worker that send their traces over OTLP to a receiver, as an operator's collector is one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from tests.e2e.cli.command import written
from tests.tools.serving import livereactor_serve

TRACE = "0af7651916cd43dd8448eb211c80319c"
PATIENCE = 60.0


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted to `/v1/traces`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came = threading.Condition()
        self.resources: list[ResourceSpans] = []

    def names(self) -> dict[str, set[str]]:
        """Of the spans in the client's trace, by service."""
        found: dict[str, set[str]] = {}
        for resource in self.resources:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            spans = [span for scope in resource.scope_spans for span in scope.spans if span.trace_id.hex() == TRACE]
            found.setdefault(about["service.name"], set()).update(span.name for span in spans)
        return found


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver = self.server
        assert isinstance(receiver, Receiver)
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["content-length"]))
        with receiver.came:
            receiver.resources += ExportTraceServiceRequest.FromString(body).resource_spans
            receiver.came.notify_all()
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


@pytest.mark.timeout(240)  # it starts a coordinator and a worker
def test_coordinator_and_worker_send_the_parts_of_one_trace_to_where_the_variables_say(tmp_path: Path) -> None:
    with receiving() as receiver:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        target = written(tmp_path, "")
        with livereactor_serve([target], log_path=tmp_path / "log", environment=environment) as served:
            served.wait_for_worker(timeout=90)
            (model,) = served.call("GET", "/models")[1]["models"]
            status, _ = served.call(
                "POST", "/sessions", {"model": {"name": model["name"]}}, traceparent=f"00-{TRACE}-b7ad6b7169203331-01"
            )
            assert status == 201
            coordinators = {"POST /sessions", "session.queued", "session.assigned"}
            with receiver.came:
                came = receiver.came.wait_for(
                    lambda: (
                        coordinators <= (names := receiver.names()).get("livereactor-coordinator", set())
                        and "session.open" in names.get("livereactor-worker", set())
                    ),
                    PATIENCE,
                )
            assert came, receiver.names()
