"""Which parts of commands and of a session's start a moderator is asked about."""

from __future__ import annotations

from typing import Any

from livereactor.protocol.http import StartSession
from livereactor.protocol.moderated import (
    KEY_CHARS,
    MOST_TEXTS,
    PATH_CHARS,
    Content,
    content_of,
    has_marks,
    texts_of_start,
)
from livereactor.protocol.schema import CommandSchema, ModelSchema
from livereactor.protocol.types import (
    AnyType,
    ChoiceType,
    DictType,
    Field,
    FileType,
    FloatType,
    ListType,
    OptionalType,
    StrType,
    StructureType,
    Type,
)

FILE = {"upload_id": "up-1", "name": "koi.png", "mime_type": "image/png", "size": 3}


def content(value: Any, kind: Type, *, moderate: bool = True, everything: bool = False) -> Content | None:
    command = CommandSchema("paint", (Field("a", kind, moderate=moderate),))
    return content_of(command, {"a": value}, everything=everything)


def texts(value: Any, kind: Type) -> tuple[tuple[str, str], ...]:
    found = content(value, kind)
    return () if found is None else found.texts


def test_texts_of_every_type_are_found_by_their_path() -> None:
    assert texts("a koi", StrType()) == (("a", "a koi"),)
    assert texts(["x", "", "y"], ListType(StrType())) == (("a[0]", "x"), ("a[2]", "y"))
    assert texts({"sky": "blue"}, DictType(StrType())) == (("a.sky", "blue"),)
    assert texts({"a sky": 1}, DictType(FloatType())) == (("a (key)", "a sky"),)
    assert texts({"x": [{"y": "deep"}]}, AnyType()) == (("a.x[0].y", "deep"),)
    assert texts("maybe", OptionalType(StrType())) == (("a", "maybe"),)
    assert texts(None, OptionalType(StrType())) == ()
    assert texts("red", ChoiceType(("red", "blue"))) == ()
    assert texts(2.0, FloatType()) == ()


def test_only_marked_fields_count_unless_all_do() -> None:
    assert content("a koi", StrType(), moderate=False) is None
    assert content("a koi", StrType(), moderate=False, everything=True) is not None
    scene = StructureType("Scene", (Field("caption", StrType(), moderate=True), Field("id", StrType())))
    marked = content({"caption": "x", "id": "7"}, scene, moderate=False)
    assert marked is not None
    assert marked.texts == (("a.caption", "x"),)


def test_files_are_named_once() -> None:
    found = content([FILE, FILE], ListType(FileType()))
    assert found == Content("paint", (), ("up-1",))
    assert content(FILE, FileType(), moderate=False) is None


def test_what_a_session_starts_with_counts_without_marks() -> None:
    body = StartSession.model_validate(
        {
            "extra_args": {"seed": 7, "scene": {"words": ["a", "b"]}},
            "extra_configs": {"style": "ink"},
            "starting_input": {"state": {"prompt": "koi"}, "commands": [{"command": "say", "data": {"text": "hi"}}]},
        }
    )
    assert dict(texts_of_start(body)) == {
        "extra_args.style": "ink",
        "extra_args.scene.words[0]": "a",
        "extra_args.scene.words[1]": "b",
        "starting_input.state.prompt": "koi",
        "starting_input.commands[0].say.text": "hi",
    }
    assert texts_of_start(StartSession()) == ()


def test_a_question_does_not_grow_beyond_what_it_is_asked_about() -> None:
    deep: Any = [f"text {number}" for number in range(5_000)]
    for _ in range(30):
        deep = {"k" * (KEY_CHARS + 10): deep}
    found = texts(deep, AnyType())
    assert len(found) == MOST_TEXTS
    assert max(len(path) for path, _ in found) <= PATH_CHARS + len(" (key)")
    assert "text 4999" in found[-1][1]  # nothing is left out
    assert sum(len(text) for _, text in found) < 100_000


def test_a_mark_is_found_at_any_depth() -> None:
    scene = StructureType("Scene", (Field("caption", StrType(), moderate=True),))
    for kind, marked in ((StrType(), False), (ListType(OptionalType(scene)), True), (DictType(StrType()), False)):
        schema = ModelSchema("m", commands=(CommandSchema("paint", (Field("a", kind),)),))
        assert has_marks(schema) is marked
