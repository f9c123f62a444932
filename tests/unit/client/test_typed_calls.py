"""What typed clients do around their calls: which contract counts, answers as classes, changes that are told."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import structlog

from livereactor.client._sync.generated.reactor import SyncReactor
from livereactor.client.codegen import client_of
from livereactor.client.contract import Contract, contract_text
from livereactor.client.errors import CommandRejected, DecodeFailedError, NotSupportedError
from livereactor.client.events import Emitter
from livereactor.client.options import ReactorOptions
from livereactor.client.reactor import Reactor
from livereactor.client.typed import SyncTypedReactor, TypedCalls, TypedReactor
from livereactor.protocol import types as t
from livereactor.protocol.contract import contract_hash
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, TrackSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: float
    y: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    n: int
    at: Point | None


POINT = t.StructureType("Point", (t.Field("x", t.FloatType()), t.Field("y", t.FloatType(), 0.5)))
DROPPED = MessageSchema("dropped", "Dropped", (t.Field("n", t.IntType()), t.Field("at", t.OptionalType(POINT))))
DROP = CommandSchema("drop", (t.Field("x", t.FloatType(t.Bounds(le=1))),), reply="dropped")
POND = ModelSchema(
    "pond",
    tracks=(TrackSchema("main_video", "video", "out"),),
    commands=(DROP, CommandSchema("calm")),
    messages=(DROPPED, MessageSchema("calmed", "Calmed")),
)
TITLES = {"dropped": "Dropped", "calmed": "Calmed"}
CONTRACT = Contract(contract_text(POND, lambda kind: kind.name, TITLES), Point, Dropped)


class Server:
    """A server's schema, as it comes to be known."""

    def __init__(self, schema: ModelSchema | None = None, named: tuple[str, ...] = ()) -> None:
        self.schema, self.named = schema, named
        self.calls = TypedCalls(CONTRACT, lambda: self.schema, lambda: self.named)


def test_before_the_servers_schema_came_the_own_contract_decides() -> None:
    calls = Server().calls
    calls.check("drop", {"x": 1})
    with pytest.raises(CommandRejected, match=r"2\.0 is above 1"):
        calls.check("drop", {"x": 2})
    with pytest.raises(ValueError, match="finite"):
        calls.check("drop", {"x": float("nan")})


def test_the_servers_schema_decides_where_it_is_known() -> None:
    wider = replace(DROP, fields=(t.Field("x", t.FloatType()),))
    server = Server(replace(POND, commands=(wider,)))
    server.calls.check("drop", {"x": 2})
    with pytest.raises(NotSupportedError, match="server has no command `calm`"):
        server.calls.check("calm", {})


def test_the_names_in_the_capabilities_count_until_then() -> None:
    with pytest.raises(NotSupportedError) as caught:
        Server(named=("drop",)).calls.check("calm", {})
    assert (caught.value.code, caught.value.component, caught.value.recoverable) == ("NOT_SUPPORTED", "client", False)
    Server(named=("drop", "calm")).calls.check("calm", {})


def test_an_answer_is_its_class_and_what_a_newer_server_adds_is_left_out() -> None:
    data = {"n": 3.0, "at": {"x": 1, "z": 9}, "more": True}
    answer = Server().calls.reply("drop", {"type": "dropped", "data": data})
    assert answer == Dropped(n=3, at=Point(x=1.0, y=0.5))
    assert (type(answer.n), type(answer.at.x)) == (int, float)
    assert Server().calls.reply("drop", {"type": "dropped", "data": {"n": 1, "at": None}}) == Dropped(n=1, at=None)


def test_a_command_that_may_only_acknowledge_may_answer_with_none() -> None:
    free = replace(POND, commands=(replace(DROP, may_acknowledge=True),))
    contract = Contract(contract_text(free, lambda kind: kind.name, TITLES), Point, Dropped)
    calls = TypedCalls(contract, lambda: None, tuple)
    assert calls.reply("drop", None) is None
    assert calls.reply("drop", {"type": "dropped", "data": {"n": 1, "at": None}}) == Dropped(n=1, at=None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "`drop` was done, but its answer was no message and not `dropped`"),
        ({"type": "calmed", "data": {}}, "but its answer was `calmed` and not `dropped`"),
        ({"type": "dropped", "data": {"n": 0.5, "at": None}}, "dropped.n: expected int, got the fraction 0.5"),
        ({"type": "dropped", "data": {"n": 1}}, "dropped.at: missing"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error(answer: Any, words: str) -> None:
    with pytest.raises(DecodeFailedError) as caught:
        Server().calls.reply("drop", answer)
    assert words in caught.value.message


def emitted(*handlers: Callable[[Any], object]) -> tuple[Emitter, Any]:
    emitter, calls = Emitter(), Server().calls
    for handler in handlers:
        emitter.on("message", calls.listener("dropped", handler), only=["dropped"])
    return emitter, lambda data: emitter.emit("message", {"type": "dropped", "data": data})


def test_a_handler_gets_the_class_once_and_can_be_taken_off() -> None:
    got: list[Any] = []
    emitter, emit = emitted(got.append, got.append)
    emit({"n": 1.0, "at": None})
    assert got == [Dropped(n=1, at=None)]
    emitter.off("message", got.append)
    emit({"n": 2, "at": None})
    assert len(got) == 1


def test_a_message_that_is_not_as_it_was_told_goes_to_no_handler() -> None:
    got: list[Any] = []
    _, emit = emitted(got.append)
    with structlog.testing.capture_logs() as logs:
        emit({"n": "one", "at": None})
    assert got == []
    assert [each["event"] for each in logs] == ["message left out"]


def test_another_contract_is_told_once() -> None:
    server = Server(POND)
    dim = CommandSchema("dim")
    with structlog.testing.capture_logs() as logs:
        server.calls.compare()
        server.schema = replace(POND, description="other words", version="v9")
        server.calls.compare()
        assert logs == []
        server.schema = replace(POND, commands=(DROP, dim), messages=(DROPPED,))
        server.calls.compare()
        server.calls.compare()
    (warning,) = logs
    assert warning["log_level"] == "warning"
    assert (warning["added"], warning["removed"]) == (["command dim"], ["command calm", "message calmed"])
    assert warning["breaking"] == ["command 'calm' is gone", "message 'calmed' is gone"]


def test_the_hash_is_of_what_clients_depend_on() -> None:
    described = replace(DROP, fields=(replace(DROP.fields[0], description="From the left.", moderate=True),))
    same = replace(POND, name="x", version="v9", description="y", commands=(CommandSchema("calm"), described))
    assert contract_hash(same) == contract_hash(POND) == CONTRACT.hash
    (x,) = DROP.fields
    drops = [
        replace(DROP, reply=None),
        replace(DROP, may_acknowledge=True),
        replace(DROP, fields=(replace(x, type=t.FloatType(t.Bounds(le=2))),)),
        replace(DROP, fields=(replace(x, default=0.0),)),
    ]
    other = [
        replace(POND, tracks=()),
        replace(POND, messages=(DROPPED,)),
        *(replace(POND, commands=(each, CommandSchema("calm"))) for each in drops),
    ]
    assert len({contract_hash(each) for each in (POND, *other)}) == len(other) + 1


@pytest.mark.parametrize("door", [Reactor, SyncReactor])
def test_typed_clients_take_every_option_of_the_client(door: type) -> None:
    parameters = inspect.signature(door).parameters.values()
    assert [each.name for each in parameters if each.kind is each.KEYWORD_ONLY] == list(ReactorOptions.__annotations__)


@pytest.mark.parametrize("base", [TypedReactor, SyncTypedReactor])
def test_no_command_can_take_the_place_of_what_a_client_is(base: Any) -> None:
    client = type("PondModel", (base,), {"contract": CONTRACT})(local=True)
    names = sorted({name for name in {*dir(client), *vars(client)} if not name.startswith("_")})
    source = client_of(ModelSchema("pond", commands=tuple(map(CommandSchema, names))))
    for name in names:
        assert f" def {name}_(self)" in source
        assert f" def {name}(self)" not in source


def test_the_models_own_name_is_what_is_asked_for() -> None:
    client = type("PondModel", (TypedReactor,), {"contract": CONTRACT})
    assert "PondModel 'pond' at " in repr(client(local=True))
    assert "PondModel 'acme/pond' at " in repr(client("acme/pond", local=True))
