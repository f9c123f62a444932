"""The text of typed clients; tests/property/client has what holds for every schema."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from livereactor.base.errors import UsageError
from livereactor.client.codegen import client_of
from livereactor.client.contract import kept_contract
from livereactor.protocol import types as t
from livereactor.protocol.contract import contract_hash
from livereactor.protocol.schema import CommandSchema, MessageSchema, ModelSchema, TrackSchema
from tests.tools.processes import REPOSITORY
from tests.unit.client.everything import LAMP

GOLDEN = Path(__file__).parent / "golden/rain_lamp_client.txt"


def test_the_text_is_the_one_that_was_agreed() -> None:
    """To agree on another: `python -m tests.unit.client.test_codegen`, and read the difference."""
    assert client_of(LAMP) == GOLDEN.read_text(encoding="utf-8")


def test_the_text_does_not_depend_on_the_process() -> None:
    with ThreadPoolExecutor() as side_by_side:
        texts = set(side_by_side.map(written_by_a_process, ("1", "2")))
    assert len(texts) == 1
    assert texts != {b""}


def written_by_a_process(hash_seed: str) -> bytes:
    command = [sys.executable, "-m", "livereactor", "codegen", "examples/conformance.py"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=True, timeout=60).stdout


def test_a_client_keeps_what_it_was_written_for(tmp_path: Path) -> None:
    client = tmp_path / "client.py"
    client.write_text(client_of(LAMP), encoding="utf-8")
    kept = kept_contract(str(client))
    assert kept is not None
    assert contract_hash(kept) == contract_hash(LAMP)


@pytest.mark.parametrize("text", ["CONTRACT = 3\n", "x = (\n", "CONTRACT: int = Contract(3)\n", "\x00"])
def test_another_file_is_no_client(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.py"
    file.write_text(text, encoding="utf-8")
    assert kept_contract(str(file)) is None
    assert kept_contract(str(tmp_path / "none.py")) is None


def test_a_command_called_like_a_method_of_the_client_gets_an_underscore() -> None:
    names = ("get_state", "connect", "commands", "contract", "if", "float", "drop")
    source = client_of(ModelSchema("pond", commands=tuple(map(CommandSchema, names[:4] + names[5:]))))
    for name in ("get_state_", "connect_", "commands_", "contract_", "float_", "drop"):
        assert f"async def {name}(self)" in source
        assert f'"{name.rstrip("_")}"' in source


def test_a_message_called_like_an_event_of_the_client_gets_an_underscore() -> None:
    source = client_of(ModelSchema("pond", messages=(MessageSchema("status", "Status"), MessageSchema("tick", "Tick"))))
    assert "def on_status_(" in source
    assert "def on_tick(" in source


def test_types_of_one_name_are_told_apart() -> None:
    def commands(*kinds: t.Type) -> tuple[CommandSchema, ...]:
        return tuple(CommandSchema(f"go_{n}", (t.Field("way", kind),)) for n, kind in enumerate(kinds))

    source = client_of(
        ModelSchema(
            "pond",
            commands=commands(t.ChoiceType(("a",)), t.ChoiceType(("b",)), t.ChoiceType(("a",)), t.ChoiceType(("c",))),
            messages=(MessageSchema("way", "Way"), MessageSchema("go_2_way", "PondModel")),
        )
    )
    assert 'Go0Way: TypeAlias = Literal["a"]' in source
    assert 'Go1Way: TypeAlias = Literal["b"]' in source
    assert 'Go3Way: TypeAlias = Literal["c"]' in source
    assert "class Way:" in source
    assert "class PondModel2:" in source
    assert "async def go_2(self, way: Go0Way)" in source


@pytest.mark.parametrize(
    "schema",
    [
        ModelSchema("pond", commands=(CommandSchema("set-sky"),)),
        ModelSchema("pond", commands=(CommandSchema("if"),)),
        ModelSchema("pond", commands=(CommandSchema("__init__"),)),
        ModelSchema("pond", commands=(CommandSchema("x(self): pass\n    y"),)),
        ModelSchema("pond", commands=(CommandSchema("go", (t.Field("from", t.IntType()),)),)),
        ModelSchema("pond", commands=(CommandSchema("go", (t.Field("self", t.IntType()),)),)),
        ModelSchema("pond", messages=(MessageSchema("gone", "Gone", (t.Field("float", t.IntType()),)),)),
        ModelSchema("pond", messages=(MessageSchema("gone", "Gone", (t.Field("Gone", t.IntType()),)),)),
        ModelSchema("pond", messages=(MessageSchema("go ne", "Gone"),)),
    ],
)
def test_a_name_that_python_cannot_write_is_refused(schema: ModelSchema) -> None:
    with pytest.raises(UsageError, match="rename it in the model"):
        client_of(schema)


def test_words_of_a_schema_stay_words() -> None:
    hostile = '"""\n    import os; os.system("x")\n    """'
    schema = ModelSchema(
        hostile,
        description=hostile,
        tracks=(TrackSchema("a\nb", "video", "out"),),
        commands=(CommandSchema("go", (t.Field("way", t.StrType(), hostile, hostile),), hostile),),
        messages=(MessageSchema("gone", hostile, (), hostile),),
    )
    there: dict[str, object] = {"__name__": "hostile"}
    source = client_of(schema)
    exec(compile(source, "hostile", "exec"), there)
    assert "os" not in there


def test_without_commands_tracks_and_messages_there_is_still_a_client() -> None:
    there: dict[str, object] = {"__name__": "empty"}
    exec(compile(client_of(ModelSchema("")), "empty", "exec"), there)
    assert "XModel" in there


if __name__ == "__main__":
    GOLDEN.write_text(client_of(LAMP), encoding="utf-8")
