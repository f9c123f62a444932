"""What the clients that `livereactor codegen` writes are made of, and the only module of ours that they import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict, TypeVar, Unpack, cast

from livereactor.client.model.commands import ServerSchema
from livereactor.client.model.contract import Contract
from livereactor.client.model.typed_calls import TypedCalls
from livereactor.client.reactor import Reactor
from livereactor.client.sync.reactor import SyncReactor
from livereactor.client.types import FileRef

if TYPE_CHECKING:
    from livereactor.client.http.credentials import Resolver

__all__ = ["Contract", "FileRef", "SyncTypedReactor", "TypedReactor"]

Reply = TypeVar("Reply")


class Options(TypedDict, total=False):
    """The keyword arguments of `Reactor`."""

    jwt: str | Resolver | None
    api_url: str | None
    local: bool | str | None
    auto_resume_tracks: bool
    auto_reconnect: bool
    max_session_duration: float | None
    session_args: Mapping[str, Any] | None
    connect_timeout: float | None
    generation: Literal["streamed", "stepped"] | None
    report_stats: bool
    log_level: int | str | None


class TypedReactor(Reactor):
    """A `Reactor` of one model, with a method for each of its Commands and a handler for each of its Messages.

    Args:
        model_name: another name that the model has where it is served; None = its own.
        options: as `Reactor` takes them.

    Methods of Commands raise, beside what `send_command` raises:
        NotSupportedError: the server's model has no such Command (any more); nothing was sent.
        DecodeFailedError: the Command was done, and its answer is not what the contract says.
    """

    contract: ClassVar[Contract]

    def __init__(self, model_name: str | None = None, api_key: str | None = None, **options: Unpack[Options]) -> None:
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

    def __init__(self, model_name: str | None = None, api_key: str | None = None, **options: Unpack[Options]) -> None:
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
