"""Every way a start can fail: one readable sentence that says what to do, and the exit code."""

import asyncio
import json
import re
import socket
from pathlib import Path

import pytest

from tests.tools.netns import private_network
from tests.tools.processes import free_port

from .command import ended, written


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    speed: float = lr.param(9, le=5)\n", ["Grey.speed: default 9 is above le=5", "model.py:"]),
        ("    speed: bytes = lr.param(b'', description='x')\n", ["Grey.speed: bytes cannot be sent", "use one of int"]),
        ("    def oops(self:\n        pass\n", ["model.py:8", "correct the line"]),
        ("    import nunpy\n", ["model.py:8: there is no module 'nunpy'", "install nunpy or correct the import"]),
        ("    x = 1 / 0\n", ["model.py:8: ZeroDivisionError: division by zero"]),
    ],
    ids=["default out of bounds", "unsupported type", "syntax", "import", "raises"],
)
async def test_a_wrong_class_is_told_with_its_line_and_exit_code_3(tmp_path: Path, body: str, words: list[str]) -> None:
    result = await ended("run", written(tmp_path, body), "--port", "0")
    assert (result.code, result.out) == (3, "")
    assert all(word in result.log for word in words), result.log
    assert len(result.log.splitlines()) == 1


async def test_a_load_that_raises_is_told_once_at_the_end_with_exit_code_3(tmp_path: Path) -> None:
    model = written(tmp_path, "    def load(self):\n        self.weights = open('nothing.bin')\n")
    result = await ended("run", model, "--port", "0")
    last = result.log.splitlines()[-1]
    assert result.code == 3
    assert last.startswith("livereactor: Grey failed to load: FileNotFoundError:")
    assert "nothing.bin" in last
    assert "model.py:9" in last


async def test_a_missing_file_is_told_with_exit_code_3(tmp_path: Path) -> None:
    result = await ended("run", "nope.py", folder=tmp_path)
    assert result.code == 3
    assert "no file 'nope.py'" in result.log


async def test_a_port_in_use_is_told_with_the_next_free_one(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        result = await ended("run", written(tmp_path, ""), "--port", str(port))
    assert (result.code, result.out) == (1, "")
    assert f"cannot listen on 127.0.0.1:{port}" in result.log
    assert "choose another port with --port" in result.log
    named = int(result.log.split("--port ")[1].split(",")[0])
    assert named > port


async def test_another_address_than_loopback_wants_a_key_or_insecure(tmp_path: Path) -> None:
    result = await ended("run", written(tmp_path, ""), "--host", "0.0.0.0", "--port", str(free_port()))
    assert result.code == 1
    assert "--key" in result.log
    assert "--insecure" in result.log


async def test_a_short_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    result = await ended("run", written(tmp_path, ""), "--host", "0.0.0.0", "--key", "hunter2")
    assert result.code == 1
    assert "command line, --key: runtime.key: " in result.log
    assert "hunter2" not in result.log


@pytest.mark.parametrize(
    "arguments",
    [("rum",), ("run", "--prot", "3"), ("run", "--set", "steps"), ("new", "2fast"), ("new", "x", "--template", "v")],
    ids=" ".join,
)
async def test_a_wrong_command_line_has_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = await ended(*arguments, folder=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert result.log


async def test_a_breaking_change_of_the_schema_is_listed_with_exit_code_1(tmp_path: Path) -> None:
    before = written(tmp_path, "    speed: float = lr.param(1.0)\n", "before.py")
    after = written(tmp_path, "    pace: float = lr.param(1.0)\n", "after.py")
    old = tmp_path / "old.json"
    assert (await ended("schema", before, "--out", old)).code == 0
    assert (await ended("schema", before, "--check", old)).code == 0
    result = await ended("schema", after, "--check", old)
    assert result.code == 1
    assert "set_speed" in result.out


async def test_a_malformed_setting_stops_the_start_and_names_its_line(tmp_path: Path) -> None:
    written(tmp_path, "")
    (tmp_path / "livereactor.toml").write_text("[runtime]\nprot = 9000\n")
    for command in ("run", "validate", "config"):
        result = await ended(command, tmp_path)
        assert result.code == 1
        assert "livereactor.toml line 2: no setting 'runtime.prot', did you mean 'runtime.port'" in result.log


async def test_doctor_checks_this_machine_and_a_server_that_is_not_there(tmp_path: Path) -> None:
    result = await ended("doctor", "--json", "--url", f"http://127.0.0.1:{free_port()}", folder=tmp_path)
    found = {line["check"]: line for line in map(json.loads, result.out.splitlines())}
    assert result.code == 1
    assert {"python", "media engine", "codecs", "gpu", "port", "disk", "server"} <= found.keys()
    assert found["media engine"]["status"] == "ok"
    assert found["server"]["status"] == "fail"
    assert found["server"]["fix"]


async def test_doctor_finds_a_machine_without_an_address_and_says_how_to_add_one(tmp_path: Path) -> None:
    with private_network() as private:
        if not private:
            pytest.skip("only root may make a network without an address")
        removing = await asyncio.create_subprocess_exec("ip", "link", "del", "lr0")
        assert await removing.wait() == 0
        result = await ended("doctor", "--json", folder=tmp_path)
    found = {line["check"]: line for line in map(json.loads, result.out.splitlines())}
    assert result.code == 1
    assert found["media engine"]["text"].startswith("no network address but loopback")
    assert "ip link add" in found["media engine"]["fix"]


@pytest.mark.parametrize("by_make", [False, True], ids=["demo", "make demo"])
async def test_a_demo_on_a_port_in_use_says_what_whoever_started_it_can_type(
    monkeypatch: pytest.MonkeyPatch, by_make: bool
) -> None:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    if by_make:
        monkeypatch.setenv("MAKELEVEL", "1")  # as make does
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        result = await ended("demo", "--port", str(holder.getsockname()[1]))
    assert (result.code, result.out) == (1, "")
    assert re.search(r"choose another port with --port (\d+)( \(make demo PORT=\1\))?, which is free", result.log)
    assert ("make demo" in result.log) is by_make
    assert "Data:" not in result.log
