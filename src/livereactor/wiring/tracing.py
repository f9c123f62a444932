"""OpenTelemetry's SDK, where the standard OTEL_ variables ask for it: the extra `otel`."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from livereactor.base import spans
from livereactor.base.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

# Any of these says where to; without one of them nothing is sent, and no SDK is imported.
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORTER, PROTOCOLS = "OTEL_TRACES_EXPORTER", ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN: Final = "http/protobuf"
LAST_WORDS_MS: Final = 2_000  # for what has not been sent when the process ends

log = structlog.get_logger("livereactor")


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Return whether the variables ask for traces.

    Raises:
        ConfigError: they ask for what we cannot send.
    """
    exporter = environ.get(EXPORTER, "").strip().lower()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if not exporter and not any(environ.get(name) for name in ENDPOINTS):
        return False
    if exporter not in ("", "otlp"):
        raise ConfigError(f"{EXPORTER} is {exporter!r}; only otlp is supported; set it to 'otlp' or remove it")
    for name in PROTOCOLS:
        if (asked := environ.get(name, SPOKEN)) != SPOKEN:
            raise ConfigError(f"{name} is {asked!r}; only {SPOKEN} is supported; collectors accept it on port 4318")
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
    spans.trace_to(provider.get_tracer("livereactor"))
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
