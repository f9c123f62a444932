"""What a class declares, and what is refused when it is defined."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Interval
from pydantic import BaseModel

import livereactor as lr
from livereactor.base.errors import DefinitionError, InvalidCommandError
from livereactor.protocol.openapi import to_openapi
from livereactor.runtime.authoring.definition import definition_of
from livereactor.testing import Stage


class Shade(enum.Enum):
    DARK = "dark"
    LIGHT = "light"


@dataclass
class Spot:
    x: float
    y: float = 0.5


class Look(BaseModel):
    sharp: bool = True


class Ping(lr.Message):
    """Sent now and then."""

    n: int


class Grown(lr.Message):
    cells: int
    shade: Shade = Shade.DARK


class Everything(lr.Model):
    """Shows all there is.

    The second paragraph.
    """

    main_video = lr.VideoOut(width=64, height=48, fps=24)
    voice = lr.AudioOut(sample_rate=24_000)
    webcam = lr.VideoIn(width=32, height=24)
    mic = lr.AudioIn(sample_rate=16_000)
    speed: float = lr.param(1.0, ge=0, le=5, description="How fast.")
    tags: list[str] = lr.param(())  # type: ignore[assignment]

    def open(self, session: lr.Session) -> None:
        self.seen: list[Any] = []

    @lr.command
    def grow(
        self,
        count: Annotated[int, Interval(ge=1, le=9)],
        spot: Spot,
        look: Look | None = None,
        shade: Shade = Shade.DARK,
        mode: Literal["fast", "slow"] = "fast",
        weights: dict[str, float] | None = None,
        files: list[lr.File] | None = None,
        strength: float = lr.param(0.5, ge=0, le=1, description="How hard."),
        extra: Any = None,
    ) -> Grown:
        """Grow some cells.

        Args:
            count: how many
                cells.
        """
        self.seen.append((count, spot, look, shade, mode, weights, files, strength, extra))
        return Grown(cells=count, shade=shade)

    @lr.command(name="who", moderate=True)
    def who_is_it(self, client: lr.Client, text: str = "") -> Ping | None:
        self.send(Ping(n=client.id))

    def stream(self) -> Iterator[Any]:
        while True:
            yield None


SPOT = {"x": 0.25}


def test_tracks_keep_their_order_and_direction() -> None:
    tracks = definition_of(Everything).schema.tracks
    assert [(each.name, each.kind, each.direction) for each in tracks] == [
        ("main_video", "video", "out"),
        ("voice", "audio", "out"),
        ("webcam", "video", "in"),
        ("mic", "audio", "in"),
    ]


def test_the_schema_says_what_docstrings_and_hints_say() -> None:
    schema = definition_of(Everything).schema
    assert (schema.name, schema.description) == ("everything", "Shows all there is.\n\nThe second paragraph.")
    grow = schema.command("grow")
    assert grow.description == "Grow some cells."
    told = {each.name: each.description for each in grow.fields if each.description}
    assert told == {"count": "how many cells.", "strength": "How hard."}
    assert (grow.reply, grow.may_acknowledge) == ("grown", False)
    assert (schema.command("who").reply, schema.command("who").may_acknowledge) == ("ping", True)
    assert list(to_openapi(schema)["paths"]["/events/who"]["post"]["responses"]) == ["200", "202"]
    assert [each.name for each in schema.messages] == ["grown", "ping"]
    assert all(each.moderate for each in schema.command("who").fields)
    assert [each.name for each in schema.commands] == ["set_speed", "set_tags", "grow", "who"]
    assert "/events/set_speed" in to_openapi(schema)["paths"]


def test_arguments_arrive_as_annotated() -> None:
    with Stage(Everything) as stage:
        stage.command("grow", count=2.0, spot=SPOT, look={"sharp": False}, shade="light", weights={"a": 1})
        model: Any = stage.model
        expected = (2, Spot(0.25), Look(sharp=False), Shade.LIGHT, "fast", {"a": 1.0}, None, 0.5, None)
        assert model.seen == [expected]


def test_files_arrive_wherever_they_are_declared() -> None:
    with Stage(Everything) as stage:
        stage.command("grow", count=1, spot=SPOT, files=[lr.File("a.txt", "text/plain", "hé".encode())])
        model: Any = stage.model
        file = model.seen[0][6][0]
        assert (file.name, file.size, file.text()) == ("a.txt", 3, "hé")


def test_a_reply_and_a_message_go_out_as_json() -> None:
    with Stage(Everything) as stage:
        reply = stage.command("grow", count=3, spot=SPOT, shade="light")
        assert reply is not None
        assert (reply.type, reply.data) == ("grown", {"cells": 3, "shade": "light"})
        assert stage.command("who") is None
        assert [(each.type, each.data) for each in stage.step().messages] == [("ping", {"n": 1001})]


def test_a_lists_default_is_a_new_list_each_time() -> None:
    with Stage(Everything) as stage:
        model: Any = stage.model
        model.tags.append("kept")
        stage.open()
        assert model.tags == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"count": 10, "spot": SPOT}, "grow.count: 10 is above 9"),
        ({"count": 1}, "grow.spot: missing"),
        ({"count": 1, "spot": SPOT, "cuont": 1}, "grow.cuont: unexpected argument"),
        ({"count": 1, "spot": SPOT, "shade": "grey"}, "'dark', 'light'"),
        ({"count": "1", "spot": SPOT}, "grow.count: expected int, got str"),
        ({"count": 1, "spot": SPOT, "strength": 2}, "grow.strength: 2"),
    ],
)
def test_arguments_that_break_the_contract_never_reach_the_handler(arguments: dict[str, Any], sentence: str) -> None:
    with Stage(Everything) as stage:
        with pytest.raises(InvalidCommandError, match=sentence):
            stage.command("grow", **arguments)
        model: Any = stage.model
        assert model.seen == []


def test_an_unknown_command_names_the_nearest() -> None:
    with Stage(Everything) as stage, pytest.raises(InvalidCommandError, match="did you mean 'grow'"):
        stage.command("grwo")


def test_a_handler_can_be_called_by_its_model_with_the_plain_default() -> None:
    model: Any = Everything()
    model.seen = []
    model.grow(1, Spot(0, 0))
    assert model.seen[0][7] == 0.5


def test_a_subclass_inherits_tracks_params_and_commands() -> None:
    class Child(Everything):
        name = "the_child"
        more: bool = lr.param(False)

    definition = definition_of(Child)
    assert definition.name == "the_child"
    assert list(definition.params) == ["speed", "tags", "more"]
    assert "grow" in definition.commands


# --- what is refused ---------------------------------------------------------------------------------------------


def bound() -> None:
    class Pond(lr.Model):
        steps: int = lr.param(9, le=5)


def unsupported_param() -> None:
    class Pond(lr.Model):
        when: complex = lr.param(1j)


def unsupported_argument() -> None:
    class Pond(lr.Model):
        @lr.command
        def drop(self, at: set[int]) -> None: ...


def unsupported_message() -> None:
    class Bad(lr.Message):
        what: bytes

    class Pond(lr.Model):
        @lr.command
        def drop(self) -> Bad | None: ...


def untyped_param() -> None:
    class Pond(lr.Model):
        steps = lr.param(9)


def untyped_argument() -> None:
    class Pond(lr.Model):
        @lr.command
        def drop(self, x) -> None: ...


def mutable() -> None:
    class Pond(lr.Model):
        tags: list[str] = lr.param([])


def mutable_argument() -> None:
    class Pond(lr.Model):
        @lr.command
        def drop(self, tags: list[str] = []) -> None: ...  # noqa: B006 - the mistake under test


def twice() -> None:
    class Pond(lr.Model):
        rain: float = lr.param(0.5)

        @lr.command
        def set_rain(self, value: float) -> None: ...


def twice_by_name() -> None:
    class Pond(lr.Model):
        @lr.command(name="drop")
        def one(self) -> None: ...

        @lr.command(name="drop")
        def two(self) -> None: ...


def hook() -> None:
    class Pond(lr.Model):
        def open(self) -> None: ...


def hook_too_long() -> None:
    class Pond(lr.Model):
        def load(self, config: Any, device: str) -> None: ...


def hook_is_value() -> None:
    class Pond(lr.Model):
        load = 3


def command_is_hook() -> None:
    class Pond(lr.Model):
        @lr.command
        def warmup(self) -> None: ...


def missing_name() -> None:
    class Pond(lr.Model):
        @lr.command
        def drop(self, x: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821 - the mistake under test


def reply_type() -> None:
    class Pond(lr.Model):
        @lr.command
        def drop(self) -> dict[str, int]: ...


def star() -> None:
    class Pond(lr.Model):
        @lr.command
        def drop(self, *points: float) -> None: ...


def reserved() -> None:
    class Pond(lr.Model):
        log = lr.VideoOut()  # type: ignore[assignment]


def reserved_for_the_name() -> None:
    class Pond(lr.Model):
        name: str = lr.param("nobody")  # type: ignore[misc]


def camel() -> None:
    class Pond(lr.Model):
        mainVideo = lr.VideoOut()  # noqa: N815 - the mistake under test


def same_messages() -> None:
    def make() -> type[lr.Message]:
        class Ping(lr.Message):
            n: int

        return Ping

    class Pond(lr.Model):
        messages = (make(), make())


@pytest.mark.parametrize(
    ("define", "parts"),
    [
        (bound, ["Pond.steps", "9", "le=5"]),
        (unsupported_param, ["Pond.when", "complex", "use one of"]),
        (unsupported_argument, ["Pond.drop.at", "set", "test_definition.py:"]),
        (unsupported_message, ["Bad.what", "bytes"]),
        (untyped_param, ["Pond.steps", "needs a type"]),
        (untyped_argument, ["Pond.drop.x", "needs a type", "test_definition.py:"]),
        (mutable, ["Pond.tags", "mutable", "use a tuple"]),
        (mutable_argument, ["Pond.drop.tags", "mutable"]),
        (twice, ["Pond", "rain and set_rain", "'set_rain'", "rename one"]),
        (twice_by_name, ["one and two", "'drop'", "rename one"]),
        (hook, ["Pond", "open(self)", "write def open(self, session)", "test_definition.py:"]),
        (hook_too_long, ["load(self, config", "def load(self) or def load(self, config)"]),
        (hook_is_value, ["Pond.load", "name of a hook"]),
        (command_is_hook, ["Pond.warmup", "name of a hook"]),
        (missing_name, ["Pond.drop", "'Nowhere'", "define it above"]),
        (reply_type, ["Pond.drop", "dict", "one lr.Message class or None"]),
        (star, ["Pond.drop.points", "without *"]),
        (reserved, ["Pond.log", "choose another"]),
        (reserved_for_the_name, ["Pond.name", "choose another"]),
        (camel, ["Pond.mainVideo", "snake_case"]),
        (same_messages, ["two messages", "'ping'"]),
    ],
)
def test_a_wrong_class_is_refused_where_it_is_defined(define: Callable[[], None], parts: list[str]) -> None:
    with pytest.raises(DefinitionError) as caught:
        define()
    assert isinstance(caught.value, TypeError)
    for part in parts:
        assert part in caught.value.message


@pytest.mark.parametrize(
    "declare",
    [
        lambda: lr.VideoOut(fps=0),
        lambda: lr.VideoOut(width=1),
        lambda: lr.VideoOut(pacing="lazy"),  # type: ignore[arg-type]
        lambda: lr.VideoIn(width=10),
        lambda: lr.VideoIn(fit="crop"),  # type: ignore[arg-type]
        lambda: lr.VideoIn(buffer=0),
        lambda: lr.AudioIn(sample_rate=10),
        lambda: lr.AudioIn(buffer_seconds=0),
        lambda: lr.AudioOut(channels=3),
        lambda: lr.wait_for(),
        lambda: lr.Weights("a/b", url="https://x/y", sha256="0" * 64),
        lambda: lr.Weights("a", url="ftp://x/y", sha256="0" * 64),
        lambda: lr.Weights("a", url="https://x/y", sha256="0"),
    ],
)
def test_a_track_that_cannot_be_is_refused(declare: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        declare()
