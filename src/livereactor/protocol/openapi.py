"""The schema document (docs/protocol.md): a model's contract as OpenAPI 3.1, written and read. Pure."""

from __future__ import annotations

from livereactor.protocol.openapi_reading import from_openapi
from livereactor.protocol.openapi_writing import HINT_PREFIX, to_openapi, type_to_json

__all__ = ["HINT_PREFIX", "from_openapi", "to_openapi", "type_to_json"]
