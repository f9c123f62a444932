"""When traces are sent: as the standard variables say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from livereactor.base import spans
from livereactor.base.errors import ConfigError
from livereactor.wiring.tracing import is_asked_for, tracing

SOMEWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "mine"}, False),
        (SOMEWHERE, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (SOMEWHERE | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (SOMEWHERE | {"OTEL_SDK_DISABLED": "true"}, False),
        (SOMEWHERE | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_they_are_sent_where_a_variable_says_where_to(environ: dict[str, str], asked: bool) -> None:
    assert is_asked_for(environ) is asked


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "set it to .otlp. or remove it"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "port 4318"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "http/protobuf"),
    ],
)
def test_what_we_cannot_send_stops_the_start_and_says_what_to_write(more: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        is_asked_for(SOMEWHERE | more)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"pip install 'livereactor\[otel\]'"), tracing("test", SOMEWHERE):
        pass
    assert spans.tracer() is None


def test_where_nobody_asks_the_sdk_is_not_imported() -> None:
    code = (
        "import sys; import livereactor.wiring.runtime, livereactor.wiring.tracing as t\n"
        "with t.tracing('test', {}): pass\n"
        "sys.exit('opentelemetry.sdk' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
