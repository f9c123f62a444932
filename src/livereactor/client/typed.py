"""Base classes of the clients that `livereactor codegen` writes; those import no other module of livereactor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, Unpack, cast

import structlog

from livereactor.base.errors import PeerError
from livereactor.client._sync.generated.reactor import SyncReactor
from livereactor.client.commands import ServerSchema, check_arguments
from livereactor.client.contract import Contract
from livereactor.client.errors import DecodeFailedError, NotSupportedError
from livereactor.client.options import ReactorOptions, names_reactor_options
from livereactor.client.reactor import Reactor
from livereactor.client.types import FileRef
from livereactor.protocol.contract import contract_hash
from livereactor.protocol.schema import ModelSchema, breaking_changes

__all__ = ["Contract", "FileRef", "SyncTypedReactor", "TypedReactor"]

Reply = TypeVar("Reply")


class TypedReactor(Reactor):
    """A `Reactor` of one model, with a method for each of its Commands and a handler for each of its Messages.

    Args:
        model_name: the name under which the model is served; None = its own.
        options: the keyword arguments of `Reactor`.

    Methods of Commands raise, besides what `send_command` raises:
        NotSupportedError: the server's model has no such Command, or no longer; nothing was sent.
        DecodeFailedError: the Command was done, but its answer does not fit the contract.
    """

    contract: ClassVar[Contract]

    @names_reactor_options
    def __init__(
        self, model_name: str | None = None, api_key: str | None = None, **options: Unpack[ReactorOptions]
    ) -> None:
        super().__init__(model_name or self.contract.schema.name, api_key, **options)
        self._calls = _calls_of(self)

    async def _ask(self, reply: type[Reply], name: str, arguments: Mapping[str, Any]) -> Reply:
        self._calls.check(name, arguments)
        return cast("Reply", self._calls.reply(name, await self.send_command(name, arguments)))

    async def _may_ask(self, reply: type[Reply], name: str, arguments: Mapping[str, Any]) -> Reply | None:
        return await self._ask(reply, name, arguments)

    async def _tell(self, name: str, arguments: Mapping[str, Any]) -> None:
        self._calls.check(name, arguments)
        await self.send_command(name, arguments)

    def _on(self, message: type[Reply], name: str, handler: Callable[[Reply], object]) -> Callable[[Reply], object]:
        self.on_message(name)(self._calls.listener(name, handler))
        return handler


class SyncTypedReactor(SyncReactor):
    """A `SyncReactor` of one model; see `TypedReactor`."""

    contract: ClassVar[Contract]

    @names_reactor_options
    def __init__(
        self, model_name: str | None = None, api_key: str | None = None, **options: Unpack[ReactorOptions]
    ) -> None:
        super().__init__(model_name or self.contract.schema.name, api_key, **options)
        self._calls = _calls_of(self)

    def _ask(self, reply: type[Reply], name: str, arguments: Mapping[str, Any]) -> Reply:
        self._calls.check(name, arguments)
        return cast("Reply", self._calls.reply(name, self.send_command(name, arguments)))

    def _may_ask(self, reply: type[Reply], name: str, arguments: Mapping[str, Any]) -> Reply | None:
        return self._ask(reply, name, arguments)

    def _tell(self, name: str, arguments: Mapping[str, Any]) -> None:
        self._calls.check(name, arguments)
        self.send_command(name, arguments)

    def _on(self, message: type[Reply], name: str, handler: Callable[[Reply], object]) -> Callable[[Reply], object]:
        self.on_message(name)(self._calls.listener(name, handler))
        return handler


def _calls_of(client: TypedReactor | SyncTypedReactor) -> TypedCalls:
    def named() -> list[str]:
        capabilities = client.capabilities
        return [] if capabilities is None else [each.name for each in capabilities.commands]

    calls = TypedCalls(client.contract, ServerSchema(lambda: client.schema).get, named)

    def compare(_: object) -> None:
        calls.compare()

    client.on("schema_received", compare)
    return calls


log = structlog.get_logger(__name__)


class TypedCalls:
    """The calls of one typed client.

    Args:
        contract: the contract that the client was written for.
        schema: returns the server's schema, or None before it has arrived.
        named: returns the Commands that the server named before its schema arrived.
    """

    def __init__(
        self, contract: Contract, schema: Callable[[], ModelSchema | None], named: Callable[[], Collection[str]]
    ) -> None:
        self._contract, self._schema, self._named = contract, schema, named
        self._told = contract.hash  # of the contract that was last compared

    def check(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Refuse a Command that the server would refuse, before it is sent.

        Raises:
            NotSupportedError: the server has no such Command.
            CommandRejected: the arguments break the schema.
            TypeError, ValueError: the arguments are not JSON.
        """
        server = self._schema()
        names = self._named() if server is None else [each.name for each in server.commands]
        if name not in names and (names or server is not None):
            message = f"the server has no command `{name}`; run `livereactor codegen` again for the current model"
            raise NotSupportedError(message, operation=name)
        check_arguments((server or self._contract.schema).command(name), arguments)

    def reply(self, name: str, answer: Mapping[str, Any] | None) -> Any:
        """Return the Message that answered the Command, as its class; None if it was only acknowledged, as it may be.

        Raises:
            DecodeFailedError: no Message came, or another one, or one that does not fit the contract.
        """
        command = self._contract.schema.command(name)
        wanted = command.reply
        if answer is None and command.may_acknowledge:
            return None
        if answer is None or wanted is None or answer["type"] != wanted:
            came = "no message" if answer is None else f"`{answer['type']}`"
            raise DecodeFailedError(f"`{name}` was done, but its answer was {came} and not `{wanted}`", operation=name)
        try:
            return self._contract.message(wanted, answer["data"])
        except PeerError as error:
            raise DecodeFailedError(f"`{name}` was done, but {error.message}", operation=name) from error

    def listener(self, name: str, handler: Callable[[Any], object]) -> Callable[[Mapping[str, Any]], object]:
        """Return a handler that passes Messages `name` as their class, and skips those that do not fit."""
        return _Listener(self._contract, name, handler)

    def compare(self) -> None:
        """Log once how the server's schema differs from the one that this client was written for."""
        server = self._schema()
        if server is None or (found := contract_hash(server)) == self._told:
            return
        self._told = found
        ours = self._contract
        if found == ours.hash:
            return
        there, here = set(_names(server)), set(_names(ours.schema))
        log.warning(
            "the model has changed since this client was generated; run `livereactor codegen` again",
            model=ours.schema.name,
            added=sorted(there - here),
            removed=sorted(here - there),
            breaking=breaking_changes(ours.schema, server),
        )


class _Listener:
    """A handler that is equal to the one that it calls, so that `off("message", handler)` finds it."""

    def __init__(self, contract: Contract, name: str, handler: Callable[[Any], object]) -> None:
        self._contract, self._name, self._handler = contract, name, handler

    def __call__(self, message: Mapping[str, Any]) -> object:
        try:
            received = self._contract.message(self._name, message["data"])
        except PeerError as error:
            log.warning("message left out", message=self._name, reason=error.message)
            return None
        return self._handler(received)

    def __eq__(self, other: object) -> bool:
        return self._handler == (other._handler if isinstance(other, _Listener) else other)

    def __hash__(self) -> int:
        return hash(self._handler)


def _names(schema: ModelSchema) -> Iterator[str]:
    for what, entries in (("track", schema.tracks), ("command", schema.commands), ("message", schema.messages)):
        for each in entries:
            yield f"{what} {each.name}"
