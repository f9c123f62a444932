"""OpenTelemetry behind `base/spans.py`, where the standard OTEL_ variables ask for it: the extra `otel`."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from livereactor.base import spans
from livereactor.base.errors import ConfigError
from livereactor.base.spans import Attributes, Kind

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as NativeSpan

# Any of these says where to; without one of them nothing is sent, and no SDK is imported.
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORTER, PROTOCOLS = "OTEL_TRACES_EXPORTER", ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN: Final = "http/protobuf"
LAST_WORDS_MS: Final = 2_000  # for what has not been sent when the process ends
LOOK_EVERY: Final = 60.0  # seconds

log = structlog.get_logger("livereactor")


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """The variables ask for traces.

    Raises:
        ConfigError: they ask for what we cannot send.
    """
    exporter = environ.get(EXPORTER, "").strip().lower()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if not exporter and not any(environ.get(name) for name in ENDPOINTS):
        return False
    if exporter not in ("", "otlp"):
        raise ConfigError(f"{EXPORTER} is {exporter!r}; traces go out as otlp, so say that or nothing")
    for name in PROTOCOLS:
        if (asked := environ.get(name, SPOKEN)) != SPOKEN:
            raise ConfigError(f"{name} is {asked!r}; traces go out over {SPOKEN}, which collectors take on port 4318")
    return True


@contextmanager
def tracing(service: str, environ: Mapping[str, str] = os.environ) -> Generator[None]:
    """Trace to where the variables say, if they say so; what is left is sent at the end.

    Args:
        service: the name of this program in the traces, unless `OTEL_SERVICE_NAME` gives another.

    Raises:
        ConfigError: the extra is not installed, or the variables ask for what we cannot send.
    """
    if not is_asked_for(environ):
        yield
        return
    provider = _provider(service)
    spans.trace_to(OpenTelemetrySpans(provider))
    log.info("tracing by OpenTelemetry", service=service)
    try:
        yield
    finally:
        spans.trace_to(None)
        provider.force_flush(LAST_WORDS_MS)
        provider.shutdown()


def _provider(service: str) -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        text = "OTEL_ variables ask for traces; pip install 'livereactor[otel]', or set OTEL_SDK_DISABLED=true"
        raise ConfigError(text) from error
    is_named = os.environ.get("OTEL_SERVICE_NAME") or SERVICE_NAME in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    named = Resource.create() if is_named else Resource.create({SERVICE_NAME: service})
    # Sampler, queue and batches are the SDK's, as its variables set them: bounded; what finds no room is dropped.
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class OpenTelemetrySpans:
    """`Spans` by an SDK's provider."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._unix_time = _UnixTime()
        self._tracer = provider.get_tracer("livereactor")
        self._contexts = TraceContextTextMapPropagator()
        self._kinds = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}

    def begin(
        self,
        name: str,
        *,
        at: float | None = None,
        parent: str = "",
        link: str = "",
        kind: Kind = "internal",
        attributes: Attributes | None = None,
    ) -> OpenTelemetrySpan:
        """As the port says."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, get_current_span

        # An empty context, never the ambient one: parents are told, and threads are nobody's children.
        context = self._contexts.extract({spans.HEADER: parent}, Context()) if parent else Context()
        linked = self._contexts.extract({spans.HEADER: link}, Context()) if link else None
        native = self._tracer.start_span(
            name,
            context,
            self._kinds[kind],
            attributes,
            [] if linked is None else [Link(get_current_span(linked).get_span_context())],
            self._unix_time.of(at),
        )
        return OpenTelemetrySpan(native, self._unix_time)


class OpenTelemetrySpan:
    """`Span` by an SDK's."""

    def __init__(self, native: NativeSpan, unix_time: _UnixTime) -> None:
        self._native, self._unix_time = native, unix_time

    @property
    def traceparent(self) -> str:
        """As the port says."""
        found = self._native.get_span_context()
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"

    def end(
        self, at: float | None = None, *, name: str = "", failed: str = "", attributes: Attributes | None = None
    ) -> None:
        """As the port says."""
        from opentelemetry.trace import Status, StatusCode

        if name:
            self._native.update_name(name)
        if attributes:
            self._native.set_attributes(attributes)
        if failed:
            self._native.set_status(Status(StatusCode.ERROR, failed))
        self._native.end(self._unix_time.of(at))


class _UnixTime:
    """Monotonic seconds as nanoseconds of Unix time.

    How the two clocks stand to each other is looked at once a minute: at each span, the parts of one that took
    microseconds would change places whenever their thread is interrupted between the looks at the one and the other.
    """

    def __init__(self) -> None:
        self._ahead_ns, self._looked_at = 0, float("-inf")

    def of(self, at: float | None) -> int:
        """None = now."""
        now = time.monotonic()
        if now - self._looked_at > LOOK_EVERY:
            self._ahead_ns, self._looked_at = time.time_ns() - time.monotonic_ns(), now
        return round((now if at is None else at) * 1e9) + self._ahead_ns
