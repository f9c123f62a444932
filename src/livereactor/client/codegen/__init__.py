"""Typed clients: a model's schema as Python source. `module` writes it; all but `client_of` is pure."""

from __future__ import annotations

from livereactor.protocol.schema import ModelSchema

# Attributes of instances, which `dir()` of the classes does not list.
_OF_INSTANCES = ("commands", "contract")


def client_of(schema: ModelSchema) -> str:
    """Return the module of a model's typed client.

    Raises:
        UsageError: the schema has a name that Python cannot write.
    """
    from livereactor.client.codegen.module import client_source
    from livereactor.client.typed import SyncTypedReactor, TypedReactor

    return client_source(schema, {*dir(TypedReactor), *dir(SyncTypedReactor), *_OF_INSTANCES})
